"""A genome in pieces: read as the chromosomes that the pieces come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tssbook.data import Fasta, Pieces, extract
from tssbook.simulator import FILES, simulate, write_files

LENGTHS = {"chr1": 30}


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """ACGTACGT at 10 to 18 and GTTT at 16 to 20 of chr1: both say GT at 16."""
    path = tmp_path / "pieces.fa"
    path.write_text(">chr1:11-18\nACGTACGT\n>chr1:17-20\nGTTT\n")
    return path


def test_pieces_are_read_where_they_lie(two: Path) -> None:
    genome = Pieces(two, LENGTHS)
    assert genome.letters("chr1", 8, 22) == "NNACGTACGTTTNN"
    assert genome.lengths == LENGTHS
    # One window before the chromosome, one behind it.
    assert genome.codes(["chr1", "chr1"], [-2, 28], 4).tolist() == [[4] * 4] * 2


def test_places_in_a_table_choose_records(tmp_path: Path) -> None:
    path = tmp_path / "pieces.fa"
    path.write_text(">a\nACGT\n>b\nTTTT\n")
    places = pd.DataFrame({"chrom": ["chr1"], "start": [5], "end": [9], "name": ["a"]})
    assert Pieces(path, LENGTHS, places).letters("chr1", 4, 10) == "NACGTN"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "c"}, "has no record 'c': it has a"),
        ({"end": 10}, "has 4 bp in"),
        ({"chrom": "chr9"}, "lies on 'chr9'"),
        ({"start": 28, "end": 32}, "ends at 32, and chr1 has 30 bp"),
    ],
)
def test_places_that_cannot_be(tmp_path: Path, change: dict, words: str) -> None:
    path = tmp_path / "pieces.fa"
    path.write_text(">a\nACGT\n")
    place = {"chrom": "chr1", "start": 5, "end": 9, "name": "a"} | change
    with pytest.raises(ValueError, match=words):
        Pieces(path, LENGTHS, pd.DataFrame([place]))


def test_names_that_say_no_place(tmp_path: Path) -> None:
    path = tmp_path / "pieces.fa"
    path.write_text(">a\nACGT\n")
    with pytest.raises(ValueError, match="wanted names such as chr22:1001-2000"):
        Pieces(path, LENGTHS)


def test_pieces_that_disagree(tmp_path: Path) -> None:
    path = tmp_path / "pieces.fa"
    path.write_text(">chr1:11-14\nACGT\n>chr1:13-16\nCCCC\n")
    with pytest.raises(ValueError, match="two pieces of chr1 around 10 that differ"):
        Pieces(path, LENGTHS).codes(["chr1"], [10], 6)


def test_a_data_set_of_pieces_is_that_of_the_genome(tmp_path: Path) -> None:
    files = write_files(simulate(6, seed=3), tmp_path / "sim")
    genome, ten = Fasta(files / "genome.fa"), [files / name for name in FILES]
    whole = extract(genome, ten, files / "tss.tsv", length=200)
    # One piece for each locus, cut out as samtools faidx does.
    records = [
        f">{c}:{s + 1}-{e}\n{genome.letters(c, s, e)}\n"
        for c, s, e in whole.loci[["chrom", "start", "end"]].itertuples(index=False)
    ]
    path = tmp_path / "pieces.fa"
    path.write_text("".join(records))
    cut = extract(Pieces(path, genome.lengths), ten, files / "tss.tsv", length=200)
    np.testing.assert_array_equal(cut.codes, whole.codes)
    np.testing.assert_array_equal(cut.tracks, whole.tracks)


def test_other_places_are_another_genome(tmp_path: Path) -> None:
    path = tmp_path / "pieces.fa"
    path.write_text(">a\nACGT\n")
    table = pd.DataFrame({"chrom": ["chr1"], "start": [5], "end": [9], "name": ["a"]})
    here = Pieces(path, LENGTHS, table)
    there = Pieces(path, LENGTHS, table.assign(start=6, end=10))
    assert here.about == Pieces(path, LENGTHS, table).about != there.about

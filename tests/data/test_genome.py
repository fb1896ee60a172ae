"""genome: windows on both strands by hand, their sequences, and what lies outside."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tssbook.data.fasta import Fasta
from tssbook.data.genome import padding, sequences, windows
from tssbook.sequence import codes

#          0123456789
CHR1 = "AACCGGTTAC"


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1\n{CHR1[:6]}\n{CHR1[6:].lower()}\n>chr2\nGGGN\n")
    return path


# --- windows ------------------------------------------------------------------------------------

GENES = pd.DataFrame(
    {"chrom": ["chr1", "chr1"], "start": [4, 2], "end": [9, 6], "strand": ["+", "-"]}
)


def test_upstream_of_a_gene():
    # + strand: [4 - 3, 4); - strand: [6, 6 + 3).
    assert windows(GENES, before=3, after=0).to_dict("list") == {
        "chrom": ["chr1", "chr1"],
        "start": [1, 6],
        "end": [4, 9],
        "strand": ["+", "-"],
        "tss": [4, 5],
    }


def test_around_a_tss():
    tss = pd.DataFrame({"chrom": "chr1", "tss": [100, 100], "strand": ["+", "-"]})
    found = windows(tss, before=3, after=3)
    assert found["start"].tolist() == [97, 98]  # the minus strand is shifted by 1
    assert found["end"].tolist() == [103, 104]


def test_genes_and_their_tss_have_the_same_windows():
    tss = GENES.assign(tss=[4, 5])[["chrom", "tss", "strand"]]
    pd.testing.assert_frame_equal(windows(GENES, 7, 2), windows(tss, 7, 2))


def test_windows_of_a_file(tmp_path):
    path = tmp_path / "tss.tsv"
    path.write_text("chr\tTSS\tstrand\nchr1\t4\t+\nchr1\t5\t-\n")
    pd.testing.assert_frame_equal(windows(path, 7, 2), windows(GENES, 7, 2))


def test_windows_keep_the_index():
    assert windows(GENES.set_axis(["a", "b"]), 2, 0).index.tolist() == ["a", "b"]


def test_sequences_by_hand(fasta):
    # AACCGGTTAC: [1, 4) is ACC; [6, 9) is TTA, from the other strand TAA.
    found = sequences(fasta, windows(GENES, before=3, after=0))
    assert found.tolist() == codes(["ACC", "TAA"]).tolist()
    assert found.dtype == np.uint8


def test_the_tss_stands_at_index_before(fasta):
    # The first base of the + gene is G (4), that of the - gene the complement of G (5).
    found = sequences(fasta, windows(GENES, before=2, after=1))
    assert found[:, 2].tolist() == [2, 1]


def test_past_both_ends_on_both_strands(fasta):
    tss = pd.DataFrame({"chrom": "chr1", "tss": [1, 1, 8, 8], "strand": list("+-+-")})
    around = windows(tss, before=3, after=3)
    # + [-2, 4): NNAACC; - [-1, 5): NAACCG backwards CGGTTN; + [5, 11): GTTACN;
    # - [6, 12): TTACNN backwards NNGTAA.
    wanted = ["NNAACC", "CGGTTN", "GTTACN", "NNGTAA"]
    assert sequences(fasta, around).tolist() == codes(wanted).tolist()
    assert padding(fasta, around).tolist() == [2, 1, 1, 2]


def test_wholly_outside_and_n(fasta):
    table = pd.DataFrame(
        {"chrom": ["chr1", "chr2"], "start": [30, 2], "end": [33, 5], "strand": ["+", "-"]}
    )
    assert sequences(fasta, table).tolist() == codes(["NNN", "NNC"]).tolist()
    assert padding(fasta, table).tolist() == [3, 1]  # the N inside chr2 is no padding


def test_an_opened_fasta_and_any_index(fasta):
    around = windows(GENES, 3, 0).set_axis(["x", "x"])
    opened = Fasta(fasta)
    assert np.array_equal(sequences(opened, around), sequences(fasta, around))
    assert padding(opened, around).tolist() == [0, 0]


@settings(deadline=None)
@given(
    text=st.text("ACGTN", min_size=1, max_size=40),
    tss=st.lists(st.tuples(st.integers(0, 45), st.sampled_from("+-")), min_size=1, max_size=6),
    before=st.integers(0, 20),
    after=st.integers(1, 20),
)
def test_any_window_against_strings(tmp_path_factory, text, tss, before, after):
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    path.write_text(">c\n" + "\n".join(text[i : i + 7] for i in range(0, len(text), 7)) + "\n")
    table = pd.DataFrame({"chrom": "c", "tss": [t for t, _ in tss], "strand": [s for _, s in tss]})
    padded = "N" * 100 + text + "N" * 100
    other = padded[::-1].translate(str.maketrans("ACGT", "TGCA"))
    # Base p of the + strand stands at 100 + p; on the other strand at len - 1 - (100 + p).
    places = [100 + t if s == "+" else len(padded) - 101 - t for t, s in tss]
    wanted = [
        (padded if s == "+" else other)[p - before : p + after]
        for p, (_, s) in zip(places, tss, strict=True)
    ]
    assert np.array_equal(sequences(path, windows(table, before, after)), codes(wanted))


# --- real files ---------------------------------------------------------------------------------


def test_windows_of_the_mirror(mirror):
    table = pd.read_csv(mirror / "human_tss.tsv", sep="\t")
    loci = table[["chunk_name", "pos_in_chunk", "strand"]].set_axis(
        ["chrom", "tss", "strand"], axis=1
    )
    with gzip.open(mirror / "human_tss_4651bp.fa.gz", "rt") as file:
        parts = file.read().removeprefix(">").split("\n>")
    wanted = codes([part.split("\n", 1)[1].replace("\n", "") for part in parts])
    found = sequences(mirror / "human_chunks.fa.gz", windows(loci, 2325, 2326))
    assert found.shape == (237, 4651)
    assert np.array_equal(found, wanted)

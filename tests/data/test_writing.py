"""writing: tracks out and in again, base for base; what is refused before anything is written."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pandas as pd
import pyBigWig
import pytest

from tests.support import refusal
from tssbook.data import (
    BigWigs,
    budding_yeast,
    extract,
    write_bigwigs,
    write_mappability,
    write_table,
    writing,
)
from tssbook.data.fasta import Fasta
from tssbook.simulator import files, simulate

LENGTHS = {"chr2": 60, "chr1": 100}


def loci(*places: tuple) -> pd.DataFrame:
    return pd.DataFrame(places, columns=["chrom", "start", "end", "strand"])


@pytest.fixture
def two(tmp_path):
    return [tmp_path / "out.plus.bw", tmp_path / "out.minus.bw"]


def test_by_hand(two):
    windows = loci(("chr1", 10, 14, "+"), ("chr1", 12, 16, "+"), ("chr2", 0, 4, "-"))
    tracks = np.array([
        [[1, 2, 3, 4], [0, 0, 0, 0]], [[5, 6, 7, 8], [1, 1, 1, 1]], [[1, 2, 3, 4], [5, 6, 7, 8]]
    ], float)  # fmt: skip
    assert write_bigwigs(two, tracks, windows, LENGTHS) == two
    files = BigWigs(two)
    assert files.lengths == [LENGTHS] * 2
    read = files.read(["chr1", "chr2"], [9, 0], 8)
    assert read.tolist() == [
        [[0, 1, 2, 4, 5, 7, 8, 0], [0, 0, 0, 0.5, 0.5, 1, 1, 0]],  # the mean where they overlap
        [[8, 7, 6, 5, 0, 0, 0, 0], [4, 3, 2, 1, 0, 0, 0, 0]],  # both axes turned
    ]


def test_the_way_back_of_extract(two, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "genome.fa").write_text("".join(
        f">{name}\n{''.join(rng.choice(list('ACGT'), n))}\n" for name, n in LENGTHS.items()
    ))  # fmt: skip
    values = rng.integers(1, 9, (1, 2, 60)).astype(float)
    write_bigwigs(two, values, loci(("chr2", 0, 60, "+")), LENGTHS)
    sites = pd.DataFrame({
        "chrom": "chr2", "tss": rng.integers(0, 60, 20), "strand": rng.choice(["+", "-"], 20)
    })  # fmt: skip
    made = extract(tmp_path / "genome.fa", two, sites, length=20)
    again = [tmp_path / "again.plus.bw", tmp_path / "again.minus.bw"]
    write_bigwigs(again, made.tracks, made.loci, Fasta(tmp_path / "genome.fa").lengths)
    assert np.array_equal(
        extract(tmp_path / "genome.fa", again, sites, length=20).tracks, made.tracks
    )


def test_predictions_are_shorter_than_their_windows(two):
    write_bigwigs(two[:1], np.array([[[1.0, 2.0]]]), loci(("chr1", 10, 20, "+")), LENGTHS)
    assert BigWigs(two[:1]).read(["chr1"], [13], 4).tolist() == [[[0, 1, 2, 0]]]


def test_outside_a_chromosome(two):
    windows = loci(("chr1", -2, 2, "+"), ("chr1", 98, 102, "+"), ("chr2", 70, 74, "+"))
    write_bigwigs(two[:1], np.ones((3, 1, 4)), windows, LENGTHS)
    assert BigWigs(two[:1]).read(["chr1"], [0], 100).sum() == 4


def test_piece_by_piece_gives_what_the_whole_gives(two, monkeypatch):
    """Windows in any order, of both strands, with gaps and over the ends; means by hand."""
    monkeypatch.setattr(writing, "_ROWS", 3)
    monkeypatch.setattr(writing, "_PENDING", 2)
    rng = np.random.default_rng(0)
    start = np.concatenate([rng.integers(-5, 40, 30), rng.integers(60, 100, 10)])
    windows = pd.DataFrame({
        "chrom": "chr1", "start": start, "end": start + 10, "strand": rng.choice(["+", "-"], 40)
    })  # fmt: skip
    tracks = rng.integers(1, 9, (40, 2, 6)).astype(float)
    total, count = np.zeros((2, 120)), np.zeros(120)  # from base -10 on
    for (_, begin, _, strand), values in zip(windows.to_numpy(), tracks, strict=True):
        here = slice(begin + 2 + 10, begin + 8 + 10)
        total[:, here] += values if strand == "+" else values[::-1, ::-1]
        count[here] += 1
    write_bigwigs(two, tracks, windows, LENGTHS)
    wanted = np.divide(total, count, out=np.zeros_like(total), where=count > 0)[:, 10:110]
    assert (wanted[0] == 0).sum() > 5  # gaps
    assert np.allclose(BigWigs(two).read(["chr1"], [0], 100)[0], wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("tracks", "windows", "said"),
    [
        (np.ones((1, 3, 4)), loci(("chr1", 0, 4, "+")), "(1, 3, 4) for 1 loci and 2 files"),
        (np.ones((1, 2, 4)), loci(("chr1", 0, 3, "+")), "4 positions and window 0 has 3"),
        (np.ones((1, 2, 4)), loci(("chr1", 0, 9, "+")), "4 positions and window 0 has 9"),
        (np.ones((1, 2, 4)), loci(("1", 0, 4, "+")), "called 'chr1'"),
        (np.full((1, 2, 4), np.nan), loci(("chr1", 0, 4, "+")), "locus 0 hold NaN"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(two, tmp_path, tracks, windows, said):
    assert said in refusal(lambda: write_bigwigs(two, tracks, windows, LENGTHS))
    assert list(tmp_path.iterdir()) == []


def test_no_folder(tmp_path):
    path = tmp_path / "none" / "x.bw"
    windows = loci(("chr1", 0, 4, "+"))
    message = refusal(
        lambda: write_bigwigs([path], np.ones((1, 1, 4)), windows, LENGTHS), FileNotFoundError
    )
    assert str(path.parent) in message


def test_a_disk_without_room_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    """pyBigWig ends the process when a disk is full."""
    free = shutil.disk_usage(tmp_path)._replace(free=(1 << 20) + 8 * 4 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    loci = pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [4], "strand": ["+"]})
    with pytest.raises(OSError, match="has 1 MB free, and the bigWigs may take 1 MB"):
        write_bigwigs([tmp_path / "a.bw"], np.ones((1, 1, 4)), loci, {"chr1": 9})
    assert not list(tmp_path.iterdir())
    write_bigwigs([tmp_path / "a.bw"], np.ones((1, 1, 3)), loci.assign(end=3), {"chr1": 9})


WRITERS = {
    "tracks": lambda path: write_bigwigs(
        [path], np.ones((1, 1, 4)), loci(("chr1", 0, 4, "+")), LENGTHS
    ),
    "counts": lambda path: budding_yeast._write_counts(
        path, pd.DataFrame({"chrom": ["chr1"], "tss": [3], "reads": [2]}), LENGTHS
    ),
    "mappability": lambda path: write_mappability(path, path.with_name("genome.fa"), 4),
    "simulation": lambda path: files._write_bigwigs(
        few := simulate(2, seed=1, length=2000), files._layout(few), files._artefacts(few), path
    ),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_writer_looks_for_folder_and_room(tmp_path, monkeypatch, kind):
    """Without, each of them ends or hangs the process."""
    (tmp_path / "genome.fa").write_text(">chr1\nACGTTTGCAATTGACCAT\n")
    before = sorted(tmp_path.iterdir())
    path = tmp_path / ("none" if kind == "simulation" else "none/x.bw")
    monkeypatch.setattr(pyBigWig, "open", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(FileNotFoundError, match="There is no f"):
        WRITERS[kind](path)
    full = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(OSError, match="has 1 MB free, and the bigWigs may take"):
        WRITERS[kind](tmp_path if kind == "simulation" else tmp_path / "x.bw")
    assert sorted(tmp_path.iterdir()) in (before, [*before, tmp_path / "genome.fa.fai"])


def test_a_folder_is_no_bigwig(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; wanted the name of a file"):
        WRITERS["tracks"](tmp_path)


@pytest.mark.parametrize("name", ["a.tsv", "a.parquet"])
def test_tables_come_back(tmp_path, name):
    table = pd.DataFrame({"chrom": ["chr1", "chr2"], "delta": [0.1, -2.5]}, index=[5, 7])
    path = write_table(tmp_path / name, table)
    again = pd.read_csv(path, sep="\t") if name.endswith("tsv") else pd.read_parquet(path)
    pd.testing.assert_frame_equal(again, table.reset_index(drop=True))


def test_tables_of_other_names_and_nowhere(tmp_path):
    table = pd.DataFrame({"a": [1]})
    assert "wanted a name that ends in .tsv or .parquet" in refusal(
        lambda: write_table(tmp_path / "a.xlsx", table)
    )
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        write_table(tmp_path / "none" / "a.tsv", table)


def test_parquet_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "tssbook\[scale\]"'):
        write_table(tmp_path / "a.parquet", pd.DataFrame({"a": [1]}))

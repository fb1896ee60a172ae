"""track_data: built in pieces, gone on with, cut into batches, and Puffin's archive."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tests.data.test_bigwig import write
from tssbook.data import tracks as track_data
from tssbook.data.blacklists import Blacklist
from tssbook.data.genome import extract
from tssbook.data.splits import Split, split_by_chromosome
from tssbook.data.tracks import build_tracks as build
from tssbook.data.tracks import read_npz, write_npz
from tssbook.sequence import one_hot_codes

N, T, L = 23, 2, 40


@pytest.fixture
def files(tmp_path) -> dict:
    """A genome of random letters, two tracks, loci on both strands and a blacklist."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "files"
    folder.mkdir()
    letters = {chrom: "".join(rng.choice(list("ACGT"), 500)) for chrom in ("chr1", "chr8", "chr10")}
    (folder / "genome.fa").write_text("".join(f">{c}\n{s}\n" for c, s in letters.items()))
    values = {s: {c: rng.integers(0, 9, 500).tolist() for c in letters} for s in ("plus", "minus")}
    bigwigs = [
        write(folder / "a.plus.bw", values["plus"]),
        write(folder / "a.minus.bw", {c: [-v for v in row] for c, row in values["minus"].items()}),
    ]
    loci = pd.DataFrame({
        "chrom": rng.choice(list(letters), N), "tss": rng.integers(0, 500, N),
        "strand": rng.choice(["+", "-"], N),
    })  # fmt: skip
    (folder / "bad.bed").write_text("chr1\t100\t300\nchr8\t0\t250\n")
    return {
        "fasta": folder / "genome.fa", "bigwigs": bigwigs, "loci": loci, "length": L,
        "blacklists": [Blacklist(folder / "bad.bed", [0])],
    }  # fmt: skip


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(track_data, "_ROWS", 5)
    monkeypatch.setattr("tssbook.data.archives._ROWS", 4)


# --- building -----------------------------------------------------------------------------------


def test_a_store_holds_what_extract_reads(files, tmp_path):
    store = build(tmp_path / "made", **files)
    read, tracks = extract(**files)
    assert np.array_equal(store.arrays["sequences"], read)
    assert np.array_equal(store.arrays["tracks"], tracks)
    assert (store.arrays["sequences"].dtype, store.arrays["tracks"].dtype) == (np.uint8, np.float32)


def test_tables_say_what_happened(files, tmp_path):
    store = build(tmp_path / "made", **files)
    loci = store.tables["loci"]
    for name in ("chrom", "tss", "strand"):
        assert loci[name].tolist() == files["loci"][name].tolist()
    assert np.array_equal(loci["padded"], (store.arrays["sequences"] == 4).sum(1))
    assert loci["padded"].any()
    places = {"chr1": range(100, 300), "chr8": range(250)}
    wanted = [
        sum(p in places.get(c, ()) for p in range(a, b))
        for c, a, b in zip(loci["chrom"], loci["start"], loci["end"], strict=True)
    ]
    assert loci["blacklisted"].tolist() == wanted
    assert store.tables["tracks"].to_dict("list") == {
        "file": ["a.plus.bw", "a.minus.bw"], "negative": [False, True]
    }  # fmt: skip


def test_an_interrupted_build_goes_on(files, tmp_path, monkeypatch):
    whole = build(tmp_path / "whole", **files)
    read, calls = track_data.read_windows, []

    def interrupted(*args):
        calls.append(len(args[2]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return read(*args)

    monkeypatch.setattr(track_data, "read_windows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "made", **files)
    assert json.loads((tmp_path / "made" / "about.json").read_text())["done"] == 10
    store = build(tmp_path / "made", **files)
    assert calls == [5, 5, 5, 5, 5, 3]  # 10 rows were not read again
    for name in ("sequences", "tracks"):
        assert np.array_equal(store.arrays[name], whole.arrays[name])
    assert store.tables["loci"].equals(whole.tables["loci"])


def test_a_finished_one_is_used_as_it_is(files, tmp_path, monkeypatch):
    build(tmp_path / "made", **files)
    monkeypatch.setattr(track_data, "read_windows", None)
    assert len(build(tmp_path / "made", **files).arrays["tracks"]) == N


@pytest.mark.parametrize("changed", ["loci", "blacklists", "length", "bigwigs"])
def test_half_of_another_data_set_is_not_gone_on_with(files, tmp_path, monkeypatch, changed):
    read = track_data.read_windows
    monkeypatch.setattr(track_data, "read_windows", lambda *a: read(*a) if not seen else 1 / 0)
    seen: list = []
    write_rows = track_data.Writer.write

    def write_once(writer, *args, **parts):
        write_rows(writer, *args, **parts)
        seen.append(1)

    monkeypatch.setattr(track_data.Writer, "write", write_once)
    with pytest.raises(ZeroDivisionError):
        build(tmp_path / "made", **files)
    monkeypatch.setattr(track_data, "read_windows", read)
    if changed == "bigwigs":
        files["bigwigs"][0] = files["bigwigs"][0].rename(tmp_path / "b.bw")
    else:
        others = {"loci": files["loci"].iloc[::-1], "blacklists": [], "length": 38}
        files[changed] = others[changed]
    store = build(tmp_path / "made", **files)
    assert np.array_equal(store.arrays["tracks"], extract(**files)[1])


def test_progress(files, tmp_path, capsys):
    build(tmp_path / "quiet", **files)
    assert capsys.readouterr().err == ""
    build(tmp_path / "loud", **files, progress=True)
    assert f"{N}/{N}" in capsys.readouterr().err


def test_split_by_chromosome(files, tmp_path):
    chroms = build(tmp_path / "made", **files).tables["loci"]["chrom"]
    split = split_by_chromosome(chroms, valid=["chr10"], test=["chr8"])
    assert set(chroms[split.valid]) == {"chr10"}
    assert sum(map(len, split)) == N


# --- Puffin's archive -----------------------------------------------------------------------------


@pytest.fixture
def arrays() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.integers(0, 5, (N, L)).astype(np.uint8), rng.random((N, T, L), np.float32)


SPLIT = Split(np.arange(3, 15), np.arange(15, 21), np.arange(3))


def test_an_archive_comes_back(arrays, tmp_path):
    codes, tracks = arrays
    write_npz(tmp_path / "data.npz", codes, tracks, SPLIT, seed=4)
    read = read_npz(tmp_path / "data.npz")
    rng = np.random.default_rng(4)
    train, valid = rng.permutation(SPLIT.train), rng.permutation(SPLIT.valid)
    assert train.tolist() != SPLIT.train.tolist()
    for found, wanted in zip(
        read, (codes[train], tracks[train], codes[valid], tracks[valid]), strict=True
    ):
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)


def test_numpy_reads_the_archive(arrays, tmp_path):
    codes, tracks = arrays
    write_npz(tmp_path / "data.npz", codes, tracks, SPLIT, seed=4)
    with np.load(tmp_path / "data.npz") as archive:
        assert set(archive) == {"train_seqs", "train_tars", "valid_seqs", "valid_tars"}
        assert archive["train_seqs"].shape == (12, 4, L)
        assert archive["valid_tars"].shape == (6, T, L)
        assert archive["train_seqs"].dtype == np.float32
        order = np.random.default_rng(4).permutation(SPLIT.train)
        assert np.array_equal(archive["train_seqs"], one_hot_codes(codes[order]))
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_archive_that_numpy_wrote(arrays, tmp_path, dtype, save, order):
    codes, tracks = arrays
    x = np.asarray(one_hot_codes(codes).numpy(), dtype, order=order)
    tars = np.asarray(tracks, np.float64 if dtype == np.float64 else np.float32, order=order)
    save(tmp_path / "a.npz", train_seqs=x, train_tars=tars, valid_seqs=x[:2], valid_tars=tars[:2])
    read = read_npz(tmp_path / "a.npz")
    assert np.array_equal(read.train_codes, codes)
    assert np.array_equal(read.train_tracks, tracks)
    assert np.array_equal(read.valid_codes, codes[:2])

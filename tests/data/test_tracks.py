"""Sequences with tracks on disk: built in pieces, and gone on with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyBigWig
import pytest

from tests.data.test_bigwig import write
from tssbook.data import tracks as building
from tssbook.data.blacklists import Blacklist
from tssbook.data.genome import extract
from tssbook.data.splits import split_by_chromosome
from tssbook.data.tracks import build_tracks

N, L = 23, 40


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
    monkeypatch.setattr(building, "_ROWS", 5)


def test_a_store_holds_what_extract_reads(files, tmp_path):
    store = build_tracks(tmp_path / "made", **files)
    read, tracks, *_ = extract(**files)
    assert np.array_equal(store.arrays["sequences"], read)
    assert np.array_equal(store.arrays["tracks"], tracks)
    assert (store.arrays["sequences"].dtype, store.arrays["tracks"].dtype) == (np.uint8, np.float32)


def test_tables_say_what_happened(files, tmp_path):
    store = build_tracks(tmp_path / "made", **files)
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
        "track": ["a.plus", "a.minus"],
        "file": ["a.plus.bw", "a.minus.bw"],
    }


def interrupt(files, folder, monkeypatch, after: int) -> list[int]:
    """Stop a build after so many pieces; returns the sizes of all pieces that are read."""
    read, sizes = building.read_windows, []

    def interrupted(*args):
        sizes.append(len(args[2]))
        if len(sizes) == after + 1:
            raise KeyboardInterrupt
        return read(*args)

    monkeypatch.setattr(building, "read_windows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_tracks(folder, **files)
    return sizes


def test_an_interrupted_build_goes_on_bit_by_bit(files, tmp_path, monkeypatch):
    build_tracks(tmp_path / "whole", **files)
    sizes = interrupt(files, tmp_path / "made", monkeypatch, after=2)
    build_tracks(tmp_path / "made", **files)
    assert sizes == [5, 5, 5, *[5, 5, 5, 5, 3]]  # all are looked at again: for signs, for reads
    for whole in (tmp_path / "whole").iterdir():
        assert (tmp_path / "made" / whole.name).read_bytes() == whole.read_bytes()


def test_a_finished_one_is_used_as_it_is(files, tmp_path, monkeypatch):
    build_tracks(tmp_path / "made", **files)
    monkeypatch.setattr(building, "read_windows", None)
    assert len(build_tracks(tmp_path / "made", **files).arrays["tracks"]) == N


@pytest.mark.parametrize("changed", ["loci", "blacklists", "length", "bigwigs"])
def test_half_of_another_data_set_is_not_gone_on_with(files, tmp_path, monkeypatch, changed):
    interrupt(files, tmp_path / "made", monkeypatch, after=1)
    if changed == "bigwigs":
        files["bigwigs"][0] = files["bigwigs"][0].rename(tmp_path / "b.bw")
    else:
        others = {"loci": files["loci"].iloc[::-1], "blacklists": [], "length": 38}
        files[changed] = others[changed]
    store = build_tracks(tmp_path / "made", **files)
    for found, wanted in zip(store.arrays.values(), extract(**files)[:2], strict=True):
        assert np.array_equal(found, wanted)


def test_a_finished_data_set_is_not_overwritten(files, tmp_path):
    build_tracks(tmp_path / "made", **files)
    with pytest.raises(FileExistsError, match="finished store whose length is 40, not 38"):
        build_tracks(tmp_path / "made", **files | {"length": 38})
    (tmp_path / "genome.fa").write_text(files["fasta"].read_text().replace(">chr8", ">chr80"))
    files["loci"] = files["loci"][files["loci"]["chrom"] != "chr8"]
    with pytest.raises(FileExistsError, match=r"whose assembly is .*'chr8': 500.*, not "):
        build_tracks(tmp_path / "made", **files | {"fasta": tmp_path / "genome.fa"})


def test_progress(files, tmp_path, capsys):
    build_tracks(tmp_path / "quiet", **files)
    assert capsys.readouterr().err == ""
    build_tracks(tmp_path / "loud", **files, progress=True)
    assert f"{N}/{N}" in capsys.readouterr().err


def test_split_by_chromosome(files, tmp_path):
    chroms = build_tracks(tmp_path / "made", **files).tables["loci"]["chrom"]
    split = split_by_chromosome(chroms, valid=["chr10"], test=["chr8"])
    assert set(chroms[split.valid]) == {"chr10"}
    assert sum(map(len, split)) == N


def test_both_signs_are_refused_at_the_second_attempt_too(tmp_path, monkeypatch):
    """What another process has read is part of what this one must know."""
    monkeypatch.setattr(building, "_ROWS", 2)
    (tmp_path / "genome.fa").write_text(">chr1\n" + "ACGT" * 250 + "\n")
    paths = [tmp_path / "a.bw", tmp_path / "b.bw"]
    for path in paths:
        with pyBigWig.open(str(path), "w") as file:
            file.addHeader([("chr1", 1000)])
            file.addEntries(
                "chr1", [100, 900], values=[1.0, -1.0 if path is paths[1] else 1.0], span=1
            )
    tss = [100, 110, 120, 890, 900, 910]
    loci = pd.DataFrame({"chrom": "chr1", "tss": tss, "strand": "+"})
    for _ in range(2):
        with pytest.raises(ValueError, match=r"b\.bw holds values above 0 and below"):
            build_tracks(tmp_path / "made", tmp_path / "genome.fa", paths, loci, length=40)


def test_a_build_of_another_assembly_is_refused_and_can_go_on(files, tmp_path):
    unknown = files["loci"].assign(chrom="chrUn").iloc[:20]
    files["loci"] = pd.concat([files["loci"], unknown], ignore_index=True)
    with pytest.raises(ValueError, match=r"20 are not in the genome, the first is row 23"):
        build_tracks(tmp_path / "made", **files)
    assert not (tmp_path / "made").exists()  # refused before anything is read
    store = build_tracks(tmp_path / "made", **files, max_empty=0.5)
    assert len(store.arrays["tracks"]) == N
    assert store.tables["lost"]["row"].tolist() == list(range(N, N + 20))
    assert store.made_from["assembly"]["chr1"] == 500


def test_a_store_without_losses_is_not_that_of_a_table_with_losses(files, tmp_path):
    build_tracks(tmp_path / "made", **files)
    unknown = files["loci"].assign(chrom="chrUn").iloc[:2]
    files["loci"] = pd.concat([files["loci"], unknown], ignore_index=True)
    with pytest.raises(FileExistsError, match="whose lost is"):
        build_tracks(tmp_path / "made", **files)

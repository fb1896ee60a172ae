"""Chapter 3's data set built by two processes: the same bytes, the same refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import zarr
from dask.distributed import Client, LocalCluster

from tests.data.test_bigwig import write
from tests.support import refusal
from tssbook import data
from tssbook.data import Blacklist
from tssbook.scale import build_tracks, open_store


def require_same(store, wanted) -> None:
    for name, array in wanted.arrays.items():
        assert store.arrays[name].dtype == array.dtype
        assert np.asarray(store.arrays[name]).tobytes() == array.tobytes()
    assert store.made_from == wanted.made_from
    for name, table in wanted.tables.items():
        assert store.tables[name].astype(str).equals(table.astype(str)), name


def test_the_same_bytes_as_in_one_process(client, files, simulated, tmp_path):
    files["blacklists"] = [Blacklist(simulated / "blacklist_plus.bed", [0, 1])]
    wanted = data.build_tracks(tmp_path / "one", **files)
    assert wanted.arrays["tracks"].any()
    store = build_tracks(tmp_path / "a.zarr", **files, client=client)
    require_same(store, wanted)
    again = build_tracks(tmp_path / "a.zarr", **files, client="tcp://nobody.is.asked:1")
    require_same(again, wanted)
    with pytest.raises(FileExistsError, match="a finished store whose blacklists is"):
        build_tracks(tmp_path / "a.zarr", **files | {"blacklists": []}, client=client)


def test_every_file_is_the_same_with_one_worker_as_with_two(client, files, tmp_path):
    build_tracks(tmp_path / "two.zarr", **files, client=client)
    options = {"processes": False, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=1, threads_per_worker=1, **options) as c, Client(c) as one:
        build_tracks(tmp_path / "one.zarr", **files, client=one)
    found = [
        {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        for folder in (tmp_path / "one.zarr", tmp_path / "two.zarr")
    ]
    assert len(found[0]) > 3 * 3
    assert found[0] == found[1]


def test_zarr_alone_says_what_it_is(client, files, tmp_path):
    build_tracks(tmp_path / "a.zarr", **files, client=client)
    group = zarr.open(tmp_path / "a.zarr", mode="r")
    assert group["sequences"].shape == (150, 200)
    assert group["tracks"].shape == (150, 10, 200)
    assert group.attrs["made_from"]["bigwigs"][0][0] == "CAGE_plus.bw"
    assert group["tables/loci/strand"][0] in ("+", "-")
    assert group["tables/tracks/file"][9] == "CAGE_minus.bw"
    assert group["tables/lost/row"].shape == (0,)


@pytest.fixture
def small(tmp_path) -> dict:
    """A genome of 600 bp, two tracks and 130 loci, three regions."""
    rng = np.random.default_rng(0)
    (tmp_path / "genome.fa").write_text(f">chr1\n{''.join(rng.choice(list('ACGT'), 600))}\n")
    values = rng.integers(1, 9, 600).tolist()
    bigwigs = [write(tmp_path / f"a.{strand}.bw", {"chr1": values}) for strand in ("plus", "minus")]
    loci = pd.DataFrame({"chrom": "chr1", "tss": np.linspace(20, 580, 130, dtype=int)})
    return {
        "fasta": tmp_path / "genome.fa", "bigwigs": bigwigs, "loci": loci.assign(strand="+"),
        "length": 20,
    }  # fmt: skip


def lost(files) -> None:
    files["loci"].loc[:40, "tss"] += 1000


def silent(files) -> None:
    """The second and the third region have no reads."""
    for path in files["bigwigs"]:
        write(path, {"chr1": [1] * 250 + [0] * 350})


def both_signs(files) -> None:
    """One file is above 0 in the first region and below it in the others."""
    write(files["bigwigs"][1], {"chr1": [1] * 270 + [0] * 60 + [-1] * 270})


def other_assembly(files) -> None:
    write(files["bigwigs"][1], {"chr1": [1] * 599})


def mirrored(files) -> None:
    files["bigwigs"].reverse()


@pytest.mark.parametrize("spoil", [lost, silent, both_signs, other_assembly, mirrored])
def test_what_one_process_refuses(client, small, tmp_path, spoil):
    build_tracks(tmp_path / "good.zarr", **small, client=client)
    spoil(small)
    wanted = refusal(lambda: data.build_tracks(tmp_path / "one", **small))
    for _ in range(2):  # also where all rows are done already
        message = refusal(lambda: build_tracks(tmp_path / "a.zarr", **small, client=client))
        assert message.partition(" (")[0] == wanted.partition(" (")[0]
    if (tmp_path / "a.zarr").exists():
        assert "not finished" in refusal(lambda: open_store(tmp_path / "a.zarr"))


def test_the_signs_are_those_of_each_region(small, tmp_path):
    """Not those that a worker has seen so far."""
    silent(small)
    options = {"processes": False, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=1, threads_per_worker=1, **options) as c, Client(c) as one:
        store = build_tracks(tmp_path / "a.zarr", **small, client=one, max_empty=1)
    assert store.arrays["checks"][[0, 63, 64, 129]][:, 4:].tolist() == [[1, 1]] * 2 + [[0, 0]] * 2


def test_what_is_empty_can_be_let_pass(client, small, tmp_path):
    silent(small)
    refusal(lambda: build_tracks(tmp_path / "a.zarr", **small, client=client))
    store = build_tracks(tmp_path / "a.zarr", **small, client=client, max_empty=0.6)
    assert 60 < store.arrays["checks"][:][:, 1].sum() < 80


def test_negative_files_are_read_without_their_sign(client, small, tmp_path):
    write(small["bigwigs"][1], {"chr1": [-2] * 600})
    wanted = data.build_tracks(tmp_path / "one", **small)
    require_same(build_tracks(tmp_path / "a.zarr", **small, client=client), wanted)


def test_swapped_strands_are_warned_of(client, small, tmp_path):
    small["loci"] = small["loci"].assign(strand="-")
    write(small["bigwigs"][1], {"chr1": [0.25] * 600})
    with pytest.warns(UserWarning, match="on the other: are the bigWigs' strands"):
        build_tracks(tmp_path / "a.zarr", **small, client=client)


def test_a_chromosome_that_a_file_lacks_is_said_once(client, small, tmp_path):
    genome = small["fasta"].read_text()
    small["fasta"].write_text(genome + genome.replace("chr1", "chr2"))
    small["loci"].loc[100:, "chrom"] = "chr2"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build_tracks(tmp_path / "a.zarr", **small, client=client)
    said = [str(w.message) for w in caught if "has no chromosome chr2" in str(w.message)]
    assert len(said) == len(small["bigwigs"])

"""A store that is filled region by region: what counts as done, what is missing or damaged."""

from __future__ import annotations

import errno

import dask.array
import numpy as np
import pandas as pd
import pytest
import zarr

from tests.support import refusal
from tssbook.scale import open_store, regions
from tssbook.scale.regions import create, done_regions, mark, mark_complete, matches, write

N = 150  # three regions, the last of 22 rows
ARRAYS = {"values": ((2,), "float32"), "codes": ((), "uint8"), "flags": ((), "bool")}
TABLES = {
    "loci": pd.DataFrame({"chrom": ["chr1", "chr10"] * 75, "tss": range(N)}),
    "lost": pd.DataFrame({"row": np.zeros(0, int), "reason": np.zeros(0, object)}),
}


def parts(first: int) -> dict[str, np.ndarray]:
    """Values by row, and zeros only."""
    rows = np.arange(first, min(first + 64, N))
    values = np.stack([rows, -rows], 1).astype(np.float32)
    return {
        "values": values,
        "codes": np.zeros(len(rows), "u1"),
        "flags": np.zeros(len(rows), bool),
    }


def fill(path) -> None:
    create(path, N, ARRAYS, TABLES, {"seed": 1})
    for first in (0, 64, 128):
        write(path, first, parts(first))
    mark(path, np.ones(3, bool))
    mark_complete(path)


def test_what_is_written_is_read_by_anybody(tmp_path):
    fill(tmp_path / "a.zarr")
    store = open_store(tmp_path / "a.zarr")
    assert store.made_from == {"seed": 1}
    assert store.arrays["values"][[149, 3]].tolist() == [[149, -149], [3, -3]]
    assert np.asarray(store.arrays["values"])[:, 0].tolist() == list(range(N))
    for name, table in TABLES.items():
        assert store.tables[name].astype(str).equals(table.astype(str))
    group = zarr.open(tmp_path / "a.zarr", mode="r")  # without this library
    assert group.attrs["made_from"] == {"seed": 1}
    assert group["tables/loci/chrom"][:2].tolist() == ["chr1", "chr10"]
    assert group["values"][149].tolist() == [149, -149]
    lazily = dask.array.from_zarr(tmp_path / "a.zarr", component="values")
    assert lazily.chunks[0] == (64, 64, 22)
    assert lazily[64].compute(scheduler="synchronous").tolist() == [64, -64]


def test_zeros_are_written_and_what_is_not_there_is_no_zero(tmp_path):
    create(tmp_path / "a.zarr", N, ARRAYS, TABLES, {})
    group = zarr.open(tmp_path / "a.zarr", mode="r")
    assert np.isnan(group["values"][:]).all()
    assert (group["codes"][:] == 255).all()
    assert group["flags"][:].all()
    missing = {"values": np.full((64, 2), np.nan, "f4"), "codes": np.full(64, 255, "u1")}
    for rows in (parts(0), missing):
        write(tmp_path / "a.zarr", 64, rows)
        for name in rows:
            assert list((tmp_path / "a.zarr" / name).glob("c.1*")), name


def test_a_region_is_done_when_it_is_marked_and_its_chunks_are_there(tmp_path):
    path = tmp_path / "a.zarr"
    create(path, N, ARRAYS, TABLES, {})
    write(path, 64, parts(64))
    assert done_regions(path).tolist() == [False, False, False]
    mark(path, np.array([True, True, False]))  # the first was never written
    assert done_regions(path).tolist() == [False, True, False]


def test_a_store_that_lacks_a_chunk_is_not_finished_any_more(tmp_path):
    path = tmp_path / "a.zarr"
    fill(path)
    assert matches(path, {"seed": 1})
    (path / "codes" / "c.1").unlink()
    assert not matches(path, {"seed": 1})
    assert "lacks rows from 64 on" in refusal(lambda: open_store(path))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
@pytest.mark.parametrize("rows", [[2, 140], slice(120, 150), 149])
def test_a_damaged_chunk_is_named_and_can_be_made_anew(tmp_path, damage, rows):
    path = tmp_path / "a.zarr"
    fill(path)
    chunk = path / "values" / "c.2.0"
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    size = {"flip": len(content), "cut": 9, "empty": 0}[damage]
    chunk.write_bytes(content[:size])
    values = open_store(path).arrays["values"]
    assert values[:128].sum() == 0
    message = refusal(lambda: values[rows])
    assert f"{chunk} was cut or damaged" in message
    assert "delete this file and run again" in message
    write(path, 128, parts(128))
    assert values[149].tolist() == [149, -149]


def test_a_damaged_record_is_refused(tmp_path):
    fill(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "done" / "c.0").write_bytes(b"x" * 20)
    assert "done was cut or damaged" in refusal(lambda: open_store(tmp_path / "a.zarr"))


def test_a_full_disk_is_a_sentence(tmp_path, monkeypatch):
    create(tmp_path / "a.zarr", N, ARRAYS, TABLES, {})

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(regions, "to_disk", full)
    message = refusal(lambda: write(tmp_path / "a.zarr", 0, parts(0)), OSError)
    assert "cannot be written (No space left on device): free some space" in message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"made_from": {"seed": 2}}, "half a store whose seed is 1, not 2"),
        ({"n_rows": N + 1}, "half a store with other arrays"),
    ],
)
def test_other_content_is_refused(tmp_path, change, said):
    options = {"n_rows": N, "arrays": ARRAYS, "tables": TABLES, "made_from": {"seed": 1}}
    create(tmp_path / "a.zarr", **options | change)  # nothing is done, so nothing is lost
    create(tmp_path / "a.zarr", **options)
    write(tmp_path / "a.zarr", 0, parts(0))
    mark(tmp_path / "a.zarr", np.array([True, False, False]))
    create(tmp_path / "a.zarr", **options)
    assert done_regions(tmp_path / "a.zarr")[0]
    before = sorted(tmp_path.rglob("*"))
    assert said in refusal(lambda: create(tmp_path / "a.zarr", **options | change), FileExistsError)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_no_store_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    for path in (tmp_path, tmp_path / "thesis.txt"):
        message = refusal(lambda p=path: create(p, N, ARRAYS, TABLES, {}), FileExistsError)
        assert "something that is no store" in message
    (tmp_path / "empty").mkdir()
    create(tmp_path / "empty", N, ARRAYS, TABLES, {})
    assert "is not finished" in refusal(lambda: open_store(tmp_path / "empty"))
    assert "no store" in refusal(lambda: open_store(tmp_path / "none"), FileNotFoundError)


def test_a_worker_that_does_not_see_the_store_says_so(tmp_path):
    message = refusal(lambda: write(tmp_path / "none", 0, parts(0)), FileNotFoundError)
    assert "client and all workers see under one name" in message


@pytest.mark.parametrize("part", [np.zeros((64, 2)), np.zeros((63, 2), "f4")])
def test_rows_that_do_not_fit(tmp_path, part):
    create(tmp_path / "a.zarr", N, ARRAYS, TABLES, {})
    assert "wanted float32 (64, 2)" in refusal(
        lambda: write(tmp_path / "a.zarr", 64, {"values": part})
    )


def test_a_table_that_lost_its_values_is_refused(tmp_path):
    path = tmp_path / "a.zarr"
    fill(path)
    mark_complete(path)
    assert open_store(path).tables["loci"]["tss"].tolist() == list(range(N))
    assert open_store(path).tables["lost"].empty
    (path / "tables" / "loci" / "tss" / "c.0").unlink()
    message = refusal(lambda: open_store(path))
    assert "tss was deleted, cut or damaged (it has no values): delete the store" in message

"""A Zarr store that many processes fill, each its own rows, and of which one keeps account.

A region is 64 rows of every array: one chunk, so one file, of each. Nobody else writes it. The
array ``done`` says which regions are on the disk; it is written after they are, by the client
alone. What is in a chunk has a checksum (crc32c), and a chunk is written even where it holds one
value only: a file that is not there is missing. Missing rows read as NaN, as True, or as the
largest whole number, which are no data.

``zarr.open`` alone reads all of it: the arrays, the tables (``tables/NAME/COLUMN``), and what
everything was made from (the group's attributes).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from tssbook.data.store import Store, as_json, difference, writing
from tssbook.files import beside, to_disk

__all__ = [
    "ROWS",
    "Rows",
    "create",
    "done_regions",
    "is_store",
    "mark",
    "mark_complete",
    "matches",
    "open_arrays",
    "open_store",
    "write",
]

ROWS = 64  # of a region
_FORMAT = "tssbook regions 1"

# Per array the shape of one row and the type.
Shapes = Mapping[str, tuple[tuple[int, ...], str]]


class Rows:
    """An array of a store, read from disk by its rows: ``array[3:7]``, ``array[[5, 2]]``.

    Parameters
    ----------
    store : Path
    name : str

    Raises
    ------
    ValueError
        When rows are read: their chunk was cut or changed, by its checksum.
    """

    def __init__(self, store: Path, name: str) -> None:
        self._path = store / name
        self._array = zarr.open_array(self._path, mode="r")
        self.shape: tuple[int, ...] = self._array.shape
        self.dtype: np.dtype = self._array.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        try:
            return np.asarray(self._array.get_orthogonal_selection(rows))
        except ValueError:
            for region in np.unique(np.arange(len(self))[rows] // self._array.chunks[0]):
                self._require_sound(int(region))
            raise

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def _require_sound(self, region: int) -> None:
        try:
            self._array.blocks[region]
        except ValueError as error:
            chunk = self._path / _chunk(region, len(self.shape))
            raise ValueError(
                f"{chunk} was cut or damaged ({str(error).partition('.')[0]}): delete this file "
                "and run again what made the store; only these rows are made anew."
            ) from error


def open_store(path: str | Path) -> Store:
    """Open a finished Zarr store of this room; arrays stay on disk.

    Parameters
    ----------
    path
        Where it is.

    Returns
    -------
    Store
        ``arrays``, each read by its rows (``arrays["tracks"][:64]``), ``tables``, ``made_from``.

    Raises
    ------
    FileNotFoundError
        There is no such store.
    ValueError
        It is not finished, or a part of it is missing. When rows are read: they are damaged.
    """
    path = Path(path)
    about = _about(path)
    if about is None:
        raise FileNotFoundError(f"There is no store {path}; wanted one that tssbook.scale made.")
    if not about["complete"]:
        raise ValueError(f"The store {path} is not finished; run again what makes it.")
    if not (done := done_regions(path)).all():
        raise ValueError(
            f"The store {path} lacks rows from {int(done.argmin()) * ROWS} on: files were deleted; "
            "run again what made it, and they are made anew."
        )
    return open_arrays(path)


def open_arrays(path: Path) -> Store:
    """Open a store whether it is finished or not."""
    about = _about(path)
    tables = {
        name: pd.DataFrame({column: _column(path / "tables" / name / column) for column in columns})
        for name, columns in about["tables"].items()
    }
    arrays = {name: Rows(path, name) for name in about["arrays"]}
    return Store(arrays, tables, about["made_from"])


def _column(path: Path) -> np.ndarray:
    """Read a column of a table."""
    try:
        array = zarr.open_array(path, mode="r")
        if array.shape[0] and not (path / _chunk(0, 1)).is_file():
            raise ValueError("it has no values")
        return array[:]
    except (ValueError, KeyError, FileNotFoundError) as error:
        raise ValueError(
            f"{path} was deleted, cut or damaged ({str(error).partition('.')[0]}): delete the "
            "store and make it again."
        ) from error


def create(
    path: Path,
    n_rows: int,
    arrays: Shapes,
    tables: Mapping[str, pd.DataFrame],
    made_from: Mapping[str, Any],
) -> None:
    """Make a store without rows, or see that the one that is there is the same.

    A store of other data in which nothing is done yet is replaced.

    Raises
    ------
    FileExistsError
        Something else is there.
    OSError
        It cannot be written.
    """
    found = _about(path)
    described = {name: [n_rows, kind, *shape] for name, (shape, kind) in arrays.items()}
    about = as_json({
        "format": _FORMAT, "complete": False, "made_from": made_from, "arrays": described,
        "tables": {name: list(table) for name, table in tables.items()},
    })  # fmt: skip
    if found is not None and _same(found, about):
        return
    if found is not None and not found["complete"] and not done_regions(path).any():
        shutil.rmtree(path)
        found = None
    if found is not None or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        said = "something that is no store of tssbook.scale"
        if found is not None:
            said = "a finished store" if found["complete"] else "half a store"
            said += difference(found, about) or " with other arrays"
        raise FileExistsError(
            f"{path} holds {said}; wanted a new or empty folder, or a store of the same data."
        )
    part = beside(path, f".{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_skeleton(part, n_rows, arrays, tables, about)
            if path.exists():
                path.rmdir()
            part.rename(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def write(path: Path, first: int, parts: Mapping[str, np.ndarray]) -> None:
    """Write one region, and wait until it is on the disk: what a worker does.

    Parameters
    ----------
    path
        The store.
    first
        First row of the region, a multiple of 64.
    parts
        Per array its rows.

    Raises
    ------
    FileNotFoundError
        This machine does not see the store.
    ValueError
        The parts do not fit the store.
    OSError
        The disk is full or cannot be written; the region does not count as done.
    """
    if not is_store(path):
        raise FileNotFoundError(
            f"There is no store {path} on this machine; wanted a folder that the client and all "
            "workers see under one name."
        )
    with writing(path), zarr.config.set({"array.write_empty_chunks": True}):
        for name, part in parts.items():
            array = zarr.open_array(path / name, mode="r+")
            n_rows = array.chunks[0]
            last = min(first + n_rows, array.shape[0])
            wanted = (last - first, *array.shape[1:])
            if first % n_rows or part.shape != wanted or part.dtype != array.dtype:
                raise ValueError(
                    f"Rows {first} on of {name} are {part.dtype} {part.shape}; wanted "
                    f"{array.dtype} {wanted}."
                )
            array[first:last] = part
            with (path / name / _chunk(first // n_rows, part.ndim)).open("rb+") as file:
                to_disk(file)


def done_regions(path: Path) -> np.ndarray:
    """Tell which regions are done, and still there with all their chunks, ``(n,)`` bool."""
    try:
        done = zarr.open_array(path / "done", mode="r")[:]
    except ValueError as error:
        raise ValueError(
            f"{path / 'done'} was cut or damaged ({error}): delete {path} and make it again."
        ) from error
    for name, (_, _, *shape) in _about(path)["arrays"].items():
        there = set(os.listdir(path / name))
        done &= [_chunk(region, len(shape) + 1) in there for region in range(len(done))]
    return done


def mark(path: Path, done: np.ndarray) -> None:
    """Write down which regions are done."""
    with writing(path):
        zarr.open_array(path / "done", mode="r+")[:] = done


def mark_complete(path: Path) -> None:
    """Write down that all is done and was found to be right; remove what was half written."""
    with writing(path):
        for left in path.glob("*/*.partial"):  # by workers that were killed
            left.unlink(missing_ok=True)
        zarr.open_group(path, mode="r+").attrs["complete"] = True


def matches(path: Path, made_from: Mapping[str, Any]) -> bool:
    """Whether there is a finished store, with all its chunks, that was made from exactly this."""
    about = _about(path)
    return (
        about is not None
        and about["complete"]
        and about["made_from"] == as_json(made_from)
        and bool(done_regions(path).all())
    )


def is_store(path: Path) -> bool:
    """Whether there is a Zarr group."""
    return (path / "zarr.json").is_file()


def _same(found: Mapping[str, Any], about: Mapping[str, Any]) -> bool:
    return {**found, "complete": False} == about


def _write_skeleton(
    path: Path,
    n_rows: int,
    arrays: Shapes,
    tables: Mapping[str, pd.DataFrame],
    about: Mapping[str, Any],
) -> None:
    group = zarr.create_group(path, overwrite=True, attributes=about)
    for name, (shape, kind) in arrays.items():
        _array(group, name, (n_rows, *shape), kind, (ROWS, *shape))
    n_regions = -(-n_rows // ROWS)
    _array(group, "done", (n_regions,), "bool", (n_regions,), missing=False)
    for name, table in tables.items():
        columns = group.create_group(f"tables/{name}")
        for column, values in table.items():
            is_number = values.dtype.kind in "iufb"
            kind = values.dtype if is_number else str
            values = values.to_numpy() if is_number else values.astype(str).to_numpy(object)
            array = _array(columns, column, values.shape, kind, (max(len(values), 1),))
            if len(values):
                array[:] = values


def _array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    kind: Any,
    chunks: tuple[int, ...],
    missing: Any = None,
) -> zarr.Array:
    if missing is None:
        missing = "" if kind is str else _missing(np.dtype(kind))
    return group.create_array(
        name,
        shape=shape,
        dtype=kind,
        chunks=chunks,
        fill_value=missing,
        compressors=[ZstdCodec(), Crc32cCodec()],
        chunk_key_encoding={"name": "default", "separator": "."},
    )


def _missing(kind: np.dtype) -> Any:
    """Return what is no data, which rows read as that nobody has written."""
    return {"f": np.nan, "b": True}.get(kind.kind) or np.iinfo(kind).max


def _chunk(region: int, n_axes: int) -> str:
    """Name of a region's file, in the folder of its array."""
    return ".".join(["c", str(region), *["0"] * (n_axes - 1)])


def _about(path: Path) -> dict[str, Any] | None:
    """Read what a store says about itself; None where there is no store of this room."""
    try:
        about = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        found = about["format"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if found != _FORMAT:
        raise ValueError(
            f"{path} is of the format {found!r}; this version of tssbook reads {_FORMAT!r}: delete "
            "it and make it again."
        )
    return about

"""Arrays on disk: written in parts, finished or not, read back without loading them.

A store is a folder:

* ``NAME.npy``, one per array, all with the same number of rows: for example ``sequences`` and
  ``tracks``;
* ``NAME.tsv``, tables: for example ``loci``;
* ``about.json``: shapes, types, rows of the tables, what it was made from, and
  ``"complete": true``, written last.

While a store is being made its arrays are called ``NAME.npy.part``, and ``about.json`` says how
many rows are done. Whoever writes it again from the same description goes on from there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tssbook.files import write_whole

__all__ = ["Store", "Writer", "is_complete", "open_store"]

_FORMAT = 2
_ABOUT = "about.json"


@dataclass(frozen=True)
class Store:
    """What a finished store holds.

    Attributes
    ----------
    arrays
        Memory-mapped and read-only: a slice is read from disk when it is used.
    tables
        Data frames.
    made_from
        The description that the writer was given.
    """

    arrays: dict[str, np.ndarray]
    tables: dict[str, pd.DataFrame]
    made_from: dict[str, Any]


class Writer:
    """Writes a store, some rows at a time.

    Parameters
    ----------
    folder
        Made if it does not exist.
    n_rows
        Rows of every array.
    arrays
        Per array the shape of one row and the type: ``{"tracks": ((10, 4650), "uint16")}``.
    made_from
        What the data come from (seed, files, settings), as JSON can hold it. Half a store is
        gone on with only where this, the arrays and the version of the format are the same;
        otherwise it is begun anew.

    Attributes
    ----------
    done : int
        So many rows are on disk already: go on with row ``done``.

    Raises
    ------
    FileExistsError
        The folder holds a finished store, or other files, or is itself a file.
    OSError
        The disk is full or cannot be written; rows that are done stay done.
    """

    def __init__(
        self,
        folder: str | Path,
        n_rows: int,
        arrays: Mapping[str, tuple[tuple[int, ...], str]],
        made_from: Mapping[str, Any],
    ) -> None:
        self.folder = Path(folder)
        self._about = {
            "format": _FORMAT,
            "complete": False,
            "rows": n_rows,
            "done": 0,
            "arrays": {
                name: {"shape": [n_rows, *shape], "dtype": np.dtype(dtype).name}
                for name, (shape, dtype) in arrays.items()
            },
            "tables": {},
            "made_from": json.loads(json.dumps(dict(made_from))),  # as it will be read back
        }
        with _writing(self.folder):
            self._go_on_or_begin()
        self.done: int = self._about["done"]

    def write(self, start: int, **parts: np.ndarray) -> None:
        """Write the next rows of all arrays.

        Parameters
        ----------
        start
            Row that the parts begin with; must be ``done``.
        **parts
            Per array its rows.

        Raises
        ------
        ValueError
            The rows are not the next ones, or the parts do not fit the store.
        """
        rows = {name: len(part) for name, part in parts.items()}
        if set(rows) != set(self._about["arrays"]) or len(set(rows.values())) != 1:
            raise ValueError(
                f"The parts have rows {rows}; wanted the same number for each of "
                f"{', '.join(self._about['arrays'])}."
            )
        end = start + next(iter(rows.values()))
        if start != self.done or end > self._about["rows"]:
            raise ValueError(
                f"The part holds rows {start} to {end}; wanted rows from {self.done} on, of "
                f"{self._about['rows']}."
            )
        for name, part in parts.items():
            wanted = self._about["arrays"][name]
            if part.dtype.name != wanted["dtype"] or list(part.shape[1:]) != wanted["shape"][1:]:
                raise ValueError(
                    f"The part of {name} is {part.dtype} {part.shape}; wanted {wanted['dtype']} "
                    f"with rows of shape {tuple(wanted['shape'][1:])}."
                )
        with _writing(self.folder):
            for name, part in parts.items():
                self._write_rows(name, start, part)
            self._about["done"] = end
            self._save_about()
        self.done = end

    def finish(self, **tables: pd.DataFrame) -> Store:
        """Write tables, give everything its name, and open the store.

        Raises
        ------
        ValueError
            Rows are missing.
        """
        if self.done != self._about["rows"]:
            raise ValueError(f"{self.done} rows of {self._about['rows']} are written; wanted all.")
        contents = {
            self.folder / f"{name}.tsv": table.to_csv(sep="\t", index=False).encode()
            for name, table in tables.items()
        }
        rows = {name: len(table) for name, table in tables.items()}
        with _writing(self.folder):
            write_whole(contents)
            for name in self._about["arrays"]:
                part = _part(self.folder, name)
                if part.exists():
                    part.replace(_final(self.folder, name))
            self._about |= {"complete": True, "tables": rows}
            self._save_about()
        return open_store(self.folder)

    def _write_rows(self, name: str, start: int, part: np.ndarray) -> None:
        # Written and not mapped: where a disk is full, a mapped page ends the process.
        path, dtype = _standing(self.folder, name), self._about["arrays"][name]["dtype"]
        first = np.load(path, mmap_mode="r").offset
        with path.open("r+b") as file:
            file.seek(first + start * part[:1].nbytes)
            file.write(np.ascontiguousarray(part, dtype).data)
            file.flush()
            os.fsync(file.fileno())  # the rows are on disk before about.json says so

    def _go_on_or_begin(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise FileExistsError(f"{self.folder} is a file; wanted an empty folder or a new one.")
        self.folder.mkdir(parents=True, exist_ok=True)
        old = _read_about(self.folder)
        if old is None and (strange := sorted(p.name for p in self.folder.iterdir())):
            raise FileExistsError(
                f"The folder {self.folder} holds {strange[0]!r} and no store; wanted an empty "
                "folder or a new one."
            )
        if old is not None and old["complete"]:
            raise FileExistsError(
                f"The folder {self.folder} holds a finished store; wanted an empty folder or a "
                "new one: open it with open_store, or delete it."
            )
        if old is not None and old["done"] and old | {"done": 0} == self._about and self._sound():
            self._about = old
        else:
            self._begin(old)

    def _sound(self) -> bool:
        """Whether all arrays are there and none was cut short."""
        arrays = self._about["arrays"].items()
        return all(_found(_standing(self.folder, a))[1] == _said(wanted) for a, wanted in arrays)

    def _begin(self, old: dict[str, Any] | None) -> None:
        # In this order, whatever moment the power fails at, no old array is taken for a new one.
        for name in old["arrays"] if old else ():
            _part(self.folder, name).unlink(missing_ok=True)
            _final(self.folder, name).unlink(missing_ok=True)
        self._save_about()
        for name, array in self._about["arrays"].items():
            np.lib.format.open_memmap(
                _part(self.folder, name), "w+", array["dtype"], tuple(array["shape"])
            )

    def _save_about(self) -> None:
        write_whole({self.folder / _ABOUT: (json.dumps(self._about, indent=1) + "\n").encode()})


def is_complete(folder: str | Path, made_from: Mapping[str, Any]) -> bool:
    """Whether a folder holds a finished store that was made from exactly this."""
    about = _read_about(Path(folder))
    wanted = json.loads(json.dumps(dict(made_from)))
    return about is not None and about["complete"] and about["made_from"] == wanted


def open_store(folder: str | Path) -> Store:
    """Open a finished store; arrays stay on disk.

    Raises
    ------
    FileNotFoundError
        The folder holds no store.
    ValueError
        The store is not finished, of another format, or an array is not what ``about.json``
        says.
    """
    folder = Path(folder)
    about = _read_about(folder)
    if about is None:
        raise FileNotFoundError(f"The folder {folder} holds no {_ABOUT}; wanted a finished store.")
    if not about["complete"]:
        raise ValueError(
            f"The store {folder} is not finished: {about['done']} rows of {about['rows']}; run "
            "what makes it again, it goes on from there."
        )
    arrays = {name: _mapped(folder, name, wanted) for name, wanted in about["arrays"].items()}
    tables = {name: _table(folder, name, rows) for name, rows in about["tables"].items()}
    return Store(arrays, tables, about["made_from"])


def _mapped(folder: Path, name: str, wanted: Mapping[str, Any]) -> np.ndarray:
    array, found = _found(_final(folder, name))
    if array is None or found != _said(wanted):
        raise _damaged(folder, f"{name}.npy", found, _said(wanted))
    return array


def _found(path: Path) -> tuple[np.ndarray | None, str]:
    """Return an array and its type and shape, or why there is none."""
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        return None, f"unreadable ({error})"
    return array, _said({"dtype": array.dtype.name, "shape": array.shape})


def _said(wanted: Mapping[str, Any]) -> str:
    return f"{wanted['dtype']} {tuple(wanted['shape'])}"


def _table(folder: Path, name: str, rows: int) -> pd.DataFrame:
    try:
        table = pd.read_csv(folder / f"{name}.tsv", sep="\t")
        found = f"{len(table)} rows long"
    except (OSError, ValueError) as error:
        found = f"unreadable ({error})"
    if found != (as_said := f"{rows} rows long"):
        raise _damaged(folder, f"{name}.tsv", found, as_said)
    return table


def _damaged(folder: Path, name: str, found: str, wanted: str) -> ValueError:
    return ValueError(
        f"{name} in {folder} is {found}; {_ABOUT} says {wanted}: delete the folder and make it "
        "again."
    )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn the system's word for a disk that is full into a sentence."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise OSError(
            f"The store {folder} cannot be written ({error.strerror}): free some space or choose "
            "another folder, and run this again; it goes on from the rows that are done."
        ) from error


def _part(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy.part"


def _final(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _standing(folder: Path, name: str) -> Path:
    """Where an array stands: under its final name if ``finish`` was interrupted."""
    return _final(folder, name) if _final(folder, name).exists() else _part(folder, name)


def _read_about(folder: Path) -> dict[str, Any] | None:
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise ValueError(f"{folder / _ABOUT} is not JSON ({error}); delete the folder.") from error
    if not isinstance(about, dict) or "complete" not in about:
        raise ValueError(f"{folder / _ABOUT} is not the file of a store; delete the folder.")
    if about.get("format") != _FORMAT:
        raise ValueError(
            f"The store {folder} has format {about.get('format')}; this version of tssbook reads "
            f"format {_FORMAT}: delete the folder and make it again."
        )
    return about

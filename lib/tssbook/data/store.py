"""Arrays on disk: appended to row by row, and read back without loading them.

A store is a folder with a file ``NAME.npy`` per array, all with the same number of rows, and a
file ``NAME.tsv`` per table. ``about.json`` says what they were made from, and, at the end, that
all are complete, with the sha256 of each; it has a checksum of its own.

An array's header says how many rows there will be, and its file's size how many there are. So
whoever writes a store again from the same description goes on where it was left. While a store is
written, a lock beside its folder keeps a second writer away.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from tssbook.files import beside, remove, sha256, to_disk, where_they_differ, write_whole

__all__ = [
    "Store",
    "Writer",
    "as_json",
    "difference",
    "is_complete",
    "locked",
    "open_store",
    "unlock",
    "writing",
]

_FORMAT = 4
_ABOUT = "about.json"


class Store(NamedTuple):
    """What a finished store holds.

    Attributes
    ----------
    arrays : dict of str to numpy.ndarray
        Memory-mapped and read-only: a slice is read from disk when it is used.
    tables : dict of str to pandas.DataFrame
    made_from : dict
        The description that the writer was given.
    """

    arrays: dict[str, np.ndarray]
    tables: dict[str, pd.DataFrame]
    made_from: dict[str, Any]


class Writer:
    """Writes a store, some rows at a time; one writer for a folder.

    The folder is locked until :meth:`finish`, or until the ``with`` block of the writer ends; of
    a process that is interrupted the system takes the lock away.

    Parameters
    ----------
    folder : str or Path
        Made if it does not exist.
    n_rows : int
        Rows of every array.
    arrays : mapping
        Per array the shape of one row and the type: ``{"tracks": ((10, 4650), "uint16")}``.
    made_from : mapping
        What the data come from (seed, files, settings), as JSON can hold it. Half a store is
        gone on with only where this and the arrays are the same; otherwise it is begun anew.

    Attributes
    ----------
    done : int
        So many rows are on disk already: go on with row ``done``.

    Raises
    ------
    FileExistsError
        The folder holds a finished store, or something else.
    BlockingIOError
        Another writer is at work in the folder.
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
        self.folder, self._n_rows = Path(folder), n_rows
        self._arrays = {name: (np.dtype(kind), shape) for name, (shape, kind) in arrays.items()}
        described = {
            name: [n_rows, str(kind), *shape] for name, (kind, shape) in self._arrays.items()
        }
        self._about = as_json(
            {"format": _FORMAT, "complete": False, "arrays": described, "made_from": made_from}
        )
        with writing(self.folder):
            self._lock = locked(self.folder)
        try:
            with writing(self.folder):
                self._claim_folder()
                self.done = min(map(self._rows_on_disk, self._arrays))
                if not self.done:
                    for name in self._arrays:
                        self._path(name).write_bytes(self._header(name))
                self._cut()
        except FileExistsError:
            self._unlock()
            raise
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let other writers go on, also after an exception that somebody keeps."""
        self._lock.release()

    def write(self, start: int, **parts: np.ndarray) -> None:
        """Append rows to all arrays.

        Parameters
        ----------
        start : int
            Row that the parts begin with; must be ``done``.
        **parts : numpy.ndarray
            Per array its rows.

        Raises
        ------
        ValueError
            The rows are not the next ones, or the parts do not fit the store.
        OSError
            The disk is full or cannot be written; these rows do not count as done.
        """
        end = start + max(map(len, parts.values()), default=0)
        if start != self.done or end > self._n_rows:
            raise ValueError(
                f"The part holds rows {start} to {end}; wanted rows from {self.done} on, of "
                f"{self._n_rows}."
            )
        found = {name: f"{part.dtype} {part.shape}" for name, part in parts.items()}
        wanted = {n: f"{kind} {(end - start, *shape)}" for n, (kind, shape) in self._arrays.items()}
        if found != wanted:
            raise ValueError(f"The part is {found}; wanted {wanted}.")
        try:
            with writing(self.folder):
                # Written and not mapped: where a disk is full, a mapped page ends the process.
                for name, part in parts.items():
                    with self._path(name).open("r+b") as file:
                        file.seek(self._size(name, start))
                        file.write(np.ascontiguousarray(part).data)
                        to_disk(file)
        except OSError:
            self._cut()  # what did not reach the disk must not count by its size
            raise
        self.done = end

    def finish(self, **tables: pd.DataFrame) -> Store:
        """Write tables, say that the store is complete, and open it.

        Raises
        ------
        ValueError
            Rows are missing.
        OSError
            The disk is full or cannot be written; rows that are done stay done.
        """
        if self.done != self._n_rows:
            raise ValueError(f"{self.done} rows of {self._n_rows} are written; wanted all.")
        files = [f"{name}.npy" for name in self._arrays] + [f"{name}.tsv" for name in tables]
        with writing(self.folder):
            write_whole(
                {
                    self.folder / f"{name}.tsv": table.to_csv(sep="\t", index=False).encode()
                    for name, table in tables.items()
                }
            )
            sums = {name: sha256(self.folder / name) for name in files}
            self._save(self._about | {"complete": True, "files": sums})
            self._unlock()
        return open_store(self.folder, verify=False)

    def _claim_folder(self) -> None:
        """Refuse a folder with other content; remove half a store of other data."""
        old = _read_about(self.folder)
        if old is None and self.folder.exists():
            holds = "no store" if not self.folder.is_dir() or any(self.folder.iterdir()) else ""
        else:
            holds = "a finished store" if old and old["complete"] else ""
        if holds:
            raise FileExistsError(
                f"{self.folder} holds {holds}{difference(old, self._about)}; wanted a new or "
                "empty folder, or half a store of the same data."
            )
        if old != self._about:
            self.folder.mkdir(parents=True, exist_ok=True)
            # First, so that whenever the power fails no old array is taken for a new one.
            for name in old["arrays"] if old else ():
                self._path(name).unlink(missing_ok=True)
            self._save(self._about)

    def _unlock(self) -> None:
        """Remove the lock as well: for a folder in which nobody may write from now on."""
        unlock(self._lock)

    def _save(self, about: Mapping[str, Any]) -> None:
        text = json.dumps({**about, "checksum": _checksum(about)}, indent=1) + "\n"
        write_whole({self.folder / _ABOUT: text.encode()})

    def _cut(self) -> None:
        """Leave the rows that are done."""
        for name in self._arrays:
            os.truncate(self._path(name), self._size(name, self.done))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def _header(self, name: str) -> bytes:
        kind, shape = self._arrays[name]
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": kind.str, "fortran_order": False, "shape": (self._n_rows, *shape)}
        )
        return header.getvalue()

    def _size(self, name: str, rows: int) -> int:
        """Bytes of an array's file with so many rows."""
        kind, shape = self._arrays[name]
        return len(self._header(name)) + rows * kind.itemsize * math.prod(shape)

    def _rows_on_disk(self, name: str) -> int:
        """Whole rows of an array; what was half written does not count."""
        if not self._path(name).exists():
            return 0
        empty, row = self._size(name, 0), self._size(name, 1) - self._size(name, 0)
        return max(self._path(name).stat().st_size - empty, 0) // row


def is_complete(folder: str | Path, made_from: Mapping[str, Any]) -> bool:
    """Whether a folder holds a finished store that was made from exactly this."""
    about = _read_about(Path(folder))
    return about is not None and about["complete"] and about["made_from"] == as_json(made_from)


def open_store(folder: str | Path, *, verify: bool = True) -> Store:
    """Open a finished store; arrays stay on disk.

    Parameters
    ----------
    folder
        Where it is.
    verify
        Compare each file with its checksum, about a second for a gigabyte.

    Raises
    ------
    FileNotFoundError
        The folder holds no store.
    ValueError
        The store is not finished or of another format, or a file is not there or not as
        ``about.json`` says.
    """
    folder = Path(folder)
    about = _read_about(folder)
    if about is None:
        raise FileNotFoundError(f"The folder {folder} holds no {_ABOUT}; wanted a finished store.")
    if not about["complete"]:
        raise ValueError(f"The store {folder} is not finished; run again what makes it.")
    arrays, tables = {}, {}
    for name, wanted in about["files"].items():
        path = folder / name
        if not path.exists():
            raise ValueError(f"{path} is missing: delete the folder and make it again.")
        if verify and (found := sha256(path)) != wanted:
            raise ValueError(
                f"{path} was cut, changed or damaged: its sha256 is {found}, and {_ABOUT} says "
                f"{wanted}; delete the folder and make it again."
            )
        try:
            if path.suffix == ".npy":
                arrays[path.stem] = np.load(path, mmap_mode="r")
            else:
                tables[path.stem] = pd.read_csv(path, sep="\t")
        except Exception as error:  # reading foreign bytes can fail in any way
            raise ValueError(f"{path} is none that tssbook wrote: make the store again.") from error
    return Store(arrays, tables, about["made_from"])


def as_json(description: Mapping[str, Any]) -> dict[str, Any]:
    """Make of a description what it will be when it is read back."""
    return json.loads(json.dumps(dict(description), default=dict))


def difference(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> str:
    """Say in what a store was made from something else, with both values."""
    for name, wanted in new["made_from"].items():
        if old and (found := old["made_from"].get(name)) != wanted:
            found, wanted = where_they_differ(str(found), str(wanted))
            return f" whose {name} is {found}, not {wanted}"
    return ""


def _read_about(folder: Path) -> dict[str, Any] | None:
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        found = about["format"]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, LookupError, TypeError):
        found = "none"
    if found != _FORMAT:
        raise ValueError(
            f"{folder / _ABOUT} is of the store format {found}; this version of tssbook reads "
            f"format {_FORMAT}: delete the folder and make it again."
        )
    fields = {"complete": bool, "arrays": dict, "made_from": dict}
    fields |= {"files": dict} if about.get("complete") or "files" in about else {}
    for field, wanted in fields.items():
        if not isinstance(about.get(field), wanted):
            raise ValueError(
                f"{folder / _ABOUT} has {field} = {str(about.get(field))[:100]!r}, which should be "
                f"of type {wanted.__name__}: delete the folder and make it again."
            )
    for name in [*about["arrays"], *about.get("files", ())]:
        # A path would lead out of the folder.
        if Path(name).name != name or "\0" in name or not name.strip("."):
            raise ValueError(
                f"{folder / _ABOUT} names a file {name!r}; wanted plain names: tssbook did "
                "not write this."
            )
    found = about.pop("checksum", None)  # the first stores of this format have none
    if found is not None and found != _checksum(about):
        raise ValueError(
            f"{folder / _ABOUT} was changed or damaged since it was written: delete the folder and "
            "make it again."
        )
    return about


def _checksum(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def locked(folder: Path) -> FileLock:
    """Lock a folder for one writer, by a file beside it; another one need not wait.

    Raises
    ------
    BlockingIOError
        Somebody else has it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(beside(folder, ".lock"), timeout=0)
    try:
        return lock.acquire().lock
    except Timeout:
        raise BlockingIOError(
            f"Another writer is at work in {folder}; wanted one at a time: wait until it has "
            "finished, end it, or choose another folder."
        ) from None


def unlock(lock: FileLock) -> None:
    """Let others write where `locked` kept them away, and remove the lock."""
    lock.release()
    remove([Path(lock.lock_file)])


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the system's word for a disk that is full into a sentence."""
    try:
        yield
    except (FileExistsError, BlockingIOError):
        raise
    except OSError as error:
        raise OSError(
            f"The store {folder} cannot be written ({error.strerror}): free some space or choose "
            "another folder, and run this again; it goes on from the rows that are done."
        ) from error

"""Puffin's archive of training data: one ``.npz`` file with sequences and tracks in two parts.

The file holds ``train_seqs`` ``(N, 4, L)`` one-hot, ``train_tars`` ``(N, T, L)``, and the same two
for ``valid``. It is read and written in pieces: the one-hot numbers are never in memory as a whole.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tssbook.data.splits import Split
from tssbook.files import written_whole
from tssbook.sequence import one_hot_codes

__all__ = ["Archive", "read_npz", "write_npz"]

_KEYS = ("train_seqs", "train_tars", "valid_seqs", "valid_tars")
_ROWS = 64


class Archive(NamedTuple):
    """Training and validation data: codes ``(N, L)`` uint8, tracks ``(N, T, L)`` float32."""

    train_codes: np.ndarray
    train_tracks: np.ndarray
    valid_codes: np.ndarray
    valid_tracks: np.ndarray


def write_npz(
    path: str | Path, codes: np.ndarray, tracks: np.ndarray, split: Split, *, seed: int
) -> None:
    """Write the training and validation rows of a data set as Puffin's archive.

    Parameters
    ----------
    path
        The file; it is there when it is whole.
    codes, tracks
        ``(N, L)`` and ``(N, T, L)``, in memory or from a store.
    split
        Which rows; those of ``split.test`` are left out.
    seed
        Seed of the order of the rows.

    Raises
    ------
    ValueError
        Sequences and tracks do not go together.
    """
    if codes.ndim != 2 or tracks.ndim != 3 or (len(tracks), tracks.shape[2]) != codes.shape:
        raise ValueError(
            f"codes are {codes.shape} and tracks {tracks.shape}; wanted (N, L) and (N, T, L)."
        )
    rng = np.random.default_rng(seed)
    rows = {"train": rng.permutation(split.train), "valid": rng.permutation(split.valid)}
    with written_whole(Path(path)) as beside, zipfile.ZipFile(beside, "w") as archive:
        for key in _KEYS:
            name, kind = key.split("_")
            array = codes if kind == "seqs" else tracks
            _write(archive, key, array, rows[name])


def _write(archive: zipfile.ZipFile, key: str, array: np.ndarray, rows: np.ndarray) -> None:
    one_hot = array.ndim == 2
    shape = (len(rows), 4 if one_hot else array.shape[1], array.shape[-1])
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for some in np.split(rows, range(_ROWS, len(rows), _ROWS)):
            part = one_hot_codes(array[some]).numpy() if one_hot else array[some]
            file.write(part.astype("<f4").tobytes())


def read_npz(path: str | Path) -> Archive:
    """Read Puffin's archive.

    Parameters
    ----------
    path
        The file. Arrays may have any number type.

    Returns
    -------
    Archive
        One-hot sequences as codes: an all-zero column is 4. The published archive of 8,917 and
        356 loci takes 1.8 GB of memory.

    Raises
    ------
    ValueError
        The file is no ``.npz``, lacks a key, its axes are in another order, sequences are not
        one-hot, or sequences and tracks have other numbers of rows or bases.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            shapes = {key: _shape(archive, key, path) for key in _KEYS}
            _require_shapes(shapes, path)
            return Archive(*(_array(archive, key, shape, path) for key, shape in shapes.items()))
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path} cannot be read ({error}); wanted a whole .npz file.") from error


def _shape(archive: zipfile.ZipFile, key: str, path: str | Path) -> tuple[int, ...]:
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    if key not in names:
        raise ValueError(
            f"{path} has no array {key!r}: it has {', '.join(names[:5]) or 'none'}; wanted "
            f"{', '.join(_KEYS)}."
        )
    with archive.open(f"{key}.npy") as file:
        return _header(file, key, path)[0]


def _header(file: zipfile.ZipExtFile, key: str, path: str | Path) -> tuple:
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran_order, dtype = read(file)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{key} in {path} is no array that numpy wrote ({error}).") from error
    if dtype.kind not in "buif":
        raise ValueError(f"{key} in {path} has the type {dtype}; wanted numbers.")
    return shape, fortran_order, dtype


def _require_shapes(shapes: dict[str, tuple[int, ...]], path: str | Path) -> None:
    for part in ("train", "valid"):
        seqs, tars = shapes[f"{part}_seqs"], shapes[f"{part}_tars"]
        if len(seqs) != 3 or seqs[1] != 4:
            raise ValueError(
                f"{part}_seqs in {path} is {seqs}; wanted (N, 4, L): put the axes in this order."
            )
        if len(tars) != 3 or tars[0] != seqs[0] or tars[2] != seqs[2]:
            raise ValueError(
                f"{part}_tars in {path} is {tars}; wanted (N, T, L) with N {seqs[0]} and L "
                f"{seqs[2]}, as in {part}_seqs {seqs}: put the axes in this order."
            )
    if shapes["train_tars"][1:] != shapes["valid_tars"][1:]:
        raise ValueError(
            f"train_tars in {path} is {shapes['train_tars']} and valid_tars "
            f"{shapes['valid_tars']}; wanted the same tracks and length in both."
        )


def _array(
    archive: zipfile.ZipFile, key: str, shape: tuple[int, ...], path: str | Path
) -> np.ndarray:
    one_hot = key.endswith("seqs")
    whole = np.empty(
        (shape[0], shape[2]) if one_hot else shape, np.uint8 if one_hot else np.float32
    )
    start = 0
    for part in _parts(archive, key, path):
        end = start + len(part)
        whole[start:end] = _codes(part, key, path) if one_hot else part
        start = end
    return whole


def _parts(archive: zipfile.ZipFile, key: str, path: str | Path) -> Iterator[np.ndarray]:
    """Yield some rows of an array after others."""
    with archive.open(f"{key}.npy") as file:
        shape, fortran_order, dtype = _header(file, key, path)
        size = int(np.prod(shape[1:])) * dtype.itemsize
        columns = None
        if fortran_order:  # rows lie scattered over the file, as in the source's own archive
            columns = np.frombuffer(file.read(), dtype).reshape(shape[::-1]).transpose()
        for start in range(0, shape[0], _ROWS):
            rows = min(_ROWS, shape[0] - start)
            if columns is not None:
                yield columns[start : start + rows]
                continue
            content = file.read(rows * size)
            if len(content) < rows * size:
                raise EOFError(f"{key} ends early")
            yield np.frombuffer(content, dtype).reshape(rows, *shape[1:])


def _codes(part: np.ndarray, key: str, path: str | Path) -> np.ndarray:
    """Turn one-hot ``(N, 4, L)`` into codes."""
    total = part.sum(axis=1)
    if not (((part == 0) | (part == 1)).all() and (total <= 1).all()):
        raise ValueError(
            f"{key} in {path} is not one-hot along its second axis; wanted one 1, or none for N, "
            "in each column: are the axes in the order (N, 4, L)?"
        )
    return np.where(total == 0, 4, part.argmax(axis=1)).astype(np.uint8)

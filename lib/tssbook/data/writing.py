"""Results out: tracks as bigWig, which every genome browser draws; tables as TSV or Parquet."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tssbook.data.tables import known, require_strands
from tssbook.files import write_whole, written_whole

__all__ = ["new_bigwigs", "require_table_name", "write_bigwigs", "write_table"]

_ROWS = 256  # windows that are read at a time
_PENDING = 16  # lengths of a window that are summed up before they are written


def write_table(path: str | Path, table: pd.DataFrame) -> Path:
    """Write a table as tab-separated text (``.tsv``) or as Parquet (``.parquet``), by its name.

    Parameters
    ----------
    path
        The file; an older one of that name is replaced when the new one is complete.
    table
        Its index is not written.

    Raises
    ------
    ValueError
        The name ends otherwise.
    ModuleNotFoundError
        Parquet needs the extra ``scale``.
    OSError
        The file cannot be written; an older one stays as it is.
    """
    path = Path(path)
    require_table_name(path)
    if path.suffix == ".tsv":
        content = table.to_csv(sep="\t", index=False).encode()
    else:
        import pyarrow

        try:
            content = table.to_parquet(index=False)
        except pyarrow.ArrowException as error:
            raise ValueError(
                f"Parquet cannot hold the table ({' '.join(str(error).split())}); wanted one type "
                "in each column."
            ) from error
    _require_place(path)
    write_whole({path: content})
    return path


def require_table_name(path: Path) -> None:
    """Refuse a name that no table can have, or not here.

    Raises
    ------
    ValueError
        It ends in neither ``.tsv`` nor ``.parquet``.
    ModuleNotFoundError
        Parquet needs the extra ``scale``.
    """
    if path.suffix not in (".tsv", ".parquet"):
        raise ValueError(f"The table is to be {path}; wanted a name that ends in .tsv or .parquet.")
    if path.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401  pandas says it in ten lines
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                'Parquet needs the package pyarrow: pip install "tssbook[scale]", or write .tsv.'
            ) from None


def write_bigwigs(
    paths: Sequence[str | Path],
    tracks: np.ndarray,
    loci: pd.DataFrame,
    lengths: Mapping[str, int],
) -> list[Path]:
    """Lay tracks of windows onto the chromosomes, one bigWig for each track.

    The way back of :func:`tssbook.data.extract`: windows on the - strand are flipped along both
    axes, so that each file is one strand's, along the + strand of the genome.

    Parameters
    ----------
    paths
        One file for each track. Each is written beside and renamed when it is complete; older
        files of these names are replaced.
    tracks
        ``(N, T, L)``, along each gene; ``L`` may be smaller than the windows, as predictions are,
        by as much at either end. An array on disk, such as that of a store, is read a few hundred
        rows at a time, in the order of the genome; so the memory that is needed does not grow.
    loci
        ``chrom``, ``start``, ``end`` (0-based, half-open) and ``strand`` of the windows, ``N``
        rows, such as ``extract(...).loci`` or ``read_peaks(...).loci``.
    lengths
        Chromosomes and their lengths, such as ``Fasta(...).lengths``. The files have them all.

    Returns
    -------
    list of Path
        The files. Where windows overlap, a base has the mean of their values; what lies outside
        a chromosome is left out, and where there is no window there is no value.

    Raises
    ------
    FileNotFoundError
        A folder is not there.
    ValueError
        The sizes do not go together, a chromosome is unknown, or a value is NaN or infinite.
    OSError
        There is not room for 8 bytes a value, or a file cannot be written; older ones stay as they
        are.
    """
    paths = [Path(path) for path in paths]
    _require_fit(paths, tracks, loci, lengths)
    with new_bigwigs(paths, lengths, math.prod(tracks.shape)) as files:
        for chrom, first, values in _stretches(tracks, loci, lengths):
            for file, row in zip(files, values, strict=True):
                file.addEntries(chrom, first, values=row, span=1, step=1)
    return paths


@contextmanager
def new_bigwigs(
    paths: Sequence[Path], lengths: Mapping[str, int], n_numbers: int
) -> Iterator[list[Any]]:
    """Give bigWigs to write with pyBigWig; they become ``paths`` at the end, or are removed.

    pyBigWig ends the process, or hangs, where there is no folder or no room; so both are looked
    at first.

    Parameters
    ----------
    paths
        The files; older ones of these names are replaced.
    lengths
        Chromosomes and their lengths.
    n_numbers
        How many numbers will be written into all files together: one for a value in a row of
        them, three for an interval. Each may take 8 bytes.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        A folder is not there, or a path is one.
    OSError
        There is not room for all, or a file cannot be written; older ones stay as they are.
    """
    import pyBigWig

    for path in paths:
        _require_place(path)
    for folder in {path.parent for path in paths}:
        _require_room(folder, 8 * n_numbers + len(paths) * (1 << 20))
    with ExitStack() as stack:
        files = []
        for path in paths:
            file = pyBigWig.open(str(stack.enter_context(written_whole(path))), "w")
            files.append(stack.enter_context(file))
            file.addHeader(list(lengths.items()))
        yield files


def _require_place(path: Path) -> None:
    """Refuse to write a file where there is no folder for it, or a folder of its name."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent}; wanted one to write into.")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; wanted the name of a file.")


def _require_room(folder: Path, n_bytes: int) -> None:
    """Refuse a disk that may be full before all is written."""
    if (free := shutil.disk_usage(folder).free) < n_bytes:
        raise OSError(
            f"{folder} has {free / 1e6:,.0f} MB free, and the bigWigs may take "
            f"{n_bytes / 1e6:,.0f} MB: free some space or choose another folder."
        )


def _stretches(
    tracks: np.ndarray, loci: pd.DataFrame, lengths: Mapping[str, int]
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield stretches without a gap in the order of the genome: chromosome, start, ``(T, n)``."""
    n_tracks, length = tracks.shape[1:]
    for chrom, end in lengths.items():
        # Sums and numbers of windows from ``first`` on, where later windows may still come.
        first, total, count = 0, np.zeros((n_tracks, 0)), np.zeros(0)
        for start, values in _in_order(tracks, loci, chrom):
            first = first if len(count) else start
            done = start - first
            if done > len(count) or done >= _PENDING * length:
                yield from _inside(chrom, first, total[:, :done], count[:done], end)
                first, total, count = start, total[:, done:], count[done:]
            here = slice(start - first, start - first + length)
            more = here.stop - len(count)
            total, count = np.pad(total, ((0, 0), (0, more))), np.pad(count, (0, more))
            total[:, here] += values
            count[here] += 1
        yield from _inside(chrom, first, total, count, end)


def _in_order(
    tracks: np.ndarray, loci: pd.DataFrame, chrom: str
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield start and tracks ``(T, L)`` of a chromosome's windows, from its start to its end."""
    minus, around = (loci["strand"] == "-").to_numpy(), loci["end"] - loci["start"]
    # As much is left out at either end.
    starts = (loci["start"] + (around - tracks.shape[2]) // 2).to_numpy()
    rows = np.flatnonzero(loci["chrom"] == chrom)
    rows = rows[np.argsort(starts[rows], kind="stable")]
    for place in range(0, len(rows), _ROWS):
        some = rows[place : place + _ROWS]
        read = np.asarray(tracks[some])  # of a tensor too
        if not np.isfinite(read).all():
            row = some[(~np.isfinite(read)).any((1, 2)).argmax()]
            raise ValueError(
                f"The tracks of locus {row} hold NaN or infinite values; wanted numbers."
            )
        for row, values in zip(some, read, strict=True):
            yield int(starts[row]), values[::-1, ::-1] if minus[row] else values


def _inside(
    chrom: str, first: int, total: np.ndarray, count: np.ndarray, end: int
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield the means of what has windows and lies inside the chromosome, without its gaps."""
    inside = slice(max(-first, 0), max(min(len(count), end - first), 0))
    first, total, count = max(first, 0), total[:, inside], count[inside]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], count > 0, [0]])))
    for begin, stop in edges.reshape(-1, 2).tolist():
        yield chrom, int(first + begin), total[:, begin:stop] / count[begin:stop]


def _require_fit(
    paths: Sequence[Path], tracks: np.ndarray, loci: pd.DataFrame, lengths: Mapping[str, int]
) -> None:
    require_strands(loci)
    if len(set(paths)) != len(paths):
        raise ValueError(f"{max(paths, key=paths.count)} is listed twice; wanted a file a track.")
    if len(tracks.shape) != 3 or tracks.shape[:2] != (len(loci), len(paths)) or 0 in tracks.shape:
        raise ValueError(
            f"The tracks are {tracks.shape} for {len(loci)} loci and {len(paths)} files; wanted "
            "(N, T, L)."
        )
    left = (loci["end"] - loci["start"] - tracks.shape[2]).to_numpy()
    if (left < 0).any() or (left % 2).any():
        row = int(((left < 0) | (left % 2 > 0)).argmax())
        raise ValueError(
            f"The tracks have {tracks.shape[2]} positions and window {row} has "
            f"{left[row] + tracks.shape[2]}; wanted as much left out at either end."
        )
    for chrom in loci["chrom"].unique():
        if chrom not in lengths:
            raise ValueError(f"There is no chromosome {chrom!r}: {known(chrom, lengths)}.")

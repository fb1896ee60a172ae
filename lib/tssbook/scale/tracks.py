"""Chapter 3's data set as a Zarr store, built by many processes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from dask.distributed import Client

from tssbook.data.assembly import (
    MAX_EMPTY,
    faults_of,
    reads_at_tss,
    require_content,
    warn_of_strands,
)
from tssbook.data.bigwig import BigWigs
from tssbook.data.blacklists import Blacklist
from tssbook.data.fasta import Fasta
from tssbook.data.genome import locus_windows, read_windows
from tssbook.data.store import Store
from tssbook.data.tables import Source
from tssbook.data.tracks import COLUMNS, description, table_of_tracks
from tssbook.scale.regions import ROWS
from tssbook.scale.work import Work, compute

__all__ = ["build_tracks"]


def build_tracks(
    store: str | Path,
    fasta: str | Path,
    bigwigs: Sequence[str | Path] | Mapping[str, str | Path],
    loci: Source,
    *,
    length: int = 4650,
    blacklists: Sequence[Blacklist] = (),
    max_empty: float = MAX_EMPTY,
    client: Client | str | None = None,
    progress: bool = False,
) -> Store:
    """Make the data set of :func:`tssbook.data.build_tracks` with many processes, as a Zarr store.

    The arrays hold the same bytes. A store of the same data is used as it is, or gone on with.

    Parameters
    ----------
    store
        Where to put it, a new folder such as ``tracks.zarr``. All workers must see it, and the
        files, under the same names.
    fasta, bigwigs, loci, length, blacklists, max_empty
        As for :func:`tssbook.data.build_tracks`.
    client
        Who does the work: None takes all cores of this machine; or the address of a scheduler
        (``"tcp://node1:8786"``), or a ``dask.distributed.Client``.
    progress
        Show a progress bar.

    Returns
    -------
    Store
        ``arrays["sequences"]`` ``(N, L)`` and ``arrays["tracks"]`` ``(N, T, L)``, and the tables
        ``loci``, ``lost`` and ``tracks``, all as of :func:`tssbook.data.build_tracks`; and
        ``arrays["checks"]``, ``(N, 4 + T)``: whether a locus has only N, or no reads; the reads
        near its TSS, own and other strand; and per file the sign of its values in these 64 loci.

    Raises
    ------
    BlockingIOError, ConnectionError, FileExistsError, OSError, RuntimeError
        As :func:`tssbook.scale.work.compute`.
    ValueError
        As for :func:`tssbook.data.build_tracks`.
    """
    genome, files = Fasta(fasta), BigWigs(bigwigs)
    around, lost = locus_windows(genome, files, loci, length, blacklists)
    around = around.reset_index(drop=True)
    nothing = {"have been read": np.zeros(len(around), dtype=bool)}
    require_content(lost, nothing, max_empty)  # what can be known before all is read
    made_from = description(genome, files, around, lost, length, blacklists)
    paths = tuple(path.absolute() for path in files.paths)
    n_tracks = len(files)

    def check(made: Store) -> None:
        checks = np.asarray(made.arrays["checks"])
        _require_one_sign(checks[:, 4:], genome, paths, around)
        faults = {"have only N": checks[:, 0] > 0, "have no reads": checks[:, 1] > 0}
        require_content(lost, faults, max_empty)
        warn_of_strands(checks[:, 2:4].sum(0))

    work = Work(
        function=_read,
        settings={
            "fasta": genome.path.absolute(),
            "bigwigs": paths,
            "blacklists": list(blacklists),
            "sums": (made_from["fasta"][1], *(found for _, found in made_from["bigwigs"])),
        },
        loci=around,
        arrays={
            "sequences": ((length,), "uint8"),
            "tracks": ((n_tracks, length), "float32"),
            "checks": ((4 + n_tracks,), "float64"),
        },
        tables={
            "loci": around[COLUMNS],
            "lost": lost,
            "tracks": table_of_tracks(files),
        },
        made_from=made_from,
    )
    return compute(store, work, client, check=check, progress=progress)


def _read(
    rows: pd.DataFrame,
    fasta: Path,
    bigwigs: tuple[Path, ...],
    blacklists: Sequence[Blacklist],
    sums: tuple[str, ...],
) -> dict[str, np.ndarray]:
    """Read a region, in a worker."""
    genome, opened = _opened(fasta, bigwigs, sums)
    files = copy(opened)  # what it sees of signs is this region's
    with warnings.catch_warnings():  # the client has said it
        warnings.filterwarnings("ignore", ".* has no chromosome", UserWarning)
        codes, tracks = read_windows(genome, files, rows, blacklists)
    faults = faults_of(codes, tracks)
    near = np.array([reads_at_tss(one) for one in np.split(tracks, len(tracks))])
    signs = np.subtract(files.positive, files.negative, dtype=np.float64)
    checks = np.column_stack([*faults.values(), near, np.tile(signs, (len(rows), 1))])
    return {"sequences": codes, "tracks": tracks, "checks": checks}


@lru_cache(maxsize=1)
def _opened(fasta: Path, bigwigs: tuple[Path, ...], sums: tuple[str, ...]) -> tuple[Fasta, BigWigs]:
    """Open the files once in each worker; those with other checksums are opened anew."""
    return Fasta(fasta), BigWigs(bigwigs, threads=1)


def _require_one_sign(
    signs: np.ndarray, fasta: Fasta, bigwigs: Sequence[Path], around: pd.DataFrame
) -> None:
    """Refuse a file of which workers saw values above 0 and below it: read both in one process."""
    for track in np.flatnonzero((signs > 0).any(0) & (signs < 0).any(0)):
        files = BigWigs(bigwigs, threads=1)
        for sign in (-1, 1):
            first = int((signs[:, track] == sign).argmax()) // ROWS * ROWS
            read_windows(fasta, files, around.iloc[first : first + ROWS])

"""Chapter 3's data set: sequences with tracks, built once and streamed to disk.

A data set is a store (:mod:`tssbook.data.store`) with two arrays: ``sequences``, ``(N, L)`` bytes,
and ``tracks``, ``(N, T, L)``. The bytes are a sixteenth of the one-hot numbers that a network
reads, which are made for each batch. Tracks are ``float32``, as in the files they come from:
``float16`` would be half as large, but is not exact from 2,049 reads on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

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
from tssbook.data.store import Store, Writer, is_complete, open_store
from tssbook.data.tables import Source
from tssbook.files import sha256

__all__ = ["COLUMNS", "TRACKS", "build_tracks", "description", "digest"]

# The ten tracks of Chapter 3, in mirror order: read backwards they are those of the other strand.
TRACKS = (
    "CAGE+", "ENCODE CAGE+", "RAMPAGE+", "GRO-cap+", "PRO-cap+",
    "PRO-cap-", "GRO-cap-", "RAMPAGE-", "ENCODE CAGE-", "CAGE-",
)  # fmt: skip
_ROWS = 256  # loci in memory at a time while building
# Of the table of loci.
COLUMNS = ["chrom", "tss", "strand", "start", "end", "padded", "blacklisted"]
_VERSION = 4  # goes up when the same files are described, or give arrays, in another way


def build_tracks(
    folder: str | Path,
    fasta: Fasta | str | Path,
    bigwigs: BigWigs | Sequence[str | Path] | Mapping[str, str | Path],
    loci: Source,
    *,
    length: int = 4650,
    blacklists: Sequence[Blacklist] = (),
    max_empty: float = MAX_EMPTY,
    progress: bool = False,
) -> Store:
    """Make a data set on disk by the rules of :func:`tssbook.data.genome.extract`.

    Only 256 loci are in memory at a time. A folder that holds the same data set is used as it is,
    or gone on with where it is not finished. The same are the files' names and contents, and
    everything else that is given: all files are read for that, at each call.

    Parameters
    ----------
    folder
        Where to put it: a new folder, or one that this function made. 40,000 loci with ten
        tracks of 4,650 bp take 7.6 GB.
    fasta, bigwigs, loci, length, blacklists, max_empty
        As for :func:`tssbook.data.genome.extract`.
    progress
        Show a progress bar.

    Returns
    -------
    Store
        ``arrays["sequences"]`` ``(N, L)`` ``uint8`` codes and ``arrays["tracks"]`` ``(N, T, L)``
        ``float32``, both along the gene, in the order of the loci, in the unit of the files
        (Chapter 3's loss wants ``log10(1 + reads)``: see `TrackBatches`).
        ``tables["loci"]``: ``chrom``, ``tss``, ``strand``, ``start``, ``end``, ``padded``
        (positions outside the chromosome) and ``blacklisted`` (positions in each list, added
        up). ``tables["lost"]``: ``row``, ``chrom``, ``tss`` and ``reason`` of each locus that the
        genome does not have. ``tables["tracks"]``: ``track`` and ``file``.
        ``made_from["assembly"]``: the chromosomes of the loci and their lengths.

    Raises
    ------
    FileExistsError
        The folder holds something else.
    BlockingIOError
        Somebody else is building in this folder.
    OSError
        The disk is full; run it again with more room, it goes on.
    ValueError
        As for :func:`tssbook.data.genome.extract`.
    """
    fasta, bigwigs = Fasta.of(fasta), BigWigs.of(bigwigs)
    around, lost = locus_windows(fasta, bigwigs, loci, length, blacklists)
    made_from = description(fasta, bigwigs, around, lost, length, blacklists)
    if is_complete(folder, made_from):
        return open_store(folder)
    nothing = {"have been read": np.zeros(len(around), dtype=bool)}
    require_content(lost, nothing, max_empty)  # what can be known before all is read
    shapes = {"sequences": ((length,), "uint8"), "tracks": ((len(bigwigs), length), "float32")}
    faults, at_tss = [], np.zeros(2)
    with (
        Writer(folder, len(around), shapes, made_from) as writer,
        tqdm(total=len(around), initial=writer.done, unit=" loci", disable=not progress) as bar,
    ):
        # What another process has done is read again for its signs, and for what is empty.
        for first in range(0, len(around), _ROWS):
            some = around.iloc[first : first + _ROWS]
            codes, tracks = read_windows(fasta, bigwigs, some, blacklists)
            faults.append(pd.DataFrame(faults_of(codes, tracks)))
            at_tss += reads_at_tss(tracks)
            if new := max(len(codes) - max(writer.done - first, 0), 0):
                writer.write(writer.done, sequences=codes[-new:], tracks=tracks[-new:])
                bar.update(new)
        require_content(lost, dict(pd.concat(faults).items()), max_empty)
        warn_of_strands(at_tss)
        return writer.finish(loci=around[COLUMNS], lost=lost, tracks=table_of_tracks(bigwigs))


def table_of_tracks(bigwigs: BigWigs) -> pd.DataFrame:
    """Return ``track`` and ``file`` of each track."""
    return pd.DataFrame({"track": bigwigs.names, "file": [path.name for path in bigwigs.paths]})


def description(
    fasta: Fasta,
    bigwigs: BigWigs,
    around: pd.DataFrame,
    lost: pd.DataFrame,
    length: int,
    blacklists: Sequence[Blacklist],
) -> dict[str, object]:
    """Say what a data set is made from, so that another one is not gone on with."""
    return {
        "track data": _VERSION,
        "length": length,
        "assembly": {chrom: fasta.length(chrom) for chrom in around["chrom"].unique()},
        "fasta": fasta.about,
        "tracks": bigwigs.names,
        "bigwigs": [[path.name, sha256(path)] for path in bigwigs.paths],
        "loci": digest(around[["chrom", "start", "end", "strand"]]),
        "lost": digest(lost),
        "blacklists": [[digest(b.intervals), b.tracks, b.replace_by, b.factor] for b in blacklists],
    }


def digest(table: pd.DataFrame) -> str:
    """Return the sha256 of a table."""
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()

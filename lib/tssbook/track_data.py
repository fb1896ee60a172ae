"""Sequences with tracks as a data set: built once, streamed to disk, and cut into batches.

A data set is a store (:mod:`tssbook.store`) with two arrays: ``sequences``, ``(N, L)`` bytes, and
``tracks``, ``(N, T, L)``. The bytes are a sixteenth of the one-hot numbers that a network reads,
which are made for each batch. Tracks are ``float32``, as in the files they come from: ``float16``
would be half as large, but is not exact from 2,049 reads on.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from mmap import mmap
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from tssbook.archives import Archive, read_npz, write_npz
from tssbook.batches import epoch_seed
from tssbook.bigwig import BigWigs
from tssbook.blacklists import Blacklist
from tssbook.datasets import one_hot_codes
from tssbook.fasta import Fasta
from tssbook.genome import locus_windows, padding, read_tss, read_windows
from tssbook.store import Store, Writer, is_complete, open_store

__all__ = ["Archive", "TrackBatches", "build", "read_npz", "write_npz"]

_ROWS = 256  # loci in memory at a time while building
_VERSION = 1  # goes up when the same files give other arrays


# --- building ---------------------------------------------------------------------------------


def build(
    folder: str | Path,
    fasta: Fasta | str | Path,
    bigwigs: BigWigs | Sequence[str | Path],
    loci: pd.DataFrame | str | Path,
    *,
    length: int = 4650,
    blacklists: Sequence[Blacklist] = (),
    progress: bool = False,
) -> Store:
    """Make a data set on disk by the rules of :func:`tssbook.genome.extract`.

    Only 256 loci are in memory at a time. A folder that holds the same data set is used as it is,
    or gone on with where it is not finished. The same are the files' names, sizes and sums, and
    everything else that is given.

    Parameters
    ----------
    folder
        Where to put it: a new folder, or one that this function made. 40,000 loci with ten
        tracks of 4,650 bp take 7.6 GB.
    fasta, bigwigs, loci, length, blacklists
        As for :func:`tssbook.genome.extract`.
    progress
        Show a progress bar.

    Returns
    -------
    Store
        ``arrays["sequences"]`` ``(N, L)`` ``uint8`` codes and ``arrays["tracks"]`` ``(N, T, L)``
        ``float32``, both along the gene, in the order of the loci.
        ``tables["loci"]``: ``chrom``, ``tss``, ``strand``, ``start``, ``end``, ``padded``
        (positions outside the chromosome) and ``blacklisted`` (positions in each list, added
        up). ``tables["tracks"]``: ``file``, and ``negative`` where the sign was taken off.

    Raises
    ------
    FileExistsError
        The folder holds something else.
    OSError
        The disk is full; run it again with more room, it goes on.
    ValueError
        As for :func:`tssbook.genome.extract`.
    """
    fasta = fasta if isinstance(fasta, Fasta) else Fasta(fasta)
    bigwigs = bigwigs if isinstance(bigwigs, BigWigs) else BigWigs(bigwigs)
    loci = loci if isinstance(loci, pd.DataFrame) else read_tss(loci)
    around = locus_windows(fasta, bigwigs, loci, length, blacklists)
    made_from = _description(fasta, bigwigs, around, length, blacklists)
    if is_complete(folder, made_from):
        return open_store(folder)
    shapes = {"sequences": ((length,), "uint8"), "tracks": ((len(bigwigs), length), "float32")}
    writer = Writer(folder, len(around), shapes, made_from)
    with tqdm(
        total=len(around), initial=writer.done, unit=" loci", disable=not progress
    ) as progress_bar:
        while writer.done < len(around):
            some = around.iloc[writer.done : writer.done + _ROWS]
            codes, tracks = read_windows(fasta, bigwigs, some, blacklists)
            writer.write(writer.done, sequences=codes, tracks=tracks)
            progress_bar.update(len(some))
    return writer.finish(
        loci=_table(fasta, around, length, blacklists),
        tracks=pd.DataFrame(
            {"file": [path.name for path in bigwigs.paths], "negative": bigwigs.negative}
        ),
    )


def _description(
    fasta: Fasta,
    bigwigs: BigWigs,
    around: pd.DataFrame,
    length: int,
    blacklists: Sequence[Blacklist],
) -> dict[str, object]:
    """Say what a data set is made from, so that another one is not gone on with."""
    return {
        "track data": _VERSION,
        "length": length,
        "fasta": [fasta.path.name, fasta.path.stat().st_size],
        "bigwigs": [
            [path.name, path.stat().st_size, summary.total]
            for path, summary in zip(bigwigs.paths, bigwigs.summaries, strict=True)
        ],
        "loci": _digest(around),
        "blacklists": [
            [_digest(b.intervals), b.tracks, b.replace_by, b.factor] for b in blacklists
        ],
    }


def _digest(table: pd.DataFrame) -> str:
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()


def _table(
    fasta: Fasta, around: pd.DataFrame, length: int, blacklists: Sequence[Blacklist]
) -> pd.DataFrame:
    chroms, starts = around["chrom"], around["start"]
    counts = [blacklist.counts(chroms, starts, length) for blacklist in blacklists]
    return pd.DataFrame(
        {
            "chrom": chroms,
            "tss": starts + length // 2 - (around["strand"] == "-"),
            "strand": around["strand"],
            "start": starts,
            "end": around["end"],
            "padded": padding(fasta, around),
            "blacklisted": np.sum(counts, axis=0, dtype=np.int64) if counts else 0,
        }
    )


# --- batches ----------------------------------------------------------------------------------


class TrackBatches:
    """Sequences and tracks, cut into batches for :func:`tssbook.training.fit`.

    Rows of arrays on disk are read when their batch comes; nothing else is held in memory.

    Parameters
    ----------
    codes
        ``(N, L)`` ``uint8`` codes, in memory or from a store.
    tracks
        ``(N, T, L)`` of any number type, in mirror order.
    batch_size
        Rows of a batch; the last one may be smaller.
    rows
        Row numbers to use, such as ``split.train``; None uses all.
    seed
        Seed of the order and of the coins; None keeps the rows in order. What an epoch draws
        depends on the seed and the epoch alone, so a resumed training sees the same batches.
    reverse_complement
        Replace about half of the examples by their other strand, a coin for each: the sequence
        and both axes of the tracks are flipped.
    length
        Take so many bases from the middle of each window; None takes all.

    Raises
    ------
    ValueError
        The arrays do not go together, a row is not there, coins have no seed, or the middle
        cannot be cut out evenly.
    """

    def __init__(
        self,
        codes: np.ndarray,
        tracks: np.ndarray,
        *,
        batch_size: int,
        rows: Sequence[int] | np.ndarray | None = None,
        seed: int | None = None,
        reverse_complement: bool = False,
        length: int | None = None,
    ) -> None:
        self.rows = np.arange(len(codes)) if rows is None else np.asarray(rows, dtype=np.int64)
        whole = codes.shape[-1]
        length = whole if length is None else length
        _require_arrays(codes, tracks, self.rows)
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; wanted 1 or more.")
        if reverse_complement and seed is None:
            raise ValueError("reverse_complement tosses coins, and seed is None; wanted a seed.")
        if not 0 < length <= whole or (whole - length) % 2:
            raise ValueError(
                f"length is {length}; wanted as much cut from both ends of {whole} bases: an "
                f"{'odd' if whole % 2 else 'even'} number up to {whole}."
            )
        if seed is not None:
            epoch_seed(seed, 0)  # refuses a seed below 0
        self.codes, self.tracks, self.batch_size, self.seed = codes, tracks, batch_size, seed
        self.reverse_complement = reverse_complement
        self._middle = slice((whole - length) // 2, (whole + length) // 2)
        self.n_rows, self._epoch = len(self.rows), 0

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(self.n_rows / self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and coins the next iteration has."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``x`` ``(B, 4, L)`` and ``tracks`` ``(B, T, L)``, both ``float32``."""
        order = torch.arange(self.n_rows)
        generator = torch.Generator()
        if self.seed is not None:
            generator.manual_seed(epoch_seed(self.seed, self._epoch))
            order = torch.randperm(self.n_rows, generator=generator)
        for part in order.split(self.batch_size):
            x, y = self._read(self.rows[part.numpy()])
            if self.reverse_complement:
                flip = torch.rand(len(part), generator=generator) < 0.5
                x[flip], y[flip] = x[flip].flip(1, 2), y[flip].flip(1, 2)
            yield x, y

    def _read(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        codes = _gathered(self.codes, rows)[:, self._middle]
        tracks = _gathered(self.tracks, rows)[..., self._middle]
        return one_hot_codes(codes).float(), torch.from_numpy(tracks.astype(np.float32))


def _require_arrays(codes: np.ndarray, tracks: np.ndarray, rows: np.ndarray) -> None:
    if codes.ndim != 2 or codes.dtype != np.uint8:
        raise ValueError(
            f"codes are {codes.dtype} {codes.shape}; wanted uint8 (N, L), one code for each base."
        )
    if tracks.ndim != 3 or (tracks.shape[0], tracks.shape[2]) != codes.shape:
        raise ValueError(
            f"tracks are {tracks.shape} and codes {codes.shape}; wanted (N, T, L) and (N, L)."
        )
    if not len(rows) or rows.min() < 0 or rows.max() >= len(codes):
        said = f"from {rows.min()} to {rows.max()}" if len(rows) else "none"
        raise ValueError(f"The rows are {said}; wanted some from 0 to {len(codes) - 1}.")


def _gathered(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Copy rows of an array; of one on disk so that what was read does not stay mapped.

    Pages that a mapping has touched count as this process's memory until the mapping is closed.
    """
    if isinstance(array, np.memmap) and isinstance(array.base, mmap) and array.flags.c_contiguous:
        array = np.memmap(array.filename, array.dtype, "r", array.offset, array.shape)
    return np.asarray(array[rows])

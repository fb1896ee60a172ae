"""Windows around PRO-cap peaks, and batches of them: Chapter 4, section 3.

A window is wider than what the model reads, so that a batch can cut it a little to the left or to
the right each time (*jitter*). Reads in repeats are lost when they are mapped; ``mappable`` says
where.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tssbook.batches import epoch_seed
from tssbook.bigwig import BigWigs
from tssbook.datasets import one_hot_codes
from tssbook.fasta import Fasta
from tssbook.genome import extract, locus_windows, read_bed

__all__ = ["JITTER", "LENGTH", "OUTPUT", "WindowBatches", "Windows", "read_windows"]

LENGTH, OUTPUT, JITTER = 2114, 1000, 200  # bp that are read, predicted, and shifted either way
PEAKS_PER_BACKGROUND = 7


class Windows(NamedTuple):
    """Peaks and background, each in the middle of a window.

    Attributes
    ----------
    codes : numpy.ndarray
        ``(N, W)`` uint8, A 0, C 1, G 2, T 3, N 4; ``W`` is `LENGTH`, or more for jitter.
    reads : numpy.ndarray
        ``(N, 2, W)``, any number type, of the + and of the - strand.
    mappable : numpy.ndarray
        ``(N, W)`` bool; False where reads are lost, on both strands.
    peak : numpy.ndarray
        ``(N,)`` bool; False for background.
    """

    codes: np.ndarray
    reads: np.ndarray
    mappable: np.ndarray
    peak: np.ndarray


def read_windows(
    fasta: Fasta | str | Path,
    bigwigs: BigWigs | Sequence[str | Path],
    peaks: pd.DataFrame | str | Path,
    background: pd.DataFrame | str | Path | None = None,
    *,
    mappability: str | Path | None = None,
    jitter: int = JITTER,
) -> Windows:
    """Cut windows around the middles of peaks out of a genome and its reads.

    Parameters
    ----------
    fasta
        The genome.
    bigwigs
        Reads of the + and of the - strand, two files in this order; signs are taken off.
    peaks, background
        BED files or tables of `read_bed`: where there is initiation, and where there is none,
        such as open chromatin without PRO-cap.
    mappability
        A bigWig, such as Umap's for reads of 36 bases: bases with less than 1 are masked. None
        masks only N and what lies outside a chromosome.
    jitter
        How far batches will shift a window, in bp: windows are so much wider on each side.

    Raises
    ------
    FileNotFoundError
        A file is not there.
    ValueError
        A file is not as it should be, there are not two bigWigs, a middle lies outside its
        chromosome, or the files are not of one assembly.
    """
    fasta = fasta if isinstance(fasta, Fasta) else Fasta(fasta)
    bigwigs = bigwigs if isinstance(bigwigs, BigWigs) else BigWigs(bigwigs)
    if len(bigwigs) != 2:
        raise ValueError(f"There are {len(bigwigs)} bigWigs; wanted the + and the - strand's.")
    parts = [_middles(table) for table in (peaks, background) if table is not None]
    places, width = pd.concat(parts, ignore_index=True), LENGTH + 2 * jitter
    codes, reads = extract(fasta, bigwigs, places, length=width)
    mappable = codes < 4
    if mappability is not None:
        track = BigWigs([mappability])
        around = locus_windows(fasta, track, places, width)
        mappable &= track.read(around["chrom"], around["start"], width)[:, 0] >= 1
    return Windows(codes, reads, mappable, np.arange(len(places)) < len(parts[0]))


def _middles(intervals: pd.DataFrame | str | Path) -> pd.DataFrame:
    table = intervals if isinstance(intervals, pd.DataFrame) else read_bed(intervals)
    middle = (table["start"] + table["end"]) // 2
    return pd.DataFrame({"chrom": table["chrom"], "tss": middle, "strand": "+"})


class WindowBatches:
    """Windows cut into batches ``(x, counts, mappable)`` for :func:`tssbook.training.fit`.

    Each epoch holds every peak, and background drawn anew, one window for seven peaks.

    Parameters
    ----------
    windows
        See `Windows`.
    batch_size
        Windows of a batch; the last one may be smaller.
    seed
        Seed of order, background, jitter and coins; what an epoch draws depends on the seed and
        the epoch alone. None takes all windows in order, as they are: for validation.
    jitter
        Largest shift of the middle to either side, in bp.

    Raises
    ------
    ValueError
        The arrays do not go together, there is no peak, or the windows are too short.
    """

    def __init__(
        self, windows: Windows, *, batch_size: int, seed: int | None = None, jitter: int = JITTER
    ) -> None:
        self._jitter = 0 if seed is None else jitter
        _require(windows, LENGTH + 2 * self._jitter)
        if batch_size < 1 or jitter < 0:
            raise ValueError(
                f"batch_size is {batch_size} and jitter {jitter}; wanted 1 or more, 0 or more."
            )
        self.windows, self.batch_size, self.seed, self._epoch = windows, batch_size, seed, 0
        self._peaks = np.flatnonzero(windows.peak)
        self._background = np.flatnonzero(~windows.peak)
        n_background = min(len(self._peaks) // PEAKS_PER_BACKGROUND, len(self._background))
        self.n_rows = len(windows.codes) if seed is None else len(self._peaks) + n_background

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(self.n_rows / self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws the next iteration has."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield ``x`` ``(B, 4, 2114)``, ``counts`` ``(B, 2, 1000)``, ``mappable`` ``(B, 1000)``."""
        rows = np.arange(self.n_rows)
        shift, turned = np.zeros(self.n_rows, int), np.zeros(self.n_rows, bool)
        if self.seed is not None:
            rng = np.random.default_rng(epoch_seed(self.seed, self._epoch))
            drawn = rng.permutation(self._background)[: self.n_rows - len(self._peaks)]
            rows = rng.permutation(np.concatenate([self._peaks, drawn]))
            shift = rng.integers(-self._jitter, self._jitter + 1, self.n_rows)
            turned = rng.random(self.n_rows) < 0.5
        for first in range(0, self.n_rows, self.batch_size):
            some = slice(first, first + self.batch_size)
            yield self._cut(rows[some], shift[some], torch.from_numpy(turned[some]))

    def _cut(self, rows: np.ndarray, shift: np.ndarray, turned: Tensor) -> tuple[Tensor, ...]:
        middle = self.windows.codes.shape[1] // 2 + shift[:, None]
        read = middle + np.arange(-LENGTH // 2, LENGTH // 2)  # (B, 2114)
        asked = middle + np.arange(-OUTPUT // 2, OUTPUT // 2)  # (B, 1000)
        each, strands = rows[:, None], np.arange(2)[:, None]
        x = one_hot_codes(self.windows.codes[each, read]).float()
        counts = self.windows.reads[each[..., None], strands, asked[:, None]].astype(np.float32)
        counts = torch.from_numpy(counts)
        mappable = torch.from_numpy(self.windows.mappable[each, asked])
        x[turned], counts[turned] = x[turned].flip(1, 2), counts[turned].flip(1, 2)
        mappable[turned] = mappable[turned].flip(1)
        return x, counts, mappable


def _require(windows: Windows, width: int) -> None:
    codes, reads, mappable, peak = windows
    n, found = codes.shape
    if codes.dtype != np.uint8 or reads.shape != (n, 2, found):
        raise ValueError(
            f"codes are {codes.dtype} {codes.shape} and reads {reads.shape}; wanted uint8 (N, W) "
            "and (N, 2, W), the + strand first."
        )
    if mappable.shape != codes.shape or mappable.dtype != bool or peak.shape != (n,):
        raise ValueError(
            f"The mask is {mappable.dtype} {mappable.shape} and peak {peak.shape} for codes "
            f"{codes.shape}; wanted bool of the codes' shape, and one value for each window."
        )
    if found < width or found % 2:
        raise ValueError(
            f"The windows are {found} bp wide; wanted an even number of {width} or more: what the "
            "model reads, and the jitter on both sides."
        )
    if peak.dtype != bool or not peak.any():
        raise ValueError("No window is a peak; wanted peak to be bool, True for at least one.")

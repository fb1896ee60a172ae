"""Tensors in memory, cut into batches; a model run over them; the device it runs on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from mmap import mmap

import numpy as np
import torch
from torch import Tensor

from tssbook.data.peaks import JITTER, LENGTH, OUTPUT, PEAKS_PER_BACKGROUND, Windows
from tssbook.sequence import one_hot_codes

__all__ = [
    "Augmented",
    "Batches",
    "TrackBatches",
    "WindowBatches",
    "epoch_seed",
    "flip_half",
]

_GATHERED_BYTES = 1 << 25  # so much is gathered at a time


class Batches:
    """Tensors held in memory and cut into batches, shuffled anew in each epoch.

    Does the work of a ``TensorDataset`` and a ``DataLoader`` without a Python call per
    example: rows are gathered many batches at a time and handed out as views (Chapter 1,
    section 5).

    Parameters
    ----------
    *tensors
        Input and targets, each with ``N`` rows, all on one device.
    batch_size
        Rows of a batch; the last one may be smaller.
    seed
        Seed of the shuffling; None keeps the rows in order. The order of an epoch depends on
        the seed and the epoch alone, so a resumed training sees the same batches.

    Raises
    ------
    ValueError
        If the tensors have different numbers of rows, or none, or ``batch_size`` is below 1.
    """

    def __init__(self, *tensors: Tensor, batch_size: int, seed: int | None = None) -> None:
        if wrong := [type(t).__name__ for t in tensors if not isinstance(t, Tensor)]:
            raise TypeError(f"Batches got {wrong[0]}; wanted tensors (torch.from_numpy makes one).")
        rows = [len(tensor) for tensor in tensors]
        if len(set(rows)) != 1 or rows[0] == 0:
            raise ValueError(f"The tensors have {rows} rows; wanted one number above 0 for all.")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; wanted 1 or more.")
        self.tensors, self.batch_size, self.seed = tensors, batch_size, seed
        self.n_rows, self._epoch = rows[0], 0

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(self.n_rows / self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration has."""
        self._epoch = epoch

    def order(self, epoch: int) -> Tensor:
        """Return the rows' order in an epoch, ``(N,)``."""
        if self.seed is None:
            return torch.arange(self.n_rows)
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, epoch))
        return torch.randperm(self.n_rows, generator=generator)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches of the chosen epoch."""
        if self.seed is None:
            yield from zip(*(t.split(self.batch_size) for t in self.tensors), strict=True)
            return
        order = self.order(self._epoch).to(self.tensors[0].device)
        size = self.batch_size * sum(tensor[0].nbytes for tensor in self.tensors)
        for rows in order.split(self.batch_size * max(1, _GATHERED_BYTES // size)):
            gathered = [tensor.index_select(0, rows) for tensor in self.tensors]
            yield from zip(*(part.split(self.batch_size) for part in gathered), strict=True)


class Augmented:
    """Batches that are changed a little each time they are seen.

    Parameters
    ----------
    batches
        Where the batches come from, for example :class:`Batches`.
    change
        ``change(generator, *batch)`` returns the changed batch, :func:`flip_half` for example.
    seed
        Of the generator. As with the order, what an epoch draws depends on the seed and the
        epoch alone, so a resumed training sees the same batches.
    """

    def __init__(
        self, batches: Batches, change: Callable[..., tuple[Tensor, ...]], *, seed: int
    ) -> None:
        self.batches, self.change, self.seed = batches, change, seed
        self.n_rows, self.batch_size, self._epoch = batches.n_rows, batches.batch_size, 0

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.batches)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and changes the next iteration has."""
        self._epoch = epoch
        self.batches.set_epoch(epoch)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield the changed batches of the chosen epoch."""
        # 1 sets this stream apart from the order's, which may have the same seed.
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, self._epoch) ^ 1)
        for batch in self.batches:
            yield self.change(generator, *batch)


def flip_half(generator: torch.Generator, x: Tensor, *targets: Tensor) -> tuple[Tensor, ...]:
    """Replace about half of the sequences by their reverse complement, a coin for each.

    For targets without a strand, such as one number per gene: they stay as they are. One coin
    for the whole batch would make batches in which all sequences lie the same way round.

    Parameters
    ----------
    generator
        Tosses the coins.
    x
        ``(N, 4, L)``.
    *targets
        Handed on unchanged.
    """
    flip = torch.rand(len(x), generator=generator) < 0.5
    flip = flip.to(x.device)[:, None, None]
    return torch.where(flip, x.flip(-1).flip(-2), x), *targets


def epoch_seed(seed: int, epoch: int) -> int:
    """Mix a seed and an epoch into one seed, so that neighbouring seeds share no epoch."""
    if seed < 0:
        raise ValueError(f"The seed is {seed}; wanted 0 or more.")
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)


class TrackBatches:
    """Sequences and tracks, cut into batches for :func:`tssbook.training.loop.fit`.

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


class WindowBatches:
    """Windows cut into batches ``(x, counts, mappable)`` for :func:`tssbook.training.loop.fit`.

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
        _require_windows(windows, LENGTH + 2 * self._jitter)
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


def _require_windows(windows: Windows, width: int) -> None:
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

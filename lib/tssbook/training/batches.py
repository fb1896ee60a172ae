"""Rows of data, cut into batches: from memory, from tracks on disk, from windows around peaks.

:class:`Batches` is the base: it holds the order, the epoch, the choice of rows and the change
(``transform``) that each batch gets. The other two differ in how their rows are read.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from mmap import mmap
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tssbook.data.peaks import JITTER, LENGTH, OUTPUT, Windows
from tssbook.sequence import one_hot_codes, require_codes, require_counts, require_positive

__all__ = [
    "Batches",
    "TrackBatches",
    "WindowBatches",
    "epoch_seed",
    "fingerprint",
    "flip_half",
    "qualified_name",
]

Rows = Sequence[int] | np.ndarray | Tensor
Transform = Callable[..., tuple[Tensor, ...]]

_GATHERED_BYTES = 1 << 25  # so much is gathered at a time
_PEAKS_PER_BACKGROUND = 7  # in an epoch of training


class Batches:
    """Tensors held in memory and cut into batches, shuffled anew in each epoch.

    Does the work of a ``TensorDataset`` and a ``DataLoader`` without a Python call per
    example: rows are gathered many batches at a time and handed out as views (Chapter 1,
    section 5). What an epoch draws depends on the seed and the epoch alone, so a resumed
    training sees the same batches.

    Parameters
    ----------
    *tensors
        Input and targets, each with ``N`` rows, all on one device.
    batch_size
        Rows of a batch; the last one may be smaller.
    seed
        Seed of the shuffling and of what ``transform`` draws, 0 or more; None keeps the rows in
        order.
    rows
        Numbers of the rows to use, such as ``split.train``; None uses all.
    transform
        ``transform(generator, *batch)`` returns the batch changed, as a tuple; :func:`flip_half`
        for example. It is called with the epoch's own generator (with that of seed 0 where
        ``seed`` is None).

    Raises
    ------
    TypeError
        If something else than tensors is given.
    ValueError
        If the tensors have different numbers of rows, or none, or hold NaN or infinite values; if
        ``batch_size`` is below 1 or ``seed`` below 0; if ``rows`` are no whole numbers, or not
        there.

    Notes
    -----
    A subclass overrides ``_read``, and ``_draw`` where an epoch draws more than an order.
    """

    _holds: type = Tensor

    def __init__(
        self,
        *tensors: Tensor,
        batch_size: int,
        seed: int | None = None,
        rows: Rows | None = None,
        transform: Transform | None = None,
    ) -> None:
        if wrong := [type(t).__name__ for t in tensors if not isinstance(t, self._holds)]:
            wanted = "tensors (torch.from_numpy makes one)" if self._holds is Tensor else "arrays"
            raise TypeError(f"{type(self).__name__} got {wrong[0]}; wanted {wanted}.")
        lengths = [len(tensor) for tensor in tensors]
        if len(set(lengths)) != 1 or lengths[0] == 0:
            raise ValueError(f"The parts have {lengths} rows; wanted one number above 0 for all.")
        require_positive(batch_size=batch_size)
        if seed is not None:
            epoch_seed(seed, 0)  # refuses a seed below 0
        self.tensors, self.batch_size, self.seed = tensors, batch_size, seed
        self.rows, self.transform = _checked_rows(rows, lengths[0]), transform
        for number, tensor in enumerate(tensors):
            _require_finite(tensor, number, self.rows)
        self.n_rows, self._epoch = len(self.rows), 0
        self._as_they_are = seed is None and rows is None

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(self.n_rows / self.batch_size)

    @property
    def about(self) -> dict[str, Any]:
        """What makes these batches what they are; two trainings on the same have the same.

        The content is a digest of row numbers, types, shapes, and all that the rows hold (see
        `fingerprint`). The length is that of the sequences.
        """
        return {
            "class": qualified_name(type(self)),
            "seed": self.seed,
            "batch size": self.batch_size,
            "number of rows": self.n_rows,
            "transform": None if self.transform is None else qualified_name(self.transform),
            "length": self.tensors[0].shape[-1] if self.tensors[0].ndim > 1 else None,
            "content": fingerprint(self.tensors, self.rows),
        }

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws the next iteration has."""
        self._epoch = epoch

    def order(self, epoch: int) -> Tensor:
        """Return the row numbers of an epoch in their order, ``(n_rows,)`` int64."""
        return self._draw(self._generator(epoch))[0]

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches of the chosen epoch."""
        batches = self._read(*self._draw(self._generator(self._epoch)))
        if self.transform is None:
            yield from batches
            return
        # 1 sets this stream apart from the order's.
        generator = torch.Generator().manual_seed(epoch_seed(self.seed or 0, self._epoch) ^ 1)
        for batch in batches:
            yield self.transform(generator, *batch)

    def _generator(self, epoch: int) -> torch.Generator | None:
        if self.seed is None:
            return None
        return torch.Generator().manual_seed(epoch_seed(self.seed, epoch))

    def _draw(self, generator: torch.Generator | None) -> tuple[Tensor, ...]:
        """Return the order, and whatever else is drawn for each row of it."""
        if generator is None:
            return (self.rows,)
        return (self.rows[torch.randperm(self.n_rows, generator=generator)],)

    def _read(self, order: Tensor, *drawn: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Yield batches of the rows in this order."""
        if self._as_they_are:
            yield from zip(*(t.split(self.batch_size) for t in self.tensors), strict=True)
            return
        order = order.to(self.tensors[0].device)
        size = self.batch_size * sum(tensor[0].nbytes for tensor in self.tensors)
        for rows in order.split(self.batch_size * max(1, _GATHERED_BYTES // size)):
            gathered = [tensor.index_select(0, rows) for tensor in self.tensors]
            yield from zip(*(part.split(self.batch_size) for part in gathered), strict=True)


class TrackBatches(Batches):
    """Batches ``(x, tracks)`` of sequences and tracks (Chapter 3, section 4).

    Rows of arrays on disk are read when their batch comes; nothing else is held in memory.
    ``x`` is ``(B, 4, L)`` one-hot and ``tracks`` ``(B, T, L)``, both ``float32``, in the unit of
    the array. Chapter 3's loss wants logarithms of counts: with a store of counts,
    ``transform=lambda _, x, reads: (x, torch.log10(1 + reads))``.

    Parameters
    ----------
    codes
        ``(N, L)`` ``uint8`` codes, in memory or from a store.
    tracks
        ``(N, T, L)`` of any number type, in mirror order: flipped along its second axis a row
        has the tracks of the other strand.
    reverse_complement
        Replace about half of the examples by their other strand, a coin for each: the sequence
        and both axes of the tracks are flipped.
    length
        Take so many bases from the middle of each window; None takes all.
    **options
        ``batch_size``, ``seed``, ``rows`` and ``transform``, as of :class:`Batches`.

    Raises
    ------
    ValueError
        Besides what :class:`Batches` refuses: the arrays do not go together, coins have no seed,
        or the middle cannot be cut out evenly. When a batch is read: tracks that are negative,
        NaN or infinite.
    """

    _holds = np.ndarray

    def __init__(
        self,
        codes: np.ndarray,
        tracks: np.ndarray,
        *,
        reverse_complement: bool = False,
        length: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(codes, tracks, **options)
        require_codes(codes)
        if tracks.shape[2:] != codes.shape[1:]:
            raise ValueError(
                f"codes are {codes.shape} and tracks {tracks.shape}; wanted (N, L) and (N, T, L)."
            )
        if reverse_complement and self.seed is None:
            raise ValueError("reverse_complement tosses coins, and seed is None; wanted a seed.")
        whole = codes.shape[1]
        length = whole if length is None else length
        if not 0 < length <= whole or (whole - length) % 2:
            raise ValueError(
                f"length is {length}; wanted as much cut from both ends of {whole} bases: an "
                f"{'odd' if whole % 2 else 'even'} number up to {whole}."
            )
        self.length, self.reverse_complement = length, reverse_complement
        self._middle = slice((whole - length) // 2, (whole + length) // 2)

    @property
    def about(self) -> dict[str, Any]:
        """See :attr:`Batches.about`."""
        own = {"length": self.length, "reverse_complement": self.reverse_complement}
        return super().about | own

    def _draw(self, generator: torch.Generator | None) -> tuple[Tensor, ...]:
        (order,) = super()._draw(generator)
        if not self.reverse_complement:
            return order, torch.zeros(self.n_rows, dtype=torch.bool)
        return order, torch.rand(self.n_rows, generator=generator) < 0.5

    def _read(self, order: Tensor, *drawn: Tensor) -> Iterator[tuple[Tensor, ...]]:
        parts = (part.split(self.batch_size) for part in (order, *drawn))
        for rows, turned in zip(*parts, strict=True):
            codes, tracks = (
                _gathered(array, rows.numpy())[..., self._middle] for array in self.tensors
            )
            x, y = one_hot_codes(codes).float(), torch.from_numpy(tracks.astype(np.float32))
            require_counts(y, "tracks", rows, self._middle.start)
            _turn(turned, x, y)
            yield x, y


class WindowBatches(Batches):
    """Batches ``(x, counts, mappable)`` of windows around peaks (Chapter 4, section 3).

    Each epoch holds every peak, and background drawn anew, one window for seven peaks. ``x`` is
    ``(B, 4, length)`` one-hot and ``counts`` ``(B, 2, output)``, both ``float32``; ``mappable``
    is ``(B, output)`` bool. About half of the windows are turned to their other strand, and each
    is cut a little to the left or to the right of its middle.

    Parameters
    ----------
    windows
        See :class:`tssbook.data.peaks.Windows`.
    jitter
        Largest shift of the middle to either side, in bp.
    length, output
        How many bp the model reads and predicts, even numbers.
    **options
        ``batch_size``, ``seed``, ``rows`` and ``transform``, as of :class:`Batches`. Without a
        seed all windows come in order, as they are: for validation.

    Raises
    ------
    ValueError
        Besides what :class:`Batches` refuses: the arrays do not go together, there is no peak,
        a number is out of range, or the windows are too short. When a batch is read: reads that
        are negative, NaN or infinite.
    """

    _holds = np.ndarray

    def __init__(
        self,
        windows: Windows,
        *,
        jitter: int = JITTER,
        length: int = LENGTH,
        output: int = OUTPUT,
        **options: Any,
    ) -> None:
        super().__init__(*windows[:4], **options)  # the rest says where they lie
        if jitter < 0 or not 0 < output <= length or length % 2 or output % 2:
            raise ValueError(
                f"jitter is {jitter}, length {length} and output {output}; wanted 0 or more, and "
                "even numbers with output up to length."
            )
        self.jitter, self.length, self.output = 0 if self.seed is None else jitter, length, output
        _require_windows(windows, length + 2 * self.jitter)
        self._read_places = np.arange(-length // 2, length // 2)
        self._asked_places = np.arange(-output // 2, output // 2)
        chosen = self.rows.numpy()
        is_peak = windows.peak[chosen]
        if not is_peak.any():
            raise ValueError("No window is a peak; wanted peak to be True for at least one.")
        self._peaks, self._background = chosen[is_peak], chosen[~is_peak]
        if self.seed is not None:
            n_background = min(len(self._peaks) // _PEAKS_PER_BACKGROUND, len(self._background))
            self.n_rows = len(self._peaks) + n_background

    @property
    def about(self) -> dict[str, Any]:
        """See :attr:`Batches.about`."""
        own = {"jitter": self.jitter, "length": self.length, "output": self.output}
        return super().about | own

    def _draw(self, generator: torch.Generator | None) -> tuple[Tensor, ...]:
        if generator is None:
            shift, turned = np.zeros(self.n_rows, int), np.zeros(self.n_rows, bool)
            return self.rows, torch.from_numpy(shift), torch.from_numpy(turned)
        rng = np.random.default_rng(generator.initial_seed())
        drawn = rng.permutation(self._background)[: self.n_rows - len(self._peaks)]
        order = rng.permutation(np.concatenate([self._peaks, drawn]))
        shift = rng.integers(-self.jitter, self.jitter + 1, self.n_rows)
        turned = rng.random(self.n_rows) < 0.5
        return tuple(map(torch.from_numpy, (order, shift, turned)))

    def _read(self, order: Tensor, *drawn: Tensor) -> Iterator[tuple[Tensor, ...]]:
        codes, reads, mappable, _ = self.tensors
        parts = (part.split(self.batch_size) for part in (order, *drawn))
        for rows, shift, turned in zip(*parts, strict=True):
            each = rows.numpy()[:, None]
            middle = codes.shape[1] // 2 + shift.numpy()[:, None]
            read, asked = middle + self._read_places, middle + self._asked_places
            x = one_hot_codes(codes[each, read]).float()
            counts = reads[each[..., None], np.arange(2)[:, None], asked[:, None]]
            counts = torch.from_numpy(counts.astype(np.float32))
            mask = torch.from_numpy(mappable[each, asked])
            seen = counts.masked_fill(~mask[:, None], 0)
            require_counts(seen, "reads", rows, torch.from_numpy(asked[:, 0]))
            _turn(turned, x, counts, mask)
            yield x, counts, mask


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
    """Mix a seed and an epoch into one seed, so that neighbouring seeds share no epoch.

    Raises
    ------
    ValueError
        If the seed is below 0.
    """
    if seed < 0:
        raise ValueError(f"The seed is {seed}; wanted 0 or more.")
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)


def fingerprint(parts: Sequence[Tensor | np.ndarray], rows: Tensor | None = None) -> str:
    """Return a digest of all that rows hold, and of their numbers: 2 to 3 seconds a gigabyte.

    Parameters
    ----------
    parts
        Each ``(N, ...)``.
    rows
        Which rows, ``(n,)`` int64; None takes all.
    """
    rows = torch.arange(len(parts[0])) if rows is None else rows
    digest = hashlib.sha256(rows.numpy().tobytes())
    for part in parts:
        digest.update(f"{part.dtype} {tuple(part.shape)}".encode())
        for some in rows.split(max(1, _GATHERED_BYTES // max(1, part[0].nbytes))):
            digest.update(_bytes_of(part, some))
    return digest.hexdigest()[:16]


def qualified_name(thing: Any) -> str:
    """Return a name that tells functions and classes apart; of a ``partial`` its settings too."""
    if isinstance(thing, partial):
        return f"{qualified_name(thing.func)} with {thing.args} {thing.keywords}"
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}.{named.__qualname__}"


def _turn(turned: Tensor, *parts: Tensor) -> None:
    """Replace rows by their other strand, in place: all axes but the first are flipped."""
    for part in parts:
        part[turned] = part[turned].flip(*range(1, part.ndim))


def _require_finite(tensor: Tensor | np.ndarray, number: int, rows: Tensor) -> None:
    """Refuse NaN and infinite values in memory; arrays, maybe on disk, are looked at when read."""
    if isinstance(tensor, Tensor) and tensor.is_floating_point() and not tensor.isfinite().all():
        wrong = ~tensor.isfinite()
        wrong = wrong.flatten(1).any(1) if wrong.ndim > 1 else wrong
        if len(bad := rows[wrong[rows.to(wrong.device)].cpu()]):
            raise ValueError(
                f"Tensor {number} holds NaN or infinite values in {len(bad)} rows, the first is "
                f"{bad[0]}; wanted finite numbers: leave these rows out (rows=), or mend them."
            )


def _checked_rows(rows: Rows | None, n: int) -> Tensor:
    if rows is None:
        return torch.arange(n)
    found = np.asarray(rows)
    if found.ndim != 1 or (len(found) and found.dtype.kind not in "iu"):
        raise ValueError(
            f"The rows are {found.dtype} {found.shape}; wanted a list of whole numbers "
            "(np.flatnonzero makes one of a mask)."
        )
    if not len(found) or found.min() < 0 or found.max() >= n:
        said = f"from {found.min()} to {found.max()}" if len(found) else "none"
        raise ValueError(f"The rows are {said}; wanted some from 0 to {n - 1}.")
    return torch.from_numpy(found.astype(np.int64))


def _require_windows(windows: Windows, width: int) -> None:
    require_codes(windows.codes)
    n, found = windows.codes.shape
    shapes = [array.shape for array in windows[1:4]]
    types = [windows.mappable.dtype, windows.peak.dtype]
    if shapes != [(n, 2, found), (n, found), (n,)] or types != [bool, bool]:
        names = zip(Windows._fields[:4], windows[:4], strict=True)
        said = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in names)
        raise ValueError(
            f"The windows have {said}; wanted codes (N, W), reads (N, 2, W) with the + strand "
            "first, mappable bool (N, W) and peak bool (N,)."
        )
    if found < width or found % 2:
        raise ValueError(
            f"The windows are {found} bp wide; wanted an even number of {width} or more: what the "
            "model reads, and the jitter on both sides."
        )


def _bytes_of(part: Tensor | np.ndarray, rows: Tensor) -> bytes:
    """Return what rows of a tensor or an array hold, wherever it is."""
    if isinstance(part, np.ndarray):
        return _gathered(part, rows.numpy()).tobytes()
    copy = part[rows.to(part.device)].detach().cpu().contiguous()
    return copy.view(torch.uint8).numpy().tobytes()  # numpy lacks types such as bfloat16


def _gathered(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Copy rows of an array; of one on disk so that what was read does not stay mapped.

    Pages that a mapping has touched count as this process's memory until the mapping is closed.
    """
    if isinstance(array, np.memmap) and isinstance(array.base, mmap) and array.flags.c_contiguous:
        array = np.memmap(array.filename, array.dtype, "r", array.offset, array.shape)
    return np.asarray(array[rows])

"""Tensors in memory, cut into batches; a model run over them; the device it runs on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

__all__ = [
    "Augmented",
    "Batches",
    "epoch_seed",
    "flip_half",
    "on_device",
    "predict",
    "resolve_device",
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


@torch.no_grad()
def predict(
    model: nn.Module,
    x: Tensor,
    *,
    batch_size: int = 1024,
    device: str | torch.device | None = None,
) -> Tensor:
    """Run a model over many sequences, in evaluation mode and without gradients.

    Parameters
    ----------
    model
        Returns one tensor. Its mode and its device are as before afterwards.
    x
        ``(N, 4, L)``; converted to the type of the model's weights, so bytes are welcome.
    batch_size
        Rows at a time; the result does not depend on it.
    device
        None takes CUDA, Apple's MPS or the CPU, the first there is.

    Returns
    -------
    torch.Tensor
        ``(N, ...)`` on the CPU.

    Raises
    ------
    TypeError
        If ``x`` is no tensor, or the model returns something else than one tensor.
    ValueError
        If ``x`` is not ``(N, 4, L)`` with at least one row.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"x is {type(x).__name__}; wanted a tensor (N, 4, L): call one_hot first.")
    if x.ndim != 3 or x.shape[1] != 4 or len(x) == 0:
        raise ValueError(f"x is {tuple(x.shape)}; wanted (N, 4, L) with at least one sequence.")
    with on_device(model, device) as place:
        model.eval()
        weights = next(model.parameters(), x)
        dtype = weights.dtype if weights.is_floating_point() else torch.float32
        parts = [model(part.to(place, dtype)) for part in x.split(batch_size)]
        if not isinstance(parts[0], Tensor):
            raise TypeError(f"The model returns a {type(parts[0]).__name__}; wanted one tensor.")
        return torch.cat([part.cpu() for part in parts])


def resolve_device(device: str | torch.device | None) -> torch.device:
    """Return the device asked for; None is CUDA, Apple's MPS or the CPU, the first there is."""
    if device is not None:
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@contextmanager
def on_device(model: nn.Module, device: str | torch.device | None) -> Iterator[torch.device]:
    """Move a model for the length of a ``with`` block; then restore its device and mode."""
    home = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    modes = {module: module.training for module in model.modules()}
    place = resolve_device(device)
    try:
        model.to(place)
        yield place
    finally:
        model.to(home)
        for module, training in modes.items():
            module.training = training


def epoch_seed(seed: int, epoch: int) -> int:
    """Mix a seed and an epoch into one seed, so that neighbouring seeds share no epoch."""
    if seed < 0:
        raise ValueError(f"The seed is {seed}; wanted 0 or more.")
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)

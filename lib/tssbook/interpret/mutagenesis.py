"""In-silico mutagenesis: change each base of a sequence to each other, and ask the model.

Chapters 2 and 3. For any model, one prediction per changed sequence, in batches. For the book's
own models only what a change reaches is computed anew (:mod:`tssbook.interpret._incremental_cnn` and
:mod:`tssbook.interpret._incremental_puffin`): the same numbers, tens to hundreds of times faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor, nn
from tqdm import tqdm

from tssbook.interpret._incremental_cnn import Changes, procapnet_changes, promoter_changes
from tssbook.interpret._incremental_puffin import Totals, linear_changes, totals_changes
from tssbook.models.procapnet import ProCapNet
from tssbook.models.promoter import PromoterNet
from tssbook.models.puffin import Puffin, SimpleNet
from tssbook.training.prediction import on_device

__all__ = ["Totals", "ism", "linear_effects"]

# Some edits, as sequence, new base and position, ``(E,)`` each; and the outputs' changes.
Parts: TypeAlias = Iterator[tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, ...]]]

_INCREMENTAL: dict[type, Callable[..., Changes]] = {
    PromoterNet: promoter_changes,
    ProCapNet: procapnet_changes,
    Totals: totals_changes,
}
# Replaced in a SimpleNet or Puffin itself, they would be passed over.
_OWN_STEPS = {"forward", "activations", "effects"}


@torch.no_grad()
def ism(
    model: nn.Module,
    x: Tensor,
    *,
    start: int = 0,
    end: int | None = None,
    batch_size: int = 32,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Tensor | tuple[Tensor, ...]:
    """Return how each single-base change alters a model's predictions (Chapter 2).

    Parameters
    ----------
    model
        Maps ``(N, 4, L)`` to a tensor ``(N, ...)``, or to a tuple of such tensors. It is used in
        evaluation mode and without gradients; its mode and device are as before afterwards. A
        `PromoterNet`, a `ProCapNet`, and the `Totals` of a `SimpleNet` or `Puffin` take the
        incremental path by themselves, as long as their layers are those they were built with,
        in ``float32`` and without hooks.
    x
        One-hot ``(N, 4, L)``, of any type, so bytes are welcome; N is an all-zero column.
    start, end
        Positions to change, ``[start, end)``; None is the end of the sequences.
    batch_size
        Changed sequences per forward pass, where the path is not incremental.
    device
        None takes CUDA, Apple's MPS or the CPU, the first there is.
    progress
        Show a progress bar.

    Returns
    -------
    torch.Tensor or tuple of torch.Tensor
        Prediction for the changed sequence minus prediction for the sequence as it is,
        ``(N, 4, end - start, ...)``, ``float32``, on the CPU; a tuple if the model returns one.
        Row ``b`` is the change to base ``b``, and zero where that base is there already. At an N
        all four rows are changes, from N to a base. Memory beyond the result does not grow with
        the number of sequences; the result may be large: ProCapNet's profiles of one sequence of
        2,114 bp take 68 MB.

    Raises
    ------
    TypeError
        If ``x`` is no tensor, or the model returns something else than tensors.
    ValueError
        If ``x`` is not one-hot ``(N, 4, L)``, the range is empty or leaves the sequences,
        ``batch_size`` is below 1, or an output does not have one row per sequence.
    """
    x = _checked(x)
    length = x.shape[-1]
    end = length if end is None else end
    if not 0 <= start < end <= length:
        raise ValueError(
            f"The positions to change are [{start}, {end}); wanted at least one, within "
            f"[0, {length})."
        )
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; wanted 1 or more.")
    possible = x[..., start:end] == 0
    with (
        on_device(model, device) as place,
        tqdm(total=int(possible.sum()), disable=not progress, unit="edit") as bar,
    ):
        model.eval()
        outputs = [_run(model, part, place) for part in x.split(batch_size)]
        before = tuple(map(torch.cat, zip(*map(_as_tuple, outputs), strict=True)))
        results = tuple(torch.zeros(*possible.shape, *output.shape[1:]) for output in before)
        if _as_built(model):
            parts = _incremental(model, x, possible, start, place)
        else:
            parts = _in_full(model, x, possible, start, place, before, batch_size)
        for (sequence, base, position), changes in parts:
            for result, change in zip(results, changes, strict=True):
                result[sequence, base, position - start] = change.float().cpu()
            bar.update(len(base))
    return results[0] if isinstance(outputs[0], Tensor) else results


@torch.no_grad()
def linear_effects(
    model: SimpleNet | Puffin, x: Tensor, *, device: str | torch.device | None = None
) -> Tensor:
    """Return how each single-base change alters the totals before the softplus (Chapter 3).

    The totals are those of `Totals`, without the softplus. So they are sums of the effects of
    all motifs, and to change them takes no second prediction.

    Parameters
    ----------
    model
        Its device is as before afterwards.
    x
        One-hot ``(N, 4, L)``, of any type; N is an all-zero column.
    device
        None takes CUDA, Apple's MPS or the CPU, the first there is.

    Returns
    -------
    torch.Tensor
        ``(N, 4, L, T)``, ``float32``, on the CPU, as `ism` returns changes: row ``b`` is the change
        to base ``b``, and zero where that base is there already.

    Raises
    ------
    TypeError
        If ``x`` is no tensor, or the model is not a `SimpleNet` or `Puffin` as it was built.
    ValueError
        If ``x`` is not one-hot ``(N, 4, L)``, or too short for the model.
    """
    x = _checked(x)
    if not _as_built(Totals(model)):
        raise TypeError(
            f"The model is a {type(model).__name__}; wanted a SimpleNet or Puffin, in float32, "
            "with the layers it was built with and without hooks. ism(Totals(model), x) takes any."
        )
    with on_device(model, device) as place:
        parts = [linear_changes(model, part.to(place, torch.float32)).cpu() for part in x]
    # What does not change could still differ in the last digit of a gate.
    return torch.stack(parts).masked_fill_(x[..., None] == 1, 0)


def _incremental(
    model: nn.Module, x: Tensor, possible: Tensor, start: int, place: torch.device
) -> Parts:
    """Compute only what changes, one sequence after the other."""
    for number, sequence in enumerate(x):
        position, base = possible[number].T.nonzero().T
        position += start
        engine = _INCREMENTAL[type(model)]
        for index, changes in engine(model, sequence.to(place, torch.float32), base, position):
            yield (torch.full_like(index, number), base[index], position[index]), changes


def _in_full(
    model: nn.Module,
    x: Tensor,
    possible: Tensor,
    start: int,
    place: torch.device,
    before: tuple[Tensor, ...],
    batch_size: int,
) -> Parts:
    """Do the same with one prediction per edit, for any model."""
    together = max(1, batch_size // possible[0].numel())  # short sequences share a batch
    for first in range(0, len(x), together):
        found = possible[first : first + together].transpose(1, 2).nonzero()
        for sequence, position, base in (part.T for part in found.split(batch_size)):
            sequence, position = sequence + first, position + start
            changed, row = x[sequence], torch.arange(len(base))
            changed[row, :, position] = 0
            changed[row, base, position] = 1
            after = _as_tuple(_run(model, changed, place))
            number = sequence.to(place)
            yield (
                (sequence, base, position),
                tuple(new - old[number] for new, old in zip(after, before, strict=True)),
            )


def _run(model: nn.Module, x: Tensor, place: torch.device) -> Tensor | tuple[Tensor, ...]:
    weights = next(model.parameters(), None)
    dtype = weights.dtype if weights is not None and weights.is_floating_point() else torch.float32
    output = model(x.to(place, dtype))
    for part in _as_tuple(output):
        if not isinstance(part, Tensor):
            raise TypeError(
                f"The model returns a {type(part).__name__}; wanted a tensor or a tuple of tensors."
            )
        if part.ndim == 0 or len(part) != len(x):
            raise ValueError(
                f"The model returns {tuple(part.shape)} for {len(x)} sequences; wanted one row "
                "per sequence."
            )
    return output


def _as_tuple(output: object) -> tuple:
    return output if isinstance(output, tuple) else (output,)


def _as_built(model: nn.Module) -> bool:
    """Say whether the incremental path knows all that this model does."""
    if type(model) not in _INCREMENTAL or "forward" in vars(model):
        return False
    if any(m._forward_hooks or m._forward_pre_hooks for m in model.modules()):
        return False
    if any(p.dtype != torch.float32 for p in model.parameters()):
        return False
    if type(model) is Totals:
        model = model.model
        if type(model) not in (SimpleNet, Puffin) or _OWN_STEPS & vars(model).keys():
            return False
    with torch.device("meta"):
        twin = type(model)(**model.config)
    return _anatomy(model) == _anatomy(twin)


def _anatomy(model: nn.Module) -> tuple[list, dict]:
    """Return the layers with their geometry, and the shapes of all tensors."""
    shaped = (nn.Conv1d, nn.ConvTranspose1d, nn.MaxPool1d)
    layers = [
        (name, type(m), m.extra_repr() if isinstance(m, shaped) else "")
        for name, m in model.named_modules()
    ]
    return layers, {name: tensor.shape for name, tensor in model.state_dict().items()}


def _checked(x: Tensor) -> Tensor:
    """Return a one-hot tensor on the CPU; refuse what is none."""
    if not isinstance(x, Tensor):
        raise TypeError(f"x is {type(x).__name__}; wanted a tensor (N, 4, L): call one_hot first.")
    if x.ndim != 3 or x.shape[1] != 4 or x.numel() == 0:
        raise ValueError(f"x is {tuple(x.shape)}; wanted (N, 4, L) with at least one base.")
    x = x.detach().cpu()
    ones = x == 1
    wrong = (ones.sum(1) > 1) | ~(ones | (x == 0)).all(1)
    if wrong.any():
        sequence, position = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"x is not one-hot at position {position} of sequence {sequence} (counted from 0): "
            f"{x[sequence, :, position].tolist()}; wanted a single 1, or four zeros for N."
        )
    return x

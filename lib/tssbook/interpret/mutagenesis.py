"""In-silico mutagenesis: change each base of a sequence to each other, and ask the model.

Chapters 2 to 4. For any model, one prediction per changed sequence, in batches. For the book's
own models only what a change reaches is computed anew, tens to hundreds of times faster
(:mod:`tssbook.interpret._incremental_cnn` and :mod:`tssbook.interpret._incremental_puffin`). Those
numbers are believed only where they hold: a few of them are predicted in full at each call, and if
these differ, all are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor, nn
from tqdm import tqdm

from tssbook.interpret._incremental_cnn import Changes, procapnet_changes, promoter_changes
from tssbook.interpret._incremental_puffin import totals_changes
from tssbook.interpret.funcs import Func
from tssbook.interpret.heads import Totals, asked
from tssbook.models.procapnet import ProCapNet
from tssbook.models.promoter import PromoterNet
from tssbook.models.puffin import Puffin, SimpleNet
from tssbook.sequence import require_positive, require_sequences
from tssbook.training.prediction import on_device, run

__all__ = ["ism"]

# Some changes: sequence, new base and position of each, ``(E,)``.
Edits: TypeAlias = tuple[Tensor, Tensor, Tensor]
# And by how much they alter each output, ``(E, ...)``.
Parts: TypeAlias = Iterator[tuple[Edits, tuple[Tensor, ...]]]

_FAST: dict[type, Callable[..., Changes]] = {
    PromoterNet: promoter_changes,
    ProCapNet: procapnet_changes,
    Totals: totals_changes,
}
_CHECKED = 4  # changes per call that are predicted in full as well
# They may differ by so much of the largest change, and of the largest prediction: rounding, of
# about 24 bits. Accelerators add up in other orders.
_OF_CHANGE, _OF_PREDICTION, _OF_PREDICTION_ELSEWHERE = 1e-3, 2e-6, 1e-4


@torch.no_grad()
def ism(
    model: nn.Module,
    x: Tensor,
    func: Func | str | None = None,
    *,
    start: int = 0,
    end: int | None = None,
    batch_size: int = 16,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Tensor | tuple[Tensor, ...]:
    """Return how each single-base change alters a model's predictions (Chapter 2).

    Parameters
    ----------
    model
        Maps ``(N, 4, L)`` to a tensor ``(N, ...)``, or to a tuple of such tensors. It is used in
        evaluation mode and without gradients; its mode and device are as before afterwards. A
        `PromoterNet`, a `ProCapNet`, and the `totals` of a `SimpleNet` or `Puffin` take a fast
        path.
    x
        One-hot ``(N, 4, L)``, of any type, so bytes are welcome; N is an all-zero column.
    func
        Which numbers of the model's output are asked about, ``func(model, x) -> (N,)`` or
        ``(N, K)``, or a name such as ``"totals"``; see :mod:`tssbook.interpret.funcs`. None is
        all that the model returns, of any shape.
    start, end
        Positions to change, ``[start, end)``; None is the end of the sequences.
    batch_size
        Changed sequences per forward pass, where the path is not the fast one.
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
        If ``x`` is no tensor, or model or ``func`` return something else.
    ValueError
        If ``x`` is not one-hot ``(N, 4, L)``, the range is empty or leaves the sequences,
        ``batch_size`` is below 1, no ``func`` has that name, or an output does not have one row
        per sequence.

    Warns
    -----
    RuntimeWarning
        If the model is of a type that has a fast path, and yet every change is predicted in full;
        with the reason.
    """
    require_sequences(x, one_hot=True)
    x, length = x.detach().cpu(), x.shape[-1]
    end = length if end is None else end
    if not 0 <= start < end <= length:
        raise ValueError(
            f"The positions to change are [{start}, {end}); wanted at least one, within "
            f"[0, {length})."
        )
    require_positive(batch_size=batch_size)
    model = model if func is None else asked(model, func)
    possible = x[..., start:end] == 0
    with (
        on_device(model, device, exact=True) as place,
        tqdm(total=int(possible.sum()), disable=not progress, unit="edit") as bar,
    ):
        model.eval()
        outputs = [run(model, part, place) for part in x.split(batch_size)]
        before = tuple(map(torch.cat, zip(*map(_as_tuple, outputs), strict=True)))
        results = tuple(torch.zeros(*possible.shape, *output.shape[1:]) for output in before)

        def in_full(edits: Iterable[Edits]) -> Parts:
            return _predicted(model, x, before, edits, batch_size, place)

        engine = _fast_path(model)
        reason = _obstacle(model) if engine else None
        if engine and not reason:
            try:
                _fill(results, _incremental(engine, model, x, possible, start, place), start, bar)
                reason = _disagreement(results, in_full([_some(possible, start)]), before, start)
            except (AttributeError, RuntimeError, TypeError) as error:  # of layers it does not know
                reason = f"the fast path fails ({error})"
        if reason:
            warnings.warn(
                f"This {type(model).__name__} is predicted in full for every change, as {reason}: "
                "right, but slow.",
                RuntimeWarning,
                stacklevel=3,
            )
            bar.reset()
        if reason or not engine:
            _fill(results, in_full(_all(possible, start, batch_size)), start, bar)
    return results[0] if isinstance(outputs[0], Tensor) else results


def _fast_path(model: nn.Module) -> Callable[..., Changes] | None:
    """Return the function that computes only what a change alters, or None: by the model's type.

    It takes the model, in evaluation mode, one sequence ``(4, L)``, and the bases and positions
    of changes, and yields some of their numbers at a time, with the changes of the outputs. A
    subclass has none, as it may do something else.
    """
    if type(model) is Totals and type(model.model) not in (SimpleNet, Puffin):
        return None
    return _FAST.get(type(model))


def _obstacle(model: nn.Module) -> str | None:
    """Say why the fast path is not even tried."""
    if any(m._forward_hooks or m._forward_pre_hooks for m in model.modules()):
        return "it has hooks, which would not be called"
    others = {p.dtype for p in model.parameters()} - {torch.float32}
    return f"its weights are {others.pop()}, not torch.float32" if others else None


def _disagreement(
    results: tuple[Tensor, ...], parts: Parts, before: tuple[Tensor, ...], start: int
) -> str | None:
    """Compare some results with predictions in full; say by how much they differ, if they do."""
    for (sequence, base, position), changes in parts:
        for result, change, output in zip(results, changes, before, strict=True):
            found, expected = result[sequence, base, position - start], change.float().cpu()
            on_cpu = output.device.type == "cpu"
            share = _OF_PREDICTION if on_cpu else _OF_PREDICTION_ELSEWHERE
            allowed = _OF_CHANGE * expected.abs().max() + share * output.abs().max().cpu()
            error = (found - expected).abs().max()
            if not error <= allowed:  # NaN is no agreement either
                return (
                    f"the fast path differs by {error:.2g} where changes are up to "
                    f"{expected.abs().max():.2g}"
                )
    return None


# --- the two ways -----------------------------------------------------------------------------


def _incremental(
    engine: Callable[..., Changes],
    model: nn.Module,
    x: Tensor,
    possible: Tensor,
    start: int,
    place: torch.device,
) -> Parts:
    """Compute only what changes, one sequence after the other."""
    for number, sequence in enumerate(x):
        position, base = possible[number].T.nonzero().T
        position += start
        for index, changes in engine(model, sequence.to(place, torch.float32), base, position):
            yield (torch.full_like(index, number), base[index], position[index]), changes


def _predicted(
    model: nn.Module,
    x: Tensor,
    before: tuple[Tensor, ...],
    edits: Iterable[Edits],
    batch_size: int,
    place: torch.device,
) -> Parts:
    """Do the same with one prediction per edit, for any model."""
    for some in edits:
        for edit in zip(*(part.split(batch_size) for part in some), strict=True):
            sequence, base, position = edit
            changed, row = x[sequence], torch.arange(len(base))
            changed[row, :, position] = 0
            changed[row, base, position] = 1
            after, number = _as_tuple(run(model, changed, place)), sequence.to(place)
            yield edit, tuple(new - old[number] for new, old in zip(after, before, strict=True))


def _all(possible: Tensor, start: int, batch_size: int) -> Iterator[Edits]:
    """Yield all edits, position by position; short sequences share a batch."""
    together = max(1, batch_size // possible[0].numel())
    for first in range(0, len(possible), together):
        found = possible[first : first + together].transpose(1, 2).nonzero()
        sequence, position, base = found.T
        yield sequence + first, base, position + start


def _some(possible: Tensor, start: int) -> Edits:
    """Choose edits at random, one of them at either end of the range; the same at each call."""
    generator = torch.Generator().manual_seed(0)
    sequence = torch.randint(len(possible), (_CHECKED,), generator=generator)
    position = torch.randint(possible.shape[-1], (_CHECKED,), generator=generator)
    position[0], position[-1] = 0, possible.shape[-1] - 1
    choice = possible[sequence, :, position].float()  # (E, 4)
    return sequence, choice.multinomial(1, generator=generator)[:, 0], position + start


def _fill(results: tuple[Tensor, ...], parts: Parts, start: int, bar: tqdm) -> None:
    for (sequence, base, position), changes in parts:
        for result, change in zip(results, changes, strict=True):
            result[sequence, base, position - start] = change.float().cpu()
        bar.update(len(base))


def _as_tuple(output: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return output if isinstance(output, tuple) else (output,)

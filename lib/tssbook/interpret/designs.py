"""Edit a sequence until a model says what one wants: Chapter 4, section 8.

Ledidi (Schreiber et al. 2025) looks for few edits that bring a model's prediction to a target.
Its penalty makes edits few, but sets no limit to them: what it finds is pruned here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tssbook.interpret.funcs import Func, strands
from tssbook.interpret.heads import Columns, asked, require_one
from tssbook.sequence import decode, require_positive
from tssbook.training.prediction import on_device, with_gradients

__all__ = ["Design", "design", "flip_strand"]

_OFF = -8.0  # log probability of the strand that is to fall silent
_BATCH = 8  # sequences that Ledidi draws per step


class Design(NamedTuple):
    """What `design` and `flip_strand` return.

    Attributes
    ----------
    x : torch.Tensor
        The designed sequence, one-hot ``(1, 4, L)``, ``float32``, on the CPU.
    edits : list of tuple
        ``(position, base before, base after)``, by position, 0-based.
    before, after : tuple of float
        What the model that was given says of the sequence as it was and of the design, ``(K,)``:
        what was asked; of `flip_strand` the probability of initiation on the + and on the -
        strand, by one softmax over all bases of both.
    """

    x: Tensor
    edits: list[tuple[int, str, str]]
    before: tuple[float, ...]
    after: tuple[float, ...]


def design(
    model: nn.Module,
    x: Tensor,
    func: Func | str | None,
    target: float | Sequence[float],
    *,
    seed: int,
    max_edits: int = 40,
    max_iter: int = 100,
    edit_cost: float = 0.1,
    device: str | torch.device | None = None,
) -> Design:
    """Edit a sequence until what is asked of a model is near a target.

    Parameters
    ----------
    model
        Any differentiable model. It is used in evaluation mode and left as it was.
    x
        One sequence, one-hot ``(1, 4, L)`` of any type, without N.
    func
        What is asked, a differentiable ``func(model, x) -> (N,)`` or ``(N, K)``, or a name; see
        :mod:`tssbook.interpret.funcs`. None is what the model returns.
    target
        The K numbers that are wanted; one of them may stand alone.
    seed
        Of the edits that Ledidi draws.
    max_edits
        The design has no more than so many.
    max_iter
        Steps of Ledidi, in each of which it draws 8 sequences.
    edit_cost
        What an edit costs Ledidi, in the unit of the mean squared distance to the target, 0 or
        more. The default is its own, for numbers of about 1 to 10: where all that an edit can
        bring is less, none is made.
    device
        None takes CUDA, Apple's MPS or the CPU, the first there is.

    Returns
    -------
    Design
        The best that was found; look at ``after`` whether it is good enough. It says what the
        model believes, not what a cell would do.

    Raises
    ------
    TypeError
        If ``x`` is no tensor, or the model has other outputs.
    ValueError
        If ``x`` is not one sequence of A, C, G and T, or too short for the model, the target has
        not one finite number for each that is asked, or a number is out of range.
    """
    require_one(x)
    require_positive(max_edits=max_edits, max_iter=max_iter)
    if not 0 <= edit_cost < math.inf:
        raise ValueError(f"edit_cost is {edit_cost!r}; wanted a finite number of 0 or more.")
    with with_gradients(), on_device(model, device) as place:
        model.eval()
        x = x.detach().to(place, torch.float32, copy=True)
        before = _answer(model, x, func)
        wanted = torch.as_tensor(target, dtype=torch.float32, device=place).reshape(1, -1)
        if wanted.shape[1] != len(before) or not wanted.isfinite().all():
            raise ValueError(
                f"The target is {target}; wanted finite numbers, as many as func gives, which is "
                f"{len(before)}: now {', '.join(f'{value:.3g}' for value in before)}."
            )
        # A copy, as Ledidi freezes the weights of what it is given.
        question = Columns(asked(copy.deepcopy(model), func)).eval()
        found = _ledidi(question, x, wanted, seed, max_iter, edit_cost)
        found = _pruned(question, x, found, wanted, max_edits)
        after = _answer(model, found, func)
    old, new = decode(x)[0], decode(found)[0]
    edits = [(i, a, b) for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
    return Design(found.cpu(), edits, before, after)


def flip_strand(
    model: nn.Module,
    x: Tensor,
    *,
    seed: int,
    target: Sequence[float] | None = None,
    max_edits: int = 40,
    max_iter: int = 100,
    device: str | torch.device | None = None,
) -> Design:
    """Edit a promoter until it fires on the other strand (Chapter 4, section 8).

    This is `design` with the func `strands`.

    Parameters
    ----------
    model
        Has two heads, with two strands and one count, as ProCapNet has.
    target
        Log probability of the + and of the - strand. None is (0, -8) where the - strand is the
        stronger one and (-8, 0) where it is the weaker.
    x, seed, max_edits, max_iter, device
        As for `design`.

    Returns
    -------
    Design
        With probabilities of the strands, not their logarithms.

    Raises
    ------
    TypeError
        If ``x`` is no tensor, or the model has other outputs.
    ValueError
        As for `design`; or the target is not two log probabilities.
    """
    require_one(x)
    if target is None:
        with on_device(model, device) as place:
            model.eval()
            plus, minus = _answer(model, x.to(place), strands)
        target = (0.0, _OFF) if minus > plus else (_OFF, 0.0)
    found = design(
        model, x, strands, _log_probabilities(target), seed=seed, max_edits=max_edits,
        max_iter=max_iter, device=device,
    )  # fmt: skip
    before, after = (tuple(map(math.exp, values)) for values in (found.before, found.after))
    return found._replace(before=before, after=after)


@torch.no_grad()
def _answer(model: nn.Module, x: Tensor, func: Func | str | None) -> tuple[float, ...]:
    """Return what the model says of one sequence."""
    return tuple(Columns(asked(model, func))(x)[0].tolist())


def _ledidi(
    question: nn.Module, x: Tensor, wanted: Tensor, seed: int, max_iter: int, edit_cost: float
) -> Tensor:
    """Return the best of the sequences that Ledidi draws, ``(1, 4, L)``."""
    from ledidi import Ledidi

    designer = Ledidi(
        question,
        tuple(x.shape[1:]),
        l=edit_cost,
        batch_size=_BATCH,
        max_iter=max_iter,
        random_state=seed,
        verbose=False,
    ).to(x.device)
    # Its ones are 1 but for the last digit.
    drawn = designer.fit_transform(x, wanted).detach().round()
    cost = _misses(question, drawn, wanted) + edit_cost * (drawn != x).any(1).sum(1)
    return drawn[cost.argmin()][None]


def _pruned(question: nn.Module, x: Tensor, found: Tensor, wanted: Tensor, limit: int) -> Tensor:
    """Revert the edits that are missed least, until there are few and each is missed."""
    miss = _misses(question, found, wanted)
    while len(places := (found != x).any(1)[0].nonzero().flatten()):
        without, row = found.repeat(len(places), 1, 1), torch.arange(len(places), device=x.device)
        without[row, :, places] = x[0, :, places].T
        misses = _misses(question, without, wanted)
        excess = len(places) - limit
        if excess <= 0 and misses.min() > miss:
            break
        # Half of what is too much at a time: what one edit is worth depends on the others.
        reverted = places[misses.argsort()[: max(1, excess // 2)]]
        found = found.clone()
        found[..., reverted] = x[..., reverted]
        miss = _misses(question, found, wanted)
    return found


@torch.no_grad()
def _misses(question: nn.Module, x: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean squared distance to the target of each sequence, ``(N,)``."""
    parts = [(question(part) - wanted).square().mean(1) for part in x.split(_BATCH)]
    return torch.cat(parts)


def _log_probabilities(target: Sequence[float]) -> tuple[float, ...]:
    values = tuple(float(value) for value in target)
    if len(values) != 2 or not all(-math.inf < value <= 0 for value in values):
        raise ValueError(
            f"The target is {values}; wanted two log probabilities, of the + and of the - "
            "strand, each 0 or less: (math.log(0.5), math.log(0.5)) for both alike."
        )
    return values

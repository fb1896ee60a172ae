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

from tssbook.interpret.heads import require_one, two_heads
from tssbook.models.procapnet import to_proba
from tssbook.sequence import decode, require_positive
from tssbook.training.prediction import on_device, with_gradients

__all__ = ["Design", "flip_strand"]

_OFF = -8.0  # log probability of the strand that is to fall silent
_PER_EDIT = 0.1  # what an edit costs, in squared log probability: Ledidi's own default
_BATCH = 8  # sequences that Ledidi draws per step


class Design(NamedTuple):
    """What `flip_strand` returns.

    Attributes
    ----------
    x : torch.Tensor
        The designed sequence, one-hot ``(1, 4, L)``, ``float32``, on the CPU.
    edits : list of tuple
        ``(position, base before, base after)``, by position, 0-based.
    before, after : tuple of float
        Probability of initiation on the + and on the - strand, for the sequence as it was and for
        the design: sums of the one softmax over both strands of the model that was given.
    """

    x: Tensor
    edits: list[tuple[int, str, str]]
    before: tuple[float, float]
    after: tuple[float, float]


class _Strands(nn.Module):
    """The log probability of each strand: ``(N, 4, L)`` to ``(N, 2)``.

    The log of the sum of the exponentials of each strand's logits, normalised over the two.

    Parameters
    ----------
    model
        Returns profile logits and count logits, as ProCapNet does.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, 4, L)`` to log probabilities ``(N, 2)``, the + strand first."""
        profile, _ = two_heads(self.model, x)  # (N, 2, L_out)
        return profile.logsumexp(-1).log_softmax(-1)


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

    Parameters
    ----------
    model
        Returns profile logits and count logits, as ProCapNet does. It is used in evaluation mode
        and left as it was.
    x
        One sequence, one-hot ``(1, 4, L)`` of any type, without N.
    seed
        Of the edits that Ledidi draws.
    target
        Log probability of the + and of the - strand. None is (0, -8) where the - strand is the
        stronger one and (-8, 0) where it is the weaker.
    max_edits
        The design has no more than so many.
    max_iter
        Steps of Ledidi, in each of which it draws 8 sequences.
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
        If ``x`` is not one sequence of A, C, G and T, or too short for the model, the target is
        not two log probabilities, or a number is below 1.
    """
    require_one(x)
    require_positive(max_edits=max_edits, max_iter=max_iter)
    given = None if target is None else _checked(target)
    with with_gradients(), on_device(model, device) as place:
        model.eval()
        x = x.detach().to(place, torch.float32, copy=True)
        before = _probabilities(model, x)
        wanted = (0.0, _OFF) if before[1] > before[0] else (_OFF, 0.0)
        wanted = torch.tensor([given or wanted], device=place)  # (1, 2)
        strands = _Strands(copy.deepcopy(model))  # Ledidi freezes the weights of what it is given
        found = _ledidi(strands, x, wanted, seed, max_iter)
        found = _pruned(strands, x, found, wanted, max_edits)
        after = _probabilities(model, found)
    old, new = decode(x)[0], decode(found)[0]
    edits = [(i, a, b) for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
    return Design(found.cpu(), edits, before, after)


def _ledidi(strands: nn.Module, x: Tensor, wanted: Tensor, seed: int, max_iter: int) -> Tensor:
    """Return the best of the sequences that Ledidi draws, ``(1, 4, L)``."""
    from ledidi import Ledidi

    designer = Ledidi(
        strands,
        tuple(x.shape[1:]),
        l=_PER_EDIT,
        batch_size=_BATCH,
        max_iter=max_iter,
        random_state=seed,
        verbose=False,
    ).to(x.device)
    # Its ones are 1 but for the last digit.
    drawn = designer.fit_transform(x, wanted).detach().round()
    cost = _misses(strands, drawn, wanted) + _PER_EDIT * (drawn != x).any(1).sum(1)
    return drawn[cost.argmin()][None]


def _pruned(strands: nn.Module, x: Tensor, found: Tensor, wanted: Tensor, limit: int) -> Tensor:
    """Revert the edits that are missed least, until there are few and each is missed."""
    miss = _misses(strands, found, wanted)
    while len(places := (found != x).any(1)[0].nonzero().flatten()):
        without, row = found.repeat(len(places), 1, 1), torch.arange(len(places), device=x.device)
        without[row, :, places] = x[0, :, places].T
        misses = _misses(strands, without, wanted)
        excess = len(places) - limit
        if excess <= 0 and misses.min() > miss:
            break
        # Half of what is too much at a time: what one edit is worth depends on the others.
        reverted = places[misses.argsort()[: max(1, excess // 2)]]
        found = found.clone()
        found[..., reverted] = x[..., reverted]
        miss = _misses(strands, found, wanted)
    return found


@torch.no_grad()
def _misses(strands: nn.Module, x: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean squared error of the log probabilities of each sequence, ``(N,)``."""
    parts = [(strands(part) - wanted).square().mean(1) for part in x.split(_BATCH)]
    return torch.cat(parts)


@torch.no_grad()
def _probabilities(model: nn.Module, x: Tensor) -> tuple[float, float]:
    """Return what the model itself gives each strand, by one softmax over all bases of both."""
    profile, _ = two_heads(model, x)
    plus, minus = to_proba(profile.double()).sum(-1)[0].tolist()
    return plus, minus


def _checked(target: Sequence[float]) -> tuple[float, ...]:
    values = tuple(float(value) for value in target)
    if len(values) != 2 or not all(-math.inf < value <= 0 for value in values):
        raise ValueError(
            f"The target is {values}; wanted two log probabilities, of the + and of the - "
            "strand, each 0 or less: (math.log(0.5), math.log(0.5)) for both alike."
        )
    return values

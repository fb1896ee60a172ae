"""The checks of the exercises: each looks at an answer and says what it finds.

A check returns a :class:`Verdict`; shown in a notebook it is one sentence. An answer of None
counts as not attempted, so that the notebooks run before anybody has solved them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tssbook.metrics import mse
from tssbook.sequence import codes, decode, kmers

__all__ = ["Verdict", "better_model", "learning_rates", "position_bonus"]

RATES = (0.001, 0.005, 0.01, 0.05, 0.1)


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes
    ----------
    passed : bool or None
        None if there was nothing to check yet.
    message : str
        One sentence for the reader.
    """

    passed: bool | None
    message: str

    def __repr__(self) -> str:
        """Return the mark and the message, which is what a notebook shows."""
        mark = {True: "Passed", False: "Not yet", None: "Not attempted yet"}[self.passed]
        return f"{mark}: {self.message}" if self.message else f"{mark}."


_EMPTY = Verdict(None, "")


def position_bonus(answer: Callable[[Sequence[str]], Sequence[float]] | None) -> Verdict:
    """Check Chapter 1, exercise 1: the bonus shrinks with the position of the first copy.

    The rule asked for: the mean of the base scores, plus ``10 * (6 - p) / 6`` for the first
    TAT, starting at position ``p`` (0 to 5), and minus the same for the first GCG.

    Parameters
    ----------
    answer
        A function from a list of 8-mers to their scores, ``(N,)``.
    """
    words = kmers(8)
    given = None if answer is None else answer(words)
    if given is None:
        return _EMPTY
    given = np.asarray(given, dtype=float)
    if given.shape != (len(words),):
        return Verdict(False, f"the result has shape {given.shape}, wanted ({len(words)},).")
    if np.allclose(given, _position_scores(words), atol=1e-3):
        return Verdict(True, f"all {len(words):,} 8-mers have the score of the new rule.")
    for slip, scores in _position_slips(words):
        if np.allclose(given, scores, atol=1e-3):
            return Verdict(False, slip)
    wanted = _position_scores(words)
    first = int(np.flatnonzero(~np.isclose(given, wanted, atol=1e-3))[0])
    return Verdict(
        False,
        f"{words[first]} should score {wanted[first]:.3f} and scores {given[first]:.3f}.",
    )


def _position_scores(
    words: Sequence[str],
    *,
    weight: Callable[[int], float] = lambda p: (6 - p) / 6,
    places: Callable[[list[int]], list[int]] = lambda starts: starts[:1],
    signs: tuple[float, float] = (10.0, -10.0),
) -> np.ndarray:
    scores = np.array([20.0, 17.0, 14.0, 11.0])[codes(words)].mean(axis=1)
    for motif, sign in zip(("TAT", "GCG"), signs, strict=True):
        for index, word in enumerate(words):
            if motif in word:
                starts = [p for p in range(6) if word.startswith(motif, p)]
                scores[index] += sign * sum(weight(p) for p in places(starts))
    return scores


def _position_slips(words: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    """Return typical wrong answers, with what to say of each."""
    return [
        ("this is the old rule: the bonus does not depend on the position yet.",
         _position_scores(words, weight=lambda p: 1.0)),
        ("the bonus grows towards the end; a motif at the start should count most.",
         _position_scores(words, weight=lambda p: (p + 1) / 6)),
        ("every copy adds its bonus; only the first copy should.",
         _position_scores(words, places=lambda starts: starts)),
        ("the last copy counts; the first one should.",
         _position_scores(words, places=lambda starts: starts[-1:])),
        ("GCG has no effect; it should subtract what TAT would add at the same position.",
         _position_scores(words, signs=(10.0, 0.0))),
        ("GCG adds; it should subtract.",
         _position_scores(words, signs=(10.0, 10.0))),
        ("positions seem to be counted from 1: the first place should give the whole bonus.",
         _position_scores(words, weight=lambda p: (5 - p) / 6)),
    ]  # fmt: skip


def learning_rates(table: pd.DataFrame | None, recommended: Mapping[str, float] | None) -> Verdict:
    """Check Chapter 1, exercise 2: a table of validation losses, and a choice from it.

    Parameters
    ----------
    table
        Index: the five learning rates; columns ``linear`` and ``cnn``: validation loss after
        the last epoch, inf where the training diverged.
    recommended
        The learning rate chosen for ``linear`` and for ``cnn``.
    """
    if table is None or recommended is None:
        return _EMPTY
    if sorted(table.columns) != ["cnn", "linear"] or not set(recommended) >= {"linear", "cnn"}:
        return Verdict(False, "wanted columns linear and cnn, and one recommendation for each.")
    if len(table) != len(RATES) or not np.allclose(sorted(table.index), RATES):
        return Verdict(False, f"the index should hold the learning rates {RATES}.")
    if table.isna().to_numpy().any():
        return Verdict(False, "there are NaN in the table; write inf where a training diverged.")
    if table["linear"].min() < 12:
        return Verdict(False, "the linear model cannot come below about 13; is it the CNN's loss?")
    if table["linear"].min() > 13.5:
        return Verdict(False, "the linear model has not converged at any rate; train it longer.")
    if table["cnn"].min() > 6:
        return Verdict(False, "the CNN has hardly learned at any rate; train it for 10 epochs.")
    for model in ("linear", "cnn"):
        losses = table[model]
        if recommended[model] not in list(losses.index):
            return Verdict(False, f"{recommended[model]} for {model} is not one of the five rates.")
        chosen, best = losses[recommended[model]], losses.min()
        if chosen > 1.05 * best:
            return Verdict(
                False,
                f"for {model} you recommend {recommended[model]} (loss {chosen:.2f}), but "
                f"{losses.idxmin()} gives {best:.2f}.",
            )
    spread = {name: table[name].max() / table[name].min() for name in ("linear", "cnn")}
    if spread["cnn"] < spread["linear"]:
        return Verdict(False, "the CNN should be the more sensitive one; are the columns swapped?")
    return Verdict(
        True, "the rates that you recommend are the best ones, and the CNN depends on them far more."
    )


@torch.no_grad()
def better_model(model: nn.Module | None, x: Tensor, target: Tensor) -> Verdict:
    """Check Chapter 1, exercise 3: a model with a test error below 0.01.

    Parameters
    ----------
    model
        Takes one-hot ``(N, 4, 8)`` and returns scores ``(N,)``.
    x, target
        The test sequences ``(N, 4, 8)`` and their scores ``(N,)``.
    """
    if model is None:
        return _EMPTY
    model.eval()
    prediction = model(x)
    if prediction.shape != target.shape:
        return Verdict(
            False,
            f"the model returns {tuple(prediction.shape)}, wanted {tuple(target.shape)}; "
            "squeeze(-1) removes a last axis of length 1.",
        )
    if not prediction.isfinite().all():
        return Verdict(False, "some predictions are NaN or infinite; the training has diverged.")
    error = float(mse(prediction, target))
    if error < 0.01:
        return Verdict(True, "the test error is below 0.01.")
    if float(prediction.std()) < 0.1:
        return Verdict(False, f"the model predicts nearly the same for all (error {error:.2f}).")
    repeated = torch.tensor([_copies(word) > 1 for word in decode(x)])
    squared = (prediction - target).square()
    several, single = float(squared[repeated].mean()), float(squared[~repeated].mean())
    if several > 3 * single:
        return Verdict(
            False,
            f"the test error is {error:.3f}: {several:.2f} where a motif occurs more than once and "
            f"{single:.2f} elsewhere, so the model still counts copies.",
        )
    return Verdict(False, f"the test error is {error:.3f}, wanted below 0.01.")


def _copies(word: str) -> int:
    return max(sum(word.startswith(motif, p) for p in range(6)) for motif in ("TAT", "GCG"))

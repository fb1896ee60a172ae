"""The checks of the exercises: each looks at an answer and says what it finds.

A check returns a :class:`Verdict`; shown in a notebook it is one sentence. An answer of None
counts as not attempted, so that the notebooks run before anybody has solved them. An answer of
the wrong type or shape gets a sentence too; only errors inside the answer's own code are raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from numbers import Real

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tssbook.exercises.verdict import EMPTY, Verdict, asked, numbers
from tssbook.metrics import mse
from tssbook.sequence import codes, decode, kmers

__all__ = ["Verdict", "better_model", "learning_rates", "position_bonus"]

RATES = (0.001, 0.005, 0.01, 0.05, 0.1)


def position_bonus(answer: Callable[[Sequence[str]], Sequence[float]] | None) -> Verdict:
    """Check Chapter 1, exercise 1: the bonus shrinks with the position of the first copy.

    The rule asked for: the mean of the base scores, plus ``10 * (6 - p) / 6`` for the first
    TAT, starting at position ``p`` (0 to 5), and minus the same for the first GCG.

    Parameters
    ----------
    answer
        A function from a list of 8-mers to their scores, ``(N,)``.
    """
    if answer is None:
        return EMPTY
    if not callable(answer):
        return Verdict(False, "position_score should be a function of a list of words.")
    words = kmers(8)
    try:
        result = answer(list(words))
    except Exception:
        with suppress(Exception):  # the error that counts is the one above
            one = answer(words[0])
            if one is not None and numbers(one).ndim == 0:
                return Verdict(False, _ONE_WORD)
        raise
    if result is None:
        return EMPTY
    given, kind = numbers(result), type(result).__name__
    if given is None:
        return Verdict(False, f"the function returns a {kind}; wanted {len(words):,} numbers.")
    if given.shape != (len(words),):
        return Verdict(False, f"the result has shape {given.shape}, wanted ({len(words)},).")
    wanted = _position_scores(words)
    wrong = ~np.isclose(given, wanted, atol=1e-3)
    if not wrong.any():
        return Verdict(True, f"all {len(words):,} 8-mers have the score of the new rule.")
    for slip, change in _POSITION_SLIPS:
        if np.allclose(given, _position_scores(words, **change), atol=1e-3):
            return Verdict(False, slip)
    i = int(wrong.argmax())
    return Verdict(False, f"{words[i]} should score {wanted[i]:.3f} and scores {given[i]:.3f}.")


def _hits(words: Sequence[str], motif: str) -> np.ndarray:
    """Return where a motif starts, ``(N, places)``."""
    windows = np.lib.stride_tricks.sliding_window_view(codes(words), len(motif), axis=1)
    return (windows == codes(motif)).all(-1)


def _first(hits: np.ndarray) -> np.ndarray:
    return hits & (hits.cumsum(1) == 1)


def _last(hits: np.ndarray) -> np.ndarray:
    return _first(hits[:, ::-1])[:, ::-1]


_P = np.arange(6)  # the places where three letters fit into eight
_SHARE = (6 - _P) / 6


def _position_scores(
    words: Sequence[str],
    *,
    share: np.ndarray = _SHARE,
    counted: Callable[[np.ndarray], np.ndarray] = _first,
    signs: tuple[float, float] = (10, -10),
    absent: float = 0,
    base: float = 1,
) -> np.ndarray:
    """Score by the rule of exercise 1; the options are the ways to get it wrong."""
    scores = base * np.array([20.0, 17.0, 14.0, 11.0])[codes(words)].mean(axis=1)
    for motif, sign in zip(("TAT", "GCG"), signs, strict=True):
        hits = _hits(words, motif)
        scores += sign * (counted(hits) @ share + absent * ~hits.any(1))
    return scores


_ONE_WORD = (
    "the function takes one word; it should take a list of words and return one number for each."
)
_MINUS_1 = "find returns -1 where there is no motif; add the bonus only where it returns 0 or more."
_DIVISOR = "the bonus is divided by {}; a motif has 6 places, so it is 10 * (6 - p) / 6."
_POSITION_SLIPS: list[tuple[str, dict]] = [
    ("this is the old rule: the bonus does not depend on the position yet.", {"share": _P**0}),
    ("the bonus comes on top of the old rule's; it should replace it.", {"share": 1 + _SHARE}),
    ("the bonus grows towards the end; the start should count most.", {"share": (_P + 1) / 6}),
    ("every copy adds its bonus; only the first copy should.", {"counted": lambda hits: hits}),
    ("the last copy counts; the first one should.", {"counted": _last}),
    ("GCG has no effect; it should subtract what TAT would add.", {"signs": (10, 0)}),
    ("GCG adds; it should subtract.", {"signs": (10, 10)}),
    ("positions seem to be counted from 1: the first one is 0.", {"share": (5 - _P) / 6}),
    (_MINUS_1, {"absent": 7 / 6}),
    (_MINUS_1, {"absent": 7 / 6, "share": _SHARE * (_P > 0)}),  # if word.find(motif):
    ("position 0 counts too: it gives the whole bonus.", {"share": _SHARE * (_P > 0)}),
    ("the base scores are added up; wanted their mean.", {"base": 8}),
    *((_DIVISOR.format(n), {"share": (m - _P) / n}) for m, n in [(6, 5), (5, 5), (6, 8), (8, 8)]),
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
        return EMPTY
    fault = _table_fault(table) or _recommended_fault(recommended)
    if fault is None:
        losses = table.astype(float).set_axis(np.array(list(table.index), float)).sort_index()
        losses = losses.set_axis(list(RATES))  # 0.01 as float32 is not quite 0.01
        fault = _loss_fault(losses) or _choice_fault(losses, recommended)
    if fault is not None:
        return Verdict(False, fault)
    return Verdict(True, "your rates are the best ones, and the CNN depends on the rate far more.")


def _table_fault(table: object) -> str | None:
    """Say what is wrong with the form of the table."""
    if not isinstance(table, pd.DataFrame):
        return f"the table is a {type(table).__name__}; wanted a pandas DataFrame."
    names = list(table.columns)
    if sorted(map(str, table.index)) == ["cnn", "linear"]:
        return "the rates stand in the columns; exchange rows and columns with .T."
    for i, name in enumerate(names):
        if name not in ("linear", "cnn") and _are_rates(table.iloc[:, i]):
            return f"the rates stand in a column; make it the index with .set_index({name!r})."
    if sorted(map(str, names)) != ["cnn", "linear"]:
        return "wanted columns linear and cnn, and no others."
    if kind := _no_numbers(table.index):
        return f"the index holds {kind}; write the rates as numbers."
    if not _are_rates(table.index):
        return f"the index should hold the learning rates {RATES}."
    if table.isna().to_numpy().any():
        return "there are NaN in the table; write inf where a training diverged."
    for name in names:
        if kind := _no_numbers(table[name]):
            return f"the column {name} holds {kind}; write the losses as numbers."
    return None


def _recommended_fault(recommended: object) -> str | None:
    if not isinstance(recommended, Mapping):
        kind = type(recommended).__name__
        return f'the recommendation is a {kind}; wanted a dict {{"linear": rate, "cnn": rate}}.'
    if not set(recommended) >= {"linear", "cnn"}:
        return "wanted one recommendation for each, linear and cnn."
    return None


def _are_rates(values: Iterable) -> bool:
    found = numbers(list(values))
    return found is not None and found.shape == (5,) and np.allclose(np.sort(found), RATES)


def _no_numbers(values: Iterable) -> str | None:
    """Name the first thing that is no number."""
    for value in values:
        if not isinstance(value, Real):
            kind = type(value).__name__
            return "text" if isinstance(value, str) else f"objects of type {kind}"
    return None


def _loss_fault(losses: pd.DataFrame) -> str | None:
    lowest = losses.min()
    faults = {
        "there are losses of 0 or below; wanted mean squared errors.": lowest.min() <= 0,
        "the linear model cannot come below about 13; is it the CNN's loss?": lowest.linear < 12,
        "the linear model has not converged at any rate; train it longer.": lowest.linear > 13.5,
        "the CNN has hardly learned at any rate; train it for 10 epochs.": lowest.cnn > 6,
    }
    return next((sentence for sentence, found in faults.items() if found), None)


def _choice_fault(losses: pd.DataFrame, recommended: Mapping[str, float]) -> str | None:
    for model in ("linear", "cnn"):
        given, column = recommended[model], losses[model]
        rate = next((r for r in RATES if isinstance(given, Real) and np.isclose(given, r)), None)
        if rate is None:
            return f"{given!r} for {model} is not one of the five rates."
        if column[rate] > 1.05 * column.min():
            choice = f"for {model} you recommend {rate} (loss {column[rate]:.2f})"
            return f"{choice}, but {column.idxmin()} gives {column.min():.2f}."
    spread = losses.max() / losses.min()
    if spread["cnn"] < spread["linear"]:
        return "the CNN should be the more sensitive one; are the columns swapped?"
    return None


def better_model(model: nn.Module | None, x: Tensor, target: Tensor) -> Verdict:
    """Check Chapter 1, exercise 3: a model with a test error below 0.01.

    Parameters
    ----------
    model
        Takes one-hot ``(N, 4, 8)`` and returns scores ``(N,)``. It is asked in evaluation
        mode, where it is; its mode is as before afterwards.
    x, target
        The test sequences ``(N, 4, 8)`` and their scores ``(N,)``.
    """
    if model is None:
        return EMPTY
    if isinstance(model, type):
        return Verdict(False, "got a class; make a model with (), and train it.")
    if not isinstance(model, nn.Module):
        return Verdict(False, f"wanted a trained model, got a {type(model).__name__}.")
    try:
        prediction = asked(model, x)
    except RuntimeError as error:
        first_line = str(error).partition("\n")[0]
        return Verdict(False, f"the model cannot read {tuple(x.shape)}: {first_line}")
    kind, shape = type(prediction).__name__, tuple(target.shape)
    if not isinstance(prediction, Tensor):
        return Verdict(False, f"the model returns a {kind}; wanted a tensor {shape}.")
    if prediction.shape != target.shape:
        given = tuple(prediction.shape)
        advice = "squeeze(-1) removes a last axis of length 1."
        return Verdict(False, f"the model returns {given}, wanted {shape}; {advice}")
    prediction, target = prediction.detach().cpu().double(), target.cpu().double()
    if not prediction.isfinite().all():
        return Verdict(False, "some predictions are NaN or infinite; the training has diverged.")
    if float(mse(prediction, target)) < 0.01:
        return Verdict(True, "the test error is below 0.01.")
    return Verdict(False, _error_in_words(decode(x), prediction, target))


def _error_in_words(words: Sequence[str], prediction: Tensor, target: Tensor) -> str:
    """Say where the error is: at repeated motifs, everywhere, or for one kind of word."""
    residual = prediction - target
    error = f"the test error is {float(mse(prediction, target)):.3f}"
    tat, gcg = (torch.from_numpy(_hits(words, motif).sum(1)) for motif in ("TAT", "GCG"))
    up, down = _rise(residual[gcg == 0], tat[gcg == 0]), _rise(residual[tat == 0], gcg[tat == 0])
    if up > 3 and down < -3:
        rise = f"{up:+.1f} (TAT) and {down:+.1f} (GCG)"
        return f"{error}; further copies move the mean by {rise}, so the model still counts copies."
    p, s = float(prediction.mean()), float(target.mean())
    if abs(p - s) > 5:
        means = f"the mean prediction is {p:.1f} and the mean score {s:.1f}"
        return f"{means}: has the model been trained?"
    if float(prediction.std(correction=0)) < 0.1:
        return f"the model predicts nearly the same for all; {error}."
    groups = {
        "on words with TAT only": (tat > 0) & (gcg == 0),
        "with GCG only": (gcg > 0) & (tat == 0),
        "without a motif": (tat == 0) & (gcg == 0),
    }
    parts = [f"{residual[g].mean():+.1f} {name}" for name, g in groups.items() if g.any()]
    said = " and ".join(", ".join(parts).rsplit(", ", 1))
    return f"{error}, wanted below 0.01" + (f"; the mean error is {said}." if said else ".")


def _rise(residual: Tensor, copies: Tensor) -> float:
    """Return the mean error at two or more copies less that at one; 0 where either lacks."""
    several, single = residual[copies > 1], residual[copies == 1]
    return float(several.mean() - single.mean()) if len(several) and len(single) else 0.0

"""The checks of the exercises of Chapter 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from numbers import Real

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tssbook.exercises.verdict import (
    EMPTY,
    Fault,
    Verdict,
    array,
    check,
    matched,
    numbers,
    predicted,
    require_function,
    require_keys,
    short,
)
from tssbook.sequence import codes, decode, kmers

__all__ = ["better_model", "learning_rates", "position_bonus"]


# --- exercise 1 -------------------------------------------------------------------------------


@check
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
    require_function("position_score", answer, "a list of words")
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
    given = array("the result", result, (len(words),), ", a number for each word")
    bases = np.array([20.0, 17.0, 14.0, 11.0])[codes(words)].mean(axis=1)
    hits = _hits(words, "TAT"), _hits(words, "GCG")
    wanted = _position_scores(bases, hits)
    i = int((~np.isclose(given, wanted, atol=1e-3)).argmax())
    matched(
        given,
        ((slip, _position_scores(bases, hits, **change)) for slip, change in _POSITION_WAYS),
        f"{words[i]} should score {wanted[i]:.3f} and scores {given[i]:.3f}.",
    )
    return Verdict(True, f"all {len(words):,} 8-mers have the score of the new rule.")


def _hits(words: Sequence[str], motif: str) -> np.ndarray:
    """Return where a motif starts, ``(N, places)``."""
    windows = np.lib.stride_tricks.sliding_window_view(codes(words), len(motif), axis=1)
    return (windows == codes(motif)).all(-1)


def _first(hits: np.ndarray) -> np.ndarray:
    return hits & (hits.cumsum(1) == 1)


_P = np.arange(6)  # the places where three letters fit into eight
_SHARE = (6 - _P) / 6


def _position_scores(
    bases: np.ndarray,
    hits: tuple[np.ndarray, np.ndarray],
    *,
    share: np.ndarray = _SHARE,
    counted: Callable[[np.ndarray], np.ndarray] = _first,
    signs: tuple[float, float] = (10, -10),
    absent: float = 0,
) -> np.ndarray:
    """Score by the rule of exercise 1; the options are the ways to get it wrong."""
    scores = bases
    for where, sign in zip(hits, signs, strict=True):
        scores = scores + sign * (counted(where) @ share + absent * ~where.any(1))
    return scores


_ONE_WORD = (
    "the function takes one word; it should take a list of words and return one number for each."
)
_MINUS_1 = "find returns -1 where there is no motif; add the bonus only where it returns 0 or more."
_POSITION_WAYS: list[tuple[str, dict]] = [
    ("", {}),
    ("this is the old rule: the bonus does not depend on the position yet.", {"share": _P**0}),
    ("the bonus comes on top of the old rule's; it should replace it.", {"share": 1 + _SHARE}),
    ("the bonus grows towards the end; the start should count most.", {"share": (_P + 1) / 6}),
    ("every copy adds its bonus; only the first copy should.", {"counted": lambda hits: hits}),
    ("GCG adds; it should subtract.", {"signs": (10, 10)}),
    ("positions seem to be counted from 1: the first one is 0.", {"share": (5 - _P) / 6}),
    ("position 0 counts too: it gives the whole bonus.", {"share": _SHARE * (_P > 0)}),
    (_MINUS_1, {"absent": 7 / 6}),
]


# --- exercise 2 -------------------------------------------------------------------------------

RATES = (0.001, 0.005, 0.01, 0.05, 0.1)
_LOWEST = {"linear": (12, 13.5), "cnn": (0, 6)}  # between which the best rate's loss lies


@check
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
    losses = _losses(table)
    if isinstance(recommended, Mapping):  # more than the two is welcome
        recommended = {k: v for k, v in recommended.items() if k in ("linear", "cnn")}
    require_keys("the recommendation", recommended, ("linear", "cnn"))
    lowest = losses.min()
    for model, (least, most) in _LOWEST.items():
        if not least < lowest[model] < most:
            raise Fault(
                f"the lowest loss of {model} is {lowest[model]:.3g}; wanted {least} to {most}: are "
                "the columns swapped, or were there fewer than 10 epochs?"
            )
    for model, given in recommended.items():
        _require_good_choice(model, given, losses[model])
    spread = losses.max() / lowest
    if spread["cnn"] < spread["linear"]:
        raise Fault("the CNN should be the more sensitive one; are the columns swapped?")
    return Verdict(True, "your rates are the best, and the CNN is much more sensitive to the rate.")


def _losses(table: object) -> pd.DataFrame:
    """Return the table in the order of the rates; refuse another index, or other columns."""
    if not isinstance(table, pd.DataFrame):
        raise Fault(f"the table is {short(table)}; wanted a pandas DataFrame.")
    rates, losses = numbers(list(table.index)), numbers(table)
    is_right = rates is not None and rates.shape == (5,) and np.allclose(np.sort(rates), RATES)
    if not is_right or sorted(map(str, table.columns)) != ["cnn", "linear"]:
        raise Fault(
            f"the table has the columns {list(table.columns)} and the index {list(table.index)}; "
            f"wanted columns linear and cnn, and the rates {RATES} as index: .T exchanges rows and "
            "columns, .set_index makes a column the index."
        )
    if losses is None or np.isnan(losses).any():
        raise Fault("the table holds more than numbers; write inf where a training diverged.")
    # The rates are written anew: 0.01 as float32 is not quite 0.01.
    return pd.DataFrame(losses[np.argsort(rates)], index=list(RATES), columns=table.columns)


def _require_good_choice(model: str, given: object, losses: pd.Series) -> None:
    rate = next((r for r in RATES if isinstance(given, Real) and np.isclose(given, r)), None)
    if rate is None:
        raise Fault(f"{given!r} for {model} is not one of the five rates.")
    if losses[rate] > 1.05 * losses.min():
        choice = f"for {model} you recommend {rate} (loss {losses[rate]:.2f})"
        raise Fault(f"{choice}, but {losses.idxmin()} gives {losses.min():.2f}.")


# --- exercise 3 -------------------------------------------------------------------------------


@check
def better_model(
    model: nn.Module | None, x: Tensor, target: Tensor, x_test: Tensor, target_test: Tensor
) -> Verdict:
    """Check Chapter 1, exercise 3: a model with a validation error below 0.01.

    The test words are asked for only when the validation error is below 0.01; their error is
    told and decides nothing.

    Parameters
    ----------
    model
        Takes one-hot ``(N, 4, 8)`` and returns scores ``(N,)``. It is asked in evaluation
        mode; its mode is as before afterwards.
    x, target
        The validation sequences ``(N, 4, 8)`` and their scores ``(N,)``.
    x_test, target_test
        The test sequences and their scores.
    """
    if model is None:
        return EMPTY
    if not isinstance(model, nn.Module):
        raise Fault(f"got {short(model)}; wanted a model: make it with (), and train it.")
    squares = _squared_errors(model, x, target)
    if (error := float(squares.mean())) >= 0.01:
        copies = np.stack([_hits(decode(x), motif).sum(1) for motif in ("TAT", "GCG")])
        share = float(squares[copies.max(0) > 1].sum() / squares.sum())
        raise Fault(
            f"the validation error is {error:.3f}, wanted below 0.01; words with a motif twice or "
            f"more make up {share:.0%} of it."
        )
    test = float(_squared_errors(model, x_test, target_test).mean())
    return Verdict(True, f"the validation error is below 0.01, and the test error is {test:.3f}.")


def _squared_errors(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Ask a model, and return its squared errors, ``(N,)``."""
    try:
        given = predicted(model, x, batch_size=len(x))
    except (RuntimeError, TypeError, ValueError) as error:
        first_line = str(error).partition("\n")[0]
        raise Fault(f"the model fails on an input of {tuple(x.shape)}: {first_line}") from error
    advice = ": squeeze(-1) removes a last axis of length 1"
    prediction = torch.from_numpy(array("the prediction", given, target.shape, advice))
    if not prediction.isfinite().all():
        raise Fault("some predictions are NaN or infinite; the training has diverged.")
    return (prediction - target.cpu().double()).square()

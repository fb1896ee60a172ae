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
    answered,
    array,
    check,
    matched,
    numbers,
    require_function,
    require_keys,
    short,
)
from tssbook.sequence import codes, decode, kmers

__all__ = ["MOTIFS", "better_model", "learning_rates", "position_bonus"]


# --- exercise 1 -------------------------------------------------------------------------------


# Pairs of words for exercise 1: the first adds, the second subtracts. The book asks for the first
# pair. All words can overlap with themselves.
MOTIFS = (
    ("TAT", "GCG"),
    ("ACA", "GTG"),
    ("AGA", "CTC"),
    ("ATA", "CGC"),
    ("TCT", "GAG"),
    ("TGT", "CAC"),
)


@check("1.1")
def position_bonus(
    answer: Callable[[Sequence[str]], Sequence[float]] | None,
    motifs: tuple[str, str] = MOTIFS[0],
) -> Verdict:
    """Check Chapter 1, exercise 1: the bonus shrinks with the position of the first copy.

    The rule asked for: the mean of the base scores, plus ``10 * (6 - p) / 6`` for the first
    TAT, starting at position ``p`` (0 to 5), and minus the same for the first GCG.

    Parameters
    ----------
    answer
        A function from a list of 8-mers to their scores, ``(N,)``.
    motifs
        Other words than TAT and GCG, three letters each, such as a pair of `MOTIFS`.
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
    hits = _hits(words, motifs[0]), _hits(words, motifs[1])
    wanted = _position_scores(bases, hits)
    i = int((~np.isclose(given, wanted, atol=1e-3)).argmax())
    matched(
        given,
        (
            (slip.format(*motifs), _position_scores(bases, hits, **change))
            for slip, change in _POSITION_WAYS
        ),
        f"{words[i]} should score {wanted[i]:.3f}, but your function gives {given[i]:.3f}.",
    )
    said = f"all {len(words):,} 8-mers have the score of the new rule."
    return Verdict(True, said, {"mean score": given.mean(), "highest score": given.max()})


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
_MINUS_1 = "find returns -1 if there is no motif; add the bonus only if it returns 0 or more."
_POSITION_WAYS: list[tuple[str, dict]] = [
    ("", {}),
    ("this is the old rule: the bonus does not depend on the position yet.", {"share": _P**0}),
    ("the new bonus is added on top of the old one; it should replace it.", {"share": 1 + _SHARE}),
    ("the bonus grows towards the end; the start should count most.", {"share": (_P + 1) / 6}),
    ("every copy earns a bonus; only the first one should.", {"counted": lambda hits: hits}),
    ("{1} adds; it should subtract.", {"signs": (10, 10)}),
    ("you seem to count positions from 1; the first one is 0.", {"share": (5 - _P) / 6}),
    ("position 0 counts too: a motif there earns the whole bonus.", {"share": _SHARE * (_P > 0)}),
    (_MINUS_1, {"absent": 7 / 6}),
]


# --- exercise 2 -------------------------------------------------------------------------------

RATES = (0.001, 0.005, 0.01, 0.05, 0.1)
_LOWEST = {"linear": (12, 13.5), "cnn": (0, 6)}  # between which the best rate's loss lies


@check("1.2")
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
                f"the lowest loss of {model} is {lowest[model]:.3g}; wanted {least} to {most}. Are "
                "the columns swapped, or did you train for fewer than 10 epochs?"
            )
    for model, given in recommended.items():
        _require_good_choice(model, given, losses[model])
    spread = losses.max() / lowest
    if spread["cnn"] < spread["linear"]:
        raise Fault("the CNN should be the more sensitive one; are the columns swapped?")
    best = {f"lowest loss, {model}": lowest[model] for model in _LOWEST}
    chosen = {f"rate, {model}": float(rate) for model, rate in recommended.items()}
    said = "your rates are the best, and the CNN is much more sensitive to the rate."
    return Verdict(True, said, best | chosen)


def _losses(table: object) -> pd.DataFrame:
    """Return the table in the order of the rates; refuse another index, or other columns."""
    if not isinstance(table, pd.DataFrame):
        raise Fault(f"the table is {short(table)}; wanted a pandas DataFrame.")
    rates, losses = numbers(list(table.index)), numbers(table)
    is_right = rates is not None and rates.shape == (5,) and np.allclose(np.sort(rates), RATES)
    if not is_right or sorted(map(str, table.columns)) != ["cnn", "linear"]:
        raise Fault(
            f"the table has the columns {list(table.columns)} and the index {list(table.index)}; "
            f"wanted columns linear and cnn, and the rates {RATES} as index: .T swaps rows and "
            "columns, .set_index turns a column into the index."
        )
    if losses is None or np.isnan(losses).any():
        raise Fault(
            "some entries of the table are not numbers; write inf where a training diverged."
        )
    # The rates are written anew: 0.01 as float32 is not quite 0.01.
    return pd.DataFrame(losses[np.argsort(rates)], index=list(RATES), columns=table.columns)


def _require_good_choice(model: str, given: object, losses: pd.Series) -> None:
    rate = next((r for r in RATES if isinstance(given, Real) and np.isclose(given, r)), None)
    if rate is None:
        raise Fault(f"{given!r} for {model} is not one of the five rates.")
    if losses[rate] > 1.05 * losses.min():
        choice = f"for {model} you recommend {rate} (loss {losses[rate]:.2f})"
        raise Fault(f"{choice}, but {losses.idxmin()} reaches {losses.min():.2f}.")


# --- exercise 3 -------------------------------------------------------------------------------


@check("1.3")
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
            f"the validation error is {error:.3f}, wanted below 0.01; {share:.0%} of it comes from "
            "words that hold a motif more than once."
        )
    test = float(_squared_errors(model, x_test, target_test).mean())
    said = f"the validation error is below 0.01, and the test error is {test:.3f}."
    return Verdict(True, said, {"validation error": error, "test error": test})


def _squared_errors(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Ask a model, and return its squared errors, ``(N,)``."""
    given = answered("the model", model, x, batch_size=len(x))
    advice = ": squeeze(-1) removes a last axis of length 1"
    prediction = torch.from_numpy(array("the prediction", given, target.shape, advice))
    if not prediction.isfinite().all():
        raise Fault("some predictions are NaN or infinite; the training has diverged.")
    return (prediction - target.cpu().double()).square()

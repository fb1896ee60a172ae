"""The checks of the exercises of Chapter 2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tssbook.data.splits import Split
from tssbook.exercises.verdict import (
    EMPTY,
    Fault,
    Verdict,
    array,
    check,
    matched,
    number,
    numbers,
    places,
    predicted,
    require_function,
    require_largest,
    require_sequence,
    short,
    unfinished,
)
from tssbook.metrics import pearson_r
from tssbook.sequence import ALPHABET, reverse_complement

__all__ = ["deletion", "leak", "shuffle"]

_FEWEST = 100  # rows from which an r is worth looking at
_RECOMPUTED = 200  # rows whose predictions are computed again: one to three seconds
_IMPORTANT = 100  # a motif that matters holds one of so many positions


# --- exercise 1 -------------------------------------------------------------------------------


@check("2.1")
def leak(
    leaky: Callable[[Any, int], Sequence[int]] | None,
    before: Sequence[float] | Tensor | None,
    after: Sequence[float] | Tensor | None,
    split: Split,
    y_test: Tensor,
    seed: int = 17,
) -> Verdict:
    """Check Chapter 2, exercise 1: a tenth of the test genes leaks into training.

    Parameters
    ----------
    leaky
        A function of a split and a seed; it returns row numbers: all training rows of the
        split, and a tenth of its test rows, drawn with the seed.
    before, after
        Predictions for all test genes, ``(N,)``, by the model and by its copy that went on
        training with ``leaky(split, seed)``. Nothing is trained again.
    split
        Rows for training, validation and test.
    y_test
        Measured expression of the test genes, ``(N,)``.
    seed
        By which the leaked genes were drawn.
    """
    if leaky is None:
        return EMPTY
    require_function("leaky", leaky, "a split", "a seed")
    given = leaky(split, seed)
    if given is None:
        return EMPTY
    _require_rows(given, np.asarray(split.train), np.asarray(split.test))
    again, other = (set(numbers(leaky(split, number))) for number in (seed, seed + 1))
    if set(numbers(given)) != again or again == other:
        raise Fault(
            "the same seed should give the same genes, and another seed other genes: draw them "
            "with np.random.default_rng(seed).choice."
        )
    said = {
        name: torch.from_numpy(array(name, p, (len(split.test),), ": one for each test gene"))
        for name, p in (("before", before), ("after", after))
        if p is not None
    }
    for name, prediction in said.items():
        if not prediction.isfinite().all() or prediction.std() == 0:
            raise Fault(f"{name} has no r: it is not finite, or the same for all test genes.")
    copied = torch.from_numpy(np.isin(split.test, numbers(given)))
    if open_part := unfinished({"leaky": leaky, "before": before, "after": after}):
        return open_part
    gain = _gains(said, y_test.double(), copied)
    return Verdict(
        True,
        f"r changes by {gain['copied']:+.3f} on the leaked genes and by {gain['others']:+.3f} on "
        "the others: the difference was learned by heart.",
        {f"gain, {part}": value for part, value in gain.items()},
    )


def _require_rows(given: object, train: np.ndarray, test: np.ndarray) -> None:
    rows = numbers(given)
    if rows is None or rows.ndim != 1:
        raise Fault(f"leaky returns {short(given)}; wanted one array of row numbers for training.")
    extra = Counter(rows.tolist()) - Counter(train.tolist())
    lost, copied, other = set(train) - set(rows), set(extra) & set(test), set(extra) - set(test)
    if lost:
        raise Fault(
            f"{len(lost):,} of {len(train):,} training rows are missing; wanted all of them, "
            "followed by the leaked ones (np.concatenate)."
        )
    if other and max(extra) < len(test):
        raise Fault("the added numbers are places in split.test, not rows: split.test[places].")
    if other:
        raise Fault(f"row {min(other):g} was added; wanted rows of split.test only.")
    if extra.total() > len(copied):
        raise Fault("a test gene was added twice; draw with replace=False.")
    if abs(len(copied) - len(test) / 10) >= 1:
        raise Fault(f"{len(copied):,} of {len(test):,} test genes were added; wanted a tenth.")


def _gains(said: Mapping[str, Tensor], y: Tensor, copied: Tensor) -> dict[str, float]:
    """Return by how much r rises on either part of the test genes; refuse what cannot be."""
    if torch.equal(said["before"], said["after"]):
        raise Fault(
            "before and after are the same. Training changes the model itself: predict before "
            "you train, or train a copy.deepcopy."
        )
    parts = {"copied": copied, "others": ~copied}
    r = {
        name: [float(pearson_r(said[when][part], y[part])) for when in ("before", "after")]
        for name, part in parts.items()
    }
    first, second = r["copied"][0], r["others"][0]
    # Both are random samples of the test genes: four standard errors of the smaller one.
    if abs(first - second) > 0.02 + 4 * (1 - second**2) / int(copied.sum()) ** 0.5:
        raise Fault(
            f"before the leak r is {first:.2f} on the leaked genes and {second:.2f} on the others. "
            "They were drawn at random, so wanted about the same: before is by the model that has "
            "not seen them."
        )
    gain = {name: after - before for name, (before, after) in r.items()}
    if gain["copied"] < max(gain["others"], 0.02):
        raise Fault(
            f"the leaked genes gain {gain['copied']:+.3f} and the others {gain['others']:+.3f}; "
            f"wanted a rise on the leaked ones, leaky(split, seed): train on them, for a few "
            "more epochs."
        )
    return gain


# --- exercise 2 -------------------------------------------------------------------------------


@check("2.2")
def shuffle(
    x_test: Tensor,
    shuffled: Tensor | None,
    shuffled_r: float | None,
    y_test: Tensor,
    model: nn.Module,
) -> Verdict:
    """Check Chapter 2, exercise 2: what is left of r when only the pairs of bases are kept.

    Parameters
    ----------
    x_test
        The test promoters, one-hot ``(N, 4, L)``.
    shuffled
        The first ``n`` of them, shuffled, ``(n, 4, L)``.
    shuffled_r
        r of the model's predictions for ``shuffled`` with ``y_test[:n]``.
    y_test
        Measured expression, ``(N,)``.
    model
        Is asked for the first 200 rows, in evaluation mode.
    """
    if shuffled is None:
        return EMPTY
    shuffled = _require_shuffled(shuffled, x_test)
    _require_pairs(x_test, shuffled)
    if shuffled_r is not None:
        _require_r(number("shuffled_r", shuffled_r), x_test, shuffled, y_test, model)
    open_part = unfinished({"shuffled": shuffled, "shuffled_r": shuffled_r})
    return open_part or Verdict(
        True,
        "the pairs of bases are as before and their order is not; on such sequences this model "
        f"is left with r = {float(shuffled_r):.2f}.",
        {"r of shuffled promoters": float(shuffled_r), "promoters": len(shuffled)},
    )


def _require_shuffled(given: object, x: Tensor) -> Tensor:
    if not isinstance(given, Tensor | np.ndarray):
        raise Fault(f"shuffled is {short(given)}; wanted a tensor (n, 4, {x.shape[2]}).")
    shuffled = torch.as_tensor(given).detach().cpu()
    shape, n = tuple(shuffled.shape), len(shuffled) if shuffled.ndim else 0
    if len(shape) == 4:
        raise Fault(f"shuffled is {shape}; wanted one shuffle of each promoter: shuffled[:, 0].")
    wanted = (n, *x.shape[1:])
    require_sequence("shuffled", shuffled, wanted, ", any number of rows", bases=False)
    if not (least := min(_FEWEST, len(x))) <= n <= len(x):
        raise Fault(f"shuffled has {n:,} rows; wanted {least} to {len(x):,}, each promoter once.")
    return shuffled


def _pairs(x: Tensor) -> Tensor:
    """Count pairs of neighbours, ``(N, 25)``: five letters, the last one N."""
    code = torch.where(x.sum(1) == 0, 4, x.argmax(1))
    pair = 5 * code[:, :-1] + code[:, 1:] + 25 * torch.arange(len(x))[:, None]
    return torch.bincount(pair.flatten(), minlength=25 * len(x)).view(-1, 25)


def _require_pairs(x: Tensor, shuffled: Tensor) -> None:
    first = x[: len(shuffled)]
    if (same := (first == shuffled).all(2).all(1)).any():
        raise Fault(f"row {int(same.byte().argmax())} is the promoter as it was; shuffle it.")
    before, after = _pairs(first), _pairs(shuffled)
    wrong = (before != after).any(1)
    if not wrong.any():
        return
    i = int(wrong.byte().argmax())
    p = int((before[i] != after[i]).byte().argmax())
    letters = ALPHABET + "N"
    raise Fault(
        f"row {i} had {letters[p // 5]}{letters[p % 5]} {before[i, p]} times, now {after[i, p]} "
        "times; wanted the dinucleotide_shuffle of the first promoters, in their order."
    )


def _require_r(r: float, x: Tensor, shuffled: Tensor, y: Tensor, model: nn.Module) -> None:
    n = min(len(shuffled), _RECOMPUTED)
    part, target = shuffled[:n], y[:n]
    prediction = predicted(model, part)
    found = float(pearson_r(prediction, target))
    # The other rows are a sample like these: three standard errors.
    near = 0.01 + 3 * (1 - found**2) * (1 / n - 1 / len(shuffled)) ** 0.5
    said = f"shuffled_r is {r:.2f}, but the first {n} rows give {found:.2f}"

    def ways() -> Iterator[tuple[str, float]]:
        yield "", found
        both = (prediction + predicted(model, reverse_complement(part))) / 2
        yield "", float(pearson_r(both, target))
        as_they_are = float(pearson_r(predicted(model, x[:n]), target))
        yield f"{said}; {r:.2f} is about the r of the promoters as they were.", as_they_are

    otherwise = f"{said}; wanted pearson_r(predictions for shuffled, y_test[:{len(shuffled)}])."
    matched(r, ways(), otherwise, atol=near)


# --- exercise 3 -------------------------------------------------------------------------------


@check("2.3")
def deletion(
    model: nn.Module,
    x: Tensor,
    effects: Tensor,
    top_two: Sequence[int] | None,
    without_motif: Tensor | None,
    expected_change: float | None,
    measured_change: float | None,
) -> Verdict:
    """Check Chapter 2, exercise 3: the two positions that matter most, and a motif taken out.

    Parameters
    ----------
    model
        The trained model.
    x
        The promoter, ``(1, 4, L)``.
    effects
        Its in-silico mutagenesis, ``(4, L)``.
    top_two
        Two positions, 0 to L - 1.
    without_motif
        The promoter with the bases of one motif replaced.
    expected_change, measured_change
        Change of the prediction, guessed and computed.
    """
    answers = {
        "top_two": top_two,
        "without_motif": without_motif,
        "expected_change": expected_change,
        "measured_change": measured_change,
    }
    if all(answer is None for answer in answers.values()):
        return EMPTY
    if (effects * x[0]).any():
        raise Fault(
            "x is no longer the promoter that effects belongs to. Run the cell that makes x again, "
            "and change x.clone()."
        )
    if top_two is not None:
        _require_top(top_two, effects)
    if without_motif is not None:
        require_sequence("without_motif", without_motif, x.shape, bases=bool(x.any(1).all()))
        _require_motif_replaced(without_motif, x, effects)
    changes = {
        name: number(name, given)
        for name, given in answers.items()
        if name.endswith("change") and given is not None
    }
    if without_motif is not None and measured_change is not None:
        _require_measured(changes["measured_change"], model, x, without_motif, effects)

    if open_part := unfinished(answers):
        return open_part
    guess, change = changes["expected_change"], changes["measured_change"]
    return Verdict(
        True,
        f"the prediction changes by {change:+.2f}; you expected {guess:+.2f}, off by "
        f"{abs(guess - change):.2f}.",
        {"expected change": guess, "measured change": change},
    )


def _require_top(given: object, effects: Tensor) -> None:
    length = effects.shape[1]
    advice = (
        f": add {length} to what is counted from the TSS, and take the largest change of each "
        "column, amax(0)"
    )
    chosen = places("top_two", given, 2, length, advice)
    size, rise, total = effects.abs().amax(0), effects.amax(0), effects.sum(0).abs()
    ways = [
        ("these are the largest rises; a fall matters as much: effects.abs().", rise.numpy()),
        ("these have the largest sum; wanted the largest single change: amax(0).", total.numpy()),
    ]
    advice = "take effects.abs().amax(0)"
    require_largest(chosen, size.numpy(), ways, lambda i: f"position {i}", advice)


def _require_motif_replaced(given: Tensor, x: Tensor, effects: Tensor) -> None:
    changed = (given != x)[0].any(0).nonzero().flatten()
    first, last = (int(changed[0]), int(changed[-1])) if len(changed) else (0, 0)
    stretch = f"{len(changed)} bases between {first} and {last} differ from x"
    if len(changed) < 5 or last - first >= 40:
        raise Fault(f"{stretch}; replace one whole motif, 10 to 16 bases, and leave the others.")
    important = effects.abs().amax(0).topk(min(_IMPORTANT, effects.shape[1])).indices
    if not ((important >= first) & (important <= last)).any():
        raise Fault(
            f"{stretch}, and none of the {_IMPORTANT} most important positions is among them: is "
            "a motif there? Position 0 is place -2000."
        )


def _require_measured(
    given: float, model: nn.Module, x: Tensor, without: Tensor, effects: Tensor
) -> None:
    both = torch.cat([x, without.to(x)])
    before, after = predicted(model, both).double().tolist()
    turned = predicted(model, reverse_complement(both)).double().tolist()
    change = after - before
    said = f"measured_change is {given:+.2f}, and the model says {change:+.2f}"
    ways = [
        ("", change),
        ("", (change + turned[1] - turned[0]) / 2),
        (f"{said}: it is the prediction after, minus the one before.", -change),
        (f"{said}: you added up single mutations, but together they do something else; predict "
         "without_motif.", float((effects * (without - x)[0].clamp(min=0)).sum())),
    ]  # fmt: skip
    otherwise = f"{said}: predict without_motif and x in evaluation mode, and subtract."
    matched(given, ways, otherwise, rtol=0.01, atol=0.01)

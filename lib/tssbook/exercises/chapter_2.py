"""The checks of the exercises of Chapter 2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tssbook.exercises.verdict import (
    EMPTY,
    Fault,
    Verdict,
    are_largest,
    array,
    check,
    finished,
    matched,
    number,
    numbers,
    places,
    predicted,
    require_keys,
    require_sequence,
    short,
)
from tssbook.metrics import pearson_r
from tssbook.sequence import ALPHABET, reverse_complement

__all__ = ["deletion", "leak", "shuffle"]

_FEWEST = 100  # rows from which an r is worth looking at
_RECOMPUTED = 200  # rows whose predictions are computed again: one to three seconds
_IMPORTANT = 100  # a motif that matters holds one of so many positions


# --- exercise 1 -------------------------------------------------------------------------------


@check
def leak(
    leaky: Callable[[Any, int], Sequence[int]] | None,
    inflation: Mapping[str, Sequence[float]] | None,
    split: Sequence[np.ndarray],
) -> Verdict:
    """Check Chapter 2, exercise 1: a tenth of the test genes leaks into training.

    Parameters
    ----------
    leaky
        A function of a split and a seed; it returns row numbers: all training rows of the
        split, and a tenth of its test rows, drawn with the seed.
    inflation
        ``copied`` and ``others`` (test genes), each r before and r after training on them.
    split
        Rows for training, validation and test.
    """
    if leaky is None:
        return EMPTY
    if not callable(leaky):
        raise Fault("leaky should be a function of a split and a seed.")
    given = leaky(split, 17)
    if given is None:
        return EMPTY
    _require_rows(given, *(np.asarray(part) for part in split))
    again, other = (np.sort(numbers(leaky(split, seed))) for seed in (17, 18))
    if not np.array_equal(again, np.sort(numbers(given))):
        raise Fault("the same seed draws other genes each time: np.random.default_rng(seed).")
    if np.array_equal(again, other):
        raise Fault("another seed draws the same genes; draw them with default_rng(seed).choice.")
    gain = {} if inflation is None else _gains(inflation)
    return finished(
        {"leaky": leaky, "inflation": inflation},
        lambda: (
            f"r changes by {gain['copied']:+.3f} on the copied genes and by {gain['others']:+.3f} "
            "on the others: the difference was learned by heart."
        ),
    )


def _require_rows(given: object, train: np.ndarray, valid: np.ndarray, test: np.ndarray) -> None:
    rows, kind = numbers(given), type(given).__name__
    if rows is None or rows.ndim != 1:
        raise Fault(f"leaky returns a {kind}; wanted one array of row numbers for training.")
    if len(rows) > 2 and np.isin(rows, (0, 1)).all():
        raise Fault("leaky returns a mask; wanted row numbers: np.flatnonzero(mask).")
    extra = Counter(rows.tolist()) - Counter(train.tolist())
    lost = len(set(train) - set(rows))
    copied, seen = set(extra) & set(test), set(extra) - set(test)
    outside = set(extra) - set(train) - set(valid) - set(test)
    places = bool(seen) and max(extra) < len(test) and extra.total() < 0.2 * len(test)
    faults = {
        "only the copies come back; put them behind split.train (np.concatenate).": (
            set(rows) <= set(test)
        ),
        f"{lost:,} training rows are missing; wanted all of them, and the copies.": lost,
        "these are the split's own training rows: no test gene is among them.": not extra,
        "the added numbers are places in split.test, not rows: split.test[places].": places,
        f"row {next(iter(outside), 0):g} is in no part of the split.": outside,
        f"{len(seen & set(valid)):,} validation rows were added; they choose the best epoch: "
        "leave them out.": seen & set(valid),
        "training genes are repeated; the leak needs genes of the test set.": not copied,
        "training genes stand there twice; add test genes only.": seen,
        "a test gene was added twice; draw with replace=False.": extra.total() > len(copied),
        "all test genes were added; keep nine tenths out, to compare with.": (
            len(copied) == len(test)
        ),
        f"{len(copied):,} of {len(test):,} test genes were added; wanted a tenth of them.": (
            abs(len(copied) - len(test) / 10) >= 1
        ),
    }
    for sentence, found in faults.items():
        if found:
            raise Fault(sentence)


def _gains(inflation: object) -> dict[str, float]:
    """Return by how much r rises on either part of the test genes; refuse what cannot be."""
    require_keys("inflation", inflation, ("copied", "others"))
    gain = {}
    for name, given in inflation.items():
        pair = array(f"inflation[{name!r}]", given, (2,), ": r before and r after")
        before, after = pair
        if not (np.abs(pair) <= 1).all():
            raise Fault(f"r lies between -1 and 1, but {name!r} is {before:.3g} and {after:.3g}.")
        gain[name] = float(after - before)
    copied, others = gain["copied"], gain["others"]
    if copied == others == 0:
        raise Fault(
            "r is the same before and after. Training changes the model itself: compute r before "
            "it, or train a copy.deepcopy."
        )
    if copied < -0.02:
        raise Fault(f"r falls by {-copied:.3f} on the copied genes; wanted (before, after).")
    if copied < others:
        gains = f"the copied genes gain {copied:+.3f} and the others {others:+.3f}"
        raise Fault(f"{gains}; it should be the other way round: are the two swapped?")
    if copied < 0.02:
        raise Fault(f"the copied genes gain {copied:+.3f} only; train for a few more epochs.")
    return gain


# --- exercise 2 -------------------------------------------------------------------------------


@check
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
    return finished(
        {"shuffled": shuffled, "shuffled_r": shuffled_r},
        lambda: (
            "the pairs of bases are the same and their order is not; r = "
            f"{float(shuffled_r):.2f} is what this model gets from composition."
        ),
    )


def _require_shuffled(given: object, x: Tensor) -> Tensor:
    if not isinstance(given, Tensor | np.ndarray):
        raise Fault(f"shuffled is {short(given)}; wanted a tensor (n, 4, {x.shape[2]}).")
    shuffled = torch.as_tensor(given).detach().cpu()
    shape, n = tuple(shuffled.shape), len(shuffled) if shuffled.ndim else 0
    said = f"shuffled is {shape}; wanted (n, 4, {x.shape[2]})"
    if len(shape) == 4 and shape[2:] == x.shape[1:]:
        several = f": {shape[1]} shuffles of each are too many" if shape[1] > 1 else ""
        raise Fault(f"{said}{several}: take one with shuffled[:, 0].")
    if shape[1:] == (x.shape[2], 4):
        raise Fault(f"{said}: exchange the last two axes with .transpose(1, 2).")
    if n > len(x):
        raise Fault(f"shuffled has {n:,} rows and the test set {len(x):,}; shuffle each one once.")
    wanted = (n, *x.shape[1:])
    require_sequence("shuffled", shuffled, wanted, ", any number of rows", bases=False)
    if n < min(_FEWEST, len(x)):
        raise Fault(f"{n} promoters are too few for an r; shuffle a few hundred.")
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
    if (_pairs(x) == after[i]).all(1).any():
        raise Fault("the rows stand in another order; wanted the first of the test set, in order.")
    if not torch.equal(first.sum(2)[i], shuffled.sum(2)[i]):
        raise Fault(f"row {i} has other bases than the promoter it should come from.")
    p = int((before[i] != after[i]).byte().argmax())
    letters = ALPHABET + "N"
    raise Fault(
        f"the single bases are kept but the pairs are not: row {i} had {letters[p // 5]}"
        f"{letters[p % 5]} {before[i, p]} times, now {after[i, p]} times; use dinucleotide_shuffle."
    )


def _require_r(r: float, x: Tensor, shuffled: Tensor, y: Tensor, model: nn.Module) -> None:
    if abs(r) > 1:
        raise Fault(f"r lies between -1 and 1; shuffled_r is {r:.3g}.")
    n = min(len(shuffled), _RECOMPUTED)
    part, target = shuffled[:n], y[:n]
    prediction = predicted(model, part)
    found = float(pearson_r(prediction, target))
    # The other rows are a sample like these: three standard errors.
    near = 0.01 + 3 * (1 - found**2) * (1 / n - 1 / len(shuffled)) ** 0.5
    said = f"shuffled_r is {r:.2f}, but the first {n} rows give {found:.2f}"

    def ways() -> Iterator[tuple[str, tuple[float, float]]]:
        yield "", (found, near)
        both = (prediction + predicted(model, reverse_complement(part))) / 2
        yield "", (float(pearson_r(both, target)), near)
        as_they_are = predicted(model, x[:n])
        yield (
            f"{said}; {r:.2f} is about the r of the promoters as they were.",
            (float(pearson_r(as_they_are, target)), near + 0.03),
        )
        yield (
            f"{said}; compare with the measured expression, not with other predictions.",
            (float(pearson_r(prediction, as_they_are)), near + 0.03),
        )

    otherwise = f"{said}; wanted pearson_r(predictions for shuffled, y_test[:{len(shuffled)}])."
    matched(r, ways(), otherwise, same=lambda r, way: abs(r - way[0]) <= way[1])


# --- exercise 3 -------------------------------------------------------------------------------


@check
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

    def praise() -> str:
        guess, change = changes["expected_change"], changes["measured_change"]
        return (
            f"the prediction changes by {change:+.2f}; you expected {guess:+.2f}, off by "
            f"{abs(guess - change):.2f}."
        )

    return finished(answers, praise)


def _require_top(given: object, effects: Tensor) -> None:
    length = effects.shape[1]
    advice = (
        f": add {length} to what is counted from the TSS, and take the largest change of each "
        "column, amax(0)"
    )
    chosen, size = places("top_two", given, 2, length, advice), effects.abs().amax(0)
    by_sum = "these have the largest sum of {}; wanted the largest single one: amax(0)."
    ways = [
        ("", size),
        ("these are the largest rises; a fall matters as much: effects.abs().", effects.amax(0)),
        ("these are the largest falls; a rise matters as much: effects.abs().", -effects.amin(0)),
        (by_sum.format("changes"), effects.sum(0).abs()),
        (by_sum.format("sizes of changes"), effects.abs().sum(0)),
    ]
    otherwise = (
        f"the largest changes at {chosen[0]} and {chosen[1]} are {size[chosen[0]]:.2f} and "
        f"{size[chosen[1]]:.2f}; other positions have larger ones."
    )
    matched(chosen, ways, otherwise, same=are_largest)


def _require_motif_replaced(given: Tensor, x: Tensor, effects: Tensor) -> None:
    changed = (given != x)[0].any(0).nonzero().flatten()
    if len(changed) == 0:
        raise Fault("without_motif is the same as x; put other bases where the motif was.")
    first, last = int(changed[0]), int(changed[-1])
    stretch = f"{len(changed)} bases between {first} and {last} differ from x"
    if last - first >= 40:
        raise Fault(f"{stretch}; replace one motif, 10 to 16 bases, and leave all others in place.")
    if last - first < 5 or len(changed) < 5:
        raise Fault(f"{stretch}; replace all bases of the motif, 10 to 16.")
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
    averaged = (change + turned[1] - turned[0]) / 2
    said = f"measured_change is {given:+.2f}, and the model says {change:+.2f}"
    swapped = f"{said}: it is the prediction after, minus the one before."
    ways = [
        ("", change),
        ("", averaged),
        (swapped, -change),
        (swapped, -averaged),
        (f"{said}: from the prediction after, subtract the one before.", after),
        (
            f"{said}: you added up single mutations, but together they do something else; predict "
            "without_motif.",
            float((effects * (without - x)[0].clamp(min=0)).sum()),
        ),
    ]
    otherwise = f"{said}: predict without_motif and x in evaluation mode, and subtract."
    matched(given, ways, otherwise, rtol=0.01, atol=0.01)

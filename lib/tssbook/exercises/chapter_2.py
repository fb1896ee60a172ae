"""The checks of the exercises of Chapter 2; what holds for :mod:`tssbook.exercises.chapter_1` holds here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tssbook.exercises.verdict import EMPTY, Verdict, asked, number, numbers, one_hot_fault, short
from tssbook.metrics import pearson_r
from tssbook.sequence import ALPHABET, reverse_complement

__all__ = ["deletion", "leak", "shuffle"]

_FEWEST = 100  # rows from which an r is worth looking at
_RECOMPUTED = 200  # rows whose predictions are computed again: one to three seconds
_AT_A_TIME = 32
_IMPORTANT = 100  # a motif that matters holds one of so many positions


_SUM = "these have the largest sum of {}; wanted the largest single one: amax(0)."
_R_FORM = '{"copied": (r before, r after), "others": (r before, r after)}'


# --- exercise 1 -------------------------------------------------------------------------------


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
        return Verdict(False, "leaky should be a function of a split and a seed.")
    parts = [np.asarray(part) for part in split]
    given = leaky(split, 17)
    if given is None:
        return EMPTY
    fault = _form_of_rows(given) or _rows_fault(numbers(given), *parts)
    if fault is None:
        again, other = (np.sort(numbers(leaky(split, seed))) for seed in (17, 18))
        if not np.array_equal(again, np.sort(numbers(given))):
            fault = "the same seed draws other genes each time: np.random.default_rng(seed)."
        elif np.array_equal(again, other):
            fault = "another seed draws the same genes; draw them with default_rng(seed).choice."
    if fault is None and inflation is None:
        return Verdict(None, "the rows are right; inflation is still to come.")
    fault = fault or _inflation_fault(inflation)
    if fault is not None:
        return Verdict(False, fault)
    gain = {name: _rise(pair) for name, pair in inflation.items()}
    return Verdict(
        True,
        f"r changes by {gain['copied']:+.3f} on the copied genes and by {gain['others']:+.3f} on "
        "the others: the difference was learned by heart.",
    )


def _form_of_rows(given: object) -> str | None:
    rows, kind = numbers(given), type(given).__name__
    if rows is None or rows.ndim != 1:
        return f"the function returns a {kind}; wanted one array of row numbers for training."
    if len(rows) > 2 and np.isin(rows, (0, 1)).all():
        return "the function returns a mask; wanted row numbers: np.flatnonzero(mask)."
    return None


def _rows_fault(
    rows: np.ndarray, train: np.ndarray, valid: np.ndarray, test: np.ndarray
) -> str | None:
    extra = Counter(rows.tolist()) - Counter(train.tolist())
    lost = len(set(train) - set(rows))
    copied, seen = set(extra) & set(test), set(extra) - set(test)
    outside = set(extra) - set(train) - set(valid) - set(test)
    places = bool(seen) and max(extra) < len(test) and extra.total() < 0.2 * len(test)
    count = f"{len(copied):,} of {len(test):,} test genes"
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
        f"{count} were added; wanted a tenth of them.": abs(len(copied) - len(test) / 10) >= 1,
    }
    return next((sentence for sentence, found in faults.items() if found), None)


def _inflation_fault(inflation: object) -> str | None:
    if not isinstance(inflation, Mapping):
        return f"inflation is a {type(inflation).__name__}; wanted {_R_FORM}."
    if set(inflation) != {"copied", "others"}:
        return f"inflation has the keys {', '.join(map(repr, inflation))}; wanted {_R_FORM}."
    for name, given in inflation.items():
        pair = None if given is None else numbers(given)
        if pair is None or pair.shape != (2,):
            return f"{name!r} should be two numbers, r before and r after."
        if not (np.abs(pair) <= 1).all():
            return f"r lies between -1 and 1, but {name!r} is {pair[0]:.3g} and {pair[1]:.3g}."
    copied, others = _rise(inflation["copied"]), _rise(inflation["others"])
    if copied == others == 0:
        return (
            "r is the same before and after. Training changes the model itself: compute r before "
            "it, or train a copy.deepcopy."
        )
    if copied < -0.02:
        return f"r falls by {-copied:.3f} on the copied genes; wanted (before, after)."
    if copied < others:
        gains = f"the copied genes gain {copied:+.3f} and the others {others:+.3f}"
        return f"{gains}; it should be the other way round: are the two swapped?"
    if copied < 0.02:
        return f"the copied genes gain {copied:+.3f} only; train for a few more epochs."
    return None


def _rise(pair: Sequence[float]) -> float:
    before, after = numbers(pair)
    return float(after - before)


# --- exercise 2 -------------------------------------------------------------------------------


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
    fault = _form_of_shuffled(shuffled, x_test)
    if fault is None:
        shuffled = torch.as_tensor(shuffled).detach().cpu()
        fault = one_hot_fault(shuffled, "shuffled") or _pairs_fault(x_test, shuffled)
    if fault is None and shuffled_r is None:
        return Verdict(None, "the sequences are right; shuffled_r is still to come.")
    fault = fault or _r_fault(shuffled_r, x_test, shuffled, y_test, model)
    if fault is not None:
        return Verdict(False, fault)
    return Verdict(
        True,
        f"the pairs of bases are the same and their order is not; r = {number(shuffled_r):.2f} is "
        "what this model gets from composition.",
    )


def _form_of_shuffled(shuffled: object, x: Tensor) -> str | None:
    if not isinstance(shuffled, Tensor | np.ndarray):
        return f"shuffled is a {type(shuffled).__name__}; wanted a tensor (n, 4, {x.shape[2]})."
    shape, n = tuple(shuffled.shape), len(shuffled) if shuffled.ndim else 0
    given = f"shuffled is {shape}; wanted (n, 4, {x.shape[2]})"
    if len(shape) == 4 and shape[2:] == x.shape[1:]:
        several = f": {shape[1]} shuffles of each are too many" if shape[1] > 1 else ""
        return f"{given}{several}: take one with shuffled[:, 0]."
    if shape[1:] == (x.shape[2], 4):
        return f"{given}: exchange the last two axes with .transpose(1, 2)."
    if shape[1:] != x.shape[1:]:
        return f"{given}."
    if n > len(x):
        return f"shuffled has {n:,} rows and the test set {len(x):,}; shuffle each one once."
    if n < min(_FEWEST, len(x)):
        return f"{n} promoters are too few for an r; shuffle a few hundred."
    return None


def _pairs(x: Tensor) -> Tensor:
    """Count pairs of neighbours, ``(N, 25)``: five letters, the last one N."""
    code = torch.where(x.sum(1) == 0, 4, x.argmax(1))
    pair = 5 * code[:, :-1] + code[:, 1:] + 25 * torch.arange(len(x))[:, None]
    return torch.bincount(pair.flatten(), minlength=25 * len(x)).view(-1, 25)


def _pairs_fault(x: Tensor, shuffled: Tensor) -> str | None:
    first = x[: len(shuffled)]
    if (same := (first == shuffled).all(2).all(1)).any():
        return f"row {int(same.byte().argmax())} is the promoter as it was; shuffle it."
    before, after = _pairs(first), _pairs(shuffled)
    wrong = (before != after).any(1)
    if not wrong.any():
        return None
    i = int(wrong.byte().argmax())
    if (_pairs(x) == after[i]).all(1).any():
        return "the rows stand in another order; wanted the first ones of the test set, in order."
    if not torch.equal(first.sum(2)[i], shuffled.sum(2)[i]):
        return f"row {i} has other bases than the promoter it should come from."
    p = int((before[i] != after[i]).byte().argmax())
    letters = ALPHABET + "N"
    counts = f"{letters[p // 5]}{letters[p % 5]} {before[i, p]} times, now {after[i, p]} times"
    return (
        f"the single bases are kept but the pairs are not: row {i} had {counts}; use "
        "dinucleotide_shuffle."
    )


def _r_fault(given: object, x: Tensor, shuffled: Tensor, y: Tensor, model: nn.Module) -> str | None:
    r = number(given)
    if r is None:
        return f"shuffled_r is {short(given)}; wanted one number."
    if abs(r) > 1:
        return f"r lies between -1 and 1; shuffled_r is {r:.3g}."
    n = min(len(shuffled), _RECOMPUTED)
    part, target = shuffled[:n], y[:n]
    prediction = _predicted(model, part)
    found = float(pearson_r(prediction, target))
    # The other rows are a sample like these: three standard errors.
    near = 0.01 + 3 * (1 - found**2) * (1 / n - 1 / len(shuffled)) ** 0.5
    if abs(r - found) <= near:
        return None
    both = (prediction + _predicted(model, reverse_complement(part))) / 2
    if abs(r - float(pearson_r(both, target))) <= near:
        return None
    said = f"shuffled_r is {r:.2f}, but the first {n} rows give {found:.2f}"
    as_they_are = _predicted(model, x[:n])
    if abs(r - float(pearson_r(as_they_are, target))) <= near + 0.03:
        return f"{said}; {r:.2f} is about the r of the promoters as they were."
    if abs(r - float(pearson_r(prediction, as_they_are))) <= near + 0.03:
        return f"{said}; compare with the measured expression, not with other predictions."
    return f"{said}; wanted pearson_r(predictions for shuffled, y_test[:{len(shuffled)}])."


def _predicted(model: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([asked(model, part.float()) for part in x.split(_AT_A_TIME)]).cpu()


# --- exercise 3 -------------------------------------------------------------------------------


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
    missing = [name for name, answer in answers.items() if answer is None]
    if len(missing) == 4:
        return EMPTY
    fault = _changed_in_place(x, effects) or _deletion_fault(model, x, effects, **answers)
    if fault is not None:
        return Verdict(False, fault)
    if missing:
        return Verdict(None, f"right so far; still to come: {', '.join(missing)}.")
    guess, change = number(expected_change), number(measured_change)
    return Verdict(
        True,
        f"the prediction changes by {change:+.2f}; you expected {guess:+.2f}, off by "
        f"{abs(guess - change):.2f}.",
    )


def _deletion_fault(
    model: nn.Module,
    x: Tensor,
    effects: Tensor,
    top_two: object,
    without_motif: object,
    expected_change: object,
    measured_change: object,
) -> str | None:
    """Say what is wrong with the answers that are there."""
    fault = None if top_two is None else _top_fault(top_two, effects)
    if fault is None and without_motif is not None:
        fault = _form_of_mutant(without_motif, x) or _mutant_fault(without_motif, x, effects)
    changes = {"expected_change": expected_change, "measured_change": measured_change}
    for name, given in changes.items():
        if fault is None and given is not None and number(given) is None:
            fault = f"{name} is {short(given)}; wanted one number."
    if fault is None and without_motif is not None and measured_change is not None:
        fault = _measured_fault(number(measured_change), model, x, without_motif, effects)
    return fault


def _changed_in_place(x: Tensor, effects: Tensor) -> str | None:
    if (effects * x[0]).any():
        return (
            "x is no longer the promoter that effects belongs to. Run the cell that makes x again, "
            "and change x.clone()."
        )
    return None


def _top_fault(given: object, effects: Tensor) -> str | None:
    places, length = numbers(given), effects.shape[1]
    if places is None or places.shape != (2,) or not (places % 1 == 0).all():
        return f"top_two should be two positions, 0 to {length - 1}."
    if (places < 0).any():
        return f"{min(places):.0f} is counted from the TSS; add {length} to get positions."
    if (places >= length).any():
        return f"{max(places):.0f} is no position; take the largest of the four rows: amax(0)."
    if places[0] == places[1]:
        return "both are the same position; wanted two."
    chosen, size = torch.from_numpy(places.astype(int)), effects.abs().amax(0)
    slips = {
        "": size,
        "these are the largest rises; a fall matters as much: effects.abs().": effects.amax(0),
        "these are the largest falls; a rise matters as much: effects.abs().": -effects.amin(0),
        _SUM.format("changes"): effects.sum(0).abs(),
        _SUM.format("sizes of changes"): effects.abs().sum(0),
    }
    for sentence, importance in slips.items():
        if _are_top(chosen, importance):
            return sentence or None
    return (
        f"the largest changes at {chosen[0]} and {chosen[1]} are {size[chosen[0]]:.2f} and "
        f"{size[chosen[1]]:.2f}; other positions have larger ones."
    )


def _are_top(chosen: Tensor, importance: Tensor) -> bool:
    best = importance.topk(2).values
    return torch.allclose(importance[chosen].sort(descending=True).values, best)


def _form_of_mutant(given: object, x: Tensor) -> str | None:
    wanted = tuple(x.shape)
    if not isinstance(given, Tensor):
        return f"without_motif is a {type(given).__name__}; wanted a tensor {wanted}."
    if given.shape != x.shape:
        shape = tuple(given.shape)
        return f"without_motif is {shape}; wanted {wanted}: replace bases, do not remove them."
    if (given.sum(1) == 0).any() and not (x.sum(1) == 0).any():
        return "some columns are all zero (N); replace them by other bases."
    return one_hot_fault(given, "without_motif")


def _mutant_fault(given: Tensor, x: Tensor, effects: Tensor) -> str | None:
    changed = (given != x)[0].any(0).nonzero().flatten()
    if len(changed) == 0:
        return "without_motif is the same as x; put other bases where the motif was."
    first, last = int(changed[0]), int(changed[-1])
    stretch = f"{len(changed)} bases between {first} and {last} differ from x"
    if last - first >= 40:
        return f"{stretch}; replace one motif, 10 to 16 bases, and leave all others in place."
    if last - first < 5 or len(changed) < 5:
        return f"{stretch}; replace all bases of the motif, 10 to 16."
    important = effects.abs().amax(0).topk(min(_IMPORTANT, effects.shape[1])).indices
    if not ((important >= first) & (important <= last)).any():
        return (
            f"{stretch}, and none of the {_IMPORTANT} most important positions is among them: is "
            "a motif there? Position 0 is place -2000."
        )
    return None


def _measured_fault(
    given: float, model: nn.Module, x: Tensor, without: Tensor, effects: Tensor
) -> str | None:
    both = torch.cat([x, without.to(x)])
    before, after = _predicted(model, both).double()
    turned = _predicted(model, reverse_complement(both)).double()
    change = float(after - before)
    averaged = (change + float(turned[1] - turned[0])) / 2

    def near(value: float) -> bool:
        return abs(given - value) < 0.01 + 0.01 * abs(value)

    if near(change) or near(averaged):
        return None
    said = f"measured_change is {given:+.2f}, and the model says {change:+.2f}"
    if near(-change) or near(-averaged):
        return f"{said}: it is the prediction after, minus the one before."
    if near(float(after)):
        return f"{said}: from the prediction after, subtract the one before."
    if near(float((effects * (without - x)[0].clamp(min=0)).sum())):
        return (
            f"{said}: you added up single mutations, but together they do something else; predict "
            "without_motif."
        )
    return f"{said}: predict without_motif and x in evaluation mode, and subtract."

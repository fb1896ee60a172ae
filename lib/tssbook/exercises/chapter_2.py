"""The checks of the exercises of Chapter 2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tssbook.data.promoters import Promoters
from tssbook.data.splits import Split
from tssbook.exercises.verdict import (
    EMPTY,
    Fault,
    Verdict,
    answered,
    array,
    check,
    matched,
    networks_differ,
    number,
    numbers,
    places,
    predicted,
    require_function,
    require_keys,
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
    inflation: Mapping[str, Sequence[float]] | None,
    split: Split,
    trained: nn.Module | None = None,
    model: nn.Module | None = None,
    data: Promoters | None = None,
    seed: int = 17,
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
    trained, model
        The network after that training, and the one that it began with. They are asked for the
        copied genes and for 200 of the others. Nothing is trained again.
    data
        What the rows of ``split`` are rows of. None takes the numbers of ``inflation`` on trust:
        only what cannot be is refused, and the verdict says so.
    seed
        By which the copied genes were drawn for ``trained``.
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
            "wanted the same genes for the same seed, and others for another: draw them with "
            "np.random.default_rng(seed).choice."
        )
    gain = {} if inflation is None else _gains(inflation, len(split.test))
    answers = {"leaky": leaky, "inflation": inflation}
    if data is not None:
        answers["trained"] = trained
    if open_part := unfinished(answers):
        return open_part
    if data is not None:
        copied = np.intersect1d(numbers(given), split.test).astype(int)
        _require_gains(inflation, model, trained, data, copied, np.setdiff1d(split.test, copied))
    said = (
        f"r changes by {gain['copied']:+.3f} on the copied genes and by {gain['others']:+.3f} "
        "on the others: the difference was learned by heart."
    )
    trust = "" if data is not None else " (Your four numbers were taken on trust.)"
    told = {f"r {when}, {part}": float(r) for part in ("copied", "others")
            for when, r in zip(("before", "after"), inflation[part], strict=True)}  # fmt: skip
    return Verdict(True, f"{said}{trust}", told)


def _require_rows(given: object, train: np.ndarray, test: np.ndarray) -> None:
    rows = numbers(given)
    if rows is None or rows.ndim != 1:
        raise Fault(f"leaky returns {short(given)}; wanted one array of row numbers for training.")
    extra = Counter(rows.tolist()) - Counter(train.tolist())
    lost, copied, other = set(train) - set(rows), set(extra) & set(test), set(extra) - set(test)
    if lost:
        raise Fault(
            f"{len(lost):,} of {len(train):,} training rows are missing; wanted all of them, and "
            "the copies behind them (np.concatenate)."
        )
    if other and max(extra) < len(test):
        raise Fault("the added numbers are places in split.test, not rows: split.test[places].")
    if other:
        raise Fault(f"row {min(other):g} was added; wanted rows of split.test only.")
    if extra.total() > len(copied):
        raise Fault("a test gene was added twice; draw with replace=False.")
    if abs(len(copied) - len(test) / 10) >= 1:
        raise Fault(f"{len(copied):,} of {len(test):,} test genes were added; wanted a tenth.")


def _gains(inflation: object, n_test: int) -> dict[str, float]:
    """Return by how much r rises on either part of the test genes; refuse what cannot be."""
    require_keys("inflation", inflation, ("copied", "others"))
    pairs = {
        name: array(f"inflation[{name!r}]", given, (2,), ": r before and r after")
        for name, given in inflation.items()
    }
    for name, (before, after) in pairs.items():
        if not (abs(before) <= 1 and abs(after) <= 1):
            raise Fault(f"r lies between -1 and 1, but {name!r} is {before:.3g} and {after:.3g}.")
    first, second = pairs["copied"][0], pairs["others"][0]
    # Both are random samples of the test genes: four standard errors of the smaller one.
    if abs(first - second) > 0.02 + 4 * (1 - second**2) / (n_test / 10) ** 0.5:
        raise Fault(
            f"r before is {first:.2f} on the copied genes and {second:.2f} on the others; wanted "
            "about the same, since the copied ones were drawn at random."
        )
    gain = {name: float(after - before) for name, (before, after) in pairs.items()}
    copied, others = gain["copied"], gain["others"]
    if copied == others == 0:
        raise Fault(
            "r is the same before and after. Training changes the model itself: compute r before "
            "it, or train a copy.deepcopy."
        )
    if copied < max(others, 0.02):
        raise Fault(
            f"the copied genes gain {copied:+.3f} and the others {others:+.3f}; wanted a rise on "
            "the copied ones: give (r before, r after), and train for a few more epochs."
        )
    return gain


def _require_gains(
    inflation: Mapping[str, Sequence[float]],
    model: nn.Module,
    trained: nn.Module,
    data: Promoters,
    copied: np.ndarray,
    others: np.ndarray,
) -> None:
    """Compare the four r with what the networks say, for both strands or for one."""
    if not isinstance(trained, nn.Module):
        raise Fault(f"trained is {short(trained)}; wanted the network after training.")
    advice = "train a copy.deepcopy(model), and leave model as it was."
    networks_differ("networks", {"model": model, "trained": trained}, advice)
    some = others[:: max(1, len(others) // _RECOMPUTED)]  # from all chromosomes of the test
    for part, all_rows, rows in (("copied", copied, copied), ("others", others, some)):
        x, y = data.x[torch.from_numpy(rows)], data.y[torch.from_numpy(rows)]
        networks = ("before", "model", model), ("after", "trained", trained)
        for (when, name, network), r in zip(networks, inflation[part], strict=True):
            one = answered(name, network, x)
            both = (one + answered(name, network, reverse_complement(x))) / 2
            found = float(pearson_r(both, y))
            # Where only some are asked for: three standard errors.
            near = 0.01 + 3 * (1 - found**2) * (1 / len(rows) - 1 / len(all_rows)) ** 0.5
            said = (
                f"inflation[{part!r}] says {float(r):.2f} {when} the training, and {name} gives "
                f"r = {found:.2f} on these genes."
            )
            matched(r, [("", found), ("", float(pearson_r(one, y)))], said, atol=near)


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

"""In-silico mutagenesis side by side: ours, the loops, and tangermeme's fast path.

The loops make one prediction per edit, as tutorials do: one at a time (naive), or in batches of
the best of a few sizes. They and tangermeme are timed on some positions, spread over the
sequence, and scaled to all of them; ours is timed whole. What tangermeme does once per call
(capturing the model, checking it) is left out, except in the line "whole call"; ours is timed
with all that it does. Everything is timed in turn in one process. Prints seconds for all edits,
and ratios to ours.

One other process that computes makes two threads several times slower: look at the minima, and
repeat where minimum and median differ.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch
from _timing import describe_machine, goal
from tangermeme._fastism import _FastISM
from tangermeme.saturation_mutagenesis import saturation_mutagenesis
from torch import Tensor, nn

from tssbook.interpret import ism
from tssbook.models import ProCapNet, PromoterNet
from tssbook.sequence import one_hot

BATCH_SIZES = (4, 8, 16, 32)
NAIVE, WHOLE = "naive loop, all four bases", "tangermeme, whole call"


class Case(NamedTuple):
    """A model, and on how many positions the slower ways are timed."""

    name: str
    model: nn.Module
    length: int
    n_sequences: int
    naive: int
    tangermeme: int
    rounds: int
    # Ways that our time is to be so many times shorter than; tangermeme's whole call, set-up
    # included, is only timed where it has a goal.
    goals: tuple[tuple[str, float], ...] = ()


def outputs(model: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """Return a model's outputs as a tuple."""
    found = model(x)
    return found if isinstance(found, tuple) else (found,)


def edits_at(x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Return base and position of all edits of one sequence ``(4, L)``, base after base."""
    base, index = (x[:, positions] == 0).nonzero().T
    return base, positions[index]


def one_by_one(model: nn.Module, x: Tensor, positions: Tensor, batch: int = 1) -> list[Tensor]:
    """Predict each edit of one sequence ``(1, 4, L)``, and the sequence as it is."""
    before = outputs(model, x)
    parts = []
    base, position = edits_at(x[0], positions)
    for bases, places in zip(base.split(batch), position.split(batch), strict=True):
        changed, row = x.repeat(len(bases), 1, 1), torch.arange(len(bases))
        changed[row, :, places] = 0
        changed[row, bases, places] = 1
        after = outputs(model, changed)
        parts.append([new - old for new, old in zip(after, before, strict=True)])
    return [torch.cat(column) for column in zip(*parts, strict=True)]


def every_base(model: nn.Module, x: Tensor, positions: Tensor) -> None:
    """Predict all four bases at some positions, one by one, as first tutorials do."""
    for position in positions:
        for base in range(4):
            changed = x.clone()
            changed[0, :, position] = 0
            changed[0, base, position] = 1
            outputs(model, changed)


def spread(length: int, n_positions: int, run: int = 4) -> Tensor:
    """Choose runs of neighbouring positions, spread evenly over a sequence."""
    if n_positions == length:
        return torch.arange(length)
    starts = torch.linspace(0, length - run, n_positions // run).round().long()
    return (starts[:, None] + torch.arange(run)).flatten()


def ways(case: Case, x: Tensor) -> dict[str, tuple[Callable[[], object], float]]:
    """Return what is timed, and what its time is multiplied by."""
    model, length = case.model, case.length
    few, some = spread(length, case.naive), spread(length, case.tangermeme)
    cpu = torch.device("cpu")
    fast = _FastISM(model, x.to(torch.int8), None, 0, length, cpu, torch.float32, False)

    def tangermeme(batch: int) -> list:
        return [fast.predict_edits(i, *edits_at(x[i], some), batch) for i in range(len(x))]

    scale = len(x) * length
    found: dict[str, tuple[Callable[[], object], float]] = {
        "ours": (lambda: ism(model, x, device="cpu"), 1),
        "naive loop": (lambda: one_by_one(model, x[:1], few), scale / len(few)),
        NAIVE: (lambda: every_base(model, x[:1], few), scale / len(few)),
    }
    for batch in BATCH_SIZES:
        # A position has three edits: so many positions make whole batches.
        places = spread(length, max(case.naive, batch))
        places = places[: len(places) // batch * batch]
        found[f"batches of {batch}"] = (
            lambda batch=batch, places=places: one_by_one(model, x[:1], places, batch),
            scale / len(places),
        )
    for batch in (32, 128):
        name = f"tangermeme, batches of {batch}"
        found[name] = (lambda batch=batch: tangermeme(batch), length / len(some))
    if WHOLE in dict(case.goals):
        found[WHOLE] = (lambda: whole_call(model, x), 1)
    return found


def whole_call(model: nn.Module, x: Tensor) -> object:
    """Call tangermeme as its users do, with its fast path forced on: set-up and check included."""
    always = {"_FAST_MIN_SECONDS": 0.0, "_FAST_MAX_RELATIVE_TIME": float("inf")}
    with mock.patch.multiple("tangermeme.saturation_mutagenesis", **always):
        return saturation_mutagenesis(model, x, raw_outputs=True, device="cpu")


def check(case: Case, x: Tensor) -> None:
    """Compare the numbers before the times, with the loop in double precision."""
    place = case.length // 2
    ours = ism(case.model, x[:1], start=place, end=place + 1, device="cpu")
    base, _ = edits_at(x[0], torch.tensor([place]))
    single = one_by_one(case.model, x[:1], torch.tensor([place]))
    double = one_by_one(copy.deepcopy(case.model).double(), x[:1].double(), torch.tensor([place]))
    scales = [output.abs().max() for output in outputs(case.model, x[:1])]
    ours = [output[0, base, 0] for output in (ours if isinstance(ours, tuple) else (ours,))]

    def error(found: list[Tensor]) -> float:
        each = zip(found, double, scales, strict=True)
        return max(float((a - b).abs().max() / scale) for a, b, scale in each)

    print(f"\n{case.name}")
    print(
        f"  largest error, as a share of the prediction: ours {error(ours):.1e}, "
        f"naive loop {error(single):.1e}"
    )
    if error(ours) > 1e-5:
        raise SystemExit(f"{case.name}: the results differ")


def measure(case: Case) -> None:
    """Time all ways in turn, after one call that is not counted, and print them."""
    generator = np.random.default_rng(0)
    letters = generator.choice(list("ACGT"), size=(case.n_sequences, case.length))
    x = one_hot(["".join(row) for row in letters])
    check(case, x)
    timed = ways(case, x)
    times: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(case.rounds + 1):
        for name, (function, scale) in timed.items():
            start = time.perf_counter()
            function()
            times[name].append(scale * (time.perf_counter() - start))
    times = {name: taken[1:] for name, taken in times.items()}
    ours = times["ours"]
    for name, taken in times.items():
        middle, least = statistics.median(taken), min(taken)
        print(
            f"  {name:28s} median {middle:10.3f} s   min {least:10.3f} s   "
            f"ratio {middle / statistics.median(ours):7.1f}  of minima {least / min(ours):7.1f}"
        )
    for name, wanted in case.goals:
        found = statistics.median(times[name]) / statistics.median(ours)
        goal(f"{case.name}: mutagenesis, {name} / ours", found, wanted)


@torch.no_grad()
def main() -> None:
    """Measure the chapter's network and two sizes of ProCapNet."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    describe_machine()
    promoter = PromoterNet().eval()
    small, large = ProCapNet(n_filters=64).eval(), ProCapNet().eval()
    for layer in (promoter.linear2, small.linear, large.linear):
        nn.init.ones_(layer.bias)  # a prediction near 0 would be no scale to compare by
    goals = ((NAIVE, 150), (WHOLE, 15))
    measure(Case("PromoterNet, 2,000 bp", promoter, 2000, 1, 40, 2000, 5, goals))
    measure(Case("PromoterNet, 2,000 bp, ten sequences", promoter, 2000, 10, 40, 400, 3))
    goals = ((NAIVE, 25), (WHOLE, 10))
    measure(Case("ProCapNet, 64 filters, 2,114 bp", small, 2114, 1, 16, 128, 3, goals))
    measure(Case("ProCapNet, 512 filters, 2,114 bp", large, 2114, 1, 4, 24, 2))


if __name__ == "__main__":
    main()

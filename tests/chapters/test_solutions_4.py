"""The solutions of Chapter 4, run once: the checks accept them, and their text is true.

Trainings differ in their last digits from one processor to the next, so nbval does not compare
what comes from them; here it is held to what the text says of it.
"""

from __future__ import annotations

from typing import Any

import pytest

from tools.notebooks import ROOT
from tools.ship_checkpoints import run_cells


@pytest.fixture(scope="module")
def solutions() -> dict[str, Any]:
    return run_cells(ROOT / "solutions" / "04-procapnet.ipynb")


@pytest.mark.parametrize("exercise", ["first", "second", "third"])
def test_check_accepts_the_solution(solutions, exercise):
    assert solutions[exercise].passed, solutions[exercise].message


def test_one_softmax_knows_the_ratio_of_the_strands(solutions):
    assert solutions["distance"]["both"] < solutions["distance"]["each"]
    assert solutions["share_r"] > 0.8


def test_few_edits_make_both_strands_alike(solutions):
    assert solutions["design"].before[0] > 0.7
    assert 1 <= len(solutions["design"].edits) <= 10


def test_the_mask_is_worth_its_trouble(solutions):
    share = solutions["share"]
    assert share["without mask"] < share["with mask"] / 2

"""The solutions of Chapter 4, run once: the checks accept them, and their text is true.

Trainings differ in their last digits from one processor to the next, so that their outputs are
tagged nbval-ignore-output; here they are held to what the text says of them.
"""

from __future__ import annotations

import pytest

from tools.notebooks import ROOT

NOTEBOOK = ROOT / "solutions" / "04-procapnet.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


@pytest.mark.parametrize("exercise", ["first", "second", "third"])
def test_check_accepts_the_solution(solutions, exercise):
    assert solutions[exercise].passed, solutions[exercise].message


def test_one_softmax_knows_the_ratio_of_the_strands(solutions):
    assert solutions["distance"]["both"] < solutions["distance"]["each"]
    assert 0.8 * solutions["best_r"] < solutions["share_r"] < solutions["best_r"]


def test_few_edits_make_both_strands_alike(solutions):
    assert solutions["flipped"].before[0] > 0.7
    assert [(place, was) for place, was, _ in solutions["flipped"].edits] == [(1057 - 27, "A")]
    assert 0.45 < solutions["true"][0] / solutions["true"].sum() < 0.6
    judged = solutions["second"].numbers
    predicted = judged["counts after"] / judged["counts before"]
    assert judged["reads_left"] < 0.6 * predicted < predicted < 0.7  # in truth by more
    assert solutions["true_before"] > solutions["flipped"].before[0]


def test_the_mask_is_worth_its_trouble(solutions):
    share = solutions["share"]
    assert share["without mask"] < 0.75 * share["with mask"]
    # Of the gap that the unmasked network leaves, the mask leaves a quarter; other seeds, and the
    # last digits of another processor, more.
    assert share["truth"] - share["with mask"] < 0.75 * (share["truth"] - share["without mask"])

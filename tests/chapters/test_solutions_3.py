"""The solutions of Chapter 3, run once: the checks accept them, and their text is true.

Trainings differ in their last digits from one processor to the next, so that their outputs are
tagged nbval-ignore-output; here they are held to what the text says of them.
"""

from __future__ import annotations

import numpy as np
import pytest

from tools.notebooks import ROOT

NOTEBOOK = ROOT / "solutions" / "03-puffin.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


@pytest.mark.parametrize("exercise", ["first", "second", "third"])
def test_check_accepts_the_solution(solutions, exercise):
    assert solutions[exercise].passed, solutions[exercise].message


def test_silenced_filter_is_tata_and_acts_on_its_own_strand(solutions):
    assert solutions["motif"] == "TATA"
    change = solutions["changes"].sum(0)
    assert (change[:5] < -500).all()
    assert (change[5:] > -100).all()
    assert change[[5, 6]].min() > 200  # which the text wonders at
    strength = solutions["strength"]
    assert (strength[solutions["top_loci"]] > 0.3).sum() >= 3  # most of them
    assert strength[solutions["top_loci"]].mean() > 2 * strength.mean()


def test_squared_errors_end_in_silence(solutions):
    table = solutions["squares_table"]
    assert table.loc["KL", "profile r"] > 0.2
    assert not table.loc["MSE", "profile r"] > 0.2
    assert table.loc["MSE", "mean"] < 0.1 * table.loc["measured", "mean"]
    silent, *trained = table.loc[["all zero", "MSE", "KL"], "mean squared error"]
    assert min(trained) > 0.9 * silent


def test_peak_follows_the_box(solutions):
    assert np.median(solutions["behind"]) == pytest.approx(30, abs=1)
    assert np.isin(solutions["behind"], range(25, 36)).mean() > 0.8


def test_a_lower_rate_leaves_some_shape(solutions):
    table = solutions["tried_table"]
    by_divergence = solutions["squares_table"].loc["KL", "profile r"]
    assert 0.05 < table.loc["rate 0.0005", "profile r"] < 0.4 * by_divergence

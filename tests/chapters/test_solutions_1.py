"""The solutions of Chapter 1, run once: the checks accept them, and their text is true.

Trainings differ in their last digits from one processor to the next, so nbval does not compare
the tables of losses; here they are held to what the text says of them.
"""

from __future__ import annotations

from typing import Any

import pytest

from tools.notebooks import ROOT
from tools.ship_checkpoints import run_cells


@pytest.fixture(scope="module")
def solutions() -> dict[str, Any]:
    return run_cells(ROOT / "solutions" / "01-toy-cnn.ipynb")


@pytest.mark.parametrize("exercise", ["first", "second", "third"])
def test_check_accepts_the_solution(solutions, exercise):
    assert solutions[exercise].passed, solutions[exercise].message


def test_linear_model_hardly_cares_about_the_rate_and_the_cnn_does(solutions):
    table = solutions["rate_table"]
    assert table["linear"].between(13.0, 13.4).all()
    assert table["linear"].idxmax() == 0.001  # still on its way
    assert table["cnn"].idxmin() == 0.01
    assert (table["cnn"].drop(0.01) > 1.5 * table["cnn"][0.01]).all()


def test_only_architecture_and_start_together_solve_it(solutions):
    error = solutions["ablation"]  # rows: recipes, columns: seeds
    for recipe in ("maximum, Adam, start at the mean", "tanh, Adam, start at the mean"):
        assert (error.loc[recipe] < 0.01).all()
    assert (error.loc["maximum, SGD, start at the mean"] < 0.05).all()
    for recipe in ("CNN, SGD", "CNN, Adam, start at the mean"):
        assert (error.loc[recipe] > 0.8).all()
    for recipe in ("maximum, SGD", "maximum, Adam"):
        assert (error.loc[recipe] > 2).sum() >= 2

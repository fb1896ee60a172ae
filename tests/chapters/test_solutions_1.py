"""The solutions of Chapter 1, run once: the checks accept them, and their text is true.

Trainings differ in their last digits from one processor to the next, so that their outputs are
tagged nbval-ignore-output; here they are held to what the text says of them.
"""

from __future__ import annotations

import pytest

from tools.notebooks import ROOT

NOTEBOOK = ROOT / "solutions" / "01-toy-cnn.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


@pytest.mark.parametrize("exercise", ["first", "second", "third"])
def test_check_accepts_the_solution(solutions, exercise):
    assert solutions[exercise].passed, solutions[exercise].message


def test_linear_model_hardly_cares_about_the_rate_and_the_cnn_does(solutions):
    table = solutions["rate_table"]
    assert table["linear"].drop(0.001).between(13.0, 13.4).all()
    assert 13.2 < table["linear"][0.001] < 16  # still on its way
    assert table["cnn"].idxmin() == 0.01
    assert (table["cnn"].drop(0.01) > 1.2 * table["cnn"][0.01]).all()


def test_only_architecture_and_start_together_solve_it(solutions):
    error, stored = solutions["ablation"], solutions["stored"]
    assert error.loc["CNN, Adam, start at the mean"].between(0.8, 1).all()
    assert 0.8 < stored["plain CNN, SGD"] < 0.9
    assert (stored.drop("plain CNN, SGD") < 0.01).all()
    assert (error.loc["tanh, Adam, start at the mean"] < 0.01).all()
    assert error.loc["maximum, SGD, start at the mean"].between(0.01, 0.5).all()
    from_zero = error.loc[["maximum, SGD", "maximum, Adam"]].stack()
    assert (from_zero > 2).sum() == 3
    assert from_zero["maximum, SGD", 18] < 0.5


def test_test_words_are_used_once(solutions):
    source = (ROOT / "solutions" / "01-toy-cnn.ipynb").read_text(encoding="utf-8")
    assert source.count("test_rows") == 3  # where they are made, and twice in one line
    assert "the test error is 0.00" in solutions["third"].message

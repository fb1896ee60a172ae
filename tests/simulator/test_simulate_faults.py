"""Wrong input to the simulator: one sentence, and nothing left behind."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import refusal
from tssbook.simulator import recovery, simulate, truth, write_files


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_loci": 0}, "n_loci is 0"),
        ({"n_loci": -5}, "n_loci is -5; wanted a whole number of 1 or more"),
        ({"seed": -1}, "seed is -1; wanted a whole number of 0 or more"),
        ({"seed": "x"}, "seed is 'x'; wanted a whole number of 0 or more"),
        ({"length": 2000.0}, "length is 2000.0; wanted a whole number"),
        ({"length": 1000}, "length is 1000; wanted an even number of 2,000 or more"),
        ({"length": 2001}, "length is 2001"),
    ],
)
def test_numbers_out_of_range(tmp_path, arguments, words):
    folder = tmp_path / "store"
    wrong = {"n_loci": 5, "seed": 1, "folder": folder} | arguments
    assert words in refusal(lambda: simulate(wrong.pop("n_loci"), **wrong))
    assert not folder.exists()


def test_a_folder_with_another_simulation(tmp_path):
    simulate(3, seed=1, length=2000, tracks=False, folder=tmp_path)
    message = refusal(
        lambda: simulate(3, seed=2, length=2000, tracks=False, folder=tmp_path), FileExistsError
    )
    assert "holds a finished store" in message


def test_a_folder_with_other_files(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    message = refusal(lambda: simulate(3, seed=1, folder=tmp_path), FileExistsError)
    assert f"{tmp_path} holds no store" in message
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_files_are_not_written_over_others(tmp_path):
    few = simulate(3, seed=1, length=2000, tracks=False)
    assert "wanted the name of a new folder" in refusal(
        lambda: write_files(few, tmp_path), FileExistsError
    )


@pytest.mark.parametrize(
    ("pwms", "words"),
    [
        ([], "wanted at least one matrix (4, W)"),
        ([np.zeros((12, 4))], "pwms have shapes [(12, 4)]"),
        ([np.zeros((2, 4, 12))], "[(2, 4, 12)]"),
    ],
)
def test_matrices_of_another_shape(pwms, words):
    assert words in refusal(lambda: recovery(pwms))


@pytest.mark.parametrize("shape", [(1, 601), (2, 10, 601), (1, 9, 601), (1, 10, 600), (1, 10, 21)])
def test_curves_of_another_shape(shape):
    message = refusal(lambda: recovery([truth().pwms[0]], np.ones(shape)))
    assert f"curves are {shape}; wanted (1, 10, D)" in message


def test_a_constant_matrix_is_no_motif():
    found = recovery([np.full((4, 12), 0.25)], np.zeros((1, 10, 601)))
    assert not found["found"].any()

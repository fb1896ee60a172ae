"""Chapter 1 as a whole: what its live training reaches.

The chapter's cells run once, in default flags; those that train run again with ``TRAIN = True``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.chapters.running import Run
from tools.notebooks import ROOT
from tssbook import metrics
from tssbook.models import MaxPoolCNN, describe
from tssbook.training import predict

NOTEBOOK = ROOT / "chapters" / "01-toy-cnn.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


@pytest.fixture(scope="module")
def live(run: Run) -> dict[str, Any]:
    """The variables after training everything anew."""
    return run.again("train-two", "maxpool", TRAIN=True)


def valid_losses(chapter: dict[str, Any], name: str) -> np.ndarray:
    return chapter["models"][name][1]["valid_loss"].to_numpy()


def test_split_sizes(chapter):
    sizes = [len(members) for members in chapter["rows"].values()]
    assert sizes == [41_942, 10_486, 13_108]


def test_linear_model_stays_at_13_from_the_second_epoch_on(chapter, live):
    losses = valid_losses(live, "toy-linear")
    assert len(losses) == 50
    assert np.abs(losses[1:] - 13.09).max() < 0.05
    assert chapter["limit_of_linear"] == pytest.approx(13.09, abs=0.01)  # least squares


def test_cnn_ends_between_085_and_090(live):
    shipped = np.array(describe("toy-cnn")["training"]["history"]["valid_loss"])
    assert shipped[0] == pytest.approx(10, abs=1)
    assert 0.85 <= shipped[-1] <= 0.90
    # A training elsewhere differs in its spikes; what it settles at does not.
    assert 0.85 <= np.sort(valid_losses(live, "toy-cnn")[-10:])[:5].mean() <= 0.90


@pytest.mark.parametrize(("name", "epochs"), [("toy-linear", 50), ("toy-cnn", 4)])
def test_live_training_follows_the_shipped_one(live, name, epochs):
    shipped = describe(name)["training"]["history"]["valid_loss"]
    losses = valid_losses(live, name)
    np.testing.assert_allclose(losses[:epochs], shipped[:epochs], rtol=2e-3)
    assert losses.min() == pytest.approx(min(shipped), abs=0.02)


@pytest.mark.parametrize("seed", [17, 18, 19])
def test_max_pooling_brings_the_test_error_below_001(chapter, live, seed):
    test = chapter["test_set"]
    for model in (
        live["models"][f"toy-maxpool-{seed}"][0],
        MaxPoolCNN.from_pretrained(f"toy-maxpool-{seed}"),
    ):
        assert metrics.mse(predict(model, test.x, device="cpu"), test.y) < 0.01


def test_64_words_are_memorised(chapter):
    """The validation loss turns round early, and ends above that of the mean, 18."""
    train, valid = chapter["few_train"].to_numpy(), chapter["few_valid"].to_numpy()
    assert valid.argmin() < 15
    assert train[-1] < 1 < 14 < valid.min() < 17.5
    mean_guess = float(chapter["valid_set"].y.var())
    assert mean_guess == pytest.approx(18, abs=0.5)
    assert valid[-10:].mean() > mean_guess


def test_answers_of_the_warm_ups(chapter):
    x, reverse = chapter["one_hot"](chapter["kmers"](8)), chapter["reverse_complement"]
    assert (x == reverse(x)).flatten(1).all(1).sum() == 256
    conv, threes = chapter["conv"], chapter["threes"]
    with torch.no_grad():
        conv.weight[0, 1, 2] = 1
        answers = torch.relu(conv(chapter["one_hot"](threes)))[:, 0, 0]
        conv.weight[0, 1, 2] = -1
    found = {word: value for word, value in zip(threes, answers.tolist(), strict=True) if value}
    assert found == {"TAC": 1, "TAT": 1}


def test_residual_of_the_cnn_lies_in_repeated_motifs(chapter):
    errors = chapter["errors"]
    repeated = errors[["TAT", "GCG"]].max(axis=1) > 1
    assert repeated.mean() < 0.02
    assert errors.loc[repeated, "squared"].sum() > 0.7 * errors["squared"].sum()
    by_copies = errors[errors["GCG"] == 0].groupby("TAT")["error"].mean()
    assert by_copies[2] == pytest.approx(8, abs=1)
    assert by_copies[1] == pytest.approx(-1, abs=0.3)


def test_network_knows_both_motifs_though_no_filter_responds_to_gcg(chapter):
    similarity, one_hot = chapter["motifs"].similarity, chapter["one_hot"]
    best = {
        motif: np.nanmax([similarity(matrix, one_hot(motif)) for matrix in chapter["found"]])
        for motif in ("TAT", "GCG")
    }
    assert best["TAT"] > 0.8 > best["GCG"]
    for number in (12, 20):  # a G, any letter but C, and a G
        letters = chapter["sites"][1][number]
        assert letters[1, 1] == 0 < letters[[0, 2, 3], 1].min()
        assert (letters[2, [0, 2]] == letters[:, 1].sum()).all()
    assert chapter["active"]["GCG"] == 0 < chapter["active"]["TAT"]
    together = chapter["together"]
    assert together["TAT"] == pytest.approx(9.2, abs=0.3)
    assert together["GCG"] == pytest.approx(-9.2, abs=0.3)
    assert together.drop(["TAT", "GCG"]).abs().max() < 5


def test_other_seeds_know_both_motifs_and_are_not_silent(chapter):
    together, count = chapter["beyond_pairs"](chapter["another"]), chapter["count"]
    assert together["TAT"] > 6 < -together["GCG"]
    assert together.drop(["TAT", "GCG"]).abs().max() < 5
    assert 0 < count["GCG"] < count["TAT"]


def test_linear_model_shares_the_bonus_out_among_letters(chapter):
    effects = chapter["effects"]
    # 8 places: (20, 17, 14, 11) less their mean, 15.5
    assert effects["rule"].tolist() == [4.5, 1.5, -1.5, -4.5]
    assert effects["learned"].tolist() == pytest.approx([7.9, -1.8, -8.3, 2.2], abs=0.1)
    assert (effects["learned"] - effects["rule + bonus"]).abs().max() < 0.15
    learned = chapter["by_base"](chapter["learned"])
    assert learned[0, [0, 7]] == pytest.approx([0.5625] * 2, abs=0.05)  # A at the ends: right
    assert learned[1, [0, 7]] == pytest.approx([0.1875] * 2, abs=0.05)  # C, too
    assert learned[0, 1:7].min() > 1
    assert learned[1, 1:7].max() < -0.3

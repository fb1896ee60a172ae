"""Chapter 2 as a whole: what its text says of its numbers, and its numbers on real promoters.

The chapter's cells run once, in default flags; the branch
that trains is run on a few genes.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tests.support import needs_mirror
from tools.notebooks import ROOT
from tssbook import metrics
from tssbook.data import Split
from tssbook.models import describe
from tssbook.training import predict

NOTEBOOK = ROOT / "chapters" / "02-promoter-expression.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


def r(prediction: torch.Tensor, target: torch.Tensor) -> float:
    return float(metrics.pearson_r(prediction, target))


def test_no_test_gene_of_the_chromosome_split_has_a_relative_in_training(chapter):
    assert chapter["related"](chapter["by_chromosome"]).sum() == 0
    assert chapter["related"](chapter["at_random"]).mean() > 0.15


def test_network_reaches_nine_tenths_of_the_ceiling_on_held_out_chromosomes(chapter):
    ceiling = r(chapter["true_value"][chapter["test"]], chapter["y_test"])
    assert chapter["ceiling"] == pytest.approx(ceiling)
    reached = {name: r(p, chapter["y_test"]) for name, p in chapter["predicted"].items()}
    assert reached["PromoterNet"] >= 0.9 * ceiling
    assert reached["G + C"] < reached["4-letter words"] < reached["PromoterNet"]


def test_training_did_not_see_the_test_chromosomes(chapter):
    chroms = chapter["data"].genes["chrom"].to_numpy()
    train, valid, test = (set(chroms[rows]) for rows in chapter["by_chromosome"])
    assert (test, valid) == ({"chr8", "chr9"}, {"chr10"})
    assert not train & (valid | test)


def test_relatives_inflate_the_random_split(chapter):
    prediction, measured = chapter["leaky_prediction"], chapter["data"].y[chapter["at_random"].test]
    values = {name: r(prediction[rows], measured[rows]) for name, rows in chapter["groups"].items()}
    assert values["with a relative"] > values["all test genes"] > values["without"]


def test_live_training_follows_its_recipe(chapter, monkeypatch):
    """The TRAIN branch, on 256 genes: same rows, same coins, twice the same weights."""
    few = Split(*(rows[:256] for rows in chapter["by_chromosome"]))
    monkeypatch.setitem(chapter["trained"].__globals__, "TRAIN", ["some"])
    first, history = chapter["trained"]("some", split=few, epochs=2)
    again, _ = chapter["trained"]("some", split=few, epochs=2)
    weights = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)
    assert len(history) == 2
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    assert history.attrs["batch_size"] == 64
    ten, _ = chapter["trained"](
        "some", split=few, epochs=1, y=torch.zeros(len(chapter["data"].y), 10)
    )
    assert ten.config["n_outputs"] == 10


@pytest.mark.parametrize("name", ["promoter", "promoter-random-split", "promoter-one-strand"])
def test_shipped_history_is_that_of_the_recipe(chapter, name):
    about = describe(name)
    assert about["training"]["learning_rate"] == chapter["RATE"]
    losses = np.array(about["training"]["history"]["valid_loss"])
    assert losses.min() == pytest.approx(about["metrics"]["valid_loss"])
    assert losses.max() > 1.5 * losses[-1]  # it jumps before it settles
    assert losses[-1] < 1.15 * losses.min()


def test_incremental_path_gives_the_plain_loops_numbers(chapter):
    slow, effects = chapter["slow"], chapter["effects"][:, 1900:1950]
    scale = predict(chapter["model"], chapter["x"]).abs().item()
    assert slow.abs().max() > 1
    assert (effects - slow).abs().max() < 1e-5 * scale


def test_transfer_curve(chapter):
    """45 rows; the trunk helps most where genes are few."""
    curve: pd.DataFrame = chapter["curve"]
    assert len(curve) == len(curve.drop_duplicates(["how", "genes", "seed"])) == 45
    mean = curve.groupby(["how", "genes"])["r"].mean().unstack("genes")
    assert (mean.loc["frozen trunk"] > mean.loc["from scratch"]).all()
    assert abs(chapter["again"] - chapter["stored"]) < 0.03


# --- real data --------------------------------------------------------------------------------


@needs_mirror
def test_ecoli_network_beats_the_words_with_an_interval_above_zero(chapter):
    prediction, target = chapter["both"], chapter["target"]
    assert r(prediction["4-letter words"], target) == pytest.approx(0.40, abs=0.03)
    assert r(prediction["PromoterNet"], target) > 0.55
    assert chapter["low"] > 0.1


@needs_mirror
def test_ecoli_split_shares_no_sequence(chapter):
    sequences = chapter["ecoli"]["sequence"].to_numpy()
    train, _, test = (set(sequences[rows]) for rows in chapter["real_split"])
    assert not train & test


@needs_mirror
def test_ecoli_network_looks_at_the_two_boxes(chapter):
    mean = chapter["mean"]
    place = chapter["place"]
    near = np.isin(place, np.r_[-38:-28, -15:-5])
    assert np.abs(mean[near]).mean() > 3 * np.abs(mean[~near]).mean()

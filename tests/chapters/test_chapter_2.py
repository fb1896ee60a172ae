"""Chapter 2 as a whole: what its text says of its numbers.

The chapter's cells run once, in default flags; the branch
that trains is run on a few genes. What is on real DNA is a page of its own: see test_real_2.py.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

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


def test_relatives_inflate_the_random_split_and_their_noise_is_remembered(chapter):
    rows = torch.from_numpy(chapter["at_random"].test)
    prediction, measured = chapter["leaky_prediction"], chapter["data"].y[rows]
    values = {name: r(prediction[part], measured[part]) for name, part in chapter["groups"].items()}
    assert values["with a relative"] > values["all test genes"] > values["without"]
    known = chapter["true_value"][rows]
    error, noise = prediction - known, measured - known
    part = chapter["groups"]["with a relative"]
    _, low, _ = chapter["interval"](
        metrics.pearson_r, error[part], noise[part], chapter["kinship"][rows[part]]
    )
    assert low > 0.2
    assert abs(r(error[~part], noise[~part])) < 0.1
    own = chapter["predicted"]["PromoterNet"] - chapter["true_value"][chapter["test"]]
    assert abs(r(own, chapter["y_test"] - chapter["true_value"][chapter["test"]])) < 0.1


def test_interval_draws_whole_groups(chapter):
    """Two groups of 0 and 0, 1 and 1: the mean of a draw is 0, 1/2 or 1, never 1/4."""
    values, drawn = torch.tensor([0.0, 0.0, 1.0, 1.0]), []

    def mean(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        drawn.append(prediction.mean().item())
        return prediction.mean()

    assert chapter["interval"](mean, values, values, [5, 5, 7, 7]) == (0.5, 0.0, 1.0)
    assert set(drawn) == {0.0, 0.5, 1.0}
    assert chapter["with_interval"](mean, values, values, [5, 5, 7, 7]) == "0.50 [0.00, 1.00]"


def test_shipped_table_of_scores_is_what_the_chapter_computes(chapter):
    stored = pd.read_csv(chapter["TABLES"] / "02-scores.csv")
    pd.testing.assert_frame_equal(stored, chapter["scores"], check_dtype=False, atol=1e-3)


def test_receptive_field_of_the_network(chapter):
    """By gradients: which bases a place in the middle of the third layer depends on."""
    torch.manual_seed(0)
    net, x = chapter["PromoterNet"]().eval(), torch.rand(1, 4, 2000, requires_grad=True)
    net.pool = torch.nn.AvgPool1d(4)  # every base counts, not only that of the largest value
    net.conv3(net.pool(net.bn2(net.conv2(net.pool(net.bn1(net.conv1(x)))))))[0, 0, 60].backward()
    seen = x.grad[0].abs().sum(0).nonzero()
    assert seen.max() - seen.min() + 1 == chapter["seen"] == 78


def test_model_weighs_the_motifs_of_one_promoter_badly(chapter):
    """What the text reads off the table of motifs."""
    listed = chapter["listed"].set_index("place")
    ratio = listed["model"] / listed["truth"]
    assert 1.1 < chapter["near"].sum() / chapter["real"].sum() < 1.4
    assert listed["motif"].to_dict() == {
        -292: "U1 snRNP", -126: "ETS", -111: "NRF1", -98: "NFY", -85: "SP", -63: "ZNF143",
        -43: "NRF1", -28: "ETS",
    }  # fmt: skip
    assert (ratio[[-126, -111]] > 1.7).all()
    assert (ratio[[-98, -85, -43]] < 0.9).all()
    assert ratio[-63] < 0.5
    assert listed.loc[-292, "truth"] < -2
    assert abs(listed.loc[-292, "model"]) < 0.2


def test_network_sees_words_and_hardly_places(chapter):
    """What the text reads off the table of written words."""
    table = pd.DataFrame(chapter["table"], index=["network", "truth"])
    nrf1, tata = table["NRF1"], table["TATA"]
    assert nrf1.loc["network"].between(2.9, 3.9).all()
    assert nrf1.loc["truth", [-1500, -600]].abs().max() < 0.01
    assert nrf1.loc["truth", [-60, -30]].min() > 3.3
    assert tata.loc["truth"].idxmax() == -30
    assert tata.loc["truth", -30] > 0.6
    assert tata.loc["network"].max() < 0.2
    touched = chapter["touched"]
    assert touched.loc["TATA box", "network, log2"] < touched.loc["TATA box", "truth, log2"] - 3
    assert touched["gene"].iloc[0] == chapter["gene"]


def test_live_training_follows_its_recipe(chapter, monkeypatch):
    """The TRAIN branch, on 96 genes: same rows, same coins, twice the same weights."""
    few = Split(*(rows[:96] for rows in chapter["by_chromosome"]))
    monkeypatch.setitem(chapter["trained"].__globals__, "TRAIN", ["some"])
    first, history = chapter["trained"]("some", split=few, epochs=2)
    again, _ = chapter["trained"]("some", split=few, epochs=2)
    weights = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)
    assert len(history) == 2
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    assert history.attrs["batch_size"] == 64
    assert history.attrs["seed"] == 17
    _, history = chapter["trained"]("some", split=few, epochs=1, rate=0.001, seed=18)
    assert (history.attrs["learning_rate"], history.attrs["seed"]) == (0.001, 18)
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

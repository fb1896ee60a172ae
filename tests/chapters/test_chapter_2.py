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
from tssbook.sequence import one_hot
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
    low, _ = chapter["interval"](
        lambda i: metrics.pearson_r(error[part][i], noise[part][i]), chapter["kinship"][rows[part]]
    )
    assert low > 0.2
    assert abs(r(error[~part], noise[~part])) < 0.1
    own = chapter["predicted"]["PromoterNet"] - chapter["true_value"][chapter["test"]]
    assert abs(r(own, chapter["y_test"] - chapter["true_value"][chapter["test"]])) < 0.1


def test_interval_draws_whole_groups(chapter):
    """Two groups of 0 and 0, 1 and 1: the mean of a draw is 0, 1/2 or 1, never 1/4."""
    values = torch.tensor([0.0, 0.0, 1.0, 1.0])
    drawn = []
    chapter["interval"](lambda i: drawn.append(values[i].mean().item()) or 0.0, [5, 5, 7, 7])
    assert set(drawn) == {0.0, 0.5, 1.0}


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


def test_transfer_curve(chapter):
    """57 rows; the trunk helps most where genes are few, and large steps undo it."""
    curve: pd.DataFrame = chapter["curve"]
    trunk, model = chapter["from_trunk"], chapter["from_model"]  # before any new head
    assert r(trunk, chapter["y_test"]) == pytest.approx(r(model, chapter["y_test"]), abs=0.02)
    assert len(curve) == len(curve.drop_duplicates(["how", "genes", "seed"])) == 57
    mean = curve.groupby(["how", "genes"])["r"].mean().unstack("genes")
    assert (mean.loc["frozen trunk"] > mean.loc["from scratch"]).all()
    assert mean.loc["fine-tuned", 1000] < mean.loc["fine-tuned", 200] - 0.03
    assert (mean.loc["fine-tuned gently"] - mean.loc["frozen trunk"]).abs().max() < 0.02
    assert abs(chapter["again"] - chapter["stored"]) < 0.03


# --- real data --------------------------------------------------------------------------------


YEAST = ("predicted", "scores", "leak", "words")


@needs_mirror
@pytest.mark.parametrize("name", YEAST)
def test_shipped_table_is_what_the_chapter_computes(chapter, name):
    stored = pd.read_csv(chapter["TABLES"] / f"02-yeast_{name}.csv")
    computed = chapter[f"yeast_{name}"].reset_index(drop=True)
    pd.testing.assert_frame_equal(stored, computed, check_dtype=False, atol=1e-3, rtol=1e-3)


@needs_mirror
def test_shipped_yeast_network_says_what_the_shipped_table_says(chapter):
    rows = torch.from_numpy(chapter["fold_0"].test)
    again = predict(chapter["yeast_net"], chapter["yeast_x"][rows])
    assert (again - chapter["said"]["chromosomes"][rows]).abs().max() < 0.01


@needs_mirror
def test_every_yeast_gene_is_tested_once_and_never_by_a_model_that_saw_its_chromosome(chapter):
    where, four = chapter["where"], chapter["folds"]["chromosomes"]
    tested = np.concatenate([split.test for split in four])
    assert sorted(tested) == list(range(len(where)))
    for split in four:
        train, valid, test = (set(where[rows]) for rows in split)
        assert len(valid) == 1
        assert len(train | valid | test) == len(train) + len(valid) + len(test) == 16


@needs_mirror
def test_codons_are_those_of_known_proteins(chapter):
    """Actin has an intron and begins MDSEVAALVI; TDH3, on the - strand, MVRVAINGFG."""
    for gene, begin in {"YFL039C": "MDSEVAALVI", "YGR192C": "MVRVAINGFG"}.items():
        row = list(chapter["names"]).index(gene)
        assert "".join(chapter["LETTERS"][c] for c in chapter["coding"][row][:10]) == begin


@needs_mirror
def test_known_duplicates_are_relatives(chapter):
    """TDH2 and TDH3 descend from one gene; actin and TDH3 do not."""
    row = {name: i for i, name in enumerate(chapter["names"])}
    kin = [chapter["kin_of"][row[name]] for name in ("YJR009C", "YGR192C", "YFL039C")]
    assert kin[0] == kin[1] != kin[2]
    assert chapter["chance"] < 5


def test_matches_by_hand(chapter):
    """TTAC stands at 2 of GATTACAGTAA, and turned (GTAA) at 7."""
    x = one_hot(["GATTACAGTAA"])
    assert chapter["matches"](x, "TTAC", False).nonzero()[:, 1].tolist() == [2, 3, 4, 5]
    both = [2, 3, 4, 5, 7, 8, 9, 10]
    assert chapter["matches"](x, "TTAC", True).nonzero()[:, 1].tolist() == both
    assert chapter["matches"](x, "TWRC", False).nonzero()[:, 1].tolist() == [2, 3, 4, 5]


@needs_mirror
def test_ecoli_score_is_half_memory(chapter):
    """The lead over the words, with and without the test sequences that have copies in training."""
    prediction, target = chapter["both"], chapter["target"]
    words, net = prediction["4-letter words"], prediction["PromoterNet"]
    own = chapter["own"]
    assert r(words, target) == pytest.approx(0.40, abs=0.03)
    assert r(net, target) > 0.55
    assert 0.45 < r(net[own], target[own]) < 0.54
    assert r(net[~np.isin(range(len(target)), own)], target[chapter["copied"]]) > 0.8
    gains = [
        r(net[part], target[part]) - r(words[part], target[part]) for part in (slice(None), own)
    ]
    assert 0.4 < gains[1] / gains[0] < 0.65
    assert chapter["low"] > 0.03


@needs_mirror
def test_copies_are_found_as_a_loop_finds_them(chapter):
    """A slow second way for a few sequences: every 20 letters, on this and on the other strand."""
    sequences = chapter["ecoli"]["sequence"].to_numpy()
    training = "|".join(sequences[chapter["real_split"].train])
    turn = str.maketrans("ACGT", "TGCA")
    top = chapter["best_first"][:20].tolist()
    assert chapter["copied"][top].sum() == 10
    for i in top:
        sequence = sequences[chapter["real_split"].test[i]]
        both = (sequence, sequence.translate(turn)[::-1])
        shared = any(s[k : k + 20] in training for s in both for k in range(len(s) - 19))
        assert shared == bool(chapter["copied"][i])


@needs_mirror
def test_strong_promoters_shown_are_no_copies(chapter):
    picked, family_of = chapter["picked"], chapter["family_of"]
    assert not chapter["copied"][picked].any()
    assert len(set(family_of[picked])) == len(picked) == 200


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

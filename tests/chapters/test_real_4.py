"""Chapter 4 on real DNA: what its text says of its numbers, with and without the files.

The cells run once, in default flags.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.chapters.running import working_in
from tests.support import needs_mirror
from tools.notebooks import ROOT
from tssbook.data import BigWigs

NOTEBOOK = ROOT / "chapters" / "04-real.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


# --- yeast: with the data, and from the tables for those who have none ---------------------------

TABLES = ROOT / "lib" / "tssbook" / "shipped" / "tables"
FROM_TABLES = ("yeast-tables yeast-letters yeast-amount-rs yeast-good yeast-good-amounts "
               "yeast-fails small-networks yeast-tasks-r yeast-tasks")  # fmt: skip


@pytest.fixture(scope="module")
def without_data(run, tmp_path_factory):
    """The variables of a reader who cannot have the data."""
    with working_in(tmp_path_factory.mktemp("nothing")):
        return run.again(*FROM_TABLES.split(), y=None)


@needs_mirror
@pytest.mark.parametrize("name", ["yeast_scores", "yeast_amounts", "yeast_tasks"])
def test_shipped_tables_are_those_of_the_data(chapter, name):
    shipped = pd.read_csv(TABLES / f"04-{name}.csv")
    computed = chapter[name][list(shipped)]
    pd.testing.assert_frame_equal(
        computed, shipped, rtol=1e-3, atol=5e-3, check_dtype=False, check_categorical=False
    )


def test_no_measured_value_is_shipped():
    columns = pd.read_csv(TABLES / "04-yeast_scores.csv", nrows=1).columns[6:]
    said = {name.split(", ")[0] for name in columns}
    assert said == {"profile r", "both strands", "JSD", "main start", "amount"}
    amounts = {name for name in columns if name.startswith("amount")}
    assert amounts == {"amount, SimpleNet", "amount, seed 17", "amount, ensemble"}


@needs_mirror
def test_windows_of_both_strands_lie_along_the_gene(chapter):
    """A row of each strand by hand: index 500 is the A of the ATG, and upstream comes first."""
    y, test = chapter["y"], chapter["y_split"].test
    loci, seen = chapter["loci"].iloc[test], chapter["y_seen"][:, 0].numpy()
    assert (chapter["cut"].codes[:, 1057:1060] == [0, 3, 2]).all(1).mean() > 0.99
    mask, stripe = BigWigs([y.mappability]), y.bigwigs("stripe")
    for strand, step in (("+", 1), ("-", -1)):
        row = np.flatnonzero((loci["strand"] == strand).to_numpy() & ~seen.all(1))[0]
        at = loci["atg"].iloc[row]
        first = at - 500 if strand == "+" else at - 499
        there = [[loci["chrom"].iloc[row]], [first], 1000]
        assert ((mask.read(*there)[0, 0] >= 1)[::step] == seen[row]).all()
        reads = np.nan_to_num(stripe.read(*there)[0, :: 1 if strand == "+" else -1])
        np.testing.assert_array_equal(reads[0][::step], chapter["y_true"][row, 0].numpy())


def test_shape_is_learned_and_the_ensemble_is_best(without_data):
    scores = without_data["yeast_scores"]
    assert len(scores) == 1100
    assert set(scores["chrom"]) == {"chrIV", "chrXII"}
    mean = scores.mean(numeric_only=True)
    for what in ("profile r", "both strands", "main start"):
        ours = [mean[f"{what}, {who}"] for who in ("mean", "one network", "ensemble", "SLIC-CAGE")]
        assert ours == sorted(ours)
        assert mean[f"{what}, SLIC-CAGE"] < mean[f"{what}, half"]
    assert 0.68 < mean["profile r, one network"] / mean["profile r, half"] < 0.74
    assert mean["both strands, SimpleNet"] < mean["both strands, one network"] - 0.02
    gain = scores["profile r, one network"] - scores["profile r, SimpleNet"]
    assert abs(gain.mean()) < 0.01  # as good in front of the gene


def test_amounts_are_hardly_learned(without_data):
    window = without_data["yeast_amounts"].set_index("who")
    assert window.loc["ensemble", "r"] < 0.5 * window.loc["half", "r"]
    one, gene, front = (
        window.loc[who, "r"] for who in ("seed 17", "gene shuffled", "-500..+49 shuffled")
    )
    assert gene < front < one
    for what in ("far upstream shuffled", "-500..+49 shuffled", "gene shuffled",
                 "codons in any order"):  # fmt: skip
        assert window.loc[f"{what} minus seed 17", "to"] < 0
    codons = window.loc["codons in any order minus gene shuffled"]
    assert codons["from"] < 0 < codons["to"]  # whether they cost less is open
    front = without_data["yeast_tasks"].set_index("who")
    for who in ("toy CNN", "PromoterNet"):
        words = front.loc[f"{who} minus words"]
        assert words["from"] < 0 < words["to"]
    order = ["PromoterNet", "toy CNN", "SimpleNet", "seed 17", "SLIC-CAGE", "half"]
    assert front.loc[order, "r"].is_monotonic_increasing
    assert front.loc["codons", "r"] > front.loc["ensemble", "r"]  # no network at all
    assert front.loc["codons minus ensemble", "from"] > 0
    assert front.loc["toy CNN minus GC", "from"] > 0
    assert front.loc["toy CNN minus PromoterNet", "from"] < 0  # open


@needs_mirror
def test_ridge_finds_the_weights_of_counts(chapter):
    """ACGT, AAAA: two words each; a target that is twice the count of AA is found."""
    codes = np.array([[0, 1, 2, 3], [0, 0, 0, 0]], np.uint8)
    words = chapter["words_of"](codes, 2)
    assert words.tolist() == [[4, 9, 14], [0, 0, 0]]
    assert chapter["words_of"](codes[:, :3], 3, 3).tolist() == [[0 + 4 + 32], [0]]
    assert chapter["counts_of"](words)[1].tolist() == [3] + 14 * [0]
    counts = np.random.default_rng(1).integers(0, 9, (400, 5)).astype(float)
    rows = chapter["y_split"]._replace(
        train=np.arange(300), valid=np.arange(300, 350), test=np.arange(350, 400)
    )
    found = chapter["ridge"](counts, 2 * counts[:, 0], rows)
    assert np.corrcoef(found, counts[350:, 0])[0, 1] > 0.999


@needs_mirror
def test_few_test_genes_have_a_twin_in_training(chapter):
    assert chapter["twin"].sum() < 0.03 * len(chapter["twin"])
    assert abs(chapter["r_all"] - chapter["r_else"]) < 0.005


def test_predictions_of_the_small_networks_are_of_these_genes(without_data):
    assert without_data["small"]["name"].equals(without_data["yeast_scores"]["name"])


@needs_mirror
def test_tables_without_data_say_the_same(chapter, without_data):
    for name in ("good", "tasks"):
        assert (chapter[name] == without_data[name]).mean(axis=None) > 0.9  # but for last digits


@needs_mirror
def test_sharp_and_broad(chapter):
    two, share = chapter["two"], chapter["main_share"]
    own = chapter["y_true"][:, 0, chapter["NEAR"]]
    enough = (own.sum(1) >= 500) & chapter["y_seen"].all(-1)[:, 0]
    assert share[two["sharp"]] == share[enough].max()
    assert share[two["broad"]] == share[enough].min()
    assert all(
        found.deltas.abs().max() < 1e-4 for three in chapter["y_parts"].values() for found in three
    )
    parts = {kind: three[0] for kind, three in chapter["y_parts"].items()}  # of seed 17
    start = 1057 - 250 + own[two["sharp"]].argmax().item()
    base = parts["sharp"].contributions[0].sum(0)
    assert set(base.topk(3).indices.tolist()) == {start - 8, start - 1, start}
    start = 1057 - 250 + own[two["broad"]].argmax().item()
    top = parts["broad"].contributions[0].sum(0).unfold(0, 8, 1).sum(1).argmax().item()
    assert 10 < top - start < 40
    assert (
        10
        < chapter["y_probas"][0][two["broad"], 0, chapter["NEAR"]].argmax()
        - own[two["broad"]].argmax()
        < 40
    )


@needs_mirror
def test_design_pleases_the_network_it_was_made_with(chapter):
    judged = chapter["judged"]
    assert all(len(made_by.edits) <= 20 for made_by in chapter["designs"].values())
    by_design = judged.loc[[f"designed with seed {seed}" for seed in (17, 18, 19)]].to_numpy()
    assert (by_design.diagonal() > 0.7).all()
    others = by_design[~np.eye(3, dtype=bool)]
    assert others.max() < by_design.diagonal().max()
    assert others.min() > judged.loc["random edits, highest of 20"].max()


# --- human DNA -----------------------------------------------------------------------------------


@needs_mirror
def test_our_network_on_human_promoters(chapter):
    distance = chapter["distance_of"]
    assert len(distance["all"]) == len(distance["all, shuffled"]) == 237
    assert len(distance["main promoters"]) == len(distance["main, shuffled"]) == 126
    within = chapter["distances"]["within 50"]
    assert within["main promoters"] == np.mean(distance["main promoters"] <= 50)
    assert within["main promoters"] > 1.5 * within["main, shuffled"]
    assert chapter["gain_ends"]["main, shuffled"][0] > 0
    assert chapter["gain_ends"]["main, densest CpG"][0] < 0


@needs_mirror
def test_predicted_count_tells_real_peaks_from_other_windows(chapter):
    kinds = chapter["places"]["kind"].value_counts()
    assert kinds["peak"] == kinds["random"] == 223
    places, peaks, chunks = (chapter[name] for name in ("places", "peaks", "chunks"))
    middles = (peaks["start"] + peaks["end"]) // 2
    for piece, at in places.loc[places["kind"] == "random", ["chrom", "tss"]].to_numpy():
        here = middles[peaks["chrom"] == chunks.loc[piece, "chrom"]]
        assert (here - chunks.loc[piece, "start0"] - at).abs().min() > 1057
    assert 210 <= kinds["same GC"] <= 223
    random, same = chapter["areas"]["random"], chapter["areas"]["same GC"]
    assert random.loc["predicted count", "area"] > 0.8
    assert random.loc["CpG, middle", "area"] > 0.9  # what counts without any training
    assert abs(same.loc["GC, middle", "area"] - 0.5) < 0.05  # that is what was matched
    for found in (random, same):
        assert (found["from"] < found["area"]).all()
        assert (found["area"] < found["to"]).all()
        wanted = found.loc["predicted count", "area"] - found["area"]
        np.testing.assert_allclose(found["network's gain"], wanted)


def test_area_by_hand(chapter):
    """Peaks 3 and 1, others 2 and 1: 3 wins twice, 1 loses and ties."""
    score, is_peak = np.array([3, 1, 2, 1]), np.array([True, True, False, False])
    assert chapter["area"](score, is_peak) == 2.5 / 4


@needs_mirror
def test_loader_mask_and_metrics_run_on_gro_cap(chapter):
    assert len(chapter["active"]) == 18
    assert int(chapter["active"].sum()) == 12
    assert int(chapter["apart"].sum()) == 9
    assert 0 < (~chapter["visible"]).mean() < 0.05
    found = pd.DataFrame(chapter["shape_r"]).T
    assert found.notna().all(axis=None)
    assert np.isfinite(chapter["loss"])
    # Chapter 3's number, for logarithms and without the mask, is nearly this one.
    assert abs(found.loc[("Puffin, trained on this chromosome", "logarithms"), "r"] - 0.58) < 0.02


# --- sentences that are made from values ---------------------------------------------------------

OURS, PUBLISHED = "our network (trained on simulated loci)", "the published networks, seven folds"


def said(run, cell: str, **values) -> str:
    """Return what a cell of section 2 says of these values; no file is needed."""
    texts: list[str] = []
    run.again(cell, real=True, say=lambda *parts: texts.append(" ".join(parts)), **values)
    return " ".join(texts)


@pytest.mark.parametrize(
    ("ends", "within", "verdict", "place"),
    [
        ((0.1, 0.3), 0.3, "letters helps.", "wrong all the same"),
        ((0.4, 0.7), 0.8, "letters helps.", "the place is right"),
        ((-0.1, 0.1), 0.1, "not certain", "wrong all the same"),
        ((-0.3, -0.1), 0.1, "misleads", "wrong all the same"),
    ],
)
def test_text_on_promoters_follows_its_values(run, ends, within, verdict, place):
    mean = np.ones((2, 1000))
    mean[0, 503], mean[1, :500] = 2, 4
    names = ["main promoters", "main, shuffled", "main, densest CpG"]
    table = pd.DataFrame({"within 50": [within, 0.09, 0.24]}, index=names)
    gain_ends = {"main, shuffled": ends, "main, densest CpG": (-0.1, 0.2)}
    text = said(run, "promoters-said", gain_ends=gain_ends, distances=table, mean=mean)
    assert "CpG in 50 bases is that near in 24%" in text
    assert "not shown to beat the densest CpG" in text
    assert verdict in text
    assert place in text
    assert f"{within:.0%} of the main" in text
    assert "9% of their shuffles" in text
    assert "highest at +3, and 80% of" in text  # 4 to 1


@pytest.mark.parametrize("who", [OURS, PUBLISHED])
@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        ((0.05, 0.01, 0.09), "clearly better"),
        ((-0.05, -0.09, -0.01), "clearly worse"),
        ((-0.02, -0.07, 0.01), "neither of the two is clearly better"),
    ],
)
def test_text_on_peaks_follows_its_values(run, who, gain, verdict):
    table = pd.DataFrame(
        {"area": [0.9 + gain[0], 0.7, 0.9]}, index=["predicted count", "GC", "CpG, middle"]
    )
    for column, value in zip(("network's gain", "gain from", "gain to"), gain, strict=True):
        table[column] = [0.0, 0.9, value]
    text = said(run, "peaks-said", who=who, areas={"random": table})
    assert f"count of {who} reaches an area of {0.9 + gain[0]:.2f}" in text
    assert f"(CpG, middle) 0.90: a difference of {gain[0]:+.2f}" in text
    assert f"{gain[1]:+.2f} to {gain[2]:+.2f}" in text
    assert f"network is {verdict}" in text or f"So {verdict}" in text


@pytest.mark.parametrize("who", [OURS, PUBLISHED])
@pytest.mark.parametrize(("low", "verdict"), [(0.2, "whole interval"), (0.05, "reaches a")])
def test_text_on_shapes_follows_its_values(run, who, low, verdict):
    names = (who, "the wrong window", "mean", "Puffin")
    shape_r = {
        (name, what): {"r": r + (what == "logarithms") / 100, "from": low}
        for name, r in zip(names, (0.3, 0.01, 0.1, 0.44), strict=True)
        for what in ("reads", "logarithms")
    }
    forms, training = {"reads": None, "logarithms": None}, "Seen or not."
    text = said(
        run, "grocap-said", who=who, training=training, shape_r=shape_r, FORMS=forms,
        count_r={"predicted": 0.5, "GC content": -0.25},
    )  # fmt: skip
    assert f"are 0.30 and 0.31 with {who};" in text
    assert "windows 0.01 and 0.02, for the mean profile 0.10 and 0.11" in text
    assert "Puffin 0.44 and 0.45" in text
    assert verdict in text
    assert "Seen or not. The amounts: r 0.50; GC content: -0.25 (intervals above)." in text


def test_text_of_the_reader_names_it(run):
    (text,) = (out.data["text/markdown"] for out in run.outputs["who"] if "data" in out)
    assert OURS in text
    assert "never seen real DNA" in text

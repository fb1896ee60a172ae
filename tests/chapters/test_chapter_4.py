"""Chapter 4 as a whole: what its text says of its numbers, simulated and real.

The chapter's cells run once, in default flags; the branch
that trains is run on a few windows.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tests.chapters.running import working_in
from tests.support import needs_mirror
from tools.notebooks import ROOT
from tssbook.data import BigWigs
from tssbook.models import describe
from tssbook.simulator import peak_windows

NOTEBOOK = ROOT / "chapters" / "04-procapnet.ipynb"
NAMES = ("procapnet", "procapnet-unmasked")


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


def test_receptive_field_is_counted_in_two_ways(chapter):
    assert len(chapter["reach"]) == sum(chapter["grown"]) == 1115


def test_parameters_are_the_published_ones(chapter):
    size, (work, ours) = chapter["published_size"], chapter["macs"].values()
    fifth = size.iconv.weight[:, 0].numel()  # weights of a channel for the letter N
    assert chapter["n_parameters"](size) == 6_416_387
    assert chapter["n_parameters"](size) + fifth == 6_427_139
    assert round(work / 1e9, 2) == 13.55
    assert round((work + fifth * 2114) / 1e9, 2) == 13.58
    assert work > 10 * ours  # 64 filters save nine tenths


def test_test_chromosomes_were_not_trained_on(chapter):
    assert set(chapter["made"].loci["chrom"].iloc[chapter["split"].test]) == {"chr8", "chr9"}
    for name in NAMES:
        about = describe(name)["training"]
        assert about["masked"] is (name == "procapnet")
        assert about["seed"] == 17


def test_quality_beside_ceiling_and_baseline(chapter):
    quality = chapter["quality"]
    model, ceiling, baseline = (quality[name] for name in ("model", "ceiling", "baseline"))
    assert model["profile r"] > 0.9 * ceiling["profile r"]
    assert ceiling["profile JSD"] < model["profile JSD"] < baseline["profile JSD"]
    for name in ("profile r", "count r", "count Spearman"):
        assert baseline[name] < model[name] < ceiling[name]
    assert model["count r"] > 0.9
    assert baseline["profile r"] < 0.5


def test_probability_is_spiky(chapter):
    tops, one, with_box = chapter["tops"], chapter["one"], chapter["with_box"]
    assert np.median(tops["predicted"]) > 0.05  # 100 times a flat profile
    for top in tops.values():  # those with a TATA box are more focused
        assert np.median(top[with_box]) > np.median(top)
    assert 0.45 < tops["predicted"][one] < 0.5 < 0.75 < tops["true"][one]  # too flat
    rates, reads = chapter["rates"][one], chapter["reads"][one]
    assert chapter["proba"][one].argmax() == rates.argmax() == reads.argmax()  # the right base


def test_amounts_are_not_too_low_in_general(chapter):
    error, one = chapter["error"], chapter["one"]
    assert abs(error.median()) < 0.1
    assert error[one] < -0.405
    assert (error < -0.405).float().mean() < 0.15


def test_attributions_add_up_and_agree_with_mutagenesis(chapter):
    for parts in chapter["by_head"].values():
        assert parts.deltas.abs().max() < 1e-4
    assert chapter["agreement"]["profile"] > 0.7
    assert chapter["agreement"]["count"] > 0.9


def test_sums_of_the_motifs_of_one_locus(chapter):
    by_site = chapter["by_site"]
    profile, count = by_site["sum, profile"], by_site["sum, count"]
    order = ["Long Inr +", "TATA +", "SP -", "SP +"]
    assert profile.sort_values(ascending=False).index[:4].to_list() == order
    assert profile.iloc[1:3].min() > 0.8 * profile["TATA +"]  # "close behind"
    assert set(count.nlargest(2).index) == {"SP +", "SP -"}
    assert count["TATA +"] < 0.5 * count.nlargest(2).min()
    assert count["Long Inr +"] < 0.1 * count.sum()
    assert by_site.loc["YY1 -"].drop("from").round(2).to_list() == [0, 0, 1, 1]
    left, true = by_site["left, predicted"], by_site["left, true"]
    assert (left - true)[["SP +", "SP -"]].abs().max() < 0.1
    assert round(left["Long Inr +"], 1) == 0.9
    assert round(true["Long Inr +"], 1) == 0.4
    assert left["TATA +"] > 2 * true["TATA +"]


def test_attributions_lie_on_motifs_and_position_alone_does_not_say_so(chapter):
    assert min(chapter["on_truth"].values()) > 0.9
    for share in chapter["by_position"].values():
        assert 0.55 < share < 0.7
    assert chapter["on_motif"].float().mean() < 0.15


def test_seqlets_are_the_planted_motifs(chapter):
    by_motif, seqlets = chapter["by_motif"], chapter["seqlets"]
    often = by_motif.drop(["-", "initiator"]).query(f"seqlets >= {len(chapter['many']) / 8}")
    assert len(often) >= 7
    right = often["recognised"].sum() / often["seqlets"].sum()
    assert right > 0.9
    assert (seqlets["truth"] == "-").mean() < 0.05
    assert (by_motif["found"] <= by_motif[["matches", "seqlets"]].min(axis=1)).all()
    assert by_motif.loc["U1 snRNP", "matches"] > 1.25 * len(chapter["many"])
    assert by_motif.loc["U1 snRNP", "seqlets"] == 0
    for motif, name in (("NFY", "NFY"), ("NRF1", "NRF1"), ("TATA", "TBP")):
        assert name in by_motif.loc[motif, "names from JASPAR"]


def test_motifs_of_the_designed_promoter(chapter):
    lost, gained = (
        chapter["was_motifs"] - chapter["now_motifs"],
        chapter["now_motifs"] - chapter["was_motifs"],
    )
    assert any(motif.startswith("TATA +") for motif in lost)
    assert sum(" - " in motif for motif in gained) >= 3


def test_strand_is_flipped_with_few_edits(chapter):
    flipped = chapter["flipped"]
    assert flipped.before[0] > 0.7
    assert len(flipped.edits) <= 40
    assert flipped.after[1] >= 0.9  # by the network itself
    shares, reads = chapter["true_shares"](flipped.x)  # and by the simulator
    assert shares[1] >= 0.9
    assert reads > 5 * chapter["true_shares"](chapter["x_one"])[1]


def test_a_handful_of_edits_is_nearly_enough(chapter):
    curve = chapter["curve"].sort_index()
    gap = curve["predicted"] - curve["by the simulator"]
    assert (gap > 0).all()
    assert gap.idxmax() == 0  # most of all before any edit
    for shares in curve.to_dict("series").values():
        assert 0.5 < shares[5] < shares[10] < shares[curve.index.max()]
        assert shares.iloc[-1] - shares[10] < shares[5] - shares[0]
    assert curve.index.max() == len(chapter["flipped"].edits)


def test_without_the_mask_young_copies_fall_silent(chapter):
    at = {who: share.mean() for who, share in chapter["at_masked"].items()}
    assert at["truth"] > 0.3
    assert at["with mask"] > 0.6 * at["truth"]
    assert at["without mask"] < 0.75 * at["with mask"]
    old = {who: share.mean() for who, share in chapter["at_old"].items()}
    assert old["without mask"] < 0.8 * old["with mask"]


def test_depth_can_say_and(chapter):
    """A pair of motifs: ProCapNet knows that one alone is little, the additive network not."""
    scores, said = chapter["pair_scores"], chapter["pair_written"]
    amounts = [scores[name]["r of amounts"] for name in ("SimpleNet", "ProCapNet", "truth")]
    assert amounts[0] < 0.6 < 0.85 < amounts[1] < 0.95 < amounts[2]
    assert scores["ProCapNet"]["profile r"] < scores["SimpleNet"]["profile r"]
    alone = said.drop("NFY and SP")
    assert alone["truth"].round(2).nunique() == 1
    gap = said.loc["NFY and SP"] - alone.max()
    assert gap["ProCapNet"] > 0.8 * gap["truth"]
    assert gap["SimpleNet"] < 0.2 * gap["truth"]
    assert alone["ProCapNet"].idxmax() == "both, too far apart"  # what it gets wrong


def test_variants_agree_with_the_simulator(chapter):
    assert len(chapter["scored"]) == 200
    assert chapter["large"].sum() == 44
    assert chapter["r_by_size"]["large"] > 0.9
    assert abs(chapter["r_by_size"]["other"]) < 0.25  # which small effect is larger: hardly
    assert min(chapter["variant_r"].values()) > 0.85
    scored, off = chapter["scored"], chapter["off"]
    worst = scored.loc[off.nlargest(4).index]
    assert worst["delta_log_counts"].iloc[0] < 1.5 * worst["true change"].iloc[0] < 0
    hidden = worst[worst["with hidden bases"] < worst["true change"] / 2]
    hidden = hidden[hidden["delta_log_counts"] > 0]
    assert len(hidden) == 2
    assert hidden["chrom"].nunique() == 1
    assert hidden["with hidden bases"].abs().max() < 0.1
    assert (hidden["delta_log_counts"] - hidden["true change"]).abs().max() < 0.2


def test_live_training_follows_its_recipe(chapter, monkeypatch, tmp_path):
    """The TRAIN branch, on 24 loci: twice the same weights; the mask counts."""
    monkeypatch.chdir(tmp_path)
    space, made = chapter["trained"].__globals__, chapter["made"]
    rows = made.elements["locus"].to_numpy()[:24]
    windows = peak_windows(made, rows)
    monkeypatch.setitem(space, "TRAIN", ["a", "b", "c"])
    monkeypatch.setitem(space, "EPOCHS", 1)
    monkeypatch.setitem(space, "data_set", lambda: (windows, windows))
    (one, history), (same, _), (naive, _) = (
        chapter["trained"](name, masked)
        for name, masked in (("a", True), ("b", True), ("c", False))
    )
    pairs = zip(one.parameters(), same.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.fconv.weight, naive.fconv.weight)
    assert history.attrs["masked"] is True
    assert {"train_profile", "valid_counts"} <= set(history)


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
    parts = chapter["y_parts"]
    assert all(found.deltas.abs().max() < 1e-4 for found in parts.values())
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


# --- sentences that are made from values ---------------------------------------------------------

OURS, PUBLISHED = "our network, trained on simulated loci", "the published networks, seven folds"


def said(run, cell: str, **values) -> str:
    """Return what a cell of section 12 says of these values; no file is needed."""
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
    assert f"count of {who} reaches {0.9 + gain[0]:.2f}" in text
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

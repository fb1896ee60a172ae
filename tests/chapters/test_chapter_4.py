"""Chapter 4 as a whole: what its text says of its numbers.

The chapter's cells run once, in default flags; the branch
that trains is run on a few windows.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tools.notebooks import ROOT
from tssbook.models import describe
from tssbook.simulator import peak_windows

NOTEBOOK = ROOT / "chapters" / "04-procapnet.ipynb"
NAMES = ("procapnet", "procapnet-unmasked")


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


def test_receptive_field_is_counted_in_two_ways(chapter):
    assert len(chapter["reach"]) == sum(chapter["grown"]) == 1115


def test_parameters_are_the_published_ones(chapter):
    (size, _), (work, ours) = chapter["sizes"], chapter["macs"]
    fifth = size.iconv.weight[:, 0].numel()  # weights of a channel for the letter N
    assert chapter["n_parameters"][0] == 6_416_387
    assert chapter["n_parameters"][0] + fifth == 6_427_139
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
    for name in ("profile r", "count r"):
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


def test_sharp_and_broad_locus(chapter):
    """Both are chosen by the reads and by motifs alone, and the network knows which is which."""
    one, broad, reads = chapter["one"], chapter["broad"], chapter["reads"]
    highest = reads.flatten(1).max(1).values / reads.sum((1, 2))
    assert chapter["mappable"][broad].all()
    assert reads[broad].sum() >= 500
    assert highest[broad] == highest[chapter["enough"]].min()
    for top in chapter["tops"].values():
        assert top[broad] < np.median(top) < top[one]


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
    often = by_motif.drop("initiator").query(f"seqlets >= {len(chapter['many']) / 8}")
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


def test_wrapper_is_the_question_of_the_library(chapter):
    """The log share of each strand, written out in the chapter, is what `flip_strand` asks."""
    asked = chapter["question"](chapter["x_one"]).exp()[0].tolist()
    assert asked == pytest.approx(chapter["flipped"].before, abs=1e-4)
    assert chapter["drawn"].shape == (8, 4, 2114)


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
    assert gap[0] > 0.15  # and before any edit
    for shares in curve.to_dict("series").values():
        assert 0.5 < shares[5] < shares[10] < shares[curve.index.max()]
        assert shares.iloc[-1] - shares[10] < shares[5] - shares[0]
    assert curve.index.max() == len(chapter["flipped"].edits)


def test_places_of_tata_and_of_the_initiator_are_narrow(chapter):
    """The quartiles of their seqlets are a base apart; those of the activators are not."""
    ends = chapter["by_motif"].drop("U1 snRNP")["places"].str.split(" to ", expand=True)
    width = ends[1].astype(int) - ends[0].astype(int)
    assert width[["TATA", "Long Inr"]].max() == 1
    assert width[["NFY", "ETS", "SP", "NRF1"]].min() > 10


def test_validation_loci_of_exercise_3(chapter):
    """Of chromosome 10, with a copy whose reads are lost, and no test locus among them."""
    rows = chapter["rows"]
    assert len(rows) >= 20
    assert set(chapter["made"].loci["chrom"].iloc[rows]) == {"chr10"}
    assert (~chapter["mappable_valid"]).any(1).all()


def test_without_the_mask_young_copies_fall_silent(chapter):
    at = {who: share.mean() for who, share in chapter["at_masked"].items()}
    assert at["truth"] > 0.3
    assert at["with mask"] > 0.6 * at["truth"]
    assert at["without mask"] < 0.75 * at["with mask"]
    old = {who: share.mean() for who, share in chapter["at_old"].items()}
    assert old["without mask"] < 0.8 * old["with mask"]


def test_depth_can_say_and(chapter):
    """A pair of motifs: ProCapNet knows that one alone is little, the additive network not."""
    scores, said = chapter["pair_scores"], pd.DataFrame(chapter["pair_written"])
    amounts = [scores[name] for name in ("SimpleNet", "ProCapNet", "truth")]
    assert amounts[0] < 0.6 < 0.85 < amounts[1] < 0.95 < amounts[2]
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


def test_end_tells_of_real_yeast_what_its_page_tells(chapter):
    means = chapter["real_means"]
    assert round(means["ProCapNet, mean of 3 seeds"], 2) == 0.65
    assert round(means["ProCapNet, ensemble"], 2) == 0.70
    assert round(means["SimpleNet"], 2) == 0.64
    assert round(means["place and letters, no network"], 2) == 0.54
    assert round(means["half against half (the ceiling)"], 2) == 0.91
    assert chapter["amount"].loc["ensemble", "r"] < 0.5 * chapter["amount"].loc["half", "r"]


def test_opening_locus_is_predicted_at_the_right_base(chapter):
    assert chapter["guess"].argmax() == chapter["spread"][chapter["pick"], 0].argmax()


def test_live_training_follows_its_recipe(chapter, monkeypatch, tmp_path):
    """The TRAIN branch, on 24 loci: twice the same weights, a third time from what is kept."""
    space, made = chapter["trained"].__globals__, chapter["made"]
    rows = made.elements["locus"].to_numpy()[:24]
    windows = peak_windows(made, rows)
    monkeypatch.setitem(space, "TRAIN", ["a", "b", "c"])
    monkeypatch.setitem(space, "EPOCHS", 1)
    monkeypatch.setitem(space, "FOLDER", tmp_path)
    monkeypatch.setitem(space, "data_set", lambda: (windows, windows))
    (one, history), (same, _), (naive, _), (kept, _) = (
        chapter["trained"](name, masked)
        for name, masked in (("a", True), ("b", True), ("c", False), ("a", True))
    )
    for other in (same, kept):
        pairs = zip(one.parameters(), other.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.fconv.weight, naive.fconv.weight)
    assert history.attrs["masked"] is True
    assert {"train_profile", "valid_counts"} <= set(history)

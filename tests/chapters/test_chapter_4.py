"""Chapter 4 as a whole: what its text says of its numbers, simulated and real.

The chapter's cells run once, in default flags; the branch
that trains is run on a few windows.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from tests.support import needs_mirror
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
    size = chapter["published_size"]
    assert chapter["n_parameters"](size) == 6_416_387
    assert chapter["n_parameters"](size) + chapter["fifth"] == 6_427_139
    assert round(chapter["macs"] / 1e9, 2) == 13.55
    assert round((chapter["macs"] + chapter["fifth"] * 2114) / 1e9, 2) == 13.58


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
    top = chapter["top"]
    assert top.median() > 0.05  # 100 times a flat profile
    assert (top > 0.2).float().mean() > 0.15
    one = chapter["one"]
    assert chapter["proba"][one].argmax() == chapter["reads"][one].argmax()  # the right base


def test_attributions_add_up_and_agree_with_mutagenesis(chapter):
    for parts in chapter["by_head"].values():
        assert parts.deltas.abs().max() < 1e-4
    assert chapter["agreement"]["profile"] > 0.7
    assert chapter["agreement"]["count"] > 0.9


def test_attributions_lie_on_motifs(chapter):
    assert min(chapter["on_truth"].values()) > 0.8
    assert chapter["on_motif"].float().mean() < 0.15


def test_seqlets_are_the_planted_motifs(chapter):
    by_motif, seqlets = chapter["by_motif"], chapter["seqlets"]
    often = by_motif.drop(["-", "initiator"]).query("seqlets >= 10")
    assert len(often) >= 7
    right = often["recognised"].sum() / often["seqlets"].sum()
    assert right > 0.9
    assert (seqlets["truth"] == "-").mean() < 0.05
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


def test_without_the_mask_young_copies_fall_silent(chapter):
    at = chapter["at_masked"]
    assert at["truth"] > 0.3
    assert at["with mask"] > 0.6 * at["truth"]
    assert at["without mask"] < 0.75 * at["with mask"]
    old = chapter["at_old"]
    assert old["without mask"] < 0.8 * old["with mask"]


def test_variants_agree_with_the_simulator(chapter):
    assert len(chapter["scored"]) == 200
    assert min(chapter["variant_r"].values()) > 0.85


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
    assert len(distance["all"]) == 237
    assert len(distance["main promoters"]) == 126
    near = {name: np.mean(d <= 50) for name, d in distance.items()}
    assert near["main promoters"] > 1.5 * near["shuffled"]


@needs_mirror
def test_predicted_count_tells_real_peaks_from_windows_at_random(chapter):
    assert int(chapter["is_peak"].sum()) == 223
    assert chapter["area"]["predicted count"] > 0.8


@needs_mirror
def test_loader_mask_and_metrics_run_on_gro_cap(chapter):
    assert len(chapter["active"]) == 18
    assert int(chapter["active"].sum()) == 12
    assert 0 < (~chapter["visible"]).mean() < 0.05
    assert pd.Series(chapter["result"]).notna().all()

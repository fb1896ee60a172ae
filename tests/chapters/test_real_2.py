"""Chapter 2 on real DNA: what its text says of its numbers, on yeast and on *E. coli*.

The page's cells run once, in default flags. Numbers of real data are tested where the data are.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tests.support import needs_mirror
from tools.notebooks import ROOT
from tssbook import metrics
from tssbook.sequence import one_hot
from tssbook.training import predict

NOTEBOOK = ROOT / "chapters" / "02-real.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


def r(prediction: torch.Tensor, target: torch.Tensor) -> float:
    return float(metrics.pearson_r(prediction, target))


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
    assert abs(chapter["again"] - chapter["stored"]) < 0.01


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

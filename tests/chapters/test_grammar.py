"""The page from attributions to grammar: what its text says in numbers, simulated and real."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.chapters.running import working_in
from tests.support import needs_mirror
from tools.notebooks import ROOT, read, tags
from tssbook.models import describe
from tssbook.sequence import one_hot

NOTEBOOK = ROOT / "chapters" / "grammar.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


# --- simulated --------------------------------------------------------------------------------


def test_one_word_is_found_on_both_strands_and_shifted(chapter):
    """AACGG, moved by two and read from behind, is the same piece: a cosine of 1."""
    words = ["T" * 10 + "AACGG" + "T" * 10, "T" * 12 + "AACGG" + "T" * 8, "A" * 25]
    pieces = one_hot(words)
    pieces[2] = pieces[0].flip(0, 1)  # rows and columns reversed: the other strand
    mask = (pieces.argmax(1) != 3).float()[:, None]
    pieces[:2] *= mask[:2]
    pieces[2] = pieces[0].flip(0, 1)
    cosines, ways = chapter["compare"](pieces)
    assert cosines.min() == pytest.approx(1, abs=1e-5)
    assert chapter["WAYS"][ways[0, 1]] == (0, -2)
    assert chapter["WAYS"][ways[0, 2]] == (1, 0)
    placed = chapter["moved"](pieces[1], 0, -2)
    assert torch.equal(placed, pieces[0])


def test_most_planted_motifs_are_found_and_two_are_not(chapter):
    found = chapter["right"]
    assert {"SP", "ETS", "NRF1", "NFY", "TATA"} <= found
    assert "U1 snRNP" not in found
    shares = dict(zip(chapter["named"]["name"], chapter["share"], strict=True))
    assert float(shares["TATA"].split()[-1].rstrip("%")) > 50  # on copies of the element
    assert float(shares["ETS"].split()[-1].rstrip("%")) < 10


def test_hits_are_right_more_often_than_matches_at_equal_recall(chapter):
    by = dict(list(chapter["quality"].groupby("by")))
    scan = by["scan"].sort_values("found")
    hits = by["seqlets"]
    at_same = np.interp(hits["found"], scan["found"], scan["right"])
    inside = hits["found"].between(scan["found"].min(), 1)
    assert (hits["right"] - at_same)[inside].max() > -0.02
    assert scan["found"].max() > hits["found"].max() + 0.1


def test_effects_of_words_are_the_simulators(chapter):
    table = chapter["put_in"]
    for word in ("NFY", "SP", "ETS"):
        assert table.loc[word, "r, -100 to +200"] > 0.95
    for word in table.index:
        assert abs(table.loc[word, "highest at, network"] - table.loc[word, "truth"]) <= 10
    shoulder = table.loc["TATA"]
    assert shoulder["+60 to +100, network"] > 0.5 > abs(shoulder["same, truth"]) * 5
    assert chapter["ablation_r"] > 0.85


def test_a_tata_box_acts_at_thirty_bases(chapter):
    spacing = chapter["spacing"]
    assert abs(spacing["network"].idxmax() - 30) <= 2
    assert spacing["simulator"].idxmax() == 30
    assert spacing["network"].max() < 0.5 * spacing["simulator"].max()
    assert spacing["network"].loc[60] > 1.5 > 1.1 > spacing["simulator"].loc[60]


# --- real -------------------------------------------------------------------------------------


@needs_mirror
def test_genes_are_held_out(chapter):
    assert set(chapter["genes"]["chrom"]) == {"chrIV", "chrXII"}
    for seed in (17, 18, 19):
        assert describe(f"procapnet-yeast-{seed}")["training"]["seed"] == seed
    assert len(chapter["seqlets_y"]) / len(chapter["x_real"]) > 1.5 * len(
        chapter["control_y"]
    ) / len(chapter["x_mixed"])


@needs_mirror
def test_tata_acts_downstream_and_not_beyond(chapter):
    step = dict(zip(chapter["STEPS"], chapter["moved_box"].mean((1, 2)), strict=True))
    assert min(step[60], step[80]) > 0.5
    assert abs(step[140]) < 0.3
    kinds = chapter["by_word"]
    down = chapter["DOWN"]
    for word in ("TATA box", "Reb1", "15 T", "15 A"):
        effect = kinds[word]["word"][..., down].mean((1, 2))  # each network
        assert effect.min() > 0.3
        assert effect.mean() > kinds[word]["mixed"][..., down].mean() + 0.3


@needs_mirror
def test_reb1_and_t_run_together_do_less_than_the_sum(chapter):
    assert (chapter["gain"]["both - sum"].mean(1) < -0.2).all()


@needs_mirror
def test_the_mean_of_three_is_better_and_their_spread_warns_a_little(chapter):
    mean, low, _ = chapter["gain_r"]
    assert low > 0.03
    assert mean < 0.08
    r = chapter["by_fifth"][:, 0]
    assert r[0] > r[-1] + 0.1


# --- without the files ------------------------------------------------------------------------


def test_without_files_the_page_names_them_and_goes_on(run, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("TSSBOOK_MIRROR", raising=False)
    monkeypatch.setenv("TSSBOOK_CACHE", str(tmp_path))
    cells = [c.id for c in read(NOTEBOOK).cells if "real-data" in tags(c)]
    with working_in(tmp_path):
        variables = run.again(*cells)
    assert variables["real"] == {}
    assert "yeast" in capsys.readouterr().out

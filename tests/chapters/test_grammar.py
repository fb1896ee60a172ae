"""The page from attributions to grammar: what its text says in numbers, simulated and real."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F

from tests.support import needs_mirror
from tools.notebooks import ROOT
from tssbook.models import describe
from tssbook.sequence import one_hot, reverse_complement

NOTEBOOK = ROOT / "chapters" / "grammar.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


# --- simulated --------------------------------------------------------------------------------


def test_a_piece_is_found_on_the_other_strand_and_moved(chapter):
    """AACGG, two places to the right, or read from behind, is the same piece: a cosine of 1."""
    word = one_hot(["AACGG"])
    first = F.pad(word, (10, 10))
    pieces = torch.cat([first, F.pad(word, (12, 8)), reverse_complement(first)])
    cosines, ways = chapter["compare"](pieces)
    assert cosines.min() == pytest.approx(1, abs=1e-5)
    assert chapter["WAYS"][ways[0, 1]] == (0, -2)  # moved back by two
    assert chapter["WAYS"][ways[0, 2]] == (1, 0)
    assert torch.equal(chapter["moved"](pieces[1], 0, -2), pieces[0])
    other = torch.cat([first, F.pad(one_hot(["TTTTT"]), (10, 10))])  # two of five agree, AA as TT
    assert chapter["compare"](other)[0][0, 1] == pytest.approx(0.4, abs=1e-5)


def test_seven_planted_motifs_are_found_and_three_are_not(run, chapter):
    assert chapter["right"] == {"SP", "ETS", "NRF1", "NFY", "TATA", "CREB", "ZNF143"}
    on_copies = dict(re.findall(r"(\w+) (\d+)%", run.text("named")))
    assert int(on_copies["TATA"]) > 50
    assert int(on_copies["ETS"]) < 10


def test_hits_are_precise_and_a_scan_finds_more(chapter):
    by = dict(list(chapter["quality"].groupby("by")))
    hits, scan = by["hits from attributions"], by["matches alone"]
    assert hits["right"].max() > 0.89
    assert 0.7 < hits["found"].max() < scan["found"].min()
    assert scan["found"].max() > 0.9
    assert scan["right"].max() < hits["right"].max()
    ranked = by["matches by contribution"].set_index("up to").loc["the top 50%"]
    assert ranked["right"] > 0.85
    assert ranked["found"] > 0.8


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
def test_words_act_where_the_text_says(chapter):
    step = dict(zip(chapter["STEPS"], chapter["moved_box"].mean((1, 2)), strict=True))
    assert min(step[60], step[80]) > 0.5
    assert abs(step[140]) < 0.3
    kinds = chapter["by_word"]
    down = chapter["DOWN"]
    for word in ("TATA box", "15 T", "15 A"):
        effect = kinds[word]["word"][..., down].mean((1, 2))  # each network
        assert effect.min() > 0.3
        assert effect.mean() > kinds[word]["mixed"][..., down].mean() + 0.3
    box = (chapter["moved_box"] - chapter["moved_mix"]).mean((1, 2))  # beyond its letters
    beyond = dict(zip(chapter["STEPS"], box, strict=True))
    assert min(beyond[20], beyond[80]) > 0.6
    assert max(beyond[at] for at in (40, 60, 100, 120)) < 0.5
    away, reb1 = chapter["away"], kinds["Reb1"]["word"].mean(1)  # (3, bins)
    assert (reb1[:, (away > -100) & (away < 0)].mean(1) < -1).all()
    assert (reb1[:, (away > 90) & (away < 140)].mean(1) > 1).all()
    assert all(kinds[w]["word"][..., down].mean() < 0.4 for w in ("Abf1", "Rap1"))


@needs_mirror
def test_named_patterns_lie_where_they_should(chapter):
    assert set(chapter["places"]) == {"REB1", "SPT15", "ABF1", "GAL4"}
    for name in ("REB1", "SPT15"):
        low, high = chapter["ZONES"][name]
        inside = [low <= place <= high for place in chapter["places"][name]]
        of_all = (chapter["from_start"] >= low) & (chapter["from_start"] <= high)
        assert sum(inside) / len(inside) > 2 * of_all.mean()


@needs_mirror
def test_reb1_and_t_run_together_do_less_than_the_sum(chapter):
    assert (chapter["gain"]["both - sum"].mean(1) < -0.2).all()
    assert (chapter["gain_odds"]["both - sum"].mean(1) < -0.2).all()  # no saturation
    assert max(share.mean() for share in chapter["at_start"].values()) < 0.2


@needs_mirror
def test_the_mean_of_three_is_better_and_their_spread_warns_a_little(chapter):
    mean, low, _ = chapter["gain_r"]
    assert low > 0.03
    assert mean < 0.08
    r = chapter["by_fifth"][:, 0]
    assert r[0] > r[-1] + 0.1


# --- without the files ------------------------------------------------------------------------


def test_without_files_the_page_names_them_and_goes_on(without_files, capsys):
    variables = without_files()
    assert variables["real"] == {}
    assert "yeast" in capsys.readouterr().out

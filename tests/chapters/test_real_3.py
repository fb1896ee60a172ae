"""Chapter 3 on real DNA: what its text says of its numbers, and the tables that are shipped.

The cells run once, in default flags; the branch that trains is run in test_flags.py.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.support import needs_mirror
from tools.notebooks import ROOT

NOTEBOOK = ROOT / "chapters" / "03-real.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


def test_yeast_table_that_is_shipped_is_the_one_that_is_computed(chapter):
    shipped = pd.read_csv(chapter["SHIPPED"] / "03-gene_scores.csv")
    computed = chapter["gene_scores"]
    pd.testing.assert_frame_equal(shipped[["name", "assay"]], computed[["name", "assay"]])
    close = [c for c in shipped if not c.startswith("letters")][2:]  # a fit in between, below
    np.testing.assert_allclose(shipped[close], computed[close], rtol=1e-3, atol=1e-3)
    r = [table.groupby("assay")["letters r"].mean() for table in (shipped, computed)]
    np.testing.assert_allclose(*r, atol=5e-3)


@needs_mirror
def test_yeast_is_split_by_chromosome_and_the_windows_by_the_atg(chapter):
    genes, part = chapter["genes_y"], chapter["part"]
    assert set(genes["chrom"].iloc[part.test]) == {"chrIV", "chrXII"}
    assert set(genes["chrom"].iloc[part.valid]) == {"chrVII"}
    starts = {"".join("ACGT"[i] for i in row[575:578]) for row in chapter["held"].codes}
    assert starts == {"ATG"}  # in the middle of each window
    first = chapter["learn"].codes[:, 265:268]
    # Of three of these genes the annotation is one base off.
    assert (first == [0, 3, 2]).all(1).sum() >= len(first) - 3


def test_profiles_of_yeast_guess_by_guess(chapter):
    scores = chapter["gene_scores"].set_index("assay")
    r = scores.filter(regex=" r$").rename(columns=lambda c: c.removesuffix(" r"))
    r = r.groupby("assay").mean()
    for assay, letters, words, half in (
        ("stripe", 0.54, 0.644, 0.913),
        ("slic", 0.51, 0.592, 0.856),
        ("diamide", 0.54, 0.632, 0.894),
    ):
        row = r.loc[assay]
        assert row["mean"] == pytest.approx(0.15, abs=0.02)
        assert row["letters"] == pytest.approx(letters, abs=0.02)
        assert row["simplenet-yeast"] == pytest.approx(words, abs=0.01)
        assert row["half"] == pytest.approx(half, abs=0.01)
        noise = row[chapter["FROM_NOISE"]]
        assert row["letters"] < noise.min() <= noise.max() < words < row["average"]
    assert r.loc["stripe", "SLIC-CAGE"] == pytest.approx(0.755, abs=0.01)
    total = scores.loc["stripe"].filter(regex="amount$").mean()
    assert total["simplenet-yeast amount"] == pytest.approx(0.35, abs=0.03)
    assert total["half amount"] > 0.95


@needs_mirror
def test_only_four_known_motifs_of_yeast_have_a_name(chapter):
    known = chapter["known_y"]
    named = {factor for factor, row in known.items() if row["verdict"] == "named"}
    assert named == {"SPT15", "REB1", "ABF1", "DOT6"}
    assert chapter["n_named"] < 10
    smooth = chapter["smooth"]
    for factor, low, high in (("SPT15", 40, 120), ("REB1", 80, 130), ("ABF1", 80, 140)):
        f = known[factor]["filter"]
        for channel in (f, f + 40):
            assert low <= smooth[channel, 0].argmax() - 300 <= high
    reb1 = smooth[known["REB1"]["filter"]]
    assert np.corrcoef(reb1[0], reb1[-1][::-1])[0, 1] > 0.8  # the mirror image


@needs_mirror
def test_networks_of_yeast_know_reb1_and_hardly_anything_of_stress(chapter):
    table = pd.DataFrame(chapter["stress_y"]).T
    strong = ["Reb1", "Abf1", "Stb3", "Dot6", "Mbp1", "run of T", "Msn2/4"]
    assert (table.loc[strong, "STRIPE: all four"] == "more").all()
    assert (table["diamide - STRIPE: all four"] != "more").all()
    assert (table.loc[["Yap1", "Rpn4"], "STRIPE: all four"] == "-").all()
    assert len(chapter["agreed_y"].table) == 0
    r = {k: np.corrcoef(v, chapter["moved"])[0, 1] for k, v in chapter["change"].items()}
    assert r.pop("half the data") == pytest.approx(0.91, abs=0.02)
    assert r.pop("simplenet-yeast") == pytest.approx(0.20, abs=0.03)
    assert max(r.values()) < 0.15
    # 64 counts of three letters know the change as well or better.
    own, wanted, _ = chapter["of_three"]["the change"]
    three = chapter["ridge"](chapter["in_front"][0], own, chapter["in_front"][1])
    assert np.corrcoef(three, wanted)[0, 1] == pytest.approx(0.29, abs=0.03)


def test_words_of_three_are_counted_by_hand(chapter):
    counts = chapter["threes"](np.array([[0, 0, 0, 1]], np.uint8))[0]  # AAA, AAC
    assert counts[[0, 1]].tolist() == [1, 1]
    assert counts.sum() == 2


@needs_mirror
def test_ten_times_the_reads_hardly_change_the_shape(chapter):
    assert 0 < chapter["amount_pays"] < chapter["shape_pays"]
    assert chapter["shape_pays"] < 0.03 * chapter["whole_y"].mean()


@needs_mirror
def test_published_network_on_real_promoters(chapter):
    main, real = chapter["main"], chapter["real"]
    assert len(main) == len(real["x"]) == 237
    assert main.sum() == 126
    distance = chapter["distance"]
    assert np.median(distance["main promoters"]) == pytest.approx(18.5, abs=3)
    assert np.mean(distance["main promoters"] <= 50) == pytest.approx(2 / 3, abs=0.04)
    control = [np.mean(distance[f"shuffled, seed {seed}"] <= 50) for seed in range(3)]
    assert np.mean(control) < 0.1
    assert len(distance["main, held out"]) == 7
    assert chapter["at_main"].sum() > 5 * chapter["chance"]
    assert chapter["in_reach"].sum() < chapter["missed"].sum() / 2  # most misses: not in reach


@needs_mirror
def test_published_network_on_gro_cap_of_chromosome_22(chapter):
    r = chapter["r_real"]
    assert len(r["network"]) == 9  # of 12 windows, which overlap
    assert r["network"].mean() == pytest.approx(0.60, abs=0.02)
    assert r["mean of the others"].mean() == pytest.approx(0.20, abs=0.03)
    assert max(r[f"network, shuffled letters, seed {i}"].mean() for i in range(3)) < 0.05


@needs_mirror
def test_published_curves_have_a_negative_lobe(chapter):
    """Ours have none: see test_chapter_3.py."""
    for name in ("ETS", "SP", "NFY", "ZNF143", "CREB", "NRF1"):
        curve = chapter["published_curves"][chapter["channel_of"][name], 0]
        assert curve.min() < -curve.max() / 3


@needs_mirror
def test_table_of_human_promoters_that_is_shipped_is_the_one_that_is_computed(chapter):
    shipped = pd.read_csv(chapter["SHIPPED"] / "03-human_promoters.csv")
    computed = chapter["human_promoters"].astype(shipped.dtypes.to_dict())
    pd.testing.assert_frame_equal(shipped, computed)


def test_without_files_the_page_shows_the_shipped_tables(without_files, capsys):
    variables = without_files()
    assert not variables["real"]
    assert variables["baker"] is None
    assert "TSSBOOK_MIRROR" in capsys.readouterr().out
    assert len(variables["human_promoters"]) == 9
    assert variables["yeast_table"].loc[("stripe", "from words"), "of half's"] == "71%"

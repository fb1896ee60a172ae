"""What the appendix on the simulator says in numbers, on simulated and on real data."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import needs_mirror
from tools.notebooks import ROOT, read
from tssbook.simulator.rules import INITIATOR

NOTEBOOK = ROOT / "chapters" / "appendix-simulator.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


# --- simulated --------------------------------------------------------------------------------


def test_matches_and_bias_leave_what_the_initiator_adds(chapter):
    rest, floor = chapter["rest"], chapter["rate"][chapter["plus"]] > 1e-3
    assert INITIATOR.max(0).sum() == pytest.approx(5.8)
    assert INITIATOR.min(0).sum() == pytest.approx(-9.3)
    assert rest[floor].max() <= 5.8 + 0.01
    assert rest[floor].min() >= -9.3 - 0.01
    # The same sum by hand at the TSS, where the locus has its own six letters.
    middle = chapter["MID"]
    letters = chapter["sim"].sequences[chapter["locus"], middle - 3 : middle + 3]
    assert rest[middle] == pytest.approx(INITIATOR[letters, range(6)].sum(), abs=0.02)


def test_chosen_locus_is_as_described(chapter):
    effects = chapter["sum_of_effects"](chapter["plus"])[chapter["here"]]
    assert effects.max() == pytest.approx(8.7, abs=0.05)
    assert chapter["span"][effects.argmax()] == 1
    tata = chapter["sites"].query(f"motif == {chapter['truth'].names.index('TATA')}")
    assert -29 in (tata["anchor"] - chapter["MID"]).tolist()
    rate = chapter["rate"][chapter["plus"]]
    assert rate[chapter["MID"]] / rate.sum() == pytest.approx(0.67, abs=0.01)
    middle = chapter["MID"]
    drawn = chapter["sim"].tracks[chapter["locus"], 4:6, middle - 100 : middle + 100]
    assert drawn.sum(1).tolist() == [345, 15]


def test_ceilings(chapter):
    ceiling = chapter["ceiling"]
    along = ceiling["pearson_r"].drop("expression")
    plus = along[along.index.str.endswith("+")]
    assert (plus.idxmax(), plus.idxmin()) == ("ENCODE CAGE+", "RAMPAGE+")
    assert (plus.max().round(2), plus.min().round(2)) == (0.83, 0.73)
    for track in plus.index:
        assert along[track] > along[track.replace("+", "-")]
    assert ceiling["counts_r"].min() > 0.99
    assert ceiling.loc["expression", "pearson_r"] == pytest.approx(0.90, abs=0.005)


# --- simulated beside real --------------------------------------------------------------------

# As the text has them: simulated, real, and half of the last digit.
QUOTED = {
    "GC within 100 bp of the TSS": (0.61, 0.63, 0.005),
    "GC 1.5 to 2.3 kb upstream": (0.45, 0.46, 0.005),
    "spread (SD) of GC among loci": (0.051, 0.078, 0.0005),
    "CA at -1 and 0": (0.51, 0.38, 0.005),
    "C or T at -1, A or G at 0": (0.64, 0.72, 0.005),
    "CpG observed / expected, 1.5 to 2.3 kb upstream": (0.30, 0.32, 0.005),
    "loci with CpG observed / expected of 0.4 to 0.6": (0.21, 0.12, 0.005),
    "loci with ten A or ten T in a row": (0.055, 0.64, 0.005),
    "kinds of motifs in a locus, within 150 bp": (3.4, 0.8, 0.05),
    "SP within 150 bp": (0.69, 0.30, 0.005),
    "TATA box at -34 to -26": (0.207, 0.007, 0.0005),
    "r of the rules' log rate with expression": (0.90, 0.08, 0.005),
    "loci without a read": (0.001, 0.503, 0.0005),
    "loci with 50 reads or more": (0.59, 0.23, 0.005),
    "spread (SD) of log10 reads, loci with 50 or more": (0.65, 0.52, 0.005),
    "bases with 100 reads or more, of those with any": (0.063, 0.019, 0.0005),
    "width of the middle 80 %, median": (59, 53, 0.5),
    "spread (interquartile range) of that width": (23, 36, 0.5),
    "share of the strongest base, median": (0.22, 0.29, 0.005),
    "bases that hold half of the reads, mean": (3.7, 3.0, 0.05),
    "strongest base from the annotated TSS, median": (2, 60, 0.5),
    "active loci with a tenth as many reads on the other strand": (0.92, 0.88, 0.005),
    "active loci with more reads on the other strand": (0.085, 0.356, 0.0005),
    "both strands of GRO-cap, r of log totals": (0.90, 0.89, 0.005),
    "both strands of GRO-cap, r of log totals, active loci": (0.83, 0.48, 0.005),
    "both strands of GRO-cap, r of 32-bp bins, active loci": (0.36, 0.13, 0.005),
    "r of two tracks of one strand (assays | samples), median": (0.97, 0.50, 0.005),
    "r of the two strands of a CAGE track": (0.30, 0.10, 0.005),
}


@needs_mirror
@pytest.mark.parametrize("what", QUOTED)
def test_comparison_is_as_quoted(chapter, what):
    simulated, real, tolerance = QUOTED[what]
    found = chapter["noted"][what]
    assert found[0] == pytest.approx(simulated, abs=1.01 * tolerance)
    assert found[1] == pytest.approx(real, abs=1.01 * tolerance)


@needs_mirror
def test_table_says_what_does_not_differ(chapter):
    table = chapter["table"]
    same = {
        "GC within 100 bp of the TSS",
        "GC 1.5 to 2.3 kb upstream",
        "CpG observed / expected, within 100 bp of the TSS",
        "CpG observed / expected, 1.5 to 2.3 kb upstream",
        "active loci with a tenth as many reads on the other strand",
        "both strands of GRO-cap, r of log totals",
    }
    assert set(table.index[table["differs"] == ""]) == same
    assert len(table) == 30


@needs_mirror
def test_motifs_stand_out_near_real_start_sites_except_two(chapter):
    names = chapter["truth"].names
    near, away = (
        {name: dict(zip(names, data[name].mean(0), strict=True)) for name in data}
        for data in (chapter["has"], chapter["by_chance"])
    )
    assert all(near["simulated"][m] > near["real"][m] for m in names)
    for motif in ("SP", "ETS", "NRF1", "YY1"):
        assert near["real"][motif] > 2 * away["real"][motif]
    for motif in ("TATA", "Long Inr"):
        assert near["real"][motif] <= away["real"][motif]
    for motif in ("ETS", "NRF1"):
        assert near["simulated"][motif] / near["real"][motif] == pytest.approx(7.2, abs=0.1)


@needs_mirror
def test_real_pairs_and_bases_have_a_direction(chapter):
    near, sequences = chapter["near"], chapter["sequences"]
    simulated, real = (
        chapter["ratio"](chapter["pair_counts"](sequences[k][:, near]))
        for k in ("simulated", "real")
    )
    a, c, g, t = range(4)
    for first, second in ((a, g), (g, a), (c, t)):
        assert 0.14 < (real - simulated)[first, second] < 0.21
    for first, second in ((a, t), (t, a)):
        assert 0.14 < (simulated - real)[first, second] < 0.21
    behind = {
        name: chapter["composition"](coded[:, chapter["MID"] :][:, :1000]).mean(1)
        for name, coded in sequences.items()
    }
    for more, less in ((g, c), (t, a)):
        assert behind["real"][more] - behind["real"][less] > 0.02
        assert abs(behind["simulated"][more] - behind["simulated"][less]) < 0.002


@needs_mirror
def test_real_reads_are_those_of_the_text(chapter):
    total = chapter["totals"]
    medians = [np.median(t[t[:, 0] >= 50, 0]) for t in total.values()]
    assert [round(m, -1) for m in medians] == [350, 420]
    body = chapter["BODY"]
    assert [r[:, 0, body].max() for r in chapter["gro"].values()] == [2023, 6838]
    assert [len(s) for s in chapter["shape"].values()] == [577, 276]
    assert int(chapter["coding"].sum()) == 450
    assert (chapter["of_coding"] == 0).mean() == pytest.approx(0.27, abs=0.005)
    assert (chapter["of_coding"] >= 50).mean() == pytest.approx(0.50, abs=0.005)
    assert 1000 * chapter["away"].mean() == pytest.approx(8.9, abs=0.05)
    assert 1000 * (chapter["away"] > 0).mean() == pytest.approx(1.7, abs=0.05)
    assert 1000 * chapter["away_from_all"][0].mean() == pytest.approx(6, abs=0.5)
    assert chapter["inside"] == pytest.approx(0.55, abs=0.005)
    assert chapter["cage"]["real"].shape == (53, 24, 145)


@needs_mirror
def test_narrow_simulated_regions_have_a_tata_box(chapter):
    shape, middle = chapter["shape"], chapter["MID"]
    narrow = {name: (s[:, 0] < 30).mean() for name, s in shape.items()}
    assert narrow["simulated"] == pytest.approx(0.07, abs=0.005)
    assert narrow["real"] == pytest.approx(0.19, abs=0.005)
    enough = chapter["regions"]["simulated"][:, 0, 400:601].sum(1) >= 50
    rows = np.flatnonzero(chapter["active"]["simulated"])[enough]
    found = chapter["sim"].instances
    boxes = found[(found["motif"] == "TATA") & (found["anchor"] - middle).between(-34, -26)]
    narrowest = shape["simulated"][:, 0] <= 10
    assert narrowest.sum() == 28
    assert np.isin(rows[narrowest], boxes["locus"]).all()


@needs_mirror
def test_rules_on_real_sequences(chapter):
    assert chapter["gc_r"] == pytest.approx(0.27, abs=0.005)
    assert chapter["guess"].mean() == pytest.approx(1.9, abs=0.05)
    assert chapter["own"][:, 0].mean() == pytest.approx(6.5, abs=0.05)
    genes = chapter["tss"][chapter["known"]]["ensg"].value_counts()
    assert (len(genes), (genes > 1).mean().round(1)) == (104, 0.5)
    assert chapter["epd"]["TATA-box"].mean() == pytest.approx(0.10, abs=0.005)


# --- without the files ------------------------------------------------------------------------


def test_without_files_the_appendix_names_them_and_goes_on(without_files, capsys):
    variables = without_files("note")
    said = capsys.readouterr().out
    assert not variables["complete"]
    assert variables["noted"] == {}
    for name in variables["FILES"]:
        assert name in said


def test_files_are_those_of_the_metadata(chapter):
    assert read(NOTEBOOK).metadata["tssbook"]["files"] == list(chapter["FILES"])

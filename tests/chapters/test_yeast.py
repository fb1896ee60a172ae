"""What the page on the real genome says in numbers, and that it runs without the data."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import needs_mirror
from tools.notebooks import ROOT, read
from tssbook.data.download import catalogue

NOTEBOOK = ROOT / "chapters" / "appendix-yeast.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


@needs_mirror
def test_genes_and_reads(chapter):
    assert chapter["libraries"].loc["stripe", "both"] == 2_223_310
    assert chapter["libraries"].loc["slic", "top base"] == 47_521
    assert len(chapter["clear"]) == 6_096
    assert len(chapter["genes"]) == 4_988


@needs_mirror
def test_starts_in_the_windows_are_those_of_the_table(chapter):
    """The page looks for main starts by itself: the library found the same ones."""
    genes = chapter["genes"]
    sign = np.where(genes["strand"] == "+", 1, -1)
    assert (genes["atg"] + sign * chapter["start"]["stripe"] == genes["tss"]).all()
    assert (chapter["apart"] == 0).mean() == pytest.approx(0.499, abs=5e-4)
    # Two rows by hand: the highest base is 40 before the A; of equals the one nearer to the gene.
    reads = np.zeros((2, 300))
    reads[0, [210, 100]] = 5, 4
    reads[1, [210, 230]] = 5
    assert chapter["main_start"](reads).tolist() == [-40, -20]


@needs_mirror
def test_letters_and_words(chapter):
    stripe = chapter["share"]["stripe"]
    assert stripe[[1, 3], 399].sum() == pytest.approx(0.98, abs=0.005)
    assert stripe[0, 392] == pytest.approx(0.72, abs=0.005)
    peaks = {name: chapter["bins"][rate.argmax()] for name, rate in chapter["rates"].items()}
    assert peaks == {"TATAWAWR": -80, "TTTTTT": -120, "AAAAAA": -80}
    # TATAWAWR by letters, in all sequences, where it begins from -80 to -61.
    text = ["".join("ACGT"[code] for code in row) for row in chapter["letters"]["stripe"]]
    boxes = {f"TATA{w}A{v}{r}" for w in "AT" for v in "AT" for r in "AG"}
    found = sum(row[at : at + 8] in boxes for row in text for at in range(320, 340))
    assert chapter["rates"]["TATAWAWR"][6] == pytest.approx(found / len(text))


@needs_mirror
def test_ceilings(chapter):
    mean = chapter["ceiling"]["mean r"].round(3).tolist()
    assert mean == [0.824, 0.913, 0.815, 0.757, 0.886, 0.157]
    assert chapter["ceiling"].loc["50 ng, 100 ng (halves)", ">=500"] > 0.98


@needs_mirror
def test_mask(chapter):
    assert 1 - chapter["every"].mean() == pytest.approx(0.066, abs=5e-4)
    assert (chapter["low"], chapter["high"]) == ("chrXI", "chrI")


# --- without the files ------------------------------------------------------------------------


def test_without_files_the_page_names_one_and_goes_on(without_files, capsys):
    variables = without_files()
    assert variables["y"] is None
    assert "yeast/" in capsys.readouterr().out


def test_files_of_the_metadata_can_be_had(chapter):
    """All that is made from, but for what a mirror may have in another form."""
    files = set(read(NOTEBOOK).metadata["tssbook"]["files"])
    wanted = set(chapter["entries"])
    assert files == {name for name in wanted if "diamide" not in name and ".dna." not in name}
    assert all("url" in catalogue()[name] for name in files)

"""The page on the big models: its outputs, and that its numbers agree with each other."""

from __future__ import annotations

from tools.notebooks import ROOT, read
from tssbook.data import LENGTH
from tssbook.models.puffin import MARGIN

NOTEBOOK = ROOT / "chapters" / "appendix-big-models.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


def test_windows_are_those_of_the_published_networks(chapter):
    reads = chapter["models"]["reads (bp)"]
    assert reads["ProCapNet"] == LENGTH
    assert reads["Enformer"] == 1_536 * 128  # bins before the margins are cut off
    assert reads["Borzoi"] == 2**19
    assert reads["AlphaGenome"] == 2**20
    reach = chapter["models"]["reach of one base (bp)"]
    assert reach["ProCapNet"] == 1_115 // 2  # bases that one output of the profile depends on
    assert reach["Puffin"] == MARGIN
    wide = ["CLIPNET", "Puffin-D", "Enformer", "Borzoi", "AlphaGenome"]
    assert (reach[wide] == reads[wide] // 2).all()
    enough = chapter["models"]["enough"]
    assert enough[enough].index.tolist() == ["Puffin-D", "Enformer", "Borzoi", "AlphaGenome"]


def test_the_page_is_short(chapter):
    text = "\n".join(cell.source for cell in read(NOTEBOOK).cells if cell.cell_type == "markdown")
    assert len(text.split("## References")[0].split()) < 900

"""The page of many machines: its outputs, and that its scripts are Python."""

from __future__ import annotations

import re

import numpy as np

from tools.notebooks import ROOT, read
from tssbook.data import genome
from tssbook.interpret import ism
from tssbook.models import PromoterNet
from tssbook.sequence import one_hot_codes

NOTEBOOK = ROOT / "chapters" / "appendix-many-machines.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


def test_all_effects_are_those_of_one_process(chapter):
    fasta, places = chapter["files"] / "genome.fa", chapter["promoters"][126:]
    wanted = ism(
        PromoterNet.from_pretrained("promoter"), one_hot_codes(genome.sequences(fasta, places))
    )
    assert np.array_equal(chapter["made"].arrays["effects"][126:], wanted.numpy())


def test_costs_follow_from_speeds(chapter):
    speed, table = chapter["speed"], chapter["table"]
    assert table.loc["predict", 1] == 625 * 64 / speed["predict"] / 3600
    assert table.loc["predict", 64] == 10 * 64 / speed["predict"] / 3600  # 625 / 64, rounded up
    assert table.loc["mutagenesis", 1000] == 64 / speed["mutagenesis"] / 3600


def test_scripts_of_the_page_can_be_compiled():
    text = "\n".join(cell.source for cell in read(NOTEBOOK).cells if cell.cell_type == "markdown")
    scripts = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(scripts) == 3
    for script in scripts:
        compile(script, "page", "exec")

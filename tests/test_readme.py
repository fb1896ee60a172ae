"""The README's examples run as they stand, one after the other, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.notebooks import ROOT
from tssbook.data import Fasta

BLOCKS = re.findall(
    r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.M
)


def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    variables: dict = {"__name__": "__main__"}
    for block in BLOCKS:
        if "variants.vcf" in block:  # the reader's own; any base of the simulated genome will do
            letter = Fasta.of(variables["genome"]).letters("chr1", 5000, 5001).upper()
            text = f"chr1\t5001\t.\t{letter}\t{'A' if letter != 'A' else 'C'}\n"
            Path("variants.vcf").write_text(text, encoding="utf-8")
        exec(compile(block, "README.md", "exec"), variables)  # noqa: S102  our own examples
    assert variables["effects"].shape == (1, 4, 2000)
    assert variables["y"].shape == (8, 10, 4650)
    assert variables["reads"].shape == (8, 2, 1000)
    assert len(variables["table"]) == 1
    assert variables["changes"].shape == (1, 4, 800, 2)
    assert variables["why"].contributions.shape == (1, 4, 800)
    assert variables["made"].arrays["predictions"].shape == (200,)

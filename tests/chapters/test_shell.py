"""The page of the command line: its outputs, and its script."""

from __future__ import annotations

from tools.notebooks import ROOT, read

NOTEBOOK = ROOT / "chapters" / "appendix-shell.ipynb"


def test_outputs_are_those_that_are_stored(run):
    assert run.faults == []


def test_every_command_ends_well_but_for_the_misspelt_one(run):
    failed = [name for name in run.outputs if "Error:" in run.text(name)]
    assert failed == ["misspelt"]


def test_numbers_come_with_an_interval_and_a_baseline(run):
    said = run.text("recipe")
    assert "r of the mean profile" in said
    assert said.count("(95 %:") == 3


def test_the_script_of_the_page_is_the_one_that_is_tested():
    (text,) = [cell.source for cell in read(NOTEBOOK).cells if cell.id == "text-script"]
    script = (ROOT / "examples" / "five-lines.sh").read_text(encoding="utf-8")
    assert f"```bash\n{script}```" in text
    assert sum(line.startswith("tssbook ") for line in script.splitlines()) == 5

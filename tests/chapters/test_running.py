"""The runner of notebooks: what it accepts and finds; every notebook of the book has a test."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from tests.chapters.running import NotebookFailed, run_notebook
from tools.notebooks import ROOT, notebook_paths, read, to_text, update

PLOT = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots(figsize=(2, 1))\nax.plot([1, 2]);"
WIDE = "import pandas as pd\npd.DataFrame([[0.5] * 30])"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small notebook, run in a kernel as `make notebooks` runs the book."""
    path = tmp_path_factory.mktemp("book") / "small.ipynb"
    cells = [
        new_code_cell("x = 6\nprint('one')\nx * 7", id="result"),
        new_code_cell(PLOT, id="plot"),
        new_code_cell(WIDE, id="wide"),
        new_code_cell("1 / 0", id="error", metadata={"tags": ["raises-exception"]}),
        new_code_cell("print(id(x))", id="any", metadata={"tags": ["nbval-ignore-output"]}),
        new_code_cell("raise OSError", id="skipped", metadata={"tags": ["nbval-skip"]}),
    ]
    path.write_text(to_text(new_notebook(cells=cells[:-1])), encoding="utf-8")
    update(path)
    nb = read(path)
    nb.cells.append(cells[-1])
    path.write_text(to_text(nb), encoding="utf-8")
    return path


def changed(path: Path, folder: Path, change: Callable[[NotebookNode], None]) -> Path:
    """A copy of a notebook with one change, given as a function of its cells by id."""
    nb = read(path)
    change(NotebookNode({cell.id: cell for cell in nb.cells}))
    copy = folder / path.name
    copy.write_text(to_text(nb), encoding="utf-8")
    return copy


def test_a_kernels_outputs_are_found_again(stored: Path) -> None:
    run = run_notebook(stored)
    assert run.faults == []
    assert run.variables["x"] == 6
    assert run.text("result") == "one\n"
    assert run.again("result", x=1)["x"] == 6
    assert run.variables["x"] == 6


CHANGES = {
    "a printed line": ("result", lambda c: c.result.outputs[0].update(text="two\n")),
    "a value": ("result", lambda c: c.result.outputs[1].data.update({"text/plain": "43"})),
    "an output more": ("result", lambda c: c.result.outputs.append(c.result.outputs[1])),
    "no output": ("result", lambda c: c.result.update(outputs=[])),
    "an output that is not stored": ("wide", lambda c: c.wide.outputs.clear()),
    "a table": ("wide", lambda c: c.wide.outputs[0].data.update({"text/html": "<table>"})),
    "no picture": ("plot", lambda c: c.plot.outputs[0].data.pop("image/png")),
    "a figure's size": ("plot", lambda c: c.plot.update(source=PLOT.replace("(2, 1)", "(2, 2)"))),
    "an error's message": ("error", lambda c: c.error.outputs[0].update(evalue="other")),
    "an error's kind": ("error", lambda c: c.error.outputs[0].update(ename="OSError")),
    "no error": ("error", lambda c: c.error.update(source="1 / 1")),
    "never run": ("result", lambda c: c.result.update(execution_count=None)),
    "stderr": ("any", lambda c: c["any"].update(source="import sys; print(1, file=sys.stderr)")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_difference_is_found(stored: Path, tmp_path: Path, what: str) -> None:
    name, change = CHANGES[what]
    found = run_notebook(changed(stored, tmp_path, change)).faults
    assert found
    assert [fault for fault in found if f"cell {name}: " not in fault] == []


def test_pictures_and_ignored_outputs_are_not_compared(stored: Path, tmp_path: Path) -> None:
    def change(cells: NotebookNode) -> None:
        cells.plot.outputs[0].data["image/png"] = "another"
        cells["any"].outputs[0].text = "another"
        cells.result.execution_count = 7

    assert run_notebook(changed(stored, tmp_path, change)).faults == []


@pytest.mark.parametrize("source", ["y", "1 +", "import warnings; warnings.warn('old')"])
def test_an_error_ends_the_run(stored: Path, tmp_path: Path, source: str) -> None:
    """A mistake, a mistake in writing, and a warning."""
    path = changed(stored, tmp_path, lambda cells: cells["any"].update(source=source))
    with pytest.raises(NotebookFailed, match=r"small\.ipynb, cell any: \w+"):
        run_notebook(path)


def test_other_machines_are_not_asked(stored: Path, tmp_path: Path) -> None:
    source = "import socket; socket.getaddrinfo('example.org', 80)"
    path = changed(stored, tmp_path, lambda cells: cells["any"].update(source=source))
    before = socket.getaddrinfo
    with pytest.raises(NotebookFailed, match=r"example\.org"):
        run_notebook(path)
    assert socket.getaddrinfo is before


def test_every_notebook_is_run_and_compared_in_one_file() -> None:
    files = [p.read_text(encoding="utf-8") for p in Path(__file__).parent.glob("test_*.py")]
    tests = [text for text in files if re.search(r"^NOTEBOOK = ROOT", text, re.MULTILINE)]
    for path in notebook_paths():
        folder, name = path.relative_to(ROOT).parts
        (test,) = [text for text in tests if f'NOTEBOOK = ROOT / "{folder}" / "{name}"' in text]
        assert "assert run.faults == []" in test

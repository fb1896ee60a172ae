"""Stored notebooks follow every rule, each rule can fail, `make notebooks` is repeatable."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from notebook_rules import RULES
from tools import notebooks as tool
from tools.notebooks import ROOT, NotebookError, normalise, notebook_paths, read, to_text, update

BOOK = notebook_paths()
IDS = [str(path.relative_to(ROOT)) for path in BOOK]
PNG = "iVBORw0KGgo="


# --- the book -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("path", BOOK, ids=IDS)
def test_stored_notebook_follows_rule(path: Path, rule: str) -> None:
    assert list(RULES[rule](read(path), path)) == []


@pytest.mark.parametrize("path", BOOK, ids=IDS)
def test_stored_notebook_is_in_normal_form(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == to_text(normalise(read(path))), "make notebooks"


def test_every_chapter_has_its_solutions() -> None:
    chapters, solutions = (
        {path.name for path in BOOK if path.parent.name == folder}
        for folder in ("chapters", "solutions")
    )
    numbered = {  # appendices and pages on real DNA have no exercises
        name for name in chapters if name[0].isdigit() and not name.endswith("-real.ipynb")
    }
    assert numbered == solutions
    assert numbered


# --- each rule can fail -------------------------------------------------------------------------


def small_chapter() -> NotebookNode:
    """A chapter that breaks no rule. Cells: 0 badge, 1 text, 2 setup, 3 flags, 4 figure, 5 end."""
    badge = "https://colab.research.google.com/github/me/book/blob/v1/chapters/01-x.ipynb"
    figure = new_output("display_data", data={"image/png": PNG, "text/plain": "<Figure>"})
    cells = [
        new_markdown_cell(f"[Open in Colab]({badge})"),
        new_markdown_cell(
            "# Chapter 1: X\n\n> **You will learn** $a < b$ and `#| {#x} <div>`\n>\n"
            "> - a list\n>\n> **You need** nothing\n>\n> **Run time** a second\n\n"
            "<details><summary>Hint</summary>\n\n1. one\n2. two\n   or more\n\n</details>"
        ),
        new_code_cell("import sys", metadata={"tags": ["setup"]}, id="set-up-now"),
        new_code_cell("TRAIN = False", metadata={"tags": ["parameters"]}),
        new_code_cell("plot()", metadata={"fig-cap": "A", "fig-alt": "B"}, outputs=[figure]),
        new_markdown_cell(
            "## 1.1 Summary\n\n## Pitfalls\n\n## References\n\n[Book](https://x.org)"
        ),
    ]
    nb = new_notebook(cells=cells)
    for number, cell in enumerate((c for c in cells if c.cell_type == "code"), start=1):
        cell.execution_count = number
    return normalise(nb)


def prints(text: str, name: str = "stdout") -> Callable[[NotebookNode], None]:
    return lambda nb: nb.cells[2].outputs.append(new_output("stream", name=name, text=text))


def shows(mime: str, content: str) -> Callable[[NotebookNode], None]:
    return lambda nb: nb.cells[2].outputs.append(new_output("display_data", data={mime: content}))


def fails(*traceback: str) -> Callable[[NotebookNode], None]:
    error = new_output("error", ename="E", evalue="e", traceback=list(traceback))
    return lambda nb: nb.cells[2].outputs.append(error)


def says(text: str) -> Callable[[NotebookNode], None]:
    return lambda nb: nb.cells.append(new_markdown_cell(text))


def sets(number: int, **values: object) -> Callable[[NotebookNode], None]:
    return lambda nb: nb.cells[number].update(values)


def tagged(*names: str) -> Callable[[NotebookNode], None]:
    return lambda nb: nb.cells[3].metadata.update(tags=["parameters", *names])


HOME = "/" + "home/me/book.py"
FAULTS = [
    ("no_absolute_path", prints(f"File {HOME}")),
    ("no_absolute_path", fails(f"File {HOME}:3, in <module>")),
    ("no_absolute_path", sets(2, source=f"open('{HOME}')")),
    ("no_absolute_path", shows("text/plain", r"WindowsPath('C:\Users\me')")),
    ("no_warning", prints("FutureWarning: will change")),
    ("no_address", shows("text/plain", "<Axes at 0x7f3a5c0b2d90>")),
    ("no_progress_bar", prints(" 50%|#####     | 5/10")),
    ("no_progress_bar", prints("epoch 1\repoch 2\r")),
    ("no_styler", shows("text/html", "<style type='text/css'>\n#T_1f2e3 th {}</style>")),
    ("no_stderr", prints("oops", name="stderr")),
    ("no_error", fails("E: e")),
    ("no_widget", shows("application/vnd.jupyter.widget-view+json", "{}")),
    ("no_widget", lambda nb: nb.metadata.update(widgets={})),
    ("no_svg", shows("image/svg+xml", "<svg/>")),
    ("pictures_are_described", lambda nb: nb.cells[4].metadata.pop("fig-alt")),
    ("pictures_are_described", lambda nb: nb.cells[4].metadata.update({"fig-cap": ""})),
    (
        "a_caption_has_one_picture",
        lambda nb: nb.cells[4].outputs.append(new_output("display_data", data={"text/html": "t"})),
    ),
    ("counts_are_1_to_n", sets(3, execution_count=7)),
    ("counts_are_1_to_n", sets(3, execution_count=None)),
    ("uncertain_outputs_are_tagged", tagged("timing")),
    ("uncertain_outputs_are_tagged", shows("text/html", '<div class="tss-live"></div>')),
    ("uncertain_outputs_are_tagged", tagged("real-data", "nbval-ignore-output")),
    ("uncertain_outputs_are_tagged", lambda nb: nb.metadata.update(tssbook={"files": ["x"]})),
    ("uncertain_outputs_are_tagged", lambda nb: nb.metadata.update(tssbook={"ran": {"x": "y"}})),
    ("cells_are_short", sets(2, source="x = 1\n" * 26)),
    ("lines_are_narrow", sets(2, source=f"x = '{'ACGT' * 22}'")),
    ("no_shell", sets(2, source="import sys\n!ls")),
    ("no_shell", sets(2, source="%pip install torch")),
    ("one_title", says("# Another")),
    ("one_title", lambda nb: nb.cells.insert(1, nb.cells.pop(5))),
    ("skeleton", sets(0, source="[Open in Colab](https://x.org)")),
    ("skeleton", lambda nb: nb.cells[0].update(source=nb.cells[0].source.replace("01", "02"))),
    ("skeleton", lambda nb: nb.cells[2].metadata.pop("tags")),
    ("skeleton", lambda nb: nb.cells[3].metadata.pop("tags")),
    ("skeleton", lambda nb: nb.cells.pop()),
    ("skeleton", sets(1, source="# Chapter 1: X\n\nYou will learn, you need, run time")),
    ("exercises_have_solutions", says("> **Exercise 1.** Do it.")),
    ("portable_markdown", says("::: {.callout-note}\nx\n:::")),
    ("portable_markdown", says("see @fig-one")),
    ("portable_markdown", says("as shown [@kelley2016]")),
    ("portable_markdown", says("## Title {#sec-one}")),
    ("portable_markdown", says("a note[^1]\n\n[^1]: here")),
    ("portable_markdown", says("> [!NOTE]\n> x")),
    ("portable_markdown", says("```mermaid\ngraph TD\n```")),
    ("portable_markdown", says('<div class="x">\n\nx\n\n</div>')),
    ("portable_markdown", says("<details><summary>Hint</summary>\ntext\n\n</details>")),
    ("blank_line_before_lists_and_headings", says("text\n- item")),
    ("blank_line_before_lists_and_headings", says("> text\n> 1. item")),
    ("blank_line_before_lists_and_headings", says("text\n## Heading")),
    ("cell_ids_are_no_headings", sets(2, id="pitfalls")),
    ("cell_ids_are_no_headings", says("### 6. Set [up](https://x.org), `now`!")),
    ("links_resolve", says("[Chapter 9](09-none.ipynb)")),
    ("links_resolve", says("![a picture](none.png)")),
]


def problems(nb: NotebookNode) -> dict[str, list[str]]:
    found = {name: list(rule(nb, Path("chapters/01-x.ipynb"))) for name, rule in RULES.items()}
    return {name: texts for name, texts in found.items() if texts}


def test_good_notebook_breaks_no_rule() -> None:
    assert problems(small_chapter()) == {}


@pytest.mark.parametrize(("rule", "fault"), FAULTS)
def test_rule_finds_fault(rule: str, fault: Callable[[NotebookNode], None]) -> None:
    nb = small_chapter()
    fault(nb)
    assert rule in problems(nb)


def test_every_rule_is_seen_to_fail() -> None:
    assert {rule for rule, _ in FAULTS} == set(RULES)


# --- normal form --------------------------------------------------------------------------------


def test_normalise_drops_only_what_is_volatile() -> None:
    good = small_chapter()
    noisy = copy.deepcopy(good)
    noisy.metadata.update(widgets={"x": 1}, colab={"provenance": []})
    noisy.metadata.language_info.version = "3.11.7"
    noisy.cells[2].metadata.update(
        execution={"iopub.execute_input": "now"}, id="colab", outputId="o"
    )
    assert normalise(noisy) == good
    assert normalise(good) == good


def test_normalise_joins_streams_and_names_cells() -> None:
    nb = small_chapter()
    for text in ("a\n", "b\n"):
        prints(text)(nb)
    for cell in nb.cells:
        del cell["id"]
    nb.cells[0].id = nb.cells[1].id = "cell-2"
    first = normalise(nb)
    assert [out.text for out in first.cells[2].outputs] == ["a\nb\n"]
    ids = ["cell-2", "cell-2-1", "cell-3", "cell-4", "cell-5", "cell-6"]
    assert [cell.id for cell in first.cells] == ids


# --- running ------------------------------------------------------------------------------------


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that has downloaded nothing and has no mirror."""
    monkeypatch.setenv("TSSBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TSSBOOK_MIRROR", raising=False)


def stored(path: Path, *cells: NotebookNode, **metadata: object) -> Path:
    path.write_text(to_text(normalise(new_notebook(cells=list(cells), metadata=metadata))))
    return path


def clock_cell() -> NotebookNode:
    return new_code_cell("import time; print(time.time_ns())", metadata={"tags": ["timing"]})


def test_second_run_changes_no_byte(tmp_path: Path) -> None:
    results = new_code_cell("print('a', flush=True); print({'x', 'y'})\n1 + 1")
    error = new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]})
    path = stored(tmp_path / "a.ipynb", results, error, clock_cell())
    assert update(path) == "stored"
    first = path.read_bytes()
    nb = read(path)
    assert [cell.execution_count for cell in nb.cells] == [1, 2, 3]
    assert nb.cells[0].outputs[1].data["text/plain"] == "2"
    assert nb.cells[1].outputs[0].traceback == ["ZeroDivisionError: division by zero"]

    assert update(path) == "unchanged"
    assert path.read_bytes() == first

    clock = nb.cells[2].outputs[0].text
    nb.cells[0].source = "print('b')"
    path.write_text(to_text(nb))
    assert update(path) == "stored"
    assert read(path).cells[2].outputs[0].text != clock
    assert [file.name for file in tmp_path.iterdir()] == ["a.ipynb"]


@pytest.mark.usefixtures("no_files")
def test_real_data_outputs_stay_where_the_file_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import os; print('files' if 'TSSBOOK_MIRROR' in os.environ else 'none')"
    real = new_code_cell(source, metadata={"tags": ["real-data"]})
    path = stored(tmp_path / "a.ipynb", real, tssbook={"files": ["human_epd60_expression.tsv.gz"]})
    before = path.read_bytes()
    with pytest.raises(NotebookError, match=r"new or changed .*human_epd60"):
        update(path)  # never run with the file: there is nothing to keep
    assert path.read_bytes() == before

    with monkeypatch.context() as here:
        here.setenv("TSSBOOK_MIRROR", str(tmp_path))
        here.setattr(tool, "missing_file", lambda nb: "")
        assert update(path) == "stored"
    first = path.read_bytes()
    assert b"files\\n" in first

    assert update(path).startswith("unchanged; kept the outputs of the cells tagged real-data: ")
    assert path.read_bytes() == first

    path.write_bytes(first.replace(b"'none'", b"'nothing'"))
    with pytest.raises(NotebookError, match="new or changed"):
        update(path)


def test_unknown_file_is_named(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.ipynb", new_code_cell("1"), tssbook={"files": ["no_such_file"]})
    with pytest.raises(NotebookError, match="no_such_file"):
        update(path)


def test_failing_cell_leaves_the_file_and_fails_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stored(tmp_path / "a.ipynb", new_code_cell("print(1)"), new_code_cell("1 / 0"))
    before = path.read_bytes()
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool, "notebook_paths", lambda: [path])
    assert tool.main() == 1
    assert "a.ipynb" in (said := capsys.readouterr().out)
    assert "ZeroDivisionError" in said
    assert path.read_bytes() == before

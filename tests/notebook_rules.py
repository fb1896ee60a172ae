"""What a stored notebook must and must not hold: one function a rule, each yields problems.

Every rule takes the notebook and its path (whose folder says whether it is a chapter or a solution)
and yields one sentence for each violation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from nbformat import NotebookNode

from tools.notebooks import KEPT_TAGS, remembered_hashes, source_hashes, tags

Rule = Callable[[NotebookNode, Path], Iterator[str]]
RULES: dict[str, Rule] = {}

MAX_LINES = 25
MAX_WIDTH = 88  # what a page on a laptop shows without scrolling
BADGE = re.compile(
    r"https://colab\.research\.google\.com/github/(?P<repository>[^/\s]+/[^/\s]+)"
    r"/blob/(?P<tag>[^/\s]+)/(?P<path>[^)\s]+\.ipynb)"
)
_FENCE = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1[^\n]*$", re.MULTILINE | re.DOTALL)
_CODE_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_MATH = re.compile(r"\$\$.+?\$\$|\\begin\{.+?\\end\{\w+\*?\}|(?<!\\)\$[^$\n]+?\$", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)[^)]*\)|(?:src|href)=\"([^\"]+)\"")
_DATA_URI = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=]+")
_FOLDERS = "home|Users|root|tmp|var|usr|opt|private|content|mnt|etc|srv|work"
_PATH = re.compile(rf"(?<![\w./:~<-])/(?:{_FOLDERS})/[\w.]|\b[A-Z]:\\\w|\bfile://")
_ITEM = re.compile(r"^ {0,3}(?:[-*+]|\d+[.)])\s")
_HEADING = re.compile(r"^#{1,6}\s")
_TAG = re.compile(r"</?([A-Za-z][\w-]*)(?:\s[^<>]*)?/?>")
_LINKED = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ALLOWED_HTML = {"details", "summary", "a", "img", "br", "sub", "sup"}
_JUNK = {
    "a fenced div": re.compile(r"^\s*:::", re.MULTILINE),
    "a cross-reference": re.compile(r"(?<![\w.])@(?:fig|tbl|sec|eq|lst|thm)-\w"),
    "a citation": re.compile(r"\[-?@\w"),
    "an attribute block": re.compile(r"\{[#.][A-Za-z]"),
    "a footnote": re.compile(r"\[\^[^\]]+\]"),
    "a GitHub alert": re.compile(r"^\s*>\s*\[![A-Z]+\]", re.MULTILINE),
}


def rule(function: Rule) -> Rule:
    RULES[function.__name__] = function
    return function


def code_cells(nb: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def markdown(nb: NotebookNode) -> list[str]:
    return [cell.source for cell in nb.cells if cell.cell_type == "markdown"]


def prose(source: str) -> str:
    """Markdown without code and formulas, which may hold anything."""
    for pattern, stand_in in ((_FENCE, ""), (_CODE_SPAN, "code"), (_MATH, "formula")):
        source = pattern.sub(stand_in, source)
    return source


def headings(nb: NotebookNode, level: int) -> list[str]:
    pattern = re.compile(rf"^#{{{level}}}\s+(.+)$", re.MULTILINE)
    return [title for source in markdown(nb) for title in pattern.findall(_FENCE.sub("", source))]


def slug(title: str) -> str:
    """Name that pandoc gives a heading, as an HTML id: "6. Spot checks" is "spot-checks"."""
    words = re.sub(r"[^\w\s.-]", "", _LINKED.sub(r"\1", title).lower()).split()
    return re.sub(r"^[\W\d_]+", "", "-".join(words))


def output_texts(cell: NotebookNode) -> Iterator[str]:
    """Every output that a reader sees as text, without embedded pictures."""
    for out in cell.get("outputs", []):
        if out.output_type == "stream":
            yield out.text
        elif out.output_type == "error":
            yield "\n".join([f"{out.ename}: {out.evalue}", *out.traceback])
        for mime, content in out.get("data", {}).items():
            if mime.startswith("text/"):
                yield _DATA_URI.sub("", content)


def _found(pattern: re.Pattern[str], what: str, nb: NotebookNode, sources: bool) -> Iterator[str]:
    for cell in nb.cells:
        texts = [*output_texts(cell), *([cell.source] if sources else [])]
        for text in texts:
            if match := pattern.search(text):
                around = text[max(0, match.start() - 20) : match.end() + 20]
                yield f"cell {cell.id}: {what}: {around!r}"
                break


def _mimes(nb: NotebookNode) -> Iterator[tuple[NotebookNode, str]]:
    for cell in code_cells(nb):
        for out in cell.outputs:
            for mime in out.get("data", {}):
                yield cell, mime


# --- outputs ------------------------------------------------------------------------------------


@rule
def no_absolute_path(nb: NotebookNode, path: Path) -> Iterator[str]:
    yield from _found(_PATH, "a path of one machine", nb, sources=True)


@rule
def no_warning(nb: NotebookNode, path: Path) -> Iterator[str]:
    yield from _found(re.compile(r"\b[A-Z]\w*Warning\b"), "a warning", nb, sources=False)


@rule
def no_address(nb: NotebookNode, path: Path) -> Iterator[str]:
    pattern = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
    yield from _found(pattern, "an object's address, another one in each run", nb, sources=False)


@rule
def no_progress_bar(nb: NotebookNode, path: Path) -> Iterator[str]:
    pattern = re.compile(r"\r(?!\n)|\d%\|")
    yield from _found(pattern, "frames of a progress bar", nb, sources=False)


@rule
def no_styler(nb: NotebookNode, path: Path) -> Iterator[str]:
    pattern = re.compile(r"<style[^>]*>\s*#T_")
    yield from _found(pattern, "a pandas Styler, whose ids are random", nb, sources=False)


@rule
def no_stderr(nb: NotebookNode, path: Path) -> Iterator[str]:
    for cell in code_cells(nb):
        if any(out.get("name") == "stderr" for out in cell.outputs):
            yield f"cell {cell.id} wrote to stderr"


@rule
def no_error(nb: NotebookNode, path: Path) -> Iterator[str]:
    for cell in code_cells(nb):
        failed = any(out.output_type == "error" for out in cell.outputs)
        if failed and "raises-exception" not in tags(cell):
            yield f"cell {cell.id} shows an error and is not tagged raises-exception"


@rule
def no_widget(nb: NotebookNode, path: Path) -> Iterator[str]:
    if "widgets" in nb.metadata:
        yield "the notebook stores widget states"
    for cell, mime in _mimes(nb):
        if mime.startswith("application/vnd.jupyter.widget"):
            yield f"cell {cell.id} stores a widget, which a page cannot show"


@rule
def no_svg(nb: NotebookNode, path: Path) -> Iterator[str]:
    for cell, mime in _mimes(nb):
        if mime == "image/svg+xml":
            yield f"cell {cell.id} stores SVG, which differs in each run: store PNG"


@rule
def pictures_are_described(nb: NotebookNode, path: Path) -> Iterator[str]:
    for cell, mime in _mimes(nb):
        for key in ("fig-cap", "fig-alt"):
            if mime.startswith("image/") and not cell.metadata.get(key):
                yield f"cell {cell.id} shows a picture and has no {key} in its metadata"


@rule
def a_caption_has_one_picture(nb: NotebookNode, path: Path) -> Iterator[str]:
    """A table in the same cell would get the caption again."""
    for cell in code_cells(nb):
        shown = [data for data in (out.get("data", {}) for out in cell.outputs) if data]
        if "fig-cap" in cell.metadata and len(shown) > 1:
            yield f"cell {cell.id} has a caption and {len(shown)} outputs: give each its own cell"


@rule
def counts_are_1_to_n(nb: NotebookNode, path: Path) -> Iterator[str]:
    counts = [cell.execution_count for cell in code_cells(nb)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts are {counts}: run the notebook from its first to its last cell"


@rule
def uncertain_outputs_are_tagged(nb: NotebookNode, path: Path) -> Iterator[str]:
    for cell in code_cells(nb):
        for tag in tags(cell).intersection(KEPT_TAGS):
            if "nbval-ignore-output" not in tags(cell):
                yield f"cell {cell.id} is tagged {tag} and not nbval-ignore-output"
        if "nbval-ignore-output" not in tags(cell) and any(
            'class="tss-live"' in out.get("data", {}).get("text/html", "") for out in cell.outputs
        ):
            yield f"cell {cell.id} has a live figure, whose page holds a picture; tag it as well"
    real = any("real-data" in tags(cell) for cell in nb.cells)
    if real != bool(nb.metadata.get("tssbook", {}).get("files")):
        yield (
            "cells tagged real-data and the notebook's metadata tssbook.files (which files they"
            " need) come together"
        )
    if remembered_hashes(nb) != source_hashes(nb):
        yield "a cell tagged timing or real-data was edited after it ran: run make notebooks"


# --- code ---------------------------------------------------------------------------------------


@rule
def cells_are_short(nb: NotebookNode, path: Path) -> Iterator[str]:
    for cell in code_cells(nb):
        lines = len(cell.source.splitlines())
        if lines > MAX_LINES:
            yield f"cell {cell.id} has {lines} lines, at most {MAX_LINES} are wanted"


@rule
def lines_are_narrow(nb: NotebookNode, path: Path) -> Iterator[str]:
    for cell in code_cells(nb):
        for line in cell.source.splitlines():
            if len(line) > MAX_WIDTH and " @ git+" not in line:  # an address has its length
                yield f"cell {cell.id} has a line of {len(line)} characters: {line.strip()!r}"


@rule
def no_shell(nb: NotebookNode, path: Path) -> Iterator[str]:
    for cell in code_cells(nb):
        if re.search(r"^\s*(?:!|%%?(?:pip|conda|bash|sh|cd)\b)", cell.source, re.MULTILINE):
            yield f"cell {cell.id} calls a shell or an installer"


# --- text ---------------------------------------------------------------------------------------


@rule
def one_title(nb: NotebookNode, path: Path) -> Iterator[str]:
    titles = headings(nb, 1)
    if len(titles) != 1:
        yield f"there are {len(titles)} headings of level 1, and one is wanted"
        return
    first = nb.cells[:2] if _only_badge(nb.cells[0].source) else nb.cells[:1]
    if not any(re.search(r"^#\s", cell.source, re.MULTILINE) for cell in first):
        yield "the title does not stand in the first cell, or right after the badge"


def _only_badge(source: str) -> bool:
    return bool(BADGE.search(source)) and len(source.strip().splitlines()) == 1


@rule
def skeleton(nb: NotebookNode, path: Path) -> Iterator[str]:
    chapter = path.parent.name == "chapters"
    badge = BADGE.search(nb.cells[0].source) if nb.cells else None
    if not badge:
        yield "the first cell has no link that opens this notebook in Colab"
    elif badge["path"] != f"{path.parent.name}/{path.name}":
        yield f"the badge opens {badge['path']}"
    code = code_cells(nb)
    if not code or "setup" not in tags(code[0]):
        yield "the first code cell is not tagged setup"
    if not chapter:
        return
    top = "\n".join(markdown(nb)[:3])
    box = "\n".join(re.findall(r"^>.*", top, re.MULTILINE)).lower()
    for words in ("You will learn", "You need", "Run time"):
        if words.lower() not in box:
            yield f"the box at the top does not say {words!r}"
    if sum("parameters" in tags(cell) for cell in code) != 1:
        yield "not exactly one cell with the flags is tagged parameters"
    for words in ("Summary", "Pitfalls", "References"):
        if not any(re.search(rf"\b{words}\b", title, re.IGNORECASE) for title in headings(nb, 2)):
            yield f"there is no section (##) {words!r}"


@rule
def exercises_have_solutions(nb: NotebookNode, path: Path) -> Iterator[str]:
    if path.parent.name != "chapters":
        return
    text = "\n".join(markdown(nb))
    if re.search(r"^> \*\*Exercise", text, re.MULTILINE):
        if f"../solutions/{path.name}" not in text:
            yield "there are exercises and no link to the notebook with their solutions"
        if not any("checks." in cell.source for cell in code_cells(nb)):
            yield "there are exercises and no cell that checks an answer"


@rule
def portable_markdown(nb: NotebookNode, path: Path) -> Iterator[str]:
    for source in markdown(nb):
        if re.search(r"^\s*(?:```|~~~)\s*\{?mermaid", source, re.MULTILINE):
            yield f"a mermaid diagram in {source[:40]!r}"
        text = prose(source)
        for what, pattern in _JUNK.items():
            if match := pattern.search(text):
                yield f"{what} in {text[match.start() :][:40]!r}"
        for name in _TAG.findall(text):
            if name.lower() not in _ALLOWED_HTML:
                yield f"raw HTML <{name}> in {source[:40]!r}"
        if re.search(r"</summary>[ \t]*\n[ \t]*\S", source):
            yield "no blank line after </summary>: the text below would stay unformatted"


@rule
def blank_line_before_lists_and_headings(nb: NotebookNode, path: Path) -> Iterator[str]:
    for source in markdown(nb):
        before, in_list = "", False
        for raw in _FENCE.sub("", _MATH.sub("formula", source)).splitlines():
            line = re.sub(r"^(?:> ?)+", "", raw)
            item, heading = bool(_ITEM.match(line)), bool(_HEADING.match(line))
            if before and (heading or (item and not in_list)):
                yield f"no blank line before {raw!r}"
            in_list = bool(line.strip()) and (in_list or item)
            before = line.strip()


@rule
def cell_ids_are_no_headings(nb: NotebookNode, path: Path) -> Iterator[str]:
    """Quarto writes both as ids of HTML: a link to the heading would lead to the cell."""
    titles = {slug(title): title for level in range(1, 7) for title in headings(nb, level)}
    for cell in nb.cells:
        if cell.id in titles:
            yield f"cell {cell.id} has the id of the heading {titles[cell.id]!r}: rename the cell"


@rule
def links_resolve(nb: NotebookNode, path: Path) -> Iterator[str]:
    for source in markdown(nb):
        for target in (a or b for a, b in _LINK.findall(prose(source))):
            if re.match(r"[a-z]+:|#", target):
                continue
            if not (path.parent / target.split("#")[0]).is_file():
                yield f"a link to {target}, which does not exist"

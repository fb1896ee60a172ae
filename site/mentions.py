"""Link the finished chapters to the reference of the library and to the glossary.

On each page: the first mention of a name in the text, and every name in a line that imports it. It
runs after either engine, on HTML. Only names that the page imports are meant, or such that nothing
else is called like: ``read_peaks`` and ``ToyCNN``, but not ``data``. Of the glossary's words, the
first mention in a chapter: where the word is set in bold, or else where the text first has it.
"""

from __future__ import annotations

import os
import re
from html import escape
from html.parser import HTMLParser
from itertools import accumulate
from pathlib import Path

import adapt
import made
import reference

IMPORT = re.compile(r"\bfrom\s+(tssbook[\w.]*)\s+import\s+(\((?P<many>[^)]*)\)|(?P<one>[^\n#]+))")
NAME = re.compile(r"(\w+)(?:\s+as\s+(\w+))?")
MENTION = re.compile(r"([A-Za-z_][\w.]*)(?:\(.*\))?", flags=re.DOTALL)
TELLING = re.compile(r"\w+_\w+|[A-Z]+[a-z]\w*[A-Z]\w*")  # what no other word is spelled like
REFERENCES = re.compile(r"<h2[^>]*>\s*References")
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
NO_PROSE = {"a", "code", "pre", "figcaption", "figure", "summary", "button", "table", "math", "svg"}
SILENT = {"h1", "h2", "h3", "h4", "h5", "h6", "nav", "script", "style", "title"}


class Reader(HTMLParser):
    """Collects the code of a page, with its places: inline pieces, and the texts of blocks."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=False)
        self._lines = list(accumulate((len(line) + 1 for line in html.split("\n")), initial=0))
        self._open: list[str] = []
        self.inline: list[tuple[int, int, str, bool | None]] = []  # start, end, text, see _free
        self.blocks: list[list[tuple[int, str, bool | None]]] = []  # start, text, see _free
        self._code: tuple[int, list[str]] | None = None
        self.feed(html)
        self.close()

    def _place(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def _free(self) -> bool | None:
        """Say whether a link may stand here; False in another one, None where none is wanted."""
        if SILENT & {*self._open} or "main" not in self._open:
            return None
        return "a" not in self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Enter an element."""
        if tag == "pre":
            self.blocks.append([])
        elif tag == "code" and "pre" not in self._open and "main" in self._open:
            self._code = (self._place(), [])
        self._open.append(tag)

    def handle_data(self, data: str) -> None:
        """Take the text of code."""
        if "pre" in self._open:
            self.blocks[-1].append((self._place(), data, self._free()))
        elif self._code is not None:
            self._code[1].append(data)

    def handle_entityref(self, name: str) -> None:
        """Take an entity as a sign that no name has."""
        self.handle_data("&")

    def handle_charref(self, name: str) -> None:
        """Take an entity as a sign that no name has."""
        self.handle_data("&")

    def handle_endtag(self, tag: str) -> None:
        """Leave an element, and those in it that have no end."""
        if tag not in self._open:
            return
        while self._open.pop() != tag:
            pass
        if tag == "code" and self._code is not None:
            start, pieces = self._code
            end = self._place() + len("</code>")
            self.inline.append((start, end, "".join(pieces), self._free()))
            self._code = None


def imports(reader: Reader) -> list[tuple[str, str, int, int, bool]]:
    """Return what the blocks of a page import: name there, its path, start, end, may be linked."""
    found = []
    for block in reader.blocks:
        text = "".join(data for _, data, _ in block)
        starts = [0]
        for _, data, _ in block:
            starts.append(starts[-1] + len(data))
        for line in IMPORT.finditer(text):
            group = "many" if line["many"] is not None else "one"
            for name in NAME.finditer(line[group]):
                at = line.start(group) + name.start()
                i = max(k for k, start in enumerate(starts[:-1]) if start <= at)
                place = block[i][0] + at - starts[i]
                whole = at + len(name[1]) <= starts[i + 1]
                free = bool(whole and block[i][2])
                path = f"{line[1]}.{name[1]}"
                found.append((name[2] or name[1], path, place, place + len(name[1]), free))
    return found


def meant(text: str, known: dict[str, str], places: dict[str, str]) -> str | None:
    """Return the entry that a piece of inline code means on a page that imports `known`."""
    mention = MENTION.fullmatch(text.strip())
    if mention is None:
        return None
    first, dot, rest = mention[1].partition(".")
    path = mention[1] if first == reference.PACKAGE else known.get(first, "") + dot + rest
    if path in places:
        return places[path]
    if TELLING.fullmatch(mention[1]):
        found = {place for path, place in places.items() if path.endswith(f".{mention[1]}")}
        return found.pop() if len(found) == 1 else None
    return None


def linked(html: str, places: dict[str, str], prefix: str) -> str:
    """Return a page with links to `places`, whose addresses begin with `prefix` from there."""
    reader = Reader(html)
    imported = imports(reader)
    known = {name: path for name, path, *_ in imported}
    spans = [(start, end, places[path]) for _, path, start, end, free in imported
             if free and path in places]  # fmt: skip
    seen: set[str] = set()
    for start, end, text, free in reader.inline:
        place = meant(text, known, places)
        if place and place not in seen and free is not None:
            seen.add(place)
            if free:
                spans.append((start, end, place))
    for start, end, place in sorted(set(spans), reverse=True):
        link = f'<a class="tss-api" href="{prefix}{place}">{html[start:end]}</a>'
        html = html[:start] + link + html[end:]
    return html


class Prose(HTMLParser):
    """Collects the running text of a page, with its places: ``(start, text, whether bold)``."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=False)
        self._lines = list(accumulate((len(line) + 1 for line in html.split("\n")), initial=0))
        self._open: list[str] = []
        self.pieces: list[tuple[int, str, bool]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Enter an element."""
        if tag not in VOID:
            self._open.append(tag)

    def handle_data(self, data: str) -> None:
        """Take the text of paragraphs and lists."""
        inside = {*self._open}
        if "main" in inside and inside & {"p", "li"} and not inside & (SILENT | NO_PROSE):
            line, column = self.getpos()
            self.pieces.append((self._lines[line - 1] + column, data, "strong" in inside))

    def handle_endtag(self, tag: str) -> None:
        """Leave an element, and those in it that have no end."""
        if tag in self._open:
            while self._open.pop() != tag:
                pass


def explained(html: str, words: dict[str, dict], address: str) -> str:
    """Return a page whose first mention of each word of the glossary leads there.

    Parameters
    ----------
    html
        The page; what leads to the glossary already is left as it is.
    words
        As :func:`made.words` returns them.
    address
        Of the glossary, seen from the page.
    """
    end_of_text = REFERENCES.search(html)
    pieces = [p for p in Prose(html).pieces if not end_of_text or p[0] < end_of_text.start()]
    of_form = {f.lower(): word for word, entry in words.items() for f in made.forms(word, entry)}
    finds = made.pattern([f for word, entry in words.items() for f in made.forms(word, entry)])
    seen = {word for word in words if f'{address}#{made.anchor(word)}"' in html}
    spans: dict[int, tuple[int, str]] = {}
    for bold in (True, False):
        for start, text, is_bold in pieces:
            for found in finds.finditer(text) if bold <= is_bold else ():
                word = of_form[found[0].lower()]
                whole = found[0] == text.strip(" .:,") or not bold
                if whole and word not in seen:
                    seen.add(word)
                    spans[start + found.start()] = (start + found.end(), word)
    for start in sorted(spans, reverse=True):
        end, word = spans[start]
        about = escape(words[word]["text"])
        link = f'<a class="tss-term" href="{address}#{made.anchor(word)}" title="{about}">'
        html = f"{html[:start]}{link}{html[start:end]}</a>{html[end:]}"
    return html


def link_words(root: Path, out: Path) -> None:
    """Link the words of the glossary in the chapters of the site in `out`."""
    words = made.words(root)
    for page in sorted((out / "chapters").glob("*.html")):
        html = page.read_text(encoding="utf-8")
        page.write_text(explained(html, words, "../glossary.html"), encoding="utf-8")


def link(root: Path, out: Path) -> None:
    """Link the names in the chapters of the site in `out`; what is linked already stays."""
    book = adapt.read_book(root)
    rooms = [name for name in reference.listed(book) if name != "index"]
    if not rooms:
        return
    places = reference.places(reference.read_library(root), rooms)
    for source in adapt.pages(book):
        page = out / Path(source).with_suffix(".html")
        if source.endswith(".ipynb") and page.exists():
            html = page.read_text(encoding="utf-8")
            page.write_text(linked(html, places, "../api/"), encoding="utf-8")


if __name__ == "__main__":
    here = Path(__file__).resolve().parent.parent
    site = here / os.environ.get("QUARTO_PROJECT_OUTPUT_DIR", "_site")
    link(here, site)
    link_words(here, site)

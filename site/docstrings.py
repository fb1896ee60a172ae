"""From the text of a docstring to Markdown that Quarto and Sphinx show alike.

Names that the reference describes become links, and so do sections of chapters.
"""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import griffe

# What is not plain text: code, roles, names in single backticks, sections and chapters.
MARKS = re.compile(
    r"``(?P<code>[^`]+)``"
    r"|:(?:\w+:)?\w+:`~?(?P<role>[^`]+)`"
    r"|`(?P<name>[^`]+)`"
    r"|\bChapter\s+(?P<chapter>\d+)(?:,\s+(?P<numbers>sections?\s+\d+(?:(?:,|\s+and|,\s+and)\s+\d+)*))?"
    r"|\b(?P<alone>[Ss]ections?\s+\d+(?:(?:,|\s+and|,\s+and)\s+\d+)*)"
)
LITERAL = re.compile(r"::\n\n((?:[ ]+.*(?:\n|\Z)|\n)+)")
HEADING = re.compile(r"^## (\d+)\. (.+)$", flags=re.MULTILINE)


def anchor(title: str) -> str:
    """Return the address of a heading within its page, as both engines make it."""
    kept = re.sub(r"[^\w\s-]", "", title.lower())
    return re.sub(r"\s+", "-", re.sub(r"^[^a-z]+", "", kept).strip())


class Chapters:
    """The chapters of the book and their numbered sections."""

    def __init__(self, root: Path, book: dict) -> None:
        self.pages: dict[int, str] = {}
        self.anchors: dict[tuple[int, int], str] = {}
        for page in (p for p in book["chapters"] if isinstance(p, str) and p.endswith(".ipynb")):
            cells = json.loads((root / page).read_text(encoding="utf-8"))["cells"]
            prose = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
            title = re.search(r"^# Chapter (\d+):", prose, flags=re.MULTILINE)
            if title is None:
                continue
            number = int(title[1])
            self.pages[number] = f"../{Path(page).with_suffix('.html').as_posix()}"
            for section, heading in HEADING.findall(prose):
                self.anchors[number, int(section)] = anchor(heading)

    def address(self, chapter: int, section: int | None = None) -> str:
        """Return the address of a chapter or of a section of it, seen from the reference.

        Raises
        ------
        LookupError
            There is no such chapter, or no such section.
        """
        if chapter not in self.pages or (section and (chapter, section) not in self.anchors):
            part = f", section {section}" if section else ""
            raise LookupError(f"There is no Chapter {chapter}{part}.")
        return self.pages[chapter] + (f"#{self.anchors[chapter, section]}" if section else "")


def comment(thing: griffe.Object) -> str:
    """Return the comment beside a constant, or the lines of comment above it."""
    lines = thing.module.source.splitlines()
    for line in (lines[thing.lineno - 1], lines[thing.endlineno - 1]):
        beside = re.search(r"\s#\s+(?!fmt:|noqa)(.+)$", line)
        if beside:
            return sentence(beside[1])
    above = []
    for line in reversed(lines[: thing.lineno - 1]):
        if not line.startswith("# "):
            break
        above.insert(0, line[2:])
    return sentence(" ".join(above))


def sentence(text: str) -> str:
    """Return a comment as a sentence."""
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


def summary(thing: griffe.Object) -> str:
    """Return the first paragraph of a docstring in one line, or a constant's comment."""
    if thing.docstring is not None:
        return " ".join(thing.docstring.value.split("\n\n")[0].split())
    return comment(thing) if thing.is_attribute else ""


class Text:
    """Turns texts of docstrings into Markdown, with links to names and sections."""

    def __init__(self, places: dict[str, str], chapters: Chapters) -> None:
        self.places, self.chapters = places, chapters
        bare: dict[str, set[str]] = {}
        for path, place in places.items():
            bare.setdefault(path.rsplit(".", 1)[-1], set()).add(place)
        self.unique = {name: min(found) for name, found in bare.items() if len(found) == 1}

    def place(self, name: str, thing: griffe.Object) -> str | None:
        """Return where `name` is described, as the docstring of `thing` means it."""
        around, scope = thing, []
        while around is not None:
            scope.append(around.path)
            around = around.parent
        for path in [name, *(f"{outer}.{name}" for outer in scope)]:
            if path in self.places:
                return self.places[path]
        return self.unique.get(name)

    def link(self, shown: str, path: str) -> str:
        """Return code that leads to the entry of `path`, where there is one."""
        return linked(f"`{shown}`", self.places.get(path))

    def chapter_of(self, thing: griffe.Object) -> int | None:
        """Return the chapter that a thing's module is about."""
        module = thing if thing.is_module else thing.module
        named = re.search(r"Chapter (\d+)", module.docstring.value if module.docstring else "")
        return int(named[1]) if named else None

    def sections(self, thing: griffe.Object) -> list[str]:
        """Return links to the sections of chapters that a thing's docstring names."""
        found: dict[str, None] = {}
        for mark in MARKS.finditer(thing.docstring.value if thing.docstring else ""):
            numbers = mark["numbers"] or mark["alone"]
            if numbers:
                chapter = int(mark["chapter"]) if mark["chapter"] else self.chapter_of(thing)
                for number in re.findall(r"\d+", numbers):
                    address = self.address(chapter, int(number), thing)
                    shown = f"Chapter {chapter}, section {number}"
                    found[f'<a href="{address}">{shown}</a>'] = None
        return list(found)

    def address(self, chapter: int | None, section: int | None, thing: griffe.Object) -> str:
        """Return the address of a section; a wrong one is refused by the docstring's name."""
        if chapter is None:
            raise LookupError(
                f"The docstring of {thing.path} names section {section} without its chapter; "
                'wanted "Chapter 1, section 2".'
            )
        try:
            return self.chapters.address(chapter, section)
        except LookupError as error:
            raise LookupError(
                f"The docstring of {thing.path} names a place that the book does not have: "
                f"{error} Give the number that the chapter's heading has."
            ) from None

    def inline(self, text: str, thing: griffe.Object) -> str:
        """Return a stretch of text as Markdown."""
        pieces, end = [], 0
        for mark in MARKS.finditer(text):
            pieces += [plain(text[end : mark.start()]), self.mark(mark, thing)]
            end = mark.end()
        return "".join([*pieces, plain(text[end:])])

    def mark(self, mark: re.Match[str], thing: griffe.Object) -> str:
        """Return what stands for code, a role, a name or a section."""
        if mark["code"] or mark["role"] or mark["name"]:
            shown = " ".join((mark["code"] or mark["role"] or mark["name"]).split())
            sought = shown if not mark["code"] or shown.startswith("tssbook.") else ""
            place = self.place(sought, thing) if sought else None
            return linked(f"`{short(shown, place, thing)}`", place)
        chapter = int(mark["chapter"]) if mark["chapter"] else self.chapter_of(thing)
        numbers = mark["numbers"] or mark["alone"]
        if mark["chapter"] and not numbers:
            return f'<a href="{self.address(chapter, None, thing)}">Chapter {chapter}</a>'
        first, *others = re.findall(r"\d+", numbers)
        lead = f"Chapter {chapter}, {'sections' if others else 'section'}"
        links = [f'<a href="{self.address(chapter, int(first), thing)}">{lead} {first}</a>']
        links += [f'<a href="{self.address(chapter, int(n), thing)}">{n}</a>' for n in others]
        return links[0] if not others else ", ".join(links[:-1]) + f" and {links[-1]}"

    def markdown(self, text: str, thing: griffe.Object) -> str:
        """Return a text of paragraphs, lists and literal blocks as Markdown."""
        parts, end = [], 0
        for block in LITERAL.finditer(text):
            parts.append(self.inline(unwrapped(text[end : block.start()] + ":"), thing))
            parts.append(f"```text\n{textwrap.dedent(block[1]).strip()}\n```")
            end = block.end()
        parts.append(self.inline(unwrapped(text[end:]), thing))
        return "\n\n".join(part.strip() for part in parts if part.strip())


def linked(shown: str, place: str | None) -> str:
    """Return what is shown as a link, if there is a place that it leads to."""
    return f'<a href="{place}">{shown}</a>' if place else shown


def short(shown: str, place: str | None, thing: griffe.Object) -> str:
    """Return a path as one says it: without the file, and without the room on its own page."""
    if place is None or not shown.startswith("tssbook."):
        return shown
    room, _, name = place.partition("#")
    room = room.removesuffix(".html")
    return name if name and thing.path.split(".")[1:2] == [room] else f"{room}.{name}".strip(".")


def unwrapped(text: str) -> str:
    """Return a text with each paragraph and each item of a list on one line.

    A line that happens to begin with a sign, such as "- strand", would begin a list.
    """
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        marker = next((m for m in (r"\* ", "- ", r"\d+\. ") if re.match(m, block)), None)
        items = re.split(rf"\n(?={marker})", block) if marker else [block]
        blocks.append("\n".join(" ".join(item.split()) for item in items))
    return "\n\n".join(blocks)


def plain(text: str) -> str:
    """Return text with what Markdown would take for markup escaped; lists and emphasis stay."""
    return re.sub(r"([<$~^\[\]])", r"\\\1", text)

"""Write the reference of the library from its docstrings, one page for each room.

``python site/reference.py``; both engines read the same pages. A page is `api/ROOM.qmd`, which is
in the repository and includes `api/_ROOM.md`, which this script writes. Quarto looks for the pages
of a book before it runs any script: so they are there, and what they include comes later.

The library is read and not imported (griffe), so nothing that it needs has to be installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

import adapt
import griffe
from docstrings import Chapters, Text, summary
from signatures import signature, type_markdown

PACKAGE = "tssbook"
GROUPED = {"parameters": "Parameters", "attributes": "Attributes"}
TITLES = {"returns": "Returns", "yields": "Yields", "raises": "Raises", "warns": "Warns"}


def read_library(root: Path) -> griffe.Module:
    """Return the library in `root` as its sources describe it; nothing is imported."""
    return griffe.load(
        PACKAGE,
        search_paths=[root / "lib"],
        allow_inspection=False,
        docstring_parser="numpy",
        docstring_options={"warn_missing_types": False},
    )


def listed(book: dict) -> list[str]:
    """Return the names of the pages of the reference that `_quarto.yml` lists."""
    return [Path(page).stem for page in adapt.pages(book) if page.startswith("api/")]


def target(thing: griffe.Object | griffe.Alias) -> griffe.Object:
    """Return what a name stands for, wherever it was imported from."""
    return thing.final_target if thing.is_alias else thing


def exported(module: griffe.Module) -> list[tuple[str, griffe.Object]]:
    """Return the public names of a module, in the order of ``__all__``, with what they are.

    What is imported by a name comes before a file of that name (`simulator.rates`).
    """
    known, found = module.modules_collection, module.imports
    return [
        (name, target(known[found.get(name, f"{module.path}.{name}")]))
        for name in module.exports or []
    ]


def members(cls: griffe.Class) -> list[tuple[str, griffe.Object]]:
    """Return a class's own public methods and properties."""
    found = [(name, target(thing)) for name, thing in cls.members.items() if name[0] != "_"]
    return [(name, t) for name, t in found if t.is_function or "property" in t.labels]


def bases(cls: griffe.Class) -> list[griffe.Class]:
    """Return the classes of the library that a class inherits from, the nearest first."""
    return [base for base in cls.mro() if base.path.startswith(f"{PACKAGE}.")]


def entries(room: griffe.Module) -> Iterator[tuple[int, str, griffe.Object]]:
    """Yield what a room's page describes, in order: heading level, name on the page, thing.

    A name that the room exports has one entry, also where one of its modules has it too. Classes
    that others inherit from come last, without being exported: their methods are public.
    """
    names = exported(room)
    seen = {thing.path for _, thing in names}
    inherited: dict[str, griffe.Class] = {}
    for name, thing in names:
        inner = [(name, thing)]
        if thing.is_module:
            yield 2, name, thing
            inner = [(f"{name}.{n}", t) for n, t in exported(thing) if t.path not in seen]
        for full, one in inner:
            yield 2 + thing.is_module, full, one
            if one.is_class:
                inherited |= {b.name: b for b in bases(one) if b.path not in seen}
                for n, member in members(one):
                    yield 3 + thing.is_module, f"{full}.{n}", member
    for name, cls in inherited.items():
        yield 2, name, cls
        for n, member in members(cls):
            yield 3, f"{name}.{n}", member


def places(library: griffe.Module, rooms: list[str]) -> dict[str, str]:
    """Return where each name is described, ``ROOM.html#NAME``, by every path that it has."""
    found = {PACKAGE: "index.html"}
    for room in rooms:
        module = library[room]
        found[module.path] = f"{room}.html"
        for _, name, thing in entries(module):
            place = f"{room}.html#{name}"
            found[f"{module.path}.{name}"] = place
            found.setdefault(thing.path, place)
        for name, thing in exported(module):
            if thing.is_module:
                for inner, one in exported(thing):
                    found.setdefault(f"{module.path}.{name}.{inner}", found[one.path])
    return found


class Page:
    """Writes the Markdown of one room."""

    def __init__(self, room: griffe.Module, text: Text, repository: str) -> None:
        self.room, self.text, self.repository = room, text, repository

    def source(self, thing: griffe.Object) -> str:
        """Return the address of a thing's source in the repository."""
        path = "lib/" + thing.relative_package_filepath.as_posix()
        lines = "" if thing.is_module else f"#L{thing.lineno}-L{thing.endlineno}"
        return f"{self.repository}/{path}{lines}"

    def docstring(self, thing: griffe.Object) -> str:
        """Return the whole docstring of a thing as Markdown."""
        if thing.docstring is None:
            return self.text.markdown(summary(thing), thing)
        return "\n\n".join(self.section(section, thing) for section in thing.docstring.parsed)

    def section(self, section: griffe.DocstringSection, thing: griffe.Object) -> str:
        """Return one section of a docstring as Markdown."""
        kind = section.kind.value
        if kind == "text":
            return self.text.markdown(section.value, thing)
        if kind == "examples":
            blocks = [
                f"```python\n{value}\n```" if part.value == "examples" else value
                for part, value in section.value
            ]
            return "\n\n".join(["**Examples**", *blocks])
        if kind == "admonition":
            return f"**{section.title}**\n\n{self.text.markdown(section.value.contents, thing)}"
        return f"**{(GROUPED | TITLES)[kind]}**\n\n{self.items(section.value, thing)}"

    def items(self, found: list, thing: griffe.Object) -> str:
        """Return parameters, results or errors as a list; names with one description together."""
        groups: list[tuple[list[str], str, object]] = []
        for item in found:
            name = getattr(item, "name", None)
            if name and groups and groups[-1][2].description == item.description:
                groups[-1][0].append(name)
            else:
                groups.append(([name] if name else [], type_markdown(item, thing, self.text), item))
        lines = []
        for names, kind, item in groups:
            shown = ", ".join(f"`{star(name, thing)}`" for name in names)
            about = f"{shown} ({kind})" if shown and kind else shown or kind
            body = self.text.markdown(item.description or "", thing)
            lines.append("- " + f"{about}: {body}".replace("\n", "\n  "))
        return "\n".join(lines)

    def entry(self, level: int, name: str, thing: griffe.Object) -> str:
        """Return the entry of one name."""
        sections = self.text.sections(thing)
        links = [f"Taught in {', '.join(sections)}"] if sections else []
        if self.repository:
            links.append(f'<a href="{self.source(thing)}">Source of {escape(name)}</a>')
        parts = [
            f"{'#' * level} {name.replace('_', chr(92) + '_')} {{#{name}}}",
            signature(name, thing, self.room.path, self.text),
            self.docstring(thing),
            self.inherited(thing),
            self.contents(exported(thing), name) if thing.is_module else "",
            f'<p class="tss-about">{" · ".join(links)}</p>' if links else "",
        ]
        return "\n\n".join(part for part in parts if part)

    def inherited(self, thing: griffe.Object) -> str:
        """Return a sentence on what a class has from other classes of the library."""
        if not thing.is_class:
            return ""
        own, lines = {name for name, _ in members(thing)}, []
        for base in bases(thing):
            names = [n for n, _ in members(base) if n not in own]
            own |= set(names)
            links = ", ".join(self.text.link(n, f"{base.path}.{n}") for n in names)
            if links:
                lines.append(f"From {self.text.link(base.name, base.path)}: {links}.")
        return "\n\n".join(lines)

    def contents(self, names: list[tuple[str, griffe.Object]], within: str = "") -> str:
        """Return the table of names with their first lines."""
        rows = ["| Name | What it is |", "|:-----|:---------------|"]
        for name, thing in names:
            path = f"{self.room.path}.{within}.{name}" if within else f"{self.room.path}.{name}"
            first = self.text.inline(summary(thing), thing)
            rows.append(f"| {breakable(self.text.link(name, path))} | {first} |")
        return "\n".join(rows) if names else ""

    def markdown(self) -> str:
        """Return the whole page, without its title."""
        names = exported(self.room)
        parts = [
            self.docstring(self.room),
            self.contents(names),
            f'<p class="tss-about"><a href="{self.source(self.room)}">Source of the room</a></p>'
            if self.repository
            else "",
            *(self.entry(*entry) for entry in entries(self.room)),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"


def breakable(link: str) -> str:
    """Return a link to a name as HTML that breaks after its underscores and words."""
    shown = re.sub(r"(?<=_)(?=\w)|(?<=[a-z])(?=[A-Z])", "<wbr>", link.split("`")[1])
    return re.sub(r"`[^`]*`", f"<code>{shown.replace('_', '&#95;')}</code>", link)


def star(name: str, thing: griffe.Object) -> str:
    """Return a parameter's name as its signature has it: ``*tensors``, ``**options``."""
    stars = {"variadic positional": "*", "variadic keyword": "**"}
    for parameter in getattr(thing, "parameters", []):
        if parameter.name == name.lstrip("*"):
            return stars.get(parameter.kind.value, "") + parameter.name
    return name


def pages(root: Path, book: dict) -> dict[str, str]:
    """Return the Markdown of every page of the reference that the book lists, by its name."""
    rooms = [name for name in listed(book) if name != "index"]
    if not rooms:
        return {}
    library = read_library(root)
    text = Text(places(library, rooms), Chapters(root, book))
    known = adapt.has_owner(book)
    repository = f"{book['repo-url']}/blob/{book['repo-branch']}" if known else ""
    found = {name: Page(library[name], text, repository).markdown() for name in rooms}
    return {"index": text.markdown(library.docstring.value, library) + "\n"} | found


def write(root: Path) -> None:
    """Write what the pages of the reference include; files that are up to date are not touched."""
    for name, markdown in pages(root, adapt.read_book(root)).items():
        adapt.write_changed(root / "api" / f"_{name}.md", markdown)


if __name__ == "__main__":
    write(Path(__file__).resolve().parent.parent)

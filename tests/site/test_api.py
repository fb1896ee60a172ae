"""The reference: every public name has its entry, and chapters and reference lead to each other."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from bs4 import BeautifulSoup

import tssbook
from tests.site.conftest import tree

ROOT = Path(__file__).resolve().parents[2]
Script = Callable[[str], ModuleType]
ROOMS = sorted(m.name for m in pkgutil.iter_modules(tssbook.__path__) if m.name[0] != "_")

# What a docstring's markup would leave behind.
LEFTOVERS = re.compile(r":\w+:|``|\.\. \w+::|::\s|-{4,}|\{#|\]\(|<wbr>|&\w+;|\{\{<")

# The HTML of one code cell and one paragraph, as each engine writes it.
SPHINX = """<main><h2><code>fit</code></h2>
<pre><span class="kn">from</span><span class="w"> </span><span class="nn">tssbook.training</span>
<span class="kn">import</span> <span class="n">fit</span><span>,</span> <span>no</span></pre>
<p><code class="docutils literal"><span class="pre">fit</span></code> <code>fit(model)</code>
<code>read_peaks</code> <code>data</code> <code>predict</code> <code>1 &lt; 2</code></p></main>"""
QUARTO = """<main><pre><code><span><span class="im">from</span> tssbook.training
<span class="im">import</span> (</span>
<span>    fit, predict <span class="im">as</span> run,</span>
)</code></pre>
<p><a href="x"><code>fit</code></a> <code>fit</code> <code>run(x)</code></p></main>"""
PLACES = {
    "tssbook.data": "data.html",
    "tssbook.data.read_peaks": "data.html#read_peaks",
    "tssbook.training.fit": "training.html#fit",
    "tssbook.training.predict": "training.html#predict",
}


@pytest.fixture(scope="module")
def rooms(site: Path) -> dict[str, BeautifulSoup]:
    """The page of each room."""
    return {room: tree(site / "api" / f"{room}.html") for room in ROOMS}


@pytest.fixture(scope="module")
def text(script: Script) -> ModuleType:
    """What turns docstrings into Markdown."""
    return script("site/docstrings.py")


def test_every_room_is_a_page_of_the_book(script: Script, book: dict) -> None:
    """Listed once; a page holds its title and what it includes, and nothing to keep up to date."""
    listed = script("site/reference.py").listed(book)
    assert sorted(listed) == sorted([*ROOMS, "index"])
    for name in listed:
        page = (ROOT / "api" / f"{name}.qmd").read_text(encoding="utf-8")
        title = "The library" if name == "index" else f"tssbook.{name}"
        include = f"{{{{< include _{name}.md >}}}}"
        assert page == f"---\nrepo-actions: [issue]\n---\n\n# {title}\n\n{include}\n"


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_has_an_entry_with_its_signature(
    rooms: dict[str, BeautifulSoup], room: str
) -> None:
    """Those of the room, and those of the modules that it exports; each is in a table, described.

    What both have is described once: the module's table leads there.
    """
    page, module = rooms[room], importlib.import_module(f"tssbook.{room}")
    names = list(getattr(module, "__all__", []))
    for name in list(names):
        inner = getattr(module, name)
        if isinstance(inner, ModuleType):
            own = [n for n in inner.__all__ if getattr(module, n, None) is not getattr(inner, n)]
            names += [f"{name}.{n}" for n in own]
    for name in names:
        section = page.find(id=name)
        assert section is not None, name
        assert section.find(["h2", "h3"]).get_text().startswith(name)
        assert name.split(".")[-1] in section.find("pre", class_="tss-signature").get_text()
        links = page.select(f'td:first-child a[href$="{room}.html#{name}"]')
        assert links, f"{name} is in no table"
        for link in links:
            first = link.find_parent("tr").find_all("td")[1].get_text(strip=True)
            assert len(first) > 10, f"{name} is not described"
    anchors = [element["id"] for element in page.select("main [id]")]
    assert len(anchors) == len(set(anchors))


def test_parameters_have_types_and_defaults(rooms: dict[str, BeautifulSoup]) -> None:
    """By the example of one function: star, type, default, result, error; of one class: methods."""
    found = rooms["training"].find(id="Batches").get_text(" ", strip=True)
    for part in ("*tensors ( Tensor )", "seed ( int | None , default None )", "TypeError :"):
        assert part in found
    assert rooms["training"].find(id="Batches.set_epoch") is not None
    assert rooms["models"].find(id="Pretrained.from_pretrained") is not None
    assert rooms["models"].find(id="ToyCNN.parameters") is None  # PyTorch's own
    lengths = rooms["training"].find(id="WindowBatches").get_text(" ", strip=True)
    assert "length , output ( int , default LENGTH )" in lengths


def test_no_markup_of_docstrings_is_left(rooms: dict[str, BeautifulSoup], site: Path) -> None:
    for room, page in {**rooms, "index": tree(site / "api" / "index.html")}.items():
        main = BeautifulSoup(
            str(page.find("main").find("article") or page.find("main")), "html.parser"
        )
        for code in main.select("pre, details, script"):
            code.decompose()
        shown = main.get_text()
        found = [shown[max(0, m.start() - 40) : m.end() + 20] for m in LEFTOVERS.finditer(shown)]
        assert found == [], room


def test_docstrings_are_read_without_a_complaint(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """A parameter that the signature lacks, a section without its line: griffe warns of them."""
    reference = script("site/reference.py")
    caplog.set_level(logging.WARNING)
    book = reference.adapt.read_book(ROOT)
    assert len(reference.pages(ROOT, book)) == len(ROOMS) + 1
    assert [record.getMessage() for record in caplog.records] == []


def test_nothing_of_the_library_is_imported() -> None:
    """Where neither PyTorch nor numpy is there, the pages are the same."""
    code = """
import sys
from pathlib import Path
class Missing:
    def find_spec(self, name, *_):
        if name.split(".")[0] in {"torch", "numpy", "pandas", "tssbook", "matplotlib"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
sys.path.insert(0, "site")
import reference
pages = reference.pages(Path("."), reference.adapt.read_book(Path(".")))
assert "## fit {#fit}" in pages["training"]
print(len(pages))
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"{len(ROOMS) + 1}\n"


def test_docstrings_lead_to_sections_of_chapters(rooms: dict[str, BeautifulSoup]) -> None:
    """By number, in words and in the line below an entry; section 9 of toy.py is Chapter 1's."""
    entry = rooms["models"].find(id="MaxPoolCNN")
    taught = entry.find(class_="tss-about").find("a")
    assert taught.get_text() == "Chapter 1, section 9"
    assert taught["href"] == "../chapters/01-toy-cnn.html#what-is-left-and-why"
    linked = [
        a["href"] for page in rooms.values() for a in page.select('main a[href*="chapters/"]')
    ]
    assert len([href for href in linked if "#" in href]) > 40


def test_a_section_that_does_not_exist_is_refused(text: ModuleType, book: dict, script) -> None:
    """The message names the docstring; the chapter alone, and the sections there are, are found."""
    chapters = text.Chapters(ROOT, book)
    library = script("site/reference.py").read_library(ROOT)
    thing, writer = library["models.toy.score"], text.Text({}, chapters)
    assert writer.inline("Chapter 1,\n    sections 8 and 9.", thing) == (
        '<a href="../chapters/01-toy-cnn.html#what-the-filters-have-learned">Chapter 1, sections 8'
        '</a> and <a href="../chapters/01-toy-cnn.html#what-is-left-and-why">9</a>.'
    )
    for wrong in ("Chapter 1, section 99", "section 99", "Chapter 9"):
        with pytest.raises(LookupError, match=r"tssbook\.models\.toy\.score .* no Chapter"):
            writer.inline(wrong, thing)
    with pytest.raises(LookupError, match=r"tssbook\.files .*without its chapter"):
        writer.inline("See section 1.", library["files"])


def test_docstrings_become_markdown(text: ModuleType, book: dict, script: Script) -> None:
    """Roles and names become links, where known; a line that begins with a sign, no list."""
    thing = script("site/reference.py").read_library(ROOT)["training.loop.fit"]
    writer = text.Text({**PLACES, "tssbook.training.loop.fit": "training.html#fit"},
                       text.Chapters(ROOT, book))  # fmt: skip
    fit = '<a href="training.html#fit">`fit`</a>'
    for same in ("`fit`", ":func:`fit`", ":func:`tssbook.training.loop.fit`"):
        assert writer.inline(same, thing) == fit
    assert writer.inline("``fit`` `unknown` a[b] x^2", thing) == r"`fit` `unknown` a\[b\] x\^2"
    peaks = '<a href="data.html#read_peaks">`data.read_peaks`</a>'
    assert writer.inline(":func:`tssbook.data.read_peaks`", thing) == peaks
    assert writer.markdown("on the\n- strand\n\n* one\n  - x\n* two", thing) == (
        "on the - strand\n\n* one - x\n* two"
    )
    assert writer.markdown("So::\n\n    a * b\n\nEnd", thing) == "So:\n\n```text\na * b\n```\n\nEnd"


def test_chapters_lead_to_the_reference(site: Path, pages: list[Path]) -> None:
    """The first mention and the line of import; each leads to what it names."""
    chapters = [page for page in pages if page.parent.name == "chapters"]
    assert len(chapters) == len(list((ROOT / "chapters").glob("*.ipynb")))
    for page in chapters:
        links = tree(page).select("a.tss-api")
        if page.stem == "appendix-shell":  # which imports nothing
            assert [link["href"] for link in links] == ["../api/index.html"]
            continue
        assert [link for link in links if link.find_parent("pre")], page.name
        assert [link for link in links if link.code and not link.find_parent("pre")], page.name
        for link in links:
            name = link.get_text().split("(")[0].split(".")[-1]
            place = link["href"].rpartition("#")[2] if "#" in link["href"] else link["href"]
            assert re.split(r"[./]", place.removesuffix(".html"))[-1] == name, page.name


def test_mentions_are_linked_as_either_engine_writes_them(script: Script) -> None:
    """Not in headings, links and other words; a second time nothing is left to do."""
    mentions = script("site/mentions.py")

    def found(html: str) -> list[tuple[str, str]]:
        links = BeautifulSoup(html, "html.parser").select("a.tss-api")
        return [(link.get_text(), link["href"]) for link in links]

    sphinx = mentions.linked(SPHINX, PLACES, "../api/")
    assert found(sphinx) == [
        ("fit", "../api/training.html#fit"),
        ("fit", "../api/training.html#fit"),
        ("read_peaks", "../api/data.html#read_peaks"),
    ]
    assert '<a class="tss-api" href="../api/training.html#fit"><code class="docutils' in sphinx
    quarto = mentions.linked(QUARTO, PLACES, "")
    assert found(quarto) == [
        ("fit", "training.html#fit"),
        ("predict", "training.html#predict"),
        ("run(x)", "training.html#predict"),
    ]
    for html, before in ((sphinx, SPHINX), (quarto, QUARTO)):
        assert BeautifulSoup(html, "html.parser").text == BeautifulSoup(before, "html.parser").text
    assert mentions.linked(sphinx, PLACES, "../api/") == sphinx
    assert mentions.linked(quarto, PLACES, "") == quarto

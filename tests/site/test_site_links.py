"""The built site, read as files: everything it names is there, and nothing comes from elsewhere."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

from tests.site.conftest import tree

ROOT = Path(__file__).resolve().parents[2]

# Attributes that name a file. Only <a href> may leave the site.
NAMING = {
    "a": "href", "link": "href", "img": "src", "script": "src", "source": "src", "iframe": "src",
    "audio": "src", "video": "src", "embed": "src", "object": "data", "form": "action",
}  # fmt: skip
CSS_URL = re.compile(r"""url\(\s*['"]?([^'")]+)['"]?\s*\)|@import\s+['"]([^'"]+)['"]""")
# Markup of one engine that another would print as it stands.
JUNK = re.compile(r":::|\{#|\[@|\[![A-Z]+\]|@(?:fig|tbl|sec|eq)-|```|\]\(|\{\w+\}`|\*\*\w|\$\$")


def html_pages(site: Path) -> list[Path]:
    """Return every page of the site, those of the engine (search) too."""
    found = [p for p in sorted(site.rglob("*.html")) if "_static" not in p.parts]
    return [p for p in found if "site_libs" not in p.parts]


@cache
def places(page: Path) -> set[str]:
    """Return what a link to a page may name after its #."""
    ids = {element["id"] for element in tree(page).find_all(id=True)}
    return ids | {link["name"] for link in tree(page).find_all("a", attrs={"name": True})}


def names(page: Path) -> list[tuple[str, str]]:
    """Return ``(tag, address)`` of every file or page that `page` names."""
    read = tree(page)
    found = [(t, e[a]) for t, a in NAMING.items() for e in read.find_all(t) if e.get(a)]
    for element in read.find_all(srcset=True):
        found += [(element.name, part.split()[0]) for part in element["srcset"].split(",")]
    styles = [s.get_text() for s in read.find_all("style")]
    styles += [e["style"] for e in read.find_all(style=True)]
    return found + [("style", a or b) for text in styles for a, b in CSS_URL.findall(text)]


def external(address: str) -> bool:
    """Say whether `address` is on another host (data: is in the page itself)."""
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def broken(site: Path, page: Path, address: str) -> str | None:
    """Return what is wrong with an internal address, or None."""
    parts = urlsplit(address)
    target = page if not parts.path else (page.parent / unquote(parts.path)).resolve()
    if target.is_dir():
        target = target / "index.html"
    if not target.is_relative_to(site) or not target.is_file():
        return f"{page.relative_to(site)}: {address} is not in the site"
    anchor = unquote(parts.fragment)
    if anchor and target.suffix == ".html" and anchor not in places(target):
        return f"{page.relative_to(site)}: {address}: the page has no such place"
    return None


def link_faults(site: Path) -> list[str]:
    """Return every internal address, in pages and style sheets, that leads nowhere."""
    faults = []
    for page in html_pages(site):
        for _, address in names(page):
            if not external(address) and not address.startswith("data:"):
                faults.append(broken(site, page, address))
    for sheet in sorted(site.rglob("*.css")):
        for a, b in CSS_URL.findall(sheet.read_text(encoding="utf-8")):
            if not external(a or b) and not (a or b).startswith(("data:", "#")):
                faults.append(broken(site, sheet, a or b))
    return [fault for fault in faults if fault]


def outside_faults(site: Path) -> list[str]:
    """Return everything that a page or style sheet would load from another host."""
    faults = []
    for page in html_pages(site):
        for tag, address in names(page):
            if tag != "a" and external(address):
                faults.append(f"{page.relative_to(site)}: <{tag}> loads {address}")
    for sheet in sorted(site.rglob("*.css")):
        for a, b in CSS_URL.findall(sheet.read_text(encoding="utf-8")):
            if external(a or b):
                faults.append(f"{sheet.relative_to(site)} loads {a or b}")
    return faults


def image_faults(page: Path) -> list[str]:
    """Return the images of a page without a real alternative text (a file's name is none)."""
    faults = []
    for image in tree(page).find_all("img"):
        alt = (image.get("alt") or "").strip()
        if len(alt) < 4 or re.search(r"\.(png|svg|jpe?g)$|^data:|_images/", alt):
            faults.append(f"{page.name}: image {image.get('src', '')[:60]} has alt text {alt!r}")
    return faults


def prose(page: Path) -> str:
    """Return the text of a page's main part without code, output, math and scripts."""
    main = BeautifulSoup(str(tree(page).find("main")), "html.parser")
    for element in main.find_all(["pre", "code", "script", "style", "math"]):
        element.decompose()
    for element in main.find_all(class_=re.compile(r"^(math|output|cell-output|sourceCode)")):
        if not element.decomposed:
            element.decompose()
    return main.get_text(" ")


def page_faults(page: Path) -> list[str]:
    """Return what is wrong with one page: its heading, its images, markup left as text."""
    heads = [h.get_text(strip=True) for h in tree(page).find_all("h1")]
    faults = [] if len(heads) == 1 else [f"{page.name}: {len(heads)} h1 headings: {heads}"]
    text = prose(page)
    for match in JUNK.finditer(text):
        around = text[max(0, match.start() - 20) : match.end() + 20]
        faults.append(f"{page.name}: markup as text: {around!r}")
    return faults + image_faults(page)


def test_every_chapter_has_a_page_that_the_preface_links(site: Path, pages: list[Path]) -> None:
    """The chapters of `_quarto.yml` are built, and the table of contents names them."""
    addresses = [urlsplit(address).path for _, address in names(site / "index.html")]
    linked = {(site / address).resolve() for address in addresses}
    assert len(pages) > 1
    for page in pages[1:]:
        assert page.is_file()
        assert page in linked or page.parent.name == "solutions"  # exercises lead to those


def test_pages_say_what_they_are(pages: list[Path], book: dict) -> None:
    """The preface has the title of the book, once, and a description; chapters name both."""
    titles = [tree(page).title.get_text(strip=True) for page in pages]
    assert titles[0].count(book["title"]) == 1
    assert all(book["title"] in title and title != book["title"] for title in titles[1:])
    (described,) = tree(pages[0]).find_all("meta", attrs={"name": "description"})
    assert described["content"] == book["description"]


def test_every_internal_link_resolves(site: Path) -> None:
    """Links, anchors, images, scripts, style sheets and fonts."""
    assert link_faults(site) == []


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    """The site reads with the network cut off."""
    assert outside_faults(site) == []


def test_every_page_has_a_policy_before_anything_it_loads(site: Path) -> None:
    """No other host, no code but files of the site and what stood in the page, no text as code."""
    for page in html_pages(site):
        (meta,) = tree(page).find_all("meta", attrs={"http-equiv": "Content-Security-Policy"})
        rules = {rule.split()[0]: rule.split()[1:] for rule in meta["content"].split(";")}
        assert rules["default-src"] == ["'none'"]
        assert rules["style-src"] == ["'self'", "'unsafe-inline'"]
        code = {source for source in rules["script-src"] if not source.startswith("'sha256-")}
        assert code == {"'self'", "'unsafe-hashes'"}
        others = [s for rule, sources in rules.items() if rule.endswith("-src") for s in sources]
        assert {s for s in others if not s.startswith("'")} <= {"data:"}
        assert meta.find_previous(["script", "link", "style"]) is None, page.name


def test_links_to_a_new_tab_hand_nothing_over(site: Path) -> None:
    """Neither this tab (noopener) nor its address (noreferrer)."""
    for page in html_pages(site):
        for link in tree(page).find_all(["a", "area", "form"], target=True):
            assert {"noopener", "noreferrer"} <= set(link.get("rel", [])), f"{page.name}: {link}"


def test_pages_have_one_h1_alt_texts_and_no_stray_markup(pages: list[Path]) -> None:
    """What both engines must show alike."""
    assert [fault for page in pages for fault in page_faults(page)] == []


def test_code_can_be_folded_and_captions_are_shown(site: Path, pages: list[Path]) -> None:
    """Plain cell metadata (fig-cap, code-fold) reaches the pages."""
    for page in pages[1:]:
        source = ROOT / page.relative_to(site).with_suffix(".ipynb")
        if not source.exists():
            continue  # a page of the reference, or of the site
        cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
        cells = [cell for cell in cells if cell["cell_type"] == "code"]
        figures = [
            out for cell in cells if "fig-cap" in cell["metadata"] for out in cell["outputs"]
        ]
        captions = sum("image/png" in out.get("data", {}) for out in figures)
        folded = sum(cell["metadata"].get("code-fold") in (True, "hide") for cell in cells)
        shown = len(tree(page).find_all("figcaption"))
        # Quarto sets the caption of an output that is no image as a plain paragraph.
        shown += len(tree(page).select(".cell-output-display > .tss-vega ~ p:last-child"))
        assert shown == captions
        assert len(tree(page).select("details.above-input, details.code-fold")) >= folded


def test_the_checks_find_planted_faults(tmp_path: Path) -> None:
    """A page with one fault of each kind: none is overlooked."""
    (tmp_path / "style.css").write_text("@import 'https://example.org/font.css';")
    page = tmp_path / "index.html"
    page.write_text(
        "<h1>One</h1><h1>Two</h1><main><p>::: note</p><img src='no.png' alt='plot.png'>"
        "<a href='#nowhere'>x</a><a href='https://example.org'>may leave</a></main>"
        "<script src='https://example.org/x.js'></script><link href='style.css'>"
    )
    assert link_faults(tmp_path) == [
        "index.html: #nowhere: the page has no such place",
        "index.html: no.png is not in the site",
    ]
    assert outside_faults(tmp_path) == [
        "index.html: <script> loads https://example.org/x.js",
        "style.css loads https://example.org/font.css",
    ]
    faults = page_faults(page)
    assert [fault.split(":")[1].split()[0] for fault in faults] == ["2", "markup", "image"]

"""The site's own pages: glossary, path, data, cards, solutions by profile, and placeholders."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from bs4 import BeautifulSoup

from tests.site.conftest import tree
from tests.site.test_site_build import small_book

ROOT = Path(__file__).resolve().parents[2]
Script = Callable[[str], ModuleType]

WORDS = {
    "batch": {"text": "Some <examples>.", "forms": ["batches"]},
    "batch norm": {"text": "A layer."},
    "TSS": {"text": "A place.", "forms": ["start site"]},
}


@pytest.fixture(scope="module")
def made(script: Script) -> ModuleType:
    """What writes the parts of pages that follow from other files."""
    return script("site/made.py")


def test_every_word_of_the_glossary_is_explained_and_leads_to_a_section(
    site: Path, made: ModuleType
) -> None:
    """An entry each, at an address of its own, with one to three sentences."""
    page, words = tree(site / "glossary.html"), made.words(ROOT)
    assert len(words) > 60
    headings = [h.get_text(strip=True).rstrip("#") for h in page.select("main h3")]
    headings = [heading.replace("’", "'") for heading in headings]
    assert headings == list(words)
    for word, entry in words.items():
        section = page.find(id=made.anchor(word))
        assert section is not None, word
        assert 1 <= len(re.findall(r"[.?](?:\s|$)", entry["text"])) <= 3, word
        link = section.find("p").find("a", href=re.compile("chapters/"))
        assert link, f"no section uses {word!r}"
    forms = [f.lower() for word, entry in words.items() for f in made.forms(word, entry)]
    assert len(forms) == len(set(forms))


def test_times_are_the_chapters_own_or_reckoned(made: ModuleType) -> None:
    """2,000 words at 200 a minute and 20 cells at 15 s: 15 minutes; a box that says more wins."""
    cells = [{"cell_type": "markdown", "source": "word " * 2000}]
    cells += [{"cell_type": "code", "source": "x"}] * 20
    assert made.times(cells) == ("about 15 minutes", "")
    box = (
        "> **Reading time** about 40 minutes; more with exercises.\n> **Run time on a laptop CPU**"
    )
    cells.insert(0, {"cell_type": "markdown", "source": f"{box} two minutes. Training takes two."})
    assert made.times(cells) == ("about 40 minutes", "two minutes")


def test_a_word_leads_to_where_it_is_bold_or_else_first_used(made: ModuleType) -> None:
    parts = [("1", "a", "the batches"), ("2", "b", "a **batch norm**"), ("3", "c", "A **Batch.**")]
    assert made.first_use("batch", WORDS["batch"], parts) == ("3", "c")
    assert made.first_use("batch", WORDS["batch"], parts[:2]) == ("1", "a")
    assert made.first_use("TSS", WORDS["TSS"], [("1", "a", "TSSs and tss")]) is None


def test_a_page_on_real_dna_is_not_its_chapter(made: ModuleType, tmp_path: Path) -> None:
    """Both have a section 1; their names and their rows in the tables differ."""
    titles = {"04-x": "# Chapter 4: X", "04-real": "# Chapter 4 on real DNA"}
    for name, title in titles.items():
        cell = {"cell_type": "markdown", "source": f"{title}\n\n## 1. One\n\ntext"}
        (tmp_path / f"{name}.ipynb").write_text(json.dumps({"cells": [cell]}), encoding="utf-8")
    found = made.sections(tmp_path, {"chapters": [f"{name}.ipynb" for name in titles]})
    assert [name for name, _, _ in found] == [
        "Chapter 4, section 1", "Chapter 4 on real DNA, section 1",
    ]  # fmt: skip


def test_the_first_mention_in_a_chapter_leads_to_the_glossary(script: Script) -> None:
    """Bold before plain, the longest word, once; not in code, headings, links and references."""
    html = (
        "<main><h2>TSS</h2><p><a>TSS</a> <code>TSS</code> A start site &amp; batches, a batch norm"
        " <b>x</b><strong>Batch.</strong></p><p>TSS</p><h2>References</h2><p>batch norm</p></main>"
    )
    explained = script("site/mentions.py").explained
    linked = explained(html, WORDS, "../glossary.html")
    found = [
        (a.get_text(), a["href"]) for a in BeautifulSoup(linked, "html.parser").select(".tss-term")
    ]
    assert found == [
        ("start site", "../glossary.html#tss"),
        ("batch norm", "../glossary.html#batch-norm"),
        ("Batch", "../glossary.html#batch"),
    ]
    assert BeautifulSoup(linked, "html.parser").text == BeautifulSoup(html, "html.parser").text
    assert 'title="Some &lt;examples&gt;."' in linked
    assert explained(linked, WORDS, "../glossary.html") == linked


def test_the_page_of_files_holds_the_registry(site: Path) -> None:
    """Every file with its licence, every network with what it was trained on."""
    page = tree(site / "files.html")
    shown = {row.td.get_text(strip=True): row.get_text(" ", strip=True) for row in
             page.select("main tr") if row.td}  # fmt: skip
    shipped = ROOT / "lib" / "tssbook" / "shipped"
    registry = tomllib.loads((shipped / "files.toml").read_text(encoding="utf-8"))
    for name, entry in registry.items():
        assert entry["licence"].split("'")[0] in shown[name], name
    for path in shipped.glob("checkpoints/*.json"):
        card = json.loads(path.read_text(encoding="utf-8"))
        assert card["training"]["data"].split("'")[0] in shown[path.stem], path.stem


def test_sizes_are_written_for_people(made: ModuleType) -> None:
    sizes = [{"bytes": 308}, {"bytes": 2_764}, {"bytes": 983_659_424}, {"about": "37 GB"}, {}]
    shown = [made.size(entry).replace("\N{NO-BREAK SPACE}", " ") for entry in sizes]
    assert shown == ["308 bytes", "2.76 kB", "984 MB", "37 GB", "not known"]


def test_numbers_of_the_front_figure_are_those_that_are_drawn(script: Script) -> None:
    """The caption's reads and r, with the real data; the mean r is that of the shipped table."""
    import os

    import pandas as pd

    text = (ROOT / "index.qmd").read_text(encoding="utf-8")
    scores = pd.read_csv(ROOT / "lib/tssbook/shipped/tables/04-yeast_scores.csv")
    mean = scores["profile r, ensemble"].mean()
    assert f"over all {len(scores):,} held-out genes the mean r is {mean:.2f}" in text
    assert (ROOT / "site" / "front.png").read_bytes()[:4] == b"\x89PNG"
    if not os.environ.get("TSSBOOK_MIRROR"):
        pytest.skip("TSSBOOK_MIRROR names no folder with the real files.")
    found = script("site/draw_front.py").explain()
    assert f"{found['reads']:,} reads" in text
    assert f"(r {found['r']:.2f})" in text
    at, sums = found["start"] + 557, found["contributions"].sum(0)
    letters = "".join("ACGT"[int(i)] for i in found["contributions"].abs().argmax(0))
    for start in (-5, 0, 5):
        assert letters[at + start - 1 : at + start + 1] == "CA"
        assert sums[at + start] > 0.15
    assert letters[at - 77 : at - 71] == "TATATA"


def test_pages_look_complete_without_an_owner(site: Path, book: dict, script: Script) -> None:
    """No placeholder anywhere; the link to Colab leads to what to do meanwhile."""
    if script("site/adapt.py").has_owner(book):
        pytest.skip("The repository is known.")
    for page in site.rglob("*.html"):
        assert "PLACEHOLDER" not in page.read_text(encoding="utf-8"), page.name
    (link,) = tree(site / "chapters" / "01-toy-cnn.html").select("main a.tss-colab")
    assert link["href"] == "../install.html#in-colab"
    assert tree(site / "install.html").find(id="in-colab") is not None
    page = tree(site / "index.html").find("main")
    assert book["author"] not in (page.find("article") or page).get_text()


def test_placeholders_leave_the_pages_of_quarto_too(script: Script) -> None:
    """Links in lists go with their items, others alone; an error is said once."""
    finish = script("site/finish.py")
    html = (
        '<ul><li><a href="https://github.com/PLACEHOLDER-OWNER/b/edit/x"><i></i>Edit</a></li></ul>'
        '<a href="https://colab.research.google.com/github/PLACEHOLDER-OWNER/b">Open</a>'
        "<code>git+https://github.com/PLACEHOLDER-OWNER/b</code>"
    )
    assert finish.without_owner(html, "../") == (
        '<ul></ul><a class="tss-colab" href="../install.html#in-colab">Open</a>'
        "<code>git+https://github.com/OWNER/b</code>"
    )
    start = '<div class="cell-output cell-output-error">\n'
    once = "<pre><code>\nTraceback\n<span>ValueError</span>: no &lt;X&gt;</code></pre>"
    twice = f"{start}<pre><code>ValueError: no &lt;X&gt;</code></pre>\n{once}</div>"
    assert finish.said_once(twice) == f"{start}{once}</div>"
    assert finish.said_once(f"{start}{once}</div>") == f"{start}{once}</div>"
    by = (
        '<div><div class="quarto-title-meta-heading">Author</div>'
        '<div class="quarto-title-meta-contents"><p>We</p></div></div><p>x</p>'
    )
    assert finish.BYLINE.sub("", by) == "<p>x</p>"


def test_printed_sentences_wrap_and_printed_tables_scroll(script: Script) -> None:
    """Columns stand below one another only in lines that are not wrapped."""
    wrapped = script("site/finish.py").sentences_wrapped
    kind = '<div class="output stream {}highlight-myst-ansi">'
    rest = '<div class="highlight" style="--lines: 2"><pre><span></span>{}</pre></div></div>'
    said, table = "3 of 4 genes\n  have none\n", "gene   reads\nAHP1   1816\n"
    page = "".join(kind.format("") + rest.format(text) for text in (table, said, table))
    assert wrapped(page) == "".join(
        kind.format(name) + rest.format(text)
        for name, text in (("", table), ("tss-printed ", said), ("", table))
    )


def test_numbers_of_a_table_stay_whole(script: Script) -> None:
    """Cells of up to 24 letters, in tables of results alone."""
    cells = "<td>{}</td>" + f"<td>{'a text ' * 5}</td>"
    table = '<table border="1" class="dataframe">{}</table><table>{}</table>'
    found = script("site/finish.py").short_cells_whole(
        table.format(*[cells.format("0.65 (0.64 to 0.66)")] * 2)
    )
    assert found.count('<td class="tss-whole">0.65 (0.64 to 0.66)</td>') == 1
    assert found.count("<td>") == 3


def test_pictures_are_files(script: Script, tmp_path: Path) -> None:
    """What a page carried in its text; the same picture is one file, other addresses stay."""
    html = '<img alt="a" src="data:image/png;base64,aGVsbG8="><img src="data:,"><img src="b.png">'
    found = script("site/finish.py").unpacked(html + html, tmp_path, "../")
    (file,) = (tmp_path / "_images").iterdir()
    assert file.read_bytes() == b"hello"
    one = f'<img alt="a" src="../_images/{file.name}"><img src="data:,"><img src="b.png">'
    assert found == one + one


def test_pictures_state_their_size(script: Script, tmp_path: Path) -> None:
    """As they are, or in proportion to the width that is asked for; the first does not wait."""
    (tmp_path / "a b.png").write_bytes((ROOT / "site" / "front.png").read_bytes())
    (tmp_path / "b.svg").write_text('<svg xmlns="x" width="720" height="600">')
    html = '<img src="a%20b.png"><img width="360" src="b.svg"><img src="data:x"><img src="no.png">'
    wide, high = script("site/finish.py").pixels(tmp_path / "a b.png")
    assert (wide, high) == (1080, 980)  # 5.4 by 4.9 inches
    assert script("site/finish.py").sized(html, tmp_path) == (
        '<img height="980" width="1080" src="a%20b.png">'
        '<img height="300" loading="lazy" width="360" src="b.svg">'
        '<img src="data:x"><img src="no.png">'
    )


def test_the_server_sends_packed_texts(site: Path, script: Script) -> None:
    """Where the browser takes them, and with the right length; others get the file itself."""
    import gzip
    import threading
    import urllib.request

    server = script("site/serve.py").server(site, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    plain = (site / "index.html").read_bytes()
    asked = urllib.request.Request(address, headers={"Accept-Encoding": "gzip, br"})
    with urllib.request.urlopen(asked) as answer:  # noqa: S310  (our own server)
        assert answer.headers["Content-Type"].startswith("text/html")
        packed = answer.read()
    with urllib.request.urlopen(address) as answer:
        assert answer.read() == plain
    server.shutdown()
    server.server_close()
    assert len(packed) < len(plain) / 2
    assert gzip.decompress(packed) == plain


def test_every_page_has_a_card(site: Path, book: dict, script: Script) -> None:
    """Title, description and picture; whole addresses as soon as the repository is known."""
    for name in ("index.html", "chapters/01-toy-cnn.html"):
        page = tree(site / name)
        assert page.find("th", string="") is None
        tags = {m["property"]: m["content"] for m in page.find_all("meta", property=True)}
        assert tags["og:description"] == book["description"]
        assert book["title"] in tags["og:title"]
        assert tags["og:image"].endswith("card.png")
    assert (site / "card.png").is_file()
    finish = script("site/finish.py")
    known = {**book, "repo-url": "https://github.com/Some-One/book"}
    shown = finish.card("<title>A\n b</title>", known, "x/y.html", "../")
    assert '"og:image" content="https://some-one.github.io/book/card.png"' in shown
    assert '"og:url" content="https://some-one.github.io/book/x/y.html"' in shown
    assert '"og:title" content="A b"' in shown


def test_the_page_for_missing_pages_stands_alone(site: Path, script: Script) -> None:
    """It loads nothing, and `make serve` shows it for any address."""
    import threading
    import urllib.error
    import urllib.request

    page = tree(site / "404.html")
    assert [link["href"] for link in page.find_all(["link", "img"])] == ["data:,"]
    assert page.find_all("script", src=True) == []
    server = script("site/serve.py").server(site, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/chapters/none.html")
    server.shutdown()
    server.server_close()
    assert error.value.code == 404
    assert "There is no such page" in error.value.read().decode()


def test_solutions_are_pages_but_not_in_the_menu(site: Path, book: dict) -> None:
    """The contents name none of them; each exercise of a chapter leads to its own."""
    page = tree(site / "index.html")
    assert page.select('nav a[href*="solutions/"]') == []
    for name in ("01-toy-cnn", "02-promoter-expression", "03-puffin", "04-procapnet"):
        assert (site / "solutions" / f"{name}.html").is_file()
        assert tree(site / "chapters" / f"{name}.html").select('main a[href*="solutions/"]')


def test_without_solutions_nothing_leads_to_them(tmp_path: Path) -> None:
    """The build's option: no page, no link, no warning; what the link said stays."""
    line = "# Title\\n\\nSee [the solution](../solutions/01-toy-cnn.ipynb) here."
    folder = small_book(tmp_path, line)
    command = [sys.executable, "site/build.py", "--engine", "sphinx", "--without-solutions"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert not (folder / "_site" / "solutions").exists()
    for page in (folder / "_site").rglob("*.html"):
        assert 'href="solutions/' not in page.read_text(encoding="utf-8"), page.name
        assert "../solutions/" not in page.read_text(encoding="utf-8"), page.name
    assert "See the solution here." in (folder / "_site/chapters/01-toy-cnn.html").read_text()


def test_the_profile_adds_the_solutions_as_in_quarto(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default; not for the class. Quarto joins the lists of chapters, the added ones last."""
    adapt = script("site/adapt.py")
    monkeypatch.delenv("QUARTO_PROFILE", raising=False)
    whole = adapt.parts(adapt.read_book(ROOT))
    monkeypatch.setenv("QUARTO_PROFILE", "class")
    book = adapt.read_book(ROOT)
    assert whole[:-1] == adapt.parts(book)
    assert whole[-1][0] == "Solutions"
    text = "see [the *solution*](../solutions/01-toy-cnn.ipynb), [this](02-x.ipynb)"
    assert adapt.without_solutions(text, book) == "see the *solution*, [this](02-x.ipynb)"


def test_links_to_solutions_leave_the_pages_of_quarto(script: Script) -> None:
    html = '<p>x <a href="../solutions/01-toy-cnn.ipynb">the <em>solution</em></a></p>'
    assert script("site/finish.py").SOLUTION.sub(r"\1", html) == "<p>x the <em>solution</em></p>"


def test_the_glossary_is_searched(site: Path) -> None:
    """Sphinx's index has the titles of the entries."""
    index = site / "searchindex.js"
    if not index.exists():  # Quarto
        index = site / "search.json"
    text = index.read_text(encoding="utf-8").lower()
    for word in ("receptive field", "backpropagation", "effect curve"):
        assert word in text

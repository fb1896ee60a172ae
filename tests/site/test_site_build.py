"""What builds the site: the engines' commands, a failed build, the figure, the scripts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
Script = Callable[[str], ModuleType]

NOTEBOOK = """{"cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["%s"]}],
"metadata": {}, "nbformat": 4, "nbformat_minor": 5}"""


def small_book(folder: Path, chapter: str) -> Path:
    """Copy the book with its chapters replaced by one line each, and without the reference."""
    folder.mkdir(exist_ok=True)
    shutil.copytree(ROOT / "site", folder / "site", ignore=shutil.ignore_patterns("vega.js"))
    for page in (*ROOT.glob("*.qmd"), ROOT / "404.html", ROOT / "_quarto-solutions.yml"):
        text = page.read_text(encoding="utf-8").replace("(api/index.qmd)", "(about.qmd)")
        (folder / page.name).write_text(text, encoding="utf-8")
    shipped = Path("lib/tssbook/shipped")
    shutil.copytree(ROOT / shipped, folder / shipped)
    book = (ROOT / "_quarto.yml").read_text(encoding="utf-8")
    book, cut = re.subn(r'    - part: "Reference"\n(?:      .*\n)+', "", book)
    assert cut == 1
    (folder / "_quarto.yml").write_text(book, encoding="utf-8")
    for name in ("chapters", "solutions"):
        (folder / name).mkdir()
        for page in (ROOT / name).glob("*.ipynb"):
            (folder / name / page.name).write_text(NOTEBOOK % chapter)
    return folder


def build(folder: Path) -> subprocess.CompletedProcess:
    """Run the build of the book in `folder` as `make book` does."""
    command = [sys.executable, "site/build.py", "--engine", "sphinx"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_failed_build_leaves_the_old_site(tmp_path: Path) -> None:
    """A broken link fails the build; the site of before is untouched, nothing is left over."""
    folder = small_book(tmp_path, "# Title\\n\\n[no such page](02-nothing.ipynb)")
    (folder / "_site").mkdir()
    (folder / "_site" / "index.html").write_text("old")
    ran = build(folder)
    assert ran.returncode == 1
    assert "02-nothing.ipynb" in ran.stderr
    assert ran.stderr.rstrip().endswith("_site is as it was.")
    assert [path.name for path in (folder / "_site").iterdir()] == ["index.html"]
    assert (folder / "_site" / "index.html").read_text() == "old"
    assert list((folder / "build").iterdir()) == []


def test_a_formula_that_cannot_be_drawn_fails_the_build(tmp_path: Path) -> None:
    """The message names the page and the command."""
    ran = build(small_book(tmp_path, r"# Title\n\n$\\nonsense$"))
    assert ran.returncode == 1
    assert "01-toy-cnn.ipynb" in ran.stderr
    assert "no MathML" in ran.stderr
    assert "nonsense" in ran.stderr


def test_a_build_replaces_the_old_site_and_names_its_engine(tmp_path: Path) -> None:
    """Nothing of the old site remains; the last line says which engine was used."""
    folder = small_book(tmp_path, "# Title")
    (folder / "_site").mkdir()
    (folder / "_site" / "old.html").write_text("old")
    ran = build(folder)
    assert ran.returncode == 0, ran.stderr
    assert re.fullmatch(r"built with Sphinx \d+\.\d+.*", ran.stdout.splitlines()[-1])
    assert not (folder / "_site" / "old.html").exists()
    assert (folder / "_site" / "chapters" / "01-toy-cnn.html").is_file()
    assert not [p for p in (folder / "_site").rglob("*") if p.suffix in (".map", ".po", ".mo")]
    assert list((folder / "_site").rglob("book.css"))
    assert list((folder / "build").iterdir()) == []


def test_quarto_is_asked_for_a_folder_inside_the_project(script: Script) -> None:
    """Quarto takes its output folder relative to the project."""
    command = script("site/build.py").quarto_command(Path("/book"), Path("/book/build/x/site"))
    assert command == ["quarto", "render", "/book", "--output-dir", "build/x/site"]


def test_files_that_quarto_names_exist(book: dict) -> None:
    """Style sheets, scripts and chapters of `_quarto.yml`, but what is made before rendering."""
    text = (ROOT / "_quarto.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"site/[\w.*-]+", text)) | {book["favicon"]}
    missing = {name for name in named if not (ROOT / name).is_file()}
    assert missing <= {"site/vega.js", "site/live.js", "site/weights-*.js"}


def test_parts_of_the_book_keep_their_order(script: Script) -> None:
    """Chapters first, then the part with its title; the preface is no chapter."""
    adapt = script("site/adapt.py")
    chapters = ["index.qmd", "a.ipynb", {"part": "Solutions", "chapters": ["b.ipynb"]}]
    book = {"chapters": chapters}
    assert adapt.parts(book) == [(None, ["a.ipynb"]), ("Solutions", ["b.ipynb"])]
    assert adapt.pages(book) == ["index.qmd", "a.ipynb", "b.ipynb"]


def test_cell_options_of_quarto_become_those_of_myst(script: Script) -> None:
    """Captions, alt texts and folding from the one set of metadata."""
    cell = {"metadata": {"fig-cap": "C", "fig-alt": "A", "code-fold": True, "echo": False}}
    script("site/adapt.py").adapt_cell(cell)
    assert cell["metadata"]["mystnb"] == {"image": {"alt": "A"}, "figure": {"caption": "C"}}
    assert cell["metadata"]["tags"] == ["hide-input", "remove-input"]
    shown = {"metadata": {"code-fold": "show"}}
    script("site/adapt.py").adapt_cell(shown)
    assert shown["metadata"]["tags"] == []


def test_cdn_scripts_leave_the_pages_of_quarto(script: Script) -> None:
    """Exactly the two libraries and the line between them go."""
    page = (
        '<script src="site_libs/quarto.js"></script>\n'
        '<script src="https://cdn.example/require.js/2.3.6/require.min.js" integrity=""></script>\n'
        '<script src="https://cdn.example/jquery/3.5.1/jquery.min.js" crossorigin=""></script>\n'
        "<script type=\"application/javascript\">define('jquery', [],function() {})</script>\n"
        "<script>var kept = 1;</script>\n"
    )
    kept = '<script src="site_libs/quarto.js"></script>\n<script>var kept = 1;</script>\n'
    assert script("site/strip_cdn.py").strip(page) == kept


ICONS = (
    '{"file":[384,512,[128196],"f15b","M0 outline"]},{sun:[576,512,[9728],"f185","M1"]},'
    '{file:[384,512,[128196],"f15b","M2 solid"]}'
)


def test_icons_are_drawn_as_solid_ones_and_keep_their_classes(script: Script) -> None:
    """The icon's own name, not its size; an icon that the theme's script lacks stops the build."""
    lighter = script("site/lighter.py")
    html = '<i class="me-1 fa-solid fa-lg fa-file" title="File"></i><i>no icon</i>'
    assert lighter.drawn(html, ICONS) == (
        '<svg class="tss-icon me-1 fa-lg fa-file" title="File" aria-hidden="true"'
        ' viewBox="0 0 384 512"><path fill="currentColor" d="M2 solid"/></svg><i>no icon</i>'
    )
    with pytest.raises(ValueError, match="'moon'"):
        lighter.drawn('<i class="fas fa-moon"></i>', ICONS)


def test_scripts_wait_and_code_states_its_lines(script: Script) -> None:
    """But for the two scripts that others build on at once; inline ones stay as they are."""
    html = (
        "<!-- So that users can add custom icons -->\n"
        '<script defer src="_static/scripts/fontawesome.js?digest=9"></script>'
        '<link rel="preload" as="script" href="_static/scripts/bootstrap.js" />'
        '<script src="../_static/documentation_options.js?v=1"></script>'
        '<script src="../_static/doctools.js?v=1"></script><script>a = 1</script>'
        '<script src="_static/book.js"></script><script src="searchindex.js"></script>'
        '<div class="highlight"><pre><span></span>a\n<b>b</b>\n</pre></div>'
    )
    assert script("site/lighter.py").lighter(html, ICONS) == (
        '<script src="../_static/documentation_options.js?v=1"></script>'
        '<script defer src="../_static/doctools.js?v=1"></script><script>a = 1</script>'
        '<script src="_static/book.js"></script><script defer src="searchindex.js"></script>'
        '<div class="highlight" style="--lines: 2"><pre><span></span>a\n<b>b</b>\n</pre></div>'
    )


def test_another_theme_has_to_be_looked_at_again(script: Script) -> None:
    """The line that is taken out of the theme's script is there, and once."""
    lighter = script("site/lighter.py")
    assert lighter.quicker(f"a(e=>{{{lighter.MEASURED}}})") == "a(e=>{0})"
    for code in ("", lighter.MEASURED * 2):
        with pytest.raises(ValueError, match="tabIndex"):
            lighter.quicker(code)


def test_a_policy_allows_the_code_of_all_pages_and_no_other(script: Script, tmp_path: Path) -> None:
    """Scripts with their line ends, handlers as the browser reads them; the engine's parts stay."""
    policy = script("site/policy.py")
    head = '<head><meta charset="utf-8"/>'
    pages = {
        "a.html": f"{head}<script>\nlet a = 1 < 2;\n</script><script src='x.js'></script>",
        "b/b.html": f"{head}<button onclick='f(&quot;x&quot;)'>text, no code</button>",
        "_static/part.html": "<p>no page</p>",
    }
    for name, text in pages.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    policy.finish(tmp_path)
    rules = policy.policy({"\nlet a = 1 < 2;\n", 'f("x")'})
    meta = f'<meta http-equiv="Content-Security-Policy" content="{rules}">'
    for name in ("a.html", "b/b.html"):
        wanted = pages[name].replace(head, f"{head}\n    {meta}")
        assert (tmp_path / name).read_text() == wanted
    assert (tmp_path / "_static" / "part.html").read_text() == pages["_static/part.html"]
    # Computed by: printf 'f("x")' | openssl dgst -sha256 -binary | base64
    assert "'sha256-x1ez6MIhuiJ6XeZTJ7h1aAVnSHyh2SD6zA04X7tFoJo='" in rules
    with pytest.raises(ValueError, match="already"):
        policy.finish(tmp_path)


def test_links_to_a_new_tab_are_closed_whatever_they_said(script: Script) -> None:
    policy = script("site/policy.py")
    tags = ["<a href=x target='_blank' rel=opener>", '<a rel="me"\n  target="_blank" href="x">']
    closed = [policy.NEW_TAB.sub(policy.close_link, tag) for tag in tags]
    assert closed == [
        "<a rel=\"noopener noreferrer\" href=x target='_blank'>",
        '<a rel="noopener noreferrer"\n  target="_blank" href="x">',
    ]
    other = '<a href="x">_blank</a><abbr target="_blank">'
    assert policy.NEW_TAB.sub(policy.close_link, other) == other


def test_the_picture_of_the_models_is_the_one_that_the_script_draws(script: Script) -> None:
    """The committed file is up to date, is XML, and no text lies outside it."""
    drawn = script("site/draw_models.py").draw()
    assert (ROOT / "site" / "models.svg").read_text(encoding="utf-8") == drawn
    root = ET.fromstring(drawn)  # noqa: S314  (our own text)
    width, height = float(root.get("width")), float(root.get("height"))
    texts = list(root.iter("{http://www.w3.org/2000/svg}text"))
    assert len(texts) > 40
    for element in texts:
        half = len(element.text) * float(element.get("font-size")) * 0.3
        reach = {"start": (0, 2 * half), "end": (2 * half, 0)}
        left, right = reach.get(element.get("text-anchor"), (half, half))
        x, y = float(element.get("x")), float(element.get("y"))
        assert x - left >= 0, element.text
        assert x + right <= width, element.text
        assert y < height - 5, element.text

"""What the Sphinx build needs so that it shows the same book as Quarto, from the same sources."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import live
import vega
import yaml
from docutils import nodes

# What the theme brings along and no reader needs: sources for debugging it, its translations.
UNUSED = ("**/*.js.map", "**/*.css.map", "locales")

INCLUDE = re.compile(r"\{\{< include (\S+) >\}\}")
SOLUTION = re.compile(r"\[([^\]]*)\]\((?:\.\./)?solutions/[^)]*\)")
SIDEBAR = '<div id="pst-primary-sidebar"'
TOGGLE = '<summary><span class="toctree-toggle"'
NAMED = re.compile(r" \{#([\w.-]+)\}$")


def read_book(root: Path) -> dict:
    """Return the ``book`` section of `_quarto.yml`, with that of the profile.

    As in Quarto, the profile is what the variable QUARTO_PROFILE names, else the default one, and
    the chapters of `_quarto-PROFILE.yml`, where there is such a file, follow those of the book.
    """
    config = yaml.safe_load((root / "_quarto.yml").read_text(encoding="utf-8"))
    book = config["book"]
    profile = os.environ.get("QUARTO_PROFILE") or config.get("profile", {}).get("default")
    added = root / f"_quarto-{profile}.yml"
    if added.exists():
        more = yaml.safe_load(added.read_text(encoding="utf-8"))["book"]["chapters"]
        book["chapters"] = [*book["chapters"], *more]
    return book


def has_owner(book: dict) -> bool:
    """Say whether the book's repository is known; until then its address is a placeholder."""
    return "PLACEHOLDER" not in book["repo-url"]


def has_authors(book: dict) -> bool:
    """Say whether the authors are named; until then there is a placeholder that names the book."""
    return book["author"] != f"The authors of {book['title']}"


def without_solutions(markdown: str, book: dict) -> str:
    """Return a page without its links to solutions, where the book has none; their text stays."""
    if any(title == "Solutions" for title, _ in parts(book)):
        return markdown
    return SOLUTION.sub(r"\1", markdown)


def parts(book: dict) -> list[tuple[str | None, list[str]]]:
    """Return the chapters in order as ``(part title or None, files)``, without the preface."""
    found: list[tuple[str | None, list[str]]] = [(None, [])]
    for entry in book["chapters"]:
        if isinstance(entry, dict):
            found.append((entry["part"], list(entry["chapters"])))
        elif entry != "index.qmd":
            found[-1][1].append(entry)
    return [(title, files) for title, files in found if files]


def pages(book: dict) -> list[str]:
    """Return the source file of every page, the preface first."""
    return ["index.qmd"] + [file for _, files in parts(book) for file in files]


def other_folders(root: Path, book: dict) -> list[str]:
    """Return the names in `root` that hold no page."""
    keep = {page.split("/")[0] for page in pages(book)}
    return sorted(entry.name for entry in root.iterdir() if entry.name not in keep)


def toctree(entries: list[str], title: str | None = None) -> str:
    """Return the directive that puts pages into the contents, unseen on the page itself."""
    caption = [f":caption: {title}"] if title else []
    return "\n".join(["```{toctree}", ":hidden:", *caption, "", *entries, "```"])


def preface(source: str, book: dict) -> str:
    """Return index.qmd as Sphinx wants it: the book's title on top, the chapter list below.

    Quarto puts title, subtitle and authors on this page by itself. Of a part with a page of its own
    (``index.qmd``) only that one stands here: the others unfold below it (see `included`).
    """
    body = re.sub(r"\A---\n.*?\n---\n", "", source, flags=re.DOTALL)
    blocks = [f"# {book['title']}", f"*{book['subtitle']}*"]
    blocks += [book["author"], body] if has_authors(book) else [body]
    for title, files in parts(book):
        if title == "Solutions":  # each exercise leads to its own
            continue
        files = [f for f in files if f.endswith("/index.qmd")] or files
        entries = [] if title else ["Preface <self>"]
        entries += [str(Path(file).with_suffix("")) for file in files]
        blocks.append(toctree(entries, title))
    return "\n\n".join(blocks) + "\n"


def included(source: str, page: Path, book: dict) -> str:
    """Return a page with what Quarto would include, and with the contents of its part."""
    source = INCLUDE.sub(lambda m: (page.parent / m[1]).read_text(encoding="utf-8"), source)
    if page.parent.name == "api" and page.name == "index.qmd":
        files = next(f for _, f in parts(book) if f"{page.parent.name}/index.qmd" in f)
        source += "\n" + toctree([Path(f).stem for f in files if not f.endswith("/index.qmd")])
    return source


def write_changed(path: Path, markdown: str) -> None:
    """Write what a page includes; a file that is up to date is not touched."""
    if path.exists() and path.read_text(encoding="utf-8") == markdown:
        return
    # Builds side by side write the same: each file is whole whenever it is read.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(markdown, encoding="utf-8")
    part.replace(path)


def adapt_cell(cell: dict) -> None:
    """Translate Quarto's plain cell metadata into what myst-nb reads, in place."""
    metadata = cell.get("metadata", {})
    options = metadata.setdefault("mystnb", {})
    if "fig-alt" in metadata:
        options["image"] = {"alt": metadata["fig-alt"]}
    if "fig-cap" in metadata:
        options["figure"] = {"caption": metadata["fig-cap"]}
    tags = metadata.setdefault("tags", [])
    if metadata.get("code-fold") in (True, "hide"):
        tags.append("hide-input")
    if metadata.get("echo") is False:
        tags.append("remove-input")


def adapt_source(app, docname: str, source: list[str]) -> None:
    """Adapt one page as Sphinx reads it (an event handler)."""
    page, book = Path(app.env.doc2path(docname)), read_book(Path(app.srcdir))
    if page.suffix == ".ipynb":
        notebook = json.loads(source[0])
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                adapt_cell(cell)
            else:
                cell["source"] = without_solutions("".join(cell["source"]), book)
        if page.parent.name == "solutions":
            notebook["metadata"]["orphan"] = True  # stands in no contents
        source[0] = json.dumps(notebook)
    else:
        source[0] = without_solutions(included(source[0], page, book), book)
        if docname == app.config.root_doc:
            source[0] = preface(source[0], book)


def adapt_headings(app, doctree: nodes.document) -> None:
    """Give headings the addresses that Quarto gives them, ``## fit {#fit}`` (an event handler)."""
    for section in doctree.findall(nodes.section):
        text = next(section[0].findall(nodes.Text), None)
        named = NAMED.search(text) if text else None
        if named:
            text.parent.replace(text, nodes.Text(text[: named.start()]))
            section["ids"] = [named[1]]


def hide_source(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Offer no source of pages that are made from others, as Quarto does (an event handler)."""
    actions = (context.get("meta") or {}).get("repo-actions", "source")
    if "source" not in actions:
        context["page_source_suffix"] = ""


def add_offline_scripts(app, error: Exception | None) -> None:
    """Put Vega and live figures into the finished site (an event handler)."""
    if error is not None:
        return
    static = Path(app.outdir) / "_static"
    vega.write_bundle(static / "vega.js")
    live.write(static)


def name_toggles(app, error: Exception | None) -> None:
    """Say what side bar and arrow are, for those who hear the page (an event handler)."""
    if error is not None:
        return
    for page in Path(app.outdir).rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        named = html.replace(TOGGLE, TOGGLE.replace(">", ' aria-label="Pages below">', 1))
        named = named.replace(SIDEBAR, f'{SIDEBAR} role="complementary" aria-label="The book"')
        if named != html:
            page.write_text(named, encoding="utf-8")


def remove_unused(app, error: Exception | None) -> None:
    """Take the theme's parts that nobody reads out of the finished site (an event handler)."""
    if error is not None:
        return
    for pattern in UNUSED:
        for path in list((Path(app.outdir) / "_static").glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

"""What the Sphinx build needs so that it shows the same book as Quarto, from the same sources."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import yaml
from vega import write_bundle

# What the theme brings along and no reader needs: sources for debugging it, its translations.
UNUSED = ("**/*.js.map", "**/*.css.map", "locales")
MATHJAX_PARTS = ("tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions")


def read_book(root: Path) -> dict:
    """Return the ``book`` section of `_quarto.yml`."""
    return yaml.safe_load((root / "_quarto.yml").read_text(encoding="utf-8"))["book"]


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


def preface(source: str, book: dict) -> str:
    """Return index.qmd as Sphinx wants it: the book's title on top, the chapter list below.

    Quarto puts title, subtitle and authors on this page by itself.
    """
    body = re.sub(r"\A---\n.*?\n---\n", "", source, flags=re.DOTALL)
    blocks = [f"# {book['title']}", book["subtitle"], f"*{book['author']}*", body]
    for title, files in parts(book):
        caption = [f":caption: {title}"] if title else []
        entries = [] if title else ["Preface <self>"]
        entries += [str(Path(file).with_suffix("")) for file in files]
        blocks.append("\n".join(["```{toctree}", ":hidden:", *caption, "", *entries, "```"]))
    return "\n\n".join(blocks) + "\n"


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
    if docname == app.config.root_doc:
        source[0] = preface(source[0], read_book(Path(app.srcdir)))
    elif str(app.env.doc2path(docname)).endswith(".ipynb"):
        notebook = json.loads(source[0])
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                adapt_cell(cell)
        source[0] = json.dumps(notebook)


def add_offline_scripts(app, error: Exception | None) -> None:
    """Put MathJax and Vega into the finished site: it needs no network (an event handler)."""
    if error is not None:
        return
    static = Path(app.outdir) / "_static"
    write_bundle(static / "vega.js")
    # The package's name has hyphens, so that it cannot be imported: only found.
    package = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent
    for part in MATHJAX_PARTS:
        source, target = package / "static" / "mathjax" / part, static / "mathjax" / part
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


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

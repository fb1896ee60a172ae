"""Sphinx configuration: the book as `_quarto.yml` describes it, for machines without Quarto."""

from __future__ import annotations

import sys
from pathlib import Path

SITE = Path(__file__).resolve().parent
ROOT = SITE.parent
sys.path.insert(0, str(SITE))

import adapt  # noqa: E402  (beside this file)
import formulas  # noqa: E402
import lighter  # noqa: E402

book = adapt.read_book(ROOT)

project = book["title"]
author = book["author"]
copyright = author
html_title = book["title"]
language = "en"

extensions = ["myst_nb", "sphinx_copybutton"]
root_doc = "index"
source_suffix = {".ipynb": "myst-nb", ".qmd": "myst-nb"}
include_patterns = adapt.pages(book)
# Sphinx walks the whole source folder: keep it out of everything that holds no page.
exclude_patterns = adapt.other_folders(ROOT, book)

nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = nb_code_prompt_hide = "Code"
myst_enable_extensions = ["amsmath", "dollarmath", "html_image", "strikethrough", "tasklist"]
myst_heading_anchors = 4
myst_html_meta = {"description": book["description"]}
myst_links_external_new_tab = False
html_math_renderer = "mathml"
copybutton_selector = "div.highlight:not(.output *) > pre, .text_markdown div.highlight > pre"

html_theme = "sphinx_book_theme"
html_static_path = ["book.css", "book.js", "live.css"]
html_css_files = ["book.css"]
html_js_files = ["book.js"]
templates_path = ["templates"]
html_favicon = "favicon.svg"
html_sidebars = {"**": ["navbar-logo.html", "search-button-field.html", "sbt-sidebar-nav.html"]}
html_context = {"default_mode": "auto"}  # light or dark as the reader's system says
html_use_index = False
html_show_sphinx = False
html_extra_path = ["../404.html", "card.png"]
actions = book["repo-actions"] if adapt.has_owner(book) else []
html_theme_options = {
    "repository_url": book["repo-url"] if actions else "",
    "repository_branch": book["repo-branch"],
    "use_repository_button": bool(actions),
    "use_edit_page_button": "edit" in actions,
    "use_source_button": "source" in actions,
    "use_issues_button": "issue" in actions,
    "use_download_button": True,
    "footer_content_items": ["author.html", "copyright.html"][not adapt.has_authors(book) :],
    "primary_sidebar_end": [],
    "show_toc_level": 2,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def setup(app):  # noqa: D103
    app.add_html_math_renderer("mathml", (formulas.write, None), (formulas.write, None))
    app.connect("source-read", adapt.adapt_source)
    app.connect("doctree-read", adapt.adapt_headings, priority=100)  # before contents are taken
    app.connect("html-page-context", adapt.hide_source, priority=100)
    app.connect("build-finished", adapt.add_offline_scripts)
    app.connect("build-finished", adapt.name_toggles)
    app.connect("build-finished", lighter.finish)
    app.connect("build-finished", adapt.remove_unused)

"""Make the pages of Sphinx's theme lighter, so that they can be read sooner.

The theme loads a script of 1.5 MB with two thousand icons on each page, and their names as style.
The book needs fourteen, which are drawn into the pages. Other scripts wait until the page is read.
"""

from __future__ import annotations

import re
from pathlib import Path

ICON = re.compile(r'<(i|span) class="([^"]*\bfa-[^"]*)"([^>]*)></\1>')
# What the theme's script says of an icon: width, height, other names, place in a font, outline.
SHAPE = r'["{,]%s"?:\[(\d+),(\d+),\[[^\]]*\],"[0-9a-f]+","([^"]*)"\]'
ICON_NAMES = re.compile(r'(?:\.fa-[\w-]+,?)+\{--fa:"[^"]*"\}')
ICON_SCRIPT = re.compile(r"<!--[^>]*custom icons -->\s*<script[^>]*fontawesome\.js[^>]*></script>")
# The theme measures at once which boxes scroll, for which everything must be laid out; book.js does
# so while nothing else is to be done.
MEASURED = "e.tabIndex=e.scrollWidth>e.clientWidth||e.scrollHeight>e.clientHeight?0:-1"
CODE = re.compile(r'<div class="highlight">(?=<pre>(.*?)</pre>)', flags=re.DOTALL)
# Light or dark is known at once; the theme would ask later, and everything would be drawn anew.
LATE = 'localStorage.getItem("theme") || "auto"'
AT_FIRST = (
    '(mode => mode === "auto"'
    ' ? matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"'
    " : mode)(document.documentElement.dataset.mode)"
)
PRELOAD = re.compile(r'<link rel="preload" as="script"[^>]*>\s*')
# Inline code follows the first of these; charts ask the second for the address of their library.
AT_ONCE = r"(?!documentation_options\.js|book\.js)"
SCRIPT = re.compile(rf'<script src="(?=(?:\.\./)*(?:_static/{AT_ONCE}|searchindex\.js))')


def shape(name: str, script: str) -> tuple[str, str, str]:
    """Return an icon's width, height and outline.

    Raises
    ------
    ValueError
        The script has no icon of that name.
    """
    found = re.findall(SHAPE % re.escape(name), script)
    if not found:
        raise ValueError(f"the theme uses an icon {name!r} that its script does not have.")
    return found[-1]  # outlines come before solid ones, which the theme uses


def drawn(html: str, script: str) -> str:
    """Return a page with its icons drawn."""

    def svg(tag: re.Match[str]) -> str:
        classes = [name for name in tag[2].split() if name not in ("fas", "fa-solid")]
        name = next(c for c in classes if c.startswith("fa-") and c not in ("fa-lg", "fa-fw"))
        width, height, outline = shape(name.removeprefix("fa-"), script)
        return (
            f'<svg class="{" ".join(["tss-icon", *classes])}"{tag[3]} aria-hidden="true"'
            f' viewBox="0 0 {width} {height}"><path fill="currentColor" d="{outline}"/></svg>'
        )

    return ICON.sub(svg, html)


def lighter(html: str, script: str) -> str:
    """Return a page with its icons drawn, without their script, and with scripts that wait.

    Each block of code states its number of lines: by that its height is known before it is drawn.
    """
    html = PRELOAD.sub("", ICON_SCRIPT.sub("", drawn(html, script))).replace(LATE, AT_FIRST)
    html = CODE.sub(
        lambda code: f'<div class="highlight" style="--lines: {code[1].count(chr(10))}">', html
    )
    return SCRIPT.sub('<script defer src="', html)


def quicker(code: str) -> str:
    """Return the theme's script, which no longer measures what scrolls.

    Raises
    ------
    ValueError
        The script does not do so, or in other words: this theme has to be looked at again.
    """
    if code.count(MEASURED) != 1:
        raise ValueError(f"the theme's script has no {MEASURED!r} any more, or several.")
    return code.replace(MEASURED, "0")


def finish(app, error: Exception | None) -> None:
    """Make all pages of the finished site lighter (an event handler)."""
    if error is not None:
        return
    static = Path(app.outdir) / "_static"
    icons = static / "scripts" / "fontawesome.js"
    script = icons.read_text(encoding="utf-8")
    for page in Path(app.outdir).rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        page.write_text(lighter(html, script), encoding="utf-8")
    icons.unlink()
    code = static / "scripts" / "pydata-sphinx-theme.js"
    code.write_text(quicker(code.read_text(encoding="utf-8")), encoding="utf-8")
    style = static / "styles" / "pydata-sphinx-theme.css"
    style.write_text(ICON_NAMES.sub("", style.read_text(encoding="utf-8")), encoding="utf-8")

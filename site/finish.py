"""Finish the pages of a built site, whichever engine made them: what only the whole book knows.

Cards for links to a page (``og:``); no address of a repository that is not known yet; an error
message once, where Quarto prints it twice; pictures as files of their own. `policy.py` comes after
it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from html import escape, unescape
from pathlib import Path
from urllib.parse import unquote

import adapt
import policy

TITLE = re.compile(r"<title>(.*?)</title>", flags=re.DOTALL)
COLAB = re.compile(r'<a\b[^>]*href="https://colab\.research\.google\.com/github/PLACEHOLDER[^>]*>')
UNKNOWN = r'<a\b[^>]*href="[^"]*PLACEHOLDER[^"]*"[^>]*>.*?</a>'
# Quarto's line of authors on the first page.
BYLINE = re.compile(
    r'<div>\s*<div class="quarto-title-meta-heading">Authors?</div>\s*'
    r'<div class="quarto-title-meta-contents">.*?</div>\s*</div>',
    flags=re.DOTALL,
)
SOLUTION = re.compile(r'<a\b[^>]*href="[^"]*solutions/[^"]*"[^>]*>(.*?)</a>', flags=re.DOTALL)
IMAGE = re.compile(r"<img\b[^>]*>")
PACKED = re.compile(r'\bsrc="data:image/png;base64,([\w+/=]+)"')
NO_OWNER = re.compile(rf"<li[^>]*>\s*{UNKNOWN}\s*</li>|{UNKNOWN}", flags=re.DOTALL)
# An error's name and text, and then its traceback, which ends with the same.
TWICE = re.compile(
    r'(<div class="cell-output cell-output-error">\s*)'
    r"<pre[^>]*><code[^>]*>(?P<said>.*?)</code></pre>"
    r"(?P<rest>.*?</pre>)",
    flags=re.DOTALL,
)


def said_once(html: str) -> str:
    """Return a page that shows each error message once."""

    def shorter(found: re.Match[str]) -> str:
        said, rest = (unescape(re.sub(r"<[^>]+>", "", found[n])).strip() for n in ("said", "rest"))
        return found[1] + found["rest"].lstrip() if rest.endswith(said) else found[0]

    return TWICE.sub(shorter, html)


def without_owner(html: str, up: str) -> str:
    """Return a page without links to a repository that is not known yet.

    Links to Colab lead to the page that says what to do meanwhile; `up` leads to the first page.
    """
    html = COLAB.sub(f'<a class="tss-colab" href="{up}install.html#in-colab">', html)
    return NO_OWNER.sub("", html).replace("PLACEHOLDER-OWNER", "OWNER")


PRINTED = re.compile(
    r'<div class="output stream (?P<kind>[^"]*)">(?P<rest><div class="highlight"[^>]*><pre>'
    r"(?:<span></span>)?(?P<said>.*?)</pre>)",
    flags=re.DOTALL,
)


def sentences_wrapped(html: str) -> str:
    """Return a page whose printed sentences are marked, for the style sheet to wrap them.

    A table that was printed has columns, with two spaces or more between some of them.
    """

    def marked(found: re.Match[str]) -> str:
        lines = (line.strip() for line in found["said"].splitlines())
        if any("  " in line for line in lines):
            return found[0]
        return f'<div class="output stream tss-printed {found["kind"]}">{found["rest"]}'

    return PRINTED.sub(marked, html)


DATAFRAME = re.compile(r'<table[^>]*class="[^"]*\bdataframe\b.*?</table>', flags=re.DOTALL)
SHORT = re.compile(r"<td>(?=[^<]{2,24}</td>)")


def short_cells_whole(html: str) -> str:
    """Return a page whose tables of results break no number and no interval over two lines."""
    return DATAFRAME.sub(lambda found: SHORT.sub('<td class="tss-whole">', found[0]), html)


def unpacked(html: str, out: Path, up: str) -> str:
    """Return a page whose pictures are files that come when they are needed, not parts of its text.

    They are written to a folder of the site in `out`; `up` leads there from the page.
    """

    def file(found: re.Match[str]) -> str:
        picture = base64.b64decode(found[1])
        name = f"_images/{hashlib.sha256(picture).hexdigest()[:20]}.png"
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(picture)
        return f'src="{up}{name}"'

    return PACKED.sub(file, html)


def pixels(path: Path) -> tuple[int, int] | None:
    """Return width and height of a PNG or of an SVG that states them, else None."""
    head = path.read_bytes()[:400]
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    sides = [re.search(rb'<svg[^>]*\b%s="([\d.]+)"' % side, head) for side in (b"width", b"height")]
    return tuple(round(float(side[1])) for side in sides) if all(sides) else None


def sized(html: str, folder: Path) -> str:
    """Return a page whose pictures state their size, so that nothing moves when they arrive.

    All but the first wait until the reader comes near them. `folder` is that of the page.
    """
    seen = 0

    def better(tag: re.Match[str]) -> str:
        nonlocal seen
        source = re.search(r'\bsrc="([^":]+)"', tag[0])
        path = folder / unquote(source[1]) if source else None
        size = pixels(path) if path and path.is_file() else None
        if size is None or "height=" in tag[0]:
            return tag[0]
        seen += 1
        width = re.search(r'\bwidth="(\d+)(?:px)?"', tag[0])
        added = f' height="{round(size[1] * int(width[1]) / size[0]) if width else size[1]}"'
        added += "" if width else f' width="{size[0]}"'
        added += ' loading="lazy"' if seen > 1 and "loading=" not in tag[0] else ""
        return f"<img{added}{tag[0][4:]}"

    return IMAGE.sub(better, html)


def card(html: str, book: dict, place: str, up: str) -> str:
    """Return a page with the tags from which others draw a card of a link to it.

    Their addresses are whole where the repository is known: then the site is on its GitHub Pages.
    """
    home = up
    if adapt.has_owner(book):
        owner, name = book["repo-url"].rstrip("/").split("/")[-2:]
        home = f"https://{owner.lower()}.github.io/{name}/"
    title = re.sub(r"\s+", " ", TITLE.search(html)[1]).strip()
    tags = {
        "og:type": "book", "og:site_name": escape(book["title"]), "og:title": title,
        "og:description": escape(book["description"]), "og:image": f"{home}card.png",
        "og:image:alt": escape(f"The title {book['title']} beside the figure of the first page."),
        "og:url": f"{home}{place}" if adapt.has_owner(book) else place,
    }  # fmt: skip
    lines = [f'<meta property="{name}" content="{value}">' for name, value in tags.items()]
    lines.append('<meta name="twitter:card" content="summary_large_image">')
    return html.replace("</title>", "</title>\n    " + "\n    ".join(lines), 1)


def finish(root: Path, out: Path) -> None:
    """Finish every page of the site in `out`; a page that is finished stays as it is."""
    book = adapt.read_book(root)
    drawn = out / "site" / "card.png"  # where Quarto puts it
    if drawn.exists():
        drawn.replace(out / "card.png")
    for page in sorted(out.rglob("*.html")):
        place = page.relative_to(out)
        html = page.read_text(encoding="utf-8")
        if policy.PARTS & {*place.parts} or place.name == "404.html" or "og:title" in html:
            continue
        up = "../" * (len(place.parts) - 1)
        html = html.replace("<th></th>", "<td></td>")  # the corner of a table is no heading
        html = sized(
            unpacked(short_cells_whole(sentences_wrapped(said_once(html))), out, up), page.parent
        )
        html = card(html, book, place.as_posix(), up)
        if not adapt.has_owner(book):
            html = without_owner(html, up)
        if not any(title == "Solutions" for title, _ in adapt.parts(book)):
            html = SOLUTION.sub(r"\1", html)
        if not adapt.has_authors(book):
            html = BYLINE.sub("", html)
        page.write_text(html, encoding="utf-8")


if __name__ == "__main__":
    here = Path(__file__).resolve().parent.parent
    finish(here, here / os.environ.get("QUARTO_PROJECT_OUTPUT_DIR", "_site"))

"""Finish the pages of a built site, whichever engine made them: what they may run and load.

Each page gets a Content-Security-Policy: nothing from other hosts, no code but the site's own files
and the scripts that stood in the page when it was built (by their sha256). So text that gets into a
page by mistake cannot run. Links that open a new tab do not hand this one over.
"""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

# The engines' own folders: parts of pages, but no pages.
PARTS = {"_static", "site_libs"}
# A <meta> must come before what it rules over, and after the encoding.
CHARSET = re.compile(r"<meta charset=[^>]*>", flags=re.IGNORECASE)
NEW_TAB = re.compile(r"<a\b[^>]*\btarget=[\"']?_blank[^>]*>", flags=re.IGNORECASE)


class Inline(HTMLParser):
    """Collects the code that stands in a page itself: scripts and handlers (``onclick``)."""

    def __init__(self) -> None:
        super().__init__()
        self.code: set[str] = set()
        self._script: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the handlers, and look out for the text of a script."""
        self.code |= {value for name, value in attrs if name.startswith("on") and value}
        if tag == "script" and "src" not in dict(attrs):
            self._script = []

    def handle_data(self, data: str) -> None:
        """Keep the text of a script."""
        if self._script is not None:
            self._script.append(data)

    def handle_endtag(self, tag: str) -> None:
        """Take the script that ends here."""
        if tag == "script" and self._script is not None:
            self.code.add("".join(self._script))
            self._script = None


def digest(code: str) -> str:
    """Return the checksum of a piece of code as a policy names it."""
    checksum = hashlib.sha256(code.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(checksum).decode('ascii')}'"


def code(html: str) -> set[str]:
    """Return the code that stands in a page."""
    inline = Inline()
    inline.feed(html)
    inline.close()
    return inline.code


def policy(allowed: set[str]) -> str:
    """Return the policy under which this code may run, besides the site's own files."""
    rules = {
        "default-src": ["'none'"],
        # 'unsafe-hashes': without it the checksums would hold for scripts, not for handlers.
        "script-src": ["'self'", "'unsafe-hashes'", *sorted(map(digest, allowed))],
        # Pandas' tables have style sheets, blocks of code state their height, and Vega writes both.
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
    }
    return "; ".join(" ".join([rule, *sources]) for rule, sources in rules.items())


def close_link(tag: re.Match[str]) -> str:
    """Return a link to a new tab so that the new page learns nothing of the old one."""
    kept = re.sub(r"\s+rel=(\"[^\"]*\"|'[^']*'|[^\s>]+)", "", tag[0])
    return f'<a rel="noopener noreferrer"{kept[2:]}'


def with_policy(html: str, rules: str) -> str:
    """Return a page with its policy.

    Raises
    ------
    ValueError
        The page does not state its encoding, or has a policy already.
    """
    if "Content-Security-Policy" in html or not CHARSET.search(html):
        raise ValueError("a page has no <meta charset>, or a Content-Security-Policy already")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{rules}">'
    return CHARSET.sub(lambda charset: f"{charset[0]}\n    {meta}", html, count=1)


def finish(folder: Path) -> None:
    """Finish every page of the site in `folder`.

    All get one policy: the search reads other pages, and a browser asks the policy of the page that
    reads for what stands in the page that is read.
    """
    found = [p for p in folder.rglob("*.html") if not PARTS & {*p.relative_to(folder).parts}]
    pages = {page: NEW_TAB.sub(close_link, page.read_text(encoding="utf-8")) for page in found}
    rules = policy(set().union(*map(code, pages.values())))
    for page, html in pages.items():
        page.write_text(with_policy(html, rules), encoding="utf-8")

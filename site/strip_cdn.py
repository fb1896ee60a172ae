"""Take require.js and jQuery out of Quarto's pages, which then read without a network.

Quarto adds both, from a CDN, to each page with an HTML output, for widgets that this book does
not use. It runs this script after rendering and names the pages in QUARTO_PROJECT_OUTPUT_FILES.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

CDN_SCRIPT = re.compile(
    r'[ \t]*<script\b[^>]*\bsrc="https?://[^"]*/(?:require|jquery)[^"]*"[^>]*></script>\n?'
    r"|[ \t]*<script\b[^>]*>\s*define\('jquery'.*?</script>\n?",
    flags=re.DOTALL,
)


def strip(html: str) -> str:
    """Return `html` without the two libraries and the line that registers jQuery."""
    return CDN_SCRIPT.sub("", html)


if __name__ == "__main__":
    for name in os.environ.get("QUARTO_PROJECT_OUTPUT_FILES", "").splitlines():
        page = Path(name)
        if page.suffix == ".html":
            page.write_text(strip(page.read_text(encoding="utf-8")), encoding="utf-8")

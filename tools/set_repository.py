"""Give the book another repository URL, tag or authors, everywhere at once.

``python tools/set_repository.py https://github.com/OWNER/REPOSITORY`` writes the URL into
`_quarto.yml`, which is its source, and into every other file that names the old one: Colab links
and setup cells of the notebooks, README, CITATION, pyproject, workflows. Without a URL it only
brings the tag (``v`` + the library's version) in those links up to date, as before a release.
``--authors "Ada Lovelace, Rosalind Franklin"`` names the authors. Until both are known the site
shows neither.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
URL = re.compile(r"https://github\.com/(?P<slug>[A-Za-z0-9-]+/[A-Za-z0-9._-]+?)(?:\.git)?/?")
REPO_LINE = re.compile(r"^  repo-url: (?P<url>\S+)$", flags=re.MULTILINE)
AUTHOR_LINE = re.compile(r'^  author: "(?P<authors>[^"]+)"$', flags=re.MULTILINE)
# The files that a reader or a tool takes the address from. Not the tests: they read `_quarto.yml`.
PATTERNS = (
    "LICENSE", "*.md", "*.qmd", "*.cff", "*.toml", "*.yml", "Makefile", "chapters/*.ipynb",
    "solutions/*.ipynb", ".github/**/*.yml", ".github/**/*.md", "lib/tssbook/**/*.py",
    "lib/tssbook/shipped/*.toml",
)  # fmt: skip


def slug(url: str) -> str:
    """Return ``OWNER/REPOSITORY`` of a GitHub URL.

    Raises
    ------
    ValueError
        `url` is not the address of a repository on GitHub, the only host that Colab opens.
    """
    match = URL.fullmatch(url)
    if match is None:
        raise ValueError(
            f"{url!r} is not a repository's address: give https://github.com/OWNER/REPOSITORY."
        )
    return match["slug"]


def repository(root: Path) -> str:
    """Return the repository's URL as `_quarto.yml` in `root` states it."""
    return REPO_LINE.search((root / "_quarto.yml").read_text(encoding="utf-8"))["url"]


def tag(root: Path) -> str:
    """Return the release tag that Colab links point to: ``v`` + the library's version."""
    source = (root / "lib" / "tssbook" / "__init__.py").read_text(encoding="utf-8")
    return "v" + re.search(r'^__version__ = "([^"]+)"$', source, flags=re.MULTILINE)[1]


def authors(root: Path) -> str:
    """Return the authors as `_quarto.yml` in `root` states them."""
    return AUTHOR_LINE.search((root / "_quarto.yml").read_text(encoding="utf-8"))["authors"]


def rewrite(text: str, old: str, new: str, release: str) -> str:
    """Return `text` with slug `old` as `new`, and with `release` where a tag follows the slug."""
    text = re.sub(rf"{re.escape(old)}(?![\w-])", new, text)
    tagged = rf"({re.escape(new)}(?:/blob/|/tree/|(?:\.git)?@))v\d[\w.+-]*"
    return re.sub(tagged, rf"\g<1>{release}", text)


def set_repository(root: Path, url: str | None = None, names: str | None = None) -> list[Path]:
    """Write `url` and the authors' `names` (default: the present ones) and the tag into the files.

    Returns
    -------
    list of Path
        The files of `root` that changed.

    Raises
    ------
    ValueError
        `url` is no repository's address, or `names` has signs that would end a quoted text.
    """
    if names is not None and (not names.strip() or set(names) & set('"\\{}\n')):
        raise ValueError(f"{names!r} cannot be the authors: give names, separated by commas.")
    old = slug(repository(root))
    new = old if url is None else slug(url)
    release, before_us = tag(root), authors(root)
    changed = []
    for path in sorted({path for pattern in PATTERNS for path in root.glob(pattern)}):
        before = path.read_bytes().decode("utf-8")
        after = rewrite(before, old, new, release)
        after = after if names is None else after.replace(before_us, names)
        if after != before:
            path.write_bytes(after.encode("utf-8"))
            changed.append(path)
    return changed


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", nargs="?", help="https://github.com/OWNER/REPOSITORY")
    parser.add_argument("--authors", help="names, separated by commas")
    asked = parser.parse_args()
    try:
        changed = set_repository(ROOT, asked.url, asked.authors)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for path in changed:
        print(f"changed {path.relative_to(ROOT)}")
    print(f"repository {repository(ROOT)}, tag {tag(ROOT)}, by {authors(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

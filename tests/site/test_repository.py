"""The repository's address: one source, and every link and badge agrees with it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLAB = re.compile(r"\]\(https://colab\.research\.google\.com/github/([^)\s]+)\)")
NOTEBOOKS = sorted([*ROOT.glob("chapters/*.ipynb"), *ROOT.glob("solutions/*.ipynb")])


@pytest.fixture(scope="module")
def tool(script: Callable[[str], ModuleType]) -> ModuleType:
    """The command that changes the repository's address."""
    return script("tools/set_repository.py")


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_badge_opens_this_notebook_at_the_release(tool: ModuleType, notebook: Path) -> None:
    """The first cell links to Colab: own path, repository of `_quarto.yml`, tag of the version."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    first = "".join(cells[0]["source"])
    slug, tag = tool.slug(tool.repository(ROOT)), tool.tag(ROOT)
    assert cells[0]["cell_type"] == "markdown"
    assert COLAB.findall(first) == [f"{slug}/blob/{tag}/{notebook.relative_to(ROOT).as_posix()}"]
    whole = notebook.read_text(encoding="utf-8")
    assert set(re.findall(r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)", whole)) == {
        slug
    }


def test_every_file_is_up_to_date(tool: ModuleType, tmp_path: Path) -> None:
    """The command has nothing left to do in the repository as it is."""
    copy(tool, tmp_path)
    assert tool.set_repository(tmp_path) == []


def test_holes_are_reported_in_private_to_this_repository(tool: ModuleType) -> None:
    """GitHub's form of this repository, named by a file that the README names."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert f"<{tool.repository(ROOT)}/security/advisories/new>" in text
    assert "`SECURITY.md`" in (ROOT / "README.md").read_text(encoding="utf-8")


def copy(tool: ModuleType, folder: Path) -> None:
    """Copy every file that the command may change."""
    for path in {path for pattern in tool.PATTERNS for path in ROOT.glob(pattern)}:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def test_the_command_changes_every_file(tool: ModuleType, tmp_path: Path) -> None:
    """No trace of the old address remains, and only the address changed."""
    copy(tool, tmp_path)
    old = tool.slug(tool.repository(ROOT))
    changed = tool.set_repository(tmp_path, "https://github.com/some-one/another.book")
    assert {p.relative_to(tmp_path) for p in changed} >= {p.relative_to(ROOT) for p in NOTEBOOKS}
    assert tool.repository(tmp_path) == "https://github.com/some-one/another.book"
    for path in tmp_path.rglob("*"):
        if path.is_file():
            before = (ROOT / path.relative_to(tmp_path)).read_bytes()
            assert path.read_bytes() == before.replace(old.encode(), b"some-one/another.book")


def test_tags_follow_the_version(tool: ModuleType) -> None:
    """In links to Colab and to files, and in what pip is given; other versions stay."""
    text = "me/b/blob/v0.1.0/x me/b.git@v0.1.0 me/b@v0.1.0rc1 pkg@v0.1.0 me/b/tree/main"
    new = "me/b/blob/v2.0/x me/b.git@v2.0 me/b@v2.0 pkg@v0.1.0 me/b/tree/main"
    assert tool.rewrite(text, "me/b", "me/b", "v2.0") == new


def test_authors_are_named_everywhere_at_once(tool: ModuleType, tmp_path: Path) -> None:
    """In the book, the licence, the citation and the package; signs that end a text are refused."""
    copy(tool, tmp_path)
    old = tool.authors(tmp_path)
    changed = tool.set_repository(tmp_path, names="Ada Lovelace, Rosalind Franklin")
    names = {path.name for path in changed}
    assert names >= {"_quarto.yml", "LICENSE", "CITATION.cff", "pyproject.toml", "about.qmd"}
    assert tool.authors(tmp_path) == "Ada Lovelace, Rosalind Franklin"
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and old.encode() in p.read_bytes()]
    for wrong in ("", 'A "B" C', "A\nB"):
        with pytest.raises(ValueError, match="cannot be the authors"):
            tool.set_repository(tmp_path, names=wrong)


@pytest.mark.parametrize(
    "url", ["", "github.com/a/b", "https://gitlab.com/a/b", "https://github.com/a", "http://a b"]
)
def test_other_addresses_are_refused(tool: ModuleType, url: str) -> None:
    """The message repeats what was given and shows the form."""
    with pytest.raises(ValueError, match=r"give https://github\.com/OWNER/REPOSITORY"):
        tool.slug(url)


@pytest.mark.parametrize("end", ["", "/", ".git"])
def test_an_address_may_end_as_git_writes_it(tool: ModuleType, end: str) -> None:
    assert tool.slug("https://github.com/a-b/c.d" + end) == "a-b/c.d"

"""The built site, once per test session; and the parts of `site/` and `tools/` as modules."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(path: str) -> ModuleType:
    """Import a script of the repository by its path."""
    name = "tested_" + Path(path).stem
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str((ROOT / path).parent))  # its neighbours
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    """The function that imports a script of the repository by its path."""
    return load


@pytest.fixture(scope="session")
def book() -> dict:
    """The ``book`` section of `_quarto.yml`."""
    return load("site/adapt.py").read_book(ROOT)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site: the folder that TSSBOOK_SITE names, or one built now with Sphinx."""
    if os.environ.get("TSSBOOK_SITE"):
        return Path(os.environ["TSSBOOK_SITE"]).resolve()
    out = tmp_path_factory.mktemp("site") / "site"
    load("site/build.py").build(ROOT, out, "sphinx")
    return out


@pytest.fixture(scope="session")
def pages(site: Path, book: dict) -> list[Path]:
    """The HTML page of every chapter, the preface first."""
    return [site / Path(page).with_suffix(".html") for page in load("site/adapt.py").pages(book)]

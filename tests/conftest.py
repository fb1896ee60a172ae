from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from tests.support import CONTENT, FileServer, file_server
from tssbook.data import download

matplotlib.use("agg")  # no window, whatever this machine's default is


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library's wheel, built from this checkout without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([*pip, "-w", str(folder), str(root)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("tssbook-*.whl")
    return built


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of real files; without it the test is skipped, but not in CI."""
    folder = os.environ.get("TSSBOOK_MIRROR", "")
    if not folder and "CI" not in os.environ:
        pytest.skip("TSSBOOK_MIRROR names no mirror folder")
    return Path(folder)


@pytest.fixture
def server() -> Iterator[FileServer]:
    """A file server on loopback with one file."""
    with file_server() as server:
        server.files["/gattaca.txt"] = CONTENT
        yield server


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of downloads, and no mirror."""
    monkeypatch.setenv("TSSBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TSSBOOK_MIRROR", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def entry(server: FileServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The only file that download knows in these tests; a test may change it."""
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    entry = {"url": server.url("/gattaca.txt"), "sha256": sha256, "bytes": len(CONTENT)}
    monkeypatch.setattr(download, "catalogue", lambda: {"gattaca.txt": entry})
    return entry

from __future__ import annotations

import os

from tools.notebooks import KERNEL_ENVIRONMENT

# As in the chapters' kernels: one core for each worker. Set before PyTorch and numba (Tomtom) are
# loaded; numba hands its own number of threads on to PyTorch, so torch.set_num_threads(1) is lost.
os.environ |= KERNEL_ENVIRONMENT

import hashlib
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

# Files that take longest, longest first: what starts last should be short.
LONGEST_FIRST = (
    "tests/site/test_site_browser.py",
    "tests/chapters/test_chapter_4.py",
    "tests/chapters/test_real_4.py",
    "tests/chapters/test_chapter_3.py",
    "tests/chapters/test_real_3.py",
    "tests/chapters/test_chapter_2.py",
    "tests/chapters/test_real_2.py",
    "tests/chapters/test_grammar.py",
    "tests/chapters/test_chapter_1.py",
    "tests/chapters/test_solutions_2.py",
    "tests/chapters/test_solutions_4.py",
    "tests/chapters/",
    "tests/data/test_budding_yeast.py",
    "tests/scale/",
    "tests/test_colab.py",
    "tests/test_readme.py",
    "tests/site/",
    "tests/interpret/",
    "tests/models/",
    "tests/simulator/",
    "tests/training/",
)
# What `make quick` leaves out.
SLOW = (
    "tests/attack/",
    "tests/chapters/",
    "tests/faults/",
    "tests/parity/",
    "tests/scale/",
    "tests/site/",
    "tests/test_colab.py",
    "tests/test_readme.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest files first; mark as slow what is no unit test of the library."""
    root = Path(__file__).resolve().parent.parent
    files = {item: item.path.relative_to(root).as_posix() for item in items}
    ranks = {
        file: next((n for n, part in enumerate(LONGEST_FIRST) if file.startswith(part)), 99)
        for file in files.values()
    }
    items.sort(key=lambda item: ranks[files[item]])  # within a file the order stays
    for item, file in files.items():
        if file.startswith(SLOW) or "wheel" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")


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
    """The folder of real files that TSSBOOK_MIRROR names; without it the test is skipped."""
    folder = os.environ.get("TSSBOOK_MIRROR")
    if not folder:
        pytest.skip("real files are tested where TSSBOOK_MIRROR names their folder")
    if not Path(folder).is_dir():
        pytest.fail(f"TSSBOOK_MIRROR names {folder}, which is no folder")
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

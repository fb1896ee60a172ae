from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

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

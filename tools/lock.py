"""Choose new exact versions: asks pip what it would install, and writes requirements.lock.

Run by ``make lock``. Every package but PyTorch comes in the newest version that fits the ranges of
pyproject.toml and runs on the oldest Python that the book runs on, its first bug-fix releases
included (Debian 12 has 3.11.2). PyTorch is pinned here: the stored outputs were made with it.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH = "torch==2.13.0"
OLDEST_PYTHON = "3.11.0"
HEADER = """\
# Exact versions of everything in all groups of pyproject.toml: what the tests run with.
# Used as a constraints file (pip install --group NAME -c requirements.lock), so that one file
# serves every group. Made by `make lock` (tools/lock.py) on {system} for Python {python} and newer.
"""


def newest_versions() -> list[str]:
    """Return ``name==version`` of every package that the whole project needs, sorted by name."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        pip = [sys.executable, "-m", "pip"]
        install = ["install", "-q", "--dry-run", "--report", str(report)]
        # pip looks through another Python's eyes only when it installs wheels into a folder.
        target = ["--target", folder, "--only-binary", ":all:", "--python-version", OLDEST_PYTHON]
        wanted = [
            "pip",
            TORCH,
            *pyproject["project"]["dependencies"],
            "--group",
            "all",
            "--group",
            "jupyter",
        ]
        subprocess.run([*pip, *install, *target, *wanted], check=True, cwd=ROOT)
        packages = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    # The local part of a version (+cpu, +cu130) says which build, not which version.
    pins = [f"{package['name']}=={package['version'].split('+')[0]}" for package in packages]
    return sorted(pins, key=str.lower)


if __name__ == "__main__":
    pins = newest_versions()
    header = HEADER.format(system=platform.system(), python=OLDEST_PYTHON)
    (ROOT / "requirements.lock").write_text(header + "\n".join(pins) + "\n", encoding="utf-8")
    print(f"requirements.lock: {len(pins)} packages.")

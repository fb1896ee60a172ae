"""Choose new exact versions: asks pip what it would install, and writes requirements.lock.

Run by ``make lock``. Every package but PyTorch comes in the newest version that fits the ranges of
pyproject.toml and runs on the oldest Python that the book runs on, its first bug-fix releases
included (Debian 12 has 3.11.2). PyTorch is pinned here: the stored outputs were made with it.

``python tools/lock.py --hashes`` keeps the versions and asks the index for the checksums alone.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from pathlib import Path

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
TORCH = "torch==2.13.0"
OLDEST_PYTHON = "3.11.0"
HEADER = """\
# Exact versions of everything in all groups of pyproject.toml: what the tests run with, and the
# sha256 of every file that the Python Package Index has of that version, whatever the platform.
# Used as a constraints file, so that one file serves every group, by pip 26.2 or newer:
#     pip install --no-require-hashes -c requirements.lock --group NAME
# PyTorch has no checksum: its CPU builds come from another index.
# Made by `make lock` (tools/lock.py) on {system} for Python {python} and newer.
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


def version_of(file: str) -> Version | None:
    """Return the version that a wheel or a source archive names; None for other files."""
    parse = parse_wheel_filename if file.endswith(".whl") else parse_sdist_filename
    try:
        return parse(file)[1]
    except (InvalidSdistFilename, InvalidVersion, InvalidWheelFilename):
        return None


def checksums(pin: str, files: list[dict]) -> list[str]:
    """Return the sha256 of every file of one version, sorted.

    Parameters
    ----------
    pin
        ``name==version``.
    files
        What the index lists: ``filename`` and ``hashes`` of the files of all versions.

    Raises
    ------
    ValueError
        The index has no file of that version.
    """
    wanted = Version(pin.split("==")[1])
    found = sorted(f["hashes"]["sha256"] for f in files if version_of(f["filename"]) == wanted)
    if not found:
        raise ValueError(f"The index has no file of {pin}.")
    return found


def listed(name: str) -> list[dict]:
    """Return the files of one package as the Python Package Index lists them."""
    from pip._internal.models.index import PyPI  # pip says nowhere else what its index is

    request = urllib.request.Request(  # noqa: S310  pip's own https address
        f"{PyPI.simple_url}/{canonicalize_name(name)}/",
        headers={"Accept": "application/vnd.pypi.simple.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.load(answer)["files"]


def locked(pin: str) -> str:
    """Return the lines of one package: its version and its checksums."""
    if pin == TORCH:
        return pin
    found = checksums(pin, listed(pin.split("==")[0]))
    return " \\\n".join([pin, *(f"    --hash=sha256:{checksum}" for checksum in found)])


if __name__ == "__main__":
    if sys.argv[1:] == ["--hashes"]:
        lines = LOCK.read_text(encoding="utf-8").splitlines()
        pins = [line.removesuffix(" \\") for line in lines if line[:1].isalnum()]
    else:
        pins = newest_versions()
    header = HEADER.format(system=platform.system(), python=OLDEST_PYTHON)
    text = header + "".join(locked(pin) + "\n" for pin in pins)
    LOCK.write_text(text, encoding="utf-8")
    print(f"requirements.lock: {len(pins)} packages.")

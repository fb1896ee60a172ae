"""A chapter in Colab: the setup cell installs the library and replaces nothing that Colab has.

Simulated twice: the setup cell with a recorded pip, and the whole of Chapter 1 in a new virtual
environment that knows the wheel only, from another folder, with no checkout on its path.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import types
import venv
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from nbformat.v4 import new_code_cell

from notebook_rules import BADGE
from tools.notebooks import ROOT, notebook_paths, read, tags, to_text

BOOK = notebook_paths()
IDS = [str(path.relative_to(ROOT)) for path in BOOK]
BOOTSTRAP = re.compile(
    r'import sys\n\nif "google\.colab" in sys\.modules:.*\n(?:    .*(?:\n|\Z)|\n(?=    ))+'
)
KEPT = ("torch", "numpy", "pandas", "matplotlib")
# Run first in the clean environment, which then looks like Colab. The wheel stands in for the
# address of the repository: what is tested is this checkout, not what was published.
LOOK_LIKE_COLAB = """
import subprocess, sys, types
sys.modules["google.colab"] = types.ModuleType("google.colab")
_run = subprocess.run
def run(command, **options):
    command = [{wheel!r} if part.startswith("tssbook @ ") else part for part in command]
    return _run(command, **options)
subprocess.run = run
"""
NO_BOOK = "from importlib.util import find_spec; print(find_spec('tssbook') is None)"
SHOW_WHAT_RAN = """
import json, sys
from importlib.metadata import version
import tssbook
versions = [version(name) for name in {kept}]
print(json.dumps({{"versions": versions, "library": tssbook.__file__, "path": sys.path}}))
"""


def bootstrap(path: Path) -> str:
    """The part of the setup cell that Colab alone runs, with the imports before it."""
    (setup,) = [cell.source for cell in read(path).cells if "setup" in tags(cell)]
    match = re.match(
        r'import sys\n\nif "google\.colab" in sys\.modules:.*\n(?:    .*\n?|\n)+', setup
    )
    assert match, "the setup cell does not begin with the lines for Colab"
    return match[0]


def recorded(source: str, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Run the lines and return the commands that they would have run."""
    commands: list[list[str]] = []

    def run(command: list[str], check: bool) -> None:
        assert check, "a failed installation must not go unnoticed"
        commands.append(command)

    monkeypatch.setattr(subprocess, "run", run)
    exec(compile(source, "setup", "exec"), {})  # noqa: S102  the book's own cell
    return commands


@pytest.mark.parametrize("path", BOOK, ids=IDS)
def test_setup_does_nothing_outside_colab(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert recorded(bootstrap(path), monkeypatch) == []


@pytest.mark.parametrize("path", BOOK, ids=IDS)
def test_setup_installs_the_tag_of_the_badge(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    (command,) = recorded(bootstrap(path), monkeypatch)
    badge = BADGE.search(read(path).cells[0].source)
    assert badge
    book = f" @ git+https://github.com/{badge['repository']}@{badge['tag']}"
    extra = {"appendix-shell": "[cli]", "appendix-many-machines": "[scale]"}.get(path.stem, "")
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert [part for part in command[4:] if not part.startswith("-")] == [
        f"tssbook{extra}{book}",
        *(f"{name}=={version(name)}" for name in KEPT),
    ]
    described = yaml.safe_load((ROOT / "_quarto.yml").read_text(encoding="utf-8"))
    assert f"https://github.com/{badge['repository']}" == described["book"]["repo-url"]


def command(*parts: str | Path, **options: object) -> str:
    """Run a command and return what it printed; a failure shows its stderr."""
    done = subprocess.run([str(p) for p in parts], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def colab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment that sees the packages of this one, as Colab brings its own: no book.

    A path in a .pth file is searched, but .pth files in it (the editable book's) are not read.
    """
    folder = tmp_path_factory.mktemp("colab")
    venv.create(folder, with_pip=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    here = sysconfig.get_paths()["purelib"]
    (site_packages / "seen.pth").write_text(f"{here}\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("chapter", BOOK[:1], ids=IDS[:1])
def test_first_chapter_runs_from_the_wheel_alone(
    chapter: Path, wheel: Path, colab: Path, tmp_path: Path
) -> None:
    nb = read(chapter)
    nb.cells.insert(0, new_code_cell(LOOK_LIKE_COLAB.format(wheel=str(wheel))))
    nb.cells.append(new_code_cell(SHOW_WHAT_RAN.format(kept=KEPT)))
    path = tmp_path / "chapter.ipynb"
    path.write_text(to_text(nb), encoding="utf-8")
    # Its own caches and kernels, no mirror, no way back to the checkout; exact versions.
    hidden = ("PYTHONPATH", "TSSBOOK_MIRROR")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = (
        tmp_path / "pins.txt"
    )  # without the checksums, which Colab's pip would want of everything
    pins.write_text("\n".join(re.findall(r"^[\w.-]+==\S+", lock, re.MULTILINE)))
    env |= {
        "TSSBOOK_CACHE": str(tmp_path / "cache"),
        "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"),
        # As an address: pip splits this variable at spaces, and a folder's name may have one.
        "PIP_CONSTRAINT": pins.as_uri(),
    }
    python = colab / "bin" / "python"
    code = f"from importlib.metadata import version; print(*map(version, {KEPT}))"
    before = command(python, "-c", code).split()
    assert command(python, "-c", NO_BOOK).strip() == "True"
    run = "from nbclient.cli import main; main()"
    command(python, "-c", run, "--inplace", path, cwd=tmp_path, env=env)

    ran = read(path)
    assert all(cell.execution_count for cell in ran.cells if cell.cell_type == "code")
    shown = json.loads(ran.cells[-1].outputs[0].text)
    assert shown["versions"] == before
    assert Path(shown["library"]).is_relative_to(colab)
    packages = Path(sysconfig.get_path("purelib"))  # this environment's, which may lie in ROOT
    others = [Path(entry) for entry in shown["path"] if Path(entry) != packages]
    assert not [entry for entry in others if entry.is_relative_to(ROOT)]

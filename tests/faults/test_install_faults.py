"""tools/venv.sh with a Python that only pretends: what it says, and when it installs again."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
# Answers the questions of venv.sh as the environment variables say, and notes each call of pip.
PYTHON = """\
#!/bin/sh
case "$*" in
    *python_version*) echo "${FAKE_VERSION:-3.12.0}" ;;
    *version_info*) [ -z "${FAKE_VERSION:-}" ] ;;
    *ensurepip*) [ -z "${FAKE_BARE:-}" ] ;;
    "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *--version*) echo "Python 3.12.0" ;;
    "-m pip "*) echo "$*" >>pip.log; exit "${FAKE_PIP:-0}" ;;
    *) exit 99 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a space in its name that holds what venv.sh reads."""
    folder = tmp_path / "the book"
    (folder / "tools").mkdir(parents=True)
    for name in ("pyproject.toml", "requirements.lock", "tools/venv.sh"):
        shutil.copy(ROOT / name, folder / name)
    python = tmp_path / "a pretended python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return folder


def install(checkout: Path, group: str = "site", **answers: str) -> subprocess.CompletedProcess:
    python = str(checkout.parent / "a pretended python")
    env = os.environ | {"PYTHON": python} | answers
    command = ["sh", str(checkout / "tools" / "venv.sh"), group]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def pip_calls(checkout: Path) -> list[str]:
    """What pip was asked for since the last look."""
    log = checkout / "pip.log"
    calls = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return calls


def test_second_run_installs_nothing(checkout: Path) -> None:
    assert install(checkout).returncode == 0
    first, then = pip_calls(checkout)
    assert first.endswith("-r .venv/pip.txt")
    assert then.endswith("--no-require-hashes -c requirements.lock --group site")
    second = install(checkout)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert pip_calls(checkout) == []


def test_the_pip_of_the_lock_comes_first_with_its_checksums(checkout: Path) -> None:
    """An empty lock, which stands for the newest of everything, asks for what venv.sh needs."""
    install(checkout)
    pin, *checksums = (checkout / ".venv" / "pip.txt").read_text().replace("\\\n", "").split()
    assert pin.startswith("pip==")
    assert checksums
    assert all(checksum.startswith("--hash=sha256:") for checksum in checksums)
    (checkout / "requirements.lock").write_text("# none\n")
    install(checkout)
    assert (checkout / ".venv" / "pip.txt").read_text() == "pip>=26.2\n"


def test_everything_includes_each_group_and_the_library(checkout: Path) -> None:
    install(checkout, "all")
    assert pip_calls(checkout)[-1].endswith("--no-build-isolation -e .")
    install(checkout, "site")
    install(checkout, "lint")
    assert pip_calls(checkout) == []


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements.lock"])
def test_new_versions_are_installed(checkout: Path, name: str) -> None:
    install(checkout)
    pip_calls(checkout)
    with (checkout / name).open("a") as file:
        file.write("# changed\n")
    install(checkout)
    assert pip_calls(checkout)


def test_failed_installation_is_tried_again(checkout: Path) -> None:
    assert install(checkout, FAKE_PIP="1").returncode != 0
    pip_calls(checkout)
    assert install(checkout).returncode == 0
    assert pip_calls(checkout)


def test_failed_update_does_not_leave_the_old_stamp(checkout: Path) -> None:
    install(checkout, "site")
    assert install(checkout, "all", FAKE_PIP="1").returncode != 0
    pip_calls(checkout)
    install(checkout, "site")
    assert pip_calls(checkout)


def test_moved_checkout_is_installed_anew(checkout: Path) -> None:
    install(checkout)
    moved = checkout.rename(checkout.parent / "elsewhere")
    pip_calls(moved)
    assert "moved or copied" in install(moved).stderr
    assert pip_calls(moved)


def test_vanished_python_is_replaced(checkout: Path) -> None:
    install(checkout)
    pip_calls(checkout)
    (checkout / ".venv" / "bin" / "python").unlink()
    assert "no longer runs" in install(checkout).stderr
    assert pip_calls(checkout)


def test_old_python_is_named(checkout: Path) -> None:
    done = install(checkout, FAKE_VERSION="3.9.18")
    assert done.returncode == 1
    assert "needs Python 3.11 or newer, but" in done.stderr
    assert "is 3.9.18: install a newer one" in done.stderr
    assert not (checkout / ".venv").exists()


def test_no_python_at_all_is_said(checkout: Path) -> None:
    done = install(checkout, PYTHON="no-such-python")
    assert done.returncode == 1
    assert "but no Python was found" in done.stderr


def test_python_without_venv_is_named(checkout: Path) -> None:
    done = install(checkout, FAKE_BARE="1")
    assert done.returncode == 1
    assert "cannot make virtual environments" in done.stderr
    assert "sudo apt-get install python3-venv" in done.stderr
    assert not (checkout / ".venv").exists()

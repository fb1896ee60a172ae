"""What a class without Internet is handed: files, chapters, and the script that starts it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tools import classroom
from tssbook.data import MissingFile


def test_files_are_packed_once_and_missing_ones_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the level sample alone, folders kept; what cannot be had is said with its reason."""
    (tmp_path / "here.txt").write_text("here")
    catalogue = {
        "a/b.txt": {"level": "sample"},
        "large": {"level": "full"},
        "none": {"level": "sample"},
    }

    def fetch(name: str) -> Path:
        if name == "none":
            raise MissingFile("It has no address.\nAsk somebody.")
        return tmp_path / "here.txt"

    monkeypatch.setattr(classroom, "catalogue", lambda: catalogue)
    monkeypatch.setattr(classroom, "fetch", fetch)
    for _ in range(2):
        assert classroom.pack_files(tmp_path / "data") == ["none: It has no address."]
        packed = [p for p in (tmp_path / "data").rglob("*") if p.is_file()]
        assert packed == [tmp_path / "data" / "a" / "b.txt"]


def test_chapters_come_without_solutions_and_work_is_kept(tmp_path: Path) -> None:
    classroom.pack_chapters(tmp_path)
    first = tmp_path / "chapters" / "01-toy-cnn.ipynb"
    first.write_text("mine")
    classroom.pack_chapters(tmp_path)
    assert first.read_text() == "mine"
    assert not (tmp_path / "solutions").exists()
    assert os.access(tmp_path / "start.sh", os.X_OK)


def test_the_script_installs_from_the_folder_alone_and_once(tmp_path: Path) -> None:
    """With stand-ins for Python and JupyterLab that write down what they were asked."""
    classroom.pack_chapters(tmp_path)
    tools, log = tmp_path / "bin", tmp_path / "log"
    tools.mkdir()
    name = tmp_path.joinpath("start.sh").read_text().split(" -m venv")[0].split()[-1]
    say = f'#!/bin/sh\necho "$(basename "$0") $*" >> "{log}"\n'
    make = 'if [ "$2" = venv ]; then\nmkdir -p venv/bin\ncp "$0" venv/bin/python\n'
    make += 'cp "$0" venv/bin/jupyter\nfi\n'
    (tools / name).write_text(say + make)
    (tools / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    for _ in range(2):
        subprocess.run(["sh", str(tmp_path / "start.sh")], env=env, check=True, cwd="/")
    assert log.read_text().splitlines() == [
        f"{name} -m venv venv",
        "python -m pip install --no-index --find-links wheels tssbook[jupyter,cli]",
        "jupyter lab chapters/01-toy-cnn.ipynb",
        "jupyter lab chapters/01-toy-cnn.ipynb",
    ]

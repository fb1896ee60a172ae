"""files: whole or not there, also when two write at once or the disk is full."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tssbook import files
from tssbook.files import sha256, write_whole, written_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def full(file: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_both_files_or_neither(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    write_whole({first: b"1", second: b"2"})
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")
    with pytest.raises(FileNotFoundError):
        write_whole({first: b"3", tmp_path / "none" / "b": b"4"})
    assert first.read_bytes() == b"1"
    assert names(tmp_path) == ["a", "b"]


def test_two_threads_at_once(tmp_path, monkeypatch):
    both_written = threading.Barrier(2, timeout=10)
    monkeypatch.setattr(files, "to_disk", lambda file: both_written.wait())
    contents = [b"1" * 50, b"2" * 50]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda content: write_whole({tmp_path / "a": content}), contents))
    assert (tmp_path / "a").read_bytes() in contents
    assert names(tmp_path) == ["a"]


def test_a_full_disk_leaves_the_old_files(tmp_path, monkeypatch):
    write_whole({tmp_path / "a": b"1"})
    monkeypatch.setattr(files, "to_disk", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole({tmp_path / "a": b"2", tmp_path / "b": b"2"})
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"1"


def test_written_whole(tmp_path):
    path = tmp_path / "a"
    with written_whole(path) as temporary:
        temporary.write_bytes(b"1")
        assert not path.exists()
    assert path.read_bytes() == b"1"

    def interrupted():
        with written_whole(path) as temporary:
            temporary.write_bytes(b"2")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"1"
    assert names(tmp_path) == ["a"]


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"GATTACA")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"GATTACA").hexdigest()


KILLED = """
import os, signal, sys
from pathlib import Path
from tssbook.files import written_whole
with written_whole(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="processes are asked for by a signal of POSIX")
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "weights"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)])
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    foreign = tmp_path / left.name.replace(platform.node(), "another-machine")
    foreign.write_bytes(b"of somebody who may be alive")
    alive = tmp_path / f".weights.{platform.node()}-{os.getppid()}-1.tmp"
    alive.write_bytes(b"of somebody who is alive")
    write_whole({path: b"whole"})
    assert names(tmp_path) == sorted([alive.name, foreign.name, "weights"])


def test_a_full_disk_says_which(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "to_disk", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole({tmp_path / "a": b"2"})
    assert str(tmp_path / "a") in str(caught.value)

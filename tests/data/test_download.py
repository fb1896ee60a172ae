"""download: the three places, verification, resuming, pinning, two processes at once."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tssbook
from tests.support import CONTENT
from tssbook.data import download


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def visible(folder: Path) -> list[str]:
    """Names in a folder, without the empty lock files."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def interrupt(server, after: int) -> None:
    """Let a download break off after so many bytes."""
    server.cut_after = after
    with pytest.raises(download.MissingFile, match=f"broke off after {after:,} of 7,000 bytes"):
        download.fetch("gattaca.txt")


def test_downloads_once_then_uses_the_cache(entry, server, cache):
    path = download.fetch("gattaca.txt")
    assert path == cache / "gattaca.txt"
    assert path.read_bytes() == CONTENT
    assert visible(cache) == ["gattaca.txt"]
    assert download.fetch("gattaca.txt") == path
    assert len(server.requests) == 1
    assert server.requests[0][1]["User-Agent"] == f"tssbook/{tssbook.__version__}"


def test_mirror_is_used_in_place_and_before_the_internet(
    entry, server, cache, tmp_path, monkeypatch
):
    (tmp_path / "gattaca.txt").write_bytes(CONTENT)
    monkeypatch.setenv("TSSBOOK_MIRROR", str(tmp_path))
    assert download.fetch("gattaca.txt") == tmp_path / "gattaca.txt"
    assert not cache.exists()
    assert server.requests == []


def test_cache_comes_before_the_mirror(entry, cache, tmp_path, monkeypatch):
    for folder in (cache, tmp_path / "mirror"):
        folder.mkdir()
        (folder / "gattaca.txt").write_bytes(CONTENT)
    monkeypatch.setenv("TSSBOOK_MIRROR", str(tmp_path / "mirror"))
    assert download.fetch("gattaca.txt") == cache / "gattaca.txt"


def test_a_file_is_hashed_once_per_process(entry, tmp_path, monkeypatch):
    (tmp_path / "gattaca.txt").write_bytes(CONTENT)
    monkeypatch.setenv("TSSBOOK_MIRROR", str(tmp_path))
    hashed = []
    monkeypatch.setattr(download, "sha256", lambda path: hashed.append(path) or sha(CONTENT))
    for _ in range(3):
        download.fetch("gattaca.txt")
    assert hashed == [tmp_path / "gattaca.txt"]


def test_goes_on_where_a_broken_download_stopped(entry, server, cache):
    interrupt(server, after=3000)
    assert (cache / "gattaca.txt.part").read_bytes() == CONTENT[:3000]
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT
    assert server.requests[-1][1]["Range"] == "bytes=3000-"
    assert visible(cache) == ["gattaca.txt"]


def test_goes_on_through_a_redirect(entry, server):
    entry["url"] = server.url("/moved")
    server.redirects["/moved"] = "/gattaca.txt"
    interrupt(server, after=3000)
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT
    assert server.requests[-1][0] == "/gattaca.txt"
    assert server.requests[-1][1]["Range"] == "bytes=3000-"


@pytest.mark.parametrize("lacking", ["ranges", "etags"])
def test_starts_again_when_the_server_cannot_go_on(entry, server, lacking):
    setattr(server, lacking, False)
    interrupt(server, after=3000)
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT


def test_starts_again_when_the_file_has_changed(entry, server):
    del entry["sha256"], entry["bytes"]  # no checksum would catch a mixture of two versions
    interrupt(server, after=3000)
    server.files["/gattaca.txt"] = CONTENT.lower()
    with pytest.warns(UserWarning, match="was pinned"):
        assert download.fetch("gattaca.txt").read_bytes() == CONTENT.lower()
    assert server.requests[-1][1]["Range"] == "bytes=3000-"  # it did ask


def test_a_part_from_another_address_is_not_continued(entry, server):
    del entry["sha256"], entry["bytes"]
    server.version = "1"  # both addresses call their file version 1
    interrupt(server, after=3000)
    server.files["/other.txt"] = CONTENT.lower()
    entry["url"] = server.url("/other.txt")
    with pytest.warns(UserWarning, match="was pinned"):
        assert download.fetch("gattaca.txt").read_bytes() == CONTENT.lower()


def test_a_complete_part_is_not_an_error(entry, server, cache):
    interrupt(server, after=3000)
    (cache / "gattaca.txt.part").write_bytes(CONTENT)  # stopped between last byte and rename
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT  # the server answers 416 first


def test_second_address_when_the_first_is_gone(entry, server):
    entry["url"], entry["mirrors"] = server.url("/gone"), [server.url("/gattaca.txt")]
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT


def test_second_address_when_the_first_gives_something_else(entry, server, cache):
    server.files["/stale.txt"] = CONTENT.lower()
    entry["url"], entry["mirrors"] = server.url("/stale.txt"), [server.url("/gattaca.txt")]
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT
    assert visible(cache) == ["gattaca.txt"]


def test_unknown_checksum_is_pinned_and_then_held(entry, cache, server):
    del entry["sha256"]
    with pytest.warns(UserWarning, match=rf"gattaca.txt.*{sha(CONTENT)} was pinned in .*pins.json"):
        path = download.fetch("gattaca.txt")
    assert json.loads((cache / "pins.json").read_text()) == {"gattaca.txt": sha(CONTENT)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        download.fetch("gattaca.txt")  # no second warning
    path.unlink()
    server.files["/gattaca.txt"] = CONTENT.lower()
    with pytest.raises(download.ChecksumError, match=r"pins\.json describes"):
        download.fetch("gattaca.txt")
    assert visible(cache) == ["pins.json"]


def test_a_pinned_file_in_the_cache_is_not_hashed_again(entry, monkeypatch):
    del entry["sha256"]
    with pytest.warns(UserWarning, match="was pinned"):
        path = download.fetch("gattaca.txt")
    hashed = []
    monkeypatch.setattr(download, "sha256", hashed.append)
    assert download.fetch("gattaca.txt") == path
    assert hashed == []


def test_a_file_put_into_the_cache_by_hand_is_pinned(entry, cache, server):
    del entry["sha256"]
    cache.mkdir()
    (cache / "gattaca.txt").write_bytes(CONTENT)
    with pytest.warns(UserWarning, match=f"{sha(CONTENT)} was pinned"):
        download.fetch("gattaca.txt")
    assert server.requests == []


def test_a_warning_points_at_the_caller(entry):
    del entry["sha256"]
    with pytest.warns(UserWarning, match="pinned") as caught:
        download.fetch("gattaca.txt")
    assert caught[0].filename == __file__


def child(entry: dict[str, object]) -> subprocess.Popen[bytes]:
    """Fetch in another process."""
    code = (
        "from tssbook import download\n"
        f"download._catalogue = lambda: {{'gattaca.txt': {entry!r}}}\n"
        "download.fetch('gattaca.txt')"
    )
    package_root = str(Path(download.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": package_root},
        stderr=subprocess.PIPE,
    )


def wait_for(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited 20 s in vain"
        time.sleep(0.01)


def test_two_processes_download_once(entry, server, cache):
    server.gate.clear()
    children = [child(entry) for _ in range(2)]
    wait_for(lambda: server.requests)
    threading.Timer(0.5, server.gate.set).start()  # time for the other to meet the lock
    for process in children:
        assert process.communicate(timeout=30)[1] == b""
        assert process.returncode == 0
    assert (cache / "gattaca.txt").read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_ctrl_c_keeps_the_part(entry, server, cache):
    content = bytes(range(256)) * 8192  # 2 MiB: several chunks arrive before the server waits
    server.files["/gattaca.txt"] = content
    entry |= {"sha256": sha(content), "bytes": len(content)}
    server.gate.clear()
    process = child(entry)
    part = cache / "gattaca.txt.part"
    wait_for(lambda: part.exists() and part.stat().st_size > 0)
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate(timeout=30)[1]
    kept = part.stat().st_size
    assert 0 < kept < len(content)
    server.gate.set()
    assert download.fetch("gattaca.txt").read_bytes() == content
    assert server.requests[-1][1]["Range"] == f"bytes={kept}-"


def test_progress_bar_only_when_wanted(entry, cache, capsys):
    download.fetch("gattaca.txt")
    assert capsys.readouterr().err == ""
    (cache / "gattaca.txt").unlink()
    download.fetch("gattaca.txt", progress=True)
    assert "gattaca.txt: 100%" in capsys.readouterr().err


def test_cache_folder_without_the_variable(monkeypatch):
    monkeypatch.delenv("TSSBOOK_CACHE", raising=False)
    assert download.cache_folder().is_absolute()
    assert "tssbook" in str(download.cache_folder())


def test_write_whole_replaces_both_files_or_neither(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    download.write_whole({first: b"1", second: b"2"})
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")
    with pytest.raises(FileNotFoundError):
        download.write_whole({first: b"3", tmp_path / "none" / "b": b"4"})
    assert first.read_bytes() == b"1"
    assert visible(tmp_path) == ["a", "b"]


def test_write_whole_in_two_threads_at_once(tmp_path, monkeypatch):
    both_written = threading.Barrier(2, timeout=10)
    monkeypatch.setattr(download, "_to_disk", lambda file: (file.flush(), both_written.wait()))
    contents = [b"1" * 50, b"2" * 50]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda content: download.write_whole({tmp_path / "a": content}), contents))
    assert (tmp_path / "a").read_bytes() in contents
    assert visible(tmp_path) == ["a"]


FIELDS = {"url", "how", "mirrors", "sha256", "bytes", "about", "licence", "source", "content"}


@pytest.mark.parametrize("name", sorted(download._catalogue()))
def test_catalogue_is_complete(name):
    entry = download._catalogue()[name]
    assert set(entry) <= FIELDS
    assert {"licence", "source", "content"} <= set(entry)
    assert ("url" in entry) != ("how" in entry)
    for url in [entry.get("url", "https://"), *entry.get("mirrors", [])]:
        assert url.startswith("https://")
    if "sha256" in entry:
        assert len(entry["sha256"]) == 64
        assert entry["bytes"] > 0


def test_mirror_holds_what_the_catalogue_says(tmp_path, monkeypatch):
    mirror = Path(os.environ.get("TSSBOOK_MIRROR", "no-mirror")).absolute()
    names = [name for name in download._catalogue() if (mirror / name).is_file()]
    if not names:
        pytest.skip("TSSBOOK_MIRROR names no mirror folder")
    monkeypatch.setenv("TSSBOOK_CACHE", str(tmp_path))
    for name in names:
        assert download.fetch(name) == mirror / name

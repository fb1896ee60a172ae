"""download: the three places, verification, resuming, two processes at once, the catalogue."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import tssbook
from tests.support import CONTENT
from tools.data_readme import README, page
from tssbook.data import download

ROOT = README.parent.parent


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


def test_a_name_with_a_folder_is_downloaded_into_it(entry, cache, monkeypatch):
    monkeypatch.setattr(download, "catalogue", lambda: {"far/away/gattaca.txt": entry})
    assert download.fetch("far/away/gattaca.txt").read_bytes() == CONTENT
    assert visible(cache / "far" / "away") == ["gattaca.txt"]


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


def test_starts_again_when_the_server_cannot_go_on(entry, server):
    server.ranges = False
    interrupt(server, after=3000)
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT


@pytest.mark.parametrize("n_bytes", [3000, 6999, 7000, 7001])
@pytest.mark.parametrize("known", [{"bytes", "sha256"}, {"sha256"}])
def test_a_part_of_something_else_is_thrown_away(entry, server, cache, known, n_bytes):
    """Such as of an earlier version of the file, or of an interrupted other program."""
    for key in {"bytes", "sha256"} - known:
        del entry[key]
    cache.mkdir()
    (cache / "gattaca.txt.part").write_bytes(b"X" * n_bytes)
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT
    assert "Range" not in server.requests[-1][1]
    assert visible(cache) == ["gattaca.txt"]


def test_a_complete_part_is_not_asked_for_again(entry, server, cache):
    cache.mkdir()
    (cache / "gattaca.txt.part").write_bytes(CONTENT)  # stopped between last byte and rename
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT
    assert server.requests == []


def test_a_broken_download_goes_on_at_the_second_address(entry, server):
    server.files["/other.txt"] = CONTENT
    entry["mirrors"] = [server.url("/other.txt")]
    server.cut_after = 3000
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT
    assert server.requests[-1][0] == "/other.txt"
    assert server.requests[-1][1]["Range"] == "bytes=3000-"


def test_second_address_when_the_first_is_gone(entry, server):
    entry["url"], entry["mirrors"] = server.url("/gone"), [server.url("/gattaca.txt")]
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT


def test_second_address_when_the_first_gives_something_else(entry, server, cache):
    server.files["/stale.txt"] = CONTENT.lower()
    entry["url"], entry["mirrors"] = server.url("/stale.txt"), [server.url("/gattaca.txt")]
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT
    assert visible(cache) == ["gattaca.txt"]


def test_a_file_of_unknown_size_and_checksum(entry, server, cache):
    del entry["sha256"], entry["bytes"]
    interrupt(server, after=3000)
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT
    assert server.requests[-1][1]["Range"] == "bytes=3000-"
    (cache / "gattaca.txt").write_bytes(b"put there by hand")
    assert download.fetch("gattaca.txt").read_bytes() == b"put there by hand"


def child(entry: dict[str, object]) -> subprocess.Popen[bytes]:
    """Fetch in another process."""
    code = (
        "from tssbook.data import download\n"
        f"download.catalogue = lambda: {{'gattaca.txt': {entry!r}}}\n"
        "download.fetch('gattaca.txt')"
    )
    package_root = str(Path(tssbook.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": package_root},
        stderr=subprocess.PIPE,
    )


def wait_for(condition) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "waited 120 s in vain"
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


# --- the folder of downloads --------------------------------------------------------------------


def test_data_folder_of_a_checkout(monkeypatch):
    monkeypatch.delenv("TSSBOOK_CACHE", raising=False)
    assert download.cache_folder() == ROOT / "data"
    for name, ignored in (("data/x.bin", 0), ("data/README.md", 1), ("lib/tssbook/data/x.py", 1)):
        git = ["git", "check-ignore", "-q", "--no-index", name]
        assert subprocess.run(git, cwd=ROOT).returncode == ignored


def test_data_folder_of_an_installed_package(monkeypatch, tmp_path):
    monkeypatch.delenv("TSSBOOK_CACHE", raising=False)
    monkeypatch.setattr(download, "__file__", str(tmp_path / "a" / "b" / "c" / "download.py"))
    assert download.cache_folder().is_absolute()
    assert tmp_path not in download.cache_folder().parents
    assert "tssbook" in str(download.cache_folder())
    (tmp_path / "_quarto.yml").touch()
    (tmp_path / "pyproject.toml").touch()
    assert download.cache_folder() == tmp_path / "data"


def test_data_folder_that_the_reader_names(monkeypatch, tmp_path):
    monkeypatch.setenv("TSSBOOK_CACHE", str(tmp_path))
    assert download.cache_folder() == tmp_path


# --- the catalogue ------------------------------------------------------------------------------


FIELDS = {
    "level", "url", "how", "mirrors", "sha256", "bytes", "about", "checked", "licence", "source",
    "content",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(download.catalogue()))
def test_catalogue_is_complete(name):
    entry = download.catalogue()[name]
    assert set(entry) <= FIELDS
    assert {"licence", "source", "content"} <= set(entry)
    assert ("url" in entry) != ("how" in entry)
    assert entry["level"] in ("sample", "full")
    assert "sha256" in entry or "checked" in entry or entry["level"] == "full"
    for url in [entry.get("url", "https://"), *entry.get("mirrors", [])]:
        assert url.startswith("https://")
    if "sha256" in entry:
        assert len(entry["sha256"]) == 64
        assert entry["bytes"] > 0


def test_readme_of_the_data_folder_is_what_the_catalogue_says():
    """If this fails: ``python tools/data_readme.py``."""
    assert README.read_text(encoding="utf-8") == page()
    assert all(f"| `{name}` |" in page() for name in download.catalogue())


def test_mirror_holds_what_the_catalogue_says(tmp_path, monkeypatch):
    mirror = Path(os.environ.get("TSSBOOK_MIRROR", "no-mirror")).absolute()
    names = [name for name in download.catalogue() if (mirror / name).is_file()]
    if not names:
        pytest.skip("TSSBOOK_MIRROR names no mirror folder")
    monkeypatch.setenv("TSSBOOK_CACHE", str(tmp_path))
    for name in names:
        assert download.fetch(name) == mirror / name

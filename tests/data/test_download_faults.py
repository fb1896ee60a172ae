"""download, when things go wrong: one sentence each, and nothing half-written."""

from __future__ import annotations

import errno
import hashlib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse, IncompleteRead
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest

from tests.support import CONTENT, read_only_folder, refusal
from tssbook.data import download


def refused(error: type[Exception]) -> str:
    """The message with which fetch refuses."""
    return refusal(lambda: download.fetch("gattaca.txt"), error)


def left(cache) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


def assert_tells_what_to_do(message: str, entry, cache) -> None:
    for words in (
        "gattaca.txt (0.01 MB)",
        entry["url"],
        str(cache / "gattaca.txt"),
        "TSSBOOK_MIRROR",
    ):
        assert words in message


def test_no_network(entry, cache):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        entry["url"] = f"http://127.0.0.1:{closed.getsockname()[1]}/gattaca.txt"
    message = refused(download.MissingFile)
    assert_tells_what_to_do(message, entry, cache)
    assert "Connection refused" in message
    assert left(cache) == []


def test_not_found(entry, cache, server):
    entry["url"] = server.url("/gone")
    message = refused(download.MissingFile)
    assert_tells_what_to_do(message, entry, cache)
    assert "HTTP 404" in message
    assert left(cache) == []


def test_every_address_that_failed_is_named(entry, server):
    entry["url"], entry["mirrors"] = server.url("/gone"), [server.url("/lost")]
    message = refused(download.MissingFile)
    assert "/gone: HTTP 404" in message
    assert "/lost: HTTP 404" in message


def test_cut_off_says_what_is_kept(entry, cache, server):
    server.cut_after = 3000
    message = refused(download.MissingFile)
    assert_tells_what_to_do(message, entry, cache)
    assert "broke off after 3,000 of 7,000 bytes; 3,000 bytes are kept to go on from" in message
    assert left(cache) == ["gattaca.txt.part"]


def test_silent_server(entry, cache, server, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT", 0.2)
    server.gate.clear()
    assert "timed out" in refused(download.MissingFile)


@pytest.mark.parametrize(
    "error",
    [
        ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
        OSError(errno.EHOSTUNREACH, "No route to host"),
        IncompleteRead(b""),
    ],
    ids=lambda error: type(error).__name__,
)
def test_network_that_fails_while_reading(entry, cache, server, monkeypatch, error):
    entry["mirrors"] = [server.url("/other.txt")]
    read, asked = HTTPResponse.read1, []

    def fail(response, amount=None):
        asked.append(response)
        if len(asked) % 2 == 0:
            raise error
        return read(response, 3000)

    with monkeypatch.context() as broken:
        broken.setattr(HTTPResponse, "read1", fail)
        message = refused(download.MissingFile)
    assert_tells_what_to_do(message, entry, cache)
    assert getattr(error, "strerror", None) or "IncompleteRead" in message
    assert "/other.txt: " in message
    assert "3,000 bytes are kept" in message
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT
    assert server.requests[-1][1]["Range"] == "bytes=3000-"


def test_wrong_content_from_every_address(entry, cache, server):
    server.files["/gattaca.txt"] = CONTENT.lower()
    entry["mirrors"] = [server.url("/gone")]
    message = refused(download.ChecksumError)
    assert_tells_what_to_do(message, entry, cache)
    assert hashlib.sha256(CONTENT.lower()).hexdigest() in message
    assert f"wanted the sha256 {entry['sha256']}" in message
    assert "/gone: HTTP 404" in message
    assert left(cache) == []


def test_wrong_size_is_refused_before_it_is_downloaded(entry, cache, server):
    server.files["/gattaca.txt"] = b"<html>Please log in to the hotel's network</html>"
    message = refused(download.ChecksumError)
    assert "49 bytes" in message
    assert "7,000" in message
    assert left(cache) == []


def test_wrong_size_in_the_cache(entry, cache):
    cache.mkdir()
    (cache / "gattaca.txt").write_bytes(CONTENT[:-1])
    message = refused(download.ChecksumError)
    assert "6,999 bytes; wanted 7,000" in message
    assert (cache / "gattaca.txt").exists()  # it may be the user's own copy


@pytest.mark.parametrize("where", ["TSSBOOK_MIRROR", "TSSBOOK_CACHE"])
def test_wrong_content_of_a_local_copy(entry, tmp_path, server, monkeypatch, where):
    monkeypatch.setenv(where, str(tmp_path))
    (tmp_path / "gattaca.txt").write_bytes(CONTENT.lower())
    assert str(tmp_path / "gattaca.txt") in refused(download.ChecksumError)
    assert server.requests == []


@pytest.mark.parametrize("inside", ["", "not-made-yet"])
def test_read_only_cache(entry, monkeypatch, inside):
    with read_only_folder() as folder:
        monkeypatch.setenv("TSSBOOK_CACHE", str(folder / inside))
        message = refused(download.MissingFile)
        assert_tells_what_to_do(message, entry, folder / inside)
        assert "Permission denied" in message
        assert list(folder.iterdir()) == []


def test_full_disk(entry, cache, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(download, "to_disk", full)
        message = refused(download.MissingFile)
    assert_tells_what_to_do(message, entry, cache)
    assert "No space left on device" in message
    assert left(cache) == ["gattaca.txt.part"]
    assert download.fetch("gattaca.txt").read_bytes() == CONTENT


def test_file_without_an_address(entry, cache):
    del entry["url"]
    entry["how"] = "the word GATTACA written a thousand times"
    message = refused(download.MissingFile)
    assert entry["how"] in message
    assert str(cache / "gattaca.txt") in message


def test_mirror_folder_without_the_file(entry, cache, server, tmp_path, monkeypatch):
    entry["url"] = server.url("/gone")
    monkeypatch.setenv("TSSBOOK_MIRROR", str(tmp_path))
    assert f"not in the mirror folder {tmp_path}" in refused(download.MissingFile)
    monkeypatch.setenv("TSSBOOK_MIRROR", str(tmp_path / "none"))
    assert f"{tmp_path / 'none'} does not exist" in refused(download.MissingFile)


def test_unknown_name():
    with pytest.raises(ValueError, match=r"'pufin.pth' is not .* choose puffin.pth"):
        download.fetch("pufin.pth")
    with pytest.raises(ValueError, match=r"choose .*human_tss\.tsv"):  # nothing near: all
        download.fetch("zzz")


def test_a_path_is_not_a_name(tmp_path):
    with pytest.raises(ValueError, match="is not a file that tssbook knows"):
        download.fetch("../../etc/passwd")


# --- hostile answers ----------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\n"
HOSTILE = {
    "a length of letters": OK + b"Content-Length: abc\r\n\r\nxx",
    "a negative length": OK + b"Content-Length: -5\r\n\r\nxx",
    "an endless body": OK + b"\r\n" + b"x" * 1_000_000,
    "a long body under the right length": OK + b"Content-Length: 7000\r\n\r\n" + b"x" * 9_000,
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "content that was changed on the way": b"HTTP/1.1 203 Other\r\n\r\n" + CONTENT,
    "a part that was not asked for": b"HTTP/1.1 206 Partial\r\nContent-Length: 7000\r\n\r\n"
    + CONTENT,
    "a status without a meaning": b"HTTP/1.1 999 What\r\n\r\n" + CONTENT,
    "no HTTP": b"\x00\xff\xfe nothing\r\n\r\n",
    "nothing": b"",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "chunks that are none": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nxx\r\n",
    "a page": OK + b"\r\n<!DOCTYPE html><html>sign in</html>",
    "a redirection to nowhere": b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n",
    "a redirection to a file": b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
}


@contextmanager
def answering(content: bytes, pause: float = 0.0) -> Iterator[str]:
    """A server that says one thing to everybody; with a pause it sends byte by byte."""

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            with suppress(OSError):  # who asked may have gone
                for part in [content] if not pause else map(bytes, zip(content, strict=True)):
                    self.request.sendall(part)
                    time.sleep(pause)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/gattaca.txt"
        server.shutdown()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answer_with_a_good_mirror_behind(entry, cache, server, name):
    with answering(HOSTILE[name]) as url:
        entry["url"], entry["mirrors"] = url, [server.url("/gattaca.txt")]
        assert download.fetch("gattaca.txt").read_bytes() == CONTENT
    assert left(cache) == ["gattaca.txt"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answer_alone(entry, cache, name):
    with answering(HOSTILE[name]) as url:
        entry["url"] = url
        assert url in refused(OSError)
    assert not (cache / "gattaca.txt").exists()
    part = cache / "gattaca.txt.part"
    assert not part.exists() or part.stat().st_size <= len(CONTENT)


def test_a_server_that_sends_a_byte_now_and_then(entry, server, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT", 0.2)
    monkeypatch.setattr(download, "_SLOWEST", 1_000_000)
    with answering(OK + b"Content-Length: 7000\r\n\r\n" + CONTENT, pause=0.01) as url:
        entry["url"], entry["mirrors"] = url, [server.url("/gattaca.txt")]
        start = time.monotonic()
        assert download.fetch("gattaca.txt").read_bytes() == CONTENT
        assert time.monotonic() - start < 10


def test_a_page_in_place_of_a_file_whose_checksum_is_not_known(cache, server, monkeypatch):
    """The largest files have no checksum here; a page that asks to sign in is none of them."""
    server.files["/weights.gz"] = b"<!DOCTYPE html><html>sign in</html>"
    files = {"weights.gz": {"url": server.url("/weights.gz")}}
    monkeypatch.setattr(download, "catalogue", lambda: files)
    message = refusal(lambda: download.fetch("weights.gz"), download.ChecksumError)
    assert "the first bytes b'<!'" in message
    assert left(cache) == []

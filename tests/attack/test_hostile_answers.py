"""Servers that answer what they should not: the mirror behind them is asked, or one sentence."""

from __future__ import annotations

import gzip
import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.attack.attacks import Attack, files_in, outcome
from tests.support import CONTENT
from tssbook.data import download

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = OK + b"Content-Length: 7000\r\n"
Answer = Callable[[socket.socket], None]


def plain(content: bytes) -> Answer:
    return lambda connection: connection.sendall(content)


def redirected(to: bytes, status: bytes = b"302 Found") -> Answer:
    head = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nLocation: "
    return plain(head + to + b"\r\n\r\n")


def status(line: bytes, body: bytes = b"", fields: bytes = b"") -> Answer:
    length = b"Content-Length: %d\r\n" % len(body)
    return plain(b"HTTP/1.1 " + line + b"\r\n" + length + fields + b"\r\n" + body)


def endless(head: bytes, chunk: bytes = b"x" * 65_536) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range(10_000):  # 655 MB, if nobody stops it
            connection.sendall(chunk)

    return answer


def drip(head: bytes, content: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        for byte in content:
            connection.sendall(bytes([byte]))
            time.sleep(0.01)

    return answer


def reset(connection: socket.socket) -> None:
    connection.sendall(LENGTH + b"\r\n" + CONTENT[:3000])
    time.sleep(0.02)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent(connection: socket.socket) -> None:
    connection.recv(1)  # until who asked has given up


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7000\n"
PAGE = b"<!DOCTYPE html><html>Please log in</html>"
PART = b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n"
ANSWERS: dict[str, Answer] = {
    "an endless body": endless(OK + b"\r\n"),
    "an endless body under the right length": endless(LENGTH + b"\r\n"),
    "endless chunks": endless(
        OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    ),
    "endless headers": endless(OK, b"X-Y: " + b"z" * 65_000 + b"\r\n"),
    "20,000 headers": plain(OK + b"X-Y: z\r\n" * 20_000 + b"\r\n" + CONTENT),
    "an endless status line": endless(b"HTTP/1.1 200 "),
    "1,000 informations": plain(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "too short": plain(LENGTH + b"\r\n" + CONTENT[:3000]),
    "too short without a length": plain(OK + b"\r\n" + CONTENT[:3000]),
    "too long": plain(OK + b"Content-Length: 9000\r\n\r\n" + CONTENT + b"x" * 2000),
    "too long under the right length": plain(LENGTH + b"\r\n" + CONTENT + b"x" * 2000),
    "a length of letters": plain(OK + b"Content-Length: abc\r\n\r\n" + CONTENT),
    "a negative length": plain(OK + b"Content-Length: -7000\r\n\r\n" + CONTENT),
    "a huge length": plain(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + CONTENT),
    "two lengths": plain(LENGTH + b"Content-Length: 5\r\n\r\n" + CONTENT[:5]),
    "204": status(b"204 No Content"),
    "301 to itself": redirected(b"/gattaca.txt", b"301 Moved Permanently"),
    "302 to a file": redirected(b"file:///etc/passwd"),
    "302 to ftp": redirected(b"ftp://127.0.0.1/etc/passwd"),
    "302 to a port that is none": redirected(b"http://127.0.0.1:99999/"),
    "302 to bytes": redirected(b"\xff\xfe\x00"),
    "302 without a place": status(b"302 Found"),
    "403": status(b"403 Forbidden", PAGE),
    "404": status(b"404 Not Found", PAGE),
    "404 without an end": endless(b"HTTP/1.1 404 Not Found\r\n\r\n"),
    "416": status(b"416 Range Not Satisfiable"),
    "401 with a riddle": status(b"401 Unauthorized", PAGE, b"WWW-Authenticate: \xff\r\n"),
    "500": status(b"500 Internal Server Error", PAGE),
    "206 that was not asked for": plain(PART % 7000 + b"\r\n" + CONTENT),
    "gzip inside": status(b"200 OK", gzip.compress(CONTENT), b"Content-Encoding: gzip\r\n"),
    "a page": status(b"200 OK", PAGE),
    "a page of the right length": plain(LENGTH + b"\r\n" + PAGE.ljust(7000)),
    "a slow drip": drip(LENGTH + b"\r\n", CONTENT),
    "silence": silent,
    "a connection that is reset": reset,
    "garbage of TLS": plain(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500),
    "a chunk without a length": plain(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nxx\r\n"),
    "a chunk of a negative length": plain(OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nxx\r\n"),
    "a chunk of a huge length": plain(
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 300 + b"\r\nxx\r\n"
    ),
    "other content of the right length": plain(LENGTH + b"\r\n" + CONTENT.lower()),
    "nothing": plain(b""),
    "an empty file": status(b"200 OK"),
    "a Git LFS pointer": status(b"200 OK", POINTER),
    "HTTP 0.9": plain(CONTENT),
}  # fmt: skip
# To one who goes on from 3,000 bytes.
PARTS: dict[str, Answer] = {
    "without saying which": plain(PART % 4000 + b"\r\n" + CONTENT[:4000]),
    "from another place": plain(
        PART % 4000 + b"Content-Range: bytes 0-3999/7000\r\n\r\n" + CONTENT[:4000]
    ),
    "of nonsense": plain(PART % 4000 + b"Content-Range: bytes abc\r\n\r\n" + CONTENT[:4000]),
    "416 for ever": status(b"416 Range Not Satisfiable"),
}


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A server that answers everybody in one way."""
    listening = socket.create_server(("127.0.0.1", 0))

    def one(connection: socket.socket) -> None:
        with suppress(OSError), connection:  # who asked may have gone
            connection.recv(65_536)
            answer(connection)

    def serve() -> None:
        with suppress(OSError):  # until it is closed
            for _ in itertools.count():
                connection, _ = listening.accept()
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/gattaca.txt"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A second without a byte is too long, and so are two in all."""
    monkeypatch.setattr(download, "_TIMEOUT", 0.5)
    monkeypatch.setattr(download, "_SLOWEST", 1_000_000)


def fetched(kind: str, cache, mirror: bool) -> None:
    """With a mirror the file arrives; without one a sentence, and nothing under its name."""
    begin = time.monotonic()
    how, what = outcome(lambda: download.fetch("gattaca.txt").read_bytes(), ["gattaca.txt"])
    right = (how, what) == ("read", ("bytes", repr(CONTENT)))  # some bring it all the same
    refused = not mirror and how == "refused" and not (cache / "gattaca.txt").exists()
    harm = None if right or refused else f"{how}: {str(what)[:200]}"
    part = cache / "gattaca.txt.part"
    if part.exists() and (mirror or part.stat().st_size > len(CONTENT)):
        harm = f"left {files_in(cache)}, {part.stat().st_size:,} bytes"
    if time.monotonic() - begin > 60:
        harm = f"took {time.monotonic() - begin:.0f} s"
    with Attack("hostile answers") as attack:
        attack.tried(harm and f"{kind}: {harm}")


@pytest.mark.parametrize("mirror", [True, False], ids=["mirror", "alone"])
@pytest.mark.parametrize("kind", ANSWERS)
def test_answer(entry, cache, server, kind, mirror):
    with answering(ANSWERS[kind]) as url:
        entry |= {"url": url, "mirrors": [server.url("/gattaca.txt")] if mirror else []}
        fetched(kind, cache, mirror)


@pytest.mark.parametrize("mirror", [True, False], ids=["mirror", "alone"])
@pytest.mark.parametrize("kind", PARTS)
def test_part(entry, cache, server, kind, mirror):
    cache.mkdir()
    (cache / "gattaca.txt.part").write_bytes(CONTENT[:3000])
    with answering(PARTS[kind]) as url:
        entry |= {"url": url, "mirrors": [server.url("/gattaca.txt")] if mirror else []}
        fetched(kind, cache, mirror)


@pytest.mark.parametrize("kind", PARTS)
def test_part_of_a_file_whose_checksum_is_not_known(entry, cache, server, kind):
    """Only the range that was asked for is put behind a part."""
    cache.mkdir()
    (cache / "gattaca.txt.part").write_bytes(CONTENT[:3000])
    del entry["sha256"], entry["bytes"]
    with answering(PARTS[kind]) as url:
        entry |= {"url": url, "mirrors": [server.url("/gattaca.txt")]}
        fetched(f"{kind}, no checksum", cache, True)

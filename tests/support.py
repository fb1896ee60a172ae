"""For several test files: refusals, a pickle bomb, a file server, a read-only folder."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

NOBODY = 65534
CONTENT = b"GATTACA" * 1000  # 7,000 bytes, what the file server has
# Skipped with a reason where no mirror is named; a mirror that is not there is an error.
needs_mirror = pytest.mark.usefixtures("mirror")


def refusal(call, error: type[Exception] = ValueError) -> str:
    """The message with which the call refuses: one line."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


class Bomb:
    """A pickle that makes a folder when it is read."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


class FileServer(ThreadingHTTPServer):
    """Serves ``files`` and does what the attributes say; ``requests`` remembers what was asked.

    Attributes
    ----------
    files : dict
        Path to content.
    redirects : dict
        Path to the path to look at instead.
    ranges : bool
        Whether the server knows byte ranges.
    cut_after : int or None
        The next answer stops after so many bytes of its body, without a word.
    gate : threading.Event
        While it is not set, an answer stops after its first half and waits.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.ranges = True
        self.cut_after: int | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.requests: list[tuple[str, dict[str, str]]] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        if self.path in self.server.redirects:
            self.send_response(302)
            self.send_header("Location", self.server.url(self.server.redirects[self.path]))
            self.end_headers()
            return
        if self.path not in self.server.files:
            self.send_error(404)
            return
        self._send(self.server.files[self.path])

    def _send(self, content: bytes) -> None:
        start = 0
        if self.server.ranges and "Range" in self.headers:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if start and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if self.server.cut_after is not None:
            body, self.server.cut_after = body[: self.server.cut_after], None
        half = len(body) // 2
        self.wfile.write(body[:half])
        self.wfile.flush()
        self.server.gate.wait(20)
        self.wfile.write(body[half:])

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@contextmanager
def file_server() -> Iterator[FileServer]:
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.gate.set()
            server.shutdown()
            thread.join()


@contextmanager
def read_only_folder(files: dict[str, bytes] | None = None) -> Iterator[Path]:
    """A folder without write permission; root, whom permissions do not bind, becomes nobody."""
    folder = Path(tempfile.mkdtemp())
    for name, content in (files or {}).items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o444)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)

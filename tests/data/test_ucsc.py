"""A sequence by its coordinates: from a file, from UCSC, and kept; what is refused."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support import file_server, read_only_folder, refusal
from tssbook import __version__
from tssbook.data import ucsc as ucsc_api
from tssbook.data.download import MissingFile
from tssbook.data.ucsc import fetch_sequence

PATH = "/getData/sequence?genome=hg38;chrom=chrM;start=0;end=10"
ANSWER = {"genome": "hg38", "chrom": "chrM", "start": 0, "end": 10, "dna": "GATcacaggt"}


@pytest.fixture
def ucsc(server, cache, monkeypatch):
    """A server that answers like UCSC's; an empty data folder."""
    monkeypatch.setattr(ucsc_api, "_UCSC", server.url(""))
    server.files[PATH] = json.dumps(ANSWER).encode()
    return server


def test_from_a_file(tmp_path):
    (tmp_path / "genome.fa").write_text(">chr1\nGATTACAGATTACA\n")
    assert fetch_sequence("chr1", 5, 9, fasta=tmp_path / "genome.fa") == "CAGA"
    message = refusal(lambda: fetch_sequence("chr1", 9, 15, fasta=tmp_path / "genome.fa"))
    assert "chr1" in message
    assert "14 bp" in message


def test_from_ucsc_once(ucsc, cache):
    assert fetch_sequence("chrM", 0, 10) == "GATCACAGGT"
    assert fetch_sequence("chrM", 0, 10) == "GATCACAGGT"
    ((path, headers),) = ucsc.requests
    assert path == PATH
    assert headers["User-Agent"] == f"tssbook/{__version__}"
    assert [p.name for p in (cache / "ucsc").iterdir()] == ["hg38_chrM_0_10.txt"]


@pytest.mark.parametrize("kept", [b"GAT", b"GATTACAXXX", b"GATTACA\xff\0\0"])
def test_a_damaged_copy_is_got_again(ucsc, cache, kept):
    (cache / "ucsc").mkdir(parents=True)
    (cache / "ucsc" / "hg38_chrM_0_10.txt").write_bytes(kept)
    assert fetch_sequence("chrM", 0, 10) == "GATCACAGGT"
    assert (cache / "ucsc" / "hg38_chrM_0_10.txt").read_text() == "GATCACAGGT"


def test_a_folder_that_cannot_be_written(ucsc, monkeypatch):
    with read_only_folder() as folder:
        monkeypatch.setenv("TSSBOOK_CACHE", str(folder))
        assert fetch_sequence("chrM", 0, 10) == "GATCACAGGT"


# --- refusals -----------------------------------------------------------------------------------


class Answering(ThreadingHTTPServer):
    """Gives one answer to everything."""

    status, body = 200, b""


class _Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def answering(cache, monkeypatch):
    with Answering(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(ucsc_api, "_UCSC", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()
        thread.join()


def test_ucsc_refuses(answering, cache):
    answering.status = 400
    answering.body = b'{"error": "can not find chrom=\'chrMX\'",\n "statusCode": 400}'
    message = refusal(lambda: fetch_sequence("chrMX", 0, 10))
    assert "genome=hg38;chrom=chrMX" in message
    assert "can not find chrom='chrMX'" in message
    assert not (cache / "ucsc").exists()


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (200, b'{"dna": "GATTA', ""),
        (200, b"", ""),
        (200, b"<html>", ""),
        (200, b"\xff", ""),
        (200, b"[]", ""),
        (200, b"{}", "dna"),
        (200, b'{"dna": ["GAT"]}', ""),
        (200, b'{"dna": "GATTA TACA"}', "GATTA TACA"),
        (200, b'{"dna": "XXXXXXXXXX"}', "XXXXXXXXXX"),
        (200, b'{"x": "' + 100_000 * b"x" + b'", "dna": "GATTACATTT"}', ""),
        (200, b'{"dna": "GATT"}', "4 letters of 10"),
        (500, b"", "HTTP 500 Internal Server Error"),
        (503, b'{"error": "come back later"}', "come back later"),
    ],
)
def test_ucsc_gives_something_else(answering, cache, status, body, wanted):
    answering.status, answering.body = status, body
    message = refusal(lambda: fetch_sequence("chrM", 0, 10), MissingFile)
    assert wanted in message
    assert f"http://127.0.0.1:{answering.server_port}" in message
    assert "fasta=" in message
    assert not (cache / "ucsc").exists()


def test_an_answer_that_breaks_off(cache, monkeypatch):
    with file_server() as server:
        monkeypatch.setattr(ucsc_api, "_UCSC", server.url(""))
        server.files[PATH] = b'{"dna": "GATCACAGGT"}'
        server.cut_after = 8
        assert "fasta=" in refusal(lambda: fetch_sequence("chrM", 0, 10), MissingFile)


def test_no_network(cache, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port  # nobody answers there after this
    monkeypatch.setattr(ucsc_api, "_UCSC", f"http://127.0.0.1:{port}")
    assert "refused" in refusal(lambda: fetch_sequence("chrM", 0, 10), MissingFile).lower()


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 5), (7, 5)])
def test_no_interval(cache, start, end):
    assert f"chrM:{start}-{end}" in refusal(lambda: fetch_sequence("chrM", start, end))


@pytest.mark.parametrize(
    ("chrom", "assembly"), [("../x", "hg38"), ("chr1;x=1", "hg38"), ("chr1", "a/b"), ("", "hg38")]
)
def test_names_that_are_none(cache, chrom, assembly):
    wrong = chrom if assembly == "hg38" else assembly
    assert repr(wrong) in refusal(lambda: fetch_sequence(chrom, 0, 5, assembly=assembly))

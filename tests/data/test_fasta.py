"""fasta: the index by hand, pieces across lines and ends, BGZF, and pyfaidx's own reading."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pyfaidx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import read_only_folder
from tssbook.data.fasta import Fasta
from tssbook.sequence import codes

# 10 bases in lines of 4, and 3 bases.
SMALL = b">chr1 the first\nGATT\nACAn\nRC\n>chr2\nggg\n"


def bgzf(content: bytes, size: int = 7) -> bytes:
    """Compress as bgzip does: gzip members with their own size in an extra field, one empty."""
    blocks = [content[i : i + size] for i in range(0, len(content), size)]
    compressed = b""
    for block in [*blocks, b""]:
        deflate = zlib.compressobj(wbits=-15)
        body = deflate.compress(block) + deflate.flush()
        header = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff" + struct.pack("<H", 6)
        extra = b"BC" + struct.pack("<HH", 2, len(body) + 25)
        compressed += header + extra + body + struct.pack("<II", zlib.crc32(block), len(block))
    return compressed


@pytest.fixture(params=["plain", "bgzf"])
def small(request, tmp_path: Path) -> Path:
    path = tmp_path / ("genome.fa" if request.param == "plain" else "genome.fa.gz")
    path.write_bytes(SMALL if request.param == "plain" else bgzf(SMALL))
    return path


def test_the_helper_writes_gzip():
    assert gzip.decompress(bgzf(SMALL)) == SMALL


def test_lengths(small):
    assert Fasta(small).lengths == {"chr1": 10, "chr2": 3}
    assert Fasta(small).length("chr2") == 3


def test_index_is_written_beside_and_read_back(small):
    Fasta(small)
    index = small.with_name(f"{small.name}.fai")
    # ">chr1 the first\n" has 16 bytes; the 10 bases take 13 bytes; ">chr2\n" 6 more.
    assert index.read_text() == "chr1\t10\t16\t4\t5\nchr2\t3\t35\t3\t4\n"
    written = index.stat().st_mtime_ns
    assert Fasta(small).letters("chr2", 0, 3) == "GGG"
    assert index.stat().st_mtime_ns == written


def test_codes(small):
    found = Fasta(small).codes(["chr1", "chr2", "chr1"], [2, 0, 0], 3)
    # TTA crosses a line; ggg is lower case; GAT.
    assert found.tolist() == [[3, 3, 0], [2, 2, 2], [2, 0, 3]]
    assert found.dtype == np.uint8


@pytest.mark.parametrize(
    ("start", "wanted"),
    [(-2, "NNGAT"), (-5, "NNNNN"), (-9, "NNNNN"), (5, "CANNC"), (8, "NCNNN"), (10, "NNNNN")],
)
def test_outside_is_n_and_so_is_r(small, start, wanted):
    assert Fasta(small).codes(["chr1"], [start], 5).tolist() == codes([wanted]).tolist()


def test_of_opens_a_path_once(small):
    fasta = Fasta.of(small)
    assert Fasta.of(fasta) is fasta
    assert fasta.lengths == Fasta.of(str(small)).lengths


def test_longer_than_the_chromosome(small):
    assert Fasta(small).codes(["chr2"], [-1], 6).tolist() == codes(["NGGGNN"]).tolist()


def test_no_pieces(small):
    assert Fasta(small).codes([], [], 5).shape == (0, 5)


def test_letters_keep_iupac_codes(small):
    assert Fasta(small).letters("chr1", 0, 10) == "GATTACANRC"


def test_windows_line_ends_and_no_last_break(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_bytes(b">a\r\nGAT\r\nTAC\r\nA\r\n>b\r\nCC")
    for _ in range(2):  # made, then read
        fasta = Fasta(path)
        assert fasta.lengths == {"a": 7, "b": 2}
        assert fasta.letters("a", 0, 7) == "GATTACA"
        assert fasta.codes(["b"], [0], 2).tolist() == [[1, 1]]


def test_empty_chromosome(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_bytes(b">none\n>b\nCC\n")
    for _ in range(2):
        fasta = Fasta(path)
        assert fasta.lengths == {"none": 0, "b": 2}
        assert fasta.codes(["none", "b"], [0, 0], 2).tolist() == [[4, 4], [1, 1]]


def test_an_older_index_is_good_if_it_fits(small):
    """Copying changes dates: only what the index says counts."""
    Fasta(small)
    small.touch()
    assert Fasta(small).letters("chr2", 0, 3) == "GGG"


@pytest.mark.parametrize(("name", "content"), [("genome.fa", SMALL), ("genome.fa.gz", bgzf(SMALL))])
def test_a_folder_that_cannot_be_written(name, content):
    with read_only_folder({name: content}) as folder:
        assert Fasta(folder / name).letters("chr1", 3, 6) == "TAC"
        assert [path.name for path in folder.iterdir()] == [name]


@settings(max_examples=40, deadline=None)
@given(
    seqs=st.lists(st.text("ACGTNacgtn", min_size=1, max_size=30), min_size=1, max_size=4),
    width=st.integers(1, 12),
    data=st.data(),
)
def test_the_same_as_pyfaidx(tmp_path_factory, seqs, width, data):
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    lines = [
        line
        for i, seq in enumerate(seqs)
        for line in (f">s{i}", *(seq[j : j + width] for j in range(0, len(seq), width)))
    ]
    path.write_text("\n".join(lines) + data.draw(st.sampled_from(["", "\n"])))
    ours = Fasta(path)
    assert ours.lengths == {f"s{i}": len(seq) for i, seq in enumerate(seqs)}
    row = data.draw(st.integers(0, len(seqs) - 1))
    start = data.draw(st.integers(0, len(seqs[row]) - 1))
    end = data.draw(st.integers(start + 1, len(seqs[row])))
    with pyfaidx.Fasta(str(path)) as theirs:
        wanted = str(theirs[f"s{row}"][start:end]).upper()
    assert wanted == seqs[row][start:end].upper()
    assert ours.letters(f"s{row}", start, end) == wanted
    assert np.array_equal(ours.codes([f"s{row}"], [start], end - start)[0], codes(wanted))


def test_blocks_that_break_a_line_anywhere(tmp_path):
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("ACGTN"), 500))
    lines = "\n".join(text[i : i + 60] for i in range(0, 500, 60))
    path = tmp_path / "genome.fa.gz"
    path.write_bytes(bgzf(f">a\nGATTACA\n>b\n{lines}\n".encode(), size=33))
    starts = rng.integers(-50, 500, 40)  # in no order
    padded = "N" * 50 + text + "N" * 50
    wanted = codes([padded[s + 50 : s + 100] for s in starts.tolist()])
    assert np.array_equal(Fasta(path).codes(["b"] * 40, starts, 50), wanted)

"""fasta, when the file or its index is not sound: one sentence that says which and what to do."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.data.test_fasta import SMALL, bgzf
from tests.support import refusal
from tssbook.data.fasta import Fasta


def written(folder: Path, content: bytes, name: str = "genome.fa", index: str | None = None):
    path = folder / name
    path.write_bytes(content)
    if index is not None:
        path.with_name(f"{name}.fai").write_text(index)
    return path


def refused(folder: Path, content: bytes, **options) -> str:
    path = written(folder, content, **options)
    message = refusal(lambda: Fasta(path))
    assert str(path) in message
    return message.replace(str(path), "FILE")


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"genome\.fa"):
        Fasta(tmp_path / "genome.fa")


def test_empty(tmp_path):
    assert refused(tmp_path, b"") == "FILE is empty; wanted a FASTA file."


def test_plain_gzip(tmp_path):
    assert refused(tmp_path, gzip.compress(SMALL), name="genome.fa.gz") == (
        "FILE is compressed with gzip, which can only be read from the beginning: uncompress it "
        "with gunzip, then compress it with bgzip or leave it as it is."
    )


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"chr1\t0\t10\n", "does not begin with '>'"),
        (b">chr1\n", "has names but no bases"),
        (b">chr1\rGATTACA\r", "has names but no bases"),
        (b">\nGATTACA\n", "has a sequence without a name"),
        (b"> chr1\nGATTACA\n", "has a sequence without a name"),
        (b">a\nGAT\n>a x\nTACA\n", "has two sequences with the name 'a'"),
        (b">a\nGA\nTTAC\nA\n", "has lines of different lengths in a (before byte 11)"),
        (b">a\nGATT\nAC\nA\n", "has lines of different lengths in a (before byte 13)"),
        (b">a\nGATT\n\nACA\n", "has lines of different lengths in a "),
        (b">a\n\nGATTACA\n", "has lines of different lengths in a "),
        (b">a\nGATT\r\nACAG\nACA\n", "has lines of different lengths in a "),
    ],
)
def test_no_sound_fasta(tmp_path, content, wanted):
    assert wanted in refused(tmp_path, content)


@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        ("chr1\t10\t16\t4\t5\nchr2\t4\t35\t4\t5\n", "chr2 does not end at byte 39"),
        ("chr1\t10\t16\t4\t5\nchr2\t5\t35\t5\t6\n", "chr2 does not end at byte 40"),
        ("chr1\t10\t16\t4\t5\n", "more follows after byte 28"),
        ("chr1\t9\t16\t4\t5\nchr2\t3\t35\t3\t4\n", "chr2 does not begin at byte 35"),
        ("chrA\t10\t16\t4\t5\nchr2\t3\t35\t3\t4\n", "chrA does not begin at byte 16"),
        ("chr1\t10\t99\t4\t5\n", "chr1 does not begin at byte 99"),
        ("", "more follows after byte 0"),
        ("chr1\t10\t16\t0\t5\nchr2\t3\t35\t3\t4\n", "chr1 has lines of 0 bases"),
        ("chr1\t10\t16\t4\t4\nchr2\t3\t35\t3\t4\n", "chr1 has lines of 4 bases in 4 bytes"),
    ],
)
def test_index_of_another_file(tmp_path, index, wanted):
    message = refused(tmp_path, SMALL, index=index)
    assert "FILE.fai does not describe FILE (" in message
    assert wanted in message
    assert message.endswith("delete the index, which is then made again.")


def test_half_a_file_with_its_whole_index(tmp_path):
    path = written(tmp_path, SMALL)
    Fasta(path)
    path.write_bytes(SMALL[:24])
    assert "does not describe" in refusal(lambda: Fasta(path))


@pytest.mark.parametrize("line", ["chr1\t10", "chr1\t10\t16\t4\tx", "chr1 10 16 4 5"])
def test_no_index(tmp_path, line):
    assert f"Line 1 of FILE.fai is {line!r}; wanted" in refused(tmp_path, SMALL, index=line)


def test_a_chromosome_twice_in_the_index(tmp_path):
    assert "Line 2 of" in refused(tmp_path, SMALL, index="chr1\t10\t16\t4\t5\n" * 2)


def test_lines_that_the_index_does_not_know(tmp_path):
    # As many bytes and bases as the index says, but a break at another place.
    path = written(tmp_path, b">a\nGATT\nA\nCAGG", index="a\t9\t3\t4\t5\n")
    message = refusal(lambda: Fasta(path).codes(["a"], [0], 6))
    assert f"{path} has 5 bases where its index says 6 (bytes 3 to 10)" in message


def test_unknown_chromosome(tmp_path):
    fasta = Fasta(written(tmp_path, SMALL))
    message = refusal(lambda: fasta.codes(["chr1", "chrX"], [0, 0], 2))
    assert message == f"{fasta.path} has no chromosome 'chrX': it has chr1, chr2."
    assert "it is called 'chr1' there" in refusal(lambda: fasta.length("1"))


def test_unknown_chromosome_among_many(tmp_path):
    content = "".join(f">{i}\nA\n" for i in range(1, 8)).encode()
    fasta = Fasta(written(tmp_path, content))
    assert refusal(lambda: fasta.length("X")).endswith("it has 1, 2, 3, 4, 5, ....")
    assert "it is called '7' there" in refusal(lambda: fasta.length("chr7"))


def test_no_dna(tmp_path):
    fasta = Fasta(written(tmp_path, b">a\nGATT\nAJA\n"))
    assert "has 'J' at a:5 (counted from 0)" in refusal(lambda: fasta.codes(["a"], [2], 5))
    assert fasta.codes(["a"], [0], 5).tolist() == [[2, 0, 3, 3, 0]]


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (3, 3), (4, 2), (8, 11)])
def test_letters_outside(tmp_path, start, end):
    fasta = Fasta(written(tmp_path, SMALL))
    message = refusal(lambda: fasta.letters("chr1", start, end))
    assert f"chr1:{start}-{end}; wanted a piece of chr1, which has 10 bp" in message


def test_half_a_block(tmp_path):
    content = bgzf(SMALL)
    assert "is incomplete or damaged at byte" in refused(tmp_path, content[:-5])
    assert "is incomplete or damaged at byte" in refused(tmp_path, content + b"rest")


def test_damaged_block(tmp_path):
    content = bytearray(bgzf(SMALL, size=100))
    content[30] ^= 255
    path = written(tmp_path, bytes(content), index="chr1\t10\t16\t4\t5\nchr2\t3\t35\t3\t4\n")
    assert "is damaged at byte 0 (" in refusal(lambda: Fasta(path))


def test_half_the_blocks(tmp_path):
    content = bgzf(SMALL)
    path = written(tmp_path, content)
    Fasta(path)
    size = int.from_bytes(content[16:18], "little") + 1
    path.write_bytes(content[:size])
    assert "does not describe" in refusal(lambda: Fasta(path))

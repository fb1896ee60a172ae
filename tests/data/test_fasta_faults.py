"""fasta, when the file or its index is not sound: one sentence that says which and what to do."""

from __future__ import annotations

import gzip
import re
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


def refused(folder: Path, content: bytes, wanted: str, **options) -> None:
    path = written(folder, content, **options)
    message = refusal(lambda: Fasta(path))
    assert message.startswith(str(path))
    assert re.search(wanted, message.replace(str(path), "FILE"))


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"genome\.fa"):
        Fasta(tmp_path / "genome.fa")


def test_plain_gzip(tmp_path):
    refused(tmp_path, gzip.compress(SMALL), "gzip.*gunzip.*bgzip", name="genome.fa.gz")


def test_a_name_that_does_not_say_that_it_is_compressed(tmp_path):
    refused(tmp_path, bgzf(SMALL), r"compressed with bgzip; wanted .*\.gz")
    refused(tmp_path, SMALL, r"not compressed; wanted .*\.gz", name="genome.fa.gz")


@pytest.mark.parametrize(("at", "mask"), [(2, 40), (3, 73)])
def test_a_changed_header_of_bgzip(tmp_path, at, mask):
    """Found by changing bytes: pyfaidx has a class of errors for that alone."""
    content = bytearray(bgzf(SMALL))
    content[at] ^= mask
    refused(tmp_path, bytes(content), "not sound.*BGZF", name="genome.fa.gz")


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "empty; wanted a FASTA"),
        (b"chr1\t0\t10\n", "'>'; wanted a FASTA"),
        (b">chr1\n", "no chromosome with bases"),
        (b">chr1\rGATTACA\r", "no chromosome with bases"),
        (b">\nGATTACA\n", "name"),
        (b"> chr1\nGATTACA\n", "header '> chr1'; wanted a name"),
        (b">chr\xe9\nGATTACA\n", "not written in UTF-8"),
        (">chr\u20281\nGAT\n>b\nTACA\n".encode(), r"header '>chr\\u20281'; wanted a name in ASCII"),
        (">chr\u00a01\nGAT\n>b\nTACA\n".encode(), r"header '>chr\\xa01'; wanted a name in ASCII"),
        (
            b">a\nGAT\n>a x\nTACA\n",
            "Duplicate key .a.*give each chromosome a name of its own in the file; delete",
        ),
        (b">a\nGA\nTTAC\nA\n", "Line length.*>a"),
        (b">a\nGATT\nAC\nA\n", "Line length.*>a"),
        (b">a\nGATT\n\nACA\n", "Line length.*>a"),
        (b">a\n\nGATTACA\n", "Line length.*>a"),
        (b">a\nGATT\r\nACAG\nACA\n", "Line length.*>a"),
    ],
)
def test_no_sound_fasta(tmp_path, content, wanted):
    refused(tmp_path, content, wanted)


@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        ("chr1\t10\t16\t4\t5\nchr2\t4\t35\t4\t5\n", "end is not at byte 38"),
        ("chr1\t10\t16\t4\t5\nchr2\t5\t35\t5\t6\n", "end is not at byte 39"),
        ("chr1\t10\t16\t4\t5\n", "end is not at byte 27"),
        ("chr1\t9\t16\t4\t5\nchr2\t3\t35\t3\t4\n", "chr2 is not at byte 35"),
        ("chrA\t10\t16\t4\t5\nchr2\t3\t35\t3\t4\n", "chrA is not at byte 16"),
        ("chr1\t10\t99\t4\t5\n", "not at byte|not sound"),
        ("chr1\t10\t16\t0\t5\nchr2\t3\t35\t3\t4\n", "chr2 is not at byte 35"),
        ("chr1\t10\t16\t4\t4\nchr2\t3\t35\t3\t4\n", "chr2 is not at byte 35"),
        ("chr1\t10\t900000\t4\t5\n", "not at byte|not sound"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_index_of_another_file(tmp_path, index, wanted, compressed):
    path = written(tmp_path, bgzf(SMALL) if compressed else SMALL, f"a.fa{'.gz' * compressed}")
    Fasta(path)  # makes what else stands beside it
    path.with_name(f"{path.name}.fai").write_text(index)
    message = refusal(lambda: Fasta(path))
    assert f"{path}.fai" in message
    assert re.search(wanted, message)
    assert "delete the index" in message


@pytest.mark.parametrize(
    "index", ["", "chr1\t10", "chr1\t10\t16\t4\tx", "chr1 10 16 4 5", "chr1\t10\t16\t4\t5\n" * 2]
)
def test_no_index(tmp_path, index):
    refused(tmp_path, SMALL, r"FILE\.fai is not sound|no chromosome", index=index)


def test_half_a_file_with_its_whole_index(tmp_path):
    path = written(tmp_path, SMALL)
    Fasta(path)
    path.write_bytes(SMALL[:24])
    assert "does not describe" in refusal(lambda: Fasta(path))


def test_lines_that_the_index_does_not_know(tmp_path):
    # As many bytes and bases as the index says, but a break at another place.
    path = written(tmp_path, b">a\nGATT\nA\nCAGG", index="a\t9\t3\t4\t5\n")
    message = refusal(lambda: Fasta(path).codes(["a"], [0], 6))
    assert re.search(r"has 5 bases at a:0-6 .* 6:", message)


@pytest.mark.parametrize(
    ("names", "asked", "wanted"),
    [
        (["chr1", "chr2"], "chrX", "'chrX': it has chr1, chr2"),
        (["chr1", "chr2"], "1", "'1': it is called 'chr1' there"),
        (["1", "2"], "chr2", "'chr2': it is called '2' there"),
        (list("1234567"), "X", "'X': it has 1, 2, 3, 4, 5, "),
    ],
)
def test_unknown_chromosome(tmp_path, names, asked, wanted):
    fasta = Fasta(written(tmp_path, "".join(f">{name}\nA\n" for name in names).encode()))
    assert wanted in refusal(lambda: fasta.codes([names[0], asked], [0, 0], 1))
    assert wanted in refusal(lambda: fasta.length(asked))


def test_no_dna(tmp_path):
    fasta = Fasta(written(tmp_path, b">a\nGATT\nAJA\n"))
    assert "has 'J' at a:5 (counted from 0)" in refusal(lambda: fasta.codes(["a"], [2], 5))
    assert fasta.codes(["a"], [0], 5).tolist() == [[2, 0, 3, 3, 0]]


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (3, 3), (4, 2), (8, 11)])
def test_letters_outside(tmp_path, start, end):
    fasta = Fasta(written(tmp_path, SMALL))
    message = refusal(lambda: fasta.letters("chr1", start, end))
    assert f"chr1:{start}-{end}; wanted a piece of chr1, which has 10 bp" in message


@pytest.mark.parametrize("cut", ["a byte", "the empty block", "all but one", "more"])
def test_blocks_that_are_missing(tmp_path, cut):
    content = bgzf(SMALL)
    first = int.from_bytes(content[16:18], "little") + 1
    changed = {
        "a byte": content[:-1],
        "the empty block": content[:-28],
        "all but one": content[:first],
        "more": content + b"rest",
    }
    refused(tmp_path, changed[cut], "last block is missing; get it again", name="a.fa.gz")


def test_damaged_block(tmp_path):
    content = bytearray(bgzf(SMALL, size=100))
    content[30] ^= 255
    refused(tmp_path, bytes(content), "not sound.*get the file again", name="a.fa.gz")


def test_block_that_was_damaged_later(tmp_path):
    content = bytearray(bgzf(b">a\n" + b"GATTACA\n" * 40, size=50))
    path = written(tmp_path, bytes(content), "a.fa.gz")
    fasta = Fasta(path)
    wrong = len(content) // 2
    path.write_bytes(bytes(content[:wrong]) + bytes(20) + bytes(content[wrong + 20 :]))
    fasta = Fasta(path)
    assert "get the file again" in refusal(lambda: fasta.codes(["a"], [0], 280))


@pytest.mark.parametrize("chrom", [1, 2.5, float("nan"), None])
def test_names_that_are_no_text(tmp_path, chrom):
    (tmp_path / "genome.fa").write_text(">1\nGATTACA\n")
    fasta = Fasta(tmp_path / "genome.fa")
    if chrom == 1:
        assert fasta.codes([chrom], [0], 3).tolist() == [[2, 0, 3]]
    else:
        assert f"no chromosome '{chrom}'" in refusal(lambda: fasta.codes([chrom], [0], 3))
        assert f"no chromosome '{chrom}'" in refusal(lambda: fasta.length(chrom))

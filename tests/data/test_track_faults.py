"""extract and blacklists, when loci, files and places do not go together."""

from __future__ import annotations

import gzip

import pandas as pd
import pytest

from tests.data.test_bigwig import write
from tests.support import refusal
from tssbook.data.blacklists import Blacklist, cage_blacklists
from tssbook.data.genome import extract

LOCI = pd.DataFrame({"chrom": ["chr1", "chr1"], "tss": [10, 12], "strand": ["+", "-"]})


@pytest.fixture
def genome(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\nAACCGGTTACAACCGGTTAC\n>chr2\nACGT\n")
    return path


@pytest.fixture
def two(tmp_path):
    return [
        write(tmp_path / "a.plus.bw", {"chr1": [500, *[1] * 19]}),
        write(tmp_path / "a.minus.bw", {"chr1": [1] * 20}),
    ]


def bed(path, text):
    path.write_text(text)
    return path


# --- loci and files -----------------------------------------------------------------------------


def says(message: str, *words: object) -> bool:
    return all(str(word) in message for word in words)


def test_bigwig_without_the_chromosome(genome, two):
    loci = LOCI.assign(chrom="chr2", tss=2)
    assert says(refusal(lambda: extract(genome, two, loci, length=4)), two[0], "chr2", "chr1")


def test_track_of_another_assembly(genome, two, tmp_path):
    other = write(tmp_path / "b.minus.bw", {"chr1": [1] * 21})
    message = refusal(lambda: extract(genome, [two[0], other], LOCI, length=4))
    assert says(message, other, "21 bp", genome, "20")


@pytest.mark.parametrize(("row", "tss"), [(0, 20), (1, 20), (1, -1)])
def test_start_site_outside(genome, two, row, tss):
    loci = LOCI.copy()
    loci.loc[row, "tss"] = tss
    assert says(refusal(lambda: extract(genome, two, loci, length=4)), row, tss)


def test_start_site_of_another_assembly(genome, two):
    message = refusal(lambda: extract(genome, two, LOCI.assign(tss=20), length=4))
    assert says(message, "chr1:20", "20 bp", genome)


def test_loci_without_strand(genome, two, tmp_path):
    message = refusal(lambda: extract(genome, two, LOCI.drop(columns="strand"), length=4))
    assert says(message, "'strand'", "chrom, tss")
    path = bed(tmp_path / "tss.tsv", "chr\tTSS\nchr1\t10\n")
    assert says(refusal(lambda: extract(genome, two, path, length=4)), "'strand'", path)


def test_no_loci(genome, two):
    assert "no rows" in refusal(lambda: extract(genome, two, LOCI.iloc[:0], length=4))


@pytest.mark.parametrize("length", [0, 5, -2])
def test_length(genome, two, length):
    assert says(refusal(lambda: extract(genome, two, LOCI, length=length)), length, "even")


def test_odd_number_of_tracks(genome, two):
    assert says(refusal(lambda: extract(genome, two[:1], LOCI, length=4)), "1 bigWigs", "even")
    read, tracks, *_ = extract(genome, two[:1], LOCI.iloc[:1], length=4)  # nothing is flipped here
    assert (read.shape, tracks.shape) == ((1, 4), (1, 1, 4))


# --- blacklists -----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", gzip.compress(b"", mtime=0), b"# none\n"])
def test_empty_blacklist(tmp_path, content):
    path = tmp_path / "bad.bed"
    path.write_bytes(content)
    assert says(refusal(lambda: Blacklist(path)), path, "no intervals")


@pytest.mark.parametrize(("tracks", "by"), [(None, [1]), ([0], [1, 2]), ([0, 1], [1, 0])])
def test_replacement_that_does_not_fit(tmp_path, tracks, by):
    path = bed(tmp_path / "bad.bed", "chr1\t0\t5\n")
    assert says(refusal(lambda: Blacklist(path, tracks, replace_by=by)), tracks, by)


def test_track_that_is_not_there(genome, two, tmp_path):
    path = bed(tmp_path / "bad.bed", "chr1\t0\t5\n")
    message = refusal(
        lambda: extract(genome, two, LOCI, length=4, blacklists=[Blacklist(path, [9])])
    )
    assert says(message, path, "track 9", "0 to 1")


def test_blacklist_that_says_it_is_of_the_other_strand(tmp_path):
    plus = bed(tmp_path / "plus.bed", "chr1\t0\t5\tx\t0\t+\n")
    minus = bed(tmp_path / "minus.bed", "chr1\t0\t6\tx\t0\t-\n")
    assert cage_blacklists(plus, minus)[1].tracks == [9]
    assert says(refusal(lambda: cage_blacklists(minus, plus)), minus, "strands -", "only +")
    bed(minus, "chr1\t0\t5\n")
    assert says(refusal(lambda: cage_blacklists(plus, minus)), plus, minus, "same places")


def test_blacklist_whose_places_are_high_on_the_other_strand(genome, two, tmp_path):
    path = bed(tmp_path / "bad.bed", "chr1\t0\t1\n")
    loci = LOCI.assign(tss=1)
    extract(genome, two, loci, length=4, blacklists=[Blacklist(path, [0])])
    with pytest.warns(UserWarning, match="other strand") as caught:
        extract(genome, two, loci, length=4, blacklists=[Blacklist(path, [1])])
    assert says(str(caught[0].message), path, "track 1", "500 in track 0")

"""extract, blacklists, build, batches and archives, when their input is not as it should be."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pandas as pd
import pytest

from tests.data.test_bigwig import write
from tests.support import refusal
from tssbook.data.blacklists import Blacklist, cage_blacklists
from tssbook.data.genome import extract
from tssbook.data.splits import Split
from tssbook.data.tracks import build_tracks as build
from tssbook.data.tracks import read_npz, write_npz

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


def test_bigwig_without_the_chromosome(genome, two):
    loci = LOCI.assign(chrom="chr2", tss=2)
    message = refusal(lambda: extract(genome, two, loci, length=4))
    assert message == f"{two[0]} has no chromosome 'chr2': it has chr1."


def test_track_of_another_assembly(genome, two, tmp_path):
    other = write(tmp_path / "b.minus.bw", {"chr1": [1] * 21})
    message = refusal(lambda: extract(genome, [two[0], other], LOCI, length=4))
    assert message == (
        f"{other} has 21 bp for chr1, and {genome} has 20; wanted both of one assembly."
    )


def test_start_site_past_the_end(genome, two):
    for row, tss in ((0, 20), (1, -1), (1, 20)):
        loci = LOCI.copy()
        loci.loc[row, "tss"] = tss
        message = refusal(lambda loci=loci: extract(genome, two, loci, length=4))
        assert message == (
            f"Row {row} of the loci has its TSS at chr1:{tss}, and chr1 has 20 bp in {genome}; "
            "wanted both of one assembly."
        )


def test_loci_without_strand(genome, two):
    message = refusal(lambda: extract(genome, two, LOCI.drop(columns="strand"), length=4))
    assert message == (
        "The table has no column 'strand': it has chrom, tss; wanted chrom, strand, tss."
    )


def test_file_of_loci_without_strand(genome, two, tmp_path):
    path = bed(tmp_path / "tss.tsv", "chr\tTSS\nchr1\t10\n")
    assert "has no column 'strand'" in refusal(lambda: extract(genome, two, path, length=4))


def test_no_loci(genome, two):
    assert "wanted one or more" in refusal(lambda: extract(genome, two, LOCI.iloc[:0], length=4))


@pytest.mark.parametrize("length", [0, 5, -2])
def test_length(genome, two, length):
    message = refusal(lambda: extract(genome, two, LOCI, length=length))
    assert message == f"length is {length}; wanted an even number of 2 or more."


def test_odd_number_of_tracks(genome, two):
    message = refusal(lambda: extract(genome, two[:1], LOCI, length=4))
    assert message.startswith("There are 1 bigWigs, and loci on the - strand")
    read, tracks = extract(genome, two[:1], LOCI.iloc[:1], length=4)  # nothing is flipped here
    assert (read.shape, tracks.shape) == ((1, 4), (1, 1, 4))


# --- blacklists -----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", gzip.compress(b""), b"# none\n"])
def test_empty_blacklist(tmp_path, content):
    path = tmp_path / "bad.bed"
    path.write_bytes(content)
    message = refusal(lambda: Blacklist(path))
    assert message == (
        f"The blacklist {path} has no intervals; wanted a BED file of places, or no blacklist."
    )


@pytest.mark.parametrize(("tracks", "by"), [(None, [1]), ([0], [1, 2]), ([0, 1], [1, 0])])
def test_replacement_that_does_not_fit(tmp_path, tracks, by):
    path = bed(tmp_path / "bad.bed", "chr1\t0\t5\n")
    message = refusal(lambda: Blacklist(path, tracks, replace_by=by))
    assert message.startswith(f"Tracks {tracks} are to be replaced by {by}; wanted")


def test_track_that_is_not_there(genome, two, tmp_path):
    path = bed(tmp_path / "bad.bed", "chr1\t0\t5\n")
    message = refusal(
        lambda: extract(genome, two, LOCI, length=4, blacklists=[Blacklist(path, [9])])
    )
    assert message == f"The blacklist {path} names track 9; wanted 0 to 1."


def test_blacklist_that_says_it_is_of_the_other_strand(tmp_path):
    plus = bed(tmp_path / "plus.bed", "chr1\t0\t5\tx\t0\t+\n")
    minus = bed(tmp_path / "minus.bed", "chr1\t0\t6\tx\t0\t-\n")
    assert cage_blacklists(plus, minus)[1].tracks == [9]
    message = refusal(lambda: cage_blacklists(minus, plus))
    assert message.startswith(f"{minus} has the strands -; wanted only +")
    bed(minus, "chr1\t0\t5\n")
    assert "have the same places" in refusal(lambda: cage_blacklists(plus, minus))


def test_blacklist_whose_places_are_high_on_the_other_strand(genome, two, tmp_path):
    path = bed(tmp_path / "bad.bed", "chr1\t0\t1\n")
    loci = LOCI.assign(tss=1)
    extract(genome, two, loci, length=4, blacklists=[Blacklist(path, [0])])
    with pytest.warns(UserWarning, match="is it the list of the other strand") as caught:
        extract(genome, two, loci, length=4, blacklists=[Blacklist(path, [1])])
    assert str(caught[0].message).startswith(
        f"The blacklist {path} changes track 1, but its places hold 1 there and 500 in track 0"
    )


# --- build and batches --------------------------------------------------------------------------


def test_folder_that_holds_another_data_set(genome, two, tmp_path):
    build(tmp_path / "made", genome, two, LOCI, length=4)
    message = refusal(
        lambda: build(tmp_path / "made", genome, two, LOCI, length=6), FileExistsError
    )
    assert "holds a finished store" in message


CODES, TRACKS = np.zeros((3, 8), np.uint8), np.zeros((3, 2, 8), np.float32)


# --- archives -------------------------------------------------------------------------------------


def archive(path, **changes):
    x = np.eye(4, dtype=np.float32)[np.zeros((3, 8), int)].transpose(0, 2, 1)
    arrays = {"train_seqs": x, "train_tars": TRACKS, "valid_seqs": x, "valid_tars": TRACKS}
    np.savez(path, **{k: v for k, v in (arrays | changes).items() if v is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"valid_tars": None}, "has no array 'valid_tars': it has train_seqs, train_tars, valid_s"),
        ({"train_seqs": np.zeros((3, 8, 4))}, "train_seqs in {} is (3, 8, 4); wanted (N, 4, L)"),
        ({"valid_seqs": np.zeros((3, 8))}, "valid_seqs in {} is (3, 8); wanted (N, 4, L)"),
        ({"train_tars": np.zeros((2, 3, 8))}, "train_tars in {} is (2, 3, 8); wanted (N, T, L)"),
        ({"train_tars": np.zeros((3, 8, 2))}, "train_tars in {} is (3, 8, 2); wanted (N, T, L)"),
        ({"valid_tars": np.zeros((3, 4, 8))}, "wanted the same tracks and length in both"),
        ({"train_seqs": np.ones((3, 4, 8))}, "train_seqs in {} is not one-hot along its second"),
        ({"train_seqs": np.full((3, 4, 8), np.nan)}, "is not one-hot along its second"),
        ({"train_seqs": np.full((3, 4, 8), "A")}, "train_seqs in {} has the type <U1; wanted numb"),
    ],
)
def test_archive_with_wrong_arrays(tmp_path, changes, wanted):
    path = archive(tmp_path / "data.npz", **changes)
    assert wanted.format(path) in refusal(lambda: read_npz(path))


def test_archive_whose_last_axis_is_four_long(tmp_path):
    """(N, L, 4) and (N, 4, L) look the same where L is 4: what is in it tells."""
    one_hot = np.zeros((3, 4, 4), np.float32)
    one_hot[:, :, 0] = 1  # four times A, with the axes swapped
    tracks = np.zeros((3, 2, 4), np.float32)
    arrays = {"train_seqs": one_hot, "train_tars": tracks, "valid_tars": tracks}
    path = archive(tmp_path / "data.npz", **arrays, valid_seqs=one_hot)
    assert "is not one-hot along its second axis" in refusal(lambda: read_npz(path))


def test_archive_that_is_none(tmp_path):
    path = tmp_path / "data.npz"
    path.write_bytes(b"no archive")
    assert "wanted a whole .npz file" in refusal(lambda: read_npz(path))
    whole = archive(tmp_path / "whole.npz").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "wanted a whole .npz file" in refusal(lambda: read_npz(path))


def test_archive_with_an_object(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, train_seqs=np.array([{}], dtype=object))  # reading it would run a pickle
    path = tmp_path / "data.npz"
    path.write_bytes(buffer.getvalue())
    assert "has the type object; wanted numbers" in refusal(lambda: read_npz(path))


def test_archive_is_not_left_half_written(tmp_path):
    split = Split(np.array([0]), np.array([9]), np.array([1]))
    with pytest.raises(IndexError):
        write_npz(tmp_path / "data.npz", CODES, TRACKS, split, seed=0)
    assert list(tmp_path.iterdir()) == []
    message = refusal(lambda: write_npz(tmp_path / "a.npz", CODES, TRACKS[:, 0], split, seed=0))
    assert message == "codes are (3, 8) and tracks (3, 8); wanted (N, L) and (N, T, L)."

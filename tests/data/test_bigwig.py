"""bigwig: windows by hand, the sign, chromosome ends, and files that do not go together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyBigWig
import pytest

from tests.support import refusal
from tssbook.data.bigwig import BigWigs

NAN = float("nan")


def write(path: Path, values: dict[str, list[float]]) -> Path:
    """A bigWig with these values from base 0 on; None is no value at all."""
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader([(chrom, len(row)) for chrom, row in values.items()])
        for chrom, row in values.items():
            at = [i for i, value in enumerate(row) if value is not None]
            file.addEntries(chrom, at, values=[float(row[i]) for i in at], span=1)
    return path


@pytest.fixture
def two(tmp_path):
    plus = write(tmp_path / "a.plus.bw", {"chr1": [1, 2, None, 4, NAN, 6], "chr2": [7, 8, 9]})
    minus = write(tmp_path / "a.minus.bw", {"chr1": [-1, None, -3, -0.5, 0, -6], "chr2": [0, 0, 0]})
    return [plus, minus]


def test_windows_by_hand(two):
    read = BigWigs(two).read(["chr1", "chr2", "chr1"], [2, 0, 0], 3)
    assert read.dtype == np.float32
    assert read.tolist() == [
        [[0, 4, 0], [3, 0.5, 0]],  # nothing and NaN are 0; the - strand has lost its sign
        [[7, 8, 9], [0, 0, 0]],
        [[1, 2, 0], [1, 0, 3]],
    ]


def test_outside_a_chromosome_is_zero(two):
    read = BigWigs(two).read(["chr1"] * 5 + ["chr2"], [-2, 4, 6, -4, 9, -1], 4)[:, 0]
    assert read.tolist() == [
        [0, 0, 1, 2], [0, 6, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 7, 8, 9]
    ]  # fmt: skip


def test_a_window_longer_than_the_chromosome(two):
    assert BigWigs(two).read(["chr2"], [-1], 6)[0, 0].tolist() == [0, 7, 8, 9, 0, 0]


def test_no_windows(two):
    assert BigWigs(two).read([], [], 4).shape == (0, 2, 4)


def test_files_say_what_they_are(two):
    files = BigWigs(two)
    assert len(files) == 2
    assert files.lengths == [{"chr1": 6, "chr2": 3}] * 2
    assert files.total(1, [("chr1", 0, 1), ("chr1", 3, 6)]) == 1 + 0.5 + 6
    assert files.total(0, [("chr1", 2, 3)]) == 0  # no value at all
    assert BigWigs.of(files) is files
    assert BigWigs.of(two).paths == files.paths


@pytest.mark.parametrize("density", [0.02, 0.9])
def test_many_windows_are_what_pybigwig_reads(tmp_path, density):
    rng = np.random.default_rng(3)
    row = np.where(rng.random(30_000) < density, rng.integers(1, 9, 30_000), None).tolist()
    path = write(tmp_path / "many.bw", {"chr1": row})
    starts = rng.integers(0, 30_000 - 500, 200)
    read = BigWigs([path]).read(["chr1"] * 200, starts, 500)[:, 0]
    with pyBigWig.open(str(path)) as file:
        wanted = [file.values("chr1", s, s + 500, numpy=True) for s in starts.tolist()]
    assert np.array_equal(read, np.nan_to_num(wanted))
    assert read.any()


def test_small_values_and_nan_keep_their_sign(tmp_path):
    """Files on a log scale are below 1; a reader that rounds takes -0.9 for 0."""
    path = write(tmp_path / "log.bw", {"chr1": [-0.9, NAN, -0.25, None]})
    files = BigWigs([path])
    assert files.read(["chr1"], [0], 4).tolist() == [[[np.float32(0.9), 0, 0.25, 0]]]
    assert files.negative == [True]


def test_a_chromosome_that_one_file_lacks_is_zero_with_a_warning(two, tmp_path):
    more = write(tmp_path / "c.bw", {"chr1": [1] * 6, "chr2": [1] * 3, "chrY": [5, 6, 7, 8]})
    files = BigWigs([two[0], more, two[1]])
    with pytest.warns(UserWarning, match="0 everywhere") as told:
        read = files.read(["chr2", "chrY", "chrY"], [0, 1, 3], 2)
    assert [str(warning.message).split(" (")[0] for warning in told] == [
        f"{path} has no chromosome chrY" for path in two
    ]
    assert read.tolist() == [
        [[7, 8], [1, 1], [0, 0]], [[0, 0], [6, 7], [0, 0]], [[0, 0], [8, 0], [0, 0]]
    ]  # fmt: skip
    files.read(["chrY"], [0], 2)  # once said is enough: warnings are errors in these tests
    files.require({"chr1": 6, "chrY": 4}, "genome.fa")


def test_a_chromosome_under_another_name_is_refused(two):
    assert "called 'chr1'" in refusal(lambda: BigWigs(two).read(["1"], [0], 2))
    assert "chr9" in refusal(lambda: BigWigs(two).require({"chr9": 6}, "genome.fa"))


# --- wrong input ----------------------------------------------------------------------------


@pytest.mark.parametrize("paths", ["plus.bw", Path("plus.bw"), []])
def test_no_list_of_files(paths):
    assert f"{paths!r}; wanted a list" in refusal(lambda: BigWigs(paths))


def test_no_such_file(tmp_path):
    message = refusal(lambda: BigWigs([tmp_path / "no.bw"]), FileNotFoundError)
    assert re.search(rf"{tmp_path}/no\.bw; wanted a bigWig", message)


@pytest.mark.parametrize("content", [b"", b"chr1\t0\t5\n" * 20])
def test_no_bigwig(tmp_path, content):
    path = tmp_path / "no.bw"
    path.write_bytes(content)
    assert re.search(f"{path}.* bigWig", refusal(lambda: BigWigs([path])))


def test_a_file_cut_short(two):
    two[0].write_bytes(two[0].read_bytes()[:400])
    assert str(two[0]) in refusal(lambda: BigWigs(two).read(["chr1"], [0], 3))


def test_both_signs(tmp_path):
    path = write(tmp_path / "ratio.bw", {"chr1": [-2, 1, 3]})
    for starts in ([0], [0, 1]):  # in one window, and in two
        message = refusal(
            lambda starts=starts: BigWigs([path]).read(["chr1"] * len(starts), starts, 2)
        )
        assert re.match(rf"{path} holds values above 0 and below it \(.*; wanted one sign", message)
    files = BigWigs([path])
    assert files.read(["chr1"], [1], 2).tolist() == [[[1, 3]]]
    assert "-2 in the window at chr1:0" in refusal(lambda: files.read(["chr1"], [0], 1))


def test_strands_in_the_wrong_order_by_their_signs(tmp_path):
    """Names that say nothing: the first file is the - strand's, and nothing may come back."""
    below = write(tmp_path / "rep1_a.bw", {"chr1": [0, -2, -1, 0]})
    above = write(tmp_path / "rep1_b.bw", {"chr1": [3, 0, 0, 4]})
    message = refusal(lambda: BigWigs([below, above]).read(["chr1"], [0], 4))
    assert "rep1_a.bw is track 0 of 2, of the + strand by its place, and below 0" in message
    right = BigWigs([above, below]).read(["chr1"], [0], 4)
    assert right.tolist() == [[[3, 0, 0, 4], [0, 2, 1, 0]]]
    logarithms = write(tmp_path / "rep1_c.bw", {"chr1": [-9, 0, 0, -4]})
    assert "no logarithms" in refusal(lambda: BigWigs([below, logarithms]).read(["chr1"], [0], 4))


def test_minus_before_plus_by_their_names(two):
    message = refusal(lambda: BigWigs(two[::-1]))
    assert "a.plus.bw is track 1 and a.minus.bw is track 0 of 2; wanted a.minus.bw as track 1" in (
        message
    )
    assert "listed twice" in refusal(lambda: BigWigs([two[0], two[0]]))


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinite_values(tmp_path, value):
    path = write(tmp_path / "x.bw", {"chr1": [1, value, 3]})
    assert f"{path} holds infinite" in refusal(lambda: BigWigs([path]).read(["chr1"], [0], 3))


def test_a_length_without_a_base(two):
    assert "length is 0; wanted" in refusal(lambda: BigWigs(two).read(["chr1"], [0], 0))


def test_sums_are_exact_and_stop_at_the_end(tmp_path):
    """Summaries of a bigWig (zoom levels) count bases and not reads: they are not asked."""
    rng = np.random.default_rng(5)
    row = np.where(rng.random(50_000) < 0.1, rng.integers(1, 9, 50_000), None)
    path = write(tmp_path / "many.bw", {"chr1": row.tolist()})
    total = float(sum(v for v in row if v is not None))
    assert BigWigs([path]).total(0, [("chr1", 0, 60_000)]) == total
    assert BigWigs([path]).total(0, [("chr1", 50_000, 60_000), ("chrM", 0, 5)]) == 0


FLIPS = """
import sys
from pathlib import Path
from tssbook.data.bigwig import BigWigs
path, flips = Path(sys.argv[1]), sys.argv[2:]
whole = path.read_bytes()
wanted = BigWigs([path]).read(["chr1"] * 4, [0, 900, 1500, 2900], 200).tolist()
for flip in flips:
    at, mask = map(int, flip.split(","))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
    try:
        found = BigWigs([path]).read(["chr1"] * 4, [0, 900, 1500, 2900], 200)
        assert found.tolist() == wanted, flip
        print("read")
    except ValueError as error:
        assert str(path) in str(error), error
        print("refused")
"""


def test_flipped_bytes_of_a_header_neither_kill_nor_hang(tmp_path):
    """pyBigWig died of the first of these, and hung at the last."""
    row = np.random.default_rng(1).integers(1, 9, 3_000).tolist()
    path = write(tmp_path / "flipped.bw", {"chr1": row, "chr2": row})
    rng = np.random.default_rng(2)
    flips = ["7,128", "216,255", "228,255", "240,255", "195,92"]
    flips += [f"{at},{mask}" for at, mask in rng.integers((0, 1), (700, 256), (60, 2))]
    command = [sys.executable, "-W", "ignore", "-c", FLIPS, str(path), *flips]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    outcomes = done.stdout.split()
    assert len(outcomes) == len(flips)
    assert outcomes.count("refused") > 5


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_cut_is_refused_with_the_files_name_or_took_nothing_that_is_read(tmp_path, share):
    row = np.random.default_rng(1).integers(1, 9, 30_000).tolist()
    path = write(tmp_path / "cut.bw", {"chr1": row})
    places = ["chr1"] * 3, [0, 15_000, 29_000], 1_000
    whole = BigWigs([path]).read(*places)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    if share < 0.9:
        message = refusal(lambda: BigWigs([path]).read(*places))
        assert str(path) in message
        assert "get it again" in message
    else:  # summaries for browsers stand at the end
        assert np.array_equal(BigWigs([path]).read(*places), whole)


def test_chromosome_that_is_not_there(two):
    message = refusal(lambda: BigWigs(two).read(["chr1", "1"], [0, 0], 3))
    assert re.match(f"{two[0]} has no chromosome '1': it is called 'chr1' there", message)
    message = refusal(lambda: BigWigs(two).require({"chrX": 6}, "genome.fa"))
    assert re.match(f"{two[0]} has no chromosome 'chrX': it has chr1, chr2", message)


def test_another_assembly(two):
    BigWigs(two).require({"chr1": 6}, "genome.fa")
    message = refusal(lambda: BigWigs(two).require({"chr2": 3, "chr1": 7_000}, "genome.fa"))
    assert re.match(rf"{two[0]} has 6 bp for chr1, and genome\.fa has 7,000; wanted", message)


def test_strands_out_of_mirror_order(tmp_path):
    names = ["a.plus.bw", "b.plus.bw", "a.minus.bw", "b.minus.bw"]
    paths = [write(tmp_path / name, {"chr1": [1, 2]}) for name in names]
    message = refusal(lambda: BigWigs(paths))
    assert re.search(r"a\.plus\.bw is track 0 .* 2 of 4; wanted a\.minus\.bw as track 3", message)
    assert len(BigWigs([paths[0], paths[1], paths[3], paths[2]])) == 4


def test_tracks_by_name_are_put_into_mirror_order(tmp_path):
    files = {
        name: write(tmp_path / f"{number}.bw", {"chr1": [number, 9]})
        for number, name in enumerate(["a-", "b+", "b-", "a+"])
    }
    named = BigWigs(files)
    assert named.names == ["b+", "a+", "a-", "b-"]
    assert named.read(["chr1"], [0], 1)[0, :, 0].tolist() == [1, 3, 0, 2]
    assert BigWigs({"ATAC": files["a-"]}).names == ["ATAC"]
    assert BigWigs(list(files.values())).names == ["0", "1", "2", "3"]
    message = refusal(lambda: BigWigs({"a+": files["a+"], "b-": files["b-"]}))
    assert re.match(r"The tracks are a\+, b-, and 'a-' has no other strand; wanted", message)
    message = refusal(lambda: BigWigs({"a+": files["a+"], "ATAC": files["b-"]}))
    assert "'ATAC' has no other strand" in message

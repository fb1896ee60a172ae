"""peaks: windows around peaks, from files."""

from __future__ import annotations

import numpy as np
import pyBigWig
import pytest

from tssbook.data.bigwig import BigWigs
from tssbook.data.fasta import Fasta
from tssbook.data.peaks import LENGTH, read_peaks
from tssbook.data.tables import read_bed

W = 2514


@pytest.fixture
def files(tmp_path):
    """A chromosome of 9,000 bp, both strands' reads, mappability, peaks and background."""
    letters = "".join(np.random.default_rng(1).choice(list("ACGT"), 9000))
    (tmp_path / "genome.fa").write_text(f">chr1\n{letters}\n")
    tracks = {"plus.bw": np.arange(9000.0), "minus.bw": -np.arange(9000.0) - 1}
    tracks["k36.bw"] = np.where(np.arange(9000) % 10 == 3, 0.5, 1.0)
    for name, values in tracks.items():
        with pyBigWig.open(str(tmp_path / name), "w") as file:
            file.addHeader([("chr1", 9000)])
            file.addEntries("chr1", 0, values=values.tolist(), span=1, step=1)
    (tmp_path / "peaks.bed").write_text("chr1\t3000\t3101\nchr1\t500\t600\n")
    (tmp_path / "background.bed").write_text("chr1\t6000\t6001\n")
    return tmp_path, letters


def test_read_peaks_around_the_middles(files):
    folder, letters = files
    bigwigs = [folder / "plus.bw", folder / "minus.bw"]
    found = read_peaks(
        folder / "genome.fa", bigwigs, folder / "peaks.bed", folder / "background.bed",
        mappability=folder / "k36.bw",
    )  # fmt: skip
    start = 3050 - W // 2
    assert found.peak.tolist() == [True, True, False]
    assert "".join("ACGT"[c] for c in found.codes[0]) == letters[start : start + W]
    np.testing.assert_array_equal(found.reads[0, 0], np.arange(start, start + W))
    np.testing.assert_array_equal(found.reads[0, 1], np.arange(start, start + W) + 1)
    np.testing.assert_array_equal(found.mappable[0], np.arange(start, start + W) % 10 != 3)
    outside = W // 2 - 550  # the second window begins before the chromosome
    assert (found.codes[1, :outside] == 4).all()
    assert not found.mappable[1, :outside].any()
    assert found.reads[2, 0, W // 2] == 6000


def test_read_peaks_from_tables_and_opened_files(files):
    folder, _ = files
    two = [folder / "plus.bw", folder / "minus.bw"]
    beds = [folder / "peaks.bed", folder / "background.bed"]
    wanted = read_peaks(folder / "genome.fa", two, *beds)
    found = read_peaks(Fasta(folder / "genome.fa"), BigWigs(two), *map(read_bed, beds))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_read_peaks_without_mappability_masks_nothing_inside(files):
    folder, _ = files
    bigwigs = [folder / "plus.bw", folder / "minus.bw"]
    found = read_peaks(folder / "genome.fa", bigwigs, folder / "peaks.bed", jitter=0)
    assert found.codes.shape == (2, LENGTH)
    assert found.mappable[0].all()
    assert found.peak.all()


def test_read_peaks_refuses_one_strand_and_another_assembly(files):
    folder, _ = files
    two = [folder / "plus.bw", folder / "minus.bw"]
    with pytest.raises(ValueError, match="1 bigWigs; wanted the"):
        read_peaks(folder / "genome.fa", two[:1], folder / "peaks.bed")
    with pytest.raises(ValueError, match="jitter is -100; wanted 0"):
        read_peaks(folder / "genome.fa", two, folder / "peaks.bed", jitter=-100)
    (folder / "other.bed").write_text("chr1\t9000\t9100\n")
    with pytest.raises(ValueError, match="wanted both of one assembly"):
        read_peaks(folder / "genome.fa", two, folder / "other.bed")
    (folder / "unknown.bed").write_text("chr2\t90\t100\n")
    with pytest.raises(ValueError, match="chr2"):
        read_peaks(folder / "genome.fa", two, folder / "unknown.bed")
    with pyBigWig.open(str(folder / "short.bw"), "w") as file:
        file.addHeader([("chr1", 8000)])
        file.addEntries("chr1", [0], values=[1.0], span=1)
    with pytest.raises(ValueError, match=r"short.bw has 8,000 bp for chr1, and .* has 9,000"):
        read_peaks(folder / "genome.fa", two, folder / "peaks.bed", mappability=folder / "short.bw")


def test_windows_say_where_they_lie_and_what_was_lost(files):
    folder, _ = files
    two = [folder / "plus.bw", folder / "minus.bw"]
    (folder / "some.bed").write_text("chrUn\t1\t5\nchr1\t3000\t3101\nchr1\t500\t600\n")
    found = read_peaks(
        folder / "genome.fa", two, folder / "some.bed", folder / "background.bed", max_empty=0.5
    )  # fmt: skip
    assert found.peak.tolist() == [True, True, False]
    assert found.loci[["chrom", "tss"]].values.tolist() == [
        ["chr1", 3050], ["chr1", 550], ["chr1", 6000]
    ]  # fmt: skip
    assert (found.loci["end"] - found.loci["start"] == W).all()
    assert found.lost.values.tolist() == [[0, "chrUn", 3, "genome.fa has no chromosome 'chrUn'"]]


def test_peaks_without_reads_are_refused_and_background_without_is_not(files):
    folder, _ = files
    silent = []
    for strand in ("plus", "minus"):
        silent.append(folder / f"silent.{strand}.bw")
        with pyBigWig.open(str(silent[-1]), "w") as file:
            file.addHeader([("chr1", 9000)])
            file.addEntries("chr1", [300], values=[1.0], span=1)
    beds = [folder / "peaks.bed", folder / "background.bed"]
    with pytest.raises(ValueError, match=r"1 are empty .*1 have no reads.*max_empty=0.5"):
        read_peaks(folder / "genome.fa", silent, *beds)
    assert len(read_peaks(folder / "genome.fa", silent, *beds, max_empty=0.5).codes) == 3
    many = folder / "many.bed"  # however much background there is
    many.write_text("".join(f"chr1\t{at}\t{at + 1}\n" for at in range(5000, 6000, 25)))
    with pytest.raises(ValueError, match="2 loci 1 are empty"):
        read_peaks(folder / "genome.fa", silent, beds[0], many)
    only_one = folder / "one.bed"
    only_one.write_text("chr1\t500\t600\n")
    assert len(read_peaks(folder / "genome.fa", silent, only_one, beds[1]).codes) == 2


def test_a_mask_that_hides_everything_is_none(files):
    folder, _ = files
    two, beds = [folder / "plus.bw", folder / "minus.bw"], [folder / "peaks.bed"]
    for name, values in (("k.bw", np.full(9000, 0.99)), ("few.bw", np.arange(9000) % 9 == 0)):
        with pyBigWig.open(str(folder / name), "w") as file:
            file.addHeader([("chr1", 9000)])
            file.addEntries("chr1", 0, values=values.astype(float).tolist(), span=1, step=1)
    with pytest.raises(ValueError, match=r"k.bw 0.0% of the bases are mappable"):
        read_peaks(folder / "genome.fa", two, *beds, mappability=folder / "k.bw")
    with pytest.warns(UserWarning, match=r"few.bw .*% of the bases are mappable"):
        read_peaks(folder / "genome.fa", two, *beds, mappability=folder / "few.bw")


def test_mappability_of_some_chromosomes_only(files):
    folder, letters = files
    (folder / "two.fa").write_text(f">chr1\n{letters}\n>chr2\n{letters}\n")
    two = [folder / "both.plus.bw", folder / "both.minus.bw"]
    for path in two:
        with pyBigWig.open(str(path), "w") as file:
            file.addHeader([("chr1", 9000), ("chr2", 9000)])
            for chrom in ("chr1", "chr2"):
                file.addEntries(chrom, [3050], values=[1.0], span=1)
    (folder / "both.bed").write_text("chr1\t3000\t3101\nchr2\t3000\t3101\n")
    with pytest.raises(ValueError, match=r"k36.bw says nothing of chr2"):
        read_peaks(folder / "two.fa", two, folder / "both.bed", mappability=folder / "k36.bw")


def test_windows_lie_around_summits(files):
    folder, _ = files
    two = [folder / "plus.bw", folder / "minus.bw"]
    summits = folder / "x.narrowPeak"
    summits.write_text("".join(
        f"chr1\t3000\t3101\tp\t0\t.\t1\t1\t1\t{summit}\n" for summit in (7, -1)
    ))  # fmt: skip
    found = read_peaks(folder / "genome.fa", two, summits)
    assert found.loci["tss"].tolist() == [3007, 3050]  # without a summit the middle


def test_a_subset_keeps_its_places(files):
    folder, _ = files
    two = [folder / "plus.bw", folder / "minus.bw"]
    windows = read_peaks(
        folder / "genome.fa", two, folder / "peaks.bed", folder / "background.bed", length=600
    )
    assert windows.codes.shape == (3, 600 + 2 * 200)  # and the jitter on either side
    first = windows.subset([1, 0])
    assert first.loci["tss"].tolist() == windows.loci["tss"].iloc[[1, 0]].tolist()
    np.testing.assert_array_equal(first.reads, windows.reads[[1, 0]])
    assert windows.subset(windows.peak).peak.all()
    with pytest.raises(ValueError, match="wanted some numbers from 0 to"):
        windows.subset([len(windows.codes)])
    with pytest.raises(ValueError, match="or a mask of"):
        windows.subset(np.array([True]))

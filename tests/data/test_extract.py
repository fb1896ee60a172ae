"""extract: by hand, against the rules locus by locus, and on real GRO-cap reads of chr22."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.plain_extract import plain_extract
from tests.data.test_bigwig import write
from tests.support import refusal
from tssbook.data.assembly import require_content
from tssbook.data.bigwig import BigWigs
from tssbook.data.blacklists import CAGE_FACTOR, Blacklist, cage_blacklists
from tssbook.data.fasta import Fasta
from tssbook.data.genome import extract, locus_windows, padding, windows
from tssbook.data.tables import read_tss
from tssbook.data.tracks import TRACKS
from tssbook.sequence import codes
from tssbook.simulator import FILES, simulate, write_files

L = 4650


def table(*loci: tuple[str, int, str]) -> pd.DataFrame:
    return pd.DataFrame(loci, columns=["chrom", "tss", "strand"])


# --- by hand --------------------------------------------------------------------------------

#          0123456789
CHR1 = "AACCGGTTAC"
PLUS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
MINUS = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]


@pytest.fixture
def genome(tmp_path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1\n{CHR1}\n")
    return path


@pytest.fixture
def two(tmp_path) -> list[Path]:
    return [
        write(tmp_path / "a.plus.bw", {"chr1": PLUS}),
        write(tmp_path / "a.minus.bw", {"chr1": MINUS}),
    ]


def bed(path: Path, *places: tuple) -> Path:
    path.write_text("".join("\t".join(map(str, place)) + "\n" for place in places))
    return path


def test_both_strands_by_hand(genome, two):
    read, tracks, *_ = extract(genome, two, table(("chr1", 4, "+"), ("chr1", 4, "-")), length=4)
    # + strand: [2, 6); - strand: [3, 7), CGGT turned round. The TSS, base 4, is at index 2.
    assert np.array_equal(read, codes(["CCGG", "ACCG"]))
    assert tracks.tolist() == [
        [[2, 3, 4, 5], [20, 30, 40, 50]],
        [[60, 50, 40, 30], [6, 5, 4, 3]],  # a gene's own strand comes first
    ]
    assert read.dtype == np.uint8
    assert tracks.dtype == np.float32


def test_ends_of_a_chromosome_by_hand(genome, two):
    loci = table(("chr1", 1, "+"), ("chr1", 1, "-"), ("chr1", 9, "+"), ("chr1", 9, "-"))
    read, tracks, *_ = extract(genome, two, loci, length=6)
    assert np.array_equal(read, codes(["NNAACC", "CGGTTN", "TTACNN", "NNNGTA"]))
    assert tracks[:, 0].tolist() == [
        [0, 0, 0, 1, 2, 3], [40, 30, 20, 10, 0, 0], [6, 7, 8, 9, 0, 0], [0, 0, 0, 90, 80, 70]
    ]  # fmt: skip
    assert padding(genome, windows(loci, 3, 3)).tolist() == [2, 1, 2, 3]


def test_genes_instead_of_start_sites(genome, two):
    genes = pd.DataFrame(
        {"chrom": ["chr1"] * 2, "start": [4, 2], "end": [9, 5], "strand": ["+", "-"]}
    )
    by_gene = extract(genome, two, genes, length=4)
    by_site = extract(genome, two, table(("chr1", 4, "+"), ("chr1", 4, "-")), length=4)
    assert all(map(np.array_equal, by_gene, by_site))


def test_blacklist_zeroes(genome, two, tmp_path):
    places = bed(tmp_path / "bad.bed", ("chr1", 3, 5), ("chr1", 4, 6), ("chr2", 0, 9))
    loci = table(("chr1", 4, "+"), ("chr1", 4, "-"))
    with_all = extract(genome, two, loci, length=4, blacklists=[Blacklist(places)])[1]
    assert with_all.tolist() == [[[2, 0, 0, 0], [20, 0, 0, 0]], [[60, 0, 0, 0], [6, 0, 0, 0]]]
    with_one = extract(genome, two, loci, length=4, blacklists=[Blacklist(places, [1])])[1]
    assert with_one.tolist() == [[[2, 3, 4, 5], [20, 0, 0, 0]], [[60, 0, 0, 0], [6, 5, 4, 3]]]


def test_blacklist_replaces(genome, two, tmp_path):
    places = bed(tmp_path / "bad.bed", ("chr1", 4, 5))
    blacklist = Blacklist(places, [1], replace_by=[0], factor=0.5)
    loci = table(("chr1", 4, "+"), ("chr1", 4, "-"))
    tracks = extract(genome, two, loci, length=4, blacklists=[blacklist])[1]
    assert tracks.tolist() == [
        [[2, 3, 4, 5], [20, 30, 2, 50]], [[60, 50, 2, 30], [6, 5, 4, 3]]
    ]  # fmt: skip
    counts = blacklist.survey(BigWigs(two), ["chr1", "chr1", "chr2"], [4, 5, 4], 3)
    assert counts.tolist() == [1, 0, 0]


def test_windows_of_loci_say_what_is_padded_and_blacklisted(genome, two, tmp_path):
    places = Blacklist(bed(tmp_path / "bad.bed", ("chr1", 3, 5)))
    loci = table(("chr1", 4, "+"), ("chr1", 9, "-"))
    around, lost = locus_windows(Fasta(genome), BigWigs(two), loci, 4, [places, places])
    assert lost.empty
    # [2, 6) holds both places of both lists; [8, 12) has two bases outside.
    assert around[["tss", "padded", "blacklisted"]].values.tolist() == [[4, 0, 4], [9, 2, 0]]


# --- another assembly ---------------------------------------------------------------------------


def test_what_the_genome_does_not_have_is_a_reported_loss(genome, two):
    loci = table(("chr1", 4, "+"), ("chrUn", 4, "+"), ("chr1", 4, "-"), ("chr1", 99, "-"))
    made = extract(genome, two, loci, length=4, max_empty=0.5)
    kept = extract(genome, two, loci.iloc[[0, 2]], length=4)
    assert np.array_equal(made.codes, kept.codes)
    assert np.array_equal(made.tracks, kept.tracks)
    assert made.loci["start"].tolist() == [2, 3]
    assert made.lost.values.tolist() == [
        [1, "chrUn", 4, "genome.fa has no chromosome 'chrUn'"],
        [3, "chr1", 99, "chr1 has 10 bp in genome.fa"],
    ]
    message = refusal(lambda: extract(genome, two, loci, length=4))
    wanted = ("4 loci", "2 are not in the genome", "row 1 at chrUn:4", "25%", "max_empty=0.5")
    assert all(word in message for word in wanted)


@pytest.mark.parametrize(("n", "empty"), [(100, 29), (100, 57), (50, 29), (7, 2)])
def test_the_share_that_is_advised_lets_them_pass(n, empty):
    faults, lost = {"have no reads": np.arange(n) < empty}, pd.DataFrame({"row": []})
    advised = re.search(r"max_empty=([0-9.]+) ", refusal(lambda: require_content(lost, faults, 0)))
    require_content(lost, faults, float(advised[1]))


def test_swapped_strands_are_noticed_by_the_reads_at_the_start_sites(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1\n{'ACGT' * 500}\n")
    plus, minus = np.zeros((2, 2000))
    plus[500], minus[1500] = 90, 80
    reads = [
        write(tmp_path / f"{name}.bw", {"chr1": row.tolist()})
        for name, row in (("a", plus), ("b", minus))
    ]
    loci = table(("chr1", 500, "+"), ("chr1", 1500, "-"))
    extract(path, reads, loci, length=400)  # warnings are errors in these tests
    with pytest.warns(UserWarning, match="have 0 on their own strand and 170 on the other"):
        extract(path, reads[::-1], loci, length=400)
    flipped = loci.assign(strand=["-", "+"])
    with pytest.warns(UserWarning, match="those of the table, swapped"):
        extract(path, reads, flipped, length=400)


def test_loci_without_sequence_or_reads_are_counted(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1\n{'ACGT' * 5}{'N' * 20}\n")
    reads = [write(tmp_path / "a.bw", {"chr1": [*range(1, 11), *[0] * 10, *range(1, 21)]})]
    loci = table(("chr1", 4, "+"), ("chr1", 15, "+"), ("chr1", 30, "+"))  # all, no reads, no bases
    message = refusal(lambda: extract(path, reads, loci, length=4))
    wanted = ("3 loci 2 are empty", "1 have only N", "1 have no reads", "max_empty=0.67")
    assert all(word in message for word in wanted)
    assert len(extract(path, reads, loci, length=4, max_empty=0.67).codes) == 3
    assert "-1" in refusal(lambda: extract(path, reads, loci, length=4, max_empty=-1))


# --- simulated files --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulation():
    return simulate(300, seed=7)


@pytest.fixture(scope="module")
def folder(simulation, tmp_path_factory) -> Path:
    return write_files(simulation, tmp_path_factory.mktemp("simulated") / "files")


def test_simulated_files_hold_what_was_simulated(simulation, folder):
    """Without the blacklists: artefacts differ, everything else is the truth, base for base."""
    bigwigs = [folder / name for name in FILES]
    read, tracks, *_ = extract(folder / "genome.fa", bigwigs, folder / "tss.tsv")
    inside = read < 4  # N outside of a chromosome
    assert np.array_equal(read[inside], simulation.sequences[inside])
    assert inside.all(1).mean() > 0.95
    truth = np.where(inside[:, None], simulation.tracks, 0)
    differs = tracks != truth
    assert not differs[:, 1:-1].any()
    assert np.array_equal(np.unique(tracks[differs] - truth[differs]), [500])
    assert set(simulation.loci["strand"]) == {"+", "-"}
    assert 0 < differs[:, [0, 9]].mean() < 0.001


def test_blacklists_remove_the_artefacts(simulation, folder):
    bigwigs = [folder / name for name in FILES]
    lists = cage_blacklists(folder / "blacklist_plus.bed", folder / "blacklist_minus.bed")
    read, tracks, *_ = extract(folder / "genome.fa", bigwigs, folder / "tss.tsv", blacklists=lists)
    truth = np.where((read < 4)[:, None], simulation.tracks, 0)
    changed = tracks != truth
    scaled = np.float32(CAGE_FACTOR)
    for cage, encode in ((0, 1), (9, 8)):
        at = changed[:, cage]
        assert np.array_equal(tracks[:, cage][at], tracks[:, encode][at] * scaled)
    assert not changed[:, 1:-1].any()
    assert TRACKS[0] == "CAGE+"
    assert TRACKS[8] == "ENCODE CAGE-"


@pytest.mark.parametrize("length", [200, L])
def test_identical_to_the_plain_rules(folder, length):
    bigwigs = [folder / name for name in FILES]
    names = [folder / f"blacklist_{strand}.bed" for strand in ("plus", "minus")]
    rules = [(names[0], [0], [1], CAGE_FACTOR), (names[1], [9], [8], CAGE_FACTOR)]
    loci = read_tss(folder / "tss.tsv").iloc[::-1]  # in another order than on the chromosomes
    ours = extract(
        folder / "genome.fa", bigwigs, loci, length=length, blacklists=cage_blacklists(*names)
    )
    plain = plain_extract(folder / "genome.fa", bigwigs, loci, length, rules)
    assert np.array_equal(ours[0], plain[0])
    assert np.array_equal(ours[1], plain[1])
    assert (ours[0] == 4).any() == (length == L)  # ends of chromosomes are among them


def test_zeroing_is_identical_to_the_plain_rules(folder):
    bigwigs = [folder / name for name in FILES]
    plus, minus = folder / "blacklist_plus.bed", folder / "blacklist_minus.bed"
    loci = read_tss(folder / "tss.tsv")
    ours = extract(
        folder / "genome.fa", bigwigs, loci, blacklists=[Blacklist(plus), Blacklist(minus, [9, 8])]
    )[1]
    rules = [(plus, None, None, 1), (minus, [9, 8], None, 1)]
    plain = plain_extract(folder / "genome.fa", bigwigs, loci, L, rules)[1]
    assert np.array_equal(ours, plain)


def test_start_sites_near_both_ends(folder):
    bigwigs = [folder / name for name in FILES]
    fasta = Fasta(folder / "genome.fa")
    loci = table(
        *((chrom, tss, strand) for chrom, end in fasta.lengths.items()
          for tss in (0, 1, 700, 2324, 2325, end - 2326, end - 2325, end - 2324, end - 1)
          for strand in "+-")
    )  # fmt: skip
    ours = extract(fasta, bigwigs, loci)
    plain = plain_extract(fasta.path, bigwigs, loci, L)
    assert all(map(np.array_equal, ours, plain))
    assert np.array_equal((ours[0] == 4).sum(1), padding(fasta, windows(loci, L // 2, L // 2)))


# --- real reads -------------------------------------------------------------------------------


def test_real_grocap_of_chr22(mirror, tmp_path):
    """K562 GRO-cap (hg19): chr22 written as N with the two pieces of sequence that are at hand."""
    bigwigs = [mirror / f"K562_GROcap_hg19_chr22.{strand}.bw" for strand in ("plus", "minus")]
    pieces = Fasta(mirror / "human_chunks.fa.gz")
    chrom = np.full(51_304_566, ord("N"), np.uint8)
    for start, end in ((20_000_000, 20_509_431), (20_609_231, 21_000_000)):
        letters = pieces.letters(f"hg19_chr22_{start}_{end}", 0, end - start)
        chrom[start:end] = np.frombuffer(letters.encode(), np.uint8)
    path = tmp_path / "chr22.fa"
    path.write_bytes(b">chr22\n" + chrom.tobytes() + b"\n")
    rng = np.random.default_rng(0)
    at = np.sort(rng.integers(20_000_000, 21_000_000, 200)).tolist()
    loci = table(*(("chr22", tss, "+-"[i % 2]) for i, tss in enumerate([5, *at, 51_304_560])))
    read, tracks, *_ = extract(path, bigwigs, loci, max_empty=1)
    plain = plain_extract(path, bigwigs, loci, L)
    assert np.array_equal(read, plain[0])
    assert np.array_equal(tracks, plain[1])
    assert (tracks >= 0).all()
    assert all((tracks[:, t] > 0).any() for t in (0, 1))  # the file of the - strand is negative
    assert (read < 4).any(1).mean() > 0.85

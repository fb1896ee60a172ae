"""variants, when the VCF, the genome, the model or the place of the table is not as wanted."""

from __future__ import annotations

import gzip
import re

import pytest
import torch
from torch import nn

from tests.support import read_only_folder
from tssbook.interpret import score_variants
from tssbook.models import ProCapNet

GOOD = "chr1 5 rs1 A C"


class Calls(nn.Module):
    """Counts how often it is called; from the call ``last`` on it predicts ``value``."""

    def __init__(self, last: int = 1000, value: float = float("nan")) -> None:
        super().__init__()
        self.n, self.last, self.value = 0, last, value

    def forward(self, x):
        self.n += 1
        count = torch.full((len(x), 1), self.value if self.n >= self.last else 0.0)
        return torch.zeros(len(x), 2, 1), count


@pytest.fixture
def files(tmp_path):
    """The genome, and a function that writes a VCF from 'chr1 1 . A C'."""
    fasta = tmp_path / "genome.fa"
    fasta.write_text(">chr1\nGATTACANNR\n>chr2\nccgg\n")

    def vcf(*changes: str):
        path = tmp_path / "x.vcf"
        path.write_text("#CHROM\n" + "".join("\t".join(c.split()) + "\n" for c in changes))
        return path

    return fasta, vcf


def refused(found: str, path, fasta, error=ValueError, **options) -> None:
    """A sentence is found; and nothing has been predicted or written."""
    model = Calls()
    before = {p.name for p in path.parent.iterdir()}
    with pytest.raises(error, match=found) as caught:
        score_variants(model, path, fasta, path.parent / "out.tsv", **options)
    assert "\n" not in str(caught.value)
    assert model.n == 0
    assert {p.name for p in path.parent.iterdir()} - before <= {"genome.fa.fai"}


# --- lines --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ref", "alt", "wanted"),
    [
        *((ref, alt, "letters A, C, G and T, and no symbolic allele") for ref, alt in [
            ("A", "<DEL>"), ("A", "G]CHR2:1]"), ("A", ".TT"), ("A", "*"), ("A", "."), ("A", "N"),
            ("N", "A"), ("A", "R"), ("A", "U"), ("A", ""), ("AC", "AN"),
        ]),
        ("A", "A", "two alleles"), ("A", "a", "two alleles"), ("AC", "ac", "two alleles"),
    ],
)  # fmt: skip
def test_no_change_of_letters(files, ref, alt, wanted):
    fasta, vcf = files
    path = vcf(GOOD)
    path.write_text(path.read_text() + f"chr1\t5\trs2\t{ref}\t{alt}\n")
    found = re.escape(f"Line 3 of {path} has REF {ref!r} and ALT {alt!r}; wanted {wanted}")
    refused(found, path, fasta)


def test_an_allele_among_several(files):
    """None of a line is left out in silence: nor the empty one, of a comma too many."""
    fasta, vcf = files
    refused("Line 3 .* ALT 'AN'; wanted", vcf(GOOD, "chr1 5 rs2 A C,AN,G"), fasta)
    refused("Line 2 .* ALT ''; wanted", vcf("chr1 5 rs2 A C,"), fasta)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("chr1 1 . A C", r"Line 3 .* REF 'A' at chr1:1 where .*genome\.fa has 'G'; wanted"),
        ("chr1 4 . A C", r"Line 3 .* REF 'A' at chr1:4 where .* 'T'; .*counted from 1"),
        ("chr1 8 . A C", r"REF 'A' at chr1:8 where .* has 'N'"),
        ("chr1 10 . A C", r"REF 'A' at chr1:10 where .* has 'N'"),  # R, which is A or G
        (
            "chr7 5 . A C",
            r"Line 3 .* on 'chr7', which .*genome\.fa does not have: it has chr1, chr2",
        ),
        ("1 5 . A C", r"on '1', which .* called 'chr1' there"),
        ("chr1 3 . TTAG T", r"REF 'TTAG' at chr1:3 where .*genome\.fa has 'TTAC'; wanted both"),
        ("chr1 10 . AC A", r"REF 'AC' at chr1:10 where .* has 'NN'; wanted both"),
        ("chr1 11 . A C", r"Line 3 .* at chr1:11, and chr1 has 10 bp in .*genome\.fa; wanted"),
        ("chr1 5 rs1 A", r"Line 3 .* has 4 columns; wanted at least 5"),
        ("chr1 five . A C", r"Line 3 .* POS 'five'; wanted a whole number"),
        ("chr1 5.0 . A C", r"POS '5\.0'; wanted a whole number"),
        ("chr1 0 . G C", r"POS '0'; wanted a whole number above 0"),
        ("chr1 -5 . G C", r"POS '-5'; wanted a whole number above 0"),
        (f"chr1 {9 * 10**18} . G C", "POS '9000.*wanted a whole number"),
        (f"chr1 {5000 * '7'} . G C", "POS '7777.*wanted a whole number"),
    ],
)
def test_a_line(files, change, found):
    fasta, vcf = files
    refused(found, vcf(GOOD, change, GOOD), fasta)


@pytest.mark.parametrize("change", ["chr1 1 . GATT G", "chr1 5 . A ACGT"])
def test_an_allele_that_leaves_the_window(files, change):
    """Of 6 bases 3 are left from the middle on."""
    fasta, vcf = files
    found = r"Line 3 .* where the window has 3 bases from the variant on; wanted alleles that fit"
    refused(found, vcf(GOOD, change), fasta, length=6)


# --- the file -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "##fileformat=VCFv4.2\n#CHROM\tPOS\n"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_no_variants(files, text, compress):
    fasta, vcf = files
    path = vcf()
    path.write_bytes(compress(text.encode()))
    refused(r"x\.vcf has no variants; wanted a VCF", path, fasta)


def test_damaged_or_incomplete(files):
    """Also cut between two blocks of bgzip, where gzip sees nothing."""
    fasta, vcf = files
    path = vcf(*100 * [GOOD])
    whole = gzip.compress(path.read_bytes())
    path.write_bytes(whole[:-12])
    refused(r"x\.vcf is damaged", path, fasta)
    size = (len(whole) + 8 - 1).to_bytes(2, "little")
    path.write_bytes(bytes.fromhex("1f8b08040000000000ff060042430200") + size + whole[10:])
    refused(r"x\.vcf is incomplete", path, fasta)


def test_no_file(files):
    fasta, vcf = files
    path = vcf(GOOD)
    with pytest.raises(FileNotFoundError, match=r"y\.vcf"):
        score_variants(Calls(), path.with_name("y.vcf"), fasta)
    with pytest.raises(ValueError, match="is no file; wanted one on disk"):
        score_variants(Calls(), path.parent, fasta)
    with pytest.raises(FileNotFoundError, match=r"hg38\.fa"):
        score_variants(Calls(), path, fasta.with_name("hg38.fa"))


# --- the model ----------------------------------------------------------------------------------


class Gives(nn.Module):
    """Returns what it is told to."""

    def __init__(self, output) -> None:
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output


@pytest.mark.parametrize(
    ("output", "error", "found"),
    [
        (torch.zeros(1, 2, 7), TypeError, r"\(1, 2, 7\) for 1"),
        (None, TypeError, "NoneType"),
        ((torch.zeros(1, 7, 2), torch.zeros(1, 1)), TypeError, r"\(1, 7, 2\), \(1, 1\) for 1"),
        ((torch.zeros(1, 2, 7), torch.zeros(1, 3)), TypeError, r"\(1, 2, 7\), \(1, 3\) for 1"),
        ((torch.zeros(1, 2), torch.zeros(1, 1)), TypeError, r"\(1, 2\), \(1, 1\) for 1"),
        ((torch.zeros(1, 2, 7), torch.zeros(1)), TypeError, r"\(1, 2, 7\), \(1,\) for 1"),
        ((torch.zeros(2, 2, 7), torch.zeros(2, 1)), ValueError, r"\(2, 2, 7\) for 1"),
        ((torch.full((1, 2, 7), torch.nan), torch.zeros(1, 1)), ValueError, "NaN or infinity"),
        ((torch.zeros(1, 2, 7), torch.full((1, 1), torch.inf)), ValueError, "NaN or infinity"),
    ],
)
def test_another_model(files, output, error, found):
    fasta, vcf = files
    with pytest.raises(error, match=found):
        score_variants(Gives(output), vcf(GOOD), fasta, length=7)


def test_window_shorter_than_the_trim(files):
    fasta, vcf = files
    with pytest.raises(ValueError, match=r"98 bp .*at least 99 bp"):
        score_variants(ProCapNet(n_filters=2, n_layers=1), vcf(GOOD), fasta, length=98)


@pytest.mark.parametrize("options", [{"length": 0}, {"length": -1}, {"batch_size": 0}])
def test_options(files, options):
    fasta, vcf = files
    ((name, value),) = options.items()
    message = f"{name} is {value}; wanted a whole number of 1 or more"
    refused(message, vcf(GOOD), fasta, **options)


# --- the place of the table ---------------------------------------------------------------------


def test_places_that_cannot_be_written(files):
    fasta, vcf = files
    path, model = vcf(GOOD), Calls()
    text, folder = path.read_text(), path.parent
    for out, error, found in [
        (folder, ValueError, "is a folder or compressed; wanted a name"),
        (folder / "out.tsv.gz", ValueError, r"out\.tsv\.gz is a folder or compressed; wanted"),
        (path, ValueError, r"x\.vcf is a file to read from"),
        (fasta, ValueError, r"genome\.fa is a file to read from"),
        (folder / "none" / "out.tsv", FileNotFoundError, r"no folder .*none to write out\.tsv"),
    ]:
        with pytest.raises(error, match=found):
            score_variants(model, path, fasta, out)
    assert model.n == 0
    assert path.read_text() == text


def test_no_permission(files):
    fasta, vcf = files
    path, model = vcf(GOOD), Calls()
    score_variants(model, path, fasta)  # makes the index, while it may
    with read_only_folder({"x.vcf": path.read_bytes(), "genome.fa": fasta.read_bytes()}) as folder:
        model.n = 0
        with pytest.raises(PermissionError, match="ermission"):
            score_variants(model, folder / "x.vcf", folder / "genome.fa", folder / "out.tsv")
    assert model.n == 0


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_an_interruption_leaves_the_older_table(files, error):
    """After a first batch that is good; the half table is removed."""
    fasta, vcf = files
    path = vcf(GOOD, "chr1 2 . A T")
    out = path.with_name("out.tsv")
    out.write_text("old")
    model = Calls(last=3)
    if error:
        model.register_forward_pre_hook(lambda m, x: raise_(error) if m.n == 2 else None)
    with pytest.raises(error or ValueError):
        score_variants(model, path, fasta, out, length=7, batch_size=1)
    assert model.n >= 2
    assert out.read_text() == "old"
    assert {p.name for p in path.parent.iterdir()} == {
        "genome.fa", "genome.fa.fai", "out.tsv", "x.vcf",
    }  # fmt: skip


def raise_(error):
    raise error

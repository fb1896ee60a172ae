"""variants, when the VCF, the genome, the model or the place of the table is not as wanted."""

from __future__ import annotations

import gzip

import pytest
import torch
from torch import nn

from tests.support import read_only_folder, refusal
from tssbook.interpret.variants import score_variants as score
from tssbook.models.procapnet import ProCapNet

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


def refused(path, fasta, **options) -> str:
    """The sentence; and nothing has been predicted or written."""
    model = Calls()
    before = {p.name for p in path.parent.iterdir()}
    sentence = refusal(lambda: score(model, path, fasta, path.parent / "out.tsv", **options))
    assert model.n == 0
    assert {p.name for p in path.parent.iterdir()} - before <= {"genome.fa.fai"}
    return sentence


# --- alleles ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ref", "alt", "what"),
    [
        ("AC", "A", "an insertion or deletion"),
        ("A", "AT", "an insertion or deletion"),
        ("a", "at", "an insertion or deletion"),
        ("AC", "GT", "a change of several bases"),
        ("A", "<DEL>", "a symbolic allele"),
        ("A", "<NON_REF>", "a symbolic allele"),
        ("A", "G]CHR2:1]", "a symbolic allele"),
        ("A", ".TT", "a symbolic allele"),
        ("A", "*", "an allele that another deletion takes away"),
        ("A", ".", "no change"),
        ("A", "N", "not both of them known bases"),
        ("N", "A", "not both of them known bases"),
        ("A", "R", "not both of them known bases"),
        ("A", "U", "not both of them known bases"),
        ("A", "A", "the same base"),
        ("A", "a", "the same base"),
    ],
)
def test_no_single_base_change(files, ref, alt, what):
    fasta, vcf = files
    path = vcf(GOOD, f"chr1 5 rs2 {ref} {alt}")
    assert refused(path, fasta) == (
        f"Line 3 of {path} has REF {ref.upper()!r} and ALT {alt.upper()!r}, {what}; wanted a "
        "change of one base A, C, G or T to another: 'bcftools norm -m -' and then 'bcftools view "
        "-v snps' keep those. This holds for 1 of 2 changes."
    )


def test_an_allele_among_several(files):
    """None of a line is left out in silence: nor the empty one, of a comma too many."""
    fasta, vcf = files
    path = vcf(GOOD, "chr1 5 rs2 A C,AT,G", "chr1 5 rs2 A C,G,*")
    sentence = refused(path, fasta)
    assert "Line 3 of" in sentence
    assert "ALT 'AT', an insertion or deletion" in sentence
    assert sentence.endswith("This holds for 2 of 7 changes.")
    assert "ALT ''" in refused(vcf("chr1 5 rs2 A C,"), fasta)


# --- places -------------------------------------------------------------------------------------


def test_wrong_reference(files):
    fasta, vcf = files
    path = vcf(GOOD, "chr1 1 . A C,T", "chr1 2 . A C", "chr2 2 . g c")
    assert refused(path, fasta) == (
        f"Line 3 of {path} has REF 'A' at chr1:1 where {fasta} has 'G'; wanted both of one "
        "assembly, and positions counted from 1: 'bcftools norm -c x -f FASTA' leaves out what "
        "disagrees. This holds for 3 of 5 changes."
    )


@pytest.mark.parametrize("position", [8, 10])
def test_no_base_in_the_genome(files, position):
    """N, and R, which stands for A or G."""
    fasta, vcf = files
    assert "genome.fa has 'N'" in refused(vcf(f"chr1 {position} . A C"), fasta)


def test_positions_counted_from_0(files):
    fasta, vcf = files
    assert "has REF 'A' at chr1:4 where" in refused(vcf("chr1 4 rs1 A C"), fasta)


def test_missing_chromosome(files):
    fasta, vcf = files
    path = vcf(GOOD, "chr7 5 . A C", "chr7 6 . A C", "chr2 1 . A C")
    assert refused(path, fasta) == (
        f"Line 3 of {path} is on 'chr7', which {fasta} does not have: it has chr1, chr2. This "
        "holds for 2 of 4 changes."
    )


def test_the_other_way_to_name_chromosomes(files):
    fasta, vcf = files
    sentence = refused(vcf("1 5 . A C"), fasta)
    assert "is on '1', which" in sentence
    assert "it is called 'chr1' there, so write all names in one way" in sentence


@pytest.mark.parametrize("position", [11, 10**30])
def test_past_the_end(files, position):
    fasta, vcf = files
    path = vcf(GOOD, f"chr1 {position} . A C")
    assert refused(path, fasta) == (
        f"Line 3 of {path} is at chr1:{position}, and chr1 has 10 bp in {fasta}; wanted both of "
        "one assembly. This holds for 1 of 2 changes."
    )


def test_the_first_fault_is_named(files):
    fasta, vcf = files
    faults = ["chr1 1 . A C", "chr1 5 . A AT", "chr7 5 . A C", "chr1 99 . A C"]
    expected = ["REF 'A' at chr1:1", "an insertion", "is on 'chr7'", "is at chr1:99"]
    for turn in range(4):
        sentence = refused(vcf(GOOD, *faults[turn:], *faults[:turn]), fasta)
        assert expected[turn] in sentence
        assert "Line 3 of" in sentence
        assert sentence.endswith("This holds for 1 of 5 changes.")


# --- the file -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("chr1\t5\trs1\tA", "has 4 columns; wanted at least 5, separated by tabs: CHROM, POS, ID"),
        ("chr1 5 rs1 A C", "has 1 columns; wanted at least 5"),
        ("chr1\tfive\trs1\tA\tC", "has the POS 'five'; wanted a whole number."),
        ("chr1\t5.0\trs1\tA\tC", "has the POS '5.0'; wanted a whole number."),
        ("chr1\t\trs1\tA\tC", "has the POS ''; wanted a whole number."),
        ("chr1\t0\trs1\tG\tC", "has the POS 0; wanted 1 or more."),
        ("chr1\t-5\trs1\tG\tC", "has the POS -5; wanted 1 or more."),
    ],
)
def test_a_line(files, line, what):
    fasta, vcf = files
    path = vcf(GOOD)
    path.write_text(path.read_text() + line)
    assert refused(path, fasta).startswith(f"Line 3 of {path} {what}")


@pytest.mark.parametrize("text", ["", "\n", "##fileformat=VCFv4.2\n#CHROM\tPOS\n"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_no_variants(files, text, compress):
    fasta, vcf = files
    path = vcf()
    path.write_bytes(compress(text.encode()))
    assert refused(path, fasta) == f"{path} has no variants; wanted a VCF file."


def test_incomplete(files):
    """Cut within a block, and between two, where gzip sees nothing."""
    fasta, vcf = files
    path = vcf(*100 * [GOOD])
    whole = gzip.compress(path.read_bytes())
    path.write_bytes(whole[:-12])
    assert f"{path} cannot be read as text (" in refused(path, fasta)
    size = (len(whole) + 8 - 1).to_bytes(2, "little")
    block = bytes.fromhex("1f8b08040000000000ff060042430200") + size + whole[10:]
    path.write_bytes(block)
    assert refused(path, fasta) == f"{path} is incomplete: its last block is missing. Get it again."


def test_damaged(files):
    fasta, vcf = files
    path = vcf(*100 * [GOOD])
    whole = bytearray(gzip.compress(path.read_bytes()))
    whole[10] |= 6  # a kind of block that there is not
    path.write_bytes(whole)
    assert refused(path, fasta).startswith(f"{path} is damaged (")


def test_no_text(files):
    fasta, vcf = files
    path = vcf()
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as text" in refused(path, fasta)


def test_no_file(files):
    fasta, vcf = files
    assert "x.vcf" in refusal(lambda: score(Calls(), "x.vcf", fasta), FileNotFoundError)
    path = vcf(GOOD)
    assert "is no file; wanted one on disk" in refusal(lambda: score(Calls(), path.parent, fasta))
    missing = fasta.with_name("hg38.fa")
    assert "hg38.fa" in refusal(lambda: score(Calls(), path, missing), FileNotFoundError)


# --- the model ----------------------------------------------------------------------------------


class Gives(nn.Module):
    """Returns what it is told to."""

    def __init__(self, output) -> None:
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output


@pytest.mark.parametrize(
    "output",
    [
        torch.zeros(1, 2, 7),
        None,
        (torch.zeros(1, 2, 7),),
        (torch.zeros(1, 7, 2), torch.zeros(1, 1)),
        (torch.zeros(1, 2), torch.zeros(1, 1)),
        (torch.zeros(1, 2, 7), torch.zeros(1)),
        (torch.zeros(1, 2, 7), torch.zeros(1, 2)),
        (torch.zeros(2, 2, 7), torch.zeros(2, 1)),
        (torch.zeros(1, 2, 7), 0.5),
    ],
)
def test_another_model(files, output):
    fasta, vcf = files
    path = vcf(GOOD)
    sentence = refusal(lambda: score(Gives(output), path, fasta, length=7), TypeError)
    assert sentence.endswith(
        "for 1 sequences; wanted profile_logits (N, 2, L_out) and count_logits (N, 1), as a "
        "ProCapNet returns."
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_sound(files, value):
    fasta, vcf = files
    sentence = refusal(lambda: score(Calls(1, value), vcf(GOOD), fasta, length=7))
    assert sentence == "The model predicts NaN or infinity: its weights are not sound."


def test_window_shorter_than_the_trim(files):
    fasta, vcf = files
    model = ProCapNet(n_filters=2, n_layers=1)
    sentence = refusal(lambda: score(model, vcf(GOOD), fasta, length=98))
    assert sentence.endswith("wanted at least 99 bp.")


@pytest.mark.parametrize("options", [{"length": 0}, {"length": -1}, {"batch_size": 0}])
def test_options(files, options):
    fasta, vcf = files
    assert refused(vcf(GOOD), fasta, **options).endswith("wanted 1 or more of both.")


# --- the place of the table ---------------------------------------------------------------------


def test_places_that_cannot_be_written(files):
    fasta, vcf = files
    path, model = vcf(GOOD), Calls()
    text = path.read_text()
    folder = path.parent
    places = {
        folder: "is a folder; wanted the name of a file.",
        folder / "out.tsv.gz": "is named as a compressed file; wanted a name such as effects.tsv.",
        path: "is a file to read from; wanted another name for the table.",
        fasta: "is a file to read from; wanted another name for the table.",
    }
    for out, sentence in places.items():
        assert refusal(lambda out=out: score(model, path, fasta, out)) == f"{out} {sentence}"
    out = folder / "none" / "out.tsv"
    sentence = refusal(lambda: score(model, path, fasta, out), FileNotFoundError)
    assert sentence == f"There is no folder {out.parent} to write out.tsv to."
    assert model.n == 0
    assert path.read_text() == text


def test_no_permission(files):
    fasta, vcf = files
    path, model = vcf(GOOD), Calls()
    score(model, path, fasta)  # makes the index, while it may
    with read_only_folder({"x.vcf": path.read_bytes(), "genome.fa": fasta.read_bytes()}) as folder:
        model.n = 0
        out = folder / "out.tsv"
        call = lambda: score(model, folder / "x.vcf", folder / "genome.fa", out)  # noqa: E731
        assert "ermission" in refusal(call, PermissionError)
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
        score(model, path, fasta, out, length=7, batch_size=1)
    assert model.n >= 2
    assert out.read_text() == "old"
    assert {p.name for p in path.parent.iterdir()} == {
        "genome.fa", "genome.fa.fai", "out.tsv", "x.vcf",
    }  # fmt: skip


def raise_(error):
    raise error

"""variants: a network of which every number is known, and a ProCapNet against a plain loop."""

from __future__ import annotations

import gzip
import math
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from tests.support import refusal
from tssbook.data import Fasta
from tssbook.interpret import score_variants, total, variants
from tssbook.metrics import jsd
from tssbook.models.procapnet import ProCapNet
from tssbook.models.procapnet_fast import FastProCapNet
from tssbook.models.puffin import SimpleNet
from tssbook.sequence import one_hot

COLUMNS = ["chrom", "position", "id", "ref", "alt", "delta_log_counts", "jsd"]
COLUMNS += ["strand_before", "strand_after", "padded"]


class Centre(nn.Module):
    """One output position; the base in the middle decides on the strand, all G are counted.

    The odds of the + strand are 3 for A and T, 1/3 for C, and 1 for G and N.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append(x)
        log_odds = math.log(3) * torch.tensor([1.0, -1.0, 0.0, 1.0])
        plus = x[..., x.shape[-1] // 2] @ log_odds  # (N,)
        return torch.stack([plus, 0 * plus], 1)[..., None], x[:, 2].sum(1, keepdim=True)


def write(folder, vcf: str, fasta: str = ">chr1\nGATTACA\n>chr2\nccgg\n") -> tuple:
    (folder / "x.vcf").write_text(vcf)
    (folder / "genome.fa").write_text(fasta)
    return folder / "x.vcf", folder / "genome.fa"


def lines(*changes: str) -> str:
    """Lines of a VCF from 'chr1 1 . A C'."""
    return "".join("\t".join(change.split()) + "\n" for change in changes)


def genome(folder, n: int, seed: int = 0) -> tuple[str, str]:
    """A chromosome of random bases, and a VCF with a change of each."""
    rng = np.random.default_rng(seed)
    bases = rng.integers(4, size=n)
    others = (bases + rng.integers(1, 4, size=n)) % 4
    pairs = zip(bases, others, strict=True)
    body = (f"chr1 {i} v{i} {'ACGT'[b]} {'ACGT'[o]} . . ." for i, (b, o) in enumerate(pairs, 1))
    return lines(*body), ">chr1\n" + "".join("ACGT"[b] for b in bases) + "\n"


# --- by hand ------------------------------------------------------------------------------------


def test_numbers_by_hand(tmp_path):
    # G A T T A C A, windows of 5: A at 5 is in the middle of T T A C A.
    vcf, fasta = write(tmp_path, lines("chr1 5 rs1 A C", "chr1 5 . A G", "chr1 3 rs2 T A"))
    table = score_variants(Centre(), vcf, fasta, length=5)
    assert list(table) == COLUMNS
    assert table["chrom"].tolist() == ["chr1"] * 3
    assert table["position"].tolist() == [5, 5, 3]
    assert table["id"].tolist() == ["rs1", ".", "rs2"]
    assert table["ref"].tolist() == ["A", "A", "T"]
    assert table["alt"].tolist() == ["C", "G", "A"]
    # Only A to G makes one G more.
    assert table["delta_log_counts"].tolist() == [0, 1, 0]
    # (3/4, 1/4) and (1/4, 3/4): the mean is (1/2, 1/2), and each side's divergence from it
    # 3/4 ln(3/2) + 1/4 ln(1/2).
    whole = math.sqrt(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    # (3/4, 1/4) and (1/2, 1/2): the mean is (5/8, 3/8).
    left = 0.75 * math.log(0.75 / 0.625) + 0.25 * math.log(0.25 / 0.375)
    right = 0.5 * math.log(0.5 / 0.625) + 0.5 * math.log(0.5 / 0.375)
    half = math.sqrt((left + right) / 2)
    assert table["jsd"].tolist() == pytest.approx([whole, half, 0], abs=1e-7)
    assert table["strand_before"].tolist() == ["+", "+", "+"]
    assert table["strand_after"].tolist() == ["-", "+", "+"]  # + where both are equal
    assert table["padded"].tolist() == [0, 0, 0]


def test_one_softmax_over_both_strands(tmp_path):
    """All of it moves from the + strand to the - strand; within each strand nothing changes."""

    class Strand(nn.Module):
        def forward(self, x):
            plus = 40 * x[:, 0, 1]  # 40 for A in the middle, 0 for C
            profile = torch.zeros(len(x), 2, 3)
            profile[:, 0], profile[:, 1] = plus[:, None], 20
            return profile, torch.zeros(len(x), 1)

    vcf, fasta = write(tmp_path, lines("chr1 2 . A C"))
    row = score_variants(Strand(), vcf, fasta, length=3).iloc[0]
    assert row["jsd"] == pytest.approx(math.sqrt(math.log(2)), abs=1e-6)  # 0.8326, the largest
    assert (row["strand_before"], row["strand_after"]) == ("+", "-")


def test_a_logit_without_any_probability(tmp_path):
    """The smallest probabilities are 0: a zero times its logarithm is 0, and no NaN."""

    class Spike(nn.Module):
        def forward(self, x):
            profile = torch.zeros(len(x), 2, 2)
            profile[:, 0, 0], profile[:, 1, 1] = 2000 * x[:, 0, 1], 2000 * x[:, 1, 1]
            return profile, torch.zeros(len(x), 1)

    vcf, fasta = write(tmp_path, lines("chr1 2 . A C"))
    table = score_variants(Spike(), vcf, fasta, length=3)
    assert table["jsd"].tolist() == pytest.approx([math.sqrt(math.log(2))])


def test_what_the_model_reads(tmp_path):
    """The window on the + strand, the variant at length // 2, N outside the chromosome."""
    vcf, fasta = write(tmp_path, lines("chr1 5 . A C", "chr1 1 . G T", "chr2 4 . g a"))
    model = Centre()
    table = score_variants(model, vcf, fasta, length=4)
    before, after = model.seen
    assert torch.equal(before, one_hot(["TTAC", "NNGA", "CGGN"]))
    assert torch.equal(after, one_hot(["TTCC", "NNTA", "CGAN"]))
    assert table["padded"].tolist() == [0, 2, 1]
    assert table["ref"].tolist() == ["A", "G", "G"]
    assert table["alt"].tolist() == ["C", "T", "A"]


def test_a_window_larger_than_the_chromosome(tmp_path):
    vcf, fasta = write(tmp_path, lines("chr2 1 . C T"))
    assert score_variants(Centre(), vcf, fasta, length=11)["padded"].tolist() == [7]


def test_alleles_of_one_line_share_the_reference(tmp_path):
    vcf, fasta = write(tmp_path, lines("chr1 5 rs1 A C,G,T", "chr1 4 rs2 T A"))
    model = Centre()
    table = score_variants(model, vcf, fasta, length=5)
    assert table["alt"].tolist() == ["C", "G", "T", "A"]
    assert table["id"].tolist() == ["rs1", "rs1", "rs1", "rs2"]
    assert [len(x) for x in model.seen] == [2, 4]
    alone, _ = write(tmp_path, lines("chr1 5 rs1 A T"))
    again = score_variants(Centre(), alone, fasta, length=5)
    pd.testing.assert_frame_equal(again, table[2:3].reset_index(drop=True))


# --- against a plain loop -----------------------------------------------------------------------


def small() -> ProCapNet:
    """Random weights; the profile's are so large that some variants change the strand."""
    torch.manual_seed(0)
    model = ProCapNet(n_filters=4, n_layers=2)
    nn.init.zeros_(model.fconv.bias)
    model.fconv.weight.data *= 30
    return model


def plain_loop(model: ProCapNet, vcf: str, fasta: str, length: int) -> pd.DataFrame:
    """One variant after the other, with letters."""
    rows = []
    chromosome = fasta.splitlines()[1]
    for line in vcf.splitlines():
        _, text, _, _, alt, *_ = line.split("\t")
        centre = int(text) - 1
        around = range(centre - length // 2, centre - length // 2 + length)
        letters = [chromosome[i] if 0 <= i < len(chromosome) else "N" for i in around]
        changed = list(letters)
        changed[length // 2] = alt
        profiles, counts = model(one_hot(["".join(letters), "".join(changed)]))
        p, q = profiles.double().exp().numpy()
        p, q = p / p.sum(), q / q.sum()
        m = (p + q) / 2
        divergence = ((p * np.log(p / m)).sum() + (q * np.log(q / m)).sum()) / 2
        strands = ["+" if x[0].sum() > 0.5 else "-" for x in (p, q)]
        change = float(counts[1, 0] - counts[0, 0])
        rows.append((change, math.sqrt(divergence), *strands, letters.count("N")))
    return pd.DataFrame(rows, columns=COLUMNS[5:])


@torch.no_grad()
def test_procapnet_as_in_a_plain_loop(tmp_path):
    vcf_text, fasta_text = genome(tmp_path, 150)
    vcf, fasta = write(tmp_path, vcf_text, fasta_text)
    model = small()
    table = score_variants(model, vcf, fasta, length=131)  # 1 + 2 * trim is 107
    expected = plain_loop(model.eval(), vcf_text, fasta_text, 131)
    assert len(table) == 150
    assert table["jsd"].median() > 0.1
    assert table["delta_log_counts"].abs().median() > 1e-3
    assert 0 < (table["strand_before"] != table["strand_after"]).sum() < 75
    pd.testing.assert_frame_equal(table[COLUMNS[5:]], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batch_size_changes_nothing(tmp_path, batch_size):
    vcf, fasta = write(tmp_path, *genome(tmp_path, 20))
    table = score_variants(small(), vcf, fasta, length=120)
    again = score_variants(small(), vcf, fasta, length=120, batch_size=batch_size)
    pd.testing.assert_frame_equal(again, table, rtol=1e-4, atol=1e-6)


def test_the_model_is_as_before(tmp_path):
    vcf, fasta = write(tmp_path, *genome(tmp_path, 3))
    model = small().double()
    model.train()
    model.iconv.eval()
    modes = []
    model.register_forward_hook(lambda model, *_: modes.append(model.training))
    table = score_variants(model, vcf, fasta, length=120, device="cpu")
    assert modes == [False, False]
    assert model.training
    assert not model.iconv.training
    assert next(model.parameters()).grad is None
    single = score_variants(small(), vcf, fasta, length=120)
    pd.testing.assert_frame_equal(table, single, rtol=1e-3, atol=1e-6)


def test_default_length_is_the_published_one(tmp_path):
    vcf, fasta = write(tmp_path, lines("chr1 1 . G T"))
    model = Centre()
    score_variants(model, vcf, fasta)
    assert model.seen[0].shape == (1, 4, 2114)


def test_the_length_that_the_model_was_trained_on(tmp_path):
    vcf, fasta = write(tmp_path, lines("chr1 1 . G T"))
    model = small()
    model.trained_on = {"length": 120, "data": None}
    for known in (model, FastProCapNet(model)):
        table = score_variants(known, vcf, fasta)
        pd.testing.assert_frame_equal(table, score_variants(small(), vcf, fasta, length=120))
        message = refusal(lambda known=known: score_variants(known, vcf, fasta, length=2114))
        assert all(word in message for word in ("2114", "120"))


# --- the file that comes in ---------------------------------------------------------------------

HEADER = "##fileformat=VCFv4.2\n##contig=<ID=chr1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
BODY = lines("chr1 5 rs1 A C 50 PASS AF=0.5", "chr2 1 rs2 C G . . .")


@pytest.mark.parametrize(
    "text", [HEADER + BODY, BODY, (HEADER + BODY).replace("\n", "\r\n"), BODY + "\n", BODY[:-1]]
)
def test_ways_to_write_a_vcf(tmp_path, text):
    vcf, fasta = write(tmp_path, "")
    vcf.write_bytes(text.encode())
    table = score_variants(Centre(), vcf, fasta, length=5)
    assert table["id"].tolist() == ["rs1", "rs2"]
    assert table["alt"].tolist() == ["C", "G"]


@pytest.mark.parametrize("changes", [["chr1 5 . A C"], ["chr1 5 . A C GT 0/1", "chr1 3 . T A"]])
def test_five_columns_are_enough(tmp_path, changes):
    vcf, fasta = write(tmp_path, lines(*changes))
    assert len(score_variants(Centre(), vcf, fasta, length=5)) == len(changes)


def bgzip(*parts: bytes) -> bytes:
    """Blocks of BGZF: gzip with the length of the block in an extra field."""
    blocks = b""
    for part in (*parts, b""):
        body = gzip.compress(part, mtime=0)[10:]
        size = 18 + len(body) - 1
        blocks += bytes.fromhex("1f8b08040000000000ff060042430200") + size.to_bytes(2, "little")
        blocks += body
    return blocks


@pytest.mark.parametrize("compress", [gzip.compress, bgzip, lambda b: bgzip(b[:99], b[99:])])
def test_compressed(tmp_path, compress):
    vcf, fasta = write(tmp_path, "")
    vcf.write_bytes(compress((HEADER + BODY).encode()))
    assert score_variants(Centre(), vcf, fasta, length=5)["id"].tolist() == ["rs1", "rs2"]


def test_an_opened_genome_and_names_as_text(tmp_path):
    vcf, fasta = write(tmp_path, BODY)
    table = score_variants(Centre(), str(vcf), Fasta(fasta), length=5)
    pd.testing.assert_frame_equal(table, score_variants(Centre(), vcf, str(fasta), length=5))


# --- the table that goes out --------------------------------------------------------------------


def test_the_file_is_the_table(tmp_path):
    vcf, fasta = write(tmp_path, *genome(tmp_path, 20))
    out = tmp_path / "effects.tsv"
    out.write_text("old")
    assert score_variants(small(), vcf, fasta, str(out), length=120, batch_size=6) == out
    table = score_variants(small(), vcf, fasta, length=120, batch_size=6)
    pd.testing.assert_frame_equal(pd.read_csv(out, sep="\t"), table, rtol=1e-5, atol=1e-12)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "effects.tsv", "genome.fa", "genome.fa.fai", "x.vcf",
    ]  # fmt: skip


def test_lines_of_the_file(tmp_path):
    vcf, fasta = write(tmp_path, lines("chr1 5 rs1 A G", "chr1 1 . G T"))
    text = (
        score_variants(Centre(), vcf, fasta, tmp_path / "effects.tsv", length=5)
        .read_bytes()
        .decode()
    )
    assert text.split("\n") == [
        "\t".join(COLUMNS),
        "chr1\t5\trs1\tA\tG\t1\t0.183908\t+\t+\t0",
        "chr1\t1\t.\tG\tT\t-1\t0.183908\t+\t+\t2",
        "",
    ]


def test_memory_does_not_grow_with_the_file(tmp_path):
    """The windows of 1,000 more variants would take 2 MB, and again as much with the change."""

    def peak(n: int) -> int:
        variant = "chr1\t5\trs1\tA\tG\n"
        vcf, fasta = write(tmp_path, n * variant, ">chr1\n" + 1000 * "A" + "\n")
        tracemalloc.start()
        score_variants(Nothing(), vcf, fasta, tmp_path / "effects.tsv", batch_size=64)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    class Nothing(nn.Module):
        def forward(self, x):
            return torch.zeros(len(x), 2, 1), torch.zeros(len(x), 1)

    peak(1)  # what is loaded once
    few, many = peak(1_000), peak(2_000)
    assert few < 2e6
    assert many < few + 5e5


def test_no_more_variants_than_the_batch_are_read(tmp_path, monkeypatch):
    vcf, fasta = write(tmp_path, *genome(tmp_path, 50))
    monkeypatch.setattr(variants, "_CHECKED", 8)
    asked, codes = [], Fasta.codes
    monkeypatch.setattr(
        Fasta, "codes", lambda *args: asked.append((len(args[1]), args[3])) or codes(*args)
    )
    score_variants(Centre(), vcf, fasta, length=5, batch_size=20)
    first = [*6 * [(8, 1)], (2, 1)]  # all are checked before anything is predicted
    assert asked == [*first, (20, 1), (20, 5), (20, 1), (20, 5), (10, 1), (10, 5)]


def test_progress(tmp_path, capsys):
    vcf, fasta = write(tmp_path, *genome(tmp_path, 50))
    score_variants(Centre(), vcf, fasta, length=5)
    assert capsys.readouterr().err == ""
    score_variants(Centre(), vcf, fasta, length=5, progress=True)
    assert "50/50" in capsys.readouterr().err


# --- insertions and deletions -------------------------------------------------------------------


class Reads(nn.Module):
    """Remembers what it reads; says one number, how many A there are."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return x[:, 0].sum(1)


def test_windows_of_insertions_and_deletions_by_hand(tmp_path):
    # G A T T A C A, windows of 4 with the allele's first base at index 2.
    changes = ["chr1 3 . T TC", "chr1 3 . TT T", "chr1 3 . TT GC", "chr1 6 . CA C", "chr1 3 . T G"]
    vcf, fasta = write(tmp_path, lines(*changes))
    model = Reads()
    table = score_variants(model, vcf, fasta, length=4)
    before, after = model.seen
    assert torch.equal(before, one_hot(["GATT", "TACA"]))
    assert torch.equal(after, one_hot(["GATC", "GATA", "GAGC", "TACN", "GAGT"]))
    assert table["ref"].tolist() == ["T", "TT", "TT", "CA", "T"]
    assert table["alt"].tolist() == ["TC", "T", "GC", "C", "G"]
    assert table["delta"].tolist() == [0, 1, 0, -1, 0]  # A is read when TT loses a T
    assert table["padded"].tolist() == [0] * 5  # of the reference


class Probability(nn.Module):
    """Bases of the window but for ``trim`` at either end; the logits are 3 at G, and 0."""

    def __init__(self, trim: int = 0) -> None:
        super().__init__()
        self.trim = trim

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        g = 3 * x[:, 2, self.trim : x.shape[-1] - self.trim]
        return torch.stack([g, 0 * g], 1), x[:, 2].sum(1, keepdim=True)


@pytest.mark.parametrize("trim", [0, 1])
@pytest.mark.parametrize("change", ["chr1 6 . A AA", "chr1 6 . AA A", "chr1 7 . AA A"])
def test_a_mere_shift_is_no_change(tmp_path, monkeypatch, change, trim):
    """The one G that has all the probability stands behind the allele and moves."""
    vcf, fasta = write(tmp_path, lines(change), ">chr1\nAAAAAAAAGAAAAAAAAA\n")
    row = score_variants(Moved(trim), vcf, fasta, length=12).iloc[0]
    assert row["jsd"] == pytest.approx(0, abs=1e-6)
    monkeypatch.setattr(variants, "_spread", lambda p, *_: (p, torch.ones(len(p), p.shape[-1]) > 0))
    in_place = score_variants(Moved(trim), vcf, fasta, length=12)["jsd"][0]
    assert in_place == pytest.approx(math.sqrt(math.log(2)), abs=1e-3)


class Moved(Probability):
    """All of the probability is at G: its logit is 50."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        profile, count = super().forward(x)
        return 50 / 3 * profile - 100 * torch.tensor([[0.0], [1.0]]), count


def test_what_is_deleted_or_inserted_is_a_change(tmp_path):
    """Of two G in the reference one is lost: (1/2, 1/2) and (1, 0), and the other way round."""
    half = math.sqrt((math.log(4 / 3) + 0.5 * math.log(2 / 3) + 0.5 * math.log(2)) / 2)
    vcf, fasta = write(tmp_path, lines("chr1 5 . AG A"), ">chr1\nAAAAAGAGAA\n")
    assert score_variants(Moved(), vcf, fasta, length=8)["jsd"][0] == pytest.approx(half, abs=1e-6)
    vcf, fasta = write(tmp_path, lines("chr1 5 . A AG"), ">chr1\nAAAAAAGAAA\n")
    (tmp_path / "genome.fa.fai").unlink()
    assert score_variants(Moved(), vcf, fasta, length=8)["jsd"][0] == pytest.approx(half, abs=1e-6)


def test_profiles_of_two_lengths_by_hand():
    """Two bases more behind the first: the shorter profile gets two zeros there, and is cut."""
    short = torch.arange(1.0, 6).expand(1, 1, 5)
    found, seen = variants._spread(short, torch.tensor([1]), torch.tensor([2]))
    assert found.tolist() == [[[1, 0, 0, 2, 3]]]
    assert seen.tolist() == [[True] * 5]
    # The allele began two bases before the first position that is predicted: one base of the two
    # that are missing would stand at the first position; what follows it is not predicted.
    found, seen = variants._spread(short, torch.tensor([-1]), torch.tensor([2]))
    assert found[..., seen[0]].tolist() == [[[0, 1, 2, 3]]]
    assert seen.tolist() == [[True, False, True, True, True]]


@pytest.mark.parametrize("kind", ["substitution", "deletion", "insertion"])
def test_parity_with_tangermeme(tmp_path, kind):
    """Trimmed at the right, as here: a batch of one kind on a small network."""
    effects = pytest.importorskip("tangermeme.variant_effect")
    length, middle, model = 120, 60, small().eval()
    _, text = genome(tmp_path, 200)
    letters = text.splitlines()[1]
    places = range(70, 74)
    pairs = [(letters[p : p + 3], letters[p]) for p in places]
    pairs = [pair[::-1] if kind == "insertion" else pair for pair in pairs]
    if kind == "substitution":
        pairs = [(letters[p : p + 2], "AC" if letters[p] == "G" else "GT") for p in places]
    if kind == "insertion":
        pairs = [(ref, ref + "GC") for ref, _ in pairs]
    body = (f"chr1 {p + 1} . {a} {b}" for p, (a, b) in zip(places, pairs, strict=True))
    table = score_variants(model, *write(tmp_path, lines(*body), text), length=length)
    width = length + 2 * (kind == "deletion")
    x = one_hot([letters[p - middle : p - middle + width] for p in places])
    rows = [i for i in range(4) for _ in range(2)]
    if kind == "deletion":
        edits = torch.tensor([(i, middle + 1 + k) for i in range(4) for k in range(2)])
    elif kind == "insertion":  # the last of one place comes first
        edits = torch.tensor([(i, middle + 1, b) for i in range(4) for b in (1, 2)])
    else:
        new = ["ACGT".index(base) for _, alt in pairs for base in alt]
        edits = torch.tensor(
            [(i, middle + k % 2, b) for k, (i, b) in enumerate(zip(rows, new, strict=True))]
        )
    y = getattr(effects, f"{kind}_effect")(model, x, edits, device="cpu")
    expected = (y.y_after[1] - y.y_before[1])[:, 0]
    assert expected.abs().max() > 1e-3
    assert table["delta_log_counts"].tolist() == pytest.approx(expected.tolist(), abs=1e-5)


# --- other models -------------------------------------------------------------------------------


def test_one_number_by_a_func_or_by_itself(tmp_path):
    vcf, fasta = write(tmp_path, lines("chr1 5 rs1 A C", "chr1 4 . T A"))
    table = score_variants(Reads(), vcf, fasta, length=5)
    assert list(table) == ["chrom", "position", "id", "ref", "alt", "delta", "padded"]
    assert table["delta"].tolist() == [-1, 1]

    def twice(model, x):
        return 2 * model(x)

    assert score_variants(Reads(), vcf, fasta, length=5, func=twice)["delta"].tolist() == [-2, 2]


def test_several_numbers_have_names(tmp_path):
    vcf, fasta = write(tmp_path, lines("chr1 5 rs1 A C"))
    by_base = {"func": lambda model, x: x.sum(-1)[:, :3]}
    table = score_variants(Reads(), vcf, fasta, tmp_path / "out.tsv", length=5, **by_base)
    table = pd.read_csv(table, sep="\t")
    assert table.filter(like="delta").iloc[0].to_dict() == {
        "delta_0": -1,
        "delta_1": 1,
        "delta_2": 0,
    }


def test_tracks_by_their_names(tmp_path):
    torch.manual_seed(0)
    model = SimpleNet(2, 2, tracks=["a+", "a-"])
    changes, text = genome(tmp_path, 700)
    vcf, fasta = write(tmp_path, changes.splitlines(keepends=True)[350], text)
    table = score_variants(model, vcf, fasta, length=660, func="totals")
    assert list(table)[5:] == ["delta_a+", "delta_a-", "padded"]
    alone = score_variants(model, vcf, fasta, length=660, func=total("a-"))
    assert alone["delta"].tolist() == table["delta_a-"].tolist() != [0]
    with pytest.raises(TypeError, match=r"\(1, 2, 660\) for 1 sequences; wanted .*'totals' of"):
        score_variants(model, vcf, fasta, length=660)


class ManyTracks(nn.Module):
    """Three tracks, each with its own count: 1 more for each A, C and G."""

    def __init__(self, n_counts: int) -> None:
        super().__init__()
        self.n_counts = n_counts

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, :3] * math.log(3), x[:, : self.n_counts].sum(-1)


def test_two_heads_of_any_number_of_tracks(tmp_path):
    # T A C and T C C: of the track of A, weights 1 3 1 and 1 1 1; of C, 1 1 3 and 1 3 3.
    vcf, fasta = write(tmp_path, lines("chr1 5 . A C"))
    row = score_variants(ManyTracks(3), vcf, fasta, length=3).iloc[0]
    assert list(row.index[5:]) == [f"{name}_{i}" for name in ("delta_log_counts", "jsd")
                                   for i in range(3)] + ["padded"]  # fmt: skip
    assert row.filter(like="delta").tolist() == [-1, 1, 0]
    weights = [(1, 3, 1), (1, 1, 1)], [(1, 1, 3), (1, 3, 3)]
    for number, (p, q) in enumerate(torch.tensor(weights, dtype=torch.float64)):
        assert row[f"jsd_{number}"] == pytest.approx(float(jsd(p, q)), abs=1e-7)
    assert row["jsd_2"] == pytest.approx(0, abs=1e-7)
    row = score_variants(ManyTracks(1), vcf, fasta, length=3).iloc[0]
    assert list(row.index[5:]) == ["delta_log_counts", "jsd", "padded"]
    p, q = torch.tensor([[1.0, 3, 1, 1, 1, 3, 1, 1, 1], [1, 1, 1, 1, 3, 3, 1, 1, 1]])
    assert row["jsd"] == pytest.approx(float(jsd(p, q)), abs=1e-7)  # one softmax over all

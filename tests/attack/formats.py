"""Every kind of file that the library reads, as small as it can be, and how it is read."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from tests.data.test_bigwig import write as write_bigwig
from tests.data.test_fasta import bgzf
from tests.models.procapnet_archives import encode_archive
from tests.models.tiny_models import Tiny
from tests.training.training_runs import Run
from tssbook.data.bigwig import BigWigs
from tssbook.data.fasta import Fasta
from tssbook.data.store import Writer, open_store
from tssbook.data.tables import read_bed, read_table
from tssbook.interpret import score_variants
from tssbook.models.checkpoints import describe, save
from tssbook.models.procapnet import ProCapNet
from tssbook.models.weights import read_tensors

RNG = np.random.default_rng(0)
LETTERS = {chrom: "".join(RNG.choice(list("ACGT"), 600)) for chrom in ("chr1", "chr2", "chr10")}
GENOME = "".join(
    f">{chrom} a\n" + "".join(f"{text[i : i + 60]}\n" for i in range(0, 600, 60))
    for chrom, text in LETTERS.items()
).encode()
BED = "".join(
    f"chr{i % 3 + 1}\t{1000 + 17 * i}\t{1200 + 23 * i}\tpeak{i}\t{i}\t{'+-'[i % 2]}\n"
    for i in range(60)
).encode()
TABLE = ("chr\tTSS\tstrand\tvalue\n" + "".join(
    f"chr{i % 3 + 1}\t{5000 + 31 * i}\t{'+-'[i % 2]}\t{i / 7:.4f}\n" for i in range(60)
)).encode()  # fmt: skip
NEXT = dict(zip("ACGT", "CGTA", strict=True))
VCF = ("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(
    f"chr1\t{i + 1}\trs{i}\t{LETTERS['chr1'][i]}\t{NEXT[LETTERS['chr1'][i]]}\t.\t.\t.\n"
    for i in range(0, 120, 3)
)).encode()  # fmt: skip


class Format(NamedTuple):
    """One kind of file.

    Attributes
    ----------
    write
        ``write(folder)`` makes the files.
    read
        ``read(folder)`` reads them with the library, all of them.
    hit
        Names of the files that are attacked, one at a time.
    cut_seen, flip_seen
        Whether the library can know of a cut and of a changed byte: the file has an end marker or
        an index, and a checksum. Where it cannot, a result that is another one is no harm.
    """

    write: Callable[[Path], None]
    read: Callable[[Path], Any]
    hit: tuple[str, ...]
    cut_seen: bool = True
    flip_seen: bool = True


def put(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def fasta(name: str, content: bytes, indexed: bool) -> Format:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)
        if indexed:
            Fasta(folder / name)

    def read(folder: Path) -> dict[str, Any]:
        genome = Fasta(folder / name)
        return {c: genome.codes([c], [0], n)[0] for c, n in genome.lengths.items()}

    sealed = name.endswith(".gz")
    return Format(write, read, (name,), sealed or indexed, sealed)


def _write_bigwigs(folder: Path) -> None:
    rng = np.random.default_rng(1)
    for name, sign in (("a.plus.bw", 1), ("a.minus.bw", -1)):
        row = lambda n, s=sign: np.where(rng.random(n) < 0.5, s * rng.integers(1, 9, n), None)  # noqa: E731
        write_bigwig(folder / name, {"chr1": row(3000).tolist(), "chr2": row(700).tolist()})


def read_bigwigs(folder: Path) -> np.ndarray:
    files = BigWigs([folder / "a.plus.bw", folder / "a.minus.bw"])
    return files.read(["chr1", "chr1", "chr1", "chr2"], [0, 1000, 2000, -300], 1000)


def _write_store(folder: Path) -> None:
    values = np.arange(600, dtype=np.float32).reshape(20, 30)
    with Writer(folder / "store", 20, {"values": ((30,), "float32")}, {"seed": 1}) as writer:
        writer.write(0, values=values)
        writer.finish(loci=pd.DataFrame({"chrom": ["chr1"] * 20, "tss": range(20)}))


def _write_state(folder: Path) -> None:
    Run().fit(2, folder / "state")


def _read_state(folder: Path) -> Any:
    """Everything that a run takes from its file, without training any more."""
    run = Run(start=1)
    return [run.fit(2, folder / "state"), run.everything()]


def _write_checkpoint(folder: Path) -> None:
    torch.manual_seed(0)
    save(Tiny(), folder / "net", task="a test", metrics={"r": 0.123456}, assembly={"chr1": 600})


def _read_checkpoint(folder: Path) -> Any:
    return [Tiny.from_pretrained(folder / "net").state_dict(), describe(folder / "net")]


def _write_pth(folder: Path) -> None:
    torch.manual_seed(0)
    torch.save(nn.Linear(30, 20).state_dict(), folder / "net.pth")


def _write_archive(folder: Path) -> None:
    torch.manual_seed(0)
    encode_archive(folder / "nets.tar.gz", {i: ProCapNet(2, 8) for i in range(2)})


class Constant(nn.Module):
    """Predicts the same for all, at once."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(len(x), 2, 1), x.sum((1, 2))[:, None]


def _vcf(content: bytes) -> Format:
    def write(folder: Path) -> None:
        (folder / "genome.fa").write_bytes(GENOME)
        Fasta(folder / "genome.fa")
        (folder / "x.vcf.gz").write_bytes(content)

    def read(folder: Path) -> pd.DataFrame:
        return score_variants(
            Constant(), folder / "x.vcf.gz", folder / "genome.fa", length=8, device="cpu"
        )

    return Format(write, read, ("x.vcf.gz",))


def table(name: str, content: bytes) -> Format:
    reader = read_bed if name.startswith("a.bed") else read_table
    sealed = name.endswith(".gz")
    read = lambda folder: reader(folder / name)  # noqa: E731
    return Format(put(name, content), read, (name,), sealed, sealed)


FORMATS: dict[str, Format] = {
    "FASTA": fasta("a.fa", GENOME, False),
    "FASTA with an index": fasta("a.fa", GENOME, True),
    "FASTA of bgzip": fasta("a.fa.gz", bgzf(GENOME, 300), False),
    "FASTA of bgzip with an index": fasta("a.fa.gz", bgzf(GENOME, 300), True),
    "BED": table("a.bed", BED),
    "BED of gzip": table("a.bed.gz", gzip.compress(BED)),
    "BED of bgzip": table("a.bed.gz", bgzf(BED, 300)),
    "TSV": table("a.tsv", TABLE),
    "TSV of gzip": table("a.tsv.gz", gzip.compress(TABLE)),
    "TSV of bgzip": table("a.tsv.gz", bgzf(TABLE, 300)),
    "VCF of gzip": _vcf(gzip.compress(VCF)),
    "VCF of bgzip": _vcf(bgzf(VCF, 300)),
    "bigWig": Format(_write_bigwigs, read_bigwigs, ("a.plus.bw",), flip_seen=False),
    "store": Format(
        _write_store, lambda folder: open_store(folder / "store"),
        ("store/values.npy", "store/loci.tsv", "store/about.json"),
    ),
    "training state": Format(_write_state, _read_state, ("state",)),
    "checkpoint": Format(_write_checkpoint, _read_checkpoint, ("net.safetensors",)),
    # Text for people, who may change it: it has no checksum of its own.
    "description of a checkpoint": Format(
        _write_checkpoint, _read_checkpoint, ("net.json",), flip_seen=False
    ),
    ".pth": Format(_write_pth, lambda folder: read_tensors(folder / "net.pth"), ("net.pth",)),
    "ENCODE archive": Format(
        _write_archive,
        lambda folder: ProCapNet.from_published(folder / "nets.tar.gz", 0).state_dict(),
        ("nets.tar.gz",),
    ),
}  # fmt: skip


def whole_files(form: Format, folder: Path) -> tuple[dict[str, bytes], Any]:
    """Write a format once; returns all its files, and what reading them gives."""
    folder.mkdir()
    form.write(folder)
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    content = {name: (folder / name).read_bytes() for name in names}
    return content, form.read(folder)

"""Variants through a ProCapNet: rate, and memory that does not grow with the file.

A chromosome of random bases and a VCF with single-base changes of it, scored with a network of
8 filters, whose predictions cost little, so that reading, comparing and writing show. What one
variant costs by letters, one window after the other, stands beside it, and what the predictions
alone cost. Then each size of file runs in a process of its own for its peak of memory, over what
the process held before; pages of the mapped FASTA, which the system can take back, are part of it.

python bench/variants.py [VARIANTS [FILTERS]]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _timing import compare, describe_machine
from tangermeme.io import read_vcf
from tangermeme.variant_effect import substitution_effect

from tssbook.data import Fasta, genome
from tssbook.interpret.variants import score_variants
from tssbook.models import ProCapNet
from tssbook.sequence import one_hot, one_hot_codes

LENGTH, BASES, LINE = 2114, 5_000_000, 60


def write_files(folder: Path, n_variants: int) -> None:
    """Write a genome, and three files of variants: a tenth of them, all, and all twice."""
    rng = np.random.default_rng(0)
    codes = rng.integers(4, size=BASES // LINE * LINE)
    letters = np.frombuffer(b"ACGT", np.uint8)[codes].reshape(-1, LINE)
    lines = np.pad(letters, ((0, 0), (0, 1)), constant_values=ord("\n"))
    (folder / "genome.fa").write_bytes(b">chr1\n" + lines.tobytes())
    for n in sizes(n_variants):
        positions = np.sort(rng.choice(codes.size, n, replace=False))
        others = (codes[positions] + rng.integers(1, 4, size=n)) % 4
        table = pd.DataFrame({"chrom": "chr1", "pos": positions + 1, "id": "."})
        table["ref"] = np.array(list("ACGT"))[codes[positions]]
        table["alt"] = np.array(list("ACGT"))[others]
        table.assign(qual=".", filter=".", info=".", form=".").to_csv(
            folder / f"{n}.vcf", sep="\t", index=False, header=False
        )


def sizes(n_variants: int) -> list[int]:
    """Variants of each file."""
    return [n_variants // 10, n_variants, 2 * n_variants]


def network(n_filters: int) -> ProCapNet:
    """Return a network of random weights."""
    torch.manual_seed(0)
    return ProCapNet(n_filters=n_filters).eval()


@torch.no_grad()
def loop(model: ProCapNet, folder: Path, n: int) -> np.ndarray:
    """Score one variant after the other, with letters; return the changes of log counts."""
    chromosome = (folder / "genome.fa").read_text().split("\n", 1)[1].replace("\n", "")
    changes = []
    for line in (folder / f"{n}.vcf").read_text().splitlines():
        _, position, _, _, alt, *_ = line.split("\t")
        start = int(position) - 1 - LENGTH // 2
        before = chromosome[max(start, 0) : start + LENGTH]
        before = before.rjust(LENGTH, "N") if start < 0 else before.ljust(LENGTH, "N")
        after = before[: LENGTH // 2] + alt + before[LENGTH // 2 + 1 :]
        counts = [model(one_hot([letters]))[1].item() for letters in (before, after)]
        changes.append(counts[1] - counts[0])
    return np.array(changes)


def by_tangermeme(model: ProCapNet, folder: Path, n: int) -> list[torch.Tensor]:
    """Read and predict with tangermeme; nothing is compared with the genome, nor what comes out."""
    table = read_vcf(str(folder / f"{n}.vcf"))
    windows = pd.DataFrame({"chrom": table["CHROM"], "start": table["POS"] - 1 - LENGTH // 2})
    windows["end"] = windows["start"] + LENGTH
    windows["strand"] = "+"
    x = one_hot_codes(genome.sequences(folder / "genome.fa", windows)).float()
    alts = torch.tensor(["ACGT".index(alt) for alt in table["ALT"]])
    places = torch.full_like(alts, LENGTH // 2)
    changes = torch.stack([torch.arange(len(x)), places, alts], 1)
    before, after = substitution_effect(model, x, changes, batch_size=32, device="cpu")
    return [b - a for a, b in zip(before, after, strict=True)]


@torch.no_grad()
def predictions(model: ProCapNet, n: int) -> None:
    """Run the network as often as ``n`` variants need, over the same windows."""
    x = torch.zeros(32, 4, LENGTH)
    x[:, 0] = 1
    for done in range(0, n, 32):
        for _ in range(2):
            model(x[: n - done])


def memory(kind: str) -> int:
    """Return bytes of this process: VmRSS now, VmHWM at most, RssFile mapped from files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


def print_peak(folder: Path, n: int, n_filters: int) -> None:
    """Score one file to disk; print the time and the memory it took at most."""
    model = network(n_filters)
    first = folder / f"{n}.first.vcf"  # one batch, so that what is loaded once does not count
    first.write_text("".join((folder / f"{n}.vcf").read_text().splitlines(True)[:32]))
    score_variants(model, first, folder / "genome.fa", folder / "first.tsv", device="cpu")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, files = memory("VmRSS"), memory("RssFile")
    start = time.perf_counter()
    score_variants(
        model, folder / f"{n}.vcf", folder / "genome.fa", folder / "out.tsv", device="cpu"
    )
    seconds = time.perf_counter() - start
    peak, files = memory("VmHWM") - before, memory("RssFile") - files
    print(
        f"  {n:7,} variants {seconds:7.1f} s, {n / seconds:6.0f} a second; peak over one batch's "
        f"{peak / 1e6:5.1f} MB, of which mapped files {files / 1e6:4.1f} MB",
        flush=True,
    )


def main(n_variants: int, n_filters: int) -> None:
    """Compare with the loop on the smallest file; then measure all in turn."""
    describe_machine()
    model = network(n_filters)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, n_variants)
        n, fasta = n_variants // 10, Fasta(folder / "genome.fa")
        vcf = folder / f"{n}.vcf"
        table = score_variants(model, vcf, fasta, device="cpu")
        if np.abs(table["delta_log_counts"] - loop(model, folder, n)).max() > 1e-5:
            raise SystemExit("ours and the loop disagree")
        compare(
            f"{n:,} variants, {n_filters} filters",
            {
                "ours": lambda: score_variants(model, vcf, fasta, device="cpu"),
                "its predictions alone": lambda: predictions(model, n),
                "tangermeme, without checks": lambda: by_tangermeme(model, folder, n),
                "one after the other, by letters": lambda: loop(model, folder, n),
            },
            rounds=3,
        )
        print(f"\nto disk, {n_filters} filters, batches of 32")
        for n in sizes(n_variants):
            subprocess.run([sys.executable, __file__, name, str(n), str(n_filters)], check=True)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        torch.set_num_threads(2)
        print_peak(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    else:
        torch.set_num_threads(2)
        numbers = [int(text) for text in sys.argv[1:]]
        main(*numbers, *(10_000, 8)[len(numbers) :])

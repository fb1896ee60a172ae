"""Sequences and ten tracks around 2,000 start sites: ours, the source's way, and tangermeme.

Two layouts: loci dense on a chromosome of 5 Mbp, and in 700 groups on one of 250 Mbp, whose windows
cover 1.5 % of it, as those of 10,000 start sites do in the human genome. All are timed in turn in
one process. Then each runs in a process of its own for its peak of memory, over what the process
held before, and so does the build of a data set on disk with 1,000 and with 2,000 loci. Pages of
the mapped FASTA, which the system can take back, are part of the peak; they are given beside it
where the system counts them.

The source reads file by file and locus by locus, gathers a list, and stacks it. tangermeme does
not turn the - strand round; ours does.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pyfaidx
from _timing import compare, describe_machine, goal
from tangermeme.io import extract_loci

from tssbook.data.genome import extract
from tssbook.data.tracks import build_tracks as build

N_LOCI, N_TRACKS, LENGTH, LINE = 2_000, 10, 4_650, 60
LAYOUTS = {"dense": (5_000_000, N_LOCI), "sparse": (250_000_000, 700)}  # bp, groups of loci
NAMES = [f"{min(i, 9 - i)}.{'plus' if i < 5 else 'minus'}.bw" for i in range(N_TRACKS)]
ONE_HOT = np.zeros((256, 4), np.float32)
ONE_HOT[[ord(letter) for letter in "ACGT"], range(4)] = 1


def write_files(folder: Path, bases: int, groups: int) -> None:
    """Write a genome, loci, and reads: 5 % of the bases near loci, 0.2 % of all others."""
    rng = np.random.default_rng(0)
    centres = rng.integers(2 * LENGTH, bases - 2 * LENGTH, groups)
    tss = np.sort(rng.choice(centres, N_LOCI) + rng.integers(-500, 500, N_LOCI))
    loci = pd.DataFrame({"chr": "chr1", "TSS": tss, "strand": rng.choice(["+", "-"], N_LOCI)})
    loci.sample(frac=1, random_state=0).to_csv(folder / "tss.tsv", sep="\t", index=False)
    letters = rng.choice(np.frombuffer(b"ACGT", np.uint8), bases // LINE * LINE).reshape(-1, LINE)
    lines = np.pad(letters, ((0, 0), (0, 1)), constant_values=ord("\n"))
    (folder / "genome.fa").write_bytes(b">chr1\n" + lines.tobytes())
    near = (np.unique(tss // 500)[:, None] * 500 + np.arange(-2_500, 3_000)).ravel()
    for name in NAMES:
        reads = rng.integers(0, letters.size, letters.size // 500)
        at = np.unique(np.concatenate([reads, near[rng.random(near.size) < 0.05]]))
        with pyBigWig.open(str(folder / name), "w") as file:
            file.addHeader([("chr1", letters.size)])
            values = rng.integers(1, 50, at.size).astype(float)
            file.addEntries("chr1", at, values=values, span=1)


def read_loci(folder: Path) -> pd.DataFrame:
    """Read the loci in their shuffled order."""
    return pd.read_csv(folder / "tss.tsv", sep="\t").rename(columns={"chr": "chrom", "TSS": "tss"})


def ours(folder: Path) -> tuple:
    """Read codes and tracks, both strands turned along the gene."""
    return extract(folder / "genome.fa", [folder / name for name in NAMES], read_loci(folder))[:2]


def source(folder: Path) -> tuple:
    """Read each locus and each track by itself, then stack a list."""
    genome = pyfaidx.Fasta(str(folder / "genome.fa"))
    files = [pyBigWig.open(str(folder / name)) for name in NAMES]
    all_sequences, all_tracks = [], []
    for locus in read_loci(folder).itertuples():
        start = locus.tss - LENGTH // 2 + (locus.strand == "-")
        text = str(genome[locus.chrom][start : start + LENGTH]).upper()
        sequence = ONE_HOT[np.frombuffer(text.encode(), np.uint8)]
        tracks = np.zeros((N_TRACKS, LENGTH), np.float32)
        for track, file in enumerate(files):
            tracks[track] = file.values(locus.chrom, start, start + LENGTH, numpy=True)
        tracks[np.isnan(tracks)] = 0
        if locus.strand == "-":
            sequence, tracks = sequence[::-1, ::-1], tracks[::-1, ::-1]
        all_sequences.append(sequence)
        all_tracks.append(tracks)
    for file in files:
        file.close()
    genome.close()
    return (
        np.dstack(all_sequences).transpose(2, 1, 0), np.dstack(all_tracks).transpose(2, 0, 1)
    )  # fmt: skip


def tangermeme(folder: Path) -> tuple:
    """Read the + strand of the same windows."""
    loci = read_loci(folder)
    start = loci["tss"] - LENGTH // 2 + (loci["strand"] == "-")
    windows = pd.DataFrame({"chrom": loci["chrom"], "start": start, "end": start + LENGTH})
    return extract_loci(
        windows, str(folder / "genome.fa"), signals=[str(folder / name) for name in NAMES],
        in_window=LENGTH, out_window=LENGTH,
    )  # fmt: skip


def tangermeme_turned(folder: Path) -> tuple:
    """Read with tangermeme, then turn the windows of the - strand, as the other two do."""
    sequences, tracks = tangermeme(folder)
    for row in np.flatnonzero(read_loci(folder)["strand"] == "-"):
        sequences[row], tracks[row] = sequences[row].flip(0, 1), tracks[row].flip(0, 1)
    return sequences, tracks


def streamed(folder: Path, n_loci: int) -> None:
    """Build a data set on disk."""
    with tempfile.TemporaryDirectory() as made:
        bigwigs = [folder / name for name in NAMES]
        build(made, folder / "genome.fa", bigwigs, read_loci(folder)[:n_loci])


TO_MEASURE: dict[str, Callable[[Path], object]] = {
    "ours": ours,
    "source": source,
    "tangermeme": tangermeme,
    "streamed, 1,000 loci": lambda folder: streamed(folder, 1_000),
    "streamed, 2,000 loci": lambda folder: streamed(folder, 2_000),
}


def memory(kind: str) -> int:
    """Return bytes of this process: VmRSS now, VmHWM at most, RssFile mapped from files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


def print_peak(name: str, folder: Path) -> None:
    """Run one function and print how much memory it took at most, in megabytes."""
    streamed(folder, 1)  # compiles
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, files = memory("VmRSS"), memory("RssFile")
    result = TO_MEASURE[name](folder)
    peak, files = memory("VmHWM") - before, memory("RssFile") - files
    del result
    print(f"  {name:24s} peak {peak / 1e6:6.0f} MB, of which mapped files {files / 1e6:6.0f} MB")


def require_equal(folder: Path) -> None:
    """Stop where the three do not agree."""
    codes, tracks = ours(folder)
    one_hot, wanted = source(folder)
    if not np.array_equal(tracks, wanted) or not np.array_equal(codes, one_hot.argmax(1)):
        raise SystemExit("ours and the source's way disagree")
    plus = (read_loci(folder)["strand"] == "+").to_numpy()
    if not np.array_equal(tangermeme(folder)[1].numpy()[plus], tracks[plus]):
        raise SystemExit("ours and tangermeme disagree")


def main() -> None:
    """Time both layouts, then measure memory."""
    describe_machine()
    for layout, (bases, groups) in LAYOUTS.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_files(folder, bases, groups)
            require_equal(folder)
            medians = compare(
                f"{layout}: {N_TRACKS} tracks x {N_LOCI:,} loci x {LENGTH:,} bp, "
                f"{N_LOCI * N_TRACKS * LENGTH * 4 / 1e6:,.0f} MB",
                {
                    "ours": lambda f=folder: ours(f),
                    "source's way": lambda f=folder: source(f),
                    "tangermeme, + strand only": lambda f=folder: tangermeme(f),
                    "tangermeme, then turned": lambda f=folder: tangermeme_turned(f),
                },
            )
            goal(
                f"builder, {layout} loci: the source's way / ours",
                medians["source's way"] / medians["ours"], 20,
            )  # fmt: skip
            for what in TO_MEASURE:
                subprocess.run([sys.executable, __file__, what, name], check=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print_peak(sys.argv[1], Path(sys.argv[2]))
    else:
        main()

"""Many loci on several cores: how much faster, how much memory, and what the human genome costs.

Memory: a data set of 1,000, 10,000 and 100,000 loci (two tracks, 200 bp), each in processes of its
own; the peak of the client, which holds the scheduler too, and of the larger of two workers.

Speed: loci a second with one worker and with two, one thread each, by the clock and by the
processor time of the workers, which is less disturbed by what else runs. Half of the ratio of the
clock's speeds is the efficiency. On two cores it means something only while nothing else runs.

The last table is computed: rounds of 64 loci for each core, at the measured speed of one worker
times the measured efficiency, as if that were the same for any number of cores. It leaves out
what a cluster adds (waiting for it, its file system).

``python bench/scale.py memory`` or ``speed`` measures the one or the other.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
from _timing import describe_machine
from dask.distributed import Client, LocalCluster

from tssbook import scale
from tssbook.data import Fasta, genome

BASES, LINE = 10_000_000, 60
BIGWIGS = ["a.plus.bw", "a.minus.bw"]
LOCI = (1_000, 10_000, 100_000)
PROMOTERS, GENOME = 40_000, 3.1e9
CORES = (1, 64, 1_000)
REGION = 64  # loci that one worker does at a time


def write_files(folder: Path) -> None:
    """Write a genome of one chromosome, reads on 2 % of its bases, and start sites."""
    rng = np.random.default_rng(0)
    letters = rng.choice(np.frombuffer(b"ACGT", np.uint8), BASES // LINE * LINE).reshape(-1, LINE)
    lines = np.pad(letters, ((0, 0), (0, 1)), constant_values=ord("\n"))
    (folder / "genome.fa").write_bytes(b">chr1\n" + lines.tobytes())
    for name in BIGWIGS:
        at = np.unique(rng.integers(0, letters.size, letters.size // 50))
        with pyBigWig.open(str(folder / name), "w") as file:
            file.addHeader([("chr1", letters.size)])
            file.addEntries("chr1", at, values=rng.integers(1, 50, at.size).astype(float), span=1)


def sites(n_loci: int) -> pd.DataFrame:
    """Draw start sites."""
    rng = np.random.default_rng(1)
    tss = rng.integers(5_000, BASES - 5_000, n_loci)
    return pd.DataFrame({"chrom": "chr1", "tss": tss, "strand": rng.choice(["+", "-"], n_loci)})


def cluster(n_workers: int) -> LocalCluster:
    """Start workers with one thread each."""
    return LocalCluster(
        n_workers=n_workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
    )


def build(folder: Path, length: int, store: Path, loci: pd.DataFrame, client: Client) -> None:
    """Build a data set of two tracks."""
    bigwigs = [folder / name for name in BIGWIGS]
    scale.build_tracks(store, folder / "genome.fa", bigwigs, loci, length=length, client=client)


def ask(
    function: Callable, model: str, around: tuple[int, int], folder: Path, store: Path,
    loci: pd.DataFrame, client: Client,
) -> None:  # fmt: skip
    """Predict, or change every base."""
    windows = genome.windows(loci, *around)
    function(store, model, folder / "genome.fa", windows, client=client)


# --- memory ---------------------------------------------------------------------------------------


def peak() -> int:
    """Most memory that this process ever had, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def print_peaks(folder: Path, n_loci: int) -> None:
    """Build a data set and print how much memory that took."""
    with tempfile.TemporaryDirectory() as made, cluster(2) as workers, Client(workers) as client:
        start = time.perf_counter()
        build(folder, 200, Path(made, "a.zarr"), sites(n_loci), client)
        took = time.perf_counter() - start
        largest = max(client.run(peak).values())
    print(f"| {n_loci:,} | {peak() / 1e6:.0f} | {largest / 1e6:.0f} | {took:.0f} |", flush=True)


def measure_memory(folder: Path) -> None:
    """Print the peaks of all sizes."""
    print("\n| loci | peak of the client, MB | peak of a worker, MB | seconds |\n|---|---|---|---|")
    sys.stdout.flush()
    for n_loci in LOCI:
        subprocess.run([sys.executable, __file__, "peaks", str(folder), str(n_loci)], check=True)


# --- speed ----------------------------------------------------------------------------------------


def measure_speed(folder: Path) -> dict[str, tuple[float, float]]:
    """Return for each task loci a second of one worker, and the efficiency of two."""
    tasks = {
        "build, 2 tracks of 4,650 bp": (partial(build, folder, 4650), 2048),
        "predict, PromoterNet, 2,000 bp": (
            partial(ask, scale.predict, "promoter", (2000, 0), folder), 512
        ),
        "predict, SimpleNet, 4,650 bp": (
            partial(ask, scale.predict, "simplenet", (2325, 2325), folder), 256
        ),
        "predict, ProCapNet, 2,114 bp": (
            partial(ask, scale.predict, "procapnet", (1057, 1057), folder), 256
        ),
        "ism, PromoterNet, 2,000 bp": (
            partial(ask, scale.ism, "promoter", (2000, 0), folder), 128
        ),
        "ism, SimpleNet's totals, 4,650 bp": (
            partial(ask, scale.ism, "simplenet", (2325, 2325), folder), 128
        ),
    }  # fmt: skip
    speeds: dict[str, list[float]] = {name: [] for name in tasks}
    print(
        "\n| task | workers | loci a second | loci a second of processor time |\n|---|---|---|---|"
    )
    for n_workers in (1, 2):
        with cluster(n_workers) as workers, Client(workers) as client:
            for name, (task, n_loci) in tasks.items():
                with tempfile.TemporaryDirectory() as made:
                    if not name.startswith("ism"):  # what is read and compiled once
                        task(Path(made, "warm.zarr"), sites(64 * n_workers), client)
                    start, before = time.perf_counter(), sum(client.run(time.process_time).values())
                    task(Path(made, "a.zarr"), sites(n_loci), client)
                    took = time.perf_counter() - start
                    busy = sum(client.run(time.process_time).values()) - before
                speeds[name].append(n_loci / took)
                said = f"{n_loci / took:,.2f} | {n_loci / busy:,.2f}"
                print(f"| {name} | {n_workers} | {said} |", flush=True)
    print("\n| task | 2 workers to 1 |\n|---|---|")
    for name, (one, two) in speeds.items():
        print(f"| {name} | {two / one:.2f} |", flush=True)
    return {name: (one, two / one / 2) for name, (one, two) in speeds.items()}


def print_costs(speeds: dict[str, tuple[float, float]]) -> None:
    """Print what the human genome takes, from the measured speeds."""
    jobs = {
        "ism of 40,000 promoters, PromoterNet": ("ism, PromoterNet, 2,000 bp", PROMOTERS),
        "ism of 40,000 promoters, SimpleNet's totals": (
            "ism, SimpleNet's totals, 4,650 bp", PROMOTERS
        ),
        "the whole genome, SimpleNet (4,000 bp a window)": (
            "predict, SimpleNet, 4,650 bp", GENOME / 4000
        ),
        "the whole genome, ProCapNet (1,000 bp a window)": (
            "predict, ProCapNet, 2,114 bp", GENOME / 1000
        ),
    }  # fmt: skip
    print("\nComputed from these, with the same efficiency (at most 1) for any number of cores:\n")
    print(f"| job | {' | '.join(f'{n:,} cores' if n > 1 else '1 core' for n in CORES)} |")
    print("|---" * (len(CORES) + 1) + "|")
    for job, (name, n_loci) in jobs.items():
        one, efficiency = speeds[name]
        rounds = [math.ceil(math.ceil(n_loci / REGION) / n) for n in CORES]
        losses = [min(efficiency, 1) if n > 1 else 1 for n in CORES]
        times = [n * REGION / one / loss for n, loss in zip(rounds, losses, strict=True)]
        print(f"| {job} | {' | '.join(map(_readable, times))} |")


def _readable(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} s"


def main() -> None:
    """Measure, then compute."""
    if sys.argv[1:2] == ["peaks"]:
        print_peaks(Path(sys.argv[2]), int(sys.argv[3]))
        return
    describe_machine()
    parts = sys.argv[1:] or ["memory", "speed"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder)
        Fasta(folder / "genome.fa")  # makes the index
        if "memory" in parts:
            measure_memory(folder)
        if "speed" in parts:
            print_costs(measure_speed(folder))


if __name__ == "__main__":
    main()

"""The simulator: time and memory for 10,000 loci, and reads against a Poisson number per base.

The large run streams 10,000 loci of 4,650 bp with ten tracks (0.99 GB) to a temporary folder, in
a process of its own, so that its peak memory can be read.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable

import numpy as np
from _timing import compare, describe_machine

from tssbook.simulator import rates, scan, simulate
from tssbook.simulator.loci import make_loci
from tssbook.simulator.simulation import draw_reads

LARGE = """
import resource, sys, time
from tssbook.simulator import simulate, write_files

def report(what, start):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    print(f"  {what:36s} {time.perf_counter() - start:6.1f} s   peak {peak:5.0f} MB more")

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
start = time.perf_counter()
made = simulate(10_000, seed=1, folder=sys.argv[1] + "/store")
report("10,000 loci to disk", start)
start = time.perf_counter()
write_files(made, sys.argv[1] + "/files")
report("as files (mapped store included)", start)
"""


def reads_per_base(codes: np.ndarray) -> Callable[[], np.ndarray]:
    """Return what draws a Poisson number for every base of every track."""
    rng = np.random.default_rng(0)
    return lambda: np.stack([rng.poisson(rates(row[None])[0]).astype(np.uint16) for row in codes])


def main() -> None:
    """Time the parts on one block, and then all of it."""
    describe_machine()
    # First, because a process begins with the peak memory of the one that starts it.
    print("\nall of it", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", LARGE, folder], check=True)
    made = make_loci(np.random.default_rng(0), 250, 4650)
    compare(
        "250 loci x 4,650 bp x 10 tracks",
        {
            "rates, then reads": lambda: draw_reads(
                np.random.default_rng(0), made.codes, made.mappable
            ),
            "rates, a Poisson number per base": reads_per_base(made.codes),
            "rates only, float32": lambda: rates(made.codes),
            "sequences": lambda: make_loci(np.random.default_rng(0), 250, 4650),
            "scan for motifs": lambda: scan(made.codes),
        },
    )
    compare(
        "4,000 loci without reads, in memory",
        {"simulate": lambda: simulate(4000, seed=1, tracks=False)},
        rounds=3,
    )


if __name__ == "__main__":
    main()

"""One-hot encoding side by side: ours, a Python loop over letters, and tangermeme.

All are timed in turn in one process, so that a slow moment of the machine hits all of them.
Prints medians and minima in milliseconds, and ratios of the medians to ours.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
from _timing import compare, describe_machine, goal
from tangermeme.utils import one_hot_encode

from tssbook.sequence import kmers, one_hot

ONE_HOT = {"A": [1.0, 0, 0, 0], "C": [0, 1.0, 0, 0], "G": [0, 0, 1.0, 0], "T": [0, 0, 0, 1.0]}


def letter_loop(seqs: list[str]) -> torch.Tensor:
    """Encode as introductory tutorials do: check a sequence, look up each letter, stack all."""
    encoded = []
    for seq in seqs:
        if not set(seq) <= set(ONE_HOT):
            raise ValueError(f"not DNA: {seq}")
        rows = np.array([ONE_HOT[letter] for letter in seq])
        encoded.append(torch.tensor(rows, dtype=torch.float32).T)
    return torch.stack(encoded).contiguous()


def tangermeme_each(seqs: list[str], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Call tangermeme's encoder per sequence, as its users do, into one tensor."""
    return torch.stack([one_hot_encode(seq, dtype=dtype) for seq in seqs])


def random_sequences(n: int, length: int) -> list[str]:
    """Return random DNA."""
    letters = np.random.default_rng(0).choice(np.frombuffer(b"ACGT", np.uint8), (n, length))
    return [row.tobytes().decode() for row in letters]


def main() -> None:
    """Compare on the three sizes."""
    describe_machine()
    words, genes = kmers(8), random_sequences(10_000, 2_000)
    chromosome = random_sequences(1, 10_000_000)[0]
    for name, seqs in {"65,536 x 8": words, "10,000 x 2,000": genes}.items():
        wanted = letter_loop(seqs)
        if not torch.equal(one_hot(seqs), wanted) or not torch.equal(tangermeme_each(seqs), wanted):
            raise SystemExit("the encoders disagree")
        compare(
            name,
            {
                "ours, float32": lambda seqs=seqs: one_hot(seqs),
                "ours, uint8": lambda seqs=seqs: one_hot(seqs, dtype=torch.uint8),
                "tangermeme per sequence, float32": lambda seqs=seqs: tangermeme_each(seqs),
                "tangermeme per sequence, int8": lambda seqs=seqs: tangermeme_each(
                    seqs, torch.int8
                ),
                "Python loop, float32": lambda seqs=seqs: letter_loop(seqs),
            },
        )
    compare(
        "1 x 10,000,000",
        {
            "ours, float32": lambda: one_hot(chromosome),
            "ours, uint8": lambda: one_hot(chromosome, dtype=torch.uint8),
            "tangermeme, float32, (L, 4) inside": lambda: one_hot_encode(
                chromosome, dtype=torch.float32
            ),
            "tangermeme, float32, contiguous": lambda: one_hot_encode(
                chromosome, dtype=torch.float32
            ).contiguous(),
            "tangermeme, int8, (L, 4) inside": lambda: one_hot_encode(chromosome),
            "tangermeme, int8, contiguous": lambda: one_hot_encode(chromosome).contiguous(),
            "Python loop, float32": lambda: letter_loop([chromosome]),
        },
    )


def first_and_later() -> dict[str, list[float]]:
    """Encode 10,000 x 2,000 bases five times in this process; return the seconds by type."""
    genes, found = random_sequences(10_000, 2_000), {}
    for kind in (torch.float32, torch.uint8):
        times = found[str(kind).removeprefix("torch.")] = []
        for _ in range(5):
            start = time.perf_counter()
            one_hot(genes, dtype=kind)
            times.append(time.perf_counter() - start)
    return found


def compare_first_calls() -> None:
    """Print first calls, which get fresh memory from the system, beside later ones."""
    runs = []
    for _ in range(3):
        call = [sys.executable, __file__, "one-process"]
        done = subprocess.run(call, check=True, capture_output=True, text=True)
        runs.append(json.loads(done.stdout))
    print("\n10,000 x 2,000, three new processes: first call and median of the next four")
    for kind in runs[0]:
        first = statistics.median(run[kind][0] for run in runs)
        later = statistics.median(t for run in runs for t in run[kind][1:])
        print(f"  {kind:8s} first {1e3 * first:7.1f} ms   later {1e3 * later:7.1f} ms")
        goal(f"one_hot, {kind}: first call / later calls", first / later, 1.2, at_most=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["one-process"]:
        print(json.dumps(first_and_later()))
    else:
        main()
        compare_first_calls()

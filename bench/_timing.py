"""Time several functions in turn, in one process."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping

import torch


def describe_machine() -> None:
    """Print what the figures were measured on."""
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__} with "
        f"{torch.get_num_threads()} threads, Python {platform.python_version()}"
    )


def goal(name: str, found: float, wanted: float, *, at_most: bool = False) -> None:
    """Print a figure that has a goal, and write it down where ``BENCH_GOALS`` names a file."""
    print(f"  GOAL {name}: {found:.2f}, wanted {wanted:g} or {'less' if at_most else 'more'}")
    if path := os.environ.get("BENCH_GOALS"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps([name, round(found, 2), wanted, at_most]) + "\n")


def compare(
    title: str, functions: Mapping[str, Callable[[], object]], rounds: int = 7
) -> dict[str, float]:
    """Call each function in turn, several rounds after one that is not counted; print times.

    The first function is the one that the ratios refer to. A slow function (over a second) is
    counted in three rounds. Returns the medians, in seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(rounds + 1):
        for name, function in functions.items():
            if len(times[name]) >= 3 and statistics.median(times[name]) > 1:
                continue
            start = time.perf_counter()
            result = function()
            elapsed = time.perf_counter() - start
            del result
            if round_:
                times[name].append(elapsed)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    first = next(iter(medians.values()))
    print(f"\n{title}")
    for name, taken in times.items():
        print(
            f"  {name:36s} median {1e3 * medians[name]:10.2f} ms   min {1e3 * min(taken):10.2f} ms"
            f"   ratio {medians[name] / first:8.2f}"
        )
    return medians

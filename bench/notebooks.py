"""Every notebook with the memory of freed tensors kept and handed back: seconds, peak memory.

Each notebook runs from top to bottom in default flags in a process of its own, once with
``TSSBOOK_KEEP_MEMORY=0`` and once without, one after the other, on one thread. Cells on real data
run where ``TSSBOOK_MIRROR`` names their folder.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from _timing import describe_machine

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.notebooks import KERNEL_ENVIRONMENT  # noqa: E402


def one_notebook(path: Path) -> None:
    """Run a notebook here; print seconds and peak memory in MiB."""
    import torch

    from tests.chapters.running import run_notebook

    torch.set_num_threads(1)
    start = time.perf_counter()
    run_notebook(path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{time.perf_counter() - start:.1f} {peak:.0f}")


def measure(path: Path, keep: str) -> tuple[float, float]:
    """Run a notebook in a process of its own."""
    command = [sys.executable, __file__, str(path)]
    environment = os.environ | {"TSSBOOK_KEEP_MEMORY": keep, **KERNEL_ENVIRONMENT}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds, peak = done.stdout.split()[-2:]
    return float(seconds), float(peak)


def main() -> None:
    """Print a line for each notebook."""
    describe_machine()
    print("notebook: handed back (s, MiB) | kept (s, MiB) | ratio of seconds, of memory")
    for path in sorted([*ROOT.glob("chapters/*.ipynb"), *ROOT.glob("solutions/*.ipynb")]):
        (back, before), (kept, after) = (measure(path, keep) for keep in "01")
        print(
            f"{path.relative_to(ROOT)}: {back:.1f} {before:.0f} | {kept:.1f} {after:.0f} | "
            f"{back / kept:.2f} {after / before:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    one_notebook(Path(sys.argv[1])) if sys.argv[1:] else main()

"""Compute a table of Chapter 2 on real DNA, section 1: learning from few genes in four ways.

``python tools/transfer_curve.py`` runs the chapter's cells up to the function
``learn_from_few``, calls it for each way, number of genes and seed, and writes
``lib/tssbook/shipped/transfer_curve.csv``. Rows that are there already are kept, so it can be
stopped and taken up again; delete the file after a change to the data, the trunk or the function.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.ship_checkpoints import run_cells  # noqa: E402
from tssbook.files import write_whole  # noqa: E402

CHAPTER = ROOT / "chapters" / "02-real.ipynb"
TABLE = ROOT / "lib" / "tssbook" / "shipped" / "transfer_curve.csv"
SEEDS = (0, 1, 2)
WAYS = ("from scratch", "frozen trunk", "fine-tuned", "fine-tuned gently")
HEAD = """\
# r on simulated test chromosomes after learning from few genes (Chapter 2 on real DNA, section 1).
# Made by tools/transfer_curve.py with the chapter's own function, on one CPU thread.
how,genes,seed,r
"""


def main() -> None:
    """Fill the table."""
    torch.set_num_threads(1)  # as the chapters' kernels run
    with contextlib.redirect_stdout(io.StringIO()):
        chapter = run_cells(CHAPTER, until="transfer-point")
    text = TABLE.read_text(encoding="utf-8") if TABLE.exists() else HEAD
    done = {tuple(line.split(",")[:3]) for line in text.splitlines()}
    for seed in SEEDS:
        for genes in chapter["FEW"]:
            for how in WAYS:
                if (how, str(genes), str(seed)) in done:
                    continue
                start = time.perf_counter()
                r = chapter["learn_from_few"](how, genes, seed)
                text += f"{how},{genes},{seed},{r:.4f}\n"
                write_whole({TABLE: text.encode()})
                print(f"{how}, {genes} genes, seed {seed}: r = {r:.3f}", end=" ")
                print(f"({time.perf_counter() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main()

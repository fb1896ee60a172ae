"""What is killed, and what two do at once: a training, a build and a download, in a child."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from tests.data.test_bigwig import write as write_bigwig
from tests.training.training_runs import Run
from tssbook.data import download
from tssbook.data import tracks as building
from tssbook.data.store import Store
from tssbook.data.tracks import build_tracks

EPOCHS = 12
NAME = "content.bin"
CONTENT = np.random.default_rng(5).bytes(3 << 20)


def go(gate: Any, work: Any, said: Any) -> None:
    """Wait until all are ready, work, and tell how it ended."""
    if gate is not None:
        gate.wait(60)
    said.send("begins")
    try:
        ended = work()
    except (OSError, ValueError) as error:
        ended = f"{type(error).__name__}: {error}"
    said.send(ended)


def train(gate: Any, said: Any, path: Path, seed: int = 17) -> None:
    go(gate, lambda: len(Run(start=seed).fit(EPOCHS, path, seed=seed)) and "done", said)


def make_genome(folder: Path) -> None:
    """A genome, two tracks and 40 loci."""
    rng = np.random.default_rng(4)
    folder.mkdir()
    letters = {chrom: "".join(rng.choice(list("ACGT"), 500)) for chrom in ("chr1", "chr2")}
    (folder / "genome.fa").write_text("".join(f">{c}\n{s}\n" for c, s in letters.items()))
    for name, sign in (("a.plus.bw", 1), ("a.minus.bw", -1)):
        values = {chrom: (sign * rng.integers(0, 9, 500)).tolist() for chrom in letters}
        write_bigwig(folder / name, values)


def built(files: Path, folder: Path, seed: int = 0) -> Store:
    rng = np.random.default_rng(seed)
    loci = pd.DataFrame({
        "chrom": rng.choice(["chr1", "chr2"], 40), "tss": rng.integers(0, 500, 40),
        "strand": rng.choice(["+", "-"], 40),
    })  # fmt: skip
    bigwigs = [files / "a.plus.bw", files / "a.minus.bw"]
    with patch.object(building, "_ROWS", 3):
        return build_tracks(folder, files / "genome.fa", bigwigs, loci, length=40)


def build(gate: Any, said: Any, files: Path, folder: Path, seed: int = 0) -> None:
    go(gate, lambda: built(files, folder, seed) and "done", said)


def fetched(cache: Path, entry: dict[str, Any]) -> Path:
    with (
        patch.dict(os.environ, {"TSSBOOK_CACHE": str(cache)}),
        patch.object(download, "catalogue", lambda: {NAME: entry}),
        patch.object(download, "_CHUNK", 1 << 12),
    ):
        os.environ.pop("TSSBOOK_MIRROR", None)
        return download.fetch(NAME)


def get(gate: Any, said: Any, cache: Path, entry: dict[str, Any]) -> None:
    go(gate, lambda: fetched(cache, entry) and "done", said)

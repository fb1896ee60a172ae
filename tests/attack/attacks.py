"""What all attacks share: their size, their counts, outcomes of reading, and processes to kill."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from tssbook.data.download import ChecksumError, MissingFile
from tssbook.data.tables import NoIntervals
from tssbook.models.checkpoints import CheckpointError

FULL = os.environ.get("ATTACK") == "full"
# What a reader may raise. A class below these, such as UnicodeDecodeError, is somebody else's.
REFUSALS = {
    ValueError, OSError, FileNotFoundError, FileExistsError, BlockingIOError, CheckpointError,
    ChecksumError, MissingFile, NoIntervals,
}  # fmt: skip
TRIED: Counter[str] = Counter()
SURVIVED: Counter[str] = Counter()


def rounds(full: int, small: int) -> int:
    """How often to try: as often as a small test may take, or, with ATTACK=full, until it hurts."""
    return full if FULL else small


class Attack:
    """Counts attacks of one kind; at the end all that did harm are told together.

    >>> with Attack("cuts of a state") as attack:
    ...     attack.tried(None)
    ...     attack.tried("byte 7: the wrong weights")
    """

    def __init__(self, kind: str) -> None:
        self.kind, self.harm = kind, []

    def __enter__(self) -> Attack:
        return self

    def tried(self, harm: str | None) -> None:
        """Count one attack, and what harm it did, if any."""
        TRIED[self.kind] += 1
        SURVIVED[self.kind] += harm is None
        if harm is not None:
            self.harm.append(harm)

    def __exit__(self, error: object, *_: object) -> None:
        if error is None:
            few = "\n".join(self.harm[:20])
            assert not self.harm, f"{self.kind}: {len(self.harm)} of {TRIED[self.kind]}:\n{few}"


def frozen(value: Any) -> Any:
    """Make of a result something that compares bit by bit, NaN too."""
    if isinstance(value, torch.Tensor):
        return "tensor", str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes()
    if isinstance(value, np.ndarray):
        return "array", str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, pd.DataFrame):
        return "table", value.to_csv(), repr(dict(value.attrs))
    if isinstance(value, dict):
        return "dict", tuple((key, frozen(part)) for key, part in value.items())
    if isinstance(value, list | tuple):
        return "list", tuple(map(frozen, value))
    return type(value).__name__, repr(value)


def outcome(read: Callable[[], Any], named: Sequence[object]) -> tuple[str, Any]:
    """Say how a reader took what it was given: ``read``, ``refused`` or ``raw``.

    Refused is only what is one sentence, of a documented class, that names one of the files.
    """
    try:
        return "read", frozen(read())
    except Exception as error:  # noqa: BLE001 - which ones there may be is the question
        said = str(error)
        documented = type(error) in REFUSALS and "\n" not in said
        if documented and any(str(name) in said for name in named):
            return "refused", said
        return "raw", f"{type(error).__name__}: {said[:300]}"


# --- other processes ----------------------------------------------------------------------------

# Its parent has imported the library and has no threads, so a child is there at once.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["tests.attack.attacks", "tests.training.training_runs", "tests.data.test_tracks", "figwig",
     "tssbook.training", "tssbook.data", "tssbook.data.tracks", "pyfaidx", "tssbook.models"]
)  # fmt: skip


def start(work: Callable, *arguments: Any) -> multiprocessing.process.BaseProcess:
    """Start a child that does this work, a function of a module."""
    process = SERVER.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def end(process: multiprocessing.process.BaseProcess, seconds: float = 60) -> int | None:
    """Wait for a child; returns how it ended, None where it had to be ended."""
    process.join(seconds)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    process.close()
    return code


def files_in(folder: Path) -> list[str]:
    """Name all files below a folder but for locks, which are empty and may stay."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.suffix != ".lock")

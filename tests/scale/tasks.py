"""What workers do in these tests; they import it by its name."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd

from tssbook.scale.work import Work

N = 64 * 6 - 10


def squares(rows: pd.DataFrame, log: Path, seconds: float = 0.0) -> dict[str, np.ndarray]:
    """Write down that it was called; fail, or end the worker, where a file says so."""
    first = int(rows.index[0])
    with (log / "called").open("a") as file:
        file.write(f"{first}\n")
    if (log / f"fail {first}").exists():
        raise ValueError(f"Row {first} is wrong; wanted another.")
    if (log / f"full {first}").exists():
        raise OSError(errno.ENOSPC, "No space left on device")
    if (log / f"exit {first}").exists():
        if not (log / "always").exists():
            (log / f"exit {first}").unlink()
        os._exit(1)
    time.sleep(seconds)
    numbers = rows["number"].to_numpy(np.float32)
    return {"squares": numbers**2, "zeros": np.zeros((len(rows), 3), np.uint8)}


def work(log: Path, seconds: float = 0.0, **made_from: object) -> Work:
    """Squares of numbers, six regions of them."""
    loci = pd.DataFrame({"number": range(N), "name": [f"n{i}" for i in range(N)]})
    return Work(
        squares,
        {"log": log, "seconds": seconds},
        loci,
        {"squares": ((), "float32"), "zeros": ((3,), "uint8")},
        {"loci": loci},
        {"numbers": N, **made_from},
    )


def called(log: Path) -> list[int]:
    """First rows of the regions that were begun."""
    return [int(line) for line in (log / "called").read_text().split()]

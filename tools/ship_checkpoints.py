"""Train the models of a chapter with the chapter's own code, and ship them.

``python tools/ship_checkpoints.py chapters/01-toy-cnn.ipynb`` runs the code cells of the chapter
with ``TRAIN = True`` as one program. The chapter leaves its models in ``models``: name to
``(model, history)``. Each is stored in the package's data, so what a reader loads by default is
what the same cells train.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import platform
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.notebooks import read, tags  # noqa: E402
from tssbook import checkpoints  # noqa: E402

CHECKPOINTS = ROOT / "lib" / "tssbook" / "data" / "checkpoints"


def run_cells(path: Path, *, until: str | None = None, **flags: Any) -> dict[str, Any]:
    """Run a notebook's code cells as one program; return its variables.

    Parameters
    ----------
    path
        The notebook. Cells tagged ``raises-exception`` are left out.
    until
        Id of the cell to stop before; None runs all of them.
    **flags
        Values that replace those of the cell tagged ``parameters``.

    Raises
    ------
    ValueError
        If a flag is none of the notebook's, or there is no cell ``until``.
    """
    mpl.use("agg")
    variables: dict[str, Any] = {"__name__": "__main__"}
    for cell in read(path).cells:
        if cell.id == until:
            break
        if cell.cell_type != "code" or "raises-exception" in tags(cell):
            continue
        code = compile(cell.source, f"{path.name}:{cell.id}", "exec")
        exec(code, variables)  # noqa: S102 - the project's own chapters
        if "parameters" in tags(cell):
            if unknown := set(flags) - set(variables):
                raise ValueError(f"{path.name} has no flag {', '.join(sorted(unknown))}.")
            variables |= flags
    else:
        if until is not None:
            raise ValueError(f"{path.name} has no cell {until}.")
    return variables


def main() -> None:
    """Train and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapter", type=Path)
    path = parser.parse_args().chapter
    torch.set_num_threads(1)  # as the chapters' kernels run
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        variables = run_cells(path, TRAIN=True)
    seconds = time.perf_counter() - start
    for name, (model, history) in variables["models"].items():
        best = history.loc[history.attrs["best_epoch"]]
        checkpoints.save(
            model,
            CHECKPOINTS / name,
            task=variables["TASK"],
            licence="MIT",
            training={
                **history.attrs,
                "source": f"tools/ship_checkpoints.py {path.as_posix()}",
                "data": variables["DATA"],
                "epochs": len(history),
                "batch_size": variables["train"].batch_size,
                "torch": torch.__version__,
                "machine": f"{platform.machine()}, CPU, one thread",
                "history": history.round(6).to_dict("list"),
            },
            metrics={"valid_loss": round(float(best["valid_loss"]), 6)},
        )
        print(f"{name}: validation loss {best['valid_loss']:.6f}")
    print(f"the whole chapter with TRAIN = True took {seconds:.0f} s")


if __name__ == "__main__":
    main()

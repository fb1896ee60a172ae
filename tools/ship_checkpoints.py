"""Train the models of a chapter with the chapter's own code, and ship them.

``python tools/ship_checkpoints.py chapters/01-toy-cnn.ipynb`` runs the code cells of the chapter
with ``TRAIN = True`` as one program. The chapter leaves its models in ``models``: name to
``(model, history)``. Each is stored in the package's data, so what a reader loads by default is
what the same cells train. With ``--only NAME`` the other models are loaded, and the run ends as
soon as the named one is trained.

What is stored beside a model are the history's ``attrs``; where these lack ``task``, ``data`` or
``batch_size``, the chapter's ``TASK``, ``DATA`` and ``train`` say it.
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
import matplotlib.pyplot as plt
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.notebooks import read, tags  # noqa: E402
from tssbook.models import checkpoints  # noqa: E402

CHECKPOINTS = ROOT / "lib" / "tssbook" / "shipped" / "checkpoints"


def run_cells(
    path: Path, *, until: str | None = None, model: str | None = None, **flags: Any
) -> dict[str, Any]:
    """Run a notebook's code cells as one program; return its variables.

    Parameters
    ----------
    path
        The notebook. Cells tagged ``raises-exception`` are left out.
    until
        Id of the cell to stop before; None runs all of them.
    model
        Stop after the cell that puts this name into ``models``.
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
        plt.close("all")  # as a notebook does once it has shown a cell's figures
        if "parameters" in tags(cell):
            if unknown := set(flags) - set(variables):
                raise ValueError(f"{path.name} has no flag {', '.join(sorted(unknown))}.")
            variables |= flags
        if model in variables.get("models", ()):
            break
    else:
        if until is not None:
            raise ValueError(f"{path.name} has no cell {until}.")
        if model is not None:
            raise ValueError(f"{path.name} has no model {model}.")
    return variables


def store(name: str, model: Any, history: Any, variables: dict[str, Any], source: str) -> None:
    """Write one model and its recipe into the package's data."""
    about = dict(history.attrs)
    best = history.loc[about["best_epoch"]]
    task = about.pop("task", None) or variables["TASK"]
    data = about.pop("data", None) or variables["DATA"]
    batch_size = about.pop("batch_size", None) or variables["train"].batch_size
    checkpoints.save(
        model,
        CHECKPOINTS / name,
        task=task,
        licence="MIT",
        training={
            **about,
            "source": source,
            "data": data,
            "epochs": len(history),
            "batch_size": batch_size,
            "torch": torch.__version__,
            "machine": f"{platform.machine()}, CPU, one thread",
            "history": {column: _short(history[column]) for column in history},
        },
        metrics={"valid_loss": round(float(best["valid_loss"]), 6)},
    )
    print(f"{name}: validation loss {best['valid_loss']:.6f}")


def _short(values: Any) -> list[float]:
    """Five digits are enough for a loss of whatever size."""
    return [v if isinstance(v, int) else float(f"{v:.5g}") for v in values.to_list()]


def main() -> None:
    """Train and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapter", type=Path)
    parser.add_argument("--only", metavar="NAME", help="train this model alone")
    arguments = parser.parse_args()
    path, only = arguments.chapter, arguments.only
    torch.set_num_threads(1)  # as the chapters' kernels run
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        variables = run_cells(path, model=only, TRAIN=True if only is None else [only])
    seconds = time.perf_counter() - start
    for name, (model, history) in variables["models"].items():
        if only in (None, name):
            source = f"tools/ship_checkpoints.py {path.as_posix()}"
            store(name, model, history, variables, source)
    print(f"training took {seconds:.0f} s, the chapter's other cells included")


if __name__ == "__main__":
    main()

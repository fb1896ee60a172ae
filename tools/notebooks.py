"""Run every chapter and solution again, in place, and store the outputs in normal form.

``python tools/notebooks.py`` (called by ``make notebooks``). A notebook in which nothing changed
keeps every byte. Two cell tags matter here:

``timing``
    The output depends on the clock: a new one is stored only when something else changed as well.
``real-data``
    The output needs files that not every machine has, named in the notebook's metadata
    (``"tssbook": {"files": [...]}``, names for `tssbook.data.fetch`). Where one is missing, the
    stored outputs stay.

The sources that such outputs were made from are remembered in the notebook's metadata
(``"tssbook": {"ran": {cell id: hash}}``), so that an edited cell never keeps an old output.
"""

from __future__ import annotations

import copy
import hashlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent

# How kernels run, here and in the tests: with one thread and without random hashes, so that
# numbers and orders do not depend on the machine more than they must.
KERNEL_ENVIRONMENT = {
    "JUPYTER_PREFER_ENV_PATH": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "PYTHONHASHSEED": "0",
}
KEPT_TAGS = ("timing", "real-data")

# What editors, Colab and nbclient write into metadata and what changes from run to run.
_VOLATILE_CELL_METADATA = ("ExecuteTime", "colab", "execution", "executionInfo", "id", "outputId")
_KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


class NotebookError(Exception):
    """A notebook could not be run or stored; it was left as it is."""


def prepare_environment() -> None:
    """Set this process's environment, and with it that of every kernel it starts."""
    os.environ.update(KERNEL_ENVIRONMENT)
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # a GPU only for those who ask for it
    os.environ.pop("MPLBACKEND", None)  # a kernel draws inline


def notebook_paths(root: Path = ROOT) -> list[Path]:
    """Return the notebooks of the book, chapters first."""
    return [*sorted(root.glob("chapters/*.ipynb")), *sorted(root.glob("solutions/*.ipynb"))]


def tags(cell: NotebookNode) -> set[str]:
    """Return a cell's tags."""
    return set(cell.metadata.get("tags", []))


def read(path: Path) -> NotebookNode:
    """Read a notebook as it is, without adding the cell ids that older formats lack."""
    return nbformat.reads(path.read_text(encoding="utf-8"), as_version=nbformat.NO_CONVERT)


def to_text(nb: NotebookNode) -> str:
    """Return the text of a notebook file."""
    return nbformat.writes(nb, version=nbformat.NO_CONVERT) + "\n"


def normalise(nb: NotebookNode) -> NotebookNode:
    """Return a copy in normal form: nothing in it but what a reader sees or the book uses.

    Format 4.5; the kernel is "python3" of no particular version; cells have stable ids, existing
    ones stay; no time stamps, no widget states, no frames of a traceback; pieces of one stream are
    joined. Does not renumber cells, and does not judge their content.
    """
    nb = copy.deepcopy(nb)
    nb.nbformat, nb.nbformat_minor = 4, 5
    nb.metadata.pop("widgets", None)
    nb.metadata.pop("colab", None)
    nb.metadata.kernelspec = NotebookNode(_KERNELSPEC)
    nb.metadata.language_info = NotebookNode(name="python")
    used: set[str] = set()
    for number, cell in enumerate(nb.cells, start=1):
        name = cell.get("id")
        if not name or name in used:
            name = next(n for n in _names(number) if n not in used)
        used.add(name)
        cell.id = name
        for key in _VOLATILE_CELL_METADATA:
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs = [_normal_output(out, cell) for out in _joined_streams(cell.outputs)]
    return nb


def _names(number: int) -> Iterator[str]:
    """Yield cell ids: cell-7, cell-7-1, cell-7-2, ..."""
    yield f"cell-{number}"
    extra = 0
    while True:
        extra += 1
        yield f"cell-{number}-{extra}"


def _joined_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of one stream: how many there are depends on the clock."""
    joined: list[NotebookNode] = []
    for out in outputs:
        last = joined[-1] if joined else NotebookNode(output_type="")
        if out.output_type == last.output_type == "stream" and out.name == last.name:
            last.text += out.text
        else:
            joined.append(out)
    return joined


def _normal_output(out: NotebookNode, cell: NotebookNode) -> NotebookNode:
    """Drop what only this machine or this run knows; a result carries its cell's number."""
    out.pop("transient", None)
    if out.output_type == "error":
        # The frames name files of this machine; the message is what the chapter shows.
        out.traceback = [f"{out.ename}: {out.evalue}"]
    if out.output_type == "execute_result":
        out.execution_count = cell.execution_count
    return out


def execute(nb: NotebookNode, folder: Path) -> NotebookNode:
    """Return a copy of the notebook, run from its first to its last cell in `folder`.

    Raises
    ------
    NotebookError
        A cell raised an error and is not tagged ``raises-exception``, or the kernel died or hung.
    """
    nb = copy.deepcopy(nb)
    client = NotebookClient(
        nb,
        extra_arguments=["--log-level=ERROR"],
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        timeout=1800,
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise NotebookError(f"a cell raised an error.\n{error}") from error
    except (CellTimeoutError, RuntimeError) as error:
        raise NotebookError(f"the kernel did not finish: {error}") from error
    return nb


def source_hashes(nb: NotebookNode) -> dict[str, str]:
    """Return cell id -> hash of the source, of the cells whose outputs may be kept."""
    return {
        cell.id: hashlib.sha256(cell.source.encode()).hexdigest()[:12]
        for cell in nb.cells
        if tags(cell).intersection(KEPT_TAGS)
    }


def remembered_hashes(nb: NotebookNode) -> dict[str, str]:
    """Return what `source_hashes` was when the stored outputs were made."""
    return nb.metadata.get("tssbook", {}).get("ran", {})


def _remember(nb: NotebookNode) -> None:
    """Note the sources in the notebook's metadata."""
    hashes = source_hashes(nb)
    if hashes:
        nb.metadata.setdefault("tssbook", NotebookNode()).ran = hashes
    elif "tssbook" in nb.metadata:
        nb.metadata.tssbook.pop("ran", None)


def _with_stored_outputs(new: NotebookNode, old: NotebookNode, tag: str) -> NotebookNode:
    """Return `new` with the outputs of `old` in the cells that have this tag."""
    new = copy.deepcopy(new)
    for cell, before in zip(new.cells, old.cells, strict=True):
        if tag in tags(cell):
            cell.outputs = copy.deepcopy(before.outputs)
    return normalise(new)


def missing_file(nb: NotebookNode) -> str:
    """Return why a file that the notebook names is not to be had; empty when all are here."""
    from tssbook.data import ChecksumError, MissingFile, fetch

    for name in nb.metadata.get("tssbook", {}).get("files", []):
        try:
            fetch(name)
        except MissingFile as error:
            return str(error)
        except (ChecksumError, ValueError) as error:
            raise NotebookError(str(error)) from error
    return ""


def refreshed(stored: NotebookNode, folder: Path) -> tuple[NotebookNode, str]:
    """Run a notebook and return it in normal form, with a note on what was kept ("" for nothing).

    Raises
    ------
    NotebookError
        A cell raised an error, or a new or changed cell needs a file that is not here.
    """
    old = normalise(stored)
    missing = missing_file(old)
    real = {cell.id for cell in old.cells if "real-data" in tags(cell)}
    ran, sources = remembered_hashes(old), source_hashes(old)
    changed = sorted(name for name in real if ran.get(name) != sources[name])
    if missing and changed:
        cells = ", ".join(changed)
        raise NotebookError(f"cells that need real data are new or changed ({cells}): {missing}")
    new = normalise(execute(old, folder))
    _remember(new)
    if missing:
        new = _with_stored_outputs(new, old, "real-data")
    same_times = _with_stored_outputs(new, old, "timing")
    note = f"kept the outputs of the cells tagged real-data: {missing}" if missing else ""
    return (same_times if to_text(same_times) == to_text(old) else new), note


def write_beside_and_rename(path: Path, text: str) -> None:
    """Write a file so that it is at any time the old or the new one."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def update(path: Path) -> str:
    """Run one notebook, store it when it changed, and return one line on what happened.

    Raises
    ------
    NotebookError
        See `refreshed`; the file is untouched.
    """
    before = path.read_text(encoding="utf-8")
    nb, note = refreshed(read(path), path.parent)
    after = to_text(nb)
    if after != before:
        write_beside_and_rename(path, after)
    return "; ".join(filter(None, ["unchanged" if after == before else "stored", note]))


def main() -> int:
    """Run all notebooks; the exit code is 1 when any of them failed."""
    prepare_environment()
    failed = 0
    for path in notebook_paths():
        start = time.perf_counter()
        try:
            line = update(path)
        except NotebookError as error:
            failed += 1
            line = f"FAILED, left as it was: {error}"
        print(f"{path.relative_to(ROOT)} ({time.perf_counter() - start:.0f} s): {line}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Run a notebook once: its outputs are compared with the stored ones, its variables asserted on.

The cells run in this process, in an IPython shell like that of a kernel: the library's lines that
they reach are covered, no kernel starts, and no cell has a time limit. The comparison follows
nbval's rules, so that ``pytest --nbval`` and these tests want the same.
"""

from __future__ import annotations

import difflib
import io
import os
import socket
import sys
import tempfile
import types
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from matplotlib_inline.backend_inline import configure_inline_support
from matplotlib_inline.config import InlineBackend
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbval.plugin import coalesce_streams
from traitlets.config import Config

from tools.notebooks import read, tags

INLINE = "module://matplotlib_inline.backend_inline"
# What nbval leaves out: numbers of cells, frames of a traceback, pictures.
NOT_COMPARED = {"metadata", "traceback", "output_type", "name", "execution_count"}
PICTURES = {"image/png", "image/jpeg"}
FRESH_SEED = 67280421310721  # torch's own, before anybody has set one


@dataclass
class Run:
    """What one run of a notebook left.

    Attributes
    ----------
    path : Path
        The notebook.
    variables : dict
        Its variables.
    outputs : dict
        Cell id to the outputs of this run.
    faults : list of str
        Where they differ from the stored ones, and what was written to stderr.
    """

    path: Path
    variables: dict[str, Any]
    outputs: dict[str, list[NotebookNode]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def text(self, name: str) -> str:
        """Return what a cell printed."""
        return "".join(out.text for out in self.outputs[name] if out.output_type == "stream")

    def again(self, *names: str, **values: Any) -> dict[str, Any]:
        """Run some cells once more, on a copy of the variables with other values; return it.

        Functions of the other cells keep seeing the variables of the first run.
        """
        variables = self.variables | values
        sources = {cell.id: cell.source for cell in read(self.path).cells}
        for name in names:
            exec(compile(sources[name], f"{self.path.name}:{name}", "exec"), variables)  # noqa: S102
            plt.close("all")
        return variables


class NotebookFailed(Exception):
    """A cell raised an error that its tags do not announce."""


class Results(DisplayHook):
    """Keeps the value of a cell's last line."""

    def write_output_prompt(self) -> None:
        """Print no number."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        """Keep the value's MIME bundle."""
        self.shell.shown.append(new_output("execute_result", data=format_dict))

    def finish_displayhook(self) -> None:
        """Print no empty line."""


class Displays(DisplayPublisher):
    """Keeps what a cell displays."""

    def publish(self, data: dict[str, Any], *args: Any, **options: Any) -> None:
        """Keep a MIME bundle."""
        self.shell.shown.append(new_output("display_data", data=data))

    def clear_output(self, wait: bool = False) -> None:
        """Forget what was displayed."""
        self.shell.shown.clear()


class ZMQLikeShell(InteractiveShell):
    """A kernel's shell without the kernel; pandas knows a notebook by "zmq" in this name."""

    shown: list[NotebookNode]

    def __init__(self, **options: Any) -> None:
        self.shown = []
        super().__init__(displayhook_class=Results, display_pub_class=Displays, **options)

    def enable_gui(self, gui: str | None = None) -> None:
        """There is no window."""

    def init_sys_modules(self) -> None:
        """Leave ``__main__`` to the tests but while cells run."""

    def _showtraceback(self, etype: type, evalue: BaseException, stb: list[str]) -> None:
        self.shown.append(new_output("error", ename=etype.__name__, evalue=str(evalue)))


@contextmanager
def shell() -> Iterator[ZMQLikeShell]:
    """Give a new shell, with figures as a notebook shows them; leave everything as it was."""
    module = types.ModuleType("__main__")
    main = sys.modules["__main__"]
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        mpl.rc_context(),
        pd.option_context("display.max_columns", 20),  # as pandas starts in a notebook
        torch.random.fork_rng(devices=[]),
    ):
        torch.manual_seed(FRESH_SEED)
        config = Config({"HistoryManager": {"enabled": False}})
        made = ZMQLikeShell.instance(config=config, user_module=module, ipython_dir=folder)
        plt.switch_backend(INLINE)
        configure_inline_support(made, INLINE)
        interactive = mpl.is_interactive()
        mpl.interactive(True)
        sys.modules["__main__"] = module
        try:
            yield made
        finally:
            sys.modules["__main__"] = main
            ZMQLikeShell.clear_instance()
            plt.close("all")
            plt.switch_backend("agg")
            mpl.interactive(interactive)
            configure_inline_support(made, "agg")
            InlineBackend.clear_instance()


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Work in a folder and without other machines: what a cell cannot find is missing."""
    before, look_up = Path.cwd(), socket.getaddrinfo

    def here_only(host: Any, *args: Any, **options: Any) -> Any:
        if host in ("127.0.0.1", "::1", "localhost"):
            return look_up(host, *args, **options)
        raise socket.gaierror(socket.EAI_NONAME, f"tests do not ask {host}")

    os.chdir(folder)
    socket.getaddrinfo = here_only
    try:
        yield
    finally:
        socket.getaddrinfo = look_up
        os.chdir(before)


def run_notebook(path: Path) -> Run:
    """Run a notebook's code cells from the first to the last, in the notebook's folder.

    Raises
    ------
    NotebookFailed
        A cell raised an error and is not tagged ``raises-exception``.
    """
    with shell() as made, working_in(path.parent):
        run = Run(path, made.user_ns)
        for cell in read(path).cells:
            if cell.cell_type == "code" and "nbval-skip" not in tags(cell):
                outputs = run.outputs[cell.id] = run_cell(made, cell, path)
                found = faults(cell, outputs)
                run.faults += [f"{path.name}, cell {cell.id}: {fault}" for fault in found]
    return run


def run_cell(made: ZMQLikeShell, cell: NotebookNode, path: Path) -> list[NotebookNode]:
    """Run one cell and return its outputs, as a notebook would store them."""
    made.shown.clear()
    streams = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    with redirect_stdout(streams["stdout"]), redirect_stderr(streams["stderr"]):
        result = made.run_cell(cell.source, store_history=True)
    errors = [out for out in made.shown if out.output_type == "error"]  # of figures too
    if errors and "raises-exception" not in tags(cell):
        said = f"{errors[0].ename}: {errors[0].evalue}"
        error = result.error_before_exec or result.error_in_exec
        raise NotebookFailed(f"{path.name}, cell {cell.id}: {said}") from error
    printed = [(name, stream.getvalue()) for name, stream in streams.items()]
    return [new_output("stream", name=n, text=t) for n, t in printed if t] + made.shown.copy()


def faults(cell: NotebookNode, outputs: list[NotebookNode]) -> Iterator[str]:
    """Yield how a cell's outputs differ from the stored ones, and what it wrote to stderr."""
    for out in outputs:
        if out.get("name") == "stderr":
            yield f"wrote to stderr: {out.text}"
    if "nbval-ignore-output" in tags(cell):
        return
    if cell.execution_count is None:
        yield "has never been run: make notebooks"
        return
    stored, found = by_kind(cell.outputs), by_kind(outputs)
    for kind in sorted(stored.keys() | found.keys()):
        before, now = stored.get(kind, []), found.get(kind, [])
        if kind in PICTURES:
            if bool(before) != bool(now):
                yield f"{len(before)} pictures are stored, {len(now)} were drawn"
        elif before != now:
            lines = difflib.unified_diff(
                "\n".join(map(str, before)).splitlines(), "\n".join(map(str, now)).splitlines(),
                f"stored {kind}", "this run", lineterm="",
            )  # fmt: skip
            yield "\n".join(lines)


def by_kind(outputs: Iterable[NotebookNode]) -> dict[str, list[Any]]:
    """Return stream name, MIME type or part of an error to its contents, in their order.

    Streams are joined, as in nbval: how many pieces they come in depends on the clock.
    """
    kinds: dict[str, list[Any]] = {}
    for out in coalesce_streams([NotebookNode(out) for out in outputs]):
        parts = {out.name: out.text} if out.output_type == "stream" else dict(out)
        parts |= parts.pop("data", {})
        for kind in parts.keys() - NOT_COMPARED:
            kinds.setdefault(kind, []).append(parts[kind])
    return kinds

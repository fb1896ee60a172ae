"""A disk without room, a real one of 300 kB where this process may mount it (root on Linux).

Elsewhere, ``RLIMIT_FSIZE``, the largest size of a file, is a substitute: writing then fails with
another number of the system (EFBIG), and the sentence says "File too large".
"""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tests.attack.attacks import Attack, files_in, frozen, outcome
from tests.attack.formats import GENOME, LETTERS, NEXT, Constant
from tests.support import file_server
from tests.training.training_runs import Run
from tssbook.data import download
from tssbook.data.store import Writer, open_store
from tssbook.files import write_whole
from tssbook.interpret import score_variants
from tssbook.models.checkpoints import save

SIZE = 300 << 10


class Disk:
    """A small disk; inside of ``full`` there is no room on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
        try:
            self.real = subprocess.run(mount, capture_output=True).returncode == 0
        except FileNotFoundError:
            self.real = False

    @contextmanager
    def full(self, room: int = 4096) -> Iterator[None]:
        """Leave so many bytes."""
        if self.real:
            ballast = self.folder / "ballast"
            free = _free(self.folder) - room
            ballast.write_bytes(bytes(max(free, 0)))
            try:
                yield
            finally:
                ballast.unlink()
            return
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, old)


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = Disk(folder)
    yield disk
    if disk.real:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def attacked(kind: str, disk: Disk, write: Callable[[], object], named: Path,
             room: int = 4096, may_leave: tuple[str, ...] = ()) -> None:  # fmt: skip
    """Write without room: one sentence with path and cause, and what was there is as it was."""
    before = {name: (disk.folder / name).read_bytes() for name in files_in(disk.folder)}
    with Attack("full disk") as attack:
        with disk.full(room):
            how, said = outcome(write, [named])
            left = {
                name: (disk.folder / name).read_bytes()
                for name in files_in(disk.folder) if name not in ("ballast", *may_leave)
            }  # fmt: skip
        harm = None if how == "refused" else f"{how}: {said}"
        if how == "refused" and not any(w in said for w in ("space", "disk", "too large")):
            harm = f"no word of the disk: {said}"
        old = {name: content for name, content in before.items() if name not in may_leave}
        if left != old:
            harm = f"{sorted(left)} in place of {sorted(before)}"
        attack.tried(harm and f"{kind} ({'tmpfs' if disk.real else 'RLIMIT_FSIZE'}): {harm}")


def test_state(disk):
    """The state of the epoch before stays whole, and the run goes on from it with more room."""
    state = disk.folder / "state"
    Run().fit(2, state)
    attacked("state", disk, lambda: Run(start=1).fit(4, state), state)
    whole, run = Run(), Run(start=1)
    assert frozen(run.fit(4, state)) == frozen(whole.fit(4))
    assert frozen(run.everything()) == frozen(whole.everything())


def test_first_state(disk):
    """Nothing is left of a state for which there was no room."""
    attacked("first state", disk, lambda: Run().fit(2, disk.folder / "state"), disk.folder)


def test_store(disk):
    """Rows that are done stay done."""
    values = np.arange(40_000, dtype=np.float32).reshape(40, 1000)

    def writer() -> Writer:
        return Writer(disk.folder / "store", 40, {"values": ((1000,), "float32")}, {"seed": 1})

    with writer() as first:
        first.write(0, values=values[:10])

    def go_on() -> None:
        with writer() as again:
            again.write(10, values=values[10:])

    attacked("store", disk, go_on, disk.folder / "store")
    with writer() as again:
        assert again.done == 10
        again.write(10, values=values[10:])
    table = pd.DataFrame({"tss": range(3000)})

    def finish() -> None:
        with writer() as last:
            last.finish(loci=table)

    attacked("tables of a store", disk, finish, disk.folder / "store")
    with writer() as last:
        last.finish(loci=table)
    assert np.array_equal(open_store(disk.folder / "store").arrays["values"], values)


class Layer(nn.Module):
    """A model of 80 kB."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.config = {}
        self.weight = nn.Parameter(torch.full((100, 200), value))


def test_checkpoint(disk):
    """An older checkpoint stays whole, both its files."""
    save(Layer(1.0), disk.folder / "net")
    attacked("checkpoint", disk, lambda: save(Layer(2.0), disk.folder / "net"), disk.folder / "net")


@pytest.mark.parametrize("room", [4096, 90 << 10])
def test_first_checkpoint(disk, room):
    """Nor half a checkpoint: where there is room for the tensors alone, they go as well."""
    more = {"history": ["x" * 100] * 1000}
    write = lambda: save(Layer(), disk.folder / "net", **more)  # noqa: E731
    attacked("first checkpoint", disk, write, disk.folder / "net", room)


def test_whole_files(disk):
    write_whole({disk.folder / "a": b"old"})
    write = lambda: write_whole({disk.folder / "a": bytes(100_000)})  # noqa: E731
    attacked("write_whole", disk, write, disk.folder / "a")


@pytest.mark.parametrize("old", [True, False])
def test_variants(disk, tmp_path, old):
    """An older table stays whole; nothing is left of a new one."""
    (tmp_path / "genome.fa").write_bytes(GENOME)
    lines = "".join(
        f"chr1\t{i + 1}\trs{i}{'x' * 100}\t{base}\t{NEXT[base]}\n"
        for i, base in enumerate(LETTERS["chr1"])
    )
    (tmp_path / "x.vcf").write_text(lines)
    out = disk.folder / "out.tsv"
    if old:
        out.write_text("old")

    def write() -> None:
        score_variants(Constant(), tmp_path / "x.vcf", tmp_path / "genome.fa", out, length=8)

    attacked("variants", disk, write, out)


def test_download(disk, monkeypatch):
    """A part may stay to go on from; with more room the file arrives whole."""
    content = np.random.default_rng(7).bytes(100_000)
    monkeypatch.setenv("TSSBOOK_CACHE", str(disk.folder))
    monkeypatch.delenv("TSSBOOK_MIRROR", raising=False)
    with file_server() as server:
        server.files["/a"] = content
        entry = {"url": server.url("/a"), "sha256": hashlib.sha256(content).hexdigest()}
        monkeypatch.setattr(download, "catalogue", lambda: {"a.bin": entry})
        goal = disk.folder / "a.bin"
        part = ("a.bin.part",)
        attacked("download", disk, lambda: download.fetch("a.bin"), goal, may_leave=part)
        assert download.fetch("a.bin").read_bytes() == content
        assert files_in(disk.folder) == ["a.bin"]

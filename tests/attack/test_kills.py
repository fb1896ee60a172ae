"""Processes that are killed at any moment: nothing is half-written, and the next one goes on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tests.attack import subjects
from tests.attack.attacks import FULL, SERVER, Attack, end, files_in, frozen, rounds, start
from tests.support import file_server
from tests.training.training_runs import Run
from tssbook.data.store import open_store


def kill_rounds(kind: str, work: Callable, arguments: Callable[[int], tuple], check: Callable,
                resume: Callable) -> None:  # fmt: skip
    """Kill a child again and again, at a random moment between its begin and its end.

    ``check(n)`` looks at what is on the disk, ``resume(n)`` goes on to the end; both return the
    harm that they see, or None.
    """
    rng = np.random.default_rng(6)
    with Attack(f"kills, {kind}") as attack:
        seconds, n, killed = None, 0, 0
        while killed < rounds(50, 4) and n < 10 * rounds(50, 4):
            n += 1
            here, there = SERVER.Pipe(duplex=False)
            child = start(work, None, there, *arguments(n))
            there.close()
            assert here.poll(60)
            assert here.recv() == "begins"
            begin = time.monotonic()
            if seconds is None:  # the first one is not disturbed, and tells how long it takes
                assert here.poll(600)
                assert here.recv() == "done"
                seconds = time.monotonic() - begin
                assert end(child) == 0
                continue
            time.sleep(seconds * rng.random())
            child.kill()
            if end(child) == 0:
                continue  # it was faster
            killed += 1
            attack.tried(check(n) or resume(n))
        assert killed == rounds(50, 4)


def test_training(tmp_path):
    """A state is whole or not there; the run that goes on ends bit for bit as one never killed."""
    whole = Run(start=17)
    right = frozen([whole.fit(subjects.EPOCHS), whole.everything()])
    state = lambda n: tmp_path / str(n) / "state"  # noqa: E731

    def arguments(n: int) -> tuple[Path]:
        (tmp_path / str(n)).mkdir()
        return (state(n),)

    def check(n: int) -> str | None:
        if not state(n).exists():
            return None
        n_rows = len(torch.load(state(n), weights_only=True)["rows"])  # raises if it is half
        return None if 1 <= n_rows <= subjects.EPOCHS else f"{n_rows} epochs"

    def resume(n: int) -> str | None:
        run = Run(start=99)  # weights and moments of its own, unless there is no file yet
        run = run if state(n).exists() else Run(start=17)
        found = frozen([run.fit(subjects.EPOCHS, state(n)), run.everything()])
        if found != right:
            return f"round {n}: another end"
        left = files_in(tmp_path / str(n))
        return None if left == ["state"] else f"round {n}: left {left}"

    kill_rounds("fit", subjects.train, arguments, check, resume)


def test_build(tmp_path):
    """A store is finished and whole, or says that it is not; it ends as one never killed."""
    files = tmp_path / "files"
    subjects.make_genome(files)
    right = frozen(subjects.built(files, tmp_path / "whole"))
    names = files_in(tmp_path / "whole")

    def check(n: int) -> str | None:
        if not (tmp_path / str(n) / "made" / "about.json").exists():
            return None
        try:
            found = frozen(open_store(tmp_path / str(n) / "made"))
        except ValueError as error:
            return None if "is not finished" in str(error) else f"round {n}: {error}"
        return None if found == right else f"round {n}: other values, said to be finished"

    def resume(n: int) -> str | None:
        if frozen(subjects.built(files, tmp_path / str(n) / "made")) != right:
            return f"round {n}: other values"
        left = files_in(tmp_path / str(n))
        return None if left == [f"made/{name}" for name in names] else f"round {n}: left {left}"

    kill_rounds("build_tracks", subjects.build, lambda n: (files, tmp_path / str(n) / "made"),
                check, resume)  # fmt: skip


def test_download(tmp_path):
    """What stands under its name is whole; the next one goes on from the part, and none stays."""
    sha256 = hashlib.sha256(subjects.CONTENT).hexdigest()
    with file_server() as server:
        server.files["/content"] = subjects.CONTENT
        entry = {"url": server.url("/content"), "sha256": sha256, "bytes": len(subjects.CONTENT)}

        def check(n: int) -> str | None:
            path = tmp_path / str(n) / subjects.NAME
            whole = not path.exists() or path.read_bytes() == subjects.CONTENT
            return None if whole else f"round {n}: half a file under its name"

        def resume(n: int) -> str | None:
            if subjects.fetched(tmp_path / str(n), entry).read_bytes() != subjects.CONTENT:
                return f"round {n}: other content"
            left = files_in(tmp_path / str(n))
            return None if left == [subjects.NAME] else f"round {n}: left {left}"

        kill_rounds("fetch", subjects.get, lambda n: (tmp_path / str(n), entry), check, resume)
        if FULL:  # of a few kills none may meet a download that has begun
            assert any("Range" in headers for _, headers in server.requests)

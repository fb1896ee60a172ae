"""Two processes at once at one place: one of them wins whole, or is refused; never a mixture."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch

from tests.attack import subjects
from tests.attack.attacks import SERVER, Attack, end, files_in, frozen, rounds, start
from tests.support import file_server
from tests.training.training_runs import Run
from tssbook.data.store import open_store


def both(work: Callable, *arguments: tuple) -> list[str]:
    """Let two children begin at once; how each ended."""
    gate, ends = SERVER.Barrier(2), []
    children = []
    for some in arguments:
        here, there = SERVER.Pipe(duplex=False)
        children.append((start(work, gate, there, *some), here))
        there.close()
    for child, here in children:
        assert here.poll(60)
        assert here.recv() == "begins"
        assert here.poll(60)
        ends.append(here.recv())
        assert end(child) == 0
    return ends


def test_builds(tmp_path):
    """Two different builds in one folder: the store is that of the one that was not refused."""
    files = tmp_path / "files"
    subjects.make_genome(files)
    right = [frozen(subjects.built(files, tmp_path / f"right{seed}", seed)) for seed in (0, 1)]
    with Attack("two writers, build_tracks") as attack:
        for n in range(rounds(16, 3)):
            made = tmp_path / str(n) / "made"
            ends = both(subjects.build, (files, made, 0), (files, made, 1))
            winners = [seed for seed in (0, 1) if ends[seed] == "done"]
            refused = [
                how for how in ends if how.startswith(("BlockingIOError", "FileExistsError"))
            ]
            found = frozen(open_store(made))
            fair = len(winners) == 1 and len(refused) == 1 and found == right[winners[0]]
            attack.tried(None if fair else f"round {n}: {ends}")


def test_the_same_build(tmp_path):
    """Two equal builds in one folder: the store is right, and nobody is told that it is not."""
    files = tmp_path / "files"
    subjects.make_genome(files)
    right = frozen(subjects.built(files, tmp_path / "right"))
    with Attack("two writers, one build") as attack:
        for n in range(rounds(16, 3)):
            made = tmp_path / str(n) / "made"
            ends = both(subjects.build, (files, made), (files, made))
            fair = "done" in ends and frozen(open_store(made)) == right
            fair &= all(how == "done" or how.startswith("BlockingIOError") for how in ends)
            attack.tried(None if fair else f"round {n}: {ends}")


def test_trainings(tmp_path):
    """Two trainings with one state file: it is whole and one of theirs, or one is refused."""
    right = {}
    for seed in (17, 18):
        run = Run(start=seed)
        right[str(seed)] = [run.fit(subjects.EPOCHS, seed=seed), run.everything()[0]]
    with Attack("two writers, fit") as attack:
        for n in range(rounds(16, 3)):
            state = tmp_path / str(n) / "state"
            state.parent.mkdir()
            ends = both(subjects.train, (state, 17), (state, 18))
            found = torch.load(state, weights_only=True)
            seed = found["about"]["seed"]
            history = Run(start=0).fit(len(found["rows"]), state, seed=int(seed))
            rows = right[seed][0].iloc[: len(history)]
            fair = all(how == "done" or "holds another training" in how for how in ends)
            fair &= "done" in ends and history.to_csv() == rows.to_csv()
            fair &= files_in(state.parent) == ["state"]
            if len(history) == subjects.EPOCHS:
                run = Run(start=0)
                run.fit(subjects.EPOCHS, state, seed=int(seed))
                fair &= frozen(run.everything()[0]) == frozen(right[seed][1])
            attack.tried(None if fair else f"round {n}: {ends}, {files_in(state.parent)}")


def test_downloads(tmp_path):
    """Two downloads of one file: it comes once, and both have it."""
    sha256 = hashlib.sha256(subjects.CONTENT).hexdigest()
    with file_server() as server, Attack("two writers, fetch") as attack:
        server.files["/content"] = subjects.CONTENT
        entry = {"url": server.url("/content"), "sha256": sha256, "bytes": len(subjects.CONTENT)}
        for n in range(rounds(16, 3)):
            server.requests.clear()
            cache: Path = tmp_path / str(n)
            ends = both(subjects.get, (cache, entry), (cache, entry))
            fair = ends == ["done", "done"] and len(server.requests) == 1
            fair &= files_in(cache) == [subjects.NAME]
            fair &= (cache / subjects.NAME).read_bytes() == subjects.CONTENT
            attack.tried(None if fair else f"round {n}: {ends}, {files_in(cache)}")

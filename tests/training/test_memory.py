"""keep_memory: once, on Linux with glibc alone, and felt in page faults."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest
from torch import nn

from tssbook.training import memory
from tssbook.training.memory import keep_memory
from tssbook.training.prediction import on_device

PROGRAM = """
import resource
import torch
from tssbook.training.memory import keep_memory

def page_faults():
    for round in range(12):
        if round == 2:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(20_000_000)  # 80 MB, 19,532 pages of 4 kB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(page_faults(), keep_memory(), page_faults())
"""


class CLibrary:
    """Stands for the C library; remembers what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def mallopt(self, parameter: int, value: int) -> int:
        self.calls.append((parameter, value))
        return 1


@pytest.fixture
def library(monkeypatch) -> Iterator[CLibrary]:
    """Linux with a glibc that only pretends, in a process that has not asked yet."""
    found = CLibrary()
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: found)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.delenv("TSSBOOK_KEEP_MEMORY", raising=False)
    keep_memory.cache_clear()
    yield found
    keep_memory.cache_clear()


def test_told_once(library):
    assert keep_memory()
    assert keep_memory()
    assert library.calls == [(-4, 0), (-1, 2**31 - 1)]  # M_MMAP_MAX, M_TRIM_THRESHOLD


def test_told_before_a_model_runs_on_a_cpu(library):
    with on_device(nn.ReLU(), "meta"):
        assert library.calls == []
    for _ in range(2):
        with on_device(nn.Linear(1, 1), "cpu"):
            assert len(library.calls) == 2


def test_off_by_the_environment_variable(library, monkeypatch):
    monkeypatch.setenv("TSSBOOK_KEEP_MEMORY", "0")
    assert not keep_memory()
    assert library.calls == []


@pytest.mark.parametrize(
    ("system", "c_library"),
    [("linux", ("", "")), ("linux", ("musl", "1.2")), ("darwin", ("", "")), ("win32", ("", ""))],
)
def test_nothing_elsewhere(library, monkeypatch, system, c_library):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "libc_ver", lambda: c_library)
    assert not keep_memory()
    assert library.calls == []


def test_a_c_library_that_refuses(library, monkeypatch):
    monkeypatch.setattr(library, "mallopt", lambda parameter, value: 0)
    assert not keep_memory()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone has this setting")
def test_freed_memory_is_used_again():
    environment = os.environ | {"TSSBOOK_KEEP_MEMORY": "1"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    fresh, made, kept = done.stdout.split()
    assert made == "True"
    # Ten times 80 MB, in fresh pages and in the same ones; large pages would be fewer.
    assert int(kept) < int(fresh) / 5

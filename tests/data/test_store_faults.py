"""A store on a disk that is full or cannot be written: one sentence, and the rows that are done."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from support import read_only_folder, refusal
from tssbook.data.store import Writer, open_store

VALUES = np.arange(12, dtype=np.uint16).reshape(4, 3)
LOCI = pd.DataFrame({"chrom": ["chr1", "chr1", "chr2", "chr3"], "tss": [5, 9, 2, 7]})


def writer(folder):
    return Writer(folder, 4, {"values": ((3,), "uint16")}, {"seed": 1})


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk_keeps_the_rows_that_are_done(tmp_path, monkeypatch):
    with writer(tmp_path) as first:
        first.write(0, values=VALUES[:2])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            message = refusal(lambda: first.write(2, values=VALUES[2:] + 9), OSError)
    assert str(tmp_path) in message
    assert "No space left on device" in message
    with writer(tmp_path) as second:
        assert (first.done, second.done) == (2, 2)
        second.write(2, values=VALUES[2:])
    assert np.array_equal(writer(tmp_path).finish().arrays["values"], VALUES)


def test_full_disk_at_the_last_step_leaves_no_store_that_looks_whole(tmp_path, monkeypatch):
    whole = writer(tmp_path)
    whole.write(0, values=VALUES)
    with whole, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert "No space left" in refusal(lambda: whole.finish(loci=LOCI), OSError)
    assert "not finished" in refusal(lambda: open_store(tmp_path))
    store = writer(tmp_path).finish(loci=LOCI)
    assert store.tables["loci"].equals(LOCI)


def test_folder_that_cannot_be_written(tmp_path):
    with read_only_folder() as folder:
        message = refusal(lambda: writer(folder / "store"), OSError)
    assert str(folder / "store") in message
    assert "Permission denied" in message


# --- two writers ------------------------------------------------------------------------------


def test_a_second_writer_is_refused_until_the_first_has_finished(tmp_path):
    first = writer(tmp_path / "store")
    message = refusal(lambda: writer(tmp_path / "store"), BlockingIOError)
    for words in ("Another writer", str(tmp_path / "store"), "one at a time"):
        assert words in message
    first.write(0, values=VALUES)  # the refused one changed nothing
    assert np.array_equal(first.finish().arrays["values"], VALUES)
    assert "finished store" in refusal(lambda: writer(tmp_path / "store"), FileExistsError)


def test_a_writer_that_was_interrupted_leaves_no_lock(tmp_path):
    kept = []  # as Jupyter keeps the last traceback, and the writer in it

    def interrupted():
        with writer(tmp_path) as store:
            kept.append(store)
            store.write(0, values=VALUES[:3])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert writer(tmp_path).done == 3
    assert writer(tmp_path).done == 3  # nor does one that is forgotten


def test_a_refused_folder_is_not_locked(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError) as kept:
        writer(tmp_path)
    (tmp_path / "thesis.txt").unlink()
    assert writer(tmp_path).done == 0
    assert str(tmp_path) in str(kept.value)


def test_the_lock_of_a_process_that_was_killed_is_gone(tmp_path):
    code = (
        "import sys, time; from tssbook.data.store import Writer; "
        "w = Writer(sys.argv[1], 4, {'values': ((3,), 'uint16')}, {'seed': 1}); "
        "print('locked', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        assert "Another writer" in refusal(lambda: writer(tmp_path), BlockingIOError)
        other.kill()
    assert writer(tmp_path).done == 0

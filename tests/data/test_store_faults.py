"""A store on a disk that is full or cannot be written: one sentence, and the rows that are done."""

from __future__ import annotations

import errno
import os

import numpy as np
import pandas as pd

from support import read_only_folder, refusal
from tssbook.data.store import Writer, open_store

VALUES = np.arange(12, dtype=np.uint16).reshape(4, 3)
LOCI = pd.DataFrame({"chrom": ["chr1", "chr1", "chr2", "chr3"], "tss": [5, 9, 2, 7]})


def writer(folder):
    return Writer(folder, 4, {"values": ((3,), "uint16")}, {"seed": 1})


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk_keeps_the_rows_that_are_done(tmp_path, monkeypatch):
    first = writer(tmp_path)
    first.write(0, values=VALUES[:2])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        message = refusal(lambda: first.write(2, values=VALUES[2:] + 9), OSError)
    assert str(tmp_path) in message
    assert "No space left on device" in message
    assert (first.done, writer(tmp_path).done) == (2, 2)
    first.write(2, values=VALUES[2:])
    assert np.array_equal(writer(tmp_path).finish().arrays["values"], VALUES)


def test_full_disk_at_the_last_step_leaves_no_store_that_looks_whole(tmp_path, monkeypatch):
    whole = writer(tmp_path)
    whole.write(0, values=VALUES)
    with monkeypatch.context() as patch:
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

"""What goes wrong with a store: a full disk, damaged files, the folder of something else."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pandas as pd
import pytest

from support import refusal
from tssbook.data import download
from tssbook.data.store import Writer, open_store

VALUES = np.arange(12, dtype=np.uint16).reshape(4, 3)
LOCI = pd.DataFrame({"chrom": ["chr1", "chr1", "chr2", "chr3"], "tss": [5, 9, 2, 7]})


def writer(folder):
    return Writer(folder, 4, {"values": ((3,), np.uint16)}, {"seed": 1})


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk_keeps_the_rows_that_are_done(tmp_path, monkeypatch):
    first = writer(tmp_path)
    first.write(0, values=VALUES[:2])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        message = refusal(lambda: first.write(2, values=VALUES[2:]), OSError)
    assert "cannot be written (No space left on device)" in message
    assert "goes on from the rows that are done" in message
    second = writer(tmp_path)
    assert (first.done, second.done) == (2, 2)
    second.write(2, values=VALUES[2:])
    assert np.array_equal(second.finish().arrays["values"], VALUES)


def test_full_disk_at_the_last_step_leaves_no_store_that_looks_whole(tmp_path, monkeypatch):
    whole = writer(tmp_path)
    whole.write(0, values=VALUES)
    with monkeypatch.context() as patch:
        patch.setattr(download, "_to_disk", full)
        assert "No space left" in refusal(lambda: whole.finish(loci=LOCI), OSError)
    assert "not finished" in refusal(lambda: open_store(tmp_path))
    store = writer(tmp_path).finish(loci=LOCI)
    assert store.tables["loci"].equals(LOCI)


def test_a_file_where_the_folder_should_be(tmp_path):
    path = tmp_path / "store"
    path.write_text("mine")
    assert "is a file; wanted an empty folder" in refusal(lambda: writer(path), FileExistsError)
    assert path.read_text() == "mine"


def test_an_array_that_was_cut_short_is_made_anew(tmp_path):
    writer(tmp_path).write(0, values=VALUES[:2])
    part = tmp_path / "values.npy.part"
    part.write_bytes(part.read_bytes()[:-6])
    assert writer(tmp_path).done == 0


@pytest.mark.parametrize("cut", [0, 30], ids=["empty", "half"])
def test_a_table_that_was_cut_short(tmp_path, cut):
    store = writer(tmp_path)
    store.write(0, values=VALUES)
    store.finish(loci=LOCI)
    table = tmp_path / "loci.tsv"
    table.write_bytes(table.read_bytes()[:cut])
    message = refusal(lambda: open_store(tmp_path))
    assert "loci.tsv" in message
    assert "about.json says 4 rows long: delete the folder and make it again" in message


@pytest.mark.parametrize("text", ["[]", "{}", json.dumps({"name": "promoter"})])
def test_an_about_file_of_something_else(tmp_path, text):
    (tmp_path / "about.json").write_text(text)
    assert "is not the file of a store" in refusal(lambda: open_store(tmp_path))

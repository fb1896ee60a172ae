"""Arrays on disk: whole or unfinished, never something else."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from support import refusal
from tssbook.data.store import Writer, is_complete, open_store

ARRAYS = {"sequences": ((5,), "uint8"), "tracks": ((2, 5), "uint16")}
MADE_FROM = {"seed": 1, "files": ["a.bed"]}
LOCI = pd.DataFrame({"gene": ["a", "b", "c", "d"], "rate": [0.1, 1 / 3, 2.0, -1.5]})
SEQUENCES = np.arange(20, dtype=np.uint8).reshape(4, 5)
TRACKS = np.arange(40, dtype=np.uint16).reshape(4, 2, 5)


def writer(folder, made_from=MADE_FROM, n_rows=4) -> Writer:
    return Writer(folder, n_rows, ARRAYS, made_from)


def write(store: Writer, start: int, end: int) -> None:
    store.write(start, sequences=SEQUENCES[start:end], tracks=TRACKS[start:end])


def finished(folder):
    store = writer(folder)
    write(store, 0, 3)
    write(store, 3, 4)
    return store.finish(loci=LOCI)


def test_what_was_written_comes_back(tmp_path):
    folder = tmp_path / "new" / "store"
    finished(folder)
    store = open_store(folder)
    assert np.array_equal(store.arrays["sequences"], SEQUENCES)
    assert np.array_equal(store.arrays["tracks"], TRACKS)
    assert store.arrays["tracks"].dtype == np.uint16
    pd.testing.assert_frame_equal(store.tables["loci"], LOCI, check_exact=True)
    assert store.made_from == MADE_FROM
    assert sorted(path.name for path in folder.iterdir()) == [
        "about.json", "loci.tsv", "sequences.npy", "tracks.npy",
    ]  # fmt: skip


def test_arrays_stay_on_disk_and_cannot_be_changed(tmp_path):
    array = finished(tmp_path).arrays["sequences"]
    assert isinstance(array, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_arrays_are_plain_numpy_files(tmp_path):
    finished(tmp_path)
    assert np.array_equal(np.load(tmp_path / "tracks.npy"), TRACKS)


def test_interrupted_writing_goes_on(tmp_path):
    first = writer(tmp_path)
    write(first, 0, 2)
    # A third row half written when the power failed: it is not counted, and is overwritten.
    torn = np.lib.format.open_memmap(tmp_path / "sequences.npy.part", mode="r+")
    torn[2] = 99
    torn.flush()
    second = writer(tmp_path)
    assert (first.done, second.done) == (2, 2)
    write(second, 2, 4)
    assert np.array_equal(second.finish().arrays["sequences"], SEQUENCES)


@pytest.mark.parametrize("name", ["sequences", "tracks"])
def test_interrupted_while_names_are_given(tmp_path, name):
    write(writer(tmp_path), 0, 4)
    (tmp_path / f"{name}.npy.part").rename(tmp_path / f"{name}.npy")
    again = writer(tmp_path)
    assert again.done == 4
    store = again.finish(loci=LOCI)
    assert np.array_equal(store.arrays["sequences"], SEQUENCES)
    assert np.array_equal(store.arrays["tracks"], TRACKS)


def test_half_a_store_of_something_else_is_begun_anew(tmp_path):
    write(writer(tmp_path), 0, 2)
    other = writer(tmp_path, made_from={"seed": 2})
    assert other.done == 0
    write(other, 0, 4)
    assert other.finish().made_from == {"seed": 2}


def test_half_a_store_without_its_arrays_is_begun_anew(tmp_path):
    write(writer(tmp_path), 0, 2)
    (tmp_path / "tracks.npy.part").unlink()
    assert writer(tmp_path).done == 0


def test_a_part_file_cut_short_before_any_row_is_made_anew(tmp_path):
    writer(tmp_path)
    (tmp_path / "tracks.npy.part").write_bytes(b"\x93NUMPY")
    store = writer(tmp_path)
    write(store, 0, 4)
    assert np.array_equal(store.finish().arrays["tracks"], TRACKS)


def test_is_complete(tmp_path):
    assert not is_complete(tmp_path, MADE_FROM)
    write(writer(tmp_path), 0, 4)
    assert not is_complete(tmp_path, MADE_FROM)
    writer(tmp_path).finish()
    assert is_complete(tmp_path, MADE_FROM)
    assert not is_complete(tmp_path, {"seed": 2})


# --- refusals ---------------------------------------------------------------------------------


def test_unfinished_store_is_not_opened(tmp_path):
    write(writer(tmp_path), 0, 3)
    assert "not finished: 3 rows of 4" in refusal(lambda: open_store(tmp_path))


def test_folder_without_a_store_is_not_opened(tmp_path):
    assert "holds no about.json" in refusal(lambda: open_store(tmp_path), FileNotFoundError)


def test_nothing_is_overwritten(tmp_path):
    finished(tmp_path)
    assert "holds a finished store" in refusal(lambda: writer(tmp_path), FileExistsError)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    assert "'thesis.txt'" in refusal(lambda: writer(other), FileExistsError)
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("start", "parts", "words"),
    [
        (1, {"sequences": SEQUENCES[1:2], "tracks": TRACKS[1:2]}, "rows from 0 on, of 4"),
        (0, {"sequences": SEQUENCES[:1]}, "for each of sequences, tracks"),
        (0, {"sequences": SEQUENCES[:1], "tracks": TRACKS[:2]}, "the same number"),
        (0, {"sequences": SEQUENCES, "tracks": TRACKS.astype(int)}, "tracks is int64"),
        (0, {"sequences": SEQUENCES[:, :3], "tracks": TRACKS}, "rows of shape (5,)"),
        (0, {"sequences": SEQUENCES[[0] * 5], "tracks": TRACKS[[0] * 5]}, "0 to 5"),
    ],
    ids=["order", "missing", "lengths", "type", "shape", "too many"],
)
def test_parts_that_do_not_fit(tmp_path, start, parts, words):
    store = writer(tmp_path)
    assert words in refusal(lambda: store.write(start, **parts))
    assert store.done == 0


def test_finish_wants_all_rows(tmp_path):
    store = writer(tmp_path)
    write(store, 0, 3)
    assert "3 rows of 4" in refusal(store.finish)


def test_damaged_stores(tmp_path):
    finished(tmp_path)
    about = tmp_path / "about.json"
    np.save(tmp_path / "tracks.npy", TRACKS[:3])
    assert "about.json says uint16 (4, 2, 5)" in refusal(lambda: open_store(tmp_path))
    np.save(tmp_path / "tracks.npy", TRACKS)
    (tmp_path / "tracks.npy").write_bytes((tmp_path / "tracks.npy").read_bytes()[:150])
    assert "tracks.npy" in refusal(lambda: open_store(tmp_path))
    about.write_text(json.dumps(json.loads(about.read_text()) | {"format": 99}))
    assert "format 99" in refusal(lambda: open_store(tmp_path))
    about.write_text("{")
    assert "is not JSON" in refusal(lambda: open_store(tmp_path))

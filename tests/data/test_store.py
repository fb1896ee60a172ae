"""Arrays on disk: whole or unfinished, never something else."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from support import refusal
from tssbook.data.store import Writer, is_complete, open_store

ARRAYS = {"sequences": ((5,), "uint8"), "tracks": ((2, 5), "uint16")}
MADE_FROM = {"seed": 1, "files": ("a.bed",)}
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
    assert store.made_from == {"seed": 1, "files": ["a.bed"]}
    assert sorted(path.name for path in folder.iterdir()) == [
        "about.json", "loci.tsv", "sequences.npy", "tracks.npy",
    ]  # fmt: skip


def test_arrays_stay_on_disk_and_cannot_be_changed(tmp_path):
    array = finished(tmp_path).arrays["sequences"]
    assert isinstance(array, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


@pytest.mark.parametrize("kind", ["bool", "float32", "int64"])
def test_arrays_are_the_files_that_numpy_writes(tmp_path, kind):
    values = (np.arange(24).reshape(4, 3, 2) % 2).astype(kind)
    store = Writer(tmp_path, 4, {"values": ((3, 2), kind)}, {})
    store.write(0, values=values[::2].repeat(2, 0)[:1])
    store.write(1, values=np.asfortranarray(values[1:]))
    store.finish()
    np.save(tmp_path / "wanted.npy", values)
    assert (tmp_path / "values.npy").read_bytes() == (tmp_path / "wanted.npy").read_bytes()


@pytest.mark.parametrize("torn", [0, 1, 13, 20, 25])
def test_interrupted_writing_goes_on_bit_by_bit(tmp_path, torn):
    """The process ended while it wrote: rows of one array, and a part of a row of the other."""
    finished(tmp_path / "whole")
    write(writer(tmp_path / "made"), 0, 2)
    for name, size in (("sequences", 7), ("tracks", torn)):
        with (tmp_path / "made" / f"{name}.npy").open("ab") as file:
            file.write(b"\xff" * size)
    second = writer(tmp_path / "made")
    assert second.done == 2 + (torn >= 20)
    if second.done == 2:
        write(second, 2, 4)
        second.finish(loci=LOCI)
        for name in ("sequences.npy", "tracks.npy", "loci.tsv", "about.json"):
            made, whole = ((tmp_path / folder / name).read_bytes() for folder in ("made", "whole"))
            assert made == whole


def test_interrupted_before_the_end(tmp_path):
    write(writer(tmp_path), 0, 4)
    again = writer(tmp_path)
    assert again.done == 4
    assert np.array_equal(again.finish().arrays["tracks"], TRACKS)


@pytest.mark.parametrize("left", [None, b"", b"\x93NUMPY"])
def test_half_a_store_without_one_of_its_arrays_is_begun_anew(tmp_path, left):
    write(writer(tmp_path), 0, 2)
    (tmp_path / "tracks.npy").unlink()
    if left is not None:
        (tmp_path / "tracks.npy").write_bytes(left)
    store = writer(tmp_path)
    assert store.done == 0
    write(store, 0, 4)
    assert np.array_equal(store.finish().arrays["tracks"], TRACKS)


def test_half_a_store_of_something_else_is_begun_anew(tmp_path):
    write(writer(tmp_path), 0, 2)
    with Writer(tmp_path, 4, {"sequences": ARRAYS["sequences"]}, MADE_FROM) as other:
        assert other.done == 0
        assert not (tmp_path / "tracks.npy").exists()
    other = writer(tmp_path, made_from={"seed": 2})
    assert other.done == 0
    write(other, 0, 4)
    assert other.finish().made_from == {"seed": 2}


def test_is_complete(tmp_path):
    assert not is_complete(tmp_path, MADE_FROM)
    write(writer(tmp_path), 0, 4)
    assert not is_complete(tmp_path, MADE_FROM)
    writer(tmp_path).finish()
    assert is_complete(tmp_path, MADE_FROM)
    assert not is_complete(tmp_path, {"seed": 2})


# --- refusals ---------------------------------------------------------------------------------


def test_nothing_is_overwritten(tmp_path):
    finished(tmp_path)
    assert "finished store" in refusal(lambda: writer(tmp_path), FileExistsError)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    assert str(other) in refusal(lambda: writer(other), FileExistsError)
    assert str(other) in refusal(lambda: writer(other / "thesis.txt"), FileExistsError)
    assert [path.read_text() for path in other.iterdir()] == ["years of work"]


@pytest.mark.parametrize(
    ("start", "parts", "words"),
    [
        (1, {"sequences": SEQUENCES[1:2], "tracks": TRACKS[1:2]}, ["1 to 2", "from 0 on, of 4"]),
        (0, {"sequences": SEQUENCES[[0] * 5], "tracks": TRACKS[[0] * 5]}, ["0 to 5", "of 4"]),
        (0, {"sequences": SEQUENCES[:1]}, ["tracks"]),
        (0, {}, ["sequences", "tracks"]),
        (0, {"sequences": SEQUENCES[:1], "tracks": TRACKS[:2]}, ["(1, 5)", "(2, 5)"]),
        (0, {"sequences": SEQUENCES, "tracks": TRACKS.astype(int)}, ["int64", "uint16"]),
        (0, {"sequences": SEQUENCES, "tracks": TRACKS.astype(">u2")}, [">u2", "uint16"]),
        (0, {"sequences": SEQUENCES[:, :3], "tracks": TRACKS}, ["(4, 3)", "(4, 5)"]),
    ],
    ids=["order", "too many", "missing", "nothing", "lengths", "type", "byte order", "shape"],
)
def test_parts_that_do_not_fit(tmp_path, start, parts, words):
    with writer(tmp_path) as store:
        message = refusal(lambda: store.write(start, **parts))
    assert all(word in message for word in words)
    assert store.done == 0
    assert writer(tmp_path).done == 0


def test_finish_wants_all_rows(tmp_path):
    store = writer(tmp_path)
    write(store, 0, 3)
    assert "3 rows of 4" in refusal(store.finish)
    assert "not finished" in refusal(lambda: open_store(tmp_path))


def test_folder_without_a_store_is_not_opened(tmp_path):
    assert str(tmp_path) in refusal(lambda: open_store(tmp_path), FileNotFoundError)


@pytest.mark.parametrize("name", ["tracks.npy", "loci.tsv"])
@pytest.mark.parametrize("left", [0, 30, None])
def test_a_file_that_was_cut_short_or_lost_is_noticed(tmp_path, name, left):
    finished(tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    if left is not None:
        (tmp_path / name).write_bytes(whole[:left])
    message = refusal(lambda: open_store(tmp_path))
    assert str(tmp_path / name) in message
    assert ("is missing" if left is None else "was cut, changed or damaged") in message


def test_every_flipped_byte_is_noticed(tmp_path):
    finished(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("tracks.npy", "loci.tsv"):
        path = tmp_path / name
        whole = path.read_bytes()
        for at, mask in rng.integers((0, 1), (len(whole), 256), (40, 2)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
            assert f"{path} was cut, changed or damaged" in refusal(lambda: open_store(tmp_path))
        path.write_bytes(whole)
    open_store(tmp_path)


def test_a_description_that_was_changed_is_noticed(tmp_path):
    finished(tmp_path)
    about = tmp_path / "about.json"
    whole = about.read_text()
    assert whole.count('"seed": 1') == 1
    about.write_text(whole.replace('"seed": 1', '"seed": 3'))
    for call in (lambda: open_store(tmp_path), lambda: writer(tmp_path)):
        assert f"{about} was changed or damaged" in refusal(call)
    about.write_text(whole.replace('"complete"', '"c0mplete"'))
    assert f"{about} has complete = 'None'" in refusal(lambda: open_store(tmp_path))
    about.write_text(json.dumps({k: v for k, v in json.loads(whole).items() if k != "checksum"}))
    assert open_store(tmp_path).made_from["seed"] == 1  # as the first stores of this format


@pytest.mark.parametrize("part", ["arrays", "files"])
@pytest.mark.parametrize("name", ["../precious", "/etc/passwd", "sub/tracks"])
def test_names_from_a_file_are_never_paths(tmp_path, part, name):
    """A foreign about.json made the writer delete files outside its folder."""
    folder = tmp_path / "store"
    finished(folder)
    (tmp_path / "precious.npy").write_bytes(b"kept")
    about = json.loads((folder / "about.json").read_text()) | {"complete": False}
    about[part] |= {name: about[part][next(iter(about[part]))]}
    (folder / "about.json").write_text(json.dumps(about))
    for call in (lambda: writer(folder), lambda: open_store(folder)):
        assert f"names a file {name!r}; wanted plain names" in refusal(call)
    assert (tmp_path / "precious.npy").read_bytes() == b"kept"


def test_a_store_of_another_version(tmp_path):
    finished(tmp_path)
    about = tmp_path / "about.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"format": 99}))
    assert "format 99" in refusal(lambda: open_store(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]", "{}", json.dumps({"name": "promoter"})])
def test_an_about_file_of_something_else(tmp_path, text):
    (tmp_path / "about.json").write_text(text)
    assert str(tmp_path / "about.json") in refusal(lambda: open_store(tmp_path))
    assert str(tmp_path / "about.json") in refusal(lambda: writer(tmp_path))

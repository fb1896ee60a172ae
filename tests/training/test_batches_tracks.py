"""TrackBatches: sequences and tracks from arrays in memory or on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support import refusal
from tssbook.sequence import one_hot_codes
from tssbook.training.batches import TrackBatches

N, T, L = 23, 2, 40


@pytest.fixture
def arrays() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.integers(0, 5, (N, L)).astype(np.uint8), rng.random((N, T, L), np.float32)


def test_batches_in_order(arrays):
    codes, tracks = arrays
    batches = TrackBatches(codes, tracks, batch_size=10)
    found = list(batches)
    assert [len(x) for x, _ in found] == [10, 10, 3]
    assert (len(batches), batches.n_rows, batches.batch_size) == (3, N, 10)
    x, y = (torch.cat(part) for part in zip(*found, strict=True))
    assert torch.equal(x, one_hot_codes(codes).float())
    assert np.array_equal(y, tracks)
    assert x.dtype == y.dtype == torch.float32


def test_rows_and_the_middle(arrays):
    codes, tracks = arrays
    ((x, y),) = TrackBatches(codes, tracks, batch_size=10, rows=[7, 2], length=6)
    assert torch.equal(x, one_hot_codes(codes[[7, 2], 17:23]).float())
    assert np.array_equal(y, tracks[[7, 2], :, 17:23])


def test_reverse_complement_flips_sequence_and_both_axes(arrays):
    codes, tracks = arrays
    options = {"batch_size": 4, "seed": 3}
    plain = TrackBatches(codes, tracks, **options)
    flipped = TrackBatches(codes, tracks, **options, reverse_complement=True)
    turned = 0
    for epoch in range(20):
        plain.set_epoch(epoch)
        flipped.set_epoch(epoch)
        for (x, y), (u, v) in zip(plain, flipped, strict=True):
            for a, b, c, d in zip(x, y, u, v, strict=True):
                same = torch.equal(a, c) and torch.equal(b, d)
                other = torch.equal(a.flip(0, 1), c) and torch.equal(b.flip(0, 1), d)
                assert same != other
                turned += other
    # 460 coins: half, give or take four standard deviations
    assert abs(turned - 230) < 43


def test_an_epoch_depends_on_seed_and_epoch_alone(arrays):
    def epoch_of(batches, epoch):
        batches.set_epoch(epoch)
        return [torch.cat(part) for part in zip(*batches, strict=True)]

    def made(seed):
        return TrackBatches(*arrays, batch_size=4, seed=seed, reverse_complement=True)

    first, again = made(5), made(5)
    epochs = [epoch_of(first, epoch) for epoch in range(3)]
    torch.manual_seed(99)
    assert all(map(torch.equal, epoch_of(again, 2), epochs[2]))
    assert not torch.equal(epochs[0][0], epochs[1][0])
    assert not torch.equal(epoch_of(made(6), 0)[0], epochs[0][0])
    assert sorted(y.sum().item() for y in epochs[1][1]) == pytest.approx(
        sorted(arrays[1].sum((1, 2)).tolist()), rel=1e-5
    )


def test_integers_become_floats(arrays):
    tracks = (arrays[1] * 9).astype(np.uint16)
    ((_, y),) = TrackBatches(arrays[0], tracks, batch_size=N)
    assert y.dtype == torch.float32
    assert np.array_equal(y, tracks)


def mapped(folder: Path, *arrays: np.ndarray) -> list[np.ndarray]:
    """The same arrays, on disk."""
    for number, array in enumerate(arrays):
        np.save(folder / f"{number}.npy", array)
    return [np.load(folder / f"{number}.npy", mmap_mode="r") for number in range(len(arrays))]


def test_batches_from_disk(arrays, tmp_path):
    from_disk = TrackBatches(*mapped(tmp_path, *arrays), batch_size=4, seed=1)
    in_memory = TrackBatches(*arrays, batch_size=4, seed=1)
    for a, b in zip(from_disk, in_memory, strict=True):
        assert all(map(torch.equal, a, b))


def test_batches_from_a_part_of_what_is_on_disk(arrays, tmp_path):
    """A slice of a mapped array says that it begins where the whole does."""
    codes, tracks = (array[4:9] for array in mapped(tmp_path, *arrays))
    ((x, y),) = TrackBatches(codes, tracks, batch_size=5)
    assert torch.equal(x, one_hot_codes(np.array(codes)).float())
    assert np.array_equal(y, tracks)


def test_rows_that_were_read_are_not_kept_in_memory(tmp_path):
    """1,000 loci are 190 MB on disk; an epoch over them holds a small part of that."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        pytest.skip("memory in use is read from /proc")
    path = tmp_path / "tracks.npy"
    array = np.lib.format.open_memmap(path, "w+", np.float32, (1000, 10, 4650))
    array[:] = 1
    array.flush()
    del array
    tracks = np.load(path, mmap_mode="r")
    codes = np.zeros((1000, 4650), np.uint8)
    batches = TrackBatches(codes, tracks, batch_size=16, seed=0, reverse_complement=True)

    def shared() -> int:
        return int(pages.read_text().split()[2]) * 4096

    start = shared()
    most = max(shared() - start for _ in batches)
    assert most < tracks.nbytes / 4


def test_a_transform_sees_the_flipped_batch(arrays):
    to_log = lambda generator, x, y: (x, torch.log10(1 + y))  # noqa: E731
    options = {"batch_size": 4, "seed": 3, "reverse_complement": True}
    plain = TrackBatches(*arrays, **options)
    for (x, y), (u, v) in zip(
        plain, TrackBatches(*arrays, transform=to_log, **options), strict=True
    ):
        assert torch.equal(x, u)
        assert torch.equal(torch.log10(1 + y), v)


def test_the_random_streams_stay_what_they_were():
    """The shipped checkpoints can be made again only as long as these stay."""
    tracks = np.arange(8.0)[:, None, None] * 10 + np.arange(2.0)[:, None]  # 10 row + track
    codes = np.zeros((8, 1), np.uint8)
    batches = TrackBatches(codes, tracks, batch_size=3, seed=17, reverse_complement=True)
    first = torch.cat([y[:, 0, 0] for _, y in batches]).tolist()  # an odd one is flipped
    assert first == [61.0, 30.0, 11.0, 0.0, 71.0, 50.0, 40.0, 21.0]


CODES, TRACKS = np.zeros((3, 8), np.uint8), np.zeros((3, 2, 8), np.float32)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"codes": CODES[:, None]}, "codes are uint8 (3, 1, 8)"),
        ({"codes": CODES.astype(int)}, "codes are int64 (3, 8)"),
        ({"tracks": TRACKS.swapaxes(1, 2)}, "tracks (3, 8, 2)"),
        ({"tracks": TRACKS[:, 0]}, "tracks (3, 8)"),
        ({"tracks": TRACKS[:2]}, "[3, 2] rows"),
        ({"length": 5}, "length is 5; wanted as much cut from both ends of 8 bases: an even"),
        ({"length": 10}, "length is 10"),
        ({"length": 0}, "length is 0"),
        ({"reverse_complement": True}, "seed is None"),
        ({"rows": [0, 3]}, "from 0 to 3"),
    ],
)
def test_arrays_that_do_not_go_together(change, found):
    given = {"codes": CODES, "tracks": TRACKS, "batch_size": 2} | change
    message = refusal(lambda: TrackBatches(given.pop("codes"), given.pop("tracks"), **given))
    assert found in message
    assert "wanted" in message


def test_what_is_no_array():
    message = refusal(lambda: TrackBatches([[0]], [[[0]]], batch_size=1), TypeError)
    assert "TrackBatches got list; wanted arrays" in message


def test_about_tells_settings_apart():
    def about(tracks=TRACKS, **options):
        return TrackBatches(CODES, tracks, **{"batch_size": 2, "seed": 1} | options).about

    assert about(TRACKS.copy()) == about()
    for options in ({"length": 6}, {"reverse_complement": True}, {"tracks": TRACKS + 1}):
        ((name, _),) = set(about(**options).items()) - set(about().items())
        assert name == ("content" if "tracks" in options else next(iter(options)))


def test_about_is_the_same_for_arrays_on_disk(tmp_path):
    np.save(tmp_path / "tracks.npy", TRACKS)
    on_disk = np.load(tmp_path / "tracks.npy", mmap_mode="r")
    one, other = (TrackBatches(CODES, tracks, batch_size=2) for tracks in (TRACKS, on_disk))
    assert one.about == other.about


@pytest.mark.parametrize("value", [-2.0, float("nan"), float("inf")])
def test_tracks_that_are_no_reads_are_refused_by_row(value):
    tracks = np.ones((6, 2, 8), dtype=np.float32)
    tracks[4, 1, 3] = value
    batches = TrackBatches(np.zeros((6, 8), dtype=np.uint8), tracks, batch_size=2, rows=[0, 4])
    assert f"The tracks hold {value:g} at (4, 1, 3)" in refusal(lambda: list(batches))
    middle = TrackBatches(np.zeros((6, 8), np.uint8), tracks, batch_size=2, length=4)
    assert f"The tracks hold {value:g} at (4, 1, 3)" in refusal(lambda: list(middle))
    assert len(list(TrackBatches(np.zeros((6, 8), np.uint8), tracks, batch_size=2, rows=[0]))) == 1

"""WindowBatches: peaks and background, jittered, turned, and cut into batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tssbook.data.peaks import LENGTH, OUTPUT, Windows
from tssbook.sequence import decode, one_hot, one_hot_codes
from tssbook.training.batches import WindowBatches

W = 2514


def windows(n_peaks: int = 14, n_background: int = 6, width: int = W) -> Windows:
    n = n_peaks + n_background
    rng = np.random.default_rng(0)
    reads = np.tile(np.arange(width), (n, 2, 1)) + 10_000 * np.arange(2)[:, None]
    return Windows(
        rng.integers(0, 4, (n, width)).astype(np.uint8),
        reads,  # each read count says its position and its strand
        np.arange(width)[None] % 2 == np.zeros((n, 1)),
        np.arange(n) < n_peaks,
    )


def all_of(batches: WindowBatches) -> list[torch.Tensor]:
    return [torch.cat(part) for part in zip(*batches, strict=True)]


def test_without_a_seed_the_middle_in_order():
    data = windows()
    x, counts, mappable = all_of(WindowBatches(data, batch_size=6))
    assert x.shape == (20, 4, LENGTH)
    assert counts.shape == (20, 2, OUTPUT)
    assert x.dtype == counts.dtype == torch.float32
    assert mappable.dtype == torch.bool
    assert mappable.shape == (20, OUTPUT)
    first = "".join("ACGT"[c] for c in data.codes[3, 200:2314])
    assert decode(x)[3] == first
    assert counts[0, 0, 0] == 757
    assert counts[0, 0, -1] == 1756
    assert counts[0, 1, 0] == 10_757
    assert not mappable[0, 0]
    assert mappable[0, 1]


def test_an_epoch_has_every_peak_and_a_seventh_of_background():
    data = windows()
    batches = WindowBatches(data, batch_size=4, seed=1, jitter=0)
    x, _, _ = all_of(batches)
    assert batches.n_rows == 16
    assert len(x) == 16
    assert len(batches) == 4
    letters = ["".join("ACGT"[c] for c in row[200:2314]) for row in data.codes]
    turned = ["".join("TGCA"[c] for c in row[200:2314][::-1]) for row in data.codes]
    found = [letters.index(s) if s in letters else turned.index(s) for s in decode(x)]
    assert set(range(14)) < set(found)
    assert len(set(found)) == 16


def test_jitter_moves_reads_mask_and_sequence_together():
    data = windows()
    x, counts, mappable = all_of(WindowBatches(data, batch_size=5, seed=2))
    starts = set()
    for i in range(len(x)):
        turned = bool(counts[i, 0, 0] > counts[i, 0, 1])
        if turned:
            x[i], counts[i] = x[i].flip(0, 1), counts[i].flip(0, 1)
            mappable[i] = mappable[i].flip(0)
        start = int(counts[i, 0, 0])  # of the output, in the window
        starts.add(start)
        assert torch.equal(counts[i, 0], torch.arange(start, start + OUTPUT).float())
        assert torch.equal(counts[i, 1], counts[i, 0] + 10_000)
        assert torch.equal(mappable[i], torch.arange(start, start + OUTPUT) % 2 == 0)
        inside = "".join("ACGT"[c] for c in data.codes[0, start - 557 : start + OUTPUT + 557])
        same = [
            decode(x[i]) == "".join("ACGT"[c] for c in row[start - 557 : start + OUTPUT + 557])
            for row in data.codes
        ]
        assert len(inside) == LENGTH
        assert sum(same) == 1
    assert len(starts) > 5
    assert min(starts) >= 557
    assert max(starts) <= 957


def test_epochs_differ_and_come_again():
    batches = WindowBatches(windows(), batch_size=20, seed=3)
    first = all_of(batches)
    batches.set_epoch(1)
    second = all_of(batches)
    batches.set_epoch(0)
    assert not torch.equal(first[1], second[1])
    assert all(torch.equal(a, b) for a, b in zip(first, all_of(batches), strict=True))


@pytest.mark.parametrize("seed", [None, 4])
def test_some_rows(seed):
    data = windows()
    rows = [3, 15, 0, 7, 16]  # three peaks, too few for a window of background
    batches = WindowBatches(data, batch_size=2, rows=rows, seed=seed, jitter=0)
    chosen = rows if seed is None else [0, 3, 7]
    order = batches.order(0).tolist()
    assert sorted(order) == sorted(chosen)
    assert batches.n_rows == len(chosen)
    letters = [decode(one_hot_codes(data.codes[i : i + 1, 200:2314]))[0] for i in order]
    for found, wanted in zip(decode(all_of(batches)[0]), letters, strict=True):
        assert found in (wanted, decode(one_hot(wanted).flip(0, 1)))


def test_other_lengths():
    data = windows(width=60)
    x, counts, mappable = all_of(
        WindowBatches(data, batch_size=7, length=20, output=6, seed=0, jitter=20)
    )
    assert (x.shape, counts.shape, mappable.shape) == ((16, 4, 20), (16, 2, 6), (16, 6))
    x, counts, _ = all_of(WindowBatches(data, batch_size=7, length=20, output=6))
    assert torch.equal(x, one_hot_codes(data.codes[:, 20:40]).float())
    assert counts[0, 0].tolist() == [27, 28, 29, 30, 31, 32]


def test_the_random_streams_stay_what_they_were():
    """The shipped checkpoints can be made again only as long as these stay."""
    batches = WindowBatches(windows(), batch_size=20, seed=17)
    assert batches.order(0).tolist() == [5, 13, 17, 9, 0, 7, 1, 2, 4, 6, 11, 3, 12, 10, 14, 8]
    ((_, counts, _),) = batches
    assert counts[:5, 0, 0].tolist() == [765.0, 915.0, 641.0, 924.0, 918.0]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"codes": np.zeros((20, W))}, r"codes are float64 \(20, 2514\)"),
        ({"codes": np.zeros(20, np.uint8)}, r"codes are uint8 \(20,\)"),
        ({"reads": np.zeros((20, W))}, r"reads float64 \(20, 2514\)"),
        ({"mappable": np.ones((20, OUTPUT), bool)}, r"mappable bool \(20, 1000\)"),
        ({"mappable": np.ones((20, W))}, r"mappable float64 \(20, 2514\)"),
        ({"peak": np.ones(20)}, r"peak float64 \(20,\)"),
        ({"peak": np.ones((20, 1), bool)}, r"peak bool \(20, 1\)"),
        ({"peak": np.zeros(20, bool)}, "No window is a peak"),
        ({"peak": np.ones(3, bool)}, r"\[20, 20, 20, 3\] rows"),
    ],
)
def test_arrays_that_do_not_go_together(change, found):
    with pytest.raises(ValueError, match=f"{found}.*; wanted"):
        WindowBatches(windows()._replace(**change), batch_size=4)


def test_no_peak_among_the_rows():
    with pytest.raises(ValueError, match="No window is a peak"):
        WindowBatches(windows(), batch_size=4, rows=[14, 15])


def test_windows_too_short():
    with pytest.raises(ValueError, match=r"2114 bp.*2514 or more"):
        WindowBatches(windows(width=2114), batch_size=4, seed=1)
    assert WindowBatches(windows(width=2114), batch_size=4).n_rows == 20


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"jitter": -1}, "jitter is -1"),
        ({"length": 2113}, "length 2113"),
        ({"output": 999}, "output 999"),
        ({"output": 0}, "output 0"),
        ({"length": 500}, "length 500 and output 1000"),
    ],
)
def test_numbers_out_of_range(wrong, found):
    with pytest.raises(ValueError, match=f"{found}.*; wanted"):
        WindowBatches(windows(), **({"batch_size": 2} | wrong))


def test_about_tells_settings_apart():
    def about(**options):
        return WindowBatches(windows(), **{"batch_size": 4, "seed": 1} | options).about

    assert about() == about()
    for options in ({"length": 2000}, {"output": 500}, {"jitter": 100}):
        ((name, _),) = set(about(**options).items()) - set(about().items())
        assert name == next(iter(options))

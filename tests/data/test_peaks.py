"""Windows and their batches."""

from __future__ import annotations

import numpy as np
import pyBigWig
import pytest
import torch

from tssbook.data.peaks import LENGTH, OUTPUT, Windows
from tssbook.data.peaks import read_peaks as read_windows
from tssbook.sequence import decode
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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"codes": np.zeros((20, W))}, "wanted uint8"),
        ({"reads": np.zeros((20, W))}, "the \\+ strand first"),
        ({"mappable": np.ones((20, OUTPUT), bool)}, "mask is bool \\(20, 1000\\)"),
        ({"mappable": np.ones((20, W))}, "mask is float64"),
        ({"peak": np.zeros(20, bool)}, "No window is a peak"),
        ({"peak": np.ones(3, bool)}, "one value for each window"),
    ],
)
def test_arrays_that_do_not_go_together(change, said):
    with pytest.raises(ValueError, match=said):
        WindowBatches(windows()._replace(**change), batch_size=4)


def test_windows_too_short():
    with pytest.raises(ValueError, match="2514 or more"):
        WindowBatches(windows(width=2114), batch_size=4, seed=1)
    assert WindowBatches(windows(width=2114), batch_size=4).n_rows == 20


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"jitter": -1}])
def test_numbers_out_of_range(wrong):
    with pytest.raises(ValueError, match="wanted 1 or more"):
        WindowBatches(windows(), **({"batch_size": 2} | wrong))


# --- from files -----------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """A chromosome of 9,000 bp, both strands' reads, mappability, peaks and background."""
    letters = "".join(np.random.default_rng(1).choice(list("ACGT"), 9000))
    (tmp_path / "genome.fa").write_text(f">chr1\n{letters}\n")
    tracks = {"plus.bw": np.arange(9000.0), "minus.bw": -np.arange(9000.0) - 1}
    tracks["k36.bw"] = np.where(np.arange(9000) % 10 == 3, 0.5, 1.0)
    for name, values in tracks.items():
        with pyBigWig.open(str(tmp_path / name), "w") as file:
            file.addHeader([("chr1", 9000)])
            file.addEntries("chr1", 0, values=values.tolist(), span=1, step=1)
    (tmp_path / "peaks.bed").write_text("chr1\t3000\t3101\nchr1\t500\t600\n")
    (tmp_path / "background.bed").write_text("chr1\t6000\t6001\n")
    return tmp_path, letters


def test_read_windows_around_the_middles(files):
    folder, letters = files
    bigwigs = [folder / "plus.bw", folder / "minus.bw"]
    found = read_windows(
        folder / "genome.fa", bigwigs, folder / "peaks.bed", folder / "background.bed",
        mappability=folder / "k36.bw",
    )  # fmt: skip
    start = 3050 - W // 2
    assert found.peak.tolist() == [True, True, False]
    assert "".join("ACGT"[c] for c in found.codes[0]) == letters[start : start + W]
    np.testing.assert_array_equal(found.reads[0, 0], np.arange(start, start + W))
    np.testing.assert_array_equal(found.reads[0, 1], np.arange(start, start + W) + 1)
    np.testing.assert_array_equal(found.mappable[0], np.arange(start, start + W) % 10 != 3)
    outside = W // 2 - 550  # the second window begins before the chromosome
    assert (found.codes[1, :outside] == 4).all()
    assert not found.mappable[1, :outside].any()
    x, counts, mask = next(iter(WindowBatches(found, batch_size=3)))
    assert counts[2, 0, 500] == 6000
    assert len(x) == len(mask) == 3


def test_read_windows_without_mappability_masks_nothing_inside(files):
    folder, _ = files
    bigwigs = [folder / "plus.bw", folder / "minus.bw"]
    found = read_windows(folder / "genome.fa", bigwigs, folder / "peaks.bed", jitter=0)
    assert found.codes.shape == (2, LENGTH)
    assert found.mappable[0].all()
    assert found.peak.all()


def test_read_windows_refuses_one_strand_and_another_assembly(files):
    folder, _ = files
    two = [folder / "plus.bw", folder / "minus.bw"]
    with pytest.raises(ValueError, match="1 bigWigs; wanted the"):
        read_windows(folder / "genome.fa", two[:1], folder / "peaks.bed")
    (folder / "other.bed").write_text("chr1\t9000\t9100\n")
    with pytest.raises(ValueError, match="wanted both of one assembly"):
        read_windows(folder / "genome.fa", two, folder / "other.bed")
    (folder / "unknown.bed").write_text("chr2\t90\t100\n")
    with pytest.raises(ValueError, match="chr2"):
        read_windows(folder / "genome.fa", two, folder / "unknown.bed")

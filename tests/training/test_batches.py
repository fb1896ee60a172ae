"""batches: every row once an epoch, in an order that the seed and the epoch decide."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support import refusal
from tssbook.sequence import one_hot
from tssbook.training.batches import Batches, epoch_seed, flip_half


def rows_of(batches: Batches, epoch: int = 0) -> list[int]:
    """The order in which the rows come in an epoch."""
    batches.set_epoch(epoch)
    return torch.cat([numbers for numbers, _ in batches]).tolist()


def numbered(n_rows: int, **options) -> Batches:
    """Rows that carry their number, once as it is and once times 10."""
    numbers = torch.arange(n_rows)
    return Batches(numbers, numbers * 10, **options)


# --- batches --------------------------------------------------------------------------------


def test_without_a_seed_the_order_is_kept():
    batches = numbered(5, batch_size=2)
    assert [(x.tolist(), y.tolist()) for x, y in batches] == [
        ([0, 1], [0, 10]), ([2, 3], [20, 30]), ([4], [40])
    ]  # fmt: skip
    assert rows_of(batches, 7) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "sizes"),
    [(4, 2, [2, 2]), (5, 2, [2, 2, 1]), (3, 10, [3]), (1, 1, [1])],
)
def test_sizes(n_rows, batch_size, sizes):
    batches = numbered(n_rows, batch_size=batch_size, seed=0)
    assert [len(x) for x, _ in batches] == sizes
    assert len(batches) == len(sizes)


@pytest.mark.parametrize("n_rows", [127, 128, 129, 257])  # 64 batches of 2 are gathered at a time
def test_every_row_once_an_epoch_and_with_its_target(n_rows):
    batches = numbered(n_rows, batch_size=2, seed=5)
    for epoch in range(3):
        order = rows_of(batches, epoch)
        assert sorted(order) == list(range(n_rows))
        assert order == batches.order(epoch).tolist()
        assert all(torch.equal(y, 10 * x) for x, y in batches)
    assert len(list(batches)) == len(batches) == (n_rows + 1) // 2


def test_order_depends_on_seed_and_epoch_alone():
    torch.manual_seed(1)
    first = [rows_of(numbered(50, batch_size=7, seed=5), epoch) for epoch in range(4)]
    torch.manual_seed(2)
    batches = numbered(50, batch_size=9, seed=5)
    assert [rows_of(batches, epoch) for epoch in (3, 2, 1, 0)] == first[::-1]
    assert rows_of(numbered(50, batch_size=7, seed=6)) != first[0]
    assert len(set(map(tuple, first))) == 4


def test_iterating_again_without_a_new_epoch_gives_the_same_order():
    batches = numbered(50, batch_size=7, seed=5)
    assert rows_of(batches, 2) == torch.cat([x for x, _ in batches]).tolist()


def test_shuffling_leaves_the_global_random_numbers_alone():
    before = torch.get_rng_state()
    rows_of(numbered(50, batch_size=7, seed=5))
    assert torch.equal(torch.get_rng_state(), before)


def test_rows_may_have_any_shape():
    x = torch.arange(24).reshape(3, 4, 2)
    (only,) = Batches(x, batch_size=5)
    assert torch.equal(only[0], x)


def test_epoch_seeds_all_differ():
    # seed + epoch would give seed 1, epoch 0 and seed 0, epoch 1 the same order.
    pairs = [(seed, epoch) for seed in range(40) for epoch in range(40)]
    seeds = {epoch_seed(*pair) for pair in pairs}
    assert len(seeds) == len(pairs)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert epoch_seed(17, 3) == epoch_seed(17, 3)


def test_epoch_seed_stays_what_it_was():
    # A stored run goes on in another version of the book only as long as these stay.
    assert [epoch_seed(17, 0), epoch_seed(17, 1)] == [
        711416585706541816, 5847078302414191957
    ]  # fmt: skip


def test_large_rows_are_gathered_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(
        "tssbook.training.batches._GATHERED_BYTES", 1
    )  # less than a batch: one batch at a time
    rows = torch.arange(10.0)
    small = [b[0].tolist() for b in Batches(rows, batch_size=3, seed=1)]
    monkeypatch.undo()
    assert small == [b[0].tolist() for b in Batches(rows, batch_size=3, seed=1)]


# --- rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows", [[7, 2, 5], np.array([7, 2, 5], np.uint8), torch.tensor([7, 2, 5])]
)
def test_some_rows_in_the_order_given(rows):
    batches = numbered(9, batch_size=2, rows=rows)
    assert [(x.tolist(), y.tolist()) for x, y in batches] == [([7, 2], [70, 20]), ([5], [50])]
    assert (len(batches), batches.n_rows, batches.order(4).tolist()) == (2, 3, [7, 2, 5])


def test_some_rows_shuffled():
    batches = numbered(99, batch_size=7, rows=range(20, 60), seed=3)
    for epoch in range(3):
        assert sorted(rows_of(batches, epoch)) == list(range(20, 60))
        assert rows_of(batches, epoch) == batches.order(epoch).tolist()
    cut = numbered(99, batch_size=7, seed=3).tensors[0][20:60]  # as if the others were not there
    assert (
        rows_of(batches) == torch.cat([x for (x,) in Batches(cut, batch_size=7, seed=3)]).tolist()
    )


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([True, False, True], r"bool \(3,\)"),
        ([0, 1.5], r"float64 \(2,\)"),
        ([[0, 1]], r"int64 \(1, 2\)"),
        (["0"], "<U1"),
        ([0, -1], "from -1 to 0"),
        ([0, 3], "from 0 to 3"),
        ([], "none"),
    ],
)
def test_rows_that_are_no_row_numbers(rows, found):
    with pytest.raises(ValueError, match=rf"rows are {found}.*; wanted"):
        numbered(3, batch_size=1, rows=rows)


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tensors", "rows"),
    [((torch.zeros(3), torch.zeros(4)), r"\[3, 4\]"), ((torch.zeros(0),), r"\[0\]"), ((), r"\[\]")],
)
def test_parts_that_do_not_fit(tensors, rows):
    with pytest.raises(ValueError, match=rf"{rows} rows; wanted one number above 0"):
        Batches(*tensors, batch_size=2)


def test_what_is_no_tensor():
    with pytest.raises(TypeError, match="Batches got ndarray; wanted tensors"):
        Batches(np.ones(3), batch_size=1)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"batch_size": -1}, {"seed": -1}])
def test_numbers_out_of_range(wrong):
    (value,) = wrong.values()
    message = refusal(lambda: numbered(3, **({"batch_size": 1} | wrong)))
    assert f"is {value}; wanted" in message


# --- transforms -----------------------------------------------------------------------------


def test_flip_half_flips_whole_sequences_and_nothing_else():
    x = one_hot(["GATTACA"] * 1000)
    y = torch.arange(1000)
    flipped, same = flip_half(torch.Generator().manual_seed(0), x, y)
    assert same is y
    is_flipped = (flipped == one_hot("TGTAATC")).all(dim=(1, 2))
    is_kept = (flipped == one_hot("GATTACA")).all(dim=(1, 2))
    assert (is_flipped ^ is_kept).all()
    # 1,000 coins: 500, give or take six standard deviations of 16.
    assert 400 < int(is_flipped.sum()) < 600


def test_flip_half_takes_bytes():
    x = one_hot(["GATTACA"] * 8).to(torch.int8)
    (flipped,) = flip_half(torch.Generator().manual_seed(0), x)
    assert flipped.dtype == torch.int8


def test_a_transform_changes_every_batch_and_repeats_by_seed_and_epoch():
    x, y = one_hot(["GATTACA"] * 64), torch.arange(64)

    def epoch(number: int, **options) -> list[torch.Tensor]:
        source = Batches(x, y, batch_size=16, seed=3, **options)
        source.set_epoch(number)
        return [torch.cat(part) for part in zip(*source, strict=True)]

    plain, first, again, other = (
        epoch(0), epoch(0, transform=flip_half), epoch(0, transform=flip_half),
        epoch(1, transform=flip_half),
    )  # fmt: skip
    assert all(map(torch.equal, first, again))
    assert torch.equal(first[1], plain[1])  # the order is that without a transform
    assert not torch.equal(first[0], plain[0])
    assert not torch.equal(first[0], other[0])


def test_a_transform_may_draw_without_a_seed():
    draws = lambda generator, x: (torch.rand(len(x), generator=generator),)  # noqa: E731
    batches = Batches(torch.zeros(6), batch_size=3, transform=draws)
    one, other = (torch.cat([x for (x,) in batches]) for _ in range(2))
    assert torch.equal(one, other)
    assert one.unique().numel() == 6


def test_the_random_streams_stay_what_they_were():
    """The shipped checkpoints can be made again only as long as these stay."""
    coins = lambda generator, x: (x, torch.rand(len(x), generator=generator) < 0.5)  # noqa: E731
    batches = Batches(torch.arange(8), batch_size=8, seed=17, transform=coins)
    ((order, turned),) = batches
    assert order.tolist() == [6, 3, 1, 0, 7, 5, 4, 2]
    assert turned.int().tolist() == [0, 1, 0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers(value):
    x, y = torch.zeros(4, 2), torch.zeros(4)
    y[2] = value
    message = refusal(lambda: Batches(x, y, batch_size=2))
    assert "Tensor 1 holds NaN or infinite values in 1 rows, the first is 2" in message
    assert "Tensor 0" in refusal(lambda: Batches(y[:, None].expand(4, 3), x, batch_size=2))
    assert len(Batches(x, y, batch_size=2, rows=[0, 1, 3])) == 2  # the row is not used

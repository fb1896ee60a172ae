"""batches: every row once an epoch, and a model that comes back as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tssbook.models.toy import ToyCNN
from tssbook.sequence import one_hot
from tssbook.training import batches
from tssbook.training.batches import Batches, epoch_seed
from tssbook.training.prediction import on_device, predict, resolve_device


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


@pytest.mark.parametrize(
    ("tensors", "rows"),
    [((torch.zeros(3), torch.zeros(4)), r"\[3, 4\]"), ((torch.zeros(0),), r"\[0\]"), ((), r"\[\]")],
)
def test_rows_that_do_not_fit(tensors, rows):
    with pytest.raises(ValueError, match=rf"have {rows} rows; wanted one number above 0 for all"):
        Batches(*tensors, batch_size=2)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batch_size_below_one(batch_size):
    with pytest.raises(ValueError, match=rf"batch_size is {batch_size}; wanted 1 or more"):
        Batches(torch.zeros(3), batch_size=batch_size)


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


# --- predictions ----------------------------------------------------------------------------


class Sums(nn.Module):
    """The sum of all values of a sequence, times a weight; 0 without batch norm in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.norm = nn.BatchNorm1d(4)
        self.dropout = nn.Dropout(0.9)
        self.modes: list[bool] = []
        self.gradients: list[bool] = []
        self.moves: list[str] = []

    def to(self, device):
        self.moves.append(str(device))
        return super().to(device)

    def forward(self, x):
        self.modes.append(self.norm.training)
        self.gradients.append(torch.is_grad_enabled())
        return self.scale * self.dropout(self.norm(x)).sum((1, 2))


def test_predict_by_hand():
    x = torch.tensor([[1.0, 2], [3, 4], [5, 6], [7, 8]]).expand(3, 4, 2)
    # 1 + ... + 8 = 36, times 2; batch norm in evaluation divides by sqrt(1 + 1e-5).
    assert predict(Sums(), x).tolist() == pytest.approx([72] * 3, rel=1e-5)


def test_predict_does_not_depend_on_the_batch_size():
    x = torch.randn(20, 4, 6, generator=torch.Generator().manual_seed(0))
    model = Sums()
    whole = predict(model, x)
    for batch_size in (1, 3, 20, 1000):
        assert torch.allclose(predict(model, x, batch_size=batch_size), whole, atol=1e-5)
    assert torch.allclose(predict(model, x.flip(0)), whole.flip(0), atol=1e-5)


def test_predict_is_in_evaluation_mode_without_gradients():
    model = Sums().train()
    result = predict(model, torch.ones(3, 4, 2), batch_size=2)
    assert model.modes == model.gradients == [False, False]
    assert not result.requires_grad
    assert torch.is_grad_enabled()


def test_predict_restores_the_mode_of_each_module():
    model = Sums().train()
    model.norm.eval()  # frozen, as for fine tuning
    predict(model, torch.ones(3, 4, 2))
    assert (model.training, model.norm.training, model.dropout.training) == (True, False, True)
    model.eval()
    predict(model, torch.ones(3, 4, 2))
    assert not any(module.training for module in model.modules())


def test_predict_restores_mode_and_device_after_an_error():
    model = Sums().train()
    model.forward = lambda x: (x, x)
    with pytest.raises(TypeError, match=r"^The model returns a tuple; wanted one tensor\.$"):
        predict(model, torch.ones(3, 4, 2))
    assert model.training
    assert model.moves == [str(resolve_device(None)), "cpu"]


@pytest.mark.parametrize("shape", [(4, 8), (3, 5, 8), (8, 3, 4), (0, 4, 8), (1, 1, 4, 8)])
def test_predict_of_another_shape(shape):
    with pytest.raises(ValueError, match="with at least one sequence") as caught:
        predict(Sums(), torch.zeros(shape))
    assert str(shape) in str(caught.value)


# --- devices --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_first_device_there_is(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert resolve_device(None) == torch.device(expected)
    assert resolve_device("cpu") == torch.device("cpu")


def test_on_device_moves_there_and_back():
    model = Sums()
    with on_device(model, "cpu") as place:
        assert place == torch.device("cpu")
        model.eval()
        assert model.moves == ["cpu"]
    assert model.moves == ["cpu", "cpu"]
    assert model.training


def test_on_device_of_a_model_without_parameters():
    with on_device(nn.ReLU(), "cpu") as place:
        assert place.type == "cpu"


def test_predict_takes_bytes_and_half_models():
    x = one_hot(["GATTACAT", "TATAAAAN"])
    model = ToyCNN()
    expected = predict(model, x, device="cpu")
    assert torch.equal(predict(model, x.to(torch.uint8), device="cpu"), expected)
    half = predict(model.bfloat16(), x, device="cpu")
    assert half.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: predict(ToyCNN(), ["GATTACAT"]), "x is list; wanted a tensor (N, 4, L): call"),
        (lambda: Batches(np.ones(3), batch_size=1), "Batches got ndarray; wanted tensors"),
        (lambda: epoch_seed(-1, 0), "The seed is -1; wanted 0 or more."),
    ],
)
def test_what_is_no_tensor_or_seed(call, sentence):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert str(caught.value).startswith(sentence)


def test_large_rows_are_gathered_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(batches, "_GATHERED_BYTES", 1)  # less than a batch: one batch at a time
    rows = torch.arange(10.0)
    small = [b[0].tolist() for b in Batches(rows, batch_size=3, seed=1)]
    monkeypatch.undo()
    assert small == [b[0].tolist() for b in Batches(rows, batch_size=3, seed=1)]


# --- augmentation -----------------------------------------------------------------------------


def test_flip_half_flips_whole_sequences_and_nothing_else() -> None:
    x = one_hot(["GATTACA"] * 1000)
    y = torch.arange(1000)
    flipped, same = batches.flip_half(torch.Generator().manual_seed(0), x, y)
    assert same is y
    is_flipped = (flipped == one_hot("TGTAATC")).all(dim=(1, 2))
    is_kept = (flipped == one_hot("GATTACA")).all(dim=(1, 2))
    assert (is_flipped ^ is_kept).all()
    # 1,000 coins: 500, give or take six standard deviations of 16.
    assert 400 < int(is_flipped.sum()) < 600


def test_flip_half_takes_bytes() -> None:
    x = one_hot(["GATTACA"] * 8).to(torch.int8)
    (flipped,) = batches.flip_half(torch.Generator().manual_seed(0), x)
    assert flipped.dtype == torch.int8


def test_augmented_batches_repeat_by_seed_and_epoch() -> None:
    x, y = one_hot(["GATTACA"] * 64), torch.arange(64)

    def epoch(number: int, seed: int = 5) -> list[torch.Tensor]:
        source = batches.Batches(x, y, batch_size=16, seed=3)
        source = batches.Augmented(source, batches.flip_half, seed=seed)
        source.set_epoch(number)
        return [tensor for batch in source for tensor in batch]

    first, again, other_epoch, other_seed = epoch(0), epoch(0), epoch(1), epoch(0, seed=6)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other_epoch[0])
    assert not torch.equal(first[1], other_epoch[1])  # the order changes with the epoch
    assert not torch.equal(torch.cat(first[0::2]), torch.cat(other_seed[0::2]))
    assert torch.equal(first[1], other_seed[1])  # and does not depend on this seed


def test_augmented_knows_its_size() -> None:
    source = batches.Batches(torch.zeros(10, 4, 8), batch_size=4, seed=1)
    source = batches.Augmented(source, batches.flip_half, seed=1)
    assert (len(source), source.n_rows, source.batch_size) == (3, 10, 4)

"""In-silico mutagenesis: by hand, against one prediction per edit, and who takes the fast path."""

from __future__ import annotations

import copy
import random
import re

import numpy as np
import pytest
import torch
from torch import nn

from tssbook.interpret import _incremental_cnn, ism, mutagenesis
from tssbook.models.procapnet import ProCapNet
from tssbook.models.promoter import PromoterNet
from tssbook.sequence import one_hot
from tssbook.training.prediction import resolve_device


def sequences(n: int, length: int, seed: int = 0, unknown: float = 0.0) -> torch.Tensor:
    """Random one-hot sequences with a share of N."""
    generator = np.random.default_rng(seed)
    letters = generator.choice(list("ACGT"), size=(n, length))
    letters[generator.random((n, length)) < unknown] = "N"
    return one_hot(["".join(row) for row in letters])


class Weighted(nn.Module):
    """One weight per base and position: its mutagenesis is a difference of two weights."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)
        self.norm = nn.BatchNorm1d(4, affine=False)  # divides by sqrt(1 + 1e-5), if at rest
        self.dropout = nn.Dropout(0.9)
        self.sizes: list[int] = []
        self.gradients: list[bool] = []
        self.moves: list[str] = []

    def to(self, device):
        self.moves.append(str(device))
        return super().to(device)

    def forward(self, x):
        self.sizes.append(len(x))
        self.gradients.append(torch.is_grad_enabled())
        return (self.dropout(self.norm(x)) * self.weights).sum((1, 2))


def weighted(length: int = 3) -> Weighted:
    # Row A is 0, 1, 2, ...; C 10, 11, 12, ...; G 20, ...; T 30, ...
    return Weighted(torch.arange(length).float() + 10.0 * torch.arange(4)[:, None])


class Both(nn.Module):
    """Returns a tuple: letters per base, and the number of GA as one value."""

    def forward(self, x):
        pairs = (x[:, 2, :-1] * x[:, 0, 1:]).sum(-1, keepdim=True)
        return x.sum(-1), pairs


# --- any model ------------------------------------------------------------------------------


def test_by_hand():
    # G at 0 weighs 20, A at 1 weighs 1, and N at 2 nothing at all.
    changes = ism(weighted(), one_hot(["GAN"]))
    expected = torch.tensor(
        [[0.0 - 20, 0, 2], [10 - 20, 11 - 1, 12], [0, 21 - 1, 22], [30 - 20, 31 - 1, 32]]
    )
    assert changes.dtype == torch.float32
    assert torch.allclose(changes, expected[None], rtol=1e-4)
    assert changes[0, 2, 0] == changes[0, 0, 1] == 0


def test_a_tuple_comes_back_as_a_tuple():
    letters, pairs = ism(Both(), one_hot(["GATTGA", "TTTNTT"]))
    assert letters.shape == (2, 4, 6, 4)
    assert pairs.shape == (2, 4, 6, 1)
    assert letters[0, 1, 0].tolist() == [0, 1, -1, 0]  # G to C
    assert letters[1, 1, 3].tolist() == [0, 1, 0, 0]  # N to C
    # Each base of a GA is needed; a G before the A's place makes none; T to G at 3 neither.
    assert pairs[0, :, :, 0].tolist() == [
        [-1, 0, 0, 0, -1, 0],
        [-1, -1, 0, 0, -1, -1],
        [0, -1, 0, 0, 0, -1],
        [-1, -1, 0, 0, -1, -1],
    ]
    assert pairs[1].count_nonzero() == 0


def test_a_range_of_positions_is_that_part_of_the_whole():
    x = sequences(2, 9, unknown=0.2)
    whole = ism(weighted(9), x)
    assert torch.equal(ism(weighted(9), x, start=3, end=7), whole[:, :, 3:7])
    assert torch.equal(ism(weighted(9), x, start=8), whole[:, :, 8:])
    model = small_promoter()
    x = sequences(2, 50)
    assert torch.allclose(ism(model, x, start=3, end=7), ism(model, x)[:, :, 3:7], atol=1e-9)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 64, 1000])
def test_does_not_depend_on_the_batch_size(batch_size):
    x = sequences(5, 6, unknown=0.1)
    model = weighted(6)
    assert torch.allclose(ism(model, x, batch_size=batch_size), ism(weighted(6), x), atol=1e-4)
    assert max(model.sizes) <= batch_size


def test_short_sequences_share_a_batch():
    model = weighted(2)
    ism(model, sequences(16, 2), batch_size=32)
    # 16 as they are; then 32 / (4 * 2) = 4 sequences at a time, 6 edits each.
    assert model.sizes == [16, 24, 24, 24, 24]


def test_only_what_differs_from_the_sequence_is_predicted():
    model = weighted(5)
    ism(model, one_hot(["GANTA"]), batch_size=100)
    assert model.sizes == [1, 3 + 3 + 4 + 3 + 3]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.int64, torch.float64])
def test_any_type_of_input(dtype):
    x = sequences(2, 4)
    assert torch.equal(ism(weighted(4), x.to(dtype)), ism(weighted(4), x))
    model = small_promoter()
    x = sequences(1, 40)
    assert torch.equal(ism(model, x.to(dtype)), ism(model, x))


def test_half_and_double_models():
    x = sequences(1, 40)
    expected = ism(small_promoter(), x)
    with pytest.warns(RuntimeWarning, match=r"torch\.float64, not torch\.float32"):
        found = ism(small_promoter().double(), x)
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=1e-6)
    with pytest.warns(RuntimeWarning, match="bfloat16"):
        assert ism(small_promoter().bfloat16(), x).dtype == torch.float32


def test_the_input_stays_as_it_is():
    x = sequences(2, 40, unknown=0.1)
    before = x.clone()
    ism(weighted(40), x)
    ism(small_promoter(), x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("device", [None, "cpu"])
def test_mode_device_and_gradients(device):
    model = weighted().train()
    model.norm.eval()  # frozen, as for fine tuning
    result = ism(model, one_hot(["GAT"]), device=device)
    assert (model.training, model.norm.training, model.dropout.training) == (True, False, True)
    assert model.moves == [str(resolve_device(device)), "cpu"]
    assert not any(model.gradients)
    assert not result.requires_grad
    assert torch.is_grad_enabled()
    assert torch.allclose(result, ism(model.eval(), one_hot(["GAT"])))


def test_mode_is_restored_after_an_error():
    model = weighted().train()
    model.forward = lambda x: {"value": x}
    with pytest.raises(TypeError, match="dict"):
        ism(model, one_hot(["GAT"]))
    assert model.training


def test_progress(capsys):
    ism(weighted(), one_hot(["GAN"]))
    assert capsys.readouterr() == ("", "")
    ism(weighted(), one_hot(["GAN"]), progress=True)
    assert "10/10" in capsys.readouterr().err  # 3 + 3 + 4 edits


# --- the incremental path -------------------------------------------------------------------


def looks_trained(model: nn.Module, seed: int) -> nn.Module:
    """Give batch norms statistics and weights of all sizes and both signs; predict about 1."""
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d):
            for tensor, low, high in (
                (layer.running_mean, -0.5, 0.5), (layer.running_var, 0.05, 2),
                (layer.weight.data, -1.5, 2), (layer.bias.data, -0.5, 0.5),
            ):  # fmt: skip
                tensor.uniform_(low, high, generator=generator)
    nn.init.ones_((model.linear2 if isinstance(model, PromoterNet) else model.linear).bias)
    return model.eval()


def small_promoter(seed: int = 0, **config) -> PromoterNet:
    torch.manual_seed(seed)
    config = {"n_filters": (6, 5, 4), "n_hidden": 3} | config
    return looks_trained(PromoterNet(**config), seed)


def in_full(monkeypatch, model: nn.Module, x: torch.Tensor, **options):
    """One prediction per edit, also for the book's models."""
    with monkeypatch.context() as patch:
        patch.setattr(mutagenesis, "_fast_path", lambda _: None)
        return ism(model, x, **options)


def assert_exact(monkeypatch, model: nn.Module, x: torch.Tensor) -> None:
    """Hold the incremental path to the loop in float32, and closer to the loop in float64."""
    assert mutagenesis._fast_path(model)
    found, naive = ism(model, x), in_full(monkeypatch, model, x)  # a warning would be an error
    precise = in_full(monkeypatch, copy.deepcopy(model).double(), x)
    with torch.no_grad():
        predictions = model(x)
    if isinstance(found, torch.Tensor):
        found, naive, precise, predictions = (found,), (naive,), (precise,), (predictions,)
    for a, b, c, prediction in zip(found, naive, precise, predictions, strict=True):
        assert a.shape == b.shape
        assert a.dtype == torch.float32
        assert (a - b).abs().max() < 1e-5 * prediction.abs().max()
        assert (a - c).abs().max() <= 1e-4 * c.abs().max()


@pytest.mark.parametrize("seed", range(12))
def test_promoter_nets_of_all_shapes(monkeypatch, seed):
    choose = random.Random(seed)  # noqa: S311
    pool = choose.choice([1, 2, 3, 4, 5])
    model = small_promoter(
        seed,
        n_filters=[choose.randint(1, 9) for _ in range(3)],
        widths=[choose.choice([1, 3, 5, 9, 15]) for _ in range(3)],
        pool=pool,
        n_outputs=choose.choice([1, 1, 3]),
    )
    # From a single position after both pools, shorter than what a filter sees, upwards.
    length = choose.choice([pool**2, pool**2 + 1, 37, 64, 101, choose.randint(30, 120)])
    x = sequences(choose.randint(1, 3), max(length, pool**2), seed, unknown=choose.choice([0, 0.1]))
    assert_exact(monkeypatch, model, x)


@pytest.mark.parametrize("seed", range(5))
def test_procapnets_of_all_shapes(monkeypatch, seed):
    choose = random.Random(seed)  # noqa: S311
    torch.manual_seed(seed)
    model = looks_trained(ProCapNet(choose.randint(1, 9), seed % 4), seed)
    length = 2 * model.trim + choose.choice([1, 2, 25, 26, choose.randint(1, 60)])
    x = sequences(1 + seed % 2, length, seed, unknown=choose.choice([0, 0.1]))
    assert_exact(monkeypatch, model, x)


def test_the_chapters_own_sizes(monkeypatch):
    x = sequences(1, 2000, unknown=0.01)
    model = looks_trained(PromoterNet(), seed=3)
    scale = model(x).abs().max()
    for start in (0, 990, 1995):
        span = {"start": start, "end": start + 5}
        found, expected = ism(model, x, **span), in_full(monkeypatch, model, x, **span)
        assert (found - expected).abs().max() < 1e-5 * scale


def test_the_published_window(monkeypatch):
    torch.manual_seed(0)
    model = looks_trained(ProCapNet(n_filters=2), seed=0)
    x = sequences(1, 2114)
    for start in (0, 1055, 2110):
        span = {"start": start, "end": start + 4}
        pairs = zip(ism(model, x, **span), in_full(monkeypatch, model, x, **span), strict=True)
        for (found, expected), value in zip(pairs, model(x), strict=True):
            assert (found - expected).abs().max() < 1e-5 * value.abs().max()
    assert ism(model, x, start=0, end=4)[0].shape == (1, 4, 4, 2, 1000)


@pytest.mark.parametrize("model", [small_promoter(), ProCapNet(3, 1)])
def test_every_sequence_for_itself(model):
    x = sequences(3, 110, unknown=0.05)
    whole = ism(model, x)
    single = [ism(model, row[None]) for row in x]
    if isinstance(whole, torch.Tensor):
        assert torch.equal(whole, torch.cat(single))
    else:
        parts = zip(*single, strict=True)
        assert all(torch.equal(a, torch.cat(b)) for a, b in zip(whole, parts, strict=True))


@pytest.mark.parametrize("model", [small_promoter(), ProCapNet(3, 1)])
def test_windows_of_nothing_but_n(monkeypatch, model):
    assert_exact(monkeypatch, model, torch.zeros(1, 4, 110))


@pytest.mark.parametrize("model", [small_promoter(), ProCapNet(9, 1)])
def test_without_onednn(monkeypatch, model):
    """A PyTorch that lacks oneDNN's product takes the plain one."""
    monkeypatch.setattr(_incremental_cnn, "_ONEDNN", False)
    assert_exact(monkeypatch, model, sequences(1, 110, unknown=0.05))


def test_few_edits_at_a_time_give_the_same(monkeypatch):
    x = sequences(1, 120, unknown=0.05)
    models = [small_promoter(), ProCapNet(3, 1)]
    expected = [ism(model, x) for model in models]
    monkeypatch.setattr(_incremental_cnn, "_EDITS", 2)
    monkeypatch.setattr(_incremental_cnn, "_POSITIONS", 1)
    found = [ism(model, x) for model in models]
    assert torch.allclose(found[0], expected[0], atol=1e-7)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found[1], expected[1], strict=True))


def test_training_mode_is_not_used_and_not_lost(monkeypatch):
    model = small_promoter()
    x = sequences(1, 60)
    expected = ism(model, x)
    state = copy.deepcopy(model.state_dict())
    assert torch.equal(ism(model.train(), x), expected)
    assert model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


# --- who takes which path -------------------------------------------------------------------


class Doubled(PromoterNet):
    def forward(self, x):
        return 2 * super().forward(x)


def with_a_hook(model):
    model.conv2.register_forward_hook(lambda module, inputs, output: 2 * output)


def with_another_layer(model):
    model.linear2 = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1))


def with_other_borders(model):
    model.conv1.padding_mode = "circular"


def with_its_own_forward(model):
    model.forward = lambda x: PromoterNet.forward(model, x) ** 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_a_hook, "hooks"),
        (with_another_layer, "fast path fails"),
        (with_other_borders, "differs by"),
        (with_its_own_forward, "differs by"),
    ],
)
def test_a_changed_model_is_run_in_full_and_it_is_said_why(change, reason):
    model = small_promoter()
    x = sequences(1, 40)
    before = ism(model, x)
    change(model)
    with pytest.warns(RuntimeWarning, match=f"PromoterNet is predicted in full .*{reason}") as seen:
        found = ism(model, x)
    assert len(seen) == 1
    edited = x.clone()
    edited[0, :, 20] = torch.tensor([0.0, 1, 0, 0])
    with torch.no_grad():
        expected = model(edited) - model(x)
    assert torch.allclose(found[:, 1, 20], expected, atol=1e-6)
    assert not torch.allclose(found, before)


def test_a_result_that_is_wrong_is_never_returned(monkeypatch):
    """A fast path with one fault in a thousand of the size of a change is noticed."""
    model, x = ProCapNet(3, 1), sequences(2, 110)
    expected = in_full(monkeypatch, model, x)
    right = mutagenesis._fast_path(model)

    def wrong(*given):
        for index, (profile, count) in right(*given):
            yield index, (profile, 1.01 * count)

    monkeypatch.setitem(mutagenesis._FAST, ProCapNet, wrong)
    with pytest.warns(RuntimeWarning, match=r"ProCapNet .* differs by [0-9.e-]+ where changes"):
        found = ism(model, x)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_subclass_has_no_fast_path():
    torch.manual_seed(0)
    model = Doubled(n_filters=(6, 5, 4), n_hidden=3)
    base = PromoterNet(n_filters=(6, 5, 4), n_hidden=3)
    base.load_state_dict(model.state_dict())
    x = sequences(1, 40)
    assert mutagenesis._fast_path(model) is None
    assert torch.allclose(ism(model, x), 2 * ism(base, x), atol=1e-6)


@pytest.mark.parametrize("model", [small_promoter(), ProCapNet(3, 1)])
def test_few_edits_are_predicted_in_full_and_the_same_each_time(monkeypatch, model):
    seen, forward = [], type(model).forward

    def remembered(self, x):
        seen.append(x)
        return forward(self, x)

    monkeypatch.setattr(type(model), "forward", remembered)
    drawn = torch.get_rng_state()
    x = sequences(2, 110)
    ism(model, x)
    ism(model, x)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [len(part) for part in seen] == [2, 4, 2, 4]  # as they are, and the check
    assert torch.equal(seen[1], seen[3])
    changed = torch.stack([(seen[1][:, None] != x).any(2).sum(-1)]).amin(-1)  # (1, 4)
    assert changed.tolist() == [[1] * 4]


# --- wrong input ----------------------------------------------------------------------------


def changed(value, base=1, position=2) -> torch.Tensor:
    x = one_hot(["GATT", "ACGT"])
    x[1, base, position] = value
    return x


@pytest.mark.parametrize(
    ("x", "found"),
    [
        (changed(0.5), r"position 2 of sequence 1 .*\[0\.0, 0\.5, 1\.0, 0\.0\]"),
        (changed(float("nan"), 0, 0), r"position 0 of sequence 1 .*nan"),
        (torch.zeros(4, 8), r"\(4, 8\).*\(N, 4, L\)"),
        (torch.zeros(2, 4, 0), r"\(2, 4, 0\).*\(N, 4, L\)"),
    ],
)
def test_what_is_not_one_hot(x, found):
    with pytest.raises(ValueError, match=found):
        ism(weighted(), x)


@pytest.mark.parametrize(("start", "end"), [(2, 2), (3, 1), (-1, 2), (0, 5), (4, None)])
def test_ranges_that_are_none(start, end):
    found = re.escape(f"[{start}, {4 if end is None else end})") + r".*wanted.*\[0, 4\)"
    with pytest.raises(ValueError, match=found):
        ism(weighted(4), one_hot(["GATT"]), start=start, end=end)


def test_other_numbers_and_types():
    with pytest.raises(ValueError, match="batch_size is 0; wanted a whole number of 1"):
        ism(weighted(4), one_hot(["GATT"]), batch_size=0)
    with pytest.raises(TypeError, match="list; wanted a tensor"):
        ism(weighted(), ["GATT"])


def test_a_model_without_a_row_per_sequence():
    model = weighted(4)
    model.forward = lambda x: x[0]
    with pytest.raises(ValueError, match=r"\(4, 4\) for 2 sequences"):
        ism(model, one_hot(["GATT", "ACGT"]))


def test_sequences_too_short_for_the_model():
    with pytest.raises(ValueError, match=r"98 bp .*at least 99 bp"):
        ism(ProCapNet(3, 1), sequences(1, 98))


def test_a_func_says_what_is_asked():
    """Of A C G T changed to each other: the number of A and of T, or of A alone."""
    x = one_hot(["ACGT"])
    both = ism(nn.Identity(), x, lambda model, x: model(x)[:, [0, 3]].sum(-1))
    assert both.shape == (1, 4, 4, 2)
    assert both[0, 1, 0].tolist() == [-1, 0]  # A becomes C
    assert both[0, 3, 1].tolist() == [0, 1]  # C becomes T
    one = ism(nn.Identity(), x, lambda model, x: model(x)[:, 0].sum(-1))
    assert torch.equal(one, both[..., 0])
    with pytest.raises(TypeError, match=r"func returns \(1, 4, 4\) for 1 .*wanted \(1,\) or"):
        ism(nn.Identity(), x, lambda model, x: model(x))
    with pytest.raises(ValueError, match="func is 'all'; wanted a function"):
        ism(nn.Identity(), x, "all")

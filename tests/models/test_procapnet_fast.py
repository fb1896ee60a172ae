"""The fast way through ProCapNet: the plain way's numbers, with less work and no gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tests.support import refusal
from tssbook.models import procapnet_fast
from tssbook.models.procapnet import ProCapNet
from tssbook.models.procapnet_fast import FastProCapNet
from tssbook.models.toy import MaxPoolCNN
from tssbook.training import predict

# Filters, dilated layers, sequences, and bases of output.
SIZES = [
    (3, 2, 2, 33),
    (1, 1, 1, 1),  # one channel: its place in memory says nothing about the order of the axes
    (7, 0, 3, 2),
    (5, 3, 4, 76),
    (64, 4, 3, 101),
    (32, 8, 2, 1000),
    (512, 1, 2, 40),
]


def made(n_filters: int = 3, n_layers: int = 2, seed: int = 0) -> ProCapNet:
    """A model whose layers all matter: PyTorch's first weights let signals fade."""
    torch.manual_seed(seed)
    model = ProCapNet(n_filters, n_layers).eval()
    with torch.no_grad():
        for conv in (model.iconv, *model.rconvs, model.fconv):
            conv.weight *= 2
    return model


def drawn(n: int, length: int) -> Tensor:
    codes = torch.randint(5, (n, length), generator=torch.Generator().manual_seed(1))
    return nn.functional.one_hot(codes, 5)[..., :4].transpose(1, 2).float()  # 4 is N


def error(found: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> float:
    """Largest difference, relative to the largest value of an output."""
    assert [part.shape for part in found] == [part.shape for part in wanted]
    pairs = zip(found, wanted, strict=True)
    return max(float(((a - b).abs().max() / b.abs().max()).detach()) for a, b in pairs)


@pytest.mark.parametrize(("n_filters", "n_layers", "n", "n_out"), SIZES)
def test_numbers_of_the_plain_way(n_filters, n_layers, n, n_out):
    model = made(n_filters, n_layers)
    x = drawn(n, n_out + 2 * model.trim)
    single = FastProCapNet(model)(x)
    assert [part.dtype for part in single] == [torch.float32] * 2
    assert error(single, model(x)) < 1e-5
    # In double precision nothing is left for rounding to explain.
    wanted = model.double()(x.double())
    assert wanted[0].shape == (n, 2, n_out)
    assert error(FastProCapNet(model)(x.double()), wanted) < 1e-13
    assert error(single, wanted) < 1e-5


@pytest.mark.parametrize("layer", ["iconv", "rconvs.0", "rconvs.1", "rconvs.2", "fconv", "linear"])
def test_the_comparison_sees_every_layer(layer):
    """A few weights of one layer are a millionth larger, and double precision tells them apart."""
    model = made(4, 3).double()
    x = drawn(2, 300).double()
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.get_submodule(layer).weight[0, -1] *= 1 + 1e-6
    assert error(FastProCapNet(changed)(x), model(x)) > 1e-12


@pytest.mark.parametrize("together", [1, 2, 5])
def test_some_sequences_at_a_time(monkeypatch, together):
    model = made()
    x = drawn(5, 150)
    whole = FastProCapNet(model)(x)
    # The network's values at `together` sequences of 150 bp with 3 filters, and a bit more.
    monkeypatch.setattr(procapnet_fast, "_VALUES", together * 3 * 150 + 449)
    seen, trunk = [], procapnet_fast._trunk
    monkeypatch.setattr(
        procapnet_fast, "_trunk", lambda model, x: seen.append(len(x)) or trunk(model, x)
    )
    assert error(FastProCapNet(model)(x), whole) < 1e-6
    assert seen == {1: [1] * 5, 2: [2, 2, 1], 5: [5]}[together]


def test_a_long_sequence_goes_by_itself(monkeypatch):
    model = made()
    monkeypatch.setattr(procapnet_fast, "_VALUES", 10)
    x = drawn(3, 150)
    assert error(FastProCapNet(model)(x), model(x)) < 1e-5


def test_does_not_compute_what_is_trimmed():
    model = made(n_filters=4, n_layers=8)
    x = drawn(1, 2114)
    with FlopCounterMode(display=False) as counter:
        FastProCapNet(model)(x)
    # Positions after each layer: 2,114 - 2 * 10, then 2 * 2, 2 * 4, ..., 2 * 256 fewer.
    dilated = 2090 + 2082 + 2066 + 2034 + 1970 + 1842 + 1586 + 1074
    macs = 2094 * 4 * 21 * 4 + dilated * 4 * 3 * 4 + 1074 * 4 * 75 * 2 + 4
    assert counter.get_total_flops() == 2 * macs


def test_any_order_in_memory():
    model = made()
    x = drawn(2, 150)
    turned = x.transpose(1, 2).contiguous().transpose(1, 2)
    assert turned.stride() != x.contiguous().stride()
    fast = FastProCapNet(model)
    assert error(fast(turned), fast(x.contiguous())) < 1e-6
    assert error(fast(x[:, :, 10:-10]), model(x[:, :, 10:-10])) < 1e-5


def test_weights_are_the_models_own():
    model = made()
    fast, x = FastProCapNet(model), drawn(2, 150)
    assert fast.model is model
    assert fast.trim == model.trim == 53
    before = fast(x)
    with torch.no_grad():
        model.rconvs[1].weight *= 1.5
    assert error(fast(x), before) > 1e-3
    assert error(fast(x), model(x)) < 1e-5
    model.load_state_dict(made(seed=7).state_dict())
    assert error(fast(x), made(seed=7)(x)) < 1e-5


def test_leaves_model_and_input_alone():
    model = made().train()
    x = drawn(2, 150)
    weights, copied = copy.deepcopy(model.state_dict()), x.clone()
    FastProCapNet(model)(x)
    assert model.training
    assert torch.equal(x, copied)
    assert all(torch.equal(weights[name], found) for name, found in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_has_no_gradient():
    model = made()
    assert not any(part.requires_grad for part in FastProCapNet(model)(drawn(1, 150)))
    x = drawn(1, 150).requires_grad_()
    assert model(x)[0].requires_grad
    assert "x wants a gradient" in refusal(lambda: FastProCapNet(model)(x))


def test_goes_where_the_model_goes():
    model = made()
    x = drawn(5, 150).byte()
    found = predict(FastProCapNet(model), x, batch_size=2, device="cpu")
    assert error(found, predict(model, x, batch_size=2, device="cpu")) < 1e-5


@pytest.mark.parametrize("length", [1, 20, 106])
def test_too_short_sequences_are_refused_as_by_the_model(length):
    model, x = made(), drawn(2, length)
    message = refusal(lambda: FastProCapNet(model)(x))
    assert message == refusal(lambda: model(x))
    assert f"{length} bp long" in message


@pytest.mark.parametrize("shape", [(4, 150), (2, 150, 4), (2, 5, 150), (1, 2, 4, 150), (0, 4, 150)])
def test_wrong_shapes(shape):
    assert f"x is {shape}" in refusal(lambda: FastProCapNet(made())(torch.zeros(shape)))


def test_other_models():
    message = refusal(lambda: FastProCapNet(MaxPoolCNN()), TypeError)
    assert "MaxPoolCNN; wanted a ProCapNet" in message

"""ProCapNet: the published sizes and names, and every number by hand on a small one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from support import refusal
from tssbook import checkpoints
from tssbook.procapnet import ProCapNet
from tssbook.sequence import one_hot


def random_x(n: int, length: int, seed: int = 0) -> torch.Tensor:
    letters = np.random.default_rng(seed).choice(list("ACGT"), size=(n, length))
    return one_hot(["".join(row) for row in letters])


def small(n_filters: int = 3, n_layers: int = 2, seed: int = 0) -> ProCapNet:
    torch.manual_seed(seed)
    return ProCapNet(n_filters, n_layers).eval()


def test_published_number_of_parameters():
    # 4 * 512 * 21 + 512, 8 * (512 * 512 * 3 + 512), 512 * 2 * 75 + 2, 512 + 1
    assert 43_520 + 6_295_552 + 76_802 + 513 == 6_416_387
    with torch.device("meta"):
        model = ProCapNet()
    assert sum(p.numel() for p in model.parameters()) == 6_416_387


def test_published_shapes():
    model = small(n_filters=2, n_layers=8)
    assert model.trim == 10 + 510 + 37 == 557
    profile, count = model(random_x(3, 2114))
    assert profile.shape == (3, 2, 1000)
    assert count.shape == (3, 1)


def test_names_of_bpnet_lite():
    layers = ["iconv", "rconvs.0", "rconvs.1", "fconv", "linear"]
    expected = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    assert list(small().state_dict()) == expected


@pytest.mark.parametrize("length", [107, 108, 131])
def test_any_length(length):
    model = small()  # trim 10 + 2 + 4 + 37 = 53
    profile, count = model(random_x(2, length))
    assert profile.shape == (2, 2, length - 106)
    assert count.shape == (2, 1)


def test_numbers_by_hand():
    """Each sum written out, without a convolution of torch."""
    model = small(n_filters=3, n_layers=1, seed=1)
    x = random_x(1, 105)
    weights = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    seen = x[0].double().numpy()  # trim 10 + 2 + 37 = 49: 7 outputs

    def at(values, position):
        inside = 0 <= position < values.shape[1]
        return values[:, position] if inside else np.zeros(len(values))

    def conv(values, layer, offsets):
        weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
        columns = [
            sum(weight[:, :, k] @ at(values, i + o) for k, o in enumerate(offsets)) + bias
            for i in range(values.shape[1])
        ]
        return np.stack(columns, axis=1)

    first = np.maximum(conv(seen, "iconv", range(-10, 11)), 0)
    second = first + np.maximum(conv(first, "rconvs.0", (-2, 0, 2)), 0)
    profile = conv(second, "fconv", range(-37, 38))[:, 49:56]
    mean = second[:, 49 - 37 : 56 + 37].mean(axis=1)
    count = weights["linear.weight"] @ mean + weights["linear.bias"]
    found = model(x)
    assert found[0][0].detach().numpy() == pytest.approx(profile, abs=1e-6)
    assert found[1][0].detach().numpy() == pytest.approx(count, abs=1e-6)


def test_an_output_sees_trim_bases_on_each_side_and_no_more():
    model = small()
    x = random_x(1, 140)
    profile, _ = model(x)  # output i stands at base 53 + i
    changed = x.clone()
    changed[0, :, 60] = changed[0, :, 60].flip(0)
    difference = (model(changed)[0] - profile)[0].abs().sum(0)
    # 0 to 33 stand at 53 to 86; base 60 reaches 60 - 53 = 7 to 60 + 53 = 113, that is all.
    assert difference.shape == (34,)
    assert (difference > 0).all()
    changed = x.clone()
    changed[0, :, 0] = changed[0, :, 0].flip(0)  # reaches base 53, output 0, and no other
    difference = (model(changed)[0] - profile)[0].abs().sum(0)
    assert difference[0] > 0
    assert (difference[1:] == 0).all()


def test_strands_and_counts_come_from_their_own_weights():
    model = small()
    x = random_x(1, 120)
    with torch.no_grad():
        profile, count = model(x)
        model.fconv.bias += torch.tensor([1.0, -2.0])
        model.linear.bias += 3
        shifted, larger = model(x)
    assert torch.allclose(shifted - profile, torch.tensor([1.0, -2.0])[:, None], atol=1e-6)
    assert torch.allclose(larger - count, torch.tensor(3.0), atol=1e-6)


def test_too_short_sequences():
    assert refusal(lambda: small()(random_x(1, 106))) == (
        "The sequences are 106 bp long and 53 bp are trimmed from each side; "
        "wanted at least 107 bp."
    )


def test_is_a_checkpoint(tmp_path):
    model = small()
    checkpoints.save(model, tmp_path / "small")
    again = checkpoints.load(tmp_path / "small")
    x = random_x(2, 110)
    assert isinstance(again, ProCapNet)
    assert all(torch.equal(a, b) for a, b in zip(again(x), model(x), strict=True))

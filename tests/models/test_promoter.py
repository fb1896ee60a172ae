"""tssbook.models.promoter: the network of Chapter 2."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tssbook.models import checkpoints
from tssbook.models.promoter import PromoterNet, loss_terms
from tssbook.sequence import one_hot


def test_number_of_parameters() -> None:
    # Convolutions with bias: 256 * (4 * 15 + 1) + 128 * (256 * 5 + 1) + 64 * (128 * 3 + 1);
    # batch norms: 2 * (256 + 128 + 64); linear: 64 * 32 + 32 and 32 + 1.
    by_hand = 15_616 + 163_968 + 24_640 + 896 + 2_080 + 33
    assert sum(p.numel() for p in PromoterNet().parameters()) == by_hand


def test_shapes_and_lengths() -> None:
    net = PromoterNet().eval()
    seen = []
    for layer in (net.conv2, net.conv3):
        layer.register_forward_hook(lambda *call: seen.append(call[1][0].shape[-1]))
    with torch.no_grad():
        assert net(torch.zeros(3, 4, 2000)).shape == (3,)
    assert seen == [500, 125]
    assert net.features(torch.zeros(2, 4, 150)).shape == (2, 64)
    assert PromoterNet(n_outputs=10)(torch.zeros(2, 4, 64)).shape == (2, 10)


def test_pooling_before_the_relu_is_the_same_function() -> None:
    torch.manual_seed(0)
    net = PromoterNet(n_filters=(8, 6, 5)).eval()
    for norm in (net.bn1, net.bn2):
        torch.nn.init.normal_(norm.weight)  # negative scales too
        torch.nn.init.normal_(norm.bias)
    x = torch.randn(4, 4, 99)
    later = net.pool(F.relu(net.bn1(net.conv1(x))))
    later = net.pool(F.relu(net.bn2(net.conv2(later))))
    later = F.relu(net.bn3(net.conv3(later))).mean(-1)
    assert torch.equal(net.features(x), later)


def test_output_does_not_know_where_the_sequence_stands_in_steps_of_16() -> None:
    """Two poolings of 4 and an average: a shift by 16 inside N changes nothing."""
    torch.manual_seed(0)
    net = PromoterNet().eval()
    x = torch.zeros(1, 4, 400)
    x[:, :, 160:176] = one_hot(["GATTACAGATTACAGA"])
    with torch.no_grad():
        torch.testing.assert_close(net(x), net(x.roll(16, -1)))
        assert not torch.allclose(net(x), net(x.flip(-1)), atol=1e-6)


def test_checkpoint_keeps_the_network(tmp_path) -> None:
    torch.manual_seed(0)
    net = PromoterNet(n_filters=(8, 6, 5), n_outputs=3).eval()
    checkpoints.save(net, tmp_path / "small", task="test")
    again = PromoterNet.from_pretrained(tmp_path / "small")
    x = torch.randn(2, 4, 64)
    assert torch.equal(net(x), again(x))


def test_loss_is_the_squared_error_per_gene() -> None:
    terms = loss_terms(None, torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.0]))
    assert terms["mse"].tolist() == [4.0, 0.0]
    with pytest.raises(ValueError, match="same shape"):
        loss_terms(None, torch.zeros(2, 1), torch.zeros(2))


@pytest.mark.parametrize("shape", [(4, 100), (2, 100, 4)])
def test_what_is_no_batch_of_sequences(shape) -> None:
    with pytest.raises(ValueError, match=r"wanted \(N, 4, L\)"):
        PromoterNet()(torch.zeros(shape))


def test_a_sequence_shorter_than_both_pools_is_refused() -> None:
    PromoterNet()(torch.zeros(2, 4, 16))
    with pytest.raises(ValueError, match="15 positions; wanted 16 or more"):
        PromoterNet()(torch.zeros(2, 4, 15))

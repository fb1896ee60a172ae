"""Our networks against the source's way of computing them: torch_fftconv, strands one by one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_fftconv import FFTConv1d, fft_conv1d

from tssbook.models.long_conv import LongConv1d, long_conv
from tssbook.models.puffin import Puffin, SimpleNet, loss_terms


def one_by_one(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """Convolve the sequence, then its reverse complement; put the second one back in place."""
    return torch.cat([conv(x), conv(x.flip([1, 2])).flip([2])], 1)


def their_long(layer: LongConv1d, x: Tensor) -> Tensor:
    return fft_conv1d(x, layer.weight, layer.bias, padding=300)


def their_simplenet(net: SimpleNet, x: Tensor) -> Tensor:
    motifs, initiators = one_by_one(net.conv, x), one_by_one(net.conv_inr, x)
    motifs, initiators = torch.sigmoid(motifs) * motifs, torch.sigmoid(initiators) * initiators
    return F.softplus(their_long(net.deconv, motifs) + net.deconv_inr(initiators))


def their_puffin(net: Puffin, x: Tensor) -> Tensor:
    motifs, initiators, rest = (
        F.softplus(one_by_one(conv, x)) for conv in (net.conv, net.conv_inr, net.conv_sim)
    )
    effects = their_long(net.deconv, motifs) + net.deconv_inr(initiators)
    return F.softplus(effects + their_long(net.deconv_sim, rest))


def sequences(n: int, length: int) -> Tensor:
    codes = torch.randint(4, (n, length), generator=torch.Generator().manual_seed(0))
    x = F.one_hot(codes, 4).transpose(1, 2).float()
    x[0, :, 100:140] = 0  # N
    return x


def error(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


def test_the_three_backends_agree():
    torch.manual_seed(0)
    x, layer = torch.randn(2, 8, 1000), FFTConv1d(8, 10, 601, padding=300)
    weight, bias = layer.weight.detach().requires_grad_(), layer.bias.detach().requires_grad_()
    x.requires_grad_()
    grad = torch.randn(2, 10, 1000)
    found = {}
    for backend in ("direct", "fft", "fftconv"):
        y = long_conv(x, weight, bias, backend=backend)
        found[backend] = [y.detach(), *torch.autograd.grad(y, (x, weight, bias), grad)]
    torch.testing.assert_close(found["fftconv"][0], layer(x).detach())
    for backend in ("fft", "fftconv"):
        for one, other in zip(found[backend], found["direct"], strict=True):
            assert error(one, other) < 1e-5


@pytest.mark.parametrize(("make", "theirs"), [(SimpleNet, their_simplenet), (Puffin, their_puffin)])
def test_predictions_and_gradients(make, theirs):
    torch.manual_seed(0)
    net, x, target = make(), sequences(2, 1200), torch.rand(2, 10, 1200)
    used = [p for name, p in net.named_parameters() if not name.startswith("scaler")]
    results = []
    for call in (net, lambda x: theirs(net, x)):
        prediction = call(x)
        loss = sum(term.mean() for term in loss_terms(net, prediction, target).values())
        results.append([prediction.detach(), *torch.autograd.grad(loss, used)])
    for ours, other in zip(*results, strict=True):
        assert error(ours, other) < 1e-5


def test_published_weights_predict_the_same(mirror):
    net, x = Puffin.from_published(mirror / "puffin.pth"), sequences(1, 4650)
    with torch.no_grad():
        assert error(net(x), their_puffin(net, x)) < 1e-5

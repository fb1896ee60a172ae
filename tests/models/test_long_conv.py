"""long_conv: the same numbers by every way, forth and back."""

from __future__ import annotations

import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.support import refusal
from tssbook.models.long_conv import LongConv1d, _transform_size, long_conv

# N, C_in, C_out, L, width: Puffin's sizes made small; one channel; L below the width; width 1;
# an odd and a prime length.
SHAPES = [(3, 8, 5, 400, 101), (1, 1, 1, 64, 7), (2, 3, 4, 50, 151), (2, 3, 2, 30, 1)]
SHAPES += [(2, 4, 3, 331, 63)]
SHIFT = torch.tensor([[[1.0, 0.0, 0.0]]])  # the filter that reads the base before


def drawn(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    n, n_in, n_out, length, width = shape
    generator = torch.Generator().manual_seed(0)
    sizes = [(n, n_in, length), (n_out, n_in, width), (n_out,), (n, n_out, length)]
    return tuple(torch.randn(s, generator=generator, dtype=torch.float64).to(dtype) for s in sizes)


def forth_and_back(call, *inputs: Tensor, grad: Tensor) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    y = call(*leaves)
    return [y.detach(), *torch.autograd.grad(y, leaves, grad)]


def error(found: Tensor, wanted: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


@pytest.mark.parametrize("backend", ["direct", "fft"])
def test_by_hand(backend):
    # A cross-correlation: y[i] = x[i - 1] * w[0] + x[i] * w[1] + x[i + 1] * w[2].
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    y = long_conv(x, torch.tensor([[[1.0, 10.0, 100.0]]]), torch.tensor([0.5]), backend=backend)
    torch.testing.assert_close(y, torch.tensor([[[210.5, 321.5, 432.5, 43.5]]]))
    shifted = long_conv(x, SHIFT, backend=backend)
    torch.testing.assert_close(shifted, torch.tensor([[[0.0, 1.0, 2.0, 3.0]]]))


@pytest.mark.parametrize("shape", SHAPES)
def test_fft_is_the_convolution_in_double_precision(shape):
    *inputs, grad = drawn(shape)
    direct = forth_and_back(lambda *a: long_conv(*a, backend="direct"), *inputs, grad=grad)
    ours = forth_and_back(lambda *a: long_conv(*a, backend="fft"), *inputs, grad=grad)
    for found, wanted in zip(ours, direct, strict=True):
        assert found.shape == wanted.shape
        assert error(found, wanted) < 1e-13


@pytest.mark.parametrize("backend", ["direct", "fft"])
@pytest.mark.parametrize("shape", SHAPES)
def test_single_precision_agrees_to_1e_5(shape, backend):
    *exact, grad = drawn(shape)
    wanted = forth_and_back(lambda *a: long_conv(*a, backend="direct"), *exact, grad=grad)
    *inputs, grad = drawn(shape, torch.float32)
    found = forth_and_back(lambda *a: long_conv(*a, backend=backend), *inputs, grad=grad)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == torch.float32
        assert error(one, other) < 1e-5


def test_gradient_is_that_of_small_differences():
    x, weight, *_ = drawn((1, 2, 2, 12, 5))
    leaves = (x.requires_grad_(), weight.requires_grad_())
    assert torch.autograd.gradcheck(lambda *a: long_conv(*a, backend="fft"), leaves)


@pytest.mark.parametrize("which", [0, 1])
def test_only_the_gradients_that_are_wanted(which):
    *inputs, _, grad = drawn(SHAPES[0])
    inputs[which].requires_grad_()
    y = long_conv(*inputs, backend="fft")
    (found,) = torch.autograd.grad(y, inputs[which], grad)
    y = long_conv(*inputs, backend="direct")
    (wanted,) = torch.autograd.grad(y, inputs[which], grad)
    assert error(found, wanted) < 1e-13


def test_views_with_other_strides():
    x, weight, bias, _ = drawn(SHAPES[0])
    flipped, turned = x.transpose(0, 1).contiguous().transpose(0, 1), weight.flip(-1)[..., ::2]
    assert not flipped.is_contiguous()
    found = long_conv(flipped, turned, bias, backend="fft")
    assert error(found, F.conv1d(x, turned, bias, padding=25)) < 1e-13


def test_a_second_derivative_is_refused():
    x, weight, *_ = drawn((1, 2, 2, 12, 5))
    y = long_conv(x, weight.requires_grad_(), backend="fft")
    (first,) = torch.autograd.grad(y.square().sum(), weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_half_precision_is_computed_in_single():
    *exact, _ = drawn(SHAPES[0])
    half = [tensor.bfloat16() for tensor in exact]
    wanted = long_conv(*(tensor.double() for tensor in half), backend="direct")
    found = long_conv(*half, backend="fft")
    assert found.dtype == torch.bfloat16
    # Rounded once, at the end: at most half of bfloat16's last place, 2**-8 of each value.
    torch.testing.assert_close(found.double(), wanted, rtol=2**-8, atol=1e-4)


def test_autocast_leaves_the_products_in_single_precision():
    x, weight, bias, grad = drawn(SHAPES[0], torch.float32)
    wanted = forth_and_back(lambda *a: long_conv(*a, backend="fft"), x, weight, bias, grad=grad)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (x[0] @ x[0].T).dtype == torch.bfloat16  # it is on
        found = forth_and_back(lambda *a: long_conv(*a, backend="fft"), x, weight, bias, grad=grad)
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize(
    ("width", "device", "fft"),
    [(3, "cpu", False), (49, "cpu", False), (51, "cpu", True), (601, "cpu", True),
     (601, "meta", False)],  # meta: as on a device without transforms
)  # fmt: skip
def test_choice_of_backend(width, device, fft):
    weight = torch.zeros(2, 2, width, device=device, requires_grad=True)
    y = long_conv(torch.zeros(1, 2, 900, device=device), weight)
    assert ("FFT" in y.grad_fn.name()) == fft


def test_layer_is_that_of_pytorch():
    torch.manual_seed(0)
    ours = LongConv1d(3, 2, 101)
    torch.manual_seed(0)
    theirs = nn.Conv1d(3, 2, 101, padding=50)
    assert list(ours.state_dict()) == ["weight", "bias"]
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)
    x = torch.randn(2, 3, 200)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=0)


def test_transform_sizes():
    # 4,950 = 2 * 9 * 25 * 11 has the factor 11; 5,000 = 8 * 625 is the next without.
    assert [_transform_size(n) for n in (1, 11, 1950, 4950)] == [1, 12, 1960, 5000]


def test_wrong_input():
    x, weight = torch.zeros(1, 2, 30), torch.zeros(3, 2, 5)
    assert "4 wide; wanted an odd width" in refusal(lambda: long_conv(x, weight[..., :4]))
    assert "'fast'; wanted one of direct, fft, fftconv" in refusal(
        lambda: long_conv(x, weight, backend="fast")
    )
    assert "x is (2, 30)" in refusal(lambda: long_conv(x[0], weight))
    assert "same C_in" in refusal(lambda: long_conv(x[:, :1], weight))


def test_fftconv_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fftconv", None)
    x, weight = torch.zeros(1, 2, 30), torch.zeros(3, 2, 5)
    message = refusal(lambda: long_conv(x, weight, backend="fftconv"), ModuleNotFoundError)
    assert "pip install torch-fftconv" in message

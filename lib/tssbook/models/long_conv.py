"""Convolutions with very long filters, fast on a CPU: the second layer of Chapter 3's networks.

Puffin's effect kernels are 601 bases long. A convolution with so many taps is a product in the
frequency domain: transform the sequences and the filters, multiply, transform back. That is what
`long_conv` does with ``backend="fft"``, exactly as PyTorch's own convolution up to rounding.

What makes it fast, and why it is not left to autograd:

* the product of one frequency is a small matrix product over the channels, so all frequencies
  together are one batched matrix product; written with real numbers it is done by the
  processor's fastest routine;
* the transforms have the next length that falls apart into small primes, and only half of
  the frequencies are there, because the signals are real;
* the backward pass uses the transforms that the forward pass has made.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["BACKENDS", "LongConv1d", "long_conv"]

BACKENDS = ("direct", "fft", "fftconv")

# From this width on "fft" is the faster one: measured on a CPU with 80 channels in and 10 out,
# where at width 25 it depends on the batch, and at 51 "direct" takes up to 12 times as long.
_WIDE = 51


def long_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, backend: str | None = None
) -> Tensor:
    """Convolve along the last axis with filters of odd width, zeros outside, length kept.

    The same as ``F.conv1d(x, weight, bias, padding=width // 2)``: as in all of deep learning a
    cross-correlation, the filter is not flipped.

    Parameters
    ----------
    x
        ``(N, C_in, L)``.
    weight
        ``(C_out, C_in, width)``.
    bias
        ``(C_out,)``.
    backend
        ``"direct"`` is PyTorch's convolution, ``"fft"`` this module's, ``"fftconv"`` that of the
        package torch-fftconv, which Puffin's authors use. None takes the faster of the first two.

    Returns
    -------
    torch.Tensor
        ``(N, C_out, L)``. ``"fft"`` computes half precision in ``float32``, also under autocast,
        and has no second derivative.

    Raises
    ------
    ValueError
        If the shapes do not fit, the width is even, or there is no such backend.
    ModuleNotFoundError
        If ``"fftconv"`` is wanted and torch-fftconv is not installed.
    """
    if x.ndim != 3 or weight.ndim != 3 or x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"x is {tuple(x.shape)} and the weight {tuple(weight.shape)}; wanted (N, C_in, L) and "
            f"(C_out, C_in, width) with the same C_in."
        )
    width = weight.shape[-1]
    if width % 2 == 0:
        raise ValueError(f"The filters are {width} wide; wanted an odd width, with a middle.")
    if backend is None:
        backend = "fft" if width >= _WIDE and x.device.type in ("cpu", "cuda") else "direct"
    if backend == "direct":
        return F.conv1d(x, weight, bias, padding=width // 2)
    if backend == "fft":
        return _by_fft(x, weight, bias)
    if backend == "fftconv":
        return _by_fftconv(x, weight, bias)
    raise ValueError(f"backend is {backend!r}; wanted one of {', '.join(BACKENDS)}, or None.")


class LongConv1d(nn.Conv1d):
    """``nn.Conv1d`` of odd width that keeps the length, computed by `long_conv`.

    Parameters and their first values are those of ``nn.Conv1d``, so state dicts of either fit.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int) -> None:
        super().__init__(in_channels, out_channels, width, padding=width // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, L)`` to ``(N, out_channels, L)``."""
        return long_conv(x, self.weight, self.bias)


def _by_fft(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    wanted = torch.promote_types(x.dtype, weight.dtype)
    exact = torch.promote_types(wanted, torch.float32)
    y = _FFTConv.apply(x.to(exact), weight.to(exact))
    if bias is not None:
        y = y + bias[:, None]
    return y.to(wanted)


def _by_fftconv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    try:
        from torch_fftconv import fft_conv1d
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'backend "fftconv" needs {error.name}, which is not installed: '
            f"pip install torch-fftconv, or leave the backend out",
            name=error.name,
        ) from error
    return fft_conv1d(x, weight, bias, padding=weight.shape[-1] // 2)


class _FFTConv(torch.autograd.Function):
    """``F.conv1d(x, weight, padding="same")`` in the frequency domain, forth and back.

    A cross-correlation multiplies by complex conjugates. For each of the F frequencies, with the
    signal ``X`` ``(N, C_in)``, the filters ``W`` ``(C_in, C_out)`` and the gradient ``G``
    ``(N, C_out)``: forth ``X conj(W)``; back ``G W^T`` for the signal, ``X^T conj(G)`` for the
    filters. The real matrices hold ``X`` as rows, real parts above imaginary parts, and ``W`` as
    columns, each real part beside its imaginary part.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        n, _, length = x.shape
        width = weight.shape[-1]
        size = _transform_size(length + width // 2)
        with _full_precision(x):
            signal = torch.view_as_real(_transform(x, size)).permute(0, 3, 1, 2)  # (F, 2, N, C_in)
            signal = signal.flatten(1, 2)  # (F, 2 N, C_in)
            filters = _transform(_circle(weight.transpose(0, 1), size), size)
            filters = torch.view_as_real(filters).flatten(2)  # (F, C_in, 2 C_out)
            ctx.save_for_backward(signal, filters)
            ctx.sizes = size, length, width
            products = torch.bmm(signal, filters).view(-1, 2, n, len(weight), 2)
            real, imaginary = torch.view_as_complex(products).unbind(1)  # parts of X, times W
            return _back((real - 1j * imaginary).conj_physical(), size)[..., :length]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        signal, filters = ctx.saved_tensors
        size, length, width = ctx.sizes
        n, n_out, _ = grad.shape
        for_x = for_weight = None
        with _full_precision(grad):
            grad = _transform(grad, size).conj_physical()  # (F, N, C_out)
            # Rows: Re G beside -Im G; below them Im G beside Re G.
            grad = torch.view_as_real(torch.stack((grad, 1j * grad), 1)).view(-1, 2 * n, 2 * n_out)
            if ctx.needs_input_grad[0]:
                parts = torch.bmm(grad, filters.transpose(1, 2)).unflatten(1, (2, n))
                for_x = _back(torch.complex(*parts.unbind(1)), size)[..., :length]
            if ctx.needs_input_grad[1]:
                parts = torch.bmm(signal.transpose(1, 2), grad).unflatten(2, (n_out, 2))
                circle = _back(torch.view_as_complex(parts), size)
                for_weight = _straight(circle, width).transpose(0, 1)
        return for_x, for_weight


def _full_precision(x: Tensor) -> torch.autocast:
    """Switch off autocast, which would do the matrix products in half precision."""
    return torch.autocast(x.device.type, enabled=False)


def _transform_size(least: int) -> int:
    """Return the next length without prime factors above 7: for others transforms are slow."""
    size = least
    while True:
        rest = size
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1


def _transform(x: Tensor, size: int) -> Tensor:
    """Transform ``(N, C, L)`` to complex ``(F, N, C)``."""
    # Two axes at a time: PyTorch transposes matrices several times faster than it permutes.
    return torch.fft.rfft(x, size).flatten(0, 1).t().contiguous().unflatten(1, x.shape[:2])


def _back(transformed: Tensor, size: int) -> Tensor:
    """Transform complex ``(F, N, C)`` back to ``(N, C, size)``."""
    rows = transformed.flatten(1).t().contiguous()
    return torch.fft.irfft(rows, size).unflatten(0, transformed.shape[1:])


def _circle(weight: Tensor, size: int) -> Tensor:
    """Lay filters ``(..., width)`` on a circle: the middle at 0, what is before it at the end."""
    half = weight.shape[-1] // 2
    circle = weight.new_zeros(*weight.shape[:-1], size)
    circle[..., : half + 1] = weight[..., half:]
    circle[..., size - half :] = weight[..., :half]
    return circle


def _straight(circle: Tensor, width: int) -> Tensor:
    """Undo `_circle`."""
    half = width // 2
    return torch.cat((circle[..., circle.shape[-1] - half :], circle[..., : half + 1]), -1)

"""Predictions of ProCapNet in less time, without gradients.

The same numbers as ``ProCapNet.forward``, up to rounding, with three differences in the work:

* **Borders are trimmed layer by layer.** No convolution is padded, so each returns only the
  positions on which an output depends: 1,586 of 2,114 after the seventh dilated convolution.
* **Positions are rows, filters are columns.** Then every tap of a dilated filter is a matrix
  product of contiguous rows, added in place. PyTorch's convolution (oneDNN's) does that for 2-D
  images in the memory format ``channels_last``, so a sequence goes in as an image of height 1. In
  the usual order of 1-D data it copies all neighbourhoods first if the dilation is 8 or more.
* **The profile's convolution is one matrix product.** It has only two filters: a convolution with
  so few leaves most of the processor idle.

Training and attributions need gradients and use the model itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tssbook.models.procapnet import ProCapNet
from tssbook.sequence import require_sequences

__all__ = ["FastProCapNet"]

# Filters times positions that go through the network together: few enough for the processor's
# cache, and memory that does not grow with the batch. One sequence of 2,114 bp with 512 filters.
_VALUES = 1 << 20
_VALUES_ON_CUDA = 1 << 25


class FastProCapNet(nn.Module):
    """A `ProCapNet` for predictions: same outputs, faster on a CPU, not differentiable.

    Goes wherever the model goes for predictions, into `tssbook.training.predict` for example. It
    holds the model itself and no copy of its weights: when they change, so do its predictions.

    Parameters
    ----------
    model
        The model to run; stays as it is.

    Attributes
    ----------
    model : ProCapNet
        The same one.
    trim : int
        Its trim.

    Raises
    ------
    TypeError
        If ``model`` is no `ProCapNet`.
    """

    def __init__(self, model: ProCapNet) -> None:
        super().__init__()
        if not isinstance(model, ProCapNet):
            raise TypeError(
                f"The model is a {type(model).__name__}; wanted a ProCapNet: only its layers can "
                "be run in this way."
            )
        self.model, self.trim = model, model.trim

    @property
    def trained_on(self) -> Mapping[str, Any]:
        """What the model was trained on."""
        return self.model.trained_on

    @torch.no_grad()
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map one-hot ``(N, 4, L)`` to profile and count, with ``L_out = L - 2 * trim``.

        Returns
        -------
        tuple
            As of `ProCapNet`: ``profile_logits``, ``(N, 2, L_out)``, and ``count_logits``,
            ``(N, 1)``. Without gradients.

        Raises
        ------
        ValueError
            If ``x`` has another shape, wants a gradient, or is too short to leave an output.
        """
        require_sequences(x)
        if x.requires_grad:
            raise ValueError(
                "x wants a gradient, and FastProCapNet has none; call the model that it was made "
                "from, or x.detach()."
            )
        if x.shape[-1] <= 2 * self.trim:
            return self.model(x)  # the refusal is the model's own
        values = _VALUES_ON_CUDA if x.is_cuda else _VALUES
        n_together = max(1, values // (self.model.iconv.out_channels * x.shape[-1]))
        parts = [_heads(self.model, _trunk(self.model, part)) for part in x.split(n_together)]
        profiles, counts = zip(*parts, strict=True)
        return torch.cat(profiles), torch.cat(counts)


def _trunk(model: ProCapNet, x: Tensor) -> Tensor:
    """Return what the heads look at, position-major: ``(N, L_out + 74, n_filters)``."""
    x = x[:, :, None].contiguous(memory_format=torch.channels_last)  # (N, 4, 1, L)
    x = _unpadded(model.iconv, x).relu_()  # (N, n_filters, 1, L - 20)
    for conv in model.rconvs:
        d = conv.dilation[0]
        x = _unpadded(conv, x).relu_().add_(x[..., d:-d])  # 2 * d positions fewer
    return x[:, :, 0].transpose(1, 2)


def _unpadded(conv: nn.Conv1d, x: Tensor) -> Tensor:
    return F.conv2d(x, conv.weight[:, :, None], conv.bias, dilation=(1, conv.dilation[0]))


def _heads(model: ProCapNet, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Map ``(N, L_out + 74, n_filters)`` to ``(N, 2, L_out)`` and ``(N, 1)``."""
    weight, bias = model.fconv.weight, model.fconv.bias
    n_strands, _, width = weight.shape
    taps = weight.transpose(1, 2).flatten(0, 1)  # (2 * 75, n_filters)
    products = F.linear(rows, taps).unflatten(-1, (n_strands, width))  # (N, L_out + 74, 2, 75)
    # An output is the sum of its 75 taps, each one row further: a diagonal.
    n, row, strand, tap = products.stride()
    shape = (len(rows), n_strands, rows.shape[1] - width + 1, width)
    profile = products.as_strided(shape, (n, strand, row, row + tap)).sum(-1)
    return profile + bias[:, None], model.linear(rows.mean(1))

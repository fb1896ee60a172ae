"""Effects of single-base changes, computed from what they change and nothing else.

A changed base reaches a few neighbours in the first convolution, a few more in the second, and
so on; everything outside that window is as in the unchanged sequence. So only differences are
carried from layer to layer, and they are exact, not an approximation:

* **A convolution is linear**: a change ``d`` of its input changes its output by the convolution
  of ``d`` alone. With positions as rows, the changes of all edits at one position side by side,
  each tap of a filter is one matrix product, added to neighbouring rows.
* **Through a ReLU** (and a max-pool before it) a change ``d`` of ``b`` goes as
  ``relu(max(b + d)) - r = max(max((b - r) + d), -r)``, where ``r = relu(max(b))`` belongs to the
  unchanged sequence. ``b - r`` and ``-r`` are prepared once per sequence (:func:`_pivots`).
  Rows that do not exist, beyond the ends, are minus infinity in ``b - r``: they never win.
* **Batch norm** in evaluation mode is part of the convolution; **an average** changes by the sum
  of the differences.

:mod:`tssbook.interpret.mutagenesis` chooses these functions by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tssbook.models.procapnet import ProCapNet
from tssbook.models.promoter import PromoterNet

__all__ = ["Changes", "procapnet_changes", "product", "promoter_changes"]

# Which of the edits, and by how much each output changes: ``(E,)`` and ``(E, ...)``.
Changes = Iterator[tuple[Tensor, tuple[Tensor, ...]]]

# Edits of PromoterNet at a time, and ProCapNet's filters times positions: windows that stay in the
# processor's cache, and matrix products that are large enough.
_EDITS, _POSITIONS = 512, 1024
_POSITIONS_ON_CUDA = 8192  # large kernels pay there
_BLOCK = 10  # neighbouring rows that are convolved to ProCapNet's profile together

_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def product(rows: Tensor, weight: Tensor) -> Tensor:
    """Return ``rows @ weight.T``, ``(R, C_in)`` with ``(C_out, C_in)``.

    On a CPU by oneDNN, as PyTorch's convolutions and compiled models do it. A plain ``@`` is
    MKL's, which takes twice the time on processors of AMD.
    """
    if _ONEDNN and rows.device.type == "cpu" and weight.shape[1] > 4:
        return torch.ops.mkldnn._linear_pointwise(rows, weight, None, "none", [], "")
    return rows @ weight.T


def _pivots(before: Tensor, pool: int = 1) -> tuple[Tensor, Tensor]:
    """Return ``b - r`` and ``-r`` of values before max-pool and ReLU, rows ``(positions, C)``."""
    after = before.unflatten(0, (-1, pool)).amax(1).relu()
    return before - after.repeat_interleave(pool, 0), -after


# --- Chapter 2 ------------------------------------------------------------------------------


class _Layer(NamedTuple):
    """A convolution, max-pool and ReLU, with what it made of the unchanged sequence."""

    filters: Tensor  # (width, C_out, C_in)
    pool: int
    margin: int  # rows before the first position, after the pool
    shifted: Tensor  # (positions, C_out)
    floor: Tensor  # (positions // pool, C_out)


def promoter_changes(model: PromoterNet, x: Tensor, bases: Tensor, positions: Tensor) -> Changes:
    """Yield the changes of a `PromoterNet`'s prediction, some edits at a time.

    Edits whose positions leave the same remainder after division by both pools meet the pools'
    borders in the same way, so their windows have the same shape and go together.

    Parameters
    ----------
    model
        In evaluation mode.
    x
        One sequence, ``(4, L)``, ``float32``, on the model's device.
    bases, positions
        The new base (0 to 3) of each edit and its place, ``(E,)``.
    """
    layers, features = _promoter_layers(model, x)
    period = math.prod(layer.pool for layer in layers)
    n_positions = len(layers[-1].floor) - 2 * layers[-1].margin
    hidden = _pivots(model.linear1(features)[None])
    for remainder in range(period):
        group = (positions % period == remainder).nonzero()[:, 0]
        for index in group.split(_EDITS) if len(group) else ():
            where, base = positions[index].to(x.device), bases[index].to(x.device)
            change = F.one_hot(base, 4) - x.T[where]  # (E, 4)
            change = _through(layers, change, where // period, remainder, period)
            change = change.sum(0) / n_positions @ model.linear1.weight.T  # (E, n_hidden)
            change = torch.maximum(hidden[0] + change, hidden[1]) @ model.linear2.weight.T
            yield index, (change.squeeze(-1),)


def _promoter_layers(model: PromoterNet, x: Tensor) -> tuple[list[_Layer], Tensor]:
    """Run the trunk over the unchanged sequence; return its layers and the features."""
    layers: list[_Layer] = []
    pool, reach = model.pool.kernel_size, 0
    steps = ((model.conv1, model.bn1, pool), (model.conv2, model.bn2, pool))
    for conv, norm, size in (*steps, (model.conv3, model.bn3, 1)):
        filters, bias = _folded(conv, norm)
        half = conv.kernel_size[0] // 2
        before = F.conv1d(x[None], filters, bias, padding=half)[0].T  # (positions, C)
        # A pool drops what is left over at the right end.
        shifted, floor = _pivots(before[: len(before) // size * size], size)
        x = -floor.T
        # So far do windows reach beyond the ends; one more because of what was dropped.
        reach = math.ceil((reach + half) / size) + 1
        shifted = F.pad(shifted, (0, 0, reach * size, reach * size), value=-math.inf)
        floor = F.pad(floor, (0, 0, reach, reach))
        taps = filters.permute(2, 0, 1).contiguous()
        layers.append(_Layer(taps, size, reach, shifted, floor))
    return layers, x.mean(-1)


def _folded(conv: nn.Conv1d, norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the convolution that does the batch norm's work as well."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias = (conv.bias - norm.running_mean) * scale + norm.bias
    return conv.weight * scale[:, None, None], bias


def _through(
    layers: list[_Layer], change: Tensor, group: Tensor, remainder: int, period: int
) -> Tensor:
    """Carry the changes of ``E`` edits at ``group * period + remainder`` through all layers.

    Returns
    -------
    torch.Tensor
        Changes of the last layer's output, ``(positions of the window, E, C)``.
    """
    n_edits = len(change)
    first = last = remainder  # the changed window, counted from group * period
    for layer in layers:
        half, pool = len(layer.filters) // 2, layer.pool
        low, high = (first - half) // pool, (last + half) // pool  # the next window
        rows = torch.arange(low * pool, (high + 1) * pool, device=change.device)[:, None]
        rows = rows + group * period + layer.margin * pool
        out = layer.shifted.index_select(0, rows.flatten())  # (positions * E, C)
        for tap, weight in enumerate(layer.filters):
            start = (first + half - tap - low * pool) * n_edits
            out[start : start + len(change)] += product(change, weight)
        out = out.view(high - low + 1, pool, n_edits, -1).amax(1).flatten(0, 1)
        period //= pool
        rows = torch.arange(low, high + 1, device=change.device)[:, None]
        rows = rows + group * period + layer.margin
        floor = layer.floor.index_select(0, rows.flatten())
        change = torch.maximum(out, floor, out=out)
        first, last = low, high
    return change.view(last - first + 1, n_edits, -1)


# --- Chapter 4 ------------------------------------------------------------------------------


def procapnet_changes(model: ProCapNet, x: Tensor, bases: Tensor, positions: Tensor) -> Changes:
    """Yield the changes of a `ProCapNet`'s profile and count, some edits at a time.

    Edits at neighbouring positions share one window, as wide as the outermost of them needs and
    clipped, layer by layer, to what the outputs depend on. That never includes the zeros beyond
    the sequence's ends.

    Parameters
    ----------
    model
        In evaluation mode.
    x
        One sequence, ``(4, L)``, ``float32``, on the model's device.
    bases, positions
        The new base (0 to 3) of each edit and its place, ``(E,)``; places in rising order.
    """
    trunk = _Trunk(model, x)
    filters = _profile_filters(model.fconv.weight)
    values, most = (_POSITIONS_ON_CUDA, 128) if x.is_cuda else (_POSITIONS, 8)
    together = min(most, max(1, values // model.fconv.in_channels))
    sizes = torch.unique_consecutive(positions // together, return_counts=True)[1]
    for index in torch.arange(len(positions)).split(sizes.tolist()):
        change, start = trunk.changes(bases[index], positions[index])  # (rows, E, C)
        count = change.sum(0) / trunk.n_seen @ model.linear.weight.T  # (E, 1)
        profile = _profile(change, filters)  # (E, 2, positions)
        result = x.new_zeros(len(index), 2, x.shape[-1] - 2 * model.trim)
        start -= model.trim + model.fconv.kernel_size[0] // 2
        low, high = max(start, 0), min(start + profile.shape[-1], result.shape[-1])
        result[..., low:high] = profile[..., low - start : high - start]
        yield index, (result, count)


class _Trunk:
    """ProCapNet up to its heads, over one unchanged sequence."""

    def __init__(self, model: ProCapNet, x: Tensor) -> None:
        self.x = x
        self.taps = [conv.weight.permute(2, 0, 1).contiguous() for conv in model.rconvs]
        self.dilations = [conv.dilation[0] for conv in model.rconvs]
        self.half = model.iconv.kernel_size[0] // 2
        self.first = model.iconv.weight.permute(2, 1, 0).flatten(0, 1)  # (21 * 4, C)
        before = model.iconv(x[None])
        after = before.relu()
        self.pivots = [_pivots(before[0].T.contiguous())]
        for conv in model.rconvs:
            before = conv(after)
            after = after + before.relu()
            self.pivots.append(_pivots(before[0].T.contiguous()))
        edge = self.half + sum(self.dilations)
        self.n_seen = x.shape[-1] - 2 * edge  # positions that the heads look at
        # Two buffers in turn: fresh memory for every window would cost a fifth of the time.
        self.spare = [x.new_empty(0), x.new_empty(0)]

    def changes(self, bases: Tensor, positions: Tensor) -> tuple[Tensor, int]:
        """Return the changes of the trunk's output, ``(rows, E, C)``, and the first row's place."""
        change, low = self._first_layer(bases, positions)
        edge, length = self.half, self.x.shape[-1]
        n_edits, n_filters = change.shape[1:]
        for i, (taps, dilation) in enumerate(zip(self.taps, self.dilations, strict=True)):
            edge += dilation  # outputs do not depend on what is nearer to the ends
            high = low + len(change)
            start, stop = max(low - dilation, edge), min(high + dilation, length - edge)
            shifted, floor = (pivot[start:stop, None] for pivot in self.pivots[i + 1])
            out = self._buffer(i % 2, stop - start, n_edits, n_filters).copy_(shifted)
            for weight, shift in zip(taps, (dilation, 0, -dilation), strict=True):
                a, b = max(low + shift, start), min(high + shift, stop)
                if a < b:
                    source = change[a - shift - low : b - shift - low].flatten(0, 1)
                    out[a - start : b - start].flatten(0, 1).add_(product(source, weight))
            torch.maximum(out, floor, out=out)
            a, b = max(low, start), min(high, stop)
            if a < b:  # the residual connection
                out[a - start : b - start] += change[a - low : b - low]
            change, low = out, start
        return change, low

    def _first_layer(self, bases: Tensor, positions: Tensor) -> tuple[Tensor, int]:
        half, length, n_edits = self.half, self.x.shape[-1], len(positions)
        low = max(int(positions[0]) - half, half)
        high = min(int(positions[-1]) + half + 1, length - half)
        bases, positions = bases.to(self.x.device), positions.to(self.x.device)
        edit = torch.arange(n_edits, device=self.x.device)
        inputs = self.x.new_zeros(n_edits, high - low + 2 * half, 4)  # from low - half on
        inputs[edit, positions - low + half] = F.one_hot(bases, 4) - self.x.T[positions]
        windows = inputs.flatten(1).unfold(1, len(self.first), 4)  # (E, rows, 21 * 4)
        change = windows.transpose(0, 1) @ self.first  # (rows, E, C)
        shifted, floor = (pivot[low:high, None] for pivot in self.pivots[0])
        return torch.maximum(change + shifted, floor), low

    def _buffer(self, which: int, *shape: int) -> Tensor:
        size = math.prod(shape)
        if self.spare[which].numel() < size:
            self.spare[which] = self.x.new_empty(size)
        return self.spare[which][:size].view(shape)


def _profile_filters(weight: Tensor) -> Tensor:
    """Spread the profile's filters ``(2, C, 75)`` over a block of neighbouring rows.

    Returns
    -------
    torch.Tensor
        ``(2 * places, 10 * C)``: what each row of a block adds to each place that it reaches,
        from 37 positions before the block on; places are a multiple of 10.
    """
    n_strands, n_filters, width = weight.shape
    places = math.ceil((_BLOCK + width - 1) / _BLOCK) * _BLOCK
    spread = weight.new_zeros(n_strands, places, _BLOCK, n_filters)
    for row in range(_BLOCK):
        spread[:, row : row + width, row] = weight.flip(-1).transpose(1, 2)
    return spread.view(n_strands * places, _BLOCK * n_filters)


def _profile(change: Tensor, filters: Tensor) -> Tensor:
    """Convolve changes ``(rows, E, C)`` to ``(E, 2, positions)``, from 37 before the first row on.

    A product per tap would be a poor one, with two outputs, so all taps of ten rows go into one.
    """
    n_rows, n_edits, n_filters = change.shape
    n_blocks = math.ceil(n_rows / _BLOCK)
    rows = change.new_empty(n_edits, n_blocks * _BLOCK, n_filters)
    rows[:, :n_rows] = change.transpose(0, 1)
    rows[:, n_rows:] = 0
    parts = product(rows.view(n_edits * n_blocks, -1), filters)
    parts = parts.view(n_edits, n_blocks, 2, -1, _BLOCK)
    n_parts = parts.shape[3]
    out = change.new_zeros(n_edits, 2, n_blocks + n_parts - 1, _BLOCK)
    for part in range(n_parts):
        out[:, :, part : part + n_blocks] += parts[:, :, :, part].transpose(1, 2)
    return out.flatten(2)

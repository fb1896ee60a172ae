"""From a convolution's filters, or a stack of aligned sequences, to sequence logos.

Chapter 1, sections 8 and 10.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tssbook.sequence import require_sequences

__all__ = ["frequencies", "information", "similarity", "site_counts"]


def frequencies(counts: Tensor) -> Tensor:
    """Turn counts of bases into frequencies.

    Parameters
    ----------
    counts
        ``(..., 4, L)``, not negative: for example ``one_hot(seqs).sum(0)``, where an N counts
        for no base.

    Returns
    -------
    torch.Tensor
        ``(..., 4, L)``; each column adds up to 1, or is NaN where nothing was counted.
    """
    _require_rows(counts)
    if (counts < 0).any():
        raise ValueError("The counts hold negative numbers; wanted 0 or more.")
    return counts / counts.sum(-2, keepdim=True)


def information(freqs: Tensor) -> Tensor:
    """Heights of the letters of an information-content logo, in bits.

    A column's information is ``2 + sum(f log2 f)``: 2 bits where one base is always there, 0
    where all four are equally frequent. Each letter gets its share ``f`` of it. No background
    other than one quarter per base is subtracted, and no correction is made for small samples,
    which look more informative than they are.

    Parameters
    ----------
    freqs
        ``(..., 4, L)``; each column adds up to 1, or is NaN, which stays NaN.

    Returns
    -------
    torch.Tensor
        ``(..., 4, L)``, bits.

    Source: Schneider and Stephens, 1990.
    """
    _require_rows(freqs)
    total = freqs.sum(-2)
    wrong = ~(total.isnan() | torch.isclose(total, torch.ones_like(total), atol=1e-4))
    if wrong.any():
        where = tuple(wrong.nonzero()[0].tolist())
        raise ValueError(
            f"Column {', '.join(map(str, where))} (counted from 0) adds up to "
            f"{float(total[where]):g}; wanted frequencies, which add up to 1: call frequencies "
            "first."
        )
    bits = 2 + torch.special.xlogy(freqs, freqs).sum(-2, keepdim=True) / torch.log(torch.tensor(2))
    return freqs * bits


@torch.no_grad()
def site_counts(conv: nn.Conv1d, x: Tensor, threshold: float) -> Tensor:
    """Count the bases under each filter wherever it responds above a threshold.

    Parameters
    ----------
    conv
        First layer of a model, ``(F, 4, W)`` weights, without padding, stride or dilation.
    x
        One-hot ``(N, 4, L)``.
    threshold
        A place counts if the response, bias included, is above this.

    Returns
    -------
    torch.Tensor
        ``(F, 4, W)`` counts; all zero for a filter that nothing activates.
    """
    require_sequences(x)
    plain = (conv.padding, conv.stride, conv.dilation) == ((0,), (1,), (1,))
    if not plain or conv.in_channels != x.shape[-2]:
        raise ValueError(
            f"The layer is {conv}; wanted 4 input channels and no padding, stride or dilation."
        )
    counts = torch.zeros_like(conv.weight)
    for part in x.to(conv.weight).split(1024):
        active = (conv(part) > threshold).to(part.dtype)  # (n, F, P)
        windows = part.unfold(-1, conv.kernel_size[0], 1)  # (n, 4, P, W)
        counts += torch.einsum("nfp,ncpw->fcw", active, windows)
    return counts


def similarity(matrix: Tensor, motif: Tensor) -> float:
    """Best Pearson correlation of a motif with a matrix, over all places where it fits inside.

    Parameters
    ----------
    matrix
        ``(4, L)``, such as the frequencies under a filter.
    motif
        ``(4, W)`` with ``W <= L``, such as ``one_hot("TAT")``.

    Returns
    -------
    float
        Between -1 and 1; NaN if the matrix is NaN or constant under every place.
    """
    _require_rows(matrix)
    _require_rows(motif)
    width = motif.shape[-1]
    if width > matrix.shape[-1]:
        raise ValueError(
            f"The motif has {width} columns and the matrix {matrix.shape[-1]}; wanted a motif "
            "that fits inside."
        )
    places = matrix.unfold(-1, width, 1).transpose(0, 1).flatten(1)  # (L - W + 1, 4 * W)
    both = torch.cat([motif.to(places).flatten()[None], places]).detach()
    fits = torch.corrcoef(both)[0, 1:]
    fits = fits[~fits.isnan()]  # where a matrix is constant under the motif
    return float(fits.max()) if len(fits) else math.nan


def _require_rows(x: Tensor) -> None:
    if x.ndim < 2 or x.shape[-2] != 4:
        raise ValueError(f"The array is {tuple(x.shape)}; wanted (..., 4, L), rows A, C, G, T.")

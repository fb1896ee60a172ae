"""How good is a prediction? Each number is computed along one axis, the last unless said.

A correlation over the wrong axis answers another question, so the axis is always explicit in
the name of what comes back: for tracks ``(N, T, L)``, ``dim=-1`` compares profiles and
``dim=0`` compares sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tssbook.sequence import require_positive, require_whole

__all__ = ["bootstrap_interval", "cluster_interval", "jsd", "mse", "pearson_r", "r2"]


def mse(prediction: Tensor, target: Tensor, dim: int = -1) -> Tensor:
    """Mean squared error along ``dim``, in the target's unit squared."""
    prediction, target = _checked(prediction, target)
    return (prediction - target).square().mean(dim)


def pearson_r(prediction: Tensor, target: Tensor, dim: int = -1) -> Tensor:
    """Pearson correlation along ``dim``, between -1 and 1.

    Where either side is constant the correlation is not defined and NaN comes back: leave
    those out and say how many, do not count them as zero.
    """
    prediction, target = _checked(prediction, target)
    p, t = _centred(prediction, dim), _centred(target, dim)
    return (p * t).sum(dim) / (p.square().sum(dim) * t.square().sum(dim)).sqrt()


def jsd(prediction: Tensor, target: Tensor, dim: int = -1) -> Tensor:
    """Jensen-Shannon distance of two profiles along ``dim``: 0 if alike, 0.833 if disjoint.

    Both are divided by their sums first. The distance is the root of what the entropy of their
    mean exceeds the mean of their entropies by; the logarithm is the natural one. NaN where one
    of the two is 0 everywhere.

    Raises
    ------
    ValueError
        If a value is negative, or shapes differ.
    """
    prediction, target = _checked(prediction, target)
    if (prediction < 0).any() or (target < 0).any():
        raise ValueError("A profile has negative values; wanted counts, rates or probabilities.")
    p, q = (x / x.sum(dim, keepdim=True) for x in (prediction, target))
    entropy = torch.special.entr
    excess = (entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2).sum(dim)
    return excess.clamp(min=0).sqrt()


def r2(prediction: Tensor, target: Tensor, dim: int = -1) -> Tensor:
    """Share of the target's variance that the prediction explains, along ``dim``.

    This is the coefficient of determination, ``1 - residual / total``: 1 is perfect, 0 is no
    better than the target's mean, and it can be negative. It is not the square of
    :func:`pearson_r`, which forgives a wrong scale and offset. NaN or -inf for a constant
    target.
    """
    prediction, target = _checked(prediction, target)
    total = _centred(target, dim).square().sum(dim)
    return 1 - (prediction - target).square().sum(dim) / total


def bootstrap_interval(
    metric: Callable[[Tensor, Tensor], Tensor],
    prediction: Tensor,
    target: Tensor,
    *,
    seed: int,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a metric over examples.

    Parameters
    ----------
    metric
        A function of ``(prediction, target)`` that returns one number, such as
        :func:`pearson_r`.
    prediction, target
        ``(N,)``. Examples are drawn with replacement, so they must be independent: genes of
        one family are not (:func:`cluster_interval`).
    seed
        Seed of the draws.
    n_resamples
        Number of resampled data sets.
    level
        Share of the resampled values inside the interval, 0 to 1.

    Returns
    -------
    tuple of float
        Lower and upper end; NaN where the metric of only one resampled data set is NaN, such as
        the correlation of a constant: so of very few examples.

    Raises
    ------
    ValueError
        Shapes differ or are not ``(N,)``, or a number is out of range.
    """
    prediction, target = _checked(prediction, target)
    if prediction.ndim != 1:
        raise ValueError(f"The prediction is {tuple(prediction.shape)}; wanted (N,).")

    def one(rng: np.random.Generator) -> float | Tensor:
        i = torch.from_numpy(rng.integers(len(target), size=len(target)))
        return metric(prediction[i], target[i])

    return _interval(one, seed, n_resamples, level)


def cluster_interval(
    statistic: Callable[[Tensor], float | Tensor],
    clusters: Sequence[object] | np.ndarray,
    *,
    seed: int,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of rows that are not independent.

    Whole clusters are drawn with replacement: families, chromosomes, pieces of a genome.

    Parameters
    ----------
    statistic
        A function of row numbers ``(n,)``, int64 and with repeats, that returns one number: such
        as ``lambda rows: pearson_r(a[rows], b[rows]) - pearson_r(c[rows], b[rows])``.
    clusters
        The cluster of each row, ``(N,)``: names or numbers. Rows that have none here are left
        out without a word: this function does not see the data.
    seed, n_resamples, level
        As of :func:`bootstrap_interval`.

    Returns
    -------
    tuple of float
        Lower and upper end, or NaN, as of :func:`bootstrap_interval`. With fewer than about ten
        clusters they say little.

    Raises
    ------
    ValueError
        There are no two clusters, a row is of none (NaN), or a number is out of range.
    """
    clusters = np.asarray(clusters, dtype=object)  # as text, NaN would be a name
    if clusters.ndim != 1:
        raise ValueError(f"The clusters are {clusters.shape}; wanted (N,), one for each row.")
    cluster, names = pd.factorize(clusters, sort=True)
    if (cluster < 0).any():
        raise ValueError(f"Row {(cluster < 0).argmax()} is of no cluster (NaN); wanted one each.")
    if len(names) < 2:
        raise ValueError(f"Clusters in these {len(cluster)} rows: {len(names)}; wanted 2 or more.")
    rows, sizes = np.argsort(cluster, kind="stable"), np.bincount(cluster)
    ends = np.cumsum(sizes)  # of each cluster's rows, which lie side by side

    def one(rng: np.random.Generator) -> float | Tensor:
        drawn = rng.integers(len(names), size=len(names))
        size = sizes[drawn]
        place = np.arange(size.sum()) + np.repeat(ends[drawn] - np.cumsum(size), size)
        return statistic(torch.from_numpy(rows[place]))

    return _interval(one, seed, n_resamples, level)


def _interval(
    one: Callable[[np.random.Generator], float | Tensor], seed: int, n_resamples: int, level: float
) -> tuple[float, float]:
    """Draw many values, one at a time, and return the ends of the middle share of them."""
    require_whole(seed=seed)
    require_positive(n_resamples=n_resamples)
    if not isinstance(level, Real) or not 0 <= level <= 1:
        raise ValueError(f"level is {level!r}; wanted a share of 0 to 1, such as 0.95.")
    rng = np.random.default_rng(seed)
    values = [float(one(rng)) for _ in range(n_resamples)]
    lower, upper = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)


def _centred(x: Tensor, dim: int) -> Tensor:
    """Subtract the mean; exactly zero where all are equal, which rounding would hide."""
    constant = (x == x.narrow(dim, 0, 1)).all(dim, keepdim=True)
    return (x - x.mean(dim, keepdim=True)).masked_fill(constant, 0)


def _checked(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Refuse different shapes, and compute in float64: sums over genomes lose digits."""
    prediction, target = torch.as_tensor(prediction), torch.as_tensor(target)
    if prediction.shape != target.shape:
        raise ValueError(
            f"The prediction is {tuple(prediction.shape)} and the target {tuple(target.shape)}; "
            "wanted the same shape."
        )
    if prediction.numel() == 0:
        raise ValueError("There is nothing to compare: the arrays are empty.")
    return prediction.cpu().double(), target.cpu().double()

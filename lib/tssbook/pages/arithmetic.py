"""The numbers in the book's pictures: small enough to check by hand.

`pages.pictures` draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tssbook.sequence import one_hot

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "POINTS",
    "best_epoch",
    "chain",
    "descend",
    "filter_sums",
    "line_loss",
    "reach",
    "saturation",
    "softmaxes",
]

# Four points near a line, (x, y): the data of a loss with two parameters.
POINTS = np.array([(-1.0, -1.2), (0.0, 0.8), (1.0, 3.3), (2.0, 4.9)])


def filter_sums(sequence: str, weights: ArrayLike) -> np.ndarray:
    """Return what a filter ``(4, W)`` answers at each place of a sequence, ``(L - W + 1,)``."""
    weights, x = np.asarray(weights, dtype=float), one_hot(sequence).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(x, weights.shape[1], axis=1)
    return np.einsum("cpw,cw->p", windows, weights)


def line_loss(w: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Return the mean squared error of the line ``w x + b`` through `POINTS`, for each ``w, b``."""
    x, y = POINTS.T
    return ((np.asarray(w)[..., None] * x + np.asarray(b)[..., None] - y) ** 2).mean(-1)


def descend(rate: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Fit a line to `POINTS` by gradient descent that starts at ``w = 4.5, b = -2``.

    Returns
    -------
    tuple
        The path ``(steps + 1, 2)``, slope and intercept, and the loss at each of its points.
    """
    (x, y), path = POINTS.T, [(4.5, -2.0)]
    for _ in range(steps):
        w, b = path[-1]
        error = w * x + b - y
        path.append((w - rate * 2 * (error * x).mean(), b - rate * 2 * error.mean()))
    points = np.array(path)
    return points, line_loss(*points.T)


def chain(w: float, x: float, target: float) -> dict[str, float]:
    """Return values and derivatives of ``z = w x``, ``a = relu(z)``, ``loss = (a - target)²``.

    Returns
    -------
    dict
        ``z``, ``a``, ``loss``; the slopes of single steps ``square`` (loss by a) and ``relu``
        (a by z); and the loss's derivatives ``da``, ``dz``, ``dw``.
    """
    z = w * x
    a = max(z, 0.0)
    square, relu = 2 * (a - target), float(z > 0)
    da, dz, dw = square, square * relu, square * relu * x
    return {"z": z, "a": a, "loss": (a - target) ** 2, "square": square, "relu": relu,
            "da": da, "dz": dz, "dw": dw}  # fmt: skip


def best_epoch(valid: Sequence[float]) -> int:
    """Return the epoch with the lowest validation loss, counted from 1."""
    return int(np.argmin(valid)) + 1


def reach(widths: Sequence[int]) -> list[int]:
    """Return how many bases one output of each layer of stacked convolutions depends on."""
    return [1 + int(total) for total in np.cumsum([width - 1 for width in widths])]


def softmaxes(logits: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities ``(2, L)`` of a softmax for each strand, and of one over both."""
    grown = np.exp(np.asarray(logits, dtype=float))
    return grown / grown.sum(1, keepdims=True), grown / grown.sum()


def saturation(a: float, b: float) -> dict:
    """Explain ``y = relu(a + b) - relu(a + b - 1)`` by mutagenesis and by DeepLIFT's rescale rule.

    Mutagenesis sets one input to 0. DeepLIFT gives a ReLU the multiplier change of output over
    change of input, against a reference, here ``a = b = 0``.

    Returns
    -------
    dict
        ``values`` by name, with the multipliers ``m1`` and ``m2``; ``mutagenesis`` and
        ``deeplift``, what each says of a and of b.
    """

    def relus(total: float) -> tuple[float, float]:
        return max(total, 0.0), max(total - 1, 0.0)

    total, (first, second) = a + b, relus(a + b)
    m1, m2 = ((now - then) / total if total else 0.0
              for now, then in zip((first, second), relus(0.0), strict=True))  # fmt: skip
    y = first - second
    lost = tuple(y - (relus(left)[0] - relus(left)[1]) for left in (b, a))
    values = {"sum": total, "first": first, "second": second, "y": y, "m1": m1, "m2": m2}
    return {"values": values, "mutagenesis": lost, "deeplift": ((m1 - m2) * a, (m1 - m2) * b)}

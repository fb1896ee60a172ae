"""Drawings of the book: each function draws on Axes and returns them.

Nothing here computes a result; what is drawn comes in as an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from torch import Tensor

from tssbook.metrics import r2
from tssbook.pages.colours import BASE_COLOURS, INK, LINE, MODEL, SERIES
from tssbook.sequence import ALPHABET, decode

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "filter_weights",
    "logo",
    "loss_curves",
    "one_hot",
    "predicted_against_actual",
    "set_style",
]


def set_style() -> None:
    """Set the book's figure style; white background, so that a figure reads anywhere."""
    mpl.rcParams.update(
        {
            "figure.dpi": 120,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "axes.prop_cycle": mpl.cycler(color=SERIES),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.labelsize": 11,
            "font.size": 11,
            "legend.frameon": False,
        }
    )


def one_hot(x: Tensor, ax: Axes | None = None) -> Axes:
    """Draw a one-hot sequence ``(4, L)`` as a grid: a filled cell is a 1, an empty one a 0."""
    ax = plt.gca() if ax is None else ax
    for row, base in enumerate(ALPHABET):
        for column in range(x.shape[-1]):
            filled = bool(x[row, column])
            face = BASE_COLOURS[base] if filled else "none"
            ax.add_patch(plt.Rectangle((column - 0.5, row - 0.5), 1, 1, fc=face, ec=LINE))
            ax.text(
                column, row, int(filled), ha="center", va="center",
                color="white" if filled else INK,
            )  # fmt: skip
    ax.set(xlim=(-0.6, x.shape[-1] - 0.4), ylim=(3.6, -0.6), aspect="equal")
    ax.set_xticks(range(x.shape[-1]), decode(x))
    ax.set_yticks(range(4), ALPHABET)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def loss_curves(histories: dict[str, pd.DataFrame], ax: Axes | None = None) -> Axes:
    """Draw training (dashed) and validation loss (solid) of several runs, by name."""
    ax = plt.gca() if ax is None else ax
    for number, (name, history) in enumerate(histories.items()):
        colour = f"C{number}"
        ax.plot(history["epoch"] + 1, history["train_loss"], "--", color=colour, lw=1)
        ax.plot(history["epoch"] + 1, history["valid_loss"], color=colour, label=name)
    ax.plot([], [], "--", color=INK, lw=1, label="dashed: training")
    ax.set(xlabel="epoch", ylabel="loss")
    ax.legend()
    return ax


def predicted_against_actual(
    prediction: Tensor, target: Tensor, ax: Axes | None = None, *, unit: str = "score"
) -> Axes:
    """Scatter predictions ``(N,)`` against targets ``(N,)``, with the diagonal and R²."""
    ax = plt.gca() if ax is None else ax
    ends = [float(min(prediction.min(), target.min())), float(max(prediction.max(), target.max()))]
    ax.plot(ends, ends, color=LINE, lw=1, zorder=0)
    ax.scatter(target, prediction, s=3, alpha=0.25, lw=0, color=MODEL, rasterized=True)
    ax.set(xlabel=f"actual {unit}", ylabel=f"predicted {unit}", aspect="equal")
    ax.text(0.05, 0.95, f"R² = {float(r2(prediction, target)):.3f}", transform=ax.transAxes,
            va="top")  # fmt: skip
    return ax


def filter_weights(weights: Tensor, ax: Axes | None = None, *, limit: float | None = None) -> Axes:
    """Draw one filter ``(4, W)`` as a heat map, zero white, the same ``limit`` both ways."""
    ax = plt.gca() if ax is None else ax
    weights = weights.detach()
    limit = float(weights.abs().max()) if limit is None else limit
    ax.imshow(weights.numpy(), vmin=-limit, vmax=limit, cmap="RdBu_r")
    ax.set(xticks=[], yticks=range(4), yticklabels=list(ALPHABET), frame_on=False)
    ax.tick_params(length=0)
    return ax


def logo(heights: Tensor, ax: Axes | None = None, *, first: int = 0) -> Axes:
    """Draw a logo from letter heights ``(4, L)``; NaN or all zero gives an empty panel.

    Parameters
    ----------
    heights
        For example :func:`tssbook.motifs.information`, in bits.
    ax
        Where to draw.
    first
        Number on the axis of the first column.
    """
    import logomaker  # it costs half a second, and only logos need it

    ax = plt.gca() if ax is None else ax
    heights = heights.detach().nan_to_num()
    if not heights.any():
        ax.text(0.5, 0.5, "no site", transform=ax.transAxes, ha="center", va="center",
                color=INK)  # fmt: skip
        ax.set(xticks=[], yticks=[])
        return ax
    positions = np.arange(first, first + heights.shape[-1])
    table = pd.DataFrame(heights.T.numpy(), index=positions, columns=list(ALPHABET))
    logomaker.Logo(table, ax=ax, color_scheme=BASE_COLOURS, show_spines=False)
    ax.spines[["left", "bottom"]].set_visible(True)
    return ax

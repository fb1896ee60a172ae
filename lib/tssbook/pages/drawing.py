"""Boxes, arrows and grids of numbers, of which the book's pictures are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from tssbook.pages.colours import INK, LINE, PALE
from tssbook.sequence import ALPHABET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

__all__ = ["arrow", "box", "canvas", "cells", "number", "write"]

_INCHES = 6.0  # the width of every figure


def canvas(width: float, height: float) -> Axes:
    """Open a white figure, 6 inches wide, for a drawing.

    Parameters
    ----------
    width, height
        Of the drawing, in its own units: x runs to the right and y down, both from 0.

    Returns
    -------
    matplotlib.axes.Axes
        They fill the figure and show no axis.
    """
    size = (_INCHES, _INCHES * height / width)
    fig = plt.figure(figsize=size, layout="none", facecolor="white")
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.axis("off")
    return ax


def write(ax: Axes, x: float, y: float, text: str, size: float = 10, **more: object) -> None:
    """Write dark text, centred at ``(x, y)`` unless ``ha`` or ``va`` say otherwise."""
    more = {"ha": "center", "va": "center", "color": INK, "linespacing": 1.25, **more}
    ax.text(x, y, text, fontsize=size, **more)


def box(
    ax: Axes, x: float, y: float, width: float, height: float, text: str = "",
    colour: str = LINE, size: float = 10,
) -> None:  # fmt: skip
    """Draw a pale box with its top left corner at ``(x, y)``, and text in the middle."""
    ax.add_patch(mpl.patches.Rectangle((x, y), width, height, fc=PALE, ec=colour, lw=1.2))
    write(ax, x + width / 2, y + height / 2, text, size)


def arrow(
    ax: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str = LINE,
    bend: float = 0,
) -> None:
    """Draw an arrow from ``start`` to ``end``; ``bend`` curves it."""
    style = {"arrowstyle": "-|>", "color": colour, "lw": 1.3, "shrinkA": 0, "shrinkB": 0}
    style["connectionstyle"] = f"arc3,rad={bend}"
    ax.annotate("", end, start, arrowprops=style)


def cells(
    ax: Axes, x: float, y: float, values: ArrayLike, *, limit: float, bases: bool = False
) -> None:
    """Draw a matrix as squares of side 1 with their numbers, red above 0 and blue below.

    Parameters
    ----------
    ax
        Where to draw.
    x, y
        The top left corner.
    values
        ``(rows, columns)``.
    limit
        The number that has the full colour.
    bases
        Write A, C, G and T in front of the rows.
    """
    values = np.asarray(values, dtype=float)
    tint = mpl.colormaps["RdBu_r"]
    for (row, column), value in np.ndenumerate(values):
        # Half of the scale's range, so that dark numbers read on every cell.
        face = tint(0.5 + 0.25 * np.clip(value / limit, -1, 1))
        corner = (x + column, y + row)
        ax.add_patch(mpl.patches.Rectangle(corner, 1, 1, fc=face, ec=LINE, lw=0.6))
        write(ax, corner[0] + 0.5, corner[1] + 0.5, number(value), 10)
    if bases:
        for row, base in enumerate(ALPHABET):
            write(ax, x - 0.35, y + row + 0.5, base, 9)


def number(value: float) -> str:
    """Write a number with two decimals at most, and a true minus sign."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.replace("-", "−")

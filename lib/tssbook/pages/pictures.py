"""Pictures of how a network computes and learns: each function draws one figure.

The numbers in a picture are computed (`pages.arithmetic`) from what the caller gives. Call one in a
cell of its own, and the notebook shows the figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from tssbook.pages import arithmetic
from tssbook.pages.colours import (
    BASE_COLOURS,
    INK,
    LINE,
    MARK,
    MINUS,
    MODEL,
    PALE,
    PLAIN,
    PLUS,
)
from tssbook.pages.drawing import arrow, box, canvas, cells, number, write
from tssbook.sequence import ALPHABET, one_hot

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "descent",
    "gradient",
    "overfitting",
    "receptive_field",
    "saturation",
    "sliding_filter",
    "softmax",
]

# A filter that looks for TAT: 1 where the base agrees, -1 where it does not.
_TAT = 2 * one_hot("TAT").numpy() - 1


def sliding_filter(sequence: str = "GCTATGCA", weights: ArrayLike = _TAT, place: int = 2) -> None:
    """Draw a filter that slides over one-hot DNA: products and sum at one place, all sums, ReLU.

    Parameters
    ----------
    sequence
        6 to 10 bases.
    weights
        ``(4, 3)``, rows in the order ACGT.
    place
        Where the filter lies: the column of its first base, from 0.
    """
    x, weights = one_hot(sequence).numpy(), np.asarray(weights, dtype=float)
    sums, width, left = arithmetic.filter_sums(sequence, weights), weights.shape[1], 3.2
    limit = max(np.abs(weights).max(), 1e-9)
    ax = canvas(14, 14.6)
    for column, base in enumerate(sequence):
        write(ax, left + column + 0.5, 0.6, base, 12, color=BASE_COLOURS[base], weight="bold")
    _one_hot_cells(ax, left, 1.1, x)
    write(ax, 0.1, 3.1, "one-hot\nDNA", ha="left")
    frame = {"fc": "none", "ec": INK, "zorder": 3}
    ax.add_patch(mpl.patches.Rectangle((left + place, 1.1), width, 4, lw=2.2, **frame))
    if place + width < len(sequence):
        ax.add_patch(mpl.patches.Rectangle((left + place + 1, 1.0), width, 4.2, ls=":", **frame))
        arrow(ax, (left + place + width / 2, 5.45), (left + place + width / 2 + 1.6, 5.45), INK)
        write(ax, left + place + width / 2 + 1.8, 5.45, "slides on", 9, ha="left")
    top, window = 6.9, x[:, place : place + width]
    names = ("letters here", "filter", "products")
    tables = zip(names, (window, weights, window * weights), strict=True)
    for (name, values), at in zip(tables, (0.6, 4.6, 8.6), strict=True):
        write(ax, at + width / 2, top - 0.45, name)
        if name == names[0]:
            _one_hot_cells(ax, at, top, values)
        else:
            cells(ax, at, top, values, limit=limit, bases=True)
    write(ax, 3.8, top + 2, "×", 13)
    write(ax, 7.8, top + 2, "=", 13)
    write(ax, 12.75, top + 2, f"sum\n{number(sums[place])}", 11, weight="bold")
    for at, name, values in ((11.8, "sums", sums), (13.3, "after\nReLU", np.maximum(sums, 0))):
        write(ax, 0.1, at + 0.5, name, ha="left")
        cells(ax, left, at, values[None], limit=max(np.abs(sums).max(), 1e-9))
        ax.add_patch(mpl.patches.Rectangle((left + place, at), 1, 1, lw=2.2, **frame))


def descent(rates: Sequence[float] = (0.02, 0.2, 0.6), steps: int = 12) -> None:
    """Draw gradient descent on a loss of two parameters, at three learning rates.

    The loss is the mean squared error of a line ``w x + b`` through four points.

    Parameters
    ----------
    rates
        Too small, about right and too large, in this order.
    steps
        How many.
    """
    w, b = np.meshgrid(np.linspace(-1.4, 5.4, 120), np.linspace(-2.6, 4.4, 120))
    fig, axes = plt.subplots(1, 3, figsize=(6, 3.3), sharey=True, layout="constrained")
    fig.set_facecolor("white")
    words = ("too small", "about right", "too large")
    levels = (0.2, 1, 3, 8, 16, 30)
    for ax, rate, word in zip(axes, rates, words, strict=True):
        path, losses = arithmetic.descend(rate, steps)
        lines = ax.contour(w, b, arithmetic.line_loss(w, b), levels, colors=LINE, linewidths=0.7)
        ax.clabel(lines, levels[2::2], fontsize=8, fmt="%g", colors=INK)
        ax.plot(*path.T, "o-", color=MODEL, ms=3.5, lw=1.2, clip_on=True)
        ax.plot(*path[0], "o", color=INK, ms=6)
        title = f"{word}: {rate:g}\nloss {losses[0]:.1f} → {losses[-1]:.2g}"
        ax.set_title(title, fontsize=10)
        ax.set(xlim=(-1.4, 5.4), ylim=(-2.6, 4.4), xticks=[0, 2, 4], yticks=[-2, 0, 2, 4])
        ax.set_xlabel("slope w", fontsize=10)
        ax.tick_params(labelsize=9)
    axes[0].set_ylabel("intercept b", fontsize=10)


def gradient(w: float = 2.0, x: float = 3.0, target: float = 5.0, rate: float = 0.1) -> None:
    """Draw a gradient flowing back: ``z = w x``, ``a = relu(z)``, ``loss = (a - target)²``.

    Values forward above, derivatives backward below, then one step of gradient descent.

    Parameters
    ----------
    w, x, target
        The parameter, the input, and what the output should be.
    rate
        The learning rate of the step.
    """
    n = {name: number(value) for name, value in arithmetic.chain(w, x, target).items()}
    ax = canvas(12, 6.4)
    write(ax, 0.2, 0.4, "forward: values", ha="left", weight="bold")
    write(ax, 0.2, 3.2, "backward: derivatives of the loss", ha="left", weight="bold")
    names, values = ("w", "z", "a", "loss"), (number(w), n["z"], n["a"], n["loss"])
    slopes = (n["dw"], n["dz"], n["da"], "1")
    steps = (f"times\nx = {number(x)}", "ReLU", f"minus {number(target)},\nsquared")
    factors = (f"× {number(x)}", f"× {n['relu']}", f"× {n['square']}")
    for i, at in enumerate((0.2, 3.5, 6.8, 10.1)):
        box(ax, at, 1.35, 1.7, 1.1, f"{names[i]} = {values[i]}", PLAIN, 10.5)
        write(ax, at + 0.85, 4.1, slopes[i], 12, weight="bold")
        write(ax, at + 0.85, 4.7, f"d loss / d {names[i]}", 9)
        if i < 3:
            arrow(ax, (at + 1.75, 1.9), (at + 3.25, 1.9), PLAIN)
            write(ax, at + 2.5, 1.25, steps[i], 9)
            arrow(ax, (at + 3.5, 4.1), (at + 1.6, 4.1), MARK)
            write(ax, at + 2.5, 3.75, factors[i], 10)
    new = w - rate * arithmetic.chain(w, x, target)["dw"]
    write(
        ax, 0.2, 5.75,
        f"One step at learning rate {number(rate)}: w = {number(w)} − {number(rate)} × "
        f"{n['dw']} = {number(new)},\nand the loss goes from {n['loss']} to "
        f"{number(arithmetic.chain(new, x, target)['loss'])}.",
        ha="left",
    )  # fmt: skip


def overfitting(train: Sequence[float], valid: Sequence[float]) -> None:
    """Draw training and validation loss by epoch, the gap between them, and the best epoch.

    Parameters
    ----------
    train, valid
        One loss per epoch, such as ``history["train_loss"]`` of :func:`tssbook.training.fit`.
    """
    train, valid = np.asarray(train, dtype=float), np.asarray(valid, dtype=float)
    epochs, best = np.arange(1, len(valid) + 1), arithmetic.best_epoch(valid)
    _, ax = plt.subplots(figsize=(6, 3.2), layout="constrained", facecolor="white")
    ax.fill_between(epochs, train, valid, where=valid >= train, color=MARK, alpha=0.2, lw=0)
    ax.plot(epochs, valid, color=PLAIN, lw=2, label="validation")
    ax.plot(epochs, train, "--", color=PLAIN, lw=1.5, label="training")
    ax.axvline(best, color=LINE, lw=1, ls=":")
    ax.plot(best, valid[best - 1], "o", color=INK, ms=6)
    ax.annotate(f"best epoch: {best}", (best, 1), (4, 0), fontsize=10, va="top",
                xycoords=("data", "axes fraction"), textcoords="offset points")  # fmt: skip
    ax.annotate(f"gap {valid[-1] - train[-1]:.2g}", (epochs[-1], (train[-1] + valid[-1]) / 2),
                (-6, 0), fontsize=10, textcoords="offset points", ha="right",
                va="center")  # fmt: skip
    ax.set(xlabel="epoch", ylabel="loss", xlim=(1, max(2, epochs[-1])))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=9, frameon=False)


def receptive_field(widths: Sequence[int] = (3, 3, 3)) -> None:
    """Draw which bases one output of stacked convolutions depends on.

    Parameters
    ----------
    widths
        Of the filters, the layer at the input first; odd, and no layer strides or pools.
    """
    seen = arithmetic.reach(widths)
    half, pale = seen[-1] // 2 + 1, {"fc": PALE, "ec": LINE, "lw": 0.8}
    unit = max((2 * half + 1) / 8.3, 1)  # the text's place is as wide on paper, whatever is drawn
    ax = canvas(2 * half + 1 + 5.2 * unit, unit * (1.6 * len(widths) + 1.7))
    row = [unit * (0.9 + 1.6 * (len(widths) - i)) for i in range(len(widths) + 1)]
    size = 0.36
    for level in range(len(widths) + 1):
        inside = (seen[-1] - (seen[level - 1] if level else 1)) // 2
        for place in range(-half, half + 1):
            used = abs(place) <= inside
            at = (half + 0.5 + place, row[level])
            style = {"fc": MODEL, "ec": MODEL} if used else pale
            ax.add_patch(mpl.patches.Ellipse(at, 2 * size, 2 * size, zorder=2, **style))
            if used and level:
                for step in range(-(widths[level - 1] // 2), widths[level - 1] // 2 + 1):
                    ends = [at[0], at[0] + step], [row[level], row[level - 1]]
                    ax.plot(*ends, color=MODEL, lw=0.6, alpha=0.6, zorder=1)
        what = f"layer {level}: width {widths[level - 1]}\nsees {seen[level - 1]} bases"
        write(ax, 2 * half + 1.3, row[level], what if level else "DNA", ha="left")


def softmax(weights: ArrayLike = ((1, 8, 4, 1), (1, 2, 1, 2))) -> None:
    """Draw a softmax for each strand beside one softmax over both strands.

    Parameters
    ----------
    weights
        ``(2, L)``, positive, the + strand first: the logits are their logarithms, so that the
        probabilities are easy to check.
    """
    logits = np.log(np.asarray(weights, dtype=float))
    apart, together = arithmetic.softmaxes(logits)
    fig, axes = plt.subplots(3, 1, figsize=(6, 5.6), layout="constrained", sharex=True)
    fig.set_facecolor("white")
    rows = (
        ("logits: what the network returns", logits, False),
        ("a softmax for each strand: each adds up to 1", apart, True),
        ("one softmax over both strands: together they add up to 1", together, True),
    )
    for ax, (title, values, total) in zip(axes, rows, strict=True):
        top = 1.45 * values.max()
        for strand, (sign, colour) in enumerate(((1, PLUS), (-1, MINUS))):
            ax.bar(range(values.shape[1]), sign * values[strand], 0.6, color=colour)
            for place, value in enumerate(values[strand]):
                ax.annotate(f"{value:.2f}", (place, sign * value), (0, 3 * sign), fontsize=9.5,
                            textcoords="offset points", ha="center", color=INK,
                            va="bottom" if sign > 0 else "top")  # fmt: skip
            name = f"{'+−'[strand]} strand" + (f"\nsum {values[strand].sum():.2f}" if total else "")
            ax.text(values.shape[1] - 0.4, sign * top / 2, name, fontsize=10, color=INK,
                    va="center")  # fmt: skip
        ax.axhline(0, color=LINE, lw=0.8)
        ax.set(ylim=(-top, top), xlim=(-0.6, values.shape[1] + 0.4), yticks=[])
        ax.set_title(title, fontsize=10, loc="left")
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0)
    axes[2].set_xticks(range(logits.shape[1]), [f"base {i + 1}" for i in range(logits.shape[1])],
                       fontsize=10)  # fmt: skip


def saturation(a: float = 1.0, b: float = 1.0) -> None:
    """Draw a toy that saturates, ``y = min(a + b, 1)`` of two ReLUs: mutagenesis beside DeepLIFT.

    Parameters
    ----------
    a, b
        The inputs; the reference is ``a = b = 0``.
    """
    found = arithmetic.saturation(a, b)
    n = {name: number(value) for name, value in found["values"].items()}
    ax = canvas(12, 6)
    for at, name, value in ((0.6, "a", a), (2.6, "b", b)):
        box(ax, 0.1, at, 1.6, 1.0, f"{name} = {number(value)}")
        arrow(ax, (1.75, at + 0.5), (2.75, 2.1), LINE)
    box(ax, 2.8, 1.6, 2.3, 1.0, f"a + b = {n['sum']}")
    box(ax, 6.2, 0.6, 2.6, 1.0, f"ReLU(a + b)\n= {n['first']}")
    box(ax, 6.2, 2.6, 2.6, 1.0, f"ReLU(a + b − 1)\n= {n['second']}", size=9.5)
    box(ax, 10.2, 1.6, 1.6, 1.0, f"y = {n['y']}", MODEL)
    for at, sign, slope in ((1.1, "+", "m1"), (3.1, "−", "m2")):
        arrow(ax, (5.15, 2.1), (6.15, at))
        arrow(ax, (8.85, at), (10.15, 2.1))
        write(ax, 9.5, at + (-0.1 if at < 2 else 0.15), sign, 12)
        text = f"DeepLIFT's multiplier {n[slope]}"
        write(ax, 7.5, at + (-0.8 if at < 2 else 0.85), text, 9)
    write(ax, 5.1, 4.7, "by how much y drops when it becomes 0", ha="left")
    write(ax, 5.1, 5.4, f"({n['m1']} − {n['m2']}) × its change from the reference, 0", ha="left")
    for at, name, (of_a, of_b) in (
        (4.7, "mutagenesis", found["mutagenesis"]), (5.4, "DeepLIFT", found["deeplift"]),
    ):  # fmt: skip
        write(ax, 0.1, at, f"{name}:", ha="left", weight="bold")
        write(ax, 2.5, at, f"a {number(of_a)},  b {number(of_b)}", ha="left", weight="bold",
              color=MODEL)  # fmt: skip


def _one_hot_cells(ax: mpl.axes.Axes, x: float, y: float, values: np.ndarray) -> None:
    """Draw one-hot ``(4, L)`` as squares of side 1: a 1 in the colour of its base."""
    for (row, column), value in np.ndenumerate(values):
        base, corner = ALPHABET[row], (x + column, y + row)
        face = BASE_COLOURS[base] if value else "white"
        ax.add_patch(mpl.patches.Rectangle(corner, 1, 1, fc=face, ec=LINE, lw=0.6))
        style = {"color": "white", "weight": "bold"} if value else {}
        write(ax, corner[0] + 0.5, corner[1] + 0.5, number(value), 10, **style)
    for row, base in enumerate(ALPHABET):
        write(ax, x - 0.35, y + row + 0.5, base, 9)

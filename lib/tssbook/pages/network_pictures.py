"""Pictures of the book's networks: each function draws one figure, from a network as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.collections import LineCollection

from tssbook.models.puffin import effect_curves, to_counts
from tssbook.pages.colours import INK, LINE, MARK, MODEL, PLAIN
from tssbook.pages.drawing import arrow, box, canvas, write
from tssbook.pages.plots import logo

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tssbook.models import PromoterNet, SimpleNet

__all__ = ["dilation_tree", "layer_shapes", "one_motif", "promoter_net", "simple_net", "tree_edges"]


def promoter_net(model: PromoterNet, length: int = 2000) -> None:
    """Draw Chapter 2's network, layer by layer, with the shape of what each one returns.

    A bar is as long as the logarithm of the number of positions, and as high as that of channels.

    Parameters
    ----------
    model
        Of any size; its layers are asked, so the picture is true of this one.
    length
        Of the sequences, in bp.
    """
    rows = layer_shapes(model, length)
    ax = canvas(12, 1.25 * len(rows) + 0.7)
    for i, (name, shape) in enumerate(rows):
        y = 1.1 + 1.25 * i
        wide = 0.25 + 3.6 * np.log2(shape[1] if len(shape) > 1 else 1) / np.log2(length)
        high = 0.12 + 0.09 * np.log2(shape[0])
        box(ax, 6.3 - wide / 2, y - high / 2, wide, high, "", PLAIN)
        write(ax, 1.0, y, name, ha="left")
        write(ax, 11.9, y, " × ".join(f"{n:,}" for n in shape), ha="right", weight="bold")
        if i + 1 < len(rows):
            below = 0.12 + 0.09 * np.log2(rows[i + 1][1][0])
            arrow(ax, (6.3, y + high / 2 + 0.05), (6.3, y + 1.2 - below / 2))
    write(ax, 11.9, 0.3, "channels × positions", 9, ha="right")
    average = [name for name, _ in rows].index("average over positions")
    for word, first, end in (("trunk", 1, average), ("head", average + 1, len(rows) - 1)):
        top, bottom = 1.1 + 1.25 * first - 0.4, 1.1 + 1.25 * end + 0.4
        ax.plot([0.75, 0.65, 0.65, 0.75], [top, top, bottom, bottom], color=INK, lw=1.2)
        write(ax, 0.3, (top + bottom) / 2, word, 11, rotation=90, weight="bold")


@torch.no_grad()
def layer_shapes(model: PromoterNet, length: int) -> list[tuple[str, tuple[int, ...]]]:
    """Run one empty sequence through a `PromoterNet`; return what each step is and gives.

    Returns
    -------
    list
        Description and shape, without the batch: ``("one-hot DNA", (4, 2000))`` is the first.
    """
    rows: list[tuple[str, tuple[int, ...]]] = [("one-hot DNA", (4, length))]

    def note(layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        if isinstance(layer, torch.nn.Linear):
            if len(rows[-1][1]) > 1:
                rows.append(("average over positions", tuple(given[0].shape[1:])))
            name = "linear" if layer is model.linear2 else "linear, ReLU"
        elif isinstance(layer, torch.nn.MaxPool1d):
            name = f"largest of {layer.kernel_size}, ReLU"
        else:
            name = f"convolution, width {layer.kernel_size[0]}"
        rows.append((name, tuple(made.shape[1:])))

    kinds = (torch.nn.Conv1d, torch.nn.MaxPool1d, torch.nn.Linear)
    hooks = [m.register_forward_hook(note) for m in model.modules() if isinstance(m, kinds)]
    training = model.training
    try:
        model.eval()(torch.zeros(1, 4, length, device=next(model.parameters()).device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return rows


def simple_net(model: SimpleNet) -> None:
    """Draw the flowchart of Chapter 3's network: two paths of filters and effects, and their sum.

    Parameters
    ----------
    model
        Of any size.
    """
    ax = canvas(12, 12.4)
    box(ax, 3, 0.2, 6, 0.9, "one-hot DNA, 4 × L")
    paths = (
        (0.2, "motif", model.conv, model.deconv.weight.shape[-1]),
        (6.4, "initiator", model.conv_inr, model.deconv_inr.weight.shape[-1]),
    )
    for at, name, conv, width in paths:
        n, centre = conv.out_channels, at + 2.7
        arrow(ax, (6, 1.15), (centre, 1.95))
        filters = f"{n} {name} filters, {conv.kernel_size[0]} bp,\non both strands: {2 * n} × L"
        box(ax, at, 2.0, 5.4, 1.5, filters)
        arrow(ax, (centre, 3.55), (centre, 4.3))
        box(ax, at, 4.35, 5.4, 1.1, "gate: y × sigmoid(y)")
        arrow(ax, (centre, 5.5), (centre, 6.25))
        effects = f"{2 * n} effect curves per track,\n{width // 2} bp to either side"
        box(ax, at, 6.3, 5.4, 1.5, effects, MODEL)
        arrow(ax, (centre, 7.85), (6 + (0.45 if at > 3 else -0.45), 8.75))
    tracks = model.config["n_tracks"]
    circle = {"boxstyle": "circle", "fc": "white", "ec": MODEL}
    write(ax, 6, 9.0, "+", 17, weight="bold", bbox=circle)
    write(ax, 7.0, 9.05, "all effects add up", ha="left")
    arrow(ax, (6, 9.5), (6, 10.0))
    box(ax, 3, 10.05, 6, 0.9, "softplus: never below 0")
    arrow(ax, (6, 11.0), (6, 11.35))
    box(ax, 3, 11.4, 6, 0.9, f"{tracks} tracks: ln(1 + count), {tracks} × L")


@torch.no_grad()
def one_motif(
    model: SimpleNet, x: Tensor, track: str, *, channel: int | None = None, span: int = 400
) -> None:
    """Draw how one motif acts at one locus: filter, effect curve, summed activity, track.

    The sum is that of the motifs; initiators and biases, which the track has too, are left out.

    Parameters
    ----------
    model
        A trained network.
    x
        One-hot ``(1, 4, L)``, on the model's device.
    track
        One of the model's, such as ``"FANTOM_CAGE+"``.
    channel
        Of the motif, 0 to 79: filter ``channel % 40``, on the - strand from 40 on. None takes the
        one whose effect reaches highest in the figure.
    span
        Bases of the middle that the figure shows.
    """
    # The room interpret is slow to import, and needed here alone.
    from tssbook.interpret.filters import filter_matrices, motif_effects
    from tssbook.interpret.funcs import track_index

    middle = x.shape[-1] // 2
    seen = slice(middle - span // 2, middle + span // 2)
    each = motif_effects(model, x, track)[0, :, seen]  # (C, span)
    channel = int(each.amax(-1).argmax()) if channel is None else channel
    number = track_index(model, len(model.deconv.weight), track)
    n = len(model.conv.weight)
    matched = model.activations(x)[0][0, channel, seen]
    reads = to_counts(model(x))[0, number, seen]
    weight = model.conv.weight if channel < n else model.conv.weight.flip(1, 2)
    heights = filter_matrices(weight[[channel % n]], contrast=True)[0].clamp_min(0)  # (4, 51)
    strong = (heights.amax(0) > 0.2 * heights.max()).nonzero()
    first, last = max(int(strong[0]) - 1, 0), int(strong[-1]) + 2
    curve = effect_curves(model)[channel, number]

    fig, axes = plt.subplots(4, 1, figsize=(6, 8), layout="constrained", facecolor="white")
    fig.get_layout_engine().set(hspace=0.06)
    logo(heights[:, first:last], axes[0], first=first - weight.shape[-1] // 2)
    distance = np.arange(len(curve)) - len(curve) // 2
    axes[1].plot(distance, curve.cpu(), color=MODEL)
    place = np.arange(-(span // 2), span // 2)
    for at, strength in zip(place, matched.tolist(), strict=True):
        if strength > 0.5 * float(matched.max()):
            axes[2].axvline(at, color=MARK, alpha=0.35, lw=3)
    axes[2].fill_between(place, each[channel].cpu(), color=MODEL, alpha=0.45, lw=0,
                         label="this motif")  # fmt: skip
    axes[2].plot(place, each.sum(0).cpu(), color=INK, lw=1.2, label="all motifs")
    axes[2].legend(fontsize=9.5, frameon=False, loc="center left")
    axes[3].fill_between(place, reads.cpu(), color=MODEL, lw=0, step="mid")
    words = (
        (f"1  The motif: filter {channel % n}, {'+' if channel < n else '-'} strand",
         "weight", "bases from the filter's middle"),
        (f"2  Its effect curve on {track}", "effect per\nunit of match", "bases from the motif"),
        ("3  Where it matches (bars), what it adds, and all motifs together", "activity",
         "bases from the middle of the locus"),
        ("4  The track, as reads: with initiators, after the softplus", "reads per base",
         "bases from the middle of the locus"),
    )  # fmt: skip
    for ax, (title, ylabel, xlabel) in zip(axes, words, strict=True):
        ax.set_title(title, loc="left", fontsize=10.5)
        ax.set_ylabel(ylabel, fontsize=9.5)
        ax.set_xlabel(xlabel, fontsize=9.5)
        ax.tick_params(labelsize=9)
        ax.spines[["top", "right"]].set_visible(False)
        if ax is not axes[0]:
            ax.axhline(0, color=LINE, lw=0.7)
            ax.margins(x=0)


def dilation_tree(dilations: Sequence[int] = (2, 4, 8, 16, 32, 64, 128, 256)) -> None:
    """Draw what one position sees through dilated convolutions of width 3, and one residual step.

    Parameters
    ----------
    dilations
        The layer at the sequence first. The default is ProCapNet's.
    """
    edges, reach = tree_edges(dilations), sum(dilations)
    _, (left, right) = plt.subplots(
        2, 1, figsize=(6, 6), layout="constrained", facecolor="white", height_ratios=(3.3, 1)
    )
    lines = [((low, level), (high, level + 1)) for level, low, high in edges]
    left.add_collection(LineCollection(lines, colors=MODEL, linewidths=0.5, alpha=0.55))
    left.plot([0, 0], [0, len(dilations)], color=INK, lw=2.5)
    left.plot(0, len(dilations), "o", color=INK, ms=7)
    left.set_yticks(range(len(dilations) + 1),
                    ["first layer", *(f"dilation {d}" for d in dilations)])  # fmt: skip
    left.set(xlim=(-1.03 * reach, 1.03 * reach), ylim=(-0.15, len(dilations) + 0.3))
    left.set_xlabel(f"bases from the position: {reach} to either side", fontsize=10)
    left.tick_params(length=0, axis="y")
    left.tick_params(labelsize=9.5)
    left.spines[["top", "right", "left"]].set_visible(False)
    right.set(xlim=(0, 12), ylim=(3, 0))
    right.axis("off")
    write(right, 0.4, 1.9, "x")
    arrow(right, (0.7, 1.9), (2.1, 1.9))
    box(right, 2.15, 1.4, 3.6, 1.0, "dilated convolution")
    arrow(right, (5.8, 1.9), (6.6, 1.9))
    box(right, 6.65, 1.4, 1.5, 1.0, "ReLU")
    arrow(right, (8.2, 1.9), (8.9, 1.9))
    circle = {"boxstyle": "circle", "fc": "white", "ec": INK}
    write(right, 9.35, 1.9, "+", 14, weight="bold", bbox=circle)
    right.plot([1.2, 1.2, 9.35], [1.9, 0.6, 0.6], color=INK, lw=2.5)
    arrow(right, (9.35, 0.6), (9.35, 1.35), INK)
    write(right, 5.2, 0.2, "residual: x goes on as it is (the thick line above)", 9.5)
    arrow(right, (9.8, 1.9), (10.6, 1.9))
    write(right, 10.75, 1.9, "x + new", ha="left")


def tree_edges(dilations: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return which places of which layer one position of the last layer depends on.

    Returns
    -------
    list
        ``(level, below, above)``: the place ``above`` of layer ``level + 1`` reads ``below`` of
        the layer under it; places are bases from the position, level 0 is the lowest.
    """
    places, edges = {0}, []
    for level in reversed(range(len(dilations))):
        step = dilations[level]
        found = {(level, place + shift, place) for place in places for shift in (-step, 0, step)}
        edges += sorted(found)
        places = {below for _, below, _ in found}
    return edges

"""Draw the first page's figure `front.png`, the book's `cover.png`, and `card.png` for links to it.

``python site/draw_front.py``. One promoter of a chromosome that the networks never saw: reads as
measured, the prediction of Chapter 4's three yeast networks, and the letters that decided it. It
needs the data of `tssbook.data.yeast` and takes about a minute.
"""

from __future__ import annotations

from pathlib import Path

import logomaker
import matplotlib.pyplot as plt
import pandas as pd
import torch

from tssbook import metrics
from tssbook.data import LENGTH, OUTPUT, extract, yeast
from tssbook.interpret import attribute
from tssbook.models import FastProCapNet, ProCapNet, describe, procapnet
from tssbook.pages import plots
from tssbook.pages.colours import LINE, MEASURED, MODEL, PALE
from tssbook.sequence import one_hot_codes
from tssbook.training import predict

SITE = Path(__file__).resolve().parent
SYMBOL = "AHP1"
SEEDS = 17, 18, 19
FIRST, LAST = -100, 60  # drawn around the main start
PANELS = (-85, -59), (-18, 8)  # drawn as letters: 26 each, so that a phone can show them
NEAR = slice(OUTPUT // 2 - 250, OUTPUT // 2 + 50)  # around the ATG: where r is taken
NIGHT = "#10233f"  # the cover's paper
ON_NIGHT = {"A": "#35c9a5", "C": "#6fb4f2", "G": "#e5b04a", "T": "#f07f92"}  # as on dark pages


def explain() -> dict:
    """Return what is drawn: tracks ``(1000,)``, contributions ``(4, 2114)`` and numbers."""
    files = yeast()
    gene = files.genes[files.genes["symbol"] == SYMBOL].iloc[[0]]
    for seed in SEEDS:
        about = describe(f"procapnet-yeast-{seed}")["training"]["data"]
        if gene["chrom"].iloc[0] not in about.split("without")[1].split("(test)")[0]:
            raise ValueError(f"{SYMBOL} is not on a chromosome that was held out: {about}")
    place = gene[["chrom", "strand"]].assign(tss=gene["atg"])
    cut = extract(files.fasta, files.bigwigs("stripe"), place, length=LENGTH, max_empty=1)
    x = one_hot_codes(cut.codes).float()
    inner = slice((LENGTH - OUTPUT) // 2, (LENGTH + OUTPUT) // 2)
    measured = torch.from_numpy(cut.tracks[0, 0, inner].copy()).float()
    nets = [ProCapNet.from_pretrained(f"procapnet-yeast-{seed}") for seed in SEEDS]
    shapes = [procapnet.to_proba(predict(FastProCapNet(net), x)[0])[0, 0] for net in nets]
    parts = [attribute(net, x, "profile", seed=17).contributions[0] for net in nets]
    predicted = torch.stack(shapes).mean(0)
    return {
        "measured": measured / measured[NEAR].sum(),
        "predicted": predicted / predicted[NEAR].sum(),
        "contributions": torch.stack(parts).mean(0),
        "start": NEAR.start + int(measured[NEAR].argmax()),
        "reads": int(measured[NEAR].sum()),
        "r": float(metrics.pearson_r(predicted[None, NEAR], measured[None, NEAR])),
        "gene": gene.iloc[0],
    }


def draw(found: dict, size: tuple[float, float], dpi: int, path: Path) -> None:
    """Draw measured against predicted, and below it the letters of two stretches."""
    plots.set_style()
    start, tops = found["start"], [1.5, 1, 1]
    fig, (tracks, *logos) = plt.subplots(3, 1, figsize=size, height_ratios=tops)
    for name, sign, colour in (("measured", 1, MEASURED), ("predicted", -1, MODEL)):
        heights = 100 * found[name][start + FIRST : start + LAST]
        tracks.vlines(range(FIRST, LAST), 0, sign * heights, color=colour, lw=1.8)
        tracks.text(FIRST + 2, sign * 22, name, color=colour, va="center", weight="bold")
    tracks.axhline(0, color=LINE, lw=0.8)
    tracks.set(xlim=(FIRST, LAST), ylim=(-31, 31), ylabel="% of reads")
    tracks.set_yticks([-30, -15, 0, 15, 30], [30, 15, 0, 15, 30])
    middle = start + (LENGTH - OUTPUT) // 2
    top = float(found["contributions"].max()) * 1.08
    low = min(0.0, float(found["contributions"].min()) * 1.08)
    for (a, b), ax in zip(PANELS, logos, strict=True):
        tracks.axvspan(a, b, color=PALE, zorder=-1)
        ax.set_facecolor(PALE)
        plots.logo(found["contributions"][:, middle + a : middle + b], ax, first=a)
        ax.set(ylim=(low, top), xlim=(a - 0.5, b - 0.5), ylabel="contribution")
    logos[-1].set_xlabel("bases from the main start of transcription")
    fig.savefig(path, dpi=dpi, metadata={"Software": None})
    plt.close(fig)


def cover(found: dict, path: Path) -> None:
    """Draw the cover, 900 x 1200: below the title the DNA, and the starts that rise from it."""
    plots.set_style()
    fig = plt.figure(figsize=(6, 8), facecolor=NIGHT, layout="none")
    fig.text(0.08, 0.86, "From Sequence\nto Start Site", size=33, weight="bold", color="white",
             va="center", linespacing=1.25)  # fmt: skip
    fig.text(0.08, 0.725, "Deep learning of transcription\ninitiation, hands on", size=16,
             color="#c8d4e6", va="center", linespacing=1.4)  # fmt: skip
    start, (a, b) = found["start"], PANELS[1]
    starts = fig.add_axes((0.08, 0.32, 0.84, 0.33))
    places, near = range(a, b), slice(start + a, start + b)
    starts.bar(places, found["measured"][near], 0.4, color="white")
    starts.bar(places, -found["predicted"][near], 0.4, color="#e08ccb")
    starts.set(xlim=(a - 0.5, b - 0.5))
    letters = fig.add_axes((0.08, 0.06, 0.84, 0.24))
    middle = start + (LENGTH - OUTPUT) // 2
    shown = found["contributions"][:, middle + a : middle + b].clamp(min=0)
    table = pd.DataFrame(shown.T.numpy(), index=places, columns=list(ON_NIGHT))
    logomaker.Logo(table, ax=letters, color_scheme=ON_NIGHT, show_spines=False)
    letters.set(xlim=(a - 0.5, b - 0.5))
    for ax in (starts, letters):
        ax.axis("off")
    fig.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(fig)


def card(path: Path) -> None:
    """Draw the card, 1200 x 630: the title beside the figure."""
    plots.set_style()
    fig = plt.figure(figsize=(12, 6.3), layout="none")
    fig.text(0.05, 0.72, "From Sequence\nto Start Site", size=34, weight="bold", va="center")
    fig.text(0.05, 0.46, "Deep learning of\ntranscription initiation,\nhands on", size=21,
             va="center", color="#404040")  # fmt: skip
    ax = fig.add_axes((0.43, 0.03, 0.55, 0.94))
    ax.imshow(plt.imread(SITE / "front.png"))
    ax.axis("off")
    fig.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(fig)


if __name__ == "__main__":
    shown = explain()
    draw(shown, (5.4, 4.9), 200, SITE / "front.png")
    cover(shown, SITE / "cover.png")
    card(SITE / "card.png")
    print({name: shown[name] for name in ("reads", "r")}, dict(shown["gene"]))
    for name in ("measured", "predicted"):
        print(name, f"at the main start {shown[name][shown['start']]:.1%}")

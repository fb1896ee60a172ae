"""Draw the book's four models on one page: ``python site/draw_models.py`` writes `models.svg`.

Plain SVG: it is small, and the site shows it inverted in dark mode.
"""

from __future__ import annotations

from pathlib import Path

from tssbook.pages.colours import BASE_COLOURS, MODEL

WIDTH, ROW, TOP, PAD = 720, 176, 44, 24
COLOURS = {"filter": "#cfe3f7", "mix": "#e7e7e7", "head": "#d4efd2"}
SEQUENCE = "GATTACAT"


def text(x: float, y: float, words: str, size: int = 14, style: str = "") -> str:
    """Return one line of text, centred on x unless `style` says otherwise."""
    anchor = "" if "text-anchor" in style else ' text-anchor="middle"'
    return f'<text x="{x}" y="{y}" font-size="{size}"{anchor} {style}>{words}</text>'


def box(x: float, y: float, width: float, height: float, kind: str, lines: list[str]) -> str:
    """Return a labelled layer, its top left corner at (x, y)."""
    drawn = [
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" '
        f'fill="{COLOURS[kind]}" stroke="#444"/>'
    ]
    first = y + height / 2 + 5 - 9 * (len(lines) - 1)
    drawn += [text(x + width / 2, first + 18 * i, line) for i, line in enumerate(lines)]
    return "".join(drawn)


def arrow(x0: float, y0: float, x1: float, y1: float) -> str:
    """Return an arrow from one point to another."""
    return f'<path d="M{x0} {y0}L{x1} {y1}" stroke="#222" fill="none" marker-end="url(#tip)"/>'


def sequence(y: float, length: str) -> str:
    """Return the input, eight letters wide, with its real length below."""
    letters = "".join(
        text(30 + 14 * i, y + 5, base, 17, f'fill="{BASE_COLOURS[base]}" font-weight="bold"')
        for i, base in enumerate(SEQUENCE)
    )
    return letters + text(79, y + 27, length)


def number(y: float, name: str) -> str:
    """Return an output that is one number."""
    circle = f'<circle cx="650" cy="{y}" r="11" fill="#fff" stroke="#444" stroke-width="2"/>'
    return circle + text(650, y + 30, name)


def tracks(y: float, count: int, labels: list[str]) -> str:
    """Return an output with a signal per base: `count` small tracks, each with its peaks."""
    drawn = []
    for i in range(count):
        base, up = y + 7 * i, 5 if i % 2 else 8
        drawn.append(
            f'<path d="M605 {base}h{38 + 3 * (i % 3)}l3 -{up}l3 {up}h6l2 -{up / 2}l2 {up / 2}'
            f'H695" stroke="{MODEL}" stroke-width="1.5" fill="none"/>'
        )
    below = y + 7 * count + 14
    return "".join(drawn) + "".join(text(650, below + 18 * i, s) for i, s in enumerate(labels))


def toy(y: float) -> str:
    """Return chapter 1's CNN, drawn around height y."""
    return (
        sequence(y, "8 bp")
        + arrow(142, y, 166, y)
        + box(170, y - 28, 150, 56, "filter", ["convolution", "32 filters, width 3"])
        + arrow(320, y, 376, y)
        + box(380, y - 28, 150, 56, "mix", ["ReLU, flatten,", "linear 192 to 1"])
        + arrow(530, y, 634, y)
        + number(y, "score")
    )


def promoter(y: float) -> str:
    """Return chapter 2's CNN, drawn around height y."""
    return (
        sequence(y, "2,000 bp")
        + arrow(142, y, 166, y)
        + box(
            170,
            y - 38,
            190,
            76,
            "filter",
            ["3 convolutions", "256, 128, 64 filters", "widths 15, 5, 3; pools"],
        )
        + arrow(360, y, 396, y)
        + box(400, y - 38, 140, 76, "mix", ["average over", "positions,", "linear 64, 32, 1"])
        + arrow(540, y, 634, y)
        + number(y, "expression")
    )


def puffin(y: float) -> str:
    """Return chapter 3's SimpleNet, drawn around height y."""
    up, down = y - 30, y + 30
    return (
        sequence(y, "4,650 bp")
        + arrow(142, y - 4, 166, up)
        + arrow(142, y + 4, 166, down)
        + box(170, up - 24, 165, 48, "filter", ["40 motif filters", "width 51, 2 strands"])
        + box(170, down - 24, 165, 48, "filter", ["20 initiator filters", "width 15, 2 strands"])
        + arrow(335, up, 361, up)
        + arrow(335, down, 361, down)
        + box(365, up - 24, 140, 48, "mix", ["effect curves", "width 601"])
        + box(365, down - 24, 140, 48, "mix", ["effect curves", "width 15"])
        + arrow(505, up, 528, y - 8)
        + arrow(505, down, 528, y + 8)
        + f'<circle cx="538" cy="{y}" r="12" fill="{COLOURS["head"]}" stroke="#444"/>'
        + text(538, y + 6, "+", 18)
        + arrow(550, y, 596, y)
        + tracks(y - 34, 10, ["10 tracks"])
    )


def procapnet(y: float) -> str:
    """Return chapter 4's ProCapNet, drawn around height y."""
    up, down = y - 36, y + 30
    return (
        sequence(y, "2,114 bp")
        + arrow(142, y, 156, y)
        + box(160, y - 28, 108, 56, "filter", ["512 filters", "width 21"])
        + arrow(268, y, 284, y)
        + box(288, y - 38, 148, 76, "mix", ["8 dilated", "convolutions, each", "adds to its input"])
        + arrow(436, y - 8, 461, up)
        + arrow(436, y + 8, 461, down)
        + box(465, up - 24, 100, 48, "head", ["profile", "width 75"])
        + box(465, down - 24, 100, 48, "head", ["mean,", "linear"])
        + arrow(565, up, 596, up)
        + tracks(up - 4, 2, ["2 x 1,000 bp"])
        + arrow(565, down, 634, down)
        + number(down, "log count")
    )


ROWS = [
    ("Chapter 1 · Toy CNN", "Why convolution?", toy),
    ("Chapter 2 · Promoter CNN", "How is a real regressor trained and interrogated?", promoter),
    ("Chapter 3 · Puffin's SimpleNet", "Can a network be its own explanation?", puffin),
    ("Chapter 4 · ProCapNet", "Where, to the base, does transcription start?", procapnet),
]


def draw() -> str:
    """Return the whole picture as SVG source."""
    height = ROW * len(ROWS)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="system-ui, sans-serif" fill="#111">',
        "<title>The four models of the book</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#222"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for i, (title, question, model) in enumerate(ROWS):
        top = ROW * i
        if i:
            drawn.append(f'<path d="M16 {top}H{WIDTH - 16}" stroke="#bbb"/>')
        drawn.append(text(16, top + 26, title, 17, 'text-anchor="start" font-weight="bold"'))
        drawn.append(text(WIDTH - 16, top + 26, question, 14, 'text-anchor="end" fill="#444"'))
        drawn.append(model(top + TOP + (ROW - TOP - PAD) / 2 + 8))
    return "\n".join([*drawn, "</svg>"]) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("models.svg").write_text(draw(), encoding="utf-8")

"""The book's colour code: what a colour means, in every figure of every chapter.

Each reads on white with a contrast of 3:1 or more, and those that share a figure can be told apart
with red-green blindness (tests simulate both kinds). No figure relies on colour alone: bases are
letters, the - strand is drawn below the line, curves have a legend.
"""

from __future__ import annotations

__all__ = [
    "BASE_COLOURS",
    "INK",
    "LINE",
    "MARK",
    "MEASURED",
    "MINUS",
    "MODEL",
    "PALE",
    "PLAIN",
    "PLUS",
    "SERIES",
    "TRUTH",
]

# The four bases.
BASE_COLOURS = {"A": "#00896b", "C": "#0a63b0", "G": "#c08400", "T": "#b5203c"}

# The + strand, or the strand of the gene.
PLUS = "#0072b2"
# The - strand, or the strand opposite to the gene.
MINUS = "#d55e00"

# What a network has learned, sees or predicts.
MODEL = "#a8328c"
# What a simulator knows: the rule behind simulated data.
TRUTH = "#009e73"
# What an experiment counted, real or simulated.
MEASURED = "#404040"

# One series that is none of these, such as a histogram of lengths.
PLAIN = "#5b7aa8"
# Several that are none of these, such as runs or methods to compare; a figure's default colours.
SERIES = (PLAIN, "#918b07", "#4f1616", "#1f0cf2", "#b7897a", "#0c0560")
# A place to look at, such as a site; filled with an opacity of about 0.25.
MARK = "#c08400"

# Words and numbers in a drawing.
INK = "#303030"
# Frames, arrows, diagonals, zero lines.
LINE = "#767676"
# A quiet background.
PALE = "#eef1f5"

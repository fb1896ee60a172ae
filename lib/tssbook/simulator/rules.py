"""The simulator's truth, written down: ten motifs, and what each does to initiation.

:mod:`tssbook.simulator.rates` applies it to sequences.

Motifs are written as IUPAC consensus sequences from the literature and turned into matrices by
one rule; none is copied from a database. What each does follows what is known of it (Dudnyk et
al., 2024; FitzGerald et al., 2004; Carninci et al., 2006), with heights chosen here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tssbook.data.tracks import TRACKS

__all__ = [
    "INITIATOR",
    "INITIATOR_A",
    "MOTIFS",
    "REACH",
    "UNIT",
    "Bump",
    "Motif",
    "Truth",
    "truth",
    "whole_curves",
]

REACH = 300  # a motif acts on so many bases to either side

# Per assay, for its track on the + strand: reads per unit of softplus, bias, gain of the
# initiator, and how much wider than CAGE's its effects are. CAGE is 0.61357 of ENCODE CAGE, the
# factor by which Chapter 3 fills blacklisted CAGE from ENCODE CAGE.
_SCALE = (0.61357 * 400, 400.0, 200.0, 250.0, 300.0)
_BIAS = (-13.0, -13.0, -12.9, -12.7, -12.6)
_SHARP = (1.0, 1.0, 0.85, 0.9, 0.8)
_WIDER = (1.0, 1.0, 1.2, 1.1, 1.15)

_LETTERS = {
    "A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT",
    "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
# Probability of each base that a letter does not stand for, upper case and lower case.
_FIRM, _SOFT = 0.03, 0.1
UNIT = 2048  # activations are whole numbers of 1 / 2048 of softplus's argument


class Bump(NamedTuple):
    """One part of an effect curve: a bell, with or without a period.

    Attributes
    ----------
    height
        Added to softplus's argument at the bell's top, by a perfect match.
    centre
        Where the top is: bases downstream of the motif's anchor.
    width
        Standard deviation, in bp.
    period
        Wavelength in bp of a ripple that takes up to 40 % off; 0 for none.
    """

    height: float
    centre: float
    width: float
    period: float = 0.0


class Motif(NamedTuple):
    """A motif family.

    Attributes
    ----------
    name, consensus
        IUPAC letters, read along the motif's own + strand.
    source
        JASPAR matrix of the same factor, or what else it is.
    anchor
        Index of the base that distances are counted from.
    threshold
        Share of the best possible score that a match must reach.
    same, opposite
        What it does to initiation on its own strand and on the other one. None on the other
        strand: the mirror image of its own, so that the motif's strand does not matter.
    """

    name: str
    consensus: str
    source: str
    anchor: int
    threshold: float
    same: tuple[Bump, ...]
    opposite: tuple[Bump, ...] | None = None


# The ten motif families that are planted, with what each does.
MOTIFS = (
    Motif("YY1", "aaaATGGCGGCn", "MA0095", 6, 0.58,
          (Bump(1.4, -14, 14),), (Bump(-0.5, -30, 40),)),
    Motif("TATA", "gTATAAAagnn", "MA0108", 1, 0.70, (Bump(3.6, 30, 2.5),), ()),
    Motif("U1 snRNP", "cAGGTAAGTn", "5' splice site, pairs with U1 snRNA", 4, 0.60,
          (Bump(0.7, -120, 60),), (Bump(-1.3, -220, 60),)),
    Motif("NFY", "nAGCCAATCAGc", "MA0060", 6, 0.53, (Bump(2.9, 65, 48, 10.5),)),
    Motif("ETS", "aCCGGAAGTgn", "MA0062", 5, 0.58, (Bump(3.0, 28, 48),)),
    Motif("SP", "gGGGGCGGGGcn", "MA0079", 6, 0.62, (Bump(2.1, 58, 50),)),
    Motif("NRF1", "tGCGCaTGCGCa", "MA0506", 5, 0.53, (Bump(2.1, 38, 48),)),
    Motif("ZNF143", "aCTACAATTCCCagca", "MA0088", 7, 0.50, (Bump(3.5, 62, 45, 10.5),)),
    Motif("CREB", "ngTGACGTCAcn", "MA0018", 6, 0.72, (Bump(1.6, 45, 45, 10.5),)),
    Motif("Long Inr", "ycCTCAGTcTtty", "an initiator (BBCABW) between pyrimidines", 6, 0.55,
          (Bump(2.1, 0, 1.6), Bump(0.3, 0, 14)), (Bump(-0.4, 0, 30),)),
)  # fmt: skip
# The common initiator, BBCABW with the A at the first transcribed base (Vo Ngoc et al., 2017):
# what each base adds to softplus's argument. Rows A, C, G, T; columns -3 to +3.
INITIATOR = np.array(
    [
        [-0.7, -0.7, -4.4, 2.4, -0.5, 0.4],
        [0.2, 0.3, 2.2, -2.6, 0.2, -0.3],
        [0.2, 0.1, -3.5, 1.3, 0.2, -0.4],
        [0.3, 0.2, 0.4, -2.2, 0.2, 0.4],
    ]
)
INITIATOR_A = 3  # column of the first transcribed base


class Truth(NamedTuple):
    """What a model of the simulated data should find.

    Attributes
    ----------
    names
        Names of the ten motifs.
    pwms
        Per motif ``(4, W)``, probabilities, each column adds up to 1; widths differ.
    curves
        ``(10, 2, 10, 601)`` float32: motif, strand of the motif (+, -), track, distance -300 to
        +300 of a base from the motif's anchor, in the direction of the sequence. Added to
        softplus's argument by a perfect match.
    tracks
        Names of the tracks.
    scale, bias, initiator_gain
        ``(10,)``, per track: reads per unit of softplus, softplus's argument where nothing acts,
        and the factor that :data:`INITIATOR` is multiplied with.
    """

    names: tuple[str, ...]
    pwms: tuple[np.ndarray, ...]
    curves: np.ndarray
    tracks: tuple[str, ...]
    scale: np.ndarray
    bias: np.ndarray
    initiator_gain: np.ndarray


@lru_cache(maxsize=1)
def truth() -> Truth:
    """Return motifs, effect curves and the tracks' scales and biases."""
    curves = (whole_curves() / UNIT).astype(np.float32)
    curves.flags.writeable = False
    return Truth(
        names=tuple(motif.name for motif in MOTIFS),
        pwms=tuple(_probabilities(motif.consensus) for motif in MOTIFS),
        curves=curves,
        tracks=TRACKS,
        scale=_both_strands(_SCALE),
        bias=_both_strands(_BIAS),
        initiator_gain=_both_strands(_SHARP),
    )


def _both_strands(values: tuple[float, ...]) -> np.ndarray:
    return np.array(values + values[::-1])


def _probabilities(consensus: str) -> np.ndarray:
    columns = []
    for letter in consensus:
        meant, other = _LETTERS[letter.upper()], _FIRM if letter.isupper() else _SOFT
        rest = other * (4 - len(meant))
        columns.append([(1 - rest) / len(meant) if b in meant else other for b in "ACGT"])
    return np.array(columns).T


@lru_cache(maxsize=1)
def whole_curves() -> np.ndarray:
    """Return the effect curves in whole numbers of 1 / UNIT, ``(10, 2, 10, 601)`` int32."""
    curves = np.zeros((len(MOTIFS), 2, len(TRACKS), 2 * REACH + 1))
    for m, motif in enumerate(MOTIFS):
        for track, wider in enumerate(_WIDER):
            same = _curve(motif.same, wider)
            mirrored = motif.opposite is None
            curves[m, 0, track] = same
            curves[m, 0, -1 - track] = same[::-1] if mirrored else _curve(motif.opposite, wider)
    curves[:, 1] = curves[:, 0, ::-1, ::-1]
    whole = np.round(curves * UNIT).astype(np.int32)
    whole.flags.writeable = False
    return whole


def _curve(bumps: tuple[Bump, ...], wider: float) -> np.ndarray:
    distance = np.arange(-REACH, REACH + 1)
    curve = np.zeros(len(distance))
    for bump in bumps:
        x = distance - bump.centre
        bell = bump.height * np.exp(-0.5 * (x / (bump.width * wider)) ** 2)
        if bump.period:
            bell *= 0.8 + 0.2 * np.cos(2 * np.pi * x / bump.period)
        curve += bell
    return curve

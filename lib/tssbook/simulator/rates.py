"""What a sequence does in the simulator: motif instances, and the rate of every base.

The truth is a function of the sequence. Every match of a motif acts, whether it was planted or is
there by chance, and the better the match the more. So the effect of any mutation is known: it is
the difference of two calls of :func:`rates`.

For a track ``t`` and a base at position ``p``::

    rate = scale[t] * softplus(bias[t] + gain[t] * initiator(p) + sum of strength * curve[t](p - a))

where the sum goes over the motif instances whose anchor ``a`` is at most 300 bp away. All sums
are sums of whole numbers and the softplus is a table, so a sequence has the same rates, to the
last bit, on every computer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
import pandas as pd

from tssbook.data.tracks import TRACKS
from tssbook.sequence import require_known_codes, reverse_complement_codes
from tssbook.simulator.rules import (
    INITIATOR,
    INITIATOR_A,
    MOTIFS,
    REACH,
    UNIT,
    truth,
    whole_curves,
)

__all__ = ["RATE_BITS", "SHORTEST", "log_rate", "rates", "scan", "whole_rates"]

TSS_REACH = 100  # a gene's rate is the sum over so many bases to either side of its TSS
RATE_BITS = 26  # before they are scaled, rates are whole numbers of 2 ** -26
SHORTEST = 20  # bases of a sequence; every motif fits into it
_BIT = 64  # units of a score per bit
_FULL = 64  # strength of a perfect match
_LEAST = 4  # strength of a match at the threshold
_CORE = 8  # bases looked at first when scanning
_NEVER = -(1 << 20)  # score of an N: no match holds one
_ROWS = 256  # sequences looked at together


def scan(codes: np.ndarray) -> pd.DataFrame:
    """Find all matches of all motifs on both strands.

    Parameters
    ----------
    codes
        ``(N, L)`` uint8, A 0, C 1, G 2, T 3, N 4.

    Returns
    -------
    pandas.DataFrame
        Sorted by locus and anchor: ``locus`` (row), ``motif`` (index), ``position`` (leftmost
        base of the match), ``width``, ``anchor`` (base that distances are counted from),
        ``strand`` ("+" or "-"), ``score`` (bits over a uniform background) and ``strength``
        (above 0, 1 for a perfect match).
    """
    require_known_codes(codes, shortest=SHORTEST)
    parts = [_scan(codes[i : i + _ROWS]) for i in range(0, len(codes), _ROWS)] or [_scan(codes)]
    for number, part in enumerate(parts):
        part["locus"] += number * _ROWS
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((found["minus"], found["motif"], found["anchor"], found["locus"]))
    table = pd.DataFrame(found).iloc[order].reset_index(drop=True)
    table["strand"] = np.where(table.pop("minus"), "-", "+")
    table["score"] = table["score"] / _BIT
    table["strength"] = table["strength"] / _FULL
    return table[["locus", "motif", "position", "width", "anchor", "strand", "score", "strength"]]


def rates(codes: np.ndarray) -> np.ndarray:
    """Return the expected reads per base, in all ten tracks.

    Nothing is known of what lies outside the sequence, so the first and last 300 bp lack the
    effect of what would stand there.

    Parameters
    ----------
    codes
        ``(N, L)`` uint8, A 0, C 1, G 2, T 3, N 4. An N belongs to no motif.

    Returns
    -------
    numpy.ndarray
        ``(N, 10, L)`` float32, reads. Exactly symmetric: ``rates(rc(x))`` is
        ``rates(x)[:, ::-1, ::-1]``.
    """
    require_known_codes(codes, shortest=SHORTEST)
    scale = (truth().scale * 2.0**-RATE_BITS).astype(np.float32)[:, None]
    result = np.empty((len(codes), len(TRACKS), codes.shape[1]), np.float32)
    for row, fixed in enumerate(whole_rates(codes)):
        np.multiply(fixed, scale, out=result[row])
    return result


def log_rate(codes: np.ndarray) -> np.ndarray:
    """Return the log of the expected CAGE reads around the TSS, ``log2(1 + reads)``.

    Sums the track CAGE+ over ``[tss - 100, tss + 100)``; the TSS is in the middle, ``L // 2``.

    Parameters
    ----------
    codes
        ``(N, L)`` uint8, oriented along the gene.

    Returns
    -------
    numpy.ndarray
        ``(N,)`` float64.
    """
    require_known_codes(codes, shortest=SHORTEST)
    tss = codes.shape[1] // 2
    lo, hi = max(tss - TSS_REACH, 0), min(tss + TSS_REACH, codes.shape[1])
    reads = [int(fixed.sum()) for fixed in whole_rates(codes, slice(0, 1), lo, hi)]
    return np.log2(1 + np.array(reads) * (truth().scale[0] * 2.0**-RATE_BITS))


def whole_rates(
    codes: np.ndarray,
    tracks: slice = slice(None),
    lo: int = 0,
    hi: int | None = None,
    strengths: Callable[[np.ndarray, dict[str, np.ndarray]], np.ndarray] | None = None,
    lower: int = 0,
) -> Iterator[np.ndarray]:
    """Yield for each sequence its rates in units of ``scale * 2 ** -26``, ``(T, hi - lo)`` int32.

    Parameters
    ----------
    codes
        ``(N, L)`` uint8.
    tracks
        Which tracks.
    lo, hi
        Which positions.
    strengths
        ``strengths(codes, found)`` says how strong each match is, from the columns of `scan`, as
        whole numbers (64 for a perfect match) and with ``minus`` for the strand. None: as found.
    lower
        How much lower the bias is, in 1 / UNIT.
    """
    hi = codes.shape[1] if hi is None else hi
    table, curves = _softplus(), whole_curves()
    for start in range(0, len(codes), _ROWS):
        part = codes[start : start + _ROWS]
        found = _scan(part)
        if strengths is not None:
            found["strength"] = strengths(part, found)
        order = np.argsort(found["locus"], kind="stable")
        first = np.searchsorted(found["locus"][order], np.arange(len(part) + 1))
        motif, minus, anchor, strength = (
            found[name][order].tolist() for name in ("motif", "minus", "anchor", "strength")
        )
        for row, total in enumerate(_without_motifs(part, tracks, lo, hi)):
            total -= lower
            for i in range(first[row], first[row + 1]):
                a, b = max(anchor[i] - REACH, lo), min(anchor[i] + REACH + 1, hi)
                if a < b:
                    left = a - anchor[i] + REACH
                    curve = curves[motif[i], minus[i], tracks, left : left + b - a]
                    total[:, a - lo : b - lo] += (strength[i] * curve) // _FULL
            yield table[np.clip(total, -16 * UNIT, 16 * UNIT - 1) + 16 * UNIT]


def _without_motifs(codes: np.ndarray, tracks: slice, lo: int, hi: int) -> Iterator[np.ndarray]:
    """Yield for each sequence softplus's argument from bias and initiator, ``(T, hi - lo)``."""
    forward = _initiator(codes)[:, lo:hi]
    backward = _initiator(reverse_complement_codes(codes))[:, ::-1][:, lo:hi]
    bias = np.round(truth().bias * UNIT).astype(np.int32)[tracks, None]
    gain = np.round(truth().initiator_gain * UNIT).astype(np.int32)[tracks, None]
    plus = np.arange(len(TRACKS))[tracks, None] < len(TRACKS) // 2
    for row in range(len(codes)):
        yield np.where(plus, forward[row], backward[row]) * gain // UNIT + bias


# --- tables -----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _softplus() -> np.ndarray:
    """``softplus(x)`` for x from -16 to 16, int32, in 2 ** -26."""
    x = np.arange(-16 * UNIT, 16 * UNIT) / UNIT
    return np.round(np.logaddexp(0, x) * 2**RATE_BITS).astype(np.int32)


@lru_cache(maxsize=1)
def _weights() -> tuple[np.ndarray, ...]:
    """Scores per base and column on the + strand, int32 ``(5, W)`` in 1 / _BIT bits; last row N."""
    tables = []
    for pwm in truth().pwms:
        whole = np.round(np.log2(pwm * 4) * _BIT).astype(np.int32)
        tables.append(np.vstack([whole, np.full((1, whole.shape[1]), _NEVER, np.int32)]))
    return tuple(tables)


def _stranded(motif: int, minus: int) -> np.ndarray:
    weights = _weights()[motif]
    return np.vstack([weights[3::-1, ::-1], weights[4:]]) if minus else weights


def _limits(motif: int) -> tuple[int, int]:
    """Smallest score that counts, and the best possible one."""
    best = int(_weights()[motif][:4].max(0).sum())
    return int(np.ceil(MOTIFS[motif].threshold * best)), best


@lru_cache(maxsize=1)
def _cores() -> tuple[np.ndarray, np.ndarray]:
    """Which 8-mers can be the core of which motif.

    Returns ``(65536,)`` uint32, bit ``2 * motif + minus`` set where a match is still possible,
    and ``(10, 2)``, where in the motif the core begins: its 8 most telling columns.
    """
    words = np.indices((4,) * _CORE, np.uint8).reshape(_CORE, -1)
    possible, offsets = np.zeros(4**_CORE, np.uint32), np.zeros((len(MOTIFS), 2), int)
    for m in range(len(MOTIFS)):
        limit, best = _limits(m)
        for minus in (0, 1):
            weights = _stranded(m, minus)[:4]
            spread = np.ptp(weights, axis=0)
            sums = np.convolve(spread, np.ones(_CORE, int), "valid")
            offset = offsets[m, minus] = int(sums.argmax())
            core = weights[:, offset : offset + _CORE]
            score = sum(core[words[i], i] for i in range(_CORE))
            left = best - int(core.max(0).sum())
            possible |= (score + left >= limit).astype(np.uint32) << np.uint32(2 * m + minus)
    return possible, offsets


# --- sequences --------------------------------------------------------------------------------


def _scan(codes: np.ndarray) -> dict[str, np.ndarray]:
    """Find all matches; columns of integers in no particular order of loci."""
    possible, offsets = _cores()
    length = codes.shape[1]
    base = codes & 3  # an N is taken for an A here, and refused by its score below
    two = base[:, :-1] << 2 | base[:, 1:]
    four = two[:, :-2] << 4 | two[:, 2:]
    core = four[:, :-4].astype(np.uint16) << 8 | four[:, 4:]
    marks = possible[core]
    rows, columns = np.nonzero(marks)
    marks = marks[rows, columns]
    names = ("locus", "motif", "minus", "position", "width", "anchor", "score", "strength")
    parts: list[tuple[np.ndarray, ...]] = []
    for m, motif in enumerate(MOTIFS):
        width, (limit, best) = len(motif.consensus), _limits(m)
        for minus in (0, 1):
            here = (marks >> np.uint32(2 * m + minus)) & 1 > 0
            row, start = rows[here], columns[here] - offsets[m, minus]
            inside = (start >= 0) & (start + width <= length)
            row, start = row[inside], start[inside]
            window = codes[row[:, None], start[:, None] + np.arange(width)]
            score = _stranded(m, minus)[window, np.arange(width)].sum(1)
            good = score >= limit
            row, start, score = row[good], start[good], score[good]
            strength = _LEAST + (_FULL - _LEAST) * (score - limit) // (best - limit)
            anchor = start + (width - 1 - motif.anchor if minus else motif.anchor)
            one = np.ones(len(row), np.int64)
            parts.append((row, m * one, minus * one, start, width * one, anchor, score, strength))
    return {
        name: np.concatenate(c) for name, c in zip(names, zip(*parts, strict=True), strict=True)
    }


def _initiator(codes: np.ndarray) -> np.ndarray:
    """Return what the common initiator adds on the + strand, int32 ``(N, L)``, in 1 / UNIT.

    Nothing where one of its six bases is an N or outside.
    """
    weights = np.vstack([np.round(INITIATOR * UNIT), np.full((1, 6), _NEVER)]).astype(np.int32)
    n, length = codes.shape
    padded = np.full((n, length + 5), 4, np.uint8)
    padded[:, INITIATOR_A : INITIATOR_A + length] = codes
    total = np.zeros((n, length), np.int32)
    for column in range(6):
        total += weights[:, column][padded[:, column : column + length]]
    total[total < _NEVER // 2] = 0
    return total

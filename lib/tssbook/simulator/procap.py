"""PRO-cap of simulated loci in which a mobile element hides its reads: Chapter 4, sections 3 and 9.

To the loci of :func:`~tssbook.simulator.simulate` comes what long terminal repeats do in a genome:
copies of one sequence that carry a promoter of their own. A young copy is so much like the others
that its reads cannot be placed: they are lost, and its bases are not mappable. An old copy has
changed enough for its reads to be seen.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from tssbook.data.peaks import JITTER, LENGTH, Windows
from tssbook.data.tracks import TRACKS
from tssbook.sequence import reverse_complement_codes
from tssbook.simulator.rates import RATE_BITS, whole_rates
from tssbook.simulator.rules import MOTIFS, truth
from tssbook.simulator.simulation import simulate

__all__ = ["ProcapLoci", "element", "peak_windows", "procap_rates", "simulate_procap"]

_STRANDS = slice(TRACKS.index("PRO-cap+"), TRACKS.index("PRO-cap-") + 1)
_UNIT = float(truth().scale[_STRANDS][0]) * 2.0**-RATE_BITS  # reads; both strands have the same
_YOUNG, _OLD = 0.25, 0.10  # share of the loci that hold such a copy
_CHANGED = {"young": 0.02, "old": 0.05}  # share of a copy's bases that differ
_LENGTH, _TSS = 240, 170  # of the element, and where in it transcription starts
_MOTIFS = {"NFY": 92, "SP": 58, "TATA": 30, "Long Inr": 0}  # in bases upstream of its start
_NEAREST, _FARTHEST = 270, 600  # from the middle of the locus to that of a copy


class ProcapLoci(NamedTuple):
    """What `simulate_procap` returns, along the gene, whose start is at index ``L // 2``.

    Attributes
    ----------
    sequences : numpy.ndarray
        ``(N, L)`` uint8, A 0, C 1, G 2, T 3.
    reads : numpy.ndarray
        ``(N, 2, L)`` uint16, of the + and of the - strand.
    mappable : numpy.ndarray
        ``(N, L)`` bool; where False, reads are lost.
    loci : pandas.DataFrame
        One row per locus: ``gene``, ``chrom``, ``strand``, ``family`` (-1: none) and
        ``promoter_class``, as from `simulate`.
    elements : pandas.DataFrame
        One row per copy of the element: ``locus`` (row), ``start``, ``strand``, ``age``
        ("young" or "old").
    """

    sequences: np.ndarray
    reads: np.ndarray
    mappable: np.ndarray
    loci: pd.DataFrame
    elements: pd.DataFrame


def simulate_procap(n_loci: int, *, seed: int, length: int = 4650) -> ProcapLoci:
    """Make loci with PRO-cap reads, a third of them with a copy of the mobile element.

    Parameters
    ----------
    n_loci, seed, length
        As for :func:`~tssbook.simulator.simulate`, whose sequences these are but for the copies.

    Raises
    ------
    ValueError
        A number is out of range.
    """
    made = simulate(n_loci, seed=seed, length=length, tracks=False)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    elements = _place(rng, n_loci, length)
    codes, mappable = made.sequences, made.mappable
    for row, start, strand, age in elements.itertuples(index=False):
        place = slice(start, start + _LENGTH)
        codes[row, place] = _copy(rng, strand, age)
        mappable[row, place] = age == "old"
    reads = np.empty((n_loci, 2, length), np.uint16)
    for row, fixed in enumerate(whole_rates(codes, _STRANDS)):
        reads[row] = _drawn(rng, fixed * mappable[row])
    columns = ["gene", "chrom", "strand", "family", "promoter_class"]
    return ProcapLoci(codes, reads, mappable, made.loci[columns], elements)


def procap_rates(codes: np.ndarray) -> np.ndarray:
    """Return the expected PRO-cap reads per base, ``(N, 2, L)`` float64, repeats or not.

    Parameters
    ----------
    codes
        ``(N, L)`` uint8; see :func:`tssbook.simulator.rates.rates`.
    """
    return np.stack([fixed * _UNIT for fixed in whole_rates(codes, _STRANDS)])


def peak_windows(made: ProcapLoci, rows: np.ndarray) -> Windows:
    """Cut two windows from each of some loci: one at its start site, one at its far end.

    The first is a peak. The second is background, for the model to learn what is none; loci with
    a copy of the element give only the first.

    Parameters
    ----------
    made
        From `simulate_procap`.
    rows
        Which loci.

    Raises
    ------
    ValueError
        The loci are shorter than a window.
    """
    width, whole = LENGTH + 2 * JITTER, made.sequences.shape[1]
    if whole < width:
        raise ValueError(f"The loci have {whole} bp; wanted {width} or more, a window's width.")
    lonely = rows[~np.isin(rows, made.elements["locus"])]
    parts = []
    for some, start in ((rows, (whole - width) // 2), (lonely, whole - width)):
        cut = slice(start, start + width)
        parts.append([array[some][..., cut] for array in made[:3]])
    codes, reads, mappable = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Windows(codes, reads, mappable, np.arange(len(codes)) < len(rows))


@lru_cache(maxsize=1)
def element() -> np.ndarray:
    """Return the element's sequence, ``(240,)`` uint8, which is transcribed on its + strand."""
    codes = np.random.default_rng(1789).integers(0, 4, _LENGTH).astype(np.uint8)
    for motif, pwm in zip(MOTIFS, truth().pwms, strict=True):
        if motif.name in _MOTIFS:
            start = _TSS - _MOTIFS[motif.name] - motif.anchor
            codes[start : start + pwm.shape[1]] = pwm.argmax(0)
    codes.flags.writeable = False
    return codes


def _drawn(rng: np.random.Generator, fixed: np.ndarray) -> np.ndarray:
    """Draw reads at rates ``(2, L)`` in whole units: a Poisson number, each at a drawn base."""
    ends = np.cumsum(fixed, dtype=np.int64)
    at = rng.integers(0, ends[-1], rng.poisson(ends[-1] * _UNIT))
    counts = np.bincount(np.searchsorted(ends, at, side="right"), minlength=fixed.size)
    return np.minimum(counts, np.iinfo(np.uint16).max).reshape(fixed.shape)


def _place(rng: np.random.Generator, n_loci: int, length: int) -> pd.DataFrame:
    """Choose which loci get a copy, and where."""
    dice = rng.random(n_loci)
    rows = np.flatnonzero(dice < _YOUNG + _OLD)
    distance = rng.integers(_NEAREST, _FARTHEST, len(rows)) * rng.choice([-1, 1], len(rows))
    return pd.DataFrame(
        {
            "locus": rows,
            "start": length // 2 + distance - _LENGTH // 2,
            "strand": rng.choice(["+", "-"], len(rows)),
            "age": np.where(dice[rows] < _YOUNG, "young", "old"),
        }
    )


def _copy(rng: np.random.Generator, strand: str, age: str) -> np.ndarray:
    changed = rng.random(_LENGTH) < _CHANGED[age]
    copy = (element() + changed * rng.integers(1, 4, _LENGTH, np.uint8)) & 3
    return copy if strand == "+" else reverse_complement_codes(copy)

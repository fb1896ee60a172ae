"""Chapter 4's data set: windows around PRO-cap peaks.

A window is wider than what the model reads, so that a batch can cut it a little to the left or to
the right each time (*jitter*). Reads in repeats are lost when they are mapped; ``mappable`` says
where.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tssbook.data.assembly import MAX_EMPTY, require_content
from tssbook.data.bigwig import BigWigs
from tssbook.data.fasta import Fasta
from tssbook.data.genome import locus_windows, read_windows
from tssbook.data.tables import Source, read_bed, read_tss

__all__ = ["JITTER", "LENGTH", "OUTPUT", "Windows", "middles", "read_peaks"]

_FEW = 0.2  # of the bases; where a mask leaves fewer, it is hardly one of mappability
LENGTH = 2114  # length of the sequence that a model reads, in bp
OUTPUT = 1000  # length of the part in its middle that is predicted, in bp
JITTER = 200  # largest shift of a window's middle to either side, in bp


class Windows(NamedTuple):
    """Peaks and background, each in the middle of a window.

    Attributes
    ----------
    codes : numpy.ndarray
        ``(N, W)`` uint8, A 0, C 1, G 2, T 3, N 4; ``W`` is the length, or more for jitter.
    reads : numpy.ndarray
        ``(N, 2, W)``, any number type, of the + and of the - strand.
    mappable : numpy.ndarray
        ``(N, W)`` bool; False where reads are lost, on both strands.
    peak : numpy.ndarray
        ``(N,)`` bool; False for background.
    loci : pandas.DataFrame or None
        Where they lie, ``N`` rows: ``chrom``, ``start``, ``end`` (0-based, half-open), ``strand``,
        ``tss`` (the middle) and ``padded``, positions outside the chromosome.
    lost : pandas.DataFrame or None
        ``row``, ``chrom``, ``tss`` and ``reason`` of what is not in the genome; rows of the
        background are counted after the peaks.
    """

    codes: np.ndarray
    reads: np.ndarray
    mappable: np.ndarray
    peak: np.ndarray
    loci: pd.DataFrame | None = None
    lost: pd.DataFrame | None = None

    def subset(self, rows: Sequence[int] | np.ndarray) -> Windows:
        """Return some of the windows, with their places.

        Parameters
        ----------
        rows
            Their numbers, such as ``split.train``, or a mask ``(N,)`` of bool.

        Raises
        ------
        ValueError
            The rows are neither, or not there.
        """
        rows, n = np.asarray(rows), len(self.codes)
        if rows.dtype == bool and rows.shape == (n,):
            rows = np.flatnonzero(rows)
        whole = rows.ndim == 1 and rows.dtype.kind in "iu" and len(rows) > 0
        if not whole or rows.min() < 0 or rows.max() >= n:
            raise ValueError(
                f"The rows are {rows.dtype} {rows.shape}; wanted some numbers from 0 to {n - 1}, "
                f"or a mask of {n}."
            )
        loci = None if self.loci is None else self.loci.iloc[rows].reset_index(drop=True)
        return Windows(*(part[rows] for part in self[:4]), loci, self.lost)


def read_peaks(
    fasta: Fasta | str | Path,
    bigwigs: BigWigs | Sequence[str | Path] | Mapping[str, str | Path],
    peaks: Source,
    background: Source | None = None,
    *,
    mappability: str | Path | None = None,
    length: int = LENGTH,
    jitter: int = JITTER,
    max_empty: float = MAX_EMPTY,
) -> Windows:
    """Cut windows around the middles of peaks, or their summits, out of a genome and its reads.

    Parameters
    ----------
    fasta
        The genome.
    bigwigs
        Reads of the + and of the - strand, two files in this order; signs are taken off.
    peaks, background
        BED or narrowPeak files or tables of `read_bed`: where there is initiation, and where
        there is none, such as open chromatin without PRO-cap. With a column ``summit`` the window
        lies around it.
    mappability
        A bigWig, such as Umap's for reads of 36 bases: bases with less than 1 are masked. None
        masks only N and what lies outside a chromosome.
    length
        Bases that the model reads, an even number.
    jitter
        How far batches will shift a window, in bp: windows are so much wider on each side.
    max_empty
        Largest share of peaks and background that may lie outside the genome or hold nothing but
        N, and of peaks without reads. A wrong assembly shows in that; 1 lets everything pass.

    Raises
    ------
    FileNotFoundError
        A file is not there.
    ValueError
        A file is not as it should be, there are not two bigWigs, no peak is in the genome, too
        many are empty, the files are not of one assembly, or ``jitter`` is below 0.

    Warns
    -----
    UserWarning
        A bigWig lacks a chromosome, or the mask leaves less than a fifth of the bases.
    """
    if jitter < 0:
        raise ValueError(f"jitter is {jitter}; wanted 0 bp or more.")
    fasta, bigwigs = Fasta.of(fasta), BigWigs.of(bigwigs)
    if len(bigwigs) != 2:
        raise ValueError(f"There are {len(bigwigs)} bigWigs; wanted the + and the - strand's.")
    parts = [middles(table) for table in (peaks, background) if table is not None]
    places, width = pd.concat(parts, ignore_index=True), length + 2 * jitter
    around, lost = locus_windows(fasta, bigwigs, places, width)
    peak = around.index.to_numpy() < len(parts[0])
    codes, reads = read_windows(fasta, bigwigs, around)
    require_content(lost, {"have only N": (codes > 3).all(1)}, max_empty)
    if not peak.any():
        raise ValueError(f"No peak lies in {fasta.path}; wanted both of one assembly.")
    peaks_lost = lost[lost["row"] < len(parts[0])]
    require_content(peaks_lost, {"have no reads": ~reads[peak].any((1, 2))}, max_empty)
    mappable = codes < 4
    if mappability is not None:
        track, chroms = BigWigs([mappability]), around["chrom"].unique()
        if absent := [chrom for chrom in chroms if chrom not in track.lengths[0]]:
            raise ValueError(
                f"{mappability} says nothing of {', '.join(absent)}, and would mask all of it; "
                "wanted mappability of every chromosome that has peaks."
            )
        track.require({c: fasta.length(c) for c in chroms}, fasta.path)
        mappable &= track.read(around["chrom"], around["start"], width)[:, 0] >= 1
        _require_some(mappable, mappability)
    loci = around.drop(columns="blacklisted").reset_index(drop=True)
    return Windows(codes, reads, mappable, peak, loci, lost)


def _require_some(mappable: np.ndarray, path: str | Path) -> None:
    """Refuse a mask that hides all, and warn of one that hides nearly all."""
    share = mappable.mean()
    said = f"By {path} {share:.1%} of the bases are mappable (1 or more there)"
    if share == 0:
        raise ValueError(f"{said}; wanted some: is it a track of mappability, from 0 to 1?")
    if share < _FEW:
        warnings.warn(f"{said}: is it a track of mappability?", stacklevel=3)


def middles(intervals: Source) -> pd.DataFrame:
    """Return where a window around each interval belongs: ``chrom``, ``tss``, ``strand``.

    Parameters
    ----------
    intervals
        As the peaks of `read_peaks`, or a table of start sites: ``tss`` is that, or the summit, or
        else the middle; ``strand`` is +. Names are kept.

    Raises
    ------
    ValueError
        As :func:`tssbook.data.tables.read_bed`, or `read_tss`.
    """
    if isinstance(intervals, pd.DataFrame) and "tss" in intervals and "start" not in intervals:
        return read_tss(intervals).assign(strand="+")
    table = read_bed(intervals)
    middle = (table["start"] + table["end"]) // 2
    if "summit" in table:
        middle = middle.where(table["summit"] < 0, table["start"] + table["summit"])
    found = pd.DataFrame({"chrom": table["chrom"], "tss": middle, "strand": "+"})
    return found.assign(name=table["name"]) if "name" in table else found

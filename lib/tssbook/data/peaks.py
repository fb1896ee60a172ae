"""Chapter 4's data set: windows around PRO-cap peaks.

A window is wider than what the model reads, so that a batch can cut it a little to the left or to
the right each time (*jitter*). Reads in repeats are lost when they are mapped; ``mappable`` says
where.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tssbook.data.bigwig import BigWigs
from tssbook.data.fasta import Fasta
from tssbook.data.genome import locus_windows, read_windows
from tssbook.data.tables import Source, read_bed

__all__ = ["JITTER", "LENGTH", "OUTPUT", "Windows", "read_peaks"]

LENGTH, OUTPUT, JITTER = 2114, 1000, 200  # bp that are read, predicted, and shifted either way


class Windows(NamedTuple):
    """Peaks and background, each in the middle of a window.

    Attributes
    ----------
    codes : numpy.ndarray
        ``(N, W)`` uint8, A 0, C 1, G 2, T 3, N 4; ``W`` is `LENGTH`, or more for jitter.
    reads : numpy.ndarray
        ``(N, 2, W)``, any number type, of the + and of the - strand.
    mappable : numpy.ndarray
        ``(N, W)`` bool; False where reads are lost, on both strands.
    peak : numpy.ndarray
        ``(N,)`` bool; False for background.
    """

    codes: np.ndarray
    reads: np.ndarray
    mappable: np.ndarray
    peak: np.ndarray


def read_peaks(
    fasta: Fasta | str | Path,
    bigwigs: BigWigs | Sequence[str | Path],
    peaks: Source,
    background: Source | None = None,
    *,
    mappability: str | Path | None = None,
    jitter: int = JITTER,
) -> Windows:
    """Cut windows around the middles of peaks out of a genome and its reads.

    Parameters
    ----------
    fasta
        The genome.
    bigwigs
        Reads of the + and of the - strand, two files in this order; signs are taken off.
    peaks, background
        BED files or tables of `read_bed`: where there is initiation, and where there is none,
        such as open chromatin without PRO-cap.
    mappability
        A bigWig, such as Umap's for reads of 36 bases: bases with less than 1 are masked. None
        masks only N and what lies outside a chromosome.
    jitter
        How far batches will shift a window, in bp: windows are so much wider on each side.

    Raises
    ------
    FileNotFoundError
        A file is not there.
    ValueError
        A file is not as it should be, there are not two bigWigs, a middle lies outside its
        chromosome, the files are not of one assembly, or ``jitter`` is below 0.
    """
    if jitter < 0:
        raise ValueError(f"jitter is {jitter}; wanted 0 bp or more.")
    fasta, bigwigs = Fasta.of(fasta), BigWigs.of(bigwigs)
    if len(bigwigs) != 2:
        raise ValueError(f"There are {len(bigwigs)} bigWigs; wanted the + and the - strand's.")
    parts = [_middles(table) for table in (peaks, background) if table is not None]
    places, width = pd.concat(parts, ignore_index=True), LENGTH + 2 * jitter
    around = locus_windows(fasta, bigwigs, places, width)
    codes, reads = read_windows(fasta, bigwigs, around)
    mappable = codes < 4
    if mappability is not None:
        track = BigWigs([mappability])
        track.require({c: fasta.length(c) for c in around["chrom"].unique()}, fasta.path)
        mappable &= track.read(around["chrom"], around["start"], width)[:, 0] >= 1
    return Windows(codes, reads, mappable, np.arange(len(places)) < len(parts[0]))


def _middles(intervals: Source) -> pd.DataFrame:
    table = read_bed(intervals)
    middle = (table["start"] + table["end"]) // 2
    return pd.DataFrame({"chrom": table["chrom"], "tss": middle, "strand": "+"})

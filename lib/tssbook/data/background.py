"""Background for peaks: places of the genome with the same share of G and C."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from tssbook.data.assembly import on_genome
from tssbook.data.fasta import Fasta
from tssbook.data.genome import windows
from tssbook.data.peaks import LENGTH, middles
from tssbook.data.pieces import Pieces
from tssbook.data.tables import Source
from tssbook.sequence import require_positive

__all__ = ["matching_background"]


def matching_background(
    fasta: Fasta | str | Path, peaks: Source, *, seed: int, width: int = LENGTH
) -> pd.DataFrame:
    """Draw as many places as there are peaks, none of them at a peak, with their GC content.

    Peaks are rich in G and C, and the rest of a genome is not, so a model that counts G and C
    tells the two apart. Against this background it cannot.
    The places are chosen by ``extract_matching_loci`` of the package tangermeme.

    Parameters
    ----------
    fasta
        The genome.
    peaks
        BED or narrowPeak files or tables of `read_bed`.
    seed
        Of what is drawn.
    width
        Bases around each middle whose GC content counts: what the model reads.

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``start``, ``end``, ``width`` bases each, on the chromosomes of the peaks; goes
        into :func:`tssbook.data.read_peaks` as ``background``.

    Raises
    ------
    ValueError
        The peaks are not as they should be, none lies in the genome, or there is no place for a
        background.

    Warns
    -----
    UserWarning
        There are fewer places than peaks, in a small genome, or because peaks hold much N.
    """
    require_positive(width=width)
    fasta = Fasta.of(fasta)
    if isinstance(fasta, Pieces):
        raise ValueError(
            f"{fasta.path} holds pieces of a genome; wanted whole chromosomes to choose from."
        )
    around, _ = on_genome(fasta, windows(middles(peaks), width // 2, width - width // 2))
    from tangermeme.match import extract_matching_loci  # loads numba

    found = extract_matching_loci(
        around[["chrom", "start", "end"]],
        str(fasta.path),
        in_window=width,
        out_window=width,
        random_state=np.random.RandomState(seed),
    )
    if found.empty:
        raise ValueError(
            f"{fasta.path} has no place for a background of {width:,} bp beside the peaks; wanted "
            "chromosomes of many times that length, or a smaller width."
        )
    if len(found) < len(around):
        warnings.warn(
            f"There are {len(found)} places of matching GC content for {len(around)} peaks.",
            stacklevel=2,
        )
    return found.reset_index(drop=True)

"""Where motifs match, in sequences or along a genome, with p-values.

The scores, their p-values and the search are those of FIMO (Grant, Bailey and Noble 2011), as in
the package memelite: the chance that a random word, each base with one quarter, matches as well.
Scores are binned for that, so a p-value near the best word of a short motif may be up to four times
too large. It is not corrected for how many words are looked at: among a million positions a hundred
matches with p below 1e-4 are expected by chance, on each strand.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor
from tqdm import tqdm

from tssbook.data.fasta import Fasta
from tssbook.motifs import checked_frequencies
from tssbook.sequence import one_hot_codes, require_sequences

__all__ = ["scan_genome", "scan_motifs"]

_AT_A_TIME = 1 << 22  # bases of a chromosome


def scan_motifs(
    motifs: Mapping[str, Tensor], x: Tensor, *, p: float = 1e-4, both_strands: bool = True
) -> pd.DataFrame:
    """Find the matches of motifs in sequences.

    Parameters
    ----------
    motifs
        Frequencies ``(4, W)`` by name, such as those of :func:`tssbook.motifs.read_meme` or
        ``filters.jaspar()``.
    x
        One-hot ``(N, 4, L)`` of any type; an N fits as well as bases do on average.
    p
        A match counts if its p-value is at most this.
    both_strands
        Search the reverse complement too.

    Returns
    -------
    pandas.DataFrame
        By sequence and position: ``sequence`` (row of ``x``), ``start``, ``end`` (0-based,
        half-open, along ``x``), ``motif``, ``strand``, ``score`` (bits) and ``p``.

    Raises
    ------
    ValueError
        There is no motif, a matrix is none of frequencies, or ``p`` is no number between 0 and 1.

    Warns
    -----
    UserWarning
        A motif is too short for the p-value: it matches nowhere.
    """
    require_sequences(x)
    return _scanned(_checked(motifs, p), x.cpu().numpy().astype(np.int8), p, both_strands)


def scan_genome(
    motifs: Mapping[str, Tensor],
    fasta: Fasta | str | Path,
    *,
    chroms: Sequence[str] | None = None,
    p: float = 1e-5,
    progress: bool = False,
) -> pd.DataFrame:
    """Find the matches of motifs along a genome, on both strands.

    Parameters
    ----------
    motifs, p
        As for `scan_motifs`.
    fasta
        The genome.
    chroms
        Which chromosomes; None takes all.
    progress
        Show a progress bar.

    Returns
    -------
    pandas.DataFrame
        By chromosome and position: ``chrom``, ``start``, ``end`` (0-based, half-open, on the +
        strand), ``motif``, ``strand``, ``score`` (bits) and ``p``.

    Raises
    ------
    ValueError
        As `scan_motifs`; or the genome has no such chromosome.
    """
    fasta, matrices, tables = Fasta.of(fasta), _checked(motifs, p), []
    if isinstance(chroms, str) or (chroms is not None and not len(chroms)):
        raise ValueError(f"chroms is {chroms!r}; wanted a list of names, or None for all.")
    overlap = max(matrix.shape[1] for matrix in matrices.values()) - 1
    chroms = list(fasta.lengths) if chroms is None else chroms
    for chrom in tqdm(chroms, disable=not progress, unit="chromosome"):
        for first in range(0, fasta.length(chrom), _AT_A_TIME):
            length = min(_AT_A_TIME + overlap, fasta.length(chrom) - first)
            x = one_hot_codes(fasta.codes([chrom], [first], length)).numpy()
            table = _scanned(matrices, x, p, True)
            table = table[table["start"] < _AT_A_TIME]  # the others come with the next stretch
            table = table.assign(start=table["start"] + first, end=table["end"] + first)
            tables.append(table.rename(columns={"sequence": "chrom"}).assign(chrom=chrom))
    return pd.concat(tables, ignore_index=True)


def _checked(motifs: Mapping[str, Tensor], p: float) -> dict[str, np.ndarray]:
    if not isinstance(motifs, Mapping) or not motifs:
        raise ValueError("There are no motifs; wanted one or more, by name.")
    if not isinstance(p, int | float) or not 0 < p < 1:
        raise ValueError(f"p is {p!r}; wanted a number between 0 and 1.")
    matrices = {name: checked_frequencies(freqs, name) for name, freqs in motifs.items()}
    if short := [name for name, matrix in matrices.items() if 4.0 ** -matrix.shape[1] > p]:
        warnings.warn(
            f"{', '.join(short[:5])}: so short that not even the best word has p = {p:g}; wanted a "
            "larger p for these.",
            stacklevel=3,
        )
    return matrices


def _scanned(
    matrices: Mapping[str, np.ndarray], x: np.ndarray, p: float, both_strands: bool
) -> pd.DataFrame:
    from memelite import fimo  # compiles a program, so only where it is needed

    fitting = {name: m for name, m in matrices.items() if m.shape[1] <= x.shape[2]}
    hits = fimo(fitting, x, threshold=p, reverse_complement=both_strands) if fitting else []
    columns = {"sequence_name": "sequence", "motif_name": "motif", "p-value": "p"}
    order = ["sequence", "start", "end", "motif", "strand", "score", "p"]
    found = [table.rename(columns=columns)[order] for table in hits if len(table)]
    if not found:
        return pd.DataFrame(columns=order)
    return pd.concat(found).sort_values(order[:5], kind="stable", ignore_index=True)

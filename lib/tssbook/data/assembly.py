"""Do loci, genome and reads belong together? What a wrong assembly, or a wrong strand, shows in.

What a genome does not have is a reported loss. Where much is lost or empty, or the other strand has
the reads, something is wrong.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd

from tssbook.data.fasta import Fasta
from tssbook.data.tables import other_name

__all__ = [
    "MAX_EMPTY",
    "faults_of",
    "on_genome",
    "reads_at_tss",
    "require_content",
    "warn_of_strands",
]

MAX_EMPTY = 0.25  # share of loci; where more have nothing to show, something is wrong
_AT_TSS = 100  # bp to either side, where a locus should have its own strand's reads
_MUCH = 2.0  # so much more on the other strand is no chance


def on_genome(fasta: Fasta, sites: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part start sites into those that a genome has and those that it has not.

    Parameters
    ----------
    fasta
        The genome.
    sites
        A table with ``chrom`` and ``tss``, as :func:`tssbook.data.genome.windows` returns it.

    Returns
    -------
    kept : pandas.DataFrame
        The rows whose TSS lies inside a chromosome, with their index.
    lost : pandas.DataFrame
        ``row`` (from 0), ``chrom``, ``tss`` and ``reason`` of the others.

    Raises
    ------
    ValueError
        No row is left, or the genome has a chromosome under another name, with or without "chr".
    """
    lengths = {chrom: fasta.lengths.get(chrom, 0) for chrom in sites["chrom"].unique()}
    for chrom in lengths:
        if chrom not in fasta.lengths and other_name(chrom) in fasta.lengths:
            fasta.length(chrom)  # refuses it and says how it is called there
    inside = (sites["tss"] < sites["chrom"].map(lengths)).to_numpy(bool)
    lost = sites.loc[~inside, ["chrom", "tss"]]
    lost.insert(0, "row", np.flatnonzero(~inside))
    lost["reason"] = [
        f"{chrom} has {lengths[chrom]:,} bp in {fasta.path.name}"
        if lengths[chrom]
        else f"{fasta.path.name} has no chromosome {chrom!r}"
        for chrom in lost["chrom"]
    ]
    if len(sites) and not inside.any():
        chrom, tss = lost[["chrom", "tss"]].iloc[0]
        raise ValueError(
            f"None of the {len(sites)} loci lies in {fasta.path}: the first is at {chrom}:{tss:,}, "
            f"and {chrom} has {fasta.length(chrom):,} bp; wanted both of one assembly."
        )
    return sites[inside], lost.reset_index(drop=True)


def faults_of(codes: np.ndarray, tracks: np.ndarray) -> dict[str, np.ndarray]:
    """Say of windows ``(N, L)`` and their tracks ``(N, T, L)`` which are empty, ``(N,)`` each."""
    return {"have only N": (codes > 3).all(1), "have no reads": ~tracks.any((1, 2))}


def require_content(lost: pd.DataFrame, faults: Mapping[str, np.ndarray], largest: float) -> None:
    """Refuse loci of which so many are empty that they seem to be of another assembly.

    Parameters
    ----------
    lost
        Loci outside the genome, from :func:`on_genome`.
    faults
        For those inside, ``(N,)`` bool by what it says, such as those of :func:`faults_of`.
    largest
        Share of all loci that may be lost or have a fault.

    Raises
    ------
    ValueError
        There are more, or ``largest`` is no share.
    """
    if not 0 <= largest <= 1:
        raise ValueError(f"max_empty is {largest}; wanted a share between 0 and 1.")
    empty = np.any(list(faults.values()), axis=0)
    n, n_empty = len(lost) + len(empty), len(lost) + int(empty.sum())
    if n and n_empty / n > largest:
        said = [f"{int(found.sum())} {name}" for name, found in faults.items()]
        if len(lost):
            row, chrom, tss, reason = lost.iloc[0]
            said.append(
                f"{len(lost)} are not in the genome, the first is row {row} at {chrom}:{tss:,}: "
                f"{reason}"
            )
        raise ValueError(
            f"Of {n} loci {n_empty} are empty ({'; '.join(said)}); wanted {largest:.0%} at most. "
            "Are genome, loci and reads of one assembly? If they are, "
            f"max_empty={np.ceil(100 * n_empty / n) / 100:g} lets them pass."
        )


def reads_at_tss(tracks: np.ndarray) -> np.ndarray:
    """Add up what windows along their genes have near the TSS, ``(2,)``: own and other strand.

    Parameters
    ----------
    tracks
        ``(N, T, L)`` in mirror order; with an odd ``T`` there are no two strands, and both are 0.
    """
    if tracks.shape[1] % 2:
        return np.zeros(2)
    middle, half = tracks.shape[2] // 2, tracks.shape[1] // 2
    near = tracks[:, :, max(middle - _AT_TSS, 0) : middle + _AT_TSS].sum((0, 2), dtype=np.float64)
    return near.reshape(2, half).sum(1)


def warn_of_strands(reads: np.ndarray) -> None:
    """Warn where start sites have clearly fewer reads on their own strand than on the other.

    Warns
    -----
    UserWarning
        With both numbers of :func:`reads_at_tss`.
    """
    own, other = reads
    if other > _MUCH * own:
        warnings.warn(
            f"Within {_AT_TSS} bp of their start sites the loci have {own:,.0f} on their own "
            f"strand and {other:,.0f} on the other: are the bigWigs' strands, or those of the "
            "table, swapped?",
            stacklevel=3,
        )

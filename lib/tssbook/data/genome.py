"""From a table of genes and a genome to the sequences and tracks around their start sites.

Chapter 2 reads the 2,000 bp upstream of each gene, Chapter 3 the 4,650 bp around each
transcription start site (TSS). Both are windows around a base, read along the gene: on the
- strand the window lies mirrored, and its sequence is the reverse complement.

The TSS of a gene is its first transcribed base: ``start`` on the + strand, ``end - 1`` on the
- strand. All positions are 0-based, all intervals half-open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tssbook.data.assembly import (
    MAX_EMPTY,
    faults_of,
    on_genome,
    reads_at_tss,
    require_content,
    warn_of_strands,
)
from tssbook.data.bigwig import BigWigs
from tssbook.data.blacklists import Blacklist
from tssbook.data.fasta import Fasta
from tssbook.data.tables import Source, read_tss, require, require_strands
from tssbook.sequence import reverse_complement_codes

__all__ = [
    "Loci",
    "extract",
    "locus_windows",
    "one_length",
    "padding",
    "read_windows",
    "require_bases",
    "sequences",
    "windows",
]


def windows(loci: Source, before: int, after: int) -> pd.DataFrame:
    """Lay a window around each start site: ``before`` bases upstream, ``after`` from it on.

    ``windows(genes, 2000, 0)`` is the promoter of Chapter 2: on the + strand
    ``[start - 2000, start)``, on the - strand ``[end, end + 2000)``.

    Parameters
    ----------
    loci
        Start sites or genes, as :func:`tssbook.data.tables.read_tss` takes them.
    before
        Bases upstream of the TSS.
    after
        Bases from the TSS on, itself included.

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``start``, ``end``, ``strand``, ``tss``, one row per locus, with the same
        index. A window may begin before its chromosome or end after it: :func:`sequences` pads it.

    Raises
    ------
    ValueError
        The loci are not as they should be, or the window has no base.
    """
    if before < 0 or after < 0 or before + after == 0:
        raise ValueError(f"The window has {before} and {after} bases; wanted 0 or more, not both.")
    sites = read_tss(loci)
    start = sites["tss"] - before
    start = start.where(sites["strand"] == "+", sites["tss"] + 1 - after)
    return pd.DataFrame(
        {
            "chrom": sites["chrom"],
            "start": start,
            "end": start + before + after,
            "strand": sites["strand"],
            "tss": sites["tss"],
        }
    )


def sequences(fasta: Fasta | str | Path, windows: pd.DataFrame) -> np.ndarray:
    """Read the sequence of each window along its gene.

    Parameters
    ----------
    fasta
        The genome: a path or an opened :class:`tssbook.data.fasta.Fasta`.
    windows
        ``chrom``, ``start``, ``end``, ``strand``; all of one length.

    Returns
    -------
    numpy.ndarray
        ``(N, L)`` ``uint8`` codes (A 0, C 1, G 2, T 3, N 4), rows in the order of the table;
        reverse-complemented on the - strand. What lies outside the chromosome is N.

    Raises
    ------
    ValueError
        A chromosome is unknown, the windows have different lengths, or the file is not sound.
    """
    fasta, length = Fasta.of(fasta), one_length(windows)
    encoded = fasta.codes(windows["chrom"], windows["start"], length)
    minus = (windows["strand"] == "-").to_numpy()
    encoded[minus] = reverse_complement_codes(encoded[minus])
    return encoded


def require_bases(codes: np.ndarray, windows: pd.DataFrame) -> None:
    """Refuse sequences with N, for what needs to know each base.

    Parameters
    ----------
    codes
        ``(N, L)``, as `sequences` returns them.
    windows
        Where they lie, with ``chrom`` and ``start``; the index names them.

    Raises
    ------
    ValueError
        The message names the first locus with an N.
    """
    if (unknown := (codes > 3).any(1)).any():
        row = windows.iloc[int(unknown.argmax())]
        raise ValueError(
            f"The sequence of locus {row.name}, at {row['chrom']}:{row['start']:,}, has N, or lies "
            "partly outside its chromosome, and a shuffle needs to know each base: leave such loci "
            "out."
        )


def padding(fasta: Fasta | str | Path, windows: pd.DataFrame) -> np.ndarray:
    """Count the positions of each window that lie outside its chromosome, ``(N,)``.

    Raises
    ------
    ValueError
        A chromosome is unknown.
    """
    fasta = Fasta.of(fasta)
    require(windows, ["chrom", "start", "end"])
    lengths = np.array([fasta.length(chrom) for chrom in windows["chrom"]], dtype=np.int64)
    start, end = windows["start"].to_numpy(), windows["end"].to_numpy()
    inside = np.minimum(end, lengths) - np.maximum(start, 0)
    return end - start - np.maximum(inside, 0)


def one_length(windows: pd.DataFrame) -> int:
    """Return the number of bases of windows, which must be the same for all.

    Raises
    ------
    ValueError
        There are several lengths, or a window has no base.
    """
    require_strands(windows)
    lengths = (windows["end"] - windows["start"]).unique()
    if len(lengths) != 1 or lengths[0] < 1:
        raise ValueError(
            f"The windows have {len(lengths)} lengths ({', '.join(map(str, lengths[:5]))}); "
            "wanted one, above 0."
        )
    return int(lengths[0])


# --- sequences with tracks ----------------------------------------------------------------------


class Loci(NamedTuple):
    """Sequences and tracks around start sites, along each gene.

    Attributes
    ----------
    codes : numpy.ndarray
        ``(N, L)`` ``uint8``; A 0, C 1, G 2, T 3, N 4.
    tracks : numpy.ndarray
        ``(N, T, L)`` ``float32``, in the unit of the files.
    loci : pandas.DataFrame
        Where they lie, ``N`` rows: ``chrom``, ``start``, ``end``, ``strand``, ``tss``; ``padded``,
        positions outside the chromosome, and ``blacklisted``, positions in each list, added up.
    lost : pandas.DataFrame
        ``row``, ``chrom``, ``tss`` and ``reason`` of each locus that is not in the genome.
    """

    codes: np.ndarray
    tracks: np.ndarray
    loci: pd.DataFrame
    lost: pd.DataFrame


def extract(
    fasta: Fasta | str | Path,
    bigwigs: BigWigs | Sequence[str | Path] | Mapping[str, str | Path],
    loci: Source,
    *,
    length: int = 4650,
    blacklists: Sequence[Blacklist] = (),
    max_empty: float = MAX_EMPTY,
) -> Loci:
    """Read sequence and tracks around start sites, along each gene (Chapter 3, section 1).

    The TSS stands at index ``length // 2`` on both strands. On the - strand the window is shifted
    by one base for that; the sequence is reverse-complemented, and tracks are flipped along both
    axes, so a gene's own strand always comes first. NaN is 0. Outside a chromosome the sequence
    is N and the tracks are 0; ``loci`` counts these positions.
    Files with values below 0 are read without their sign.

    Parameters
    ----------
    fasta
        The genome.
    bigwigs
        One file a track, in mirror order: the + strand's, then the - strand's in the opposite
        order (``tssbook.data.TRACKS`` names Chapter 3's ten). Or files by the names of their
        tracks, as :class:`tssbook.data.bigwig.BigWigs` takes them.
    loci
        Start sites or genes, as :func:`tssbook.data.tables.read_tss` takes them.
    length
        Bases of each window, an even number.
    blacklists
        Applied in this order; :func:`tssbook.data.blacklists.cage_blacklists` makes Chapter 3's.
    max_empty
        Largest share of loci that may lie outside the genome, hold nothing but N or no reads.
        A wrong assembly shows in that; 1 lets everything pass.

    Returns
    -------
    Loci
        The loci in their order, but for those that the genome does not have.

    Raises
    ------
    FileNotFoundError
        A file is not there.
    ValueError
        A file or table is not as it should be, the files are not of one assembly, too many loci
        are empty, or tracks are not in mirror order.

    Warns
    -----
    UserWarning
        A blacklist seems to be the other strand's, a bigWig lacks a chromosome, or start sites
        have more reads on the other strand than on their own.
    """
    fasta, bigwigs = Fasta.of(fasta), BigWigs.of(bigwigs)
    around, lost = locus_windows(fasta, bigwigs, loci, length, blacklists)
    codes, tracks = read_windows(fasta, bigwigs, around, blacklists)
    require_content(lost, faults_of(codes, tracks), max_empty)
    warn_of_strands(reads_at_tss(tracks))
    return Loci(codes, tracks, around.reset_index(drop=True), lost)


def locus_windows(
    fasta: Fasta,
    bigwigs: BigWigs,
    loci: Source,
    length: int,
    blacklists: Sequence[Blacklist] = (),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lay the windows of :func:`extract`, and see that all files go with each other.

    Returns
    -------
    loci, lost : pandas.DataFrame
        As in :class:`Loci`.
    """
    if length < 2 or length % 2:
        raise ValueError(f"length is {length}; wanted an even number of 2 or more.")
    around = windows(loci, length // 2, length // 2)
    if around.empty:
        raise ValueError("The table of loci has no rows; wanted one or more start sites.")
    around, lost = on_genome(fasta, around)
    bigwigs.require({c: fasta.length(c) for c in around["chrom"].unique()}, fasta.path)
    if not bigwigs.in_mirror_order and (around["strand"] == "-").any():
        raise ValueError(
            f"There are {len(bigwigs)} bigWigs, and loci on the - strand, whose tracks are flipped;"
            " wanted an even number: the + strand's, then the - strand's in the opposite order; or "
            'names, where one without a sign has no strand: {"ATAC": path}.'
        )
    blacklisted = np.zeros(len(around), dtype=np.int64)
    for blacklist in blacklists:
        blacklist.require(len(bigwigs))
        blacklisted += blacklist.survey(bigwigs, around["chrom"], around["start"], length)
    return around.assign(padded=padding(fasta, around), blacklisted=blacklisted), lost


def read_windows(
    fasta: Fasta, bigwigs: BigWigs, windows: pd.DataFrame, blacklists: Sequence[Blacklist] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Read sequence and tracks of windows from :func:`locus_windows`, some or all of them.

    Returns
    -------
    codes, tracks : numpy.ndarray
        As in :class:`Loci`.
    """
    chroms, starts = windows["chrom"].to_numpy(), windows["start"].to_numpy()
    codes = sequences(fasta, windows)
    tracks = bigwigs.read(chroms, starts, codes.shape[1])
    for blacklist in blacklists:
        blacklist.apply(tracks, chroms, starts)
    for row in np.flatnonzero(windows["strand"] == "-"):
        tracks[row] = tracks[row, ::-1, ::-1].copy()
    return codes, tracks

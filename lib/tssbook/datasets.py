"""The chapters' data sets: genes joined with what was measured, cut into training and test.

Nothing gets lost in silence here: whatever leaves a gene out says so in a report, a table with the
gene and the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tssbook.download import fetch
from tssbook.fasta import Fasta, known
from tssbook.genome import padding, read_bed, read_table, sequences, windows

__all__ = [
    "Promoters",
    "Split",
    "drop_uncertain",
    "ecoli_promoters",
    "join_expression",
    "load_promoters",
    "one_hot_codes",
    "read_expression",
    "split_at_random",
    "split_by_block",
    "split_by_chromosome",
]


class Split(NamedTuple):
    """Row numbers of three parts that share no row, each ``int64``, increasing."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


# --- splits ----------------------------------------------------------------------------------


def split_by_chromosome(chroms: Sequence[str], valid: Sequence[str], test: Sequence[str]) -> Split:
    """Give whole chromosomes to validation and test, and all others to training.

    Related genes that lie side by side stay together; relatives on other chromosomes do not.

    Parameters
    ----------
    chroms
        Chromosome of each row.
    valid, test
        Names of the chromosomes held out, such as ``["chr10"]`` and ``["chr8", "chr9"]``.

    Returns
    -------
    Split

    Raises
    ------
    TypeError
        ``valid`` or ``test`` is one string.
    ValueError
        A name is unknown or in both lists, or a part is empty.
    """
    chroms = np.asarray(chroms, dtype=object)
    names = sorted(set(chroms))
    for part, chosen in {"valid": valid, "test": test}.items():
        if isinstance(chosen, str):
            raise TypeError(f"{part} is {chosen!r}; wanted a list of names: [{chosen!r}].")
        for name in chosen:
            if name not in names:
                raise ValueError(f"No row is on {name!r} ({part}): {known(name, names)}.")
    if both := sorted(set(valid) & set(test)):
        raise ValueError(f"{both[0]} is in valid and in test; wanted it in one of them.")
    in_valid, in_test = np.isin(chroms, list(valid)), np.isin(chroms, list(test))
    return _split(~in_valid & ~in_test, in_valid, in_test)


def split_at_random(
    n: int, seed: int, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
) -> Split:
    """Give each row to a part by chance, whatever its relatives do (Chapter 2 shows the price).

    Parameters
    ----------
    n
        Number of rows.
    seed
        Seed of the draw.
    fractions
        Shares of training, validation and test; they add up to 1.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        The fractions are no shares of 1, or a part is empty.
    """
    part = np.empty(n, dtype=np.int64)
    part[np.random.default_rng(seed).permutation(n)] = _parts(n, fractions)
    return _split(part == 0, part == 1, part == 2)


def split_by_block(
    start: Sequence[int], length: int, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
) -> Split:
    """Cut one chromosome into three stretches: training first, then validation, then test.

    Sequences that overlap stay together. Between two parts a gap of one sequence's length is
    left; the sequences that reach into it are in no part.

    Parameters
    ----------
    start
        Where each sequence begins on the chromosome, ``(N,)``. On a circular chromosome the
        first and the last stretch are neighbours too: this function does not see that.
    length
        Length of the sequences.
    fractions
        Shares of training, validation and test before the gaps; they add up to 1.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        A start is missing, the fractions are no shares of 1, or a part is empty.
    """
    if pd.isna(np.asarray(start, dtype=object)).any():
        raise ValueError("A start is missing; wanted a place for each row: drop those without one.")
    start = np.asarray(start, dtype=np.int64)
    part = np.empty(len(start), dtype=np.int64)
    part[np.argsort(start, kind="stable")] = _parts(len(start), fractions)
    for earlier, later in ((0, 1), (1, 2), (0, 2)):
        if (part == earlier).any():
            first = start[part == earlier].max() + 2 * length
            part[(part == later) & (start < first)] = -1
    return _split(part == 0, part == 1, part == 2)


def _parts(n: int, fractions: tuple[float, float, float]) -> np.ndarray:
    """Part of each of n ordered rows: 0 training, 1 validation, 2 test."""
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"The fractions are {fractions}; wanted three above 0 that add up to 1.")
    ends = np.round(np.cumsum(fractions) * n).astype(int)
    return np.searchsorted(ends[:2], np.arange(n), side="right")


def _split(*masks: np.ndarray) -> Split:
    sizes = [int(mask.sum()) for mask in masks]
    if 0 in sizes:
        empty = Split._fields[sizes.index(0)]
        raise ValueError(
            f"The parts have {sizes[0]}, {sizes[1]} and {sizes[2]} rows; wanted some for {empty} "
            "too."
        )
    return Split(*(np.flatnonzero(mask) for mask in masks))


# --- genes and their expression ---------------------------------------------------------------


def read_expression(path: str | Path) -> pd.DataFrame:
    """Read a tab-separated table with the columns ``gene`` and ``expression``.

    Returns
    -------
    pandas.DataFrame
        ``gene`` and ``expression`` (``float64``; NaN for an empty field, NA or NaN).

    Raises
    ------
    ValueError
        A column is missing, or a value is no number; the message names the line.
    """
    table = read_table(path, ["gene", "expression"])
    text = table["expression"].str.strip()
    values = pd.to_numeric(text, errors="coerce")
    wrong = values.isna() & ~text.str.lower().isin(["", "na", "nan"])
    if wrong.any():
        line = wrong.idxmax()
        raise ValueError(
            f"Line {line} of {path} has the expression {text[line]!r}; wanted a number, or NA."
        )
    return pd.DataFrame({"gene": table["gene"], "expression": values}).reset_index(drop=True)


def join_expression(
    genes: pd.DataFrame, expression: pd.DataFrame | str | Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give each gene its expression, and say which genes are lost and why.

    A row that is repeated word for word is kept once. A gene that is listed with different values
    or at different places is lost: which one is meant, nobody can know.

    Parameters
    ----------
    genes
        A table with ``name``, such as :func:`tssbook.genome.read_bed` returns.
    expression
        A table with ``gene`` and ``expression``, or the path of one.

    Returns
    -------
    joined : pandas.DataFrame
        The rows of ``genes`` that have an expression, in their order, with that column.
    report : pandas.DataFrame
        ``gene`` and ``reason``, one row per gene lost; ``report["reason"].value_counts()``
        sums it up.

    Raises
    ------
    ValueError
        A column is missing, or no gene has an expression.
    """
    if not isinstance(expression, pd.DataFrame):
        expression = read_expression(expression)
    for table, column in ((genes, "name"), (expression, "gene"), (expression, "expression")):
        if column not in table:
            raise ValueError(
                f"The table has no column {column!r}: it has {', '.join(map(str, table))}."
            )
    genes = genes.drop_duplicates()
    values = expression[["gene", "expression"]].drop_duplicates().set_index("gene")["expression"]
    reasons = {
        "listed twice with different values": values.index[values.index.duplicated()],
        "expression is not a number": values.index[~np.isfinite(values)],
        "listed twice at different places": genes.loc[genes["name"].duplicated(), "name"],
        "no gene of this name": values.index.difference(genes["name"], sort=False),
        "no expression": pd.Index(genes["name"]).difference(values.index, sort=False),
    }
    report = pd.DataFrame(
        [(gene, reason) for reason, lost in reasons.items() for gene in pd.unique(lost)],
        columns=["gene", "reason"],
    ).drop_duplicates("gene", ignore_index=True)
    joined = genes[~genes["name"].isin(report["gene"])].reset_index(drop=True)
    if joined.empty:
        counts = "; ".join(f"{r}: {n}" for r, n in report["reason"].value_counts().items())
        raise ValueError(
            f"No gene has an expression ({counts}); wanted the same names in both tables."
        )
    return joined.assign(expression=values.loc[joined["name"]].to_numpy(np.float64)), report


# --- Chapter 2 --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Promoters:
    """Promoters and the expression of their genes.

    Attributes
    ----------
    x : torch.Tensor
        One-hot bytes, ``(N, 4, L)`` ``int8``, along the gene.
    y : torch.Tensor
        Expression, ``(N,)`` ``float32``, in the unit of the table.
    genes : pandas.DataFrame
        The genes, in the same order, with ``padded``: positions outside the chromosome.
    report : pandas.DataFrame
        ``gene`` and ``reason``: what was left out.
    """

    x: Tensor
    y: Tensor
    genes: pd.DataFrame
    report: pd.DataFrame


def load_promoters(
    fasta: str | Path | Fasta,
    genes: str | Path | pd.DataFrame,
    expression: str | Path | pd.DataFrame,
    *,
    length: int = 2000,
    max_n: float = 0.1,
) -> Promoters:
    """Make Chapter 2's data set: the sequence upstream of each gene, and its expression.

    Parameters
    ----------
    fasta
        The genome.
    genes
        BED file or table of genes, with names and strands.
    expression
        Tab-separated file or table with ``gene`` and ``expression``.
    length
        Bases upstream of the TSS.
    max_n
        A promoter with a larger share of N, or of positions outside the chromosome, is dropped
        and reported.

    Returns
    -------
    Promoters

    Raises
    ------
    ValueError
        A file or table is not as it should be, or nothing is left.
    """
    fasta = fasta if isinstance(fasta, Fasta) else Fasta(fasta)
    genes = genes if isinstance(genes, pd.DataFrame) else read_bed(genes)
    joined, lost = join_expression(genes, expression)
    upstream = windows(joined, before=length, after=0)
    encoded = sequences(fasta, upstream)
    joined = joined.assign(padded=padding(fasta, upstream))
    kept, uncertain = drop_uncertain(encoded, joined["name"], joined["padded"].to_numpy(), max_n)
    joined = joined[kept].reset_index(drop=True)
    return Promoters(
        x=one_hot_codes(encoded[kept]),
        y=torch.from_numpy(joined["expression"].to_numpy(np.float32)),
        genes=joined,
        report=pd.concat([lost, uncertain], ignore_index=True),
    )


def drop_uncertain(
    codes: np.ndarray, names: Sequence[str], padded: np.ndarray, max_n: float
) -> tuple[np.ndarray, pd.DataFrame]:
    """Find the sequences with too much N.

    Parameters
    ----------
    codes
        ``(N, L)``, as :func:`tssbook.genome.sequences` returns them.
    names
        Name of each row, for the report.
    padded
        Positions of each row outside the chromosome, for the report.
    max_n
        Largest share of N to keep, 0 to 1; positions outside count as N.

    Returns
    -------
    kept : numpy.ndarray
        ``(N,)`` bool.
    report : pandas.DataFrame
        ``gene`` and ``reason`` of the others.

    Raises
    ------
    ValueError
        ``max_n`` is no share, or no sequence is left.
    """
    if not 0 <= max_n <= 1:
        raise ValueError(f"max_n is {max_n}; wanted a share between 0 and 1.")
    share = (codes > 3).mean(axis=1)
    kept = share <= max_n
    if not kept.any():
        raise ValueError(
            f"Each of the {len(kept)} sequences has more than {max_n:.0%} N; wanted some with "
            "less: is it the right genome?"
        )
    lost = zip(np.asarray(names)[~kept], share[~kept], padded[~kept], strict=True)
    rows = [(name, f"{n:.0%} N, of which {p} bp outside the chromosome") for name, n, p in lost]
    return kept, pd.DataFrame(rows, columns=["gene", "reason"])


def one_hot_codes(codes: np.ndarray) -> Tensor:
    """Turn codes ``(N, L)`` into one-hot bytes ``(N, 4, L)``, ``int8``; code 4 is all zero."""
    x = np.empty((len(codes), 4, codes.shape[1]), dtype=np.int8)
    for base in range(4):
        x[:, base] = codes == base
    return torch.from_numpy(x)


# --- E. coli ----------------------------------------------------------------------------------


def ecoli_promoters() -> pd.DataFrame:
    """Read 17,767 promoters of *E. coli* whose activity was measured in one experiment.

    Each was put into the genome with a barcode behind it, and its RNA was counted against its DNA
    (cells grown in LB). Most are silent (median 0.03, some below 0) and the strongest exceed
    100: learn a logarithm of the value, held above a floor such as 0.01.

    Returns
    -------
    pandas.DataFrame
        ``sequence`` (along the promoter; 150 bp with the TSS at index 120, synthetic controls
        49 to 66 bp), ``expression`` (RNA/DNA), ``start`` and ``end`` (``Int64``, on the
        chromosome; missing for the 96 synthetic controls, negative across the origin),
        ``strand`` (missing for these and for 482 stretches without a promoter), ``name``,
        ``active`` (bool: expression above 0.246). 150 sequences occur more than once.

    Raises
    ------
    MissingFile
        The file is not at hand.

    Source: Urtecho et al., eLife 2023 (92558); KosuriLab/ecoli_promoter_mpra at 484abdb6.
    """
    columns = ["sequence", "expression", "start", "end", "name", "active"]
    table = pd.read_csv(
        fetch("ecoli_tss_promoter_mpra_lb.tsv.gz"),
        sep="\t",
        header=None,
        names=columns,
        dtype={"start": "Int64", "end": "Int64"},
    )
    table["active"] = table["active"] == "active"
    table.insert(4, "strand", table["name"].str.extract(r",([+-])$", expand=False))
    return table

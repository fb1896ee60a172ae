"""The chapters' data sets: genes joined with what was measured, cut into training and test.

Nothing gets lost in silence here: whatever leaves a gene out says so in a report, a table with the
gene and the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tssbook.data.download import fetch
from tssbook.data.fasta import Fasta
from tssbook.data.genome import padding, read_bed, read_table, sequences, windows
from tssbook.sequence import one_hot_codes

__all__ = [
    "Promoters",
    "drop_uncertain",
    "ecoli_promoters",
    "join_expression",
    "load_promoters",
    "read_expression",
]


# --- splits ----------------------------------------------------------------------------------


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
        A table with ``name``, such as :func:`tssbook.data.genome.read_bed` returns.
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
        ``(N, L)``, as :func:`tssbook.data.genome.sequences` returns them.
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

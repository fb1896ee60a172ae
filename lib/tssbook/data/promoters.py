"""Chapter 2's data sets: promoters joined with what was measured.

Nothing gets lost in silence here: whatever leaves a gene out says so in a report, a table with the
gene and the reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tssbook.data.assembly import MAX_EMPTY, on_genome, require_content
from tssbook.data.download import fetch
from tssbook.data.fasta import Fasta
from tssbook.data.genome import padding, sequences, windows
from tssbook.data.tables import Source, as_names, read_bed, read_table
from tssbook.sequence import one_hot_codes

__all__ = ["Promoters", "ecoli_promoters", "join_expression", "load_promoters", "read_expression"]


def read_expression(source: Source) -> pd.DataFrame:
    """Read the expression of genes from a file, or check a table of it.

    Parameters
    ----------
    source
        A tab-separated file with the columns ``gene`` and ``expression``, or a table.

    Returns
    -------
    pandas.DataFrame
        ``gene`` and ``expression`` (``float64``; NaN for an empty field, NA or NaN).

    Raises
    ------
    ValueError
        A column is missing, or a value is no number; the message names the line.
    """
    columns = ["gene", "expression"]
    table = read_table(source, columns, numbers=["expression"])
    return _named(table, "gene")[columns].reset_index(drop=True)


def join_expression(genes: pd.DataFrame, expression: Source) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give each gene its expression, and say which genes are lost and why.

    A row that is repeated word for word is kept once. A gene that is listed with different values
    or at different places is lost: which one is meant, nobody can know. So is a row without a name.

    Parameters
    ----------
    genes
        A table with ``name``, such as :func:`tssbook.data.read_bed` returns.
    expression
        A file or table for :func:`read_expression`.

    Returns
    -------
    joined : pandas.DataFrame
        The rows of ``genes`` that have an expression, in their order, with that column.
    report : pandas.DataFrame
        ``gene`` and ``reason``, one row per gene lost, or per row without a name;
        ``report["reason"].value_counts()`` sums it up.

    Raises
    ------
    ValueError
        A column is missing, a value is no number, or no gene has an expression.
    """
    genes = _named(read_table(genes, ["name"]), "name").drop_duplicates()
    values = read_expression(expression).drop_duplicates()
    no_name, no_gene = _is_empty(genes["name"]), _is_empty(values["gene"])
    nameless = [*genes["name"][no_name], *values["gene"][no_gene]]
    genes, values = genes[~no_name], values[~no_gene].set_index("gene")["expression"]
    reasons = {
        "listed twice with different values": values.index[values.index.duplicated()],
        "expression is not a number": values.index[~np.isfinite(values)],
        "listed twice at different places": genes.loc[genes["name"].duplicated(), "name"],
        "no gene of this name": values.index.difference(genes["name"], sort=False),
        "no expression": pd.Index(genes["name"]).difference(values.index, sort=False),
    }
    lost: dict[str, str] = {}  # gene to its first reason
    for reason, names in reasons.items():
        lost |= {name: reason for name in names if name not in lost}
    rows = [*lost.items(), *((name, "no name") for name in nameless)]
    report = pd.DataFrame(rows, columns=["gene", "reason"])
    joined = genes[~genes["name"].isin(report["gene"])].reset_index(drop=True)
    if joined.empty:
        counts = "; ".join(f"{r}: {n}" for r, n in report["reason"].value_counts().items())
        raise ValueError(
            f"No gene has an expression ({counts}); wanted the same names in both tables, which "
            f"have {_examples(genes['name'])} and {_examples(values.index)}."
        )
    return joined.assign(expression=values.loc[joined["name"]].to_numpy(np.float64)), report


def _named(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Make text of names, without spaces around: 7157 in one table is "7157" in another."""
    return table.assign(**{column: as_names(table[column]).where(table[column].notna())})


def _is_empty(names: pd.Series) -> pd.Series:
    return names.isna() | (names.astype(str).str.strip() == "")


def _examples(names: Iterable[object]) -> str:
    return ", ".join(repr(name) for name in list(names)[:2]) or "none"


class Promoters(NamedTuple):
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
    fasta: Fasta | str | Path,
    genes: Source,
    expression: Source,
    *,
    length: int = 2000,
    max_n: float = 0.1,
    max_empty: float = MAX_EMPTY,
) -> Promoters:
    """Make Chapter 2's data set: the sequence upstream of each gene, and its expression.

    Parameters
    ----------
    fasta
        The genome: a file, or an opened one.
    genes
        A BED file or table with names and strands, for :func:`tssbook.data.read_bed`.
    expression
        A file or table for :func:`read_expression`.
    length : int, default 2000
        Bases upstream of the TSS.
    max_n : float, default 0.1
        A promoter with a larger share of N, or of positions outside the chromosome, is dropped
        and reported.
    max_empty : float, default 0.25
        Largest share of the genes with an expression that may be dropped for that, or lie outside
        the genome. A wrong assembly shows in it; 1 lets everything pass.

    Returns
    -------
    Promoters

    Raises
    ------
    ValueError
        A file or table is not as it should be, ``max_n`` is no share, or too little is left.
    """
    if not 0 <= max_n <= 1:
        raise ValueError(f"max_n is {max_n}; wanted a share between 0 and 1.")
    fasta = Fasta.of(fasta)
    joined, lost = join_expression(read_bed(genes), expression)
    upstream, outside = on_genome(fasta, windows(joined, before=length, after=0))
    lost = pd.concat([lost, outside.assign(gene=joined["name"].iloc[outside["row"]].to_numpy())])
    joined = joined.loc[upstream.index]
    encoded = sequences(fasta, upstream)
    share = (encoded > 3).mean(axis=1)
    kept = share <= max_n
    require_content(outside, {f"have more than {max_n:.0%} N": ~kept}, max_empty)
    if not kept.any():
        raise ValueError(f"Each promoter has more than {max_n:.0%} N; wanted some with less.")
    joined = joined.assign(padded=padding(fasta, upstream))
    uncertain = pd.DataFrame(
        {
            "gene": joined["name"],
            "reason": [
                f"{n:.0%} N, of which {padded} bp outside the chromosome"
                for n, padded in zip(share, joined["padded"], strict=True)
            ],
        }
    )
    return Promoters(
        x=one_hot_codes(encoded[kept]),
        y=torch.from_numpy(joined["expression"].to_numpy(np.float32)[kept]),
        genes=joined[kept].reset_index(drop=True),
        report=pd.concat([lost[uncertain.columns], uncertain[~kept]], ignore_index=True),
    )


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

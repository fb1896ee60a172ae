"""Genes from an annotation: GTF, as GENCODE and Ensembl write it, or GFF3."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pandas as pd

from tssbook.data.tables import NoIntervals, lines, read_bed

__all__ = ["read_gtf"]

# What an attribute is called in GTF and in GFF3, the first one that is there.
_NAMES = {
    "name": ("gene_name", "Name", "gene"),
    "id": ("gene_id", "ID"),
    "type": ("gene_type", "gene_biotype", "biotype"),
}
_ATTRIBUTE = re.compile(r'\s*([^\s;="]+)(?:\s+"([^"]*)"|\s+([^;"]*)|=([^;]*))\s*(?:;|$)')


def read_gtf(path: str | Path, feature: str = "gene") -> pd.DataFrame:
    """Read the genes of a GTF or GFF3 file, or another of its features.

    The table goes wherever start sites or genes are asked for: into
    :func:`tssbook.data.load_promoters`, :func:`tssbook.data.build_tracks` and
    :func:`tssbook.data.read_tss`.

    Parameters
    ----------
    path
        Plain, or compressed with gzip or bgzip. Positions there are counted from 1.
    feature
        Which lines to take, by their third column: ``"gene"``, ``"transcript"``, ``"mRNA"``, ...

    Returns
    -------
    pandas.DataFrame
        In the order of the file: ``chrom``, ``start``, ``end`` (0-based, half-open), ``name``
        (the ``id`` where there is none), ``score`` (``"."``), ``strand``, ``id`` and ``type``
        (such as ``"protein_coding"``); empty text for what is not there.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    NoIntervals
        No line has the feature; this is a ValueError, and names those that are there.
    ValueError
        The file is damaged or of another kind, or a line has not nine columns, no whole number
        as a start or end, an end before the start, or another strand than + - and ".".
    """
    rows, others = {}, set()
    for number, line in lines(path):
        if line.startswith("##FASTA"):  # GFF3 may end with the sequences
            break
        fields = line.split("\t")
        if line.startswith("#") or not line.strip():
            continue
        if len(fields) != 9:
            raise ValueError(
                f"Line {number} of {path} has {len(fields)} columns; wanted the nine of GTF or "
                "GFF3, separated by tabs."
            )
        if fields[2] == feature:
            rows[number] = fields
        else:
            others.add(fields[2])
    if not rows:
        there = f"has {', '.join(sorted(others)[:8])}" if others else "is empty"
        raise NoIntervals(f"{path} has no {feature!r} in its third column: it {there}.")
    return _as_bed(rows, path)


def _as_bed(rows: dict[int, list[str]], path: str | Path) -> pd.DataFrame:
    for number, fields in rows.items():
        start, end, strand = fields[3], fields[4], fields[6]
        if not (re.fullmatch("[0-9]{1,15}", start) and re.fullmatch("[0-9]{1,15}", end)) or not (
            1 <= int(start) <= int(end)
        ):
            raise ValueError(
                f"Line {number} of {path} has the start {start[:40]!r} and the end {end[:40]!r}; "
                "wanted whole numbers, counted from 1, the end not before the start."
            )
        if strand not in ("+", "-", "."):
            raise ValueError(f"Line {number} of {path} has the strand {strand!r}; wanted + - or .")
    found = [_attributes(fields[8]) for fields in rows.values()]
    table = pd.DataFrame(
        {
            "chrom": [fields[0] for fields in rows.values()],
            "start": [int(fields[3]) - 1 for fields in rows.values()],
            "end": [int(fields[4]) for fields in rows.values()],
            "name": [_first(have, "name") or _first(have, "id") for have in found],
            "score": ".",
            "strand": [fields[6] for fields in rows.values()],
            "id": [_first(have, "id") for have in found],
            "type": [_first(have, "type") for have in found],
        }
    )
    return read_bed(table)


def _attributes(text: str) -> dict[str, str]:
    """Read the ninth column: ``key "value";`` of GTF, ``key=value;`` of GFF3."""
    found: dict[str, str] = {}
    for key, quoted, bare, assigned in _ATTRIBUTE.findall(text):
        found.setdefault(key, quoted or bare.strip() or unquote(assigned.strip()))
    return found


def _first(have: dict[str, str], what: str) -> str:
    """Return the first attribute that says this, or empty text."""
    return next((have[key] for key in _NAMES[what] if have.get(key)), "")

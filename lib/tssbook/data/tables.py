"""Tables that come with a genome: intervals, start sites, and whatever has columns and a header.

Positions are 0-based, intervals half-open, and a message about a bad line names the line.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

__all__ = ["NoIntervals", "lines", "read_bed", "read_table", "read_tss", "require", "whole_number"]

_BED = ("chrom", "start", "end", "name", "score", "strand")


class NoIntervals(ValueError):
    """A BED file holds no interval."""


def read_bed(path: str | Path) -> pd.DataFrame:
    """Read a BED file, plain or compressed with gzip.

    Comments and the lines ``track`` and ``browser`` are skipped; the order is kept.

    Parameters
    ----------
    path
        The file; its columns are separated by tabs or spaces.

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``start``, ``end`` and, as far as the first line has them, ``name``,
        ``score`` (as text) and ``strand``. Further columns are left out.

    Raises
    ------
    NoIntervals
        The file has none; this is a ValueError.
    ValueError
        A line has too few columns, a start that is negative or no
        whole number, an end that is not after the start, or another strand than + - and ".".
        The message names the line.
    """
    rows: list[list[str | int]] = []
    n_columns = 3
    for number, line in lines(path):
        fields = line.split("\t") if "\t" in line else line.split()
        if line.startswith("#") or not fields or fields[0].split()[:1] in (["track"], ["browser"]):
            continue
        if not rows:
            n_columns = min(max(len(fields), 3), len(_BED))
        if len(fields) < n_columns:
            raise ValueError(
                f"Line {number} of {path} has {len(fields)} columns; wanted at least {n_columns}: "
                f"{', '.join(_BED[:n_columns])}."
            )
        rows.append(_interval(fields[:n_columns], f"Line {number} of {path}"))
    if not rows:
        raise NoIntervals(f"{path} has no intervals; wanted a BED file.")
    return pd.DataFrame(rows, columns=list(_BED[:n_columns]))


def _interval(fields: Sequence[str], where: str) -> list[str | int]:
    chrom, start, end, *others = fields
    first, last = whole_number(start, "start", where), whole_number(end, "end", where)
    if first < 0:
        raise ValueError(f"{where} has the start {first}; wanted 0 or more.")
    if last <= first:
        raise ValueError(f"{where} has start {first} and end {last}; wanted start < end.")
    if len(others) == 3 and others[2] not in ("+", "-", "."):
        raise ValueError(f"{where} has the strand {others[2]!r}; wanted '+', '-' or '.'.")
    return [chrom, first, last, *others]


def whole_number(text: str, name: str, where: str) -> int:
    """Read a whole number; ``name`` and ``where`` are for the sentence of the ValueError."""
    if not re.fullmatch(r"-?[0-9]+", text):
        raise ValueError(f"{where} has the {name} {text!r}; wanted a whole number.")
    return int(text)


def lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is not blank; compressed files too."""
    with Path(path).open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    with (gzip.open if compressed else open)(path, "rt", encoding="utf-8") as file:
        try:
            for number, line in enumerate(file, 1):
                if text := line.rstrip("\r\n"):
                    yield number, text
        except zlib.error as error:
            raise ValueError(f"{path} is damaged ({error}): get it again.") from error
        except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
            raise ValueError(f"{path} cannot be read as text ({error}).") from error


def read_table(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a tab-separated table with a header, plain or compressed with gzip, as text.

    Parameters
    ----------
    path
        The file. Lines that begin with ``#`` are skipped.
    columns
        Names that the header must have, in any order, beside others.

    Returns
    -------
    pandas.DataFrame
        All columns, as strings; the index holds each row's line in the file.

    Raises
    ------
    ValueError
        The table is empty, a name is missing from the header, or a line has more or fewer
        columns than the header.
    """
    rows = {n: line.split("\t") for n, line in lines(path) if not line.startswith("#")}
    if len(rows) < 2:
        raise ValueError(f"{path} has {len(rows)} lines; wanted a header and at least one row.")
    header = rows.pop(next(iter(rows)))
    if missing := [name for name in columns if name not in header]:
        raise ValueError(
            f"{path} has no column {missing[0]!r}: its header is {', '.join(header)}; wanted "
            f"{', '.join(columns)}, separated by tabs."
        )
    for number, fields in rows.items():
        if len(fields) != len(header):
            raise ValueError(
                f"Line {number} of {path} has {len(fields)} columns; wanted {len(header)} as in "
                "the header."
            )
    return pd.DataFrame(list(rows.values()), columns=header, index=list(rows))


def read_tss(path: str | Path) -> pd.DataFrame:
    """Read a table of transcription start sites with the header ``chr, TSS, strand``.

    Parameters
    ----------
    path
        A tab-separated file, plain or compressed with gzip. ``TSS`` is the 0-based position of
        the first transcribed base (so it is 1 less than the position in a GTF file).

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``tss``, ``strand``, and ``name`` if the file has such a column.

    Raises
    ------
    ValueError
        A column is missing, or a line has a position that is negative or no whole number, or
        another strand than + and -. The message names the line.
    """
    table = read_table(path, ["chr", "TSS", "strand"])
    for number, text, strand in zip(table.index, table["TSS"], table["strand"], strict=True):
        where = f"Line {number} of {path}"
        if whole_number(text, "TSS", where) < 0:
            raise ValueError(f"{where} has the TSS {text}; wanted 0 or more.")
        if strand not in ("+", "-"):
            raise ValueError(f"{where} has the strand {strand!r}; wanted '+' or '-'.")
    table = table.rename(columns={"chr": "chrom", "TSS": "tss"}).reset_index(drop=True)
    kept = [name for name in ("chrom", "tss", "strand", "name") if name in table]
    return table[kept].astype({"tss": "int64"})


def require(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a table that lacks a column.

    Raises
    ------
    ValueError
        The message names the column.
    """
    if missing := [name for name in columns if name not in table]:
        raise ValueError(
            f"The table has no column {missing[0]!r}: it has {', '.join(map(str, table))}; wanted "
            f"{', '.join(columns)}."
        )

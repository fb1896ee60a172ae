"""Tables that come with a genome: intervals, start sites, and whatever has columns and a header.

Each function takes a file, plain or compressed with gzip, or a table in memory, and checks both in
the same way: a sentence about a bad row names its line in the file, or its row (from 0) in the
table. Positions are 0-based, intervals half-open.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from tssbook.files import compression, kind

__all__ = [
    "NoIntervals",
    "Source",
    "as_names",
    "known",
    "lines",
    "other_name",
    "read_bed",
    "read_table",
    "read_tss",
    "require",
    "require_strands",
]

Source: TypeAlias = pd.DataFrame | str | Path

_FIRST_NAMES = ("chr", "chrom")  # a header behind "#"
_LONGEST_LINE = 1 << 26  # bytes; a bomb of a few kilobytes unpacks to one line of gigabytes
_BED = ("chrom", "start", "end", "name", "score", "strand")


class NoIntervals(ValueError):
    """A BED file or table holds no interval."""


def read_bed(source: Source) -> pd.DataFrame:
    """Read intervals from a BED file, or check a table of them.

    Parameters
    ----------
    source
        A file with columns separated by tabs or spaces; comments and the lines ``track`` and
        ``browser`` are skipped. A narrowPeak file is known by its name (``.narrowPeak``, ``.gz``
        behind it or not). Or a table with ``chrom``, ``start``, ``end``.

    Returns
    -------
    pandas.DataFrame
        The rows in their order. From a file ``chrom``, ``start``, ``end`` and, as far as its
        first line has them, ``name``, ``score`` (as text) and ``strand``; of narrowPeak also
        ``summit``, counted from the start, -1 where there is none; of a table all columns.

    Raises
    ------
    NoIntervals
        There is no interval; this is a ValueError.
    ValueError
        A column is missing or there twice, a chromosome has no name, a start is no whole number
        of 0 or more, an end is not after the start, a strand is none of + - and ".", or a summit
        lies outside its interval.
    """
    table = source if _in_memory(source) else _bed_rows(source)
    require(table, ["chrom", "start", "end"], source)
    if table.empty:
        raise NoIntervals(f"{_name(source)} has no intervals; wanted one or more.")
    table = _with_intervals(_with_names(table, source), source)
    if "strand" in table:
        wrong = ~table["strand"].isin(["+", "-", "."])
        _refuse(wrong, table, ["strand"], "'+', '-' or '.'", source)
    if "summit" in table:
        wrong = ~table["summit"].astype(str).str.fullmatch(r"-1|[0-9]{1,15}")
        _refuse(wrong, table, ["summit"], "a whole number, or -1 for none", source)
        table = table.assign(summit=pd.to_numeric(table["summit"]).astype("int64"))
        wrong = table["summit"] >= table["end"] - table["start"]
        _refuse(wrong, table, ["summit"], "a place within the interval", source)
    return _numbered(table, source)


def read_tss(source: Source) -> pd.DataFrame:
    """Read transcription start sites from a file, or check a table of them or of genes.

    Parameters
    ----------
    source
        A tab-separated file with the header ``chr, TSS, strand``, in any order, or a table with
        these columns, or with ``chrom, tss, strand``; or a BED file of genes, by its name
        (``.bed``, ``.bed.gz``). ``TSS`` is the 0-based position of the
        first transcribed base (1 less than the position in a GTF file). In a table of genes
        (``chrom, start, end, strand``) it is ``start`` on the + strand and ``end - 1`` on the -.

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``tss``, ``strand``, and ``name`` if there is such a column.

    Raises
    ------
    ValueError
        A column is missing or there twice, a chromosome has no name, a position is no whole
        number of 0 or more, or a strand is neither + nor -.
    """
    if _in_memory(source):
        table = source
    else:
        is_bed = str(source).removesuffix(".gz").endswith(".bed")
        table = read_bed(source) if is_bed else read_table(source)
    table = table.rename(columns={"chr": "chrom", "TSS": "tss"})
    places = ["start", "end"] if "tss" not in table and "start" in table else ["tss"]
    require(table, ["chrom", *places, "strand"], source)
    table = _with_names(table, source)
    wrong = ~table["strand"].isin(["+", "-"])
    _refuse(wrong, table, ["strand"], "'+' or '-'", source)
    if places == ["tss"]:
        table = _with_positions(table, places, source)
    else:
        table = _with_intervals(table, source)
        table["tss"] = np.where(table["strand"] == "-", table["end"] - 1, table["start"])
    kept = [name for name in ("chrom", "tss", "strand", "name") if name in table]
    return _numbered(table[kept], source)


def read_table(
    source: Source, columns: Sequence[str] = (), *, numbers: Sequence[str] = ()
) -> pd.DataFrame:
    """Read a tab-separated file with a header, or check a table.

    Parameters
    ----------
    source
        A file; lines that begin with ``#`` are skipped, but for a header ``#chr ...``. Or a table.
    columns
        Names that it must have, in any order, beside others.
    numbers
        Those of them that hold numbers; an empty field, NA and NaN are NaN.

    Returns
    -------
    pandas.DataFrame
        All columns; ``numbers`` are ``float64``. From a file the others are strings, and the
        index holds each row's line.

    Raises
    ------
    ValueError
        A file has no rows, a line has more or fewer columns than the header, a column is missing
        or there twice, or a number is none.
    """
    table = source if _in_memory(source) else _table_rows(source)
    require(table, columns, source)
    for column in numbers:
        text = table[column].astype(str).str.strip()
        values = pd.to_numeric(text, errors="coerce").astype(np.float64)
        missing = table[column].isna() | text.str.lower().isin(["", "na", "nan"])
        _refuse(values.isna() & ~missing, table, [column], "a number, or NA", source)
        table = table.assign(**{column: values})
    return table


def require(table: pd.DataFrame, columns: Sequence[str], source: Source | None = None) -> None:
    """Refuse a table that lacks a column or has it twice; ``source`` is where it was read from.

    Raises
    ------
    ValueError
        The message names the column.
    """
    if missing := [name for name in columns if name not in table]:
        raise ValueError(
            f"{_name(source)} has no column {missing[0]!r}: it has {', '.join(map(str, table))}; "
            f"wanted {', '.join(columns)}."
        )
    if twice := [name for name in columns if list(table).count(name) > 1]:
        raise ValueError(f"{_name(source)} has the column {twice[0]!r} twice; wanted it once.")


def require_strands(windows: pd.DataFrame, source: Source | None = None) -> None:
    """Refuse windows whose strand is neither + nor -, or whose positions are no whole numbers.

    Raises
    ------
    ValueError
        The message names the row.
    """
    require(windows, ["chrom", "start", "end", "strand"], source)
    table = windows.reset_index(drop=True)
    wrong = ~table["strand"].isin(["+", "-"])
    _refuse(wrong, table, ["strand"], "'+' or '-'", table)
    for column in ("start", "end"):
        places = table[column]  # of object where the row of a mixed table was taken out
        is_whole = places.dtype.kind in "iu" or all(
            isinstance(place, int | np.integer) for place in places
        )
        if not is_whole:
            raise ValueError(
                f"The column {column!r} of the windows is {table[column].dtype}; wanted whole "
                "numbers."
            )


def other_name(chrom: str) -> str:
    """Return a chromosome's name with ``chr`` where it has none, and without it where it has."""
    return chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"


def known(name: str, names: Iterable[str]) -> str:
    """Say which names there are, for a sentence about one that is not among them."""
    names, other = list(names), other_name(name)
    if other in names:
        return f"it is called {other!r} there, so write all names in one way, with or without 'chr'"
    more = ", ..." if len(names) > 5 else ""
    return f"it has {', '.join(names[:5])}{more}"


def lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text (UTF-8 or Latin-1) of each line of a file that is not blank.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        A compressed file is damaged or was cut off, the file is of another kind, or a line is no
        text.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {path}; wanted a table as text.")
    with Path(path).open("rb") as file:
        if found := kind(file.read(300)):
            raise ValueError(f"{path} is {found}; wanted a table as text, or compressed with gzip.")
    with (gzip.open if compression(path) else open)(path, "rb") as file:
        try:
            for number, line in enumerate(iter(partial(file.readline, _LONGEST_LINE), b""), 1):
                if len(line) == _LONGEST_LINE:
                    raise ValueError(
                        f"Line {number} of {path} is longer than {_LONGEST_LINE:,} bytes; wanted a "
                        "table as text."
                    )
                if text := _decoded(line.removeprefix(codecs.BOM_UTF8)).rstrip("\r\n"):
                    if "\0" in text:
                        raise ValueError(f"Line {number} of {path} is no text in UTF-8 or Latin-1.")
                    yield number, text
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path} is damaged ({error}): get it again.") from error


def _in_memory(source: object) -> bool:
    """Whether a source is a table and no file; refuse what is neither."""
    if not isinstance(source, pd.DataFrame | str | Path):
        raise TypeError(
            f"The table is a {type(source).__name__}; wanted a pandas.DataFrame or the name of a "
            "file."
        )
    return isinstance(source, pd.DataFrame)


def _name(source: Source | None) -> str:
    return str(source) if isinstance(source, str | Path) else "The table"


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _bed_rows(path: str | Path) -> pd.DataFrame:
    rows = {}
    for number, line in lines(path):
        fields = line.split("\t") if "\t" in line else line.split()
        first = fields[0].split() if fields else []
        if first and first[0] not in ("track", "browser") and not line.startswith("#"):
            rows[number] = [field.strip() for field in fields]
    if str(path).removesuffix(".gz").endswith(".narrowPeak"):
        header = (*_BED, "signal", "p", "q", "summit")
        return _framed(rows, header, path).drop(columns=["signal", "p", "q"])
    header = _BED[: max(3, len(next(iter(rows.values()), ())))]
    return _framed({n: fields[: len(header)] for n, fields in rows.items()}, header, path)


def _table_rows(path: str | Path) -> pd.DataFrame:
    rows = {}
    for number, line in lines(path):
        fields = line.removeprefix("#").split("\t")
        if not line.startswith("#") or (not rows and fields[0].strip() in _FIRST_NAMES):
            rows[number] = fields
    header = next(iter(rows.values()), [])
    if len(header) == 1 and "," in header[0]:
        raise ValueError(f"{path} is separated by commas; wanted columns separated by tabs.")
    if len(rows) < 2:
        raise ValueError(f"{path} has {len(rows)} lines; wanted a header and at least one row.")
    return _framed(rows, rows.pop(next(iter(rows))), path)


def _framed(rows: dict[int, list[str]], header: Sequence[str], path: str | Path) -> pd.DataFrame:
    for number, fields in rows.items():
        if len(fields) != len(header):
            raise ValueError(
                f"Line {number} of {path} has {len(fields)} columns; wanted {len(header)}: "
                f"{', '.join(header)}."
            )
    return pd.DataFrame(list(rows.values()), columns=list(header), index=list(rows), dtype=str)


def _numbered(table: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Give rows of a file, whose index was their lines, numbers from 0."""
    return table if isinstance(source, pd.DataFrame) else table.reset_index(drop=True)


def as_names(names: pd.Series) -> pd.Series:
    """Make text of names: 1, and 1.0 where pandas met a gap, are "1"; no spaces around."""
    return names.astype(str).str.strip().str.replace(r"^(\d+)\.0$", r"\1", regex=True)


def _with_names(table: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Make text of the chromosomes' names."""
    names = table["chrom"]
    text = as_names(names)
    _refuse(names.isna() | (text == ""), table, ["chrom"], "a name", source)
    return table.assign(chrom=text)


def _with_positions(table: pd.DataFrame, columns: Sequence[str], source: Source) -> pd.DataFrame:
    """Make whole numbers of columns, which may hold text, whole numbers, or 5.0 for 5."""
    for column in columns:
        wrong = ~table[column].astype(str).str.fullmatch(r"[0-9]{1,15}(\.0)?")
        _refuse(wrong, table, [column], "a whole number of 0 or more", source)
    return table.assign(**{c: pd.to_numeric(table[c]).astype("int64") for c in columns})


def _with_intervals(table: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Make whole numbers of starts and ends, and refuse an interval without a base."""
    table = _with_positions(table, ["start", "end"], source)
    wrong = table["end"] <= table["start"]
    _refuse(wrong, table, ["start", "end"], "an end after the start", source)
    return table


def _refuse(
    wrong: pd.Series, table: pd.DataFrame, columns: Sequence[str], wanted: str, source: Source
) -> None:
    """Refuse the first wrong row, with what it has in these columns."""
    if wrong.any():
        row = int(np.argmax(wrong))
        in_memory = isinstance(source, pd.DataFrame)
        where = f"Row {row} of the table" if in_memory else f"Line {table.index[row]} of {source}"
        values = [(column, table[column].iat[row]) for column in columns]
        found = " and ".join(f"the {c} {repr(v) if isinstance(v, str) else v}" for c, v in values)
        raise ValueError(f"{where} has {found}; wanted {wanted}.")

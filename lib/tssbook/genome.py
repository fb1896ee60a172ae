"""From a table of genes and a genome to the sequences around their start sites.

Chapter 2 reads the 2,000 bp upstream of each gene, Chapter 3 the 4,650 bp around each
transcription start site (TSS). Both are windows around a base, read along the gene: on the
- strand the window lies mirrored, and its sequence is the reverse complement.

The TSS of a gene is its first transcribed base: ``start`` on the + strand, ``end - 1`` on the
- strand. All positions are 0-based, all intervals half-open.
"""

from __future__ import annotations

import gzip
import json
import re
import urllib.request
import warnings
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np
import pandas as pd
import torch

from tssbook import __version__
from tssbook.download import MissingFile, cache_folder, fetch, write_whole
from tssbook.fasta import Fasta

__all__ = [
    "fetch_sequence",
    "padding",
    "read_bed",
    "read_table",
    "read_tss",
    "sequences",
    "windows",
]

UCSC = "https://api.genome.ucsc.edu"
_ROWS = 256  # so many windows at a time stay in the processor's cache
_TIMEOUT = 30.0  # seconds without a byte
_BED = ("chrom", "start", "end", "name", "score", "strand")
# Names of one assembly, and what UCSC calls it.
_ASSEMBLIES = {"GRCh38": "hg38", "GRCh37": "hg19"}


# --- tables ----------------------------------------------------------------------------------


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
    ValueError
        The file has no intervals; or a line has too few columns, a start that is negative or no
        whole number, an end that is not after the start, or another strand than + - and ".".
        The message names the line.
    """
    rows: list[list[str | int]] = []
    n_columns = 3
    for number, line in _lines(path):
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
        raise ValueError(f"{path} has no intervals; wanted a BED file.")
    return pd.DataFrame(rows, columns=list(_BED[:n_columns]))


def _interval(fields: Sequence[str], where: str) -> list[str | int]:
    chrom, start, end, *others = fields
    first, last = _integer(start, "start", where), _integer(end, "end", where)
    if first < 0:
        raise ValueError(f"{where} has the start {first}; wanted 0 or more.")
    if last <= first:
        raise ValueError(f"{where} has start {first} and end {last}; wanted start < end.")
    if len(others) == 3 and others[2] not in ("+", "-", "."):
        raise ValueError(f"{where} has the strand {others[2]!r}; wanted '+', '-' or '.'.")
    return [chrom, first, last, *others]


def _integer(text: str, name: str, where: str) -> int:
    if not re.fullmatch(r"-?[0-9]+", text):
        raise ValueError(f"{where} has the {name} {text!r}; wanted a whole number.")
    return int(text)


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is not blank."""
    with Path(path).open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    with (gzip.open if compressed else open)(path, "rt", encoding="utf-8") as file:
        try:
            for number, line in enumerate(file, 1):
                if text := line.rstrip("\r\n"):
                    yield number, text
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
    rows = {n: line.split("\t") for n, line in _lines(path) if not line.startswith("#")}
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
        if _integer(text, "TSS", where) < 0:
            raise ValueError(f"{where} has the TSS {text}; wanted 0 or more.")
        if strand not in ("+", "-"):
            raise ValueError(f"{where} has the strand {strand!r}; wanted '+' or '-'.")
    table = table.rename(columns={"chr": "chrom", "TSS": "tss"}).reset_index(drop=True)
    kept = [name for name in ("chrom", "tss", "strand", "name") if name in table]
    return table[kept].astype({"tss": "int64"})


# --- windows ---------------------------------------------------------------------------------


def windows(loci: pd.DataFrame, before: int, after: int) -> pd.DataFrame:
    """Lay a window around each start site: ``before`` bases upstream, ``after`` from it on.

    ``windows(genes, 2000, 0)`` is the promoter of Chapter 2: on the + strand
    ``[start - 2000, start)``, on the - strand ``[end, end + 2000)``.

    Parameters
    ----------
    loci
        A table of start sites (``chrom``, ``tss``, ``strand``) or of genes (``chrom``,
        ``start``, ``end``, ``strand``).
    before
        Bases upstream of the TSS.
    after
        Bases from the TSS on, itself included.

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``start``, ``end``, ``strand``, one row per locus, with the same index. A
        window may begin before its chromosome or end after it: :func:`sequences` pads it.

    Raises
    ------
    ValueError
        A column is missing, a strand is neither + nor -, or the window has no base.
    """
    if before < 0 or after < 0 or before + after == 0:
        raise ValueError(f"The window has {before} and {after} bases; wanted 0 or more, not both.")
    needed = ["chrom", "strand", *(["tss"] if "tss" in loci else ["start", "end"])]
    _require(loci, needed)
    minus = _is_minus(loci)
    if "tss" in loci:
        tss = loci["tss"].to_numpy()
    else:
        tss = np.where(minus, loci["end"] - 1, loci["start"])
    start = np.where(minus, tss + 1 - after, tss - before)
    return pd.DataFrame(
        {
            "chrom": loci["chrom"],
            "start": start,
            "end": start + before + after,
            "strand": loci["strand"],
        },
        index=loci.index,
    )


def sequences(fasta: Fasta | str | Path, windows: pd.DataFrame) -> np.ndarray:
    """Read the sequence of each window along its gene.

    Parameters
    ----------
    fasta
        The genome: a path or an opened :class:`tssbook.fasta.Fasta`.
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
    fasta = fasta if isinstance(fasta, Fasta) else Fasta(fasta)
    length = _one_length(windows)
    minus = _is_minus(windows)
    encoded = fasta.codes(windows["chrom"], windows["start"], length)
    rows = np.flatnonzero(minus)
    for some in np.split(rows, range(_ROWS, len(rows), _ROWS)):
        part = torch.from_numpy(encoded[some]).flip(-1)  # torch's flip is 10 times numpy's
        # 0 1 2 3 become 3 2 1 0, and 4 (N) becomes 7 and then 4 again.
        encoded[some] = part.bitwise_xor_(3).clamp_(max=4).numpy()
    return encoded


def padding(fasta: Fasta | str | Path, windows: pd.DataFrame) -> np.ndarray:
    """Count the positions of each window that lie outside its chromosome, ``(N,)``.

    Raises
    ------
    ValueError
        A chromosome is unknown.
    """
    fasta = fasta if isinstance(fasta, Fasta) else Fasta(fasta)
    _require(windows, ["chrom", "start", "end"])
    lengths = np.array([fasta.length(chrom) for chrom in windows["chrom"]], dtype=np.int64)
    start, end = windows["start"].to_numpy(), windows["end"].to_numpy()
    inside = np.minimum(end, lengths) - np.maximum(start, 0)
    return end - start - np.maximum(inside, 0)


def _require(table: pd.DataFrame, columns: Sequence[str]) -> None:
    if missing := [name for name in columns if name not in table]:
        raise ValueError(
            f"The table has no column {missing[0]!r}: it has {', '.join(map(str, table))}; wanted "
            f"{', '.join(columns)}."
        )


def _is_minus(table: pd.DataFrame) -> np.ndarray:
    strand = table["strand"].to_numpy()
    wrong = ~np.isin(strand, ["+", "-"])
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"Row {row} of the table has the strand {strand[row]!r}; wanted + or -.")
    return strand == "-"


def _one_length(windows: pd.DataFrame) -> int:
    _require(windows, ["chrom", "start", "end", "strand"])
    lengths = (windows["end"] - windows["start"]).unique()
    if len(lengths) != 1 or lengths[0] < 1:
        raise ValueError(
            f"The windows have {len(lengths)} lengths ({', '.join(map(str, lengths[:5]))}); "
            "wanted one, above 0."
        )
    return int(lengths[0])


# --- a sequence by its coordinates --------------------------------------------------------------


def fetch_sequence(
    chrom: str, start: int, end: int, *, assembly: str = "hg38", fasta: str | Path | None = None
) -> str:
    """Return the + strand of an interval, from wherever it can be had.

    With ``fasta`` only from that file. Without: from the pieces of the human reference in
    ``human_chunks.fa.gz``, if that file is at hand (see :mod:`tssbook.download`); else from UCSC's
    sequence API, whose answer is kept in the cache folder.

    Parameters
    ----------
    chrom
        Chromosome, as UCSC calls it: ``"chr1"``.
    start, end
        0-based and half-open.
    assembly
        ``"hg38"`` or ``"GRCh38"``, ``"hg19"`` or ``"GRCh37"``, or another of UCSC's names.
    fasta
        FASTA file of the genome.

    Returns
    -------
    str
        Upper case, ``end - start`` letters.

    Raises
    ------
    ValueError
        There is no such interval, or UCSC refuses it; the message says why.
    MissingFile
        It is not at hand and UCSC cannot be reached or gives something else.
    """
    if not 0 <= start < end:
        raise ValueError(f"The interval is {chrom}:{start}-{end}; wanted 0 <= start < end.")
    if fasta is not None:
        return Fasta(fasta).letters(chrom, start, end)
    assembly = _ASSEMBLIES.get(assembly, assembly)
    for name in (assembly, chrom):
        # They become part of an address and of a file's name.
        if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
            raise ValueError(f"{name!r} is no name of an assembly or chromosome, such as 'hg38'.")
    found = _from_pieces(chrom, start, end, assembly)
    return found if found is not None else _from_ucsc(chrom, start, end, assembly)


def _from_pieces(chrom: str, start: int, end: int, assembly: str) -> str | None:
    try:
        table = fetch("human_chunks.tsv")
        pieces = [fetch(f"human_chunks.fa.gz{suffix}") for suffix in ("", ".fai")]
    except MissingFile:
        return None
    found = read_table(table, ["assembly", "chrom", "start0", "end", "name"])
    first, last = found["start0"].astype(int), found["end"].astype(int)
    covers = (found["assembly"] == assembly) & (found["chrom"] == chrom)
    covers &= (first <= start) & (end <= last)
    if not covers.any():
        return None
    line = covers.idxmax()
    offset = int(first[line])
    return Fasta(pieces[0]).letters(found.loc[line, "name"], start - offset, end - offset)


def _from_ucsc(chrom: str, start: int, end: int, assembly: str) -> str:
    kept = cache_folder() / "ucsc" / f"{assembly}_{chrom}_{start}_{end}.txt"
    if kept.is_file() and kept.stat().st_size == end - start:
        return kept.read_text(encoding="ascii")
    query = f"genome={assembly};chrom={chrom};start={start};end={end}"
    dna = _ask(f"{UCSC}/getData/sequence?{query}", end - start)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole({kept: dna.encode("ascii")})
    except OSError as error:
        warnings.warn(f"The sequence could not be kept in {kept} ({error}).", stacklevel=3)
    return dna


def _ask(url: str, length: int) -> str:
    """Get a sequence of a known length from UCSC."""
    # The address is a constant of this module.
    headers = {"User-Agent": f"tssbook/{__version__}"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
            answer = json.loads(response.read())
    except HTTPError as error:
        with error:
            raise _refused(url, error) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise _no_sequence(url, str(reason) or type(error).__name__) from error
    dna = answer.get("dna") if isinstance(answer, dict) else None
    if not isinstance(dna, str) or not re.fullmatch(r"[A-Za-z]+", dna):
        raise _no_sequence(url, "the answer has no 'dna'")
    if len(dna) != length:
        raise _no_sequence(url, f"it gave {len(dna)} bases of {length}")
    return dna.upper()


def _refused(url: str, error: HTTPError) -> Exception:
    """Make the exception for an answer that is an error; UCSC says in JSON what it did not find."""
    try:
        said = json.loads(error.read())["error"]
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        return _no_sequence(url, f"HTTP {error.code} {error.reason}")
    if error.code == 400:
        return ValueError(f"UCSC refuses {url} ({said}); wanted names and positions that it has.")
    return _no_sequence(url, f"HTTP {error.code}: {said}")


def _no_sequence(url: str, reason: str) -> MissingFile:
    return MissingFile(
        f"The sequence is in no file at hand, and {url} did not give it ({reason}): name a FASTA "
        "file of the genome with fasta=, or try again later."
    )

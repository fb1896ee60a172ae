"""A sequence by its coordinates, from a file or from UCSC's sequence API."""

from __future__ import annotations

import json
import re
import urllib.request
import warnings
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError

from tssbook import __version__
from tssbook.data.download import MissingFile, cache_folder, fetch
from tssbook.data.fasta import Fasta
from tssbook.data.tables import read_table
from tssbook.files import write_whole

__all__ = ["fetch_sequence"]

UCSC = "https://api.genome.ucsc.edu"
_TIMEOUT = 30.0  # seconds without a byte
# Names of one assembly, and what UCSC calls it.
_ASSEMBLIES = {"GRCh38": "hg38", "GRCh37": "hg19"}


def fetch_sequence(
    chrom: str, start: int, end: int, *, assembly: str = "hg38", fasta: str | Path | None = None
) -> str:
    """Return the + strand of an interval, from wherever it can be had.

    With ``fasta`` only from that file. Without: from the pieces of the human reference in
    ``human_chunks.fa.gz``, if that file is at hand (see :mod:`tssbook.data.download`); else from UCSC's
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

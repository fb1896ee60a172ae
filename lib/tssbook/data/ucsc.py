"""A sequence by its coordinates, from a file or from UCSC's sequence API."""

from __future__ import annotations

import json
import re
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from tssbook import __version__
from tssbook.data.download import MissingFile, cache_folder
from tssbook.data.fasta import Fasta
from tssbook.files import write_whole

__all__ = ["fetch_sequence"]

_UCSC = "https://api.genome.ucsc.edu"
_TIMEOUT = 30.0  # seconds without a byte
_MORE = 10_000  # bytes of an answer beside the sequence, at most


def fetch_sequence(
    chrom: str,
    start: int,
    end: int,
    *,
    assembly: str = "hg38",
    fasta: Fasta | str | Path | None = None,
) -> str:
    """Return the + strand of an interval.

    Parameters
    ----------
    chrom : str
        Chromosome, as UCSC calls it: ``"chr1"``.
    start, end : int
        0-based and half-open.
    assembly : str, default "hg38"
        UCSC's name of the genome.
    fasta : Fasta, str or Path, optional
        FASTA file of the genome, opened or not. Without it UCSC's sequence API is asked, and its
        answer is kept in the data folder.

    Returns
    -------
    str
        Upper case, ``end - start`` letters.

    Raises
    ------
    ValueError
        There is no such interval, or UCSC refuses it; the message says why.
    MissingFile
        UCSC cannot be reached or gives something else.
    """
    if not 0 <= start < end:
        raise ValueError(f"The interval is {chrom}:{start}-{end}; wanted 0 <= start < end.")
    if fasta is not None:
        return Fasta.of(fasta).letters(chrom, start, end)
    for name in (assembly, chrom):  # they become part of an address and of a file's name
        if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
            raise ValueError(f"{name!r} is no name of an assembly or chromosome, such as 'hg38'.")
    kept = cache_folder() / "ucsc" / f"{assembly}_{chrom}_{start}_{end}.txt"
    if kept.is_file() and _is_dna(dna := kept.read_bytes().decode("latin-1"), end - start):
        return dna
    query = f"genome={assembly};chrom={chrom};start={start};end={end}"
    dna = _ask(f"{_UCSC}/getData/sequence?{query}", end - start)
    with suppress(OSError):  # where nothing can be kept, UCSC is asked again next time
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole({kept: dna.encode("ascii")})
    return dna


def _ask(url: str, length: int) -> str:
    # The address is a constant of this module.
    request = urllib.request.Request(url, headers={"User-Agent": f"tssbook/{__version__}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
            # Beside the letters there are names and numbers, of a few hundred bytes.
            dna = json.loads(response.read(length + _MORE))["dna"].upper()
        if not _is_dna(dna, length):
            raise ValueError(f"it gave {dna[:20]!r}, {len(dna)} letters of {length}")
    except HTTPError as error:
        with error:
            said = " ".join(error.read(300).decode(errors="replace").split())
        reason = f"HTTP {error.code} {error.reason}: {said}"
        if error.code == 400:
            raise ValueError(f"UCSC refuses {url} ({reason}); wanted what it has.") from error
    except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = str(error) or type(error).__name__
    else:
        return dna
    raise MissingFile(
        f"{url} did not give the sequence ({reason}): name a FASTA file of the genome with fasta=, "
        "or try again later."
    )


def _is_dna(text: str, length: int) -> bool:
    """Whether a text is a sequence of this length: DNA letters, N and other IUPAC codes."""
    return len(text) == length and re.fullmatch("[ACGTRYSWKMBDHVN]+", text) is not None

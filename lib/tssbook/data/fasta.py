"""Any piece of a genome, straight from its FASTA file.

pyfaidx makes and reads the index ``NAME.fa.fai``, and unpacks files of bgzip. This adapter adds
what a data set needs: many pieces at once as codes, N outside a chromosome, and a refusal where
pyfaidx would go on with another file's index, half a file, or letters that are no DNA.
"""

from __future__ import annotations

import struct
import tempfile
import warnings
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tssbook.data.tables import known
from tssbook.files import compression, sha256
from tssbook.sequence import ALPHABET, encode_bytes

if TYPE_CHECKING:
    from pyfaidx import Faidx, IndexRecord

__all__ = ["Fasta"]

_UNKNOWN = len(ALPHABET)  # the code of N and of what lies outside
_AGAIN = "delete the index (.fai, .gzi), and it is made again"
_DAMAGED = (ValueError, RuntimeError, struct.error, zlib.error)  # what unpacking a block may raise


class Fasta:
    """A FASTA file, uncompressed or compressed with bgzip, and its index.

    A missing index is made beside the file, or for this once where that folder cannot be written.

    Parameters
    ----------
    path
        The FASTA file; a compressed one ends with ``.gz`` or ``.bgz``.

    Attributes
    ----------
    path : Path
    lengths : dict of str to int
        Chromosomes in the order of the file, and how many bases each has.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is empty, no FASTA, compressed with plain gzip, incomplete, has two
        chromosomes of one name or lines of different lengths, or its index is another file's.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        compressed = _is_compressed(self.path)
        self._faidx = _indexed(self.path)
        self._plain = None if compressed else mmap(self._faidx.file.fileno(), 0, access=ACCESS_READ)
        self.lengths: dict[str, int] = {name: r.rlen for name, r in self._faidx.index.items()}
        self._require_own_index()

    @classmethod
    def of(cls, fasta: Fasta | str | Path) -> Fasta:
        """Open a path; an opened file is given back as it is."""
        return fasta if isinstance(fasta, cls) else cls(fasta)

    @property
    def about(self) -> list[str]:
        """What makes the genome what it is: the file's name and its sha256, computed anew."""
        return [self.path.name, sha256(self.path)]

    def length(self, chrom: str) -> int:
        """Return the number of bases of a chromosome.

        Raises
        ------
        ValueError
            The chromosome is unknown; the message names some that are there.
        """
        if chrom not in self.lengths:
            chrom = str(chrom)  # a table may hold numbers, or NaN
            raise ValueError(
                f"{self.path} has no chromosome {chrom!r}: {known(chrom, self.lengths)}."
            )
        return self.lengths[chrom]

    def codes(self, chroms: Sequence[str], starts: Sequence[int], length: int) -> np.ndarray:
        """Read pieces of the + strand, all of one length; what lies outside a chromosome is N.

        Parameters
        ----------
        chroms
            Chromosome of each piece.
        starts
            0-based; may be negative or past the end.
        length
            Bases of each piece.

        Returns
        -------
        numpy.ndarray
            ``(N, length)`` ``uint8``; A 0, C 1, G 2, T 3, N and other IUPAC codes 4.

        Raises
        ------
        ValueError
            A chromosome is unknown, or the file has other letters than DNA, or other line
            lengths than its index says.
        """
        pieces = list(
            zip(map(str, chroms), np.asarray(starts, dtype=np.int64).tolist(), strict=True)
        )
        encoded = np.full((len(pieces), length), _UNKNOWN, dtype=np.uint8)
        for row, (chrom, start) in enumerate(pieces):
            first, last = max(start, 0), min(start + length, self.length(chrom))
            if first < last:
                found = encode_bytes(self._letters(chrom, first, last))
                encoded[row, first - start : last - start] = found
        if encoded.max(initial=0) > _UNKNOWN:
            row, at = np.argwhere(encoded > _UNKNOWN)[0].tolist()
            chrom, position = pieces[row][0], pieces[row][1] + at
            letter = self._letters(chrom, position, position + 1).decode("latin-1")
            raise ValueError(
                f"{self.path} has {letter!r} at {chrom}:{position} (counted from 0); wanted DNA "
                "letters, N or another IUPAC code, in either case."
            )
        return encoded

    def letters(self, chrom: str, start: int, end: int) -> str:
        """Read a piece of a chromosome's + strand as upper-case letters, IUPAC codes included.

        Raises
        ------
        ValueError
            As for :meth:`codes`; and if the piece is not inside the chromosome.
        """
        self._require_inside(chrom, start, end)
        self.codes([chrom], [start], end - start)  # refuses what is no DNA
        return self._letters(chrom, start, end).decode("ascii").upper()

    def _require_inside(self, chrom: str, start: int, end: int) -> None:
        if not 0 <= start < end <= self.length(chrom):
            raise ValueError(
                f"The interval is {chrom}:{start}-{end}; wanted a piece of {chrom}, which has "
                f"{self.length(chrom):,} bp in {self.path}."
            )

    def _letters(self, chrom: str, first: int, last: int) -> bytes:
        """Read a piece that lies inside; pyfaidx would give fewer letters without a word."""
        record = self._faidx.index[chrom]
        text = self._content(_byte(record, first), _byte(record, last))
        text = text.replace(b"\n", b"").replace(b"\r", b"")
        if len(text) != last - first:
            raise ValueError(
                f"{self.path} has {len(text)} bases at {chrom}:{first}-{last} where its index says "
                f"{last - first}: write it anew with lines of one length; {_AGAIN}."
            )
        return text

    def _content(self, begin: int, end: int) -> bytes:
        """Bytes of the file as if it were not compressed."""
        if self._plain is not None:
            return self._plain[begin:end]
        blocks, file = self._faidx.gzi_index, self._faidx.file
        block = blocks[bisect_right(blocks, begin, key=lambda block: block.ustart) - 1]
        try:
            file.seek((block.cstart << 16) + begin - block.ustart)  # as BGZF counts
            return file.read(end - begin)
        except _DAMAGED as error:
            raise _unsound(self.path, error) from error

    def _require_own_index(self) -> None:
        """Compare the index with what stands between chromosomes; pyfaidx compares dates only."""
        if not any(self.lengths.values()):
            raise ValueError(f"{self.path} has no chromosome with bases; wanted a FASTA file.")
        last, n_bases = 0, 0  # where the last base before the next header stands, if there is one
        for name, record in [*self._faidx.index.items(), (None, None)]:
            begin = last + 1024 if record is None else record.offset
            words = self._content(last, begin).split() if last < begin else []
            header = [b">" + name.encode()] if name else []
            found = words[n_bases : n_bases + 1]
            if found != header and any(f == b">" or not f.isascii() for f in found):
                line = (
                    self._content(max(begin - 200, 0), begin)
                    .splitlines()[-1]
                    .decode("utf-8", "replace")
                )
                raise ValueError(
                    f"{self.path} has the header {line!r}; wanted a name in ASCII letters right "
                    "behind '>'."
                )
            if [len(base) for base in words[:n_bases]] != [1] * n_bases or (found != header):
                raise ValueError(
                    f"{self.path}.fai does not describe {self.path}: {name or 'its end'} is not at "
                    f"byte {begin if name else last:,}. If the FASTA file is complete, {_AGAIN}."
                )
            if record is not None:
                n_bases = min(record.rlen, 1)
                last = _byte(record, record.rlen - 1) if n_bases else record.offset


def _is_compressed(path: Path) -> bool:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; wanted a FASTA file.")
    with path.open("rb") as file:
        first = file.read(1)
    if not first:
        raise ValueError(f"{path} is empty; wanted a FASTA file.")
    kind = compression(path)
    if kind == "gzip":
        raise ValueError(
            f"{path} is compressed with gzip, which can only be read from the beginning: "
            "uncompress it with gunzip, then compress it with bgzip or leave it as it is."
        )
    if kind is None and first != b">":
        raise ValueError(f"{path} does not begin with '>'; wanted a FASTA file.")
    if (kind is not None) != (path.suffix in (".gz", ".bgz")):
        found = "not compressed" if kind is None else "compressed with bgzip"
        raise ValueError(f"{path} is {found}; wanted a name that says so, with .gz or without.")
    return kind is not None


def _indexed(path: Path) -> Faidx:
    from pyfaidx import Faidx, FastaIndexingError, UnsupportedCompressionFormat

    try:
        with warnings.catch_warnings(action="ignore"):  # of dates, which copying changes
            try:
                return Faidx(path, rebuild=False)
            except OSError:  # the index cannot be written beside the file
                with tempfile.TemporaryDirectory() as folder:
                    beside = Path(folder, path.name)
                    return Faidx(path, indexname=f"{beside}.fai", gzi_indexname=f"{beside}.gzi")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} or its index has a name that is not written in UTF-8 ({error.object[:40]!r}); "
            f"wanted names in ASCII letters: write them so, and {_AGAIN}."
        ) from error
    except (*_DAMAGED, FastaIndexingError, UnsupportedCompressionFormat) as error:
        raise _unsound(path, error) from error


def _byte(record: IndexRecord, base: int) -> int:
    """Where a base stands: ``lenc`` bases on a line, which takes ``lenb`` bytes."""
    return record.offset + base // (record.lenc or 1) * record.lenb + base % (record.lenc or 1)


def _unsound(path: Path, error: Exception) -> ValueError:
    remedy = "get the file again, or mend it"
    if "Duplicate key" in str(error):
        remedy = "give each chromosome a name of its own in the file"
    return ValueError(f"{path} or its index {path}.fai is not sound ({error}): {remedy}; {_AGAIN}.")

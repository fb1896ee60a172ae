"""Any piece of a genome, straight from its FASTA file.

A FASTA file breaks a chromosome into lines of one length. So the byte where base ``p`` stands is
known from four numbers per chromosome, and a piece of a chromosome is one read. The four numbers
stand in the index, ``NAME.fa.fai``, in the format of ``samtools faidx``.

A file compressed with bgzip (BGZF: many small gzip blocks in a row) is read in the same way; its
blocks are found by their headers, so its ``.gzi`` is not needed. Plain gzip can only be read
from the beginning and is refused.
"""

from __future__ import annotations

import gzip
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tssbook.files import write_whole
from tssbook.sequence import ALPHABET, AMBIGUOUS, codes

__all__ = ["Fasta", "known"]

# One byte in, one byte out: letters to codes, in either case. Line breaks are taken out.
_BREAKS = b"\r\n"
_LETTERS = ALPHABET + AMBIGUOUS + (ALPHABET + AMBIGUOUS).lower()
_INVALID = 255
_TABLE = bytearray([_INVALID] * 256)
for _letter, _code in zip(_LETTERS, codes(_LETTERS).tolist(), strict=True):
    _TABLE[ord(_letter)] = _code
_ROWS = 256  # so many pieces at a time stay in the processor's cache


class _Record(NamedTuple):
    """One line of the index."""

    length: int  # bases
    offset: int  # byte of the first base
    bases: int  # bases on a full line
    width: int  # bytes of a full line, its break included

    def byte(self, position: int) -> int:
        """Byte where a base stands; works for arrays as well."""
        return self.offset + position // self.bases * self.width + position % self.bases


class Fasta:
    """A FASTA file, uncompressed or compressed with bgzip, and its index.

    A missing index is made beside the file, or kept in memory where that folder cannot be
    written. An index that does not describe the file is refused.

    Parameters
    ----------
    path
        The FASTA file.

    Attributes
    ----------
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
        self._bytes = _open(self.path)
        self._records = _index(self.path, self._bytes)
        self.lengths = {name: record.length for name, record in self._records.items()}

    def length(self, chrom: str) -> int:
        """Return the number of bases of a chromosome.

        Raises
        ------
        ValueError
            The chromosome is unknown; the message names some that are there.
        """
        return self._record(chrom).length

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
        numbers, names = pd.factorize(np.asarray(chroms, dtype=object))
        starts = np.asarray(starts, dtype=np.int64)
        lines = np.array([self._record(name) for name in names], dtype=np.int64).reshape(-1, 4)
        lines[:, 2] = np.maximum(lines[:, 2], 1)  # an empty chromosome has no lines
        encoded = np.empty((len(starts), length), dtype=np.uint8)
        # Neighbours one after the other: a compressed block is then opened once.
        order = np.lexsort([starts, numbers])
        for rows in np.split(order, range(_ROWS, len(order), _ROWS)):
            record = _Record(*lines[numbers[rows]].T)
            text = self._text(record, starts[rows], length)
            found = np.frombuffer(text.translate(_TABLE), dtype=np.uint8).reshape(-1, length)
            if found.max(initial=0) == _INVALID:
                row, at = np.argwhere(found == _INVALID)[0]
                letter = text[row * length + at : row * length + at + 1].decode("latin-1")
                raise ValueError(
                    f"{self.path} has {letter!r} at {names[numbers[rows[row]]]}:"
                    f"{starts[rows[row]] + at} (counted from 0); wanted DNA letters, N or another "
                    "IUPAC code, in either case."
                )
            encoded[rows] = found
        return encoded

    def letters(self, chrom: str, start: int, end: int) -> str:
        """Read a piece of a chromosome's + strand as upper-case letters, IUPAC codes included.

        Raises
        ------
        ValueError
            As for :meth:`codes`; and if the piece is not inside the chromosome.
        """
        record = self._record(chrom)
        if not 0 <= start < end <= record.length:
            raise ValueError(
                f"The interval is {chrom}:{start}-{end}; wanted a piece of {chrom}, which has "
                f"{record.length:,} bp in {self.path}."
            )
        self.codes([chrom], [start], end - start)  # refuses what is no DNA
        columns = _Record(*np.array(record)[:, None])
        return self._text(columns, np.array([start]), end - start).decode("ascii").upper()

    def _record(self, chrom: str) -> _Record:
        if chrom not in self._records:
            raise ValueError(
                f"{self.path} has no chromosome {chrom!r}: {known(chrom, self._records)}."
            )
        return self._records[chrom]

    def _text(self, record: _Record, starts: np.ndarray, length: int) -> bytes:
        """Letters of pieces in a row, N outside; the record's fields are arrays here."""
        first = starts.clip(0, record.length)
        last = (starts + length).clip(0, record.length)
        begins, ends = record.byte(first).tolist(), record.byte(last).tolist()
        content = self._bytes
        parts = [content[a:b].replace(b"\n", b"") for a, b in zip(begins, ends, strict=True)]
        if (record.width - record.bases > 1).any():
            parts = [part.replace(b"\r", b"") for part in parts]
        wanted = last - first
        found = np.fromiter(map(len, parts), np.int64, len(parts))
        if (found != wanted).any():
            row = int((found != wanted).argmax())
            raise ValueError(
                f"{self.path} has {found[row]} bases where its index says {wanted[row]} (bytes "
                f"{begins[row]:,} to {ends[row]:,}): its lines have different lengths; write it "
                "anew with lines of one length, and delete the index."
            )
        for row in np.flatnonzero(wanted < length):
            left = int(first[row] - starts[row]) if wanted[row] else length
            parts[row] = (b"N" * left + parts[row]).ljust(length, b"N")
        return b"".join(parts)


def known(name: str, names: Iterable[str]) -> str:
    """Say which names there are, for a sentence about one that is not among them."""
    names = list(names)
    other = name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"
    if other in names:
        return f"it is called {other!r} there, so write all names in one way, with or without 'chr'"
    more = ", ..." if len(names) > 5 else ""
    return f"it has {', '.join(names[:5])}{more}"


# --- bytes: of a plain file, or of a compressed one as if it were plain -------------------------


def _open(path: Path) -> mmap | _Blocks:
    with path.open("rb") as file:
        head = file.read(18)
        if not head:
            raise ValueError(f"{path} is empty; wanted a FASTA file.")
        content = mmap(file.fileno(), 0, access=ACCESS_READ)
    if head.startswith(b"\x1f\x8b"):
        if head[12:14] != b"BC":
            raise ValueError(
                f"{path} is compressed with gzip, which can only be read from the beginning: "
                "uncompress it with gunzip, then compress it with bgzip or leave it as it is."
            )
        return _Blocks(path, content)
    if not head.startswith(b">"):
        raise ValueError(f"{path} does not begin with '>'; wanted a FASTA file.")
    return content


class _Blocks:
    """The content of a BGZF file, by slices, as if it were not compressed."""

    def __init__(self, path: Path, content: mmap) -> None:
        self._path, self._content = path, content
        # Where each block begins, in the file and in its content.
        self._begins, self._starts = [0], [0]
        while (begin := self._begins[-1]) < len(content):
            end = begin + int.from_bytes(content[begin + 16 : begin + 18], "little") + 1
            if content[begin + 12 : begin + 14] != b"BC" or end > len(content):
                raise ValueError(
                    f"{path} is incomplete or damaged at byte {begin:,}: get it again."
                )
            self._begins.append(end)
            size = int.from_bytes(content[end - 4 : end], "little")
            self._starts.append(self._starts[-1] + size)
        self._block = lru_cache(maxsize=16)(self._uncompressed)

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, piece: slice) -> bytes:
        start, stop, _ = piece.indices(len(self))
        first = bisect_right(self._starts, start) - 1
        parts = []
        for block in range(first, len(self._starts) - 1):
            if self._starts[block] >= stop:
                break
            parts.append(self._block(block))
        begin = self._starts[first]
        return b"".join(parts)[start - begin : stop - begin]

    def _uncompressed(self, block: int) -> bytes:
        begin, end = self._begins[block], self._begins[block + 1]
        try:
            return zlib.decompress(self._content[begin:end], wbits=31)
        except zlib.error as error:
            raise ValueError(
                f"{self._path} is damaged at byte {begin:,} ({error}): get it again."
            ) from error


# --- the index -------------------------------------------------------------------------------


def _index(path: Path, content: mmap | _Blocks) -> dict[str, _Record]:
    beside = path.with_name(f"{path.name}.fai")
    if beside.is_file():
        records = _read_index(beside)
        if (wrong := _mismatch(records, content)) is not None:
            raise ValueError(
                f"{beside} does not describe {path} ({wrong}): if the FASTA file is complete, "
                "delete the index, which is then made again."
            )
        return records
    records = _make_index(path, content)
    lines = ["\t".join(map(str, (name, *record))) for name, record in records.items()]
    # In a folder that cannot be written the index in memory does the same.
    with suppress(OSError):
        write_whole({beside: "".join(f"{line}\n" for line in lines).encode()})
    return records


def _read_index(path: Path) -> dict[str, _Record]:
    records: dict[str, _Record] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        name, *numbers = line.split("\t")
        if len(numbers) != 4 or not all(n.isdecimal() for n in numbers) or name in records:
            raise ValueError(
                f"Line {number} of {path} is {line!r}; wanted a new name and four numbers: delete "
                "the index, and it is made again."
            )
        records[name] = _Record(*map(int, numbers))
    return records


def _mismatch(records: dict[str, _Record], content: mmap | _Blocks) -> str | None:
    """Compare an index with what stands between the chromosomes; what differs first, if any.

    This sees more than a comparison of the files' dates, which copying changes.
    """
    end = 0
    for name, record in sorted(records.items(), key=lambda item: item[1].offset):
        between = content[end : record.offset] if end < record.offset <= len(content) else b""
        header = between.strip(_BREAKS)
        if not between.endswith(b"\n") or header.split(maxsplit=1)[:1] != [b">" + name.encode()]:
            return f"{name} does not begin at byte {record.offset:,}"
        # A single line may end with the file, without a break.
        least = record.bases + (record.length > record.bases)
        if record.length and not (record.bases > 0 and record.width >= least):
            return f"{name} has lines of {record.bases} bases in {record.width} bytes"
        end = record.byte(record.length - 1) + 1 if record.length else record.offset
        if record.length and not content[end - 1 : end].strip(_BREAKS):
            return f"{name} does not end at byte {end:,}"
    if content[end : end + 1024].strip(_BREAKS):
        return f"more follows after byte {end:,}"
    return None


def _make_index(path: Path, content: mmap | _Blocks) -> dict[str, _Record]:
    """Read the whole file once, line by line; refuse what no index can describe."""
    records: dict[str, _Record] = {}
    position = length = bases = width = offset = 0
    name, ended = "", False  # whether a line was shorter than those before it
    with gzip.open(path) if isinstance(content, _Blocks) else path.open("rb") as file:
        for line in file:
            position += len(line)
            if line.startswith(b">"):
                if name:
                    records[name] = _Record(length, offset, bases, width)
                name = _new_name(path, line, records)
                length = bases = width = 0
                offset, ended = position, False
                continue
            here = len(line.rstrip(_BREAKS))
            if here and (ended or 0 < bases < here):
                raise ValueError(
                    f"{path} has lines of different lengths in {name} (before byte "
                    f"{position:,}); wanted one length for all lines but the last."
                )
            if not bases:
                bases, width = here, len(line)
            ended = ended or not here or len(line) != width
            length += here
        records[name] = _Record(length, offset, bases, width)
    if not any(record.length for record in records.values()):
        raise ValueError(f"{path} has names but no bases; wanted a FASTA file.")
    return records


def _new_name(path: Path, header: bytes, records: dict[str, _Record]) -> str:
    words = header[1:].split(maxsplit=1)
    if not words or header[1:2].isspace():
        raise ValueError(f"{path} has a sequence without a name; wanted '>NAME'.")
    name = words[0].decode("utf-8", "replace")
    if name in records:
        raise ValueError(f"{path} has two sequences with the name {name!r}; wanted one of each.")
    return name

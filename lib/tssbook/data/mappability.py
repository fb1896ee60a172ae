"""Where a read can be placed: the words of a genome that occur in it only once.

A read of 50 bases whose letters stand twice in the genome could come from either place, and is
mostly thrown away. So zero reads there do not mean that nothing starts there. For a genome that
is known from end to end, the mask is exact; published ones, such as Umap's, are made like this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tssbook.data.fasta import Fasta
from tssbook.data.writing import new_bigwigs
from tssbook.sequence import require_known_codes, require_positive

__all__ = ["unique_words", "write_mappability"]

_LETTERS = 32  # of two bits each, in one number


def unique_words(codes: Mapping[str, np.ndarray], length: int) -> dict[str, np.ndarray]:
    """Say of each word whether it stands in these sequences once, on either strand.

    A word and its reverse complement are the same word: a read tells not which strand it is from.

    Parameters
    ----------
    codes
        Sequences by name, each ``(L,)`` uint8 (A 0, C 1, G 2, T 3, N 4), such as
        ``Fasta(path).codes([chrom], [0], length)[0]``.
    length
        Letters of a word, 1 to 64, such as those of a read.

    Returns
    -------
    dict of str to numpy.ndarray
        Of each sequence ``(max(L - length + 1, 0),)`` bool: whether the word that begins there
        is the only one. Words with N are not. Memory: about 100 bytes a base, at the peak.

    Raises
    ------
    TypeError, ValueError
        The length is not from 1 to 64, or a sequence is no codes.
    """
    require_positive(length=length)
    if length > 2 * _LETTERS:
        raise ValueError(f"The words have {length} letters; wanted 1 to {2 * _LETTERS}.")
    for name, row in codes.items():
        if np.ndim(row) != 1:
            raise ValueError(f"The codes of {name} are {np.shape(row)}; wanted (L,).")
        require_known_codes(row[None], shortest=0)
    if not codes:
        return {}
    found = [_words(row, length) for row in codes.values()]
    words = np.concatenate([first for first, _ in found], axis=1)
    known = np.concatenate([known for _, known in found])
    alone = known.copy()
    order = np.flatnonzero(known)
    heads = words[1, order]
    order, heads = order[by := np.argsort(heads)], heads[by]
    same = heads[1:] == heads[:-1]
    # Few begin with the same 32 letters; only those are compared further.
    twin = np.zeros(len(order), dtype=bool)
    twin[1:] |= same
    twin[:-1] |= same
    twins = order[twin]
    twins = twins[np.lexsort(words[:, twins])]
    same = (words[:, twins[1:]] == words[:, twins[:-1]]).all(0)
    alone[twins[1:][same]] = alone[twins[:-1][same]] = False
    ends = np.cumsum([len(known) for _, known in found])[:-1]
    return dict(zip(codes, np.split(alone, ends), strict=True))


def write_mappability(path: str | Path, fasta: Fasta | str | Path, length: int = 50) -> Path:
    """Write the mask of a genome for reads of one length, as a bigWig for `read_peaks`.

    A base has a 1 where reads of both strands that begin there can be placed: the word that
    begins there and the one that ends there stand in the genome once. Other bases have no value.
    12 million bases take about 10 seconds.

    Parameters
    ----------
    path
        The bigWig, in a folder that exists; an older one is replaced when the new one is complete.
    fasta
        The whole genome: what is not in it, the mask cannot know.
    length
        Bases of a read, 1 to 64.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        The genome or the folder is not there, or the path is a folder.
    ValueError
        The length is not from 1 to 64, or no base is mappable.
    OSError
        There is no room, or the file cannot be written; an older one stays as it is.
    """
    fasta, path = Fasta.of(fasta), Path(path)
    lengths = {chrom: n for chrom, n in fasta.lengths.items() if n}
    codes = {chrom: fasta.codes([chrom], [0], n)[0] for chrom, n in lengths.items()}
    runs = list(_runs(unique_words(codes, length), length))
    if not runs:
        raise ValueError(
            f"Reads of {length} bases cannot be placed on both strands anywhere in {fasta.path}; "
            "wanted another length, or the whole genome."
        )
    with new_bigwigs([path], lengths, 3 * sum(len(starts) for _, starts, _ in runs)) as (file,):
        for chrom, starts, ends in runs:
            file.addEntries([chrom] * len(starts), starts, ends=ends, values=[1.0] * len(starts))
    return path


def _words(codes: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the words as two numbers each, ``(2, n)``, the smaller of both strands; and if known.

    Two words of 32 letters that overlap say together what one of up to 64 says.
    """
    n = max(len(codes) - length + 1, 0)
    part = min(length, _LETTERS)
    ahead = _numbers(codes & 3, part)
    # The reverse complement of what begins at i begins, in the reversed sequence, at the end.
    behind = _numbers((3 - (codes & 3))[::-1], part)[::-1]
    plus = np.stack([ahead[length - part :][:n], ahead[:n]])
    minus = np.stack([behind[:n], behind[length - part :][:n]])
    smaller = (minus[1] < plus[1]) | ((minus[1] == plus[1]) & (minus[0] < plus[0]))
    unknown = np.concatenate([[0], np.cumsum(codes > 3)])
    known = unknown[length:][:n] == unknown[:n] if n else np.zeros(0, dtype=bool)
    return np.where(smaller, minus, plus), known


def _numbers(codes: np.ndarray, length: int) -> np.ndarray:
    """Each word of up to 32 letters as one number, two bits a letter."""
    words = np.zeros(max(len(codes) - length + 1, 0), dtype=np.uint64)
    for i in range(length):
        words = (words << np.uint64(2)) | codes[i : i + len(words)].astype(np.uint64)
    return words


def _runs(
    unique: Mapping[str, np.ndarray], length: int
) -> Iterator[tuple[str, list[int], list[int]]]:
    """Yield starts and ends of the stretches where reads of both strands can be placed."""
    for chrom, once in unique.items():
        around = np.pad(once, (length - 1, length - 1))
        both = around[length - 1 :] & around[: len(once) + length - 1]  # begins, ends there
        edges = np.flatnonzero(np.diff(np.concatenate([[0], both, [0]])))
        if len(edges):
            yield chrom, edges[::2].tolist(), edges[1::2].tolist()

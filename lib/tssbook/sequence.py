"""Letters to arrays and back.

Every model of the book reads one-hot DNA: four rows, in the order A, C, G, T, and one column
per base. Chapter 1 introduces the encoding.

No function here loops over bases in Python. A table with 256 entries turns each byte of a
sequence into a code (A 0, C 1, G 2, T 3, any ambiguity code 4), and four comparisons turn
codes into rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

__all__ = ["ALPHABET", "AMBIGUOUS", "codes", "decode", "kmers", "one_hot", "reverse_complement"]

ALPHABET = "ACGT"
AMBIGUOUS = "NRYSWKMBDHV"  # IUPAC codes that stand for more than one base

Sequences: TypeAlias = str | Iterable[str]

_INVALID = 255
_LETTER_TO_CODE = np.full(256, _INVALID, dtype=np.uint8)
for _code, _letters in [*enumerate(ALPHABET), (len(ALPHABET), AMBIGUOUS)]:
    for _letter in _letters + _letters.lower():
        _LETTER_TO_CODE[ord(_letter)] = _code
_CODE_TO_LETTER = np.frombuffer(b"ACGTN", dtype=np.uint8)
_BASE_CODES = torch.arange(len(ALPHABET), dtype=torch.uint8)[:, None]
# Sequences are encoded a block at a time, so that the codes stay in the processor's cache
# between the table look-up and the four comparisons.
_BLOCK = 1 << 18


def codes(seqs: Sequences) -> np.ndarray:
    """Encode DNA as small integers, one byte per base.

    This is the compact form: a quarter of the size of a one-hot array of bytes, and a
    sixteenth of a one-hot array of ``float32``.

    Parameters
    ----------
    seqs
        One sequence, or several of the same length. Upper and lower case mean the same.

    Returns
    -------
    numpy.ndarray
        ``uint8``, ``(L,)`` for one string and ``(N, L)`` for several; A 0, C 1, G 2, T 3,
        and 4 for N and every other IUPAC ambiguity code.

    Raises
    ------
    TypeError
        If ``seqs`` is not a string or a collection of strings.
    ValueError
        If there is nothing to encode, lengths differ, or a letter is not in the alphabet;
        the message names the letters and the first position (0-based).
    """
    strings, length = _checked(seqs)
    encoded = _text_codes("".join(strings), length).reshape(len(strings), length)
    return encoded[0] if isinstance(seqs, str) else encoded


def one_hot(
    seqs: Sequences, dtype: torch.dtype = torch.float32, out: Tensor | None = None
) -> Tensor:
    """Encode DNA as one-hot rows in the order A, C, G, T (Chapter 1).

    Parameters
    ----------
    seqs
        One sequence, or several of the same length. Upper and lower case mean the same.
    dtype
        Type of the result; ``torch.uint8`` needs a quarter of the memory of ``float32``.
    out
        Tensor to write into, contiguous, on the CPU, of the result's shape; its own type
        then counts. Most of the time for a large result goes into asking the operating
        system for fresh memory: a loop over chunks is faster when it gives the same ``out``
        every time.

    Returns
    -------
    torch.Tensor
        ``(4, L)`` for one string, ``(N, 4, L)`` for several. N and every other IUPAC
        ambiguity code are a column of four zeros.

    Raises
    ------
    TypeError
        If ``seqs`` is not a string or a collection of strings, or ``dtype`` is not a
        ``torch.dtype``.
    ValueError
        If there is nothing to encode, lengths differ, a letter is not in the alphabet (the
        message names the letters and the first position, 0-based), or ``out`` does not fit.
    """
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype is {dtype!r}; wanted a torch.dtype such as torch.float32.")
    strings, length = _checked(seqs)
    shape = (len(ALPHABET), length) if isinstance(seqs, str) else (len(strings), 4, length)
    if out is None:
        out = torch.empty(shape, dtype=dtype)
    elif tuple(out.shape) != shape or not out.is_contiguous() or out.device.type != "cpu":
        raise ValueError(
            f"out is {tuple(out.shape)} on {out.device}; wanted a contiguous tensor on the CPU "
            f"of shape {shape}."
        )
    rows = out.view(len(strings), len(ALPHABET), length)
    per_block = max(1, _BLOCK // length)
    for start in range(0, len(strings), per_block):
        text = "".join(strings[start : start + per_block])
        block = torch.from_numpy(_text_codes(text, length, start)).view(-1, 1, length)
        torch.eq(block, _BASE_CODES, out=rows[start : start + per_block])
    return out


def decode(x: Tensor) -> str | list[str]:
    """Turn one-hot rows back into letters; a column of zeros becomes N.

    Parameters
    ----------
    x
        ``(4, L)`` or ``(N, 4, L)``, any type, rows A, C, G, T.

    Returns
    -------
    str or list of str
        One upper-case string for ``(4, L)``, a list of ``N`` for ``(N, 4, L)``.

    Raises
    ------
    ValueError
        If the shape is another one, or a column is neither one-hot nor all zero: this
        function does not decode probabilities.
    """
    if x.ndim not in (2, 3) or x.shape[-2] != len(ALPHABET):
        raise ValueError(f"x is {tuple(x.shape)}; wanted (4, L) or (N, 4, L).")
    x = x.detach().cpu()
    ones, zeros = (x == 1).sum(-2), (x == 0).sum(-2)
    bad = (ones > 1) | (ones + zeros < len(ALPHABET))
    if bad.any():
        where = tuple(bad.nonzero()[0].tolist())
        raise ValueError(
            f"The column at {where} is neither one-hot nor all zero; wanted a single 1, or "
            "four zeros for N."
        )
    code = torch.where(ones == 1, x.argmax(-2), len(ALPHABET))
    letters = _CODE_TO_LETTER[code.numpy()]
    if x.ndim == 2:
        return letters.tobytes().decode("ascii")
    return [row.tobytes().decode("ascii") for row in letters]


def reverse_complement(x: Tensor) -> Tensor:
    """Return the other strand, read from its own 5' end.

    With the order A, C, G, T the complement of a base is its row counted from the other end,
    so flipping both axes is all there is to do.

    Parameters
    ----------
    x
        ``(..., 4, L)``, one-hot or not.

    Returns
    -------
    torch.Tensor
        A copy of the same shape; for tracks use the tracks' own order instead.

    Raises
    ------
    ValueError
        If the second last axis does not have four rows.
    """
    if x.ndim < 2 or x.shape[-2] != len(ALPHABET):
        raise ValueError(f"x is {tuple(x.shape)}; wanted (..., 4, L).")
    return x.flip(-1).flip(-2)


def kmers(k: int) -> list[str]:
    """List all ``4**k`` words of ``k`` letters, in the order A, C, G, T.

    Raises
    ------
    ValueError
        If ``k`` is below 1 or above 12 (16.8 million words).
    """
    if not 1 <= k <= 12:
        raise ValueError(f"k is {k}; wanted 1 to 12.")
    return ["".join(letters) for letters in product(ALPHABET, repeat=k)]


def _checked(seqs: Sequences) -> tuple[Sequence[str], int]:
    """Return the sequences as a list of strings of one length, and that length."""
    if isinstance(seqs, str):
        strings: Sequence[str] = [seqs]
    elif isinstance(seqs, bytes | bytearray) or not isinstance(seqs, Iterable):
        raise TypeError(
            f"seqs is {type(seqs).__name__}; wanted a string of DNA letters or a list of strings."
        )
    else:
        strings = seqs if isinstance(seqs, list) else list(seqs)
    if not strings:
        raise ValueError("The list of sequences is empty; wanted at least one.")
    try:
        lengths = set(map(len, strings))
        "".join(strings)
    except TypeError:
        index, wrong = next((i, s) for i, s in enumerate(strings) if not isinstance(s, str))
        raise TypeError(
            f"Sequence {index} is {type(wrong).__name__}; wanted a string of DNA letters."
        ) from None
    if len(lengths) > 1:
        first = len(strings[0])
        index = next(i for i, s in enumerate(strings) if len(s) != first)
        raise ValueError(
            f"Sequence {index} has {len(strings[index])} letters and sequence 0 has {first}; "
            "wanted one length for all: cut them, or pad them with N."
        )
    if lengths == {0}:
        raise ValueError("The sequence is empty; wanted at least one letter.")
    return strings, lengths.pop()


def _text_codes(text: str, length: int, first: int = 0) -> np.ndarray:
    """Codes of joined sequences of ``length`` letters; ``first`` is the first one's index."""
    # A letter outside ASCII becomes one "?", so positions stay true.
    found = _LETTER_TO_CODE[np.frombuffer(text.encode("ascii", "replace"), dtype=np.uint8)]
    if found.max() == _INVALID:
        invalid = np.flatnonzero(found == _INVALID)
        letters = ", ".join(repr(letter) for letter in sorted({text[i] for i in invalid})[:5])
        index, position = divmod(int(invalid[0]), length)
        raise ValueError(
            f"Not a DNA letter: {letters}, first at position {position} of sequence "
            f"{first + index} (counted from 0); wanted A, C, G, T, N or another IUPAC code, in "
            "either case."
        )
    return found

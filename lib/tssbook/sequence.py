"""Letters to arrays and back.

Every model of the book reads one-hot DNA: four rows, in the order A, C, G, T, and one column
per base. Chapter 1 introduces the encoding.

No function here loops over bases in Python. A table with 256 entries turns each byte of a
sequence into a code (A 0, C 1, G 2, T 3, any ambiguity code 4), and four comparisons of whole
arrays turn codes into rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from numbers import Integral
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "ALPHABET",
    "AMBIGUOUS",
    "codes",
    "decode",
    "encode_bytes",
    "kmers",
    "one_hot",
    "one_hot_codes",
    "require_codes",
    "require_counts",
    "require_known_codes",
    "require_mirror_order",
    "require_positive",
    "require_sequences",
    "require_whole",
    "reverse_complement",
    "reverse_complement_codes",
    "shares_word",
]

ALPHABET = "ACGT"  # the rows of one-hot DNA, in this order
AMBIGUOUS = "NRYSWKMBDHV"  # IUPAC codes that stand for more than one base

Sequences: TypeAlias = str | Iterable[str]

# One byte in, one byte out: the code of a letter, or a mark for what is no letter.
_BREAK, _INVALID = 254, 255
_TABLE = bytearray([_INVALID] * 256)
for _code, _letters in [*enumerate(ALPHABET), (len(ALPHABET), AMBIGUOUS)]:
    for _letter in _letters + _letters.lower():
        _TABLE[ord(_letter)] = _code
_TABLE[ord("\n")] = _BREAK  # stands between two sequences, so that their lengths can be seen
_CODE_TO_LETTER = np.frombuffer(b"ACGTN", dtype=np.uint8)
# So many letters at a time: the codes stay in the processor's cache for all four comparisons.
_BLOCK = 1 << 16


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
    encoded = np.empty((len(strings), length), dtype=np.uint8)
    for rows, block in _blocks(strings, length):
        encoded[rows] = block
    return encoded[0] if isinstance(seqs, str) else encoded


def encode_bytes(text: bytes) -> np.ndarray:
    """Encode the bytes of a file's letters, ``(L,)`` ``uint8``: codes, and above 4 what is no DNA.

    Unlike :func:`codes` it refuses nothing: who reads the file can say where the letter stands.
    """
    return np.frombuffer(text.translate(_TABLE), dtype=np.uint8)


def one_hot(seqs: Sequences, dtype: torch.dtype = torch.float32) -> Tensor:
    """Encode DNA as one-hot rows in the order A, C, G, T (Chapter 1).

    Parameters
    ----------
    seqs
        One sequence, or several of the same length. Upper and lower case mean the same.
    dtype
        Type of the result; ``torch.uint8`` needs a quarter of the memory of ``float32``.

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
        If there is nothing to encode, lengths differ, or a letter is not in the alphabet; the
        message names the letters and the first position (0-based).
    """
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype is {dtype!r}; wanted a torch.dtype such as torch.float32.")
    strings, length = _checked(seqs)
    # numpy asks for large memory pages where the system has them, torch does not: touching
    # fresh memory is most of the work for a large result.
    x = np.empty((len(strings), len(ALPHABET), length), dtype=_numpy_type(dtype))
    for rows, block in _blocks(strings, length):
        for left in range(0, length, _BLOCK):
            columns = slice(left, left + _BLOCK)
            for base in range(len(ALPHABET)):
                x[rows, base, columns] = block[:, columns] == base
    result = torch.from_numpy(x).to(dtype)
    return result[0] if isinstance(seqs, str) else result


def _numpy_type(dtype: torch.dtype) -> np.dtype:
    """Return numpy's name of a type; bytes for narrow floats such as bfloat16, which it lacks."""
    try:
        return torch.empty(0, dtype=dtype).numpy().dtype
    except TypeError:
        return np.dtype(np.uint8)


def one_hot_codes(codes: np.ndarray) -> Tensor:
    """Turn codes ``(N, L)`` into one-hot bytes ``(N, 4, L)``, ``int8``; code 4 is all zero.

    Raises
    ------
    ValueError
        The codes are no whole numbers, of another shape, or one is none of 0 to 4.
    """
    if codes.ndim != 2 or codes.dtype.kind not in "iu":
        raise ValueError(
            f"The codes are {codes.dtype} {codes.shape}; wanted whole numbers (N, L): for one "
            "sequence codes[None]."
        )
    if codes.size and not 0 <= codes.min() <= codes.max() <= len(ALPHABET):
        raise ValueError(
            f"The codes hold {codes.min()} to {codes.max()}; wanted A 0, C 1, G 2, T 3 and 4 for N "
            "(tssbook.sequence.codes makes them of letters)."
        )
    x = np.empty((len(codes), 4, codes.shape[1]), dtype=np.int8)
    for base in range(4):
        x[:, base] = codes == base
    return torch.from_numpy(x)


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
    _require_tensor(x)
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
    code = torch.where(ones == 1, (x == 1).byte().argmax(-2), len(ALPHABET))
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
    _require_tensor(x)
    if x.ndim < 2 or x.shape[-2] != len(ALPHABET):
        raise ValueError(f"x is {tuple(x.shape)}; wanted (..., 4, L).")
    return x.flip(-1).flip(-2)


def reverse_complement_codes(codes: np.ndarray) -> np.ndarray:
    """Return the other strand of codes (A 0, C 1, G 2, T 3, N 4), read from its own 5' end.

    Parameters
    ----------
    codes
        ``(..., L)``, as :func:`codes` returns them.

    Returns
    -------
    numpy.ndarray
        A copy of the same shape, ``uint8``.
    """
    # 0 1 2 3 become 3 2 1 0; 4 (N) becomes -1, which is 255 in a byte, and then 4 again.
    other = 3 - np.asarray(codes, dtype=np.uint8)[..., ::-1]
    return np.minimum(other, 4, out=other)


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


def shares_word(codes: np.ndarray, others: np.ndarray, length: int) -> np.ndarray:
    """Say which sequences have some letters in a row in common with any of the others.

    What a test sequence has in common with a training sequence, a network can know by heart.

    Parameters
    ----------
    codes, others
        ``(N, L)`` and ``(M, K)``, ``uint8``, as :func:`codes` returns them. Either strand of the
        others counts.
    length
        Letters in a row, 1 to 31. A word with N is shared with nothing.

    Returns
    -------
    numpy.ndarray
        ``(N,)``, ``bool``.

    Raises
    ------
    TypeError, ValueError
        The codes are none, or shorter than the word; or the length is not from 1 to 31.
    """
    if not 1 <= length <= 31:
        raise ValueError(f"The word has {length} letters; wanted 1 to 31.")
    require_known_codes(codes, shortest=length)
    require_known_codes(others, shortest=length)

    def words(rows: np.ndarray) -> np.ndarray:
        seen = np.lib.stride_tricks.sliding_window_view(rows, length, axis=1)
        return np.where((seen > 3).any(-1), -1, seen @ 4 ** np.arange(length))

    # By sorting: np.unique and np.isin take many times as long with millions of words.
    known = np.sort(words(np.concatenate([others, reverse_complement_codes(others)])), axis=None)
    asked = words(codes)
    nearest = known[np.minimum(known.searchsorted(asked), len(known) - 1)]
    return ((asked >= 0) & (nearest == asked)).any(1)


def require_sequences(
    x: object, *, one_hot: bool = False, bases: bool = False, length: int | None = None
) -> None:
    """Refuse what is not sequences ``(N, 4, L)``: the one check of every model and function.

    Parameters
    ----------
    x
        Any type of numbers; at least one sequence of at least one base.
    one_hot
        Refuse columns that are neither one-hot nor all zero (N), too.
    bases
        Refuse N as well; implies ``one_hot``.

    Raises
    ------
    TypeError
        If ``x`` is no tensor.
    ValueError
        If it has another shape or, where asked for, other values; the sentence names the first
        such place.
    """
    _require_tensor(x)
    if x.ndim != 3 or x.shape[1] != len(ALPHABET) or x.numel() == 0:
        raise ValueError(
            f"x is {tuple(x.shape)}; wanted (N, 4, L) with at least one sequence and one base."
        )
    if length is not None and x.shape[-1] != length:
        raise ValueError(
            f"The sequences are {x.shape[-1]} bp long and the model reads {length}; wanted "
            f"(N, 4, {length}): cut them, or make a model of their length."
        )
    if not (one_hot or bases):
        return
    ones = x == 1
    wrong = (ones.sum(1) > 1) | ~(ones | (x == 0)).all(1)
    if wrong.any():
        sequence, position = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"x is not one-hot at position {position} of sequence {sequence} (counted from 0): "
            f"{x[sequence, :, position].tolist()}; wanted a single 1, or four zeros for N."
        )
    unknown = ~ones.any(1)
    if bases and unknown.any():
        sequence, position = unknown.nonzero()[0].tolist()
        raise ValueError(
            f"x has an N at position {position} of sequence {sequence} (counted from 0); wanted "
            "A, C, G and T only: choose a window without N."
        )


def require_positive(**numbers: object) -> None:
    """Refuse what is no whole number of 1 or more: the one check of sizes and counts.

    Parameters
    ----------
    **numbers
        As of :func:`require_whole`.

    Raises
    ------
    ValueError
        For the first that is below 1, fractional, or no number at all.
    """
    require_whole(1, **numbers)


def require_whole(least: int = 0, **numbers: object) -> None:
    """Refuse what is no whole number, or too small a one, such as of a seed.

    Parameters
    ----------
    least
        The smallest number that is let through.
    **numbers
        What to check, by the name that the message gives it.

    Raises
    ------
    ValueError
        For the first that is below, fractional, or no number at all.
    """
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise ValueError(f"{name} is {value!r}; wanted a whole number of {least} or more.")


def require_counts(
    counts: Tensor,
    name: str = "counts",
    rows: Tensor | None = None,
    offset: int | Tensor = 0,
    largest: float = math.inf,
) -> None:
    """Refuse numbers of reads that are negative, NaN, infinite or larger than there can be.

    Parameters
    ----------
    counts
        Any shape.
    name
        What to call them in the message.
    rows
        The numbers of the rows, where they are not 0, 1, 2, ...: ``(N,)``.
    offset
        Where the positions begin, one number or one for each row, ``(N,)``: for the message.
    largest
        What none may reach.

    Raises
    ------
    ValueError
        The message names the first wrong value and its place.
    """
    wrong = ~((counts >= 0) & (counts < largest))  # NaN is neither
    if wrong.any():
        place = tuple(wrong.nonzero()[0].tolist())
        found = counts[place].item()
        begin = offset if isinstance(offset, int) else int(offset[place[0]])
        row = place[0] if rows is None else int(rows[place[0]])
        place = (row, *place[1:-1], place[-1] + begin) if len(place) > 1 else (row,)
        bound = "" if largest == math.inf else f", below {largest:g}"
        raise ValueError(
            f"The {name} hold {found:g} at {place}; wanted finite numbers of 0 or more{bound} (of "
            "files of the - strand without their sign, with 0 for NaN)."
        )


def require_mirror_order(names: Sequence[str]) -> None:
    """Refuse names of tracks that do not stand in mirror order.

    A name ends in + or - and has its partner on the other strand, such as CAGE+ and CAGE-; read
    backwards the names are those of the partners. So the reverse complement of a sequence has the
    tracks of the sequence with both axes reversed. One without a sign is a track of no strand and
    its own partner: it can only stand in the middle.

    Parameters
    ----------
    names
        At least one, each once: ``["CAGE+", "PRO-cap+", "PRO-cap-", "CAGE-"]``.

    Raises
    ------
    TypeError
        If something is no string.
    ValueError
        The message names the first track that is out of place.
    """
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"The tracks are {names!r}; wanted a list of names.")
    names = list(names)
    if not names or len(set(names)) < len(names) or "" in names:
        raise ValueError(f"The tracks are {names}; wanted at least one name, and each once.")
    for place, (name, found) in enumerate(zip(names, reversed(names), strict=True)):
        other = name[:-1] + {"+": "-", "-": "+"}.get(name[-1], name[-1])
        if found != other:
            raise ValueError(
                f"The tracks are {', '.join(names)}; wanted mirror order, the + strand's and then "
                f"the - strand's the other way round, but {name!r} as track {place} has {found!r} "
                f"as track {len(names) - 1 - place} where {other!r} should be."
            )


def require_codes(codes: object, *, shortest: int = 1) -> None:
    """Refuse what is not codes ``(N, L)`` of ``uint8``; their values are not looked at.

    Parameters
    ----------
    codes
        Anything.
    shortest
        Smallest ``L`` to be let through.

    Raises
    ------
    TypeError
        If ``codes`` is no array.
    ValueError
        If it has another type of numbers or another shape, or is shorter.
    """
    if not isinstance(codes, np.ndarray):
        raise TypeError(
            f"codes is {type(codes).__name__}; wanted an array: call sequence.codes first."
        )
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] < shortest:
        raise ValueError(
            f"codes are {codes.dtype} {codes.shape}; wanted uint8 (N, L), one code for each base, "
            f"with L of at least {shortest}: call sequence.codes first."
        )


def require_known_codes(codes: np.ndarray, *, shortest: int = 1) -> None:
    """Refuse what :func:`require_codes` refuses, and codes above 4.

    Raises
    ------
    TypeError
        If ``codes`` is no array.
    ValueError
        If it has another type of numbers, another shape or other values, or is shorter.
    """
    require_codes(codes, shortest=shortest)
    if codes.max(initial=0) > len(ALPHABET):
        raise ValueError(f"codes hold {codes.max()}; wanted A 0, C 1, G 2, T 3, N 4.")


def _require_tensor(x: object) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"x is {type(x).__name__}; wanted a tensor: call one_hot first.")


def _checked(seqs: Sequences) -> tuple[Sequence[str], int]:
    """Return the sequences as a list, and the length of the first, not yet compared."""
    if isinstance(seqs, str):
        strings: Sequence[str] = [seqs]
    elif isinstance(seqs, bytes | bytearray | Mapping) or not isinstance(seqs, Iterable):
        raise TypeError(
            f"seqs is {type(seqs).__name__}; wanted a string of DNA letters or a list of strings."
        )
    else:
        strings = seqs if isinstance(seqs, list) else list(seqs)
    if not strings:
        raise ValueError("The list of sequences is empty; wanted at least one.")
    if not isinstance(strings[0], str):
        raise _not_a_string(0, strings[0])
    if not strings[0]:
        raise ValueError("The sequence is empty; wanted at least one letter.")
    return strings, len(strings[0])


def _blocks(strings: Sequence[str], length: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the codes of some sequences at a time, with their places; refuse what is wrong."""
    per_block = max(1, _BLOCK // length)
    for start in range(0, len(strings), per_block):
        block = strings[start : start + per_block]
        try:
            text = "\n".join(block) + "\n"
        except TypeError:
            index = next(i for i, s in enumerate(block) if not isinstance(s, str))
            raise _not_a_string(start + index, block[index]) from None
        # A letter outside ASCII becomes one "?", so positions stay true.
        found = np.frombuffer(text.encode("ascii", "replace").translate(_TABLE), dtype=np.uint8)
        if len(found) != len(block) * (length + 1) or (found[length :: length + 1] != _BREAK).any():
            _refuse_lengths(block, length, start)
        found = np.ascontiguousarray(found.reshape(len(block), length + 1)[:, :length])
        if found.max() >= _BREAK:
            _refuse_lengths(block, length, start)  # a line break inside may have hidden them
            _refuse_letters(block, found, start)
        yield slice(start, start + len(block)), found


def _not_a_string(index: int, wrong: object) -> TypeError:
    return TypeError(f"Sequence {index} is {type(wrong).__name__}; wanted a string of DNA letters.")


def _refuse_lengths(block: Sequence[str], length: int, start: int) -> None:
    for index, seq in enumerate(block, start):
        if len(seq) != length:
            raise ValueError(
                f"Sequence {index} has {len(seq)} letters and sequence 0 has {length}; wanted one "
                "length for all: cut them, or pad them with N."
            )


def _refuse_letters(block: Sequence[str], found: np.ndarray, start: int) -> None:
    rows, columns = np.nonzero(found >= _BREAK)
    letters = sorted({block[i][j] for i, j in zip(rows, columns, strict=True)})
    rna = " In RNA, write T for U." if set(letters) & set("Uu") else ""
    raise ValueError(
        f"Not a DNA letter: {', '.join(map(repr, letters[:5]))}, first at position {columns[0]} of "
        f"sequence {start + rows[0]} (counted from 0); wanted A, C, G, T, N or another IUPAC code, "
        f"in either case.{rna}"
    )

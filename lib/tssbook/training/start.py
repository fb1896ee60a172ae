"""Words that are frequent where they should be rare, and filters that start from them.

A network's filters usually start as noise, and what is rare or weak among motifs may never be
found. Counting words finds what is frequent without saying what it does: a start, not a result.
After van Helden et al., Journal of Molecular Biology 1998.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from torch import nn

from tssbook.sequence import (
    ALPHABET,
    one_hot,
    require_codes,
    require_positive,
    reverse_complement_codes,
)

__all__ = ["enriched_words", "start_from_words"]

_LONGEST = 10  # there are 4 ** width words
_SHIFTS = range(-3, 4)
_NOISE, _HEIGHT, _BIAS = 0.2, 1.5, -6.0


def enriched_words(codes: np.ndarray, number: int, *, width: int = 8) -> pd.DataFrame:
    """Find the words that pairs of neighbouring letters explain least.

    Both strands are counted. A word is left out where it agrees with a better one in all but two
    letters, on either strand, moved by up to three places.

    Parameters
    ----------
    codes
        ``(N, L)`` uint8, A 0, C 1, G 2, T 3, N 4. Words with an N do not count.
    number
        How many at most; there can be fewer.
    width
        Letters of a word, 3 to 10.

    Returns
    -------
    pandas.DataFrame
        Best first: ``word``, ``observed``, ``expected`` (by a chain that draws each letter by the
        one before it) and ``z``, their difference in units of the root of ``expected``.

    Raises
    ------
    ValueError
        If a number is out of range, or the codes are no ``(N, L)`` uint8 or shorter than a word.
    """
    require_positive(number=number)
    if not 3 <= width <= _LONGEST:
        raise ValueError(f"width is {width}; wanted 3 to {_LONGEST}.")
    require_codes(codes, shortest=width)
    observed, pairs = (_counts(codes, w) for w in (width, 2))
    first = pairs.reshape(4, 4).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.nan_to_num(pairs.reshape(4, 4) / first[:, None])
        digits = np.arange(4**width) // 4 ** np.arange(width - 1, -1, -1)[:, None] % 4
        chance = first[digits[0]] / max(first.sum(), 1)
        for one, next_one in pairwise(digits):
            chance = chance * step[one, next_one]
        expected = chance * observed.sum()
        z = np.nan_to_num((observed - expected) / np.sqrt(expected))
    chosen: list[int] = []
    for index in np.argsort(-z, kind="stable"):
        if len(chosen) == number or z[index] <= 0:
            break
        if not any(_alike(digits[:, index], digits[:, other]) for other in chosen):
            chosen.append(int(index))
    return pd.DataFrame(
        {
            "word": ["".join(ALPHABET[i] for i in digits[:, index]) for index in chosen],
            "observed": observed[chosen].astype(int),
            "expected": expected[chosen],
            "z": z[chosen],
        }
    )


@torch.no_grad()
def start_from_words(conv: nn.Conv1d, words: Sequence[str]) -> None:
    """Let a layer's filters start from words instead of noise alone.

    What noise there is shrinks to a fifth. In its middle each filter gets 1.125 for each letter
    of its word and -0.375 for the others; filters without a word keep only the noise. Biases
    become -6: of a word of eight letters six must fit for an answer above 0, so that a filter
    is silent at nearly all places, and what it learns comes from the others.

    Parameters
    ----------
    conv
        A layer over one-hot sequences; changed in place.
    words
        At most one for each filter, and not longer than it.

    Raises
    ------
    ValueError
        If there are too many words or one is too long.
    """
    width = conv.kernel_size[0]
    if len(words) > len(conv.weight) or any(len(word) > width for word in words):
        raise ValueError(
            f"There are {len(words)} words, the longest of {max(map(len, words))} letters; wanted "
            f"at most {len(conv.weight)} words of at most {width} letters."
        )
    conv.weight.mul_(_NOISE)
    conv.bias.fill_(_BIAS)
    for weight, word in zip(conv.weight, words, strict=False):
        left = (width - len(word) + 1) // 2
        letters = one_hot([word])[0].to(weight)
        weight[:, left : left + len(word)] += _HEIGHT * (letters - 0.25)


def _counts(codes: np.ndarray, width: int) -> np.ndarray:
    """Count all words on both strands, ``(4 ** width,)``."""
    counts = np.zeros(4**width)
    places = codes.shape[1] - width + 1
    for strand in (codes, reverse_complement_codes(codes)):
        word = np.zeros((len(codes), places), np.int32)
        known = np.ones(word.shape, bool)
        for i in range(width):
            letters = strand[:, i : i + places]
            word = word * 4 + letters
            known &= letters < 4
        counts += np.bincount(word[known], minlength=len(counts))
    return counts


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two words agree in all but two letters, on either strand, moved a little."""
    for strand in (other, reverse_complement_codes(other)):
        for shift in _SHIFTS:
            a, b = one[max(shift, 0) :], strand[max(-shift, 0) :]
            n = min(len(a), len(b))
            if (a[:n] == b[:n]).sum() >= len(one) - 2:
                return True
    return False

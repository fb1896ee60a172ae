"""Which rows are for training, for validation, and for the test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from tssbook.data.tables import as_names, known

__all__ = ["Split", "split_at_random", "split_by_block", "split_by_chromosome"]


class Split(NamedTuple):
    """Row numbers of three parts that share no row, each ``int64``, increasing."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def split_by_chromosome(chroms: Sequence[str], valid: Sequence[str], test: Sequence[str]) -> Split:
    """Give whole chromosomes to validation and test, and all others to training.

    Related genes that lie side by side stay together; relatives on other chromosomes do not.

    Parameters
    ----------
    chroms
        Chromosome of each row.
    valid, test
        Names of the chromosomes held out, such as ``["chr10"]`` and ``["chr8", "chr9"]``.

    Returns
    -------
    Split

    Raises
    ------
    TypeError
        ``valid`` or ``test`` is one string.
    ValueError
        A name is missing, unknown or in both lists, or a part is empty.
    """
    chroms = np.asarray(chroms, dtype=object)
    if pd.isna(chroms).any():
        raise ValueError("A row has no chromosome; wanted a name for each: drop those without one.")
    chroms = as_names(pd.Series(chroms)).to_numpy(dtype=object)
    names = sorted(set(chroms))
    for part, chosen in {"valid": valid, "test": test}.items():
        if isinstance(chosen, str):
            raise TypeError(f"{part} is {chosen!r}; wanted a list of names: [{chosen!r}].")
    valid, test = list(map(str, valid)), list(map(str, test))
    for part, chosen in {"valid": valid, "test": test}.items():
        for name in chosen:
            if name not in names:
                raise ValueError(f"No row is on {name!r} ({part}): {known(name, names)}.")
    if both := sorted(set(valid) & set(test)):
        raise ValueError(f"{both[0]} is in valid and in test; wanted it in one of them.")
    in_valid, in_test = np.isin(chroms, valid), np.isin(chroms, test)
    return _split(~in_valid & ~in_test, in_valid, in_test)


def split_at_random(
    n: int, seed: int, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
) -> Split:
    """Give each row to a part by chance, whatever its relatives do (Chapter 2 shows the price).

    Parameters
    ----------
    n
        Number of rows.
    seed
        Seed of the draw.
    fractions
        Shares of training, validation and test; they add up to 1.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        The fractions are no shares of 1, or a part is empty.
    """
    part = np.empty(n, dtype=np.int64)
    part[np.random.default_rng(seed).permutation(n)] = _parts(n, fractions)
    return _split(part == 0, part == 1, part == 2)


def split_by_block(
    start: Sequence[int], length: int, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
) -> Split:
    """Cut one chromosome into three stretches: training first, then validation, then test.

    Sequences that overlap stay together. Between two parts a gap of one sequence's length is
    left; the sequences that reach into it are in no part.

    Parameters
    ----------
    start
        Where each sequence begins on the chromosome, ``(N,)``. On a circular chromosome the
        first and the last stretch are neighbours too: this function does not see that.
    length
        Length of the sequences.
    fractions
        Shares of training, validation and test before the gaps; they add up to 1.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        A start is missing, the fractions are no shares of 1, or a part is empty.
    """
    if pd.isna(np.asarray(start, dtype=object)).any():
        raise ValueError("A start is missing; wanted a place for each row: drop those without one.")
    start = np.asarray(start, dtype=np.int64)
    part = np.empty(len(start), dtype=np.int64)
    part[np.argsort(start, kind="stable")] = _parts(len(start), fractions)
    for earlier, later in ((0, 1), (1, 2), (0, 2)):
        if (part == earlier).any():
            first = start[part == earlier].max() + 2 * length
            part[(part == later) & (start < first)] = -1
    return _split(part == 0, part == 1, part == 2)


def _parts(n: int, fractions: tuple[float, float, float]) -> np.ndarray:
    """Part of each of n ordered rows: 0 training, 1 validation, 2 test."""
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"The fractions are {fractions}; wanted three above 0 that add up to 1.")
    ends = np.round(np.cumsum(fractions) * n).astype(int)
    return np.searchsorted(ends[:2], np.arange(n), side="right")


def _split(*masks: np.ndarray) -> Split:
    sizes = [int(mask.sum()) for mask in masks]
    if 0 in sizes:
        empty = Split._fields[sizes.index(0)]
        raise ValueError(
            f"The parts have {sizes[0]}, {sizes[1]} and {sizes[2]} rows; wanted some for {empty} "
            "too."
        )
    return Split(*(np.flatnonzero(mask) for mask in masks))

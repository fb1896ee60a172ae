"""Many windows of several bigWig files at once: one file is one track.

A bigWig holds its values in compressed blocks with an index. Read window by window and file by
file, each block is unpacked as often as windows touch it. figwig reads all windows of all files
in one call, unpacks a block once where neighbours share it, and does so on all cores, because it
works outside Python's global lock (pyBigWig and pybigtools work inside it).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tssbook.data.tables import known

__all__ = ["BigWigs"]


_KINDS = ("min", "max", "sum")


class Summary(NamedTuple):
    """Smallest and largest value of a file, and the sum of all."""

    low: float
    high: float
    total: float


class BigWigs:
    """Several bigWig files that are read together.

    Parameters
    ----------
    paths
        The files, in the order of the tracks. A file and its other strand, called by the words
        ``plus`` and ``minus`` in names that are otherwise the same, must stand in mirror order:
        the first with the last, and so on. Then flipping the tracks' axis and the positions' axis
        gives what the other strand's reader sees.

    Attributes
    ----------
    paths : list of Path
    lengths : list of dict of str to int
        Per file its chromosomes and their lengths.
    negative : list of bool
        Per file whether its values are below 0, as in many files of the - strand.
    summaries : list of Summary

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        ``paths`` is no list or empty, a file is no bigWig or holds values of both signs, or the
        files of two strands are not in mirror order.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        import figwig

        if isinstance(paths, str | Path) or not len(paths):
            raise ValueError(f"The bigWigs are {paths!r}; wanted a list of files, one a track.")
        self.paths = [Path(path) for path in paths]
        for path in self.paths:
            if not path.is_file():
                raise FileNotFoundError(f"There is no file {path}; wanted a bigWig file.")
        _require_mirror_order([path.name for path in self.paths])
        self._readers = [figwig.BigWigReader(path) for path in self.paths]
        self.lengths: list[dict[str, int]] = [reader.chrom_sizes for reader in self._readers]
        self.summaries = [_summary(path) for path in self.paths]
        self.negative = [summary.low < 0 for summary in self.summaries]

    @classmethod
    def of(cls, bigwigs: BigWigs | Sequence[str | Path]) -> BigWigs:
        """Open paths; opened files are given back as they are."""
        return bigwigs if isinstance(bigwigs, cls) else cls(bigwigs)

    def __len__(self) -> int:
        """Return the number of tracks."""
        return len(self.paths)

    def require(self, lengths: Mapping[str, int], where: str | Path) -> None:
        """Refuse files that lack a chromosome or have it with another length.

        Parameters
        ----------
        lengths
            Chromosomes that are wanted, and their lengths.
        where
            The file that says so, for the message.

        Raises
        ------
        ValueError
            The message names the file and the chromosome.
        """
        for chrom, length in lengths.items():
            for path, found in zip(self.paths, self._lengths_of(chrom), strict=True):
                if found != length:
                    raise ValueError(
                        f"{path} has {found:,} bp for {chrom}, and {where} has {length:,}; "
                        "wanted both of one assembly."
                    )

    def read(self, chroms: Sequence[str], starts: Sequence[int], length: int) -> np.ndarray:
        """Read windows of all files along the + strand.

        Parameters
        ----------
        chroms
            Chromosome of each window.
        starts
            0-based; may be negative or past the end.
        length
            Bases of each window.

        Returns
        -------
        numpy.ndarray
            ``(N, T, length)`` ``float32``: what the files hold, 0 where they hold nothing or NaN
            and outside a chromosome; absolute values of files that are below 0.

        Raises
        ------
        ValueError
            A file has no such chromosome, or is damaged.
        """
        import figwig

        chroms, starts = np.asarray(chroms, dtype=str), np.asarray(starts, dtype=np.int64)
        shortest = {chrom: min(self._lengths_of(chrom)) for chrom in np.unique(chroms).tolist()}
        ends = np.array([shortest[chrom] for chrom in chroms.tolist()], dtype=np.int64)
        tracks = figwig.read_bigwig(self._readers, chroms, starts.clip(0), length, n_jobs=-1)
        for row in np.flatnonzero((starts < 0) | (starts + length > ends)):
            before = min(max(-int(starts[row]), 0), length)
            inside = np.nan_to_num(tracks[row, :, : length - before])  # past the end is NaN
            tracks[row] = np.pad(inside, ((0, 0), (before, 0)))
        for track in np.flatnonzero(self.negative):
            np.abs(tracks[:, track], out=tracks[:, track])
        return tracks

    def total(self, track: int, places: Iterable[tuple[str, int, int]]) -> float:
        """Add up what one file holds in intervals ``(chrom, start, end)``, without a sign."""
        import pyBigWig

        with pyBigWig.open(str(self.paths[track])) as file:
            sums = [file.stats(*place, type="sum", exact=True)[0] for place in places]
        return abs(float(np.nansum([value or 0.0 for value in sums])))

    def _lengths_of(self, chrom: str) -> list[int]:
        for path, found in zip(self.paths, self.lengths, strict=True):
            if chrom not in found:
                raise ValueError(f"{path} has no chromosome {chrom!r}: {known(chrom, found)}.")
        return [found[chrom] for found in self.lengths]


def _summary(path: Path) -> Summary:
    """Ask for the summaries of whole chromosomes, which the file has ready.

    Not pyBigWig's ``header()``: that makes whole numbers of them, so -0.9 is 0, and ends the
    process where a value is NaN.
    """
    import pyBigWig

    with pyBigWig.open(str(path)) as file:
        found = [[file.stats(c, type=kind)[0] for c in file.chroms()] for kind in _KINDS]
    lows, highs, sums = (np.nan_to_num(np.array(values, dtype=np.float64)) for values in found)
    low, high = lows.min(initial=0), highs.max(initial=0)
    if low < 0 < high:
        raise ValueError(
            f"{path} holds values from {low:g} to {high:g}; wanted one sign, as reads of one "
            "strand have (a minus before all of them is welcome)."
        )
    return Summary(float(low), float(high), math.fsum(sums))


def _require_mirror_order(names: Sequence[str]) -> None:
    for place, name in enumerate(names):
        other = name.replace("plus", "minus")
        mirror = len(names) - 1 - place
        if other != name and other in names and names[mirror] != other:
            raise ValueError(
                f"{name} is track {place} and {other} is track {names.index(other)} of "
                f"{len(names)}; wanted {other} as track {mirror}: the + strand's tracks, then the "
                "- strand's in the opposite order."
            )

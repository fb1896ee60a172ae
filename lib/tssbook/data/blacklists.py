"""Places where a track is not to be believed, and what to put there instead.

Some bases collect reads that come from no start site. A BED file names them, one file for each
strand. Their values are replaced by another track's, scaled, or by 0.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tssbook.data.bigwig import BigWigs
from tssbook.data.tables import read_bed

__all__ = ["CAGE_FACTOR", "Blacklist", "cage_blacklists"]

CAGE_FACTOR = 0.61357  # from ENCODE's CAGE to FANTOM's, as Puffin's training has it
_MANY = 2.0  # so much more on the other strand is no chance


class Blacklist:
    """A BED file of places, and which tracks to change there.

    Parameters
    ----------
    path
        BED file of one strand's places; the strand is the one of ``tracks``.
    tracks
        Indices of the tracks that are changed; None changes all.
    replace_by
        For each of ``tracks`` the index of the track whose values replace it; None puts 0.
    factor
        What these values are multiplied with.

    Attributes
    ----------
    intervals : pandas.DataFrame
        ``chrom``, ``start``, ``end``; sorted, and merged where they touch.
    strands : set of str
        What the file says about strands, if it has such a column.

    Raises
    ------
    ValueError
        The file has no intervals, or ``replace_by`` does not go with ``tracks``.
    """

    def __init__(
        self,
        path: str | Path,
        tracks: Sequence[int] | None = None,
        *,
        replace_by: Sequence[int] | None = None,
        factor: float = 1.0,
    ) -> None:
        self.path, self.factor = Path(path), factor
        self.tracks = None if tracks is None else list(tracks)
        self.replace_by = None if replace_by is None else list(replace_by)
        changed, by = set(self.tracks or ()), self.replace_by
        if by is not None and (len(by) != len(self.tracks or ()) or changed & set(by)):
            raise ValueError(
                f"Tracks {self.tracks} are to be replaced by {by}; wanted as many of the one as of "
                "the other, and none in both."
            )
        table = read_bed(self.path)
        self.strands = set(table["strand"]) - {"."} if "strand" in table else set()
        self.intervals = _merged(table)
        self._ends = {  # starts and ends by chromosome, both ascending
            chrom: (listed["start"].tolist(), listed["end"].tolist())
            for chrom, listed in self.intervals.groupby("chrom")
        }

    def require(self, n_tracks: int) -> None:
        """Refuse indices that are no tracks.

        Raises
        ------
        ValueError
            The message names the index.
        """
        for track in [*(self.tracks or ()), *(self.replace_by or ())]:
            if not 0 <= track < n_tracks:
                raise ValueError(
                    f"The blacklist {self.path} names track {track}; wanted 0 to {n_tracks - 1}."
                )

    def apply(self, tracks: np.ndarray, chroms: Sequence[str], starts: Sequence[int]) -> None:
        """Change windows along the + strand in place.

        Parameters
        ----------
        tracks
            ``(N, T, L)``, as :meth:`tssbook.data.bigwig.BigWigs.read` returns them.
        chroms, starts
            Where each window begins.
        """
        changed = slice(None) if self.tracks is None else self.tracks
        for row, start, first, last in self._overlaps(chroms, starts, tracks.shape[2]):
            here = tracks[row, :, first - start : last - start]
            here[changed] = 0 if self.replace_by is None else here[self.replace_by] * self.factor

    def survey(
        self, bigwigs: BigWigs, chroms: Sequence[str], starts: Sequence[int], length: int
    ) -> np.ndarray:
        """Count the positions of each window that are in the list, ``(N,)``.

        A place is listed because of what its strand holds. If the mirror track holds more than
        twice as much in all listed places of these windows, the list is probably the other one.

        Warns
        -----
        UserWarning
            The places hold much more on the other strand than on the list's own.
        """
        chroms, counts, places = list(chroms), np.zeros(len(starts), np.int64), set()
        for row, _, first, last in self._overlaps(chroms, starts, length):
            counts[row] += last - first
            places.add((chroms[row], max(first, 0), last))
        for track in self.tracks or ():
            mirror = len(bigwigs) - 1 - track
            here, there = (bigwigs.total(t, places) for t in (track, mirror))
            if there > _MANY * here:
                warnings.warn(
                    f"The blacklist {self.path} changes track {track}, but its places hold "
                    f"{here:,.0f} there and {there:,.0f} in track {mirror}: is it the list of the "
                    "other strand?",
                    stacklevel=3,
                )
        return counts

    def _overlaps(
        self, chroms: Sequence[str], starts: Sequence[int], length: int
    ) -> Iterator[tuple[int, int, int, int]]:
        """Yield window, its start, and first and last base + 1 of each listed part of it."""
        starts = np.asarray(starts, dtype=np.int64).tolist()
        for row, (chrom, start) in enumerate(zip(chroms, starts, strict=True)):
            firsts, lasts = self._ends.get(chrom, ((), ()))
            for i in range(bisect_right(lasts, start), bisect_left(firsts, start + length)):
                yield row, start, max(firsts[i], start), min(lasts[i], start + length)


def cage_blacklists(plus: str | Path, minus: str | Path) -> tuple[Blacklist, Blacklist]:
    """Blacklists of FANTOM's CAGE for the ten tracks of Chapter 3.

    In the listed places CAGE (track 0 on the + strand, 9 on the - strand) is replaced by ENCODE's
    CAGE (tracks 1 and 8) times 0.61357.

    Parameters
    ----------
    plus, minus
        BED files of the two strands.

    Raises
    ------
    ValueError
        A file has no intervals, or says that it is of the other strand.
    """
    lists = (
        Blacklist(plus, [0], replace_by=[1], factor=CAGE_FACTOR),
        Blacklist(minus, [9], replace_by=[8], factor=CAGE_FACTOR),
    )
    for blacklist, strand in zip(lists, "+-", strict=True):
        if blacklist.strands - {strand}:
            raise ValueError(
                f"{blacklist.path} has the strands {', '.join(sorted(blacklist.strands))}; wanted "
                f"only {strand}: one file for each strand, first +, then -."
            )
    if lists[0].intervals.equals(lists[1].intervals):
        raise ValueError(
            f"{plus} and {minus} have the same places; wanted one file for each strand."
        )
    return lists


def _merged(table: pd.DataFrame) -> pd.DataFrame:
    """Sort intervals, and merge those that overlap or touch."""
    table = table[["chrom", "start", "end"]].sort_values(["chrom", "start"], ignore_index=True)
    reach = table.groupby("chrom")["end"].cummax().groupby(table["chrom"]).shift(fill_value=-1)
    group = (table["start"] > reach).cumsum()
    merged = table.groupby(group).agg({"chrom": "first", "start": "first", "end": "max"})
    return merged.reset_index(drop=True)

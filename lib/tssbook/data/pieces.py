"""A genome of which only pieces are at hand, such as the output of ``samtools faidx``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tssbook.data.fasta import Fasta
from tssbook.data.tables import known, read_bed
from tssbook.sequence import decode, one_hot_codes

__all__ = ["Pieces"]

_REGION = re.compile(r"(.+):([0-9,]+)-([0-9,]+)")


class Pieces(Fasta):
    """A FASTA file of pieces, read as the chromosomes that they come from.

    Goes wherever a genome is asked for, so that loci and bigWigs keep the positions of the whole
    chromosomes. What no piece covers is N.

    Parameters
    ----------
    path
        The FASTA file, one record a piece.
    lengths
        Whole chromosomes and their lengths, such as those of a bigWig:
        ``BigWigs([path]).lengths[0]``.
    places
        Where the pieces lie: a table with ``chrom``, ``start``, ``end`` (0-based, half-open) and
        ``name``, the record's; records that it does not name are left out. None takes all, named
        ``chr22:1001-2000`` (counted from 1), as ``samtools faidx`` names them.

    Attributes
    ----------
    places : pandas.DataFrame
        ``chrom``, ``start``, ``end``, ``name``.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is no FASTA; a name is that of no record or says no place; a record has another
        length than its place, or ends behind its chromosome.
    """

    def __init__(
        self,
        path: str | Path,
        lengths: Mapping[str, int],
        places: pd.DataFrame | None = None,
    ) -> None:
        self.path, self._records = Path(path), Fasta(path)
        found = _named_places(self._records) if places is None else read_bed(places)
        self.places = _checked(found, self._records, lengths)
        self.lengths = {str(chrom): int(length) for chrom, length in lengths.items()}

    @property
    def about(self) -> list[str]:
        """What makes the genome what it is: file, sha256, and where the pieces lie."""
        return [*super().about, self.places.to_csv(index=False)]

    def codes(self, chroms: Sequence[str], starts: Sequence[int], length: int) -> np.ndarray:
        """Read as :meth:`tssbook.data.fasta.Fasta.codes` does; N where there is no piece.

        Raises
        ------
        ValueError
            As there; or two pieces disagree about a base.
        """
        wanted = list(zip(map(str, chroms), np.asarray(starts, np.int64).tolist(), strict=True))
        encoded = np.full((len(wanted), length), 4, dtype=np.uint8)
        for row, (chrom, start) in enumerate(wanted):
            self.length(chrom)  # refuses an unknown one
            for piece in self._covering(chrom, start, start + length):
                here = self._records.codes([piece.name], [start - piece.start], length)[0]
                both = (here < 4) & (encoded[row] < 4)
                if (here[both] != encoded[row][both]).any():
                    raise ValueError(
                        f"{self.path} has two pieces of {chrom} around {start:,} that differ, one "
                        f"is {piece.name!r}; wanted pieces of one assembly."
                    )
                encoded[row] = np.where(here < 4, here, encoded[row])
        return encoded

    def letters(self, chrom: str, start: int, end: int) -> str:
        """Read letters of the + strand; N where there is no piece, and for other IUPAC codes.

        Raises
        ------
        ValueError
            As for :meth:`codes`; and if the interval is not inside the chromosome.
        """
        self._require_inside(chrom, start, end)
        return decode(one_hot_codes(self.codes([chrom], [start], end - start))[0])

    def _covering(self, chrom: str, start: int, end: int) -> list:
        table = self.places
        here = (table["chrom"] == chrom) & (table["start"] < end) & (table["end"] > start)
        return list(table[here].itertuples(index=False))


def _named_places(records: Fasta) -> pd.DataFrame:
    rows = []
    for name in records.lengths:
        region = _REGION.fullmatch(name)
        if region is None:
            raise ValueError(
                f"{records.path} has the record {name!r}; wanted names such as chr22:1001-2000, or "
                "places=, a table with chrom, start, end and name."
            )
        start, end = (int(number.replace(",", "")) for number in region.groups()[1:])
        rows.append((region[1], start - 1, end, name))
    return read_bed(pd.DataFrame(rows, columns=["chrom", "start", "end", "name"]))


def _checked(table: pd.DataFrame, records: Fasta, lengths: Mapping[str, int]) -> pd.DataFrame:
    if "name" not in table:
        raise ValueError("The places have no column 'name'; wanted that of each piece's record.")
    table = table[["chrom", "start", "end", "name"]].reset_index(drop=True)
    for chrom, start, end, name in table.itertuples(index=False):
        if name not in records.lengths:
            raise ValueError(
                f"{records.path} has no record {name!r}: {known(name, records.lengths)}."
            )
        if end - start != records.length(name):
            raise ValueError(
                f"The piece {name!r} has {records.length(name):,} bp in {records.path}, and its "
                f"place {chrom}:{start:,}-{end:,} has {end - start:,}; wanted the same."
            )
        if chrom not in lengths:
            raise ValueError(f"The piece {name!r} lies on {chrom!r}: {known(chrom, lengths)}.")
        if end > lengths[chrom]:
            raise ValueError(
                f"The piece {name!r} ends at {end:,}, and {chrom} has {lengths[chrom]:,} bp; "
                "wanted both of one assembly."
            )
    return table

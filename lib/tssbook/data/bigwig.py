"""Many windows of several bigWig files at once: one file is one track.

A bigWig holds its values in compressed blocks with an index. Read window by window and file by
file, each block is unpacked as often as windows touch it. figwig reads all windows of all files
in one call, unpacks a block once where neighbours share it, and does so on all cores, because it
works outside Python's global lock (pyBigWig and pybigtools work inside it).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tssbook.data.tables import known, other_name
from tssbook.sequence import require_mirror_order, require_positive

__all__ = ["BigWigs"]

_ENDING = r"(?i)\.(bw|bigwig)$"
_LARGEST = 3e38  # of float32; what is infinite comes as the largest number there is


class BigWigs:
    """Several bigWig files that are read together.

    Parameters
    ----------
    paths
        The files, in the order of the tracks. A file and its other strand, called by the words
        ``plus`` and ``minus`` in names that are otherwise the same, must stand in mirror order:
        the first with the last, and so on. Then flipping the tracks' axis and the positions' axis
        gives what the other strand's reader sees. Or files by the names of their tracks, such as
        ``{"RNA+": "rna.plus.bw", "RNA-": "rna.minus.bw"}``, in any order: they are put into
        mirror order here, the + strand's first (see
        :func:`tssbook.sequence.require_mirror_order`).
    threads
        How many read side by side; -1 takes all cores.

    Attributes
    ----------
    paths : list of Path
    names : list of str
        Of the tracks; of a list of files what they are called, without ``.bw`` or ``.bigWig``.
    in_mirror_order : bool
        Whether tracks can be turned to the other strand: not a list of an odd number of files, in
        which nobody says that the middle one has no strand.
    lengths : list of dict of str to int
        Per file its chromosomes and their lengths.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        ``paths`` is no list or empty, a file is no bigWig or listed twice, the files of two
        strands are not in mirror order by their names, plus before minus, or a track that is
        named lacks its other strand.
    """

    def __init__(
        self, paths: Sequence[str | Path] | Mapping[str, str | Path], *, threads: int = -1
    ) -> None:
        import figwig

        named = _mirrored(paths) if isinstance(paths, Mapping) else None
        paths = list(named.values()) if named is not None else paths
        if isinstance(paths, str | Path) or not len(paths):
            raise ValueError(f"The bigWigs are {paths!r}; wanted a list of files, one a track.")
        self.paths = [Path(path) for path in paths]
        for path in self.paths:
            if not path.is_file():
                raise FileNotFoundError(f"There is no file {path}; wanted a bigWig file.")
        self.in_mirror_order = named is not None or len(paths) % 2 == 0
        self.names = list(named or (re.sub(_ENDING, "", path.name) for path in self.paths))
        _require_file_order([path.name for path in self.paths])
        if twice := [path for path in self.paths if self.paths.count(path) > 1]:
            raise ValueError(f"{twice[0]} is listed twice; wanted a file for each track.")
        try:
            self._readers = [figwig.BigWigReader(path) for path in self.paths]
        except ValueError as error:  # figwig names the file
            raise ValueError(
                f"{str(error).rstrip('.')}; wanted a whole bigWig file: get it again."
            ) from error
        self.lengths: list[dict[str, int]] = [reader.chrom_sizes for reader in self._readers]
        self._threads = threads
        self._absent: set[tuple[Path, str]] = set()  # what was warned of
        # Whether values below and above 0 were read so far.
        self._below, self._above = np.zeros((2, len(self.paths)), dtype=bool)

    @property
    def negative(self) -> list[bool]:
        """Per file whether values below 0 were read so far, as in many files of the - strand."""
        return self._below.tolist()

    @property
    def positive(self) -> list[bool]:
        """Per file whether values above 0 were read so far."""
        return self._above.tolist()

    @classmethod
    def of(cls, bigwigs: BigWigs | Sequence[str | Path] | Mapping[str, str | Path]) -> BigWigs:
        """Open paths; opened files are given back as they are."""
        return bigwigs if isinstance(bigwigs, cls) else cls(bigwigs)

    def __len__(self) -> int:
        """Return the number of tracks."""
        return len(self.paths)

    def require(self, lengths: Mapping[str, int], where: str | Path) -> None:
        """Refuse files of another assembly: another length, or no chromosome that is wanted.

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

        Warns
        -----
        UserWarning
            As :meth:`read`.
        """
        for path, found in zip(self.paths, self.lengths, strict=True):
            if not lengths.keys() & found.keys():
                chrom = next(iter(lengths))
                raise ValueError(f"{path} has no chromosome {chrom!r}: {known(chrom, found)}.")
            for chrom, length in lengths.items():
                if found.get(chrom, length) != length:
                    raise ValueError(
                        f"{path} has {found[chrom]:,} bp for {chrom}, and {where} has {length:,}; "
                        "wanted both of one assembly."
                    )
        self._note_absent(lengths)

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
            A file calls the chromosome by another name, is damaged or holds values of both signs,
            or the files of the two strands stand in the wrong order: those of the first half are
            below 0.

        Warns
        -----
        UserWarning
            A file does not have a chromosome at all, as where there were no reads: it is all 0.
        """
        import figwig

        require_positive(length=length)
        chroms, starts = np.asarray(chroms, dtype=str), np.asarray(starts, dtype=np.int64)
        names = np.unique(chroms).tolist()
        self._note_absent(names)
        held = {c: [t for t, found in enumerate(self.lengths) if c in found] for c in names}
        try:
            if all(len(tracks) == len(self) for tracks in held.values()):
                found = figwig.read_bigwig(
                    self._readers, chroms, starts.clip(0), length, n_jobs=self._threads
                )
            else:
                found = np.zeros((len(chroms), len(self), length), dtype=np.float32)
                for chrom, tracks in held.items():
                    if tracks:
                        rows = np.flatnonzero(chroms == chrom)
                        found[np.ix_(rows, tracks)] = figwig.read_bigwig(
                            [self._readers[track] for track in tracks],
                            chroms[rows], starts[rows].clip(0), length, n_jobs=self._threads,
                        )  # fmt: skip
        except ValueError as error:  # figwig names the file
            raise ValueError(f"{str(error).rstrip('.')}: get it again.") from error
        sizes = {
            c: min((self.lengths[t][c] for t in tracks), default=0) for c, tracks in held.items()
        }
        ends = np.array([sizes[chrom] for chrom in chroms.tolist()], dtype=np.int64)
        for row in np.flatnonzero((starts < 0) | (starts + length > ends)):
            before = min(max(-int(starts[row]), 0), length)
            inside = np.nan_to_num(found[row, :, : length - before])  # past the end is NaN
            found[row] = np.pad(inside, ((0, 0), (before, 0)))
        self._note_signs(found, chroms, starts)
        return np.abs(found, out=found) if any(self.negative) else found

    def total(self, track: int, places: Iterable[tuple[str, int, int]]) -> float:
        """Add up what one file holds in intervals ``(chrom, start, end)``, without a sign."""
        reader, total = self._readers[track], 0.0
        for chrom, start, end in places:
            end = min(end, reader.chrom_sizes.get(chrom, 0))
            if start < end:
                values = reader.read(chrom, [start], end - start)
                total += float(np.abs(values).sum(dtype=np.float64))
        return total

    def _note_signs(self, tracks: np.ndarray, chroms: np.ndarray, starts: np.ndarray) -> None:
        """Refuse values of both signs in one file, and strands in the wrong order."""
        lowest, highest = tracks.min((0, 2), initial=0), tracks.max((0, 2), initial=0)
        for track in np.flatnonzero(np.maximum(-lowest, highest) >= _LARGEST):
            raise ValueError(
                f"{self.paths[track]} holds infinite values; wanted numbers of reads, or of a track"
                " made of them: mend the file."
            )
        below, above = self._below | (lowest < 0), self._above | (highest > 0)
        for track in np.flatnonzero(below & above):
            values = tracks[:, track]
            other = values < 0 if self._above[track] else values > 0
            row, position = np.argwhere(other)[0].tolist()
            raise ValueError(
                f"{self.paths[track]} holds values above 0 and below it ("
                f"{values[row, position]:g} in the window at {chroms[row]}:{starts[row]}); wanted "
                "one sign, as reads of one strand have (a minus before all of them is welcome)."
            )
        half = len(self) // 2
        for track in np.flatnonzero(below[:half]):
            raise ValueError(
                f"{self.paths[track].name} is track {track} of {len(self)}, of the + strand by its "
                "place, and below 0; wanted numbers of reads (no logarithms), the + strand's "
                "tracks first, then the - strand's in the opposite order."
            )
        self._below, self._above = below, above

    def _note_absent(self, chroms: Iterable[str]) -> None:
        """Warn once of chromosomes that a file lacks; refuse those that it calls otherwise."""
        chroms = list(chroms)
        for path, found in zip(self.paths, self.lengths, strict=True):
            absent = [chrom for chrom in chroms if chrom not in found]
            for chrom in absent:
                if other_name(chrom) in found:
                    raise ValueError(f"{path} has no chromosome {chrom!r}: {known(chrom, found)}.")
            if new := [chrom for chrom in absent if (path, chrom) not in self._absent]:
                self._absent |= {(path, chrom) for chrom in new}
                warnings.warn(
                    f"{path} has no chromosome {', '.join(new)} ({known(new[0], found)}): it is 0 "
                    "everywhere there, as on a chromosome without reads.",
                    stacklevel=3,
                )


def _mirrored(files: Mapping[str, str | Path]) -> dict[str, str | Path]:
    """Put files, by the names of their tracks, into mirror order."""
    plus, minus = ([name for name in files if name.endswith(sign)] for sign in "+-")
    others = [name for name in files if name not in {*plus, *minus}]
    place = {name: -plus.index(f"{name[:-1]}+") for name in minus if f"{name[:-1]}+" in plus}
    order = [*plus, *others, *sorted(minus, key=lambda name: place.get(name, 1))]
    require_mirror_order(order)
    return {name: files[name] for name in order}


def _require_file_order(names: Sequence[str]) -> None:
    for place, name in enumerate(names):
        other = name.replace("plus", "minus")
        mirror = len(names) - 1 - place
        if other != name and other in names and (names[mirror] != other or mirror < place):
            mirror = max(place, mirror)
            raise ValueError(
                f"{name} is track {place} and {other} is track {names.index(other)} of "
                f"{len(names)}; wanted {other} as track {mirror}: the + strand's tracks, then the "
                "- strand's in the opposite order."
            )

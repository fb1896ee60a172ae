"""The rules of Chapter 3's data set, locus by locus, with other programs' readers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pyfaidx

CODES = {"A": 0, "C": 1, "G": 2, "T": 3}


def plain_extract(
    fasta: Path,
    bigwigs: Sequence[Path],
    loci: pd.DataFrame,
    length: int,
    blacklists: Sequence[tuple[Path, list[int] | None, list[int] | None, float]] = (),
) -> tuple[np.ndarray, np.ndarray]:
    genome = pyfaidx.Fasta(str(fasta))
    files = [pyBigWig.open(str(path)) for path in bigwigs]
    sequences, all_tracks = [], []
    for chrom, tss, strand in zip(loci["chrom"], loci["tss"], loci["strand"], strict=True):
        shift = 1 if strand == "-" else 0
        start = int(tss) - length // 2 + shift
        end = int(tss) + length // 2 + shift
        left, right = max(start, 0), min(end, len(genome[chrom]))
        letters = "N" * (left - start) + str(genome[chrom][left:right]) + "N" * (end - right)
        codes = np.array([CODES.get(letter, 4) for letter in letters.upper()], np.uint8)
        tracks = np.zeros((len(files), length), np.float32)
        for track, file in enumerate(files):
            values = file.values(chrom, left, right, numpy=True)
            tracks[track, left - start : right - start] = np.abs(values)
        tracks[np.isnan(tracks)] = 0
        for path, which, by, factor in blacklists:
            for line in Path(path).read_text().splitlines():
                name, first, last = line.split("\t")[:3]
                a, b = max(int(first) - start, 0), min(int(last) - start, length)
                if name == chrom and a < b:
                    value = 0 if by is None else tracks[by, a:b] * factor
                    tracks[slice(None) if which is None else which, a:b] = value
        if strand == "-":
            codes = np.where(codes < 4, 3 - codes, 4)[::-1]
            tracks = tracks[::-1, ::-1]
        sequences.append(codes)
        all_tracks.append(tracks)
    for file in [genome, *files]:
        file.close()
    return np.array(sequences, np.uint8), np.array(all_tracks, np.float32)

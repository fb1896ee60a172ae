"""Background with the GC content of the peaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tssbook.data import Fasta, Pieces, matching_background

WIDTH = 100


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    """Forty blocks of 100 bases; every fourth is all G and C, the others have none."""
    rng = np.random.default_rng(1)
    blocks = ["".join(rng.choice(list("GC" if i % 4 == 0 else "AT"), WIDTH)) for i in range(40)]
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\n" + "".join(blocks) + "\n")
    return path


def peaks(*blocks: int) -> pd.DataFrame:
    start = np.array(blocks) * WIDTH
    return pd.DataFrame({"chrom": "chr1", "start": start, "end": start + WIDTH})


def test_background_has_the_gc_content_of_the_peaks_and_is_elsewhere(genome: Path) -> None:
    found = matching_background(genome, peaks(0, 4, 5), seed=1, width=WIDTH)
    blocks = found["start"] // WIDTH
    assert (blocks % 4 == 0).tolist().count(True) == 2  # as two of the three peaks
    assert len(found) == 3
    assert not set(blocks) & {0, 1, 4, 5}
    assert (found["end"] - found["start"] == WIDTH).all()
    again = matching_background(genome, peaks(0, 4, 5), seed=1, width=WIDTH)
    assert again.equals(found)
    assert not matching_background(genome, peaks(0, 4, 5), seed=2, width=WIDTH).equals(found)


def test_too_small_a_genome_is_said(genome: Path) -> None:
    # Of the 40 blocks, 21 hold the peaks, and the next one touches the last.
    with pytest.warns(UserWarning, match="There are 18 places of matching GC content for 21 peaks"):
        matching_background(genome, peaks(*range(21)), seed=1, width=WIDTH)
    with pytest.raises(ValueError, match="has no place for a background of 100 bp"):
        matching_background(genome, peaks(*range(40)), seed=1, width=WIDTH)


def test_pieces_are_refused(genome: Path) -> None:
    places = pd.DataFrame({"chrom": ["chr2"], "start": [0], "end": [4000], "name": ["chr1"]})
    with pytest.raises(ValueError, match="wanted whole chromosomes"):
        matching_background(Pieces(genome, {"chr2": 5000}, places), peaks(1), seed=1)
    assert Fasta(genome).lengths == {"chr1": 4000}

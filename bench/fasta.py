"""Windows out of a FASTA file side by side: ours, pyfaidx, and pyfaidx with its letters encoded.

A genome of random letters is written to a temporary folder: four chromosomes of 5 Mbp in lines of
60. All are timed in turn in one process, so that a slow moment of the machine hits all of them.
Prints medians and minima in milliseconds, and ratios of the medians to ours.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from _timing import compare, describe_machine
from pyfaidx import Fasta as PyFasta

from tssbook.data.fasta import Fasta
from tssbook.data.genome import sequences
from tssbook.sequence import codes

N_WINDOWS = 2_000
CHROMS, LENGTH, LINE = ("chr1", "chr2", "chr3", "chr4"), 5_000_000, 60


def write_genome(path: Path, rng: np.random.Generator) -> None:
    """Write chromosomes of random letters, upper and lower case."""
    with path.open("wb") as file:
        for chrom in CHROMS:
            letters = rng.choice(np.frombuffer(b"ACGTNacgt", np.uint8), LENGTH)
            padded = np.full(-(-LENGTH // LINE) * (LINE + 1), ord("\n"), np.uint8)
            lines = padded.reshape(-1, LINE + 1)
            rest = LENGTH % LINE
            full = LENGTH // LINE
            lines[:full, :LINE] = letters[: full * LINE].reshape(full, LINE)
            if rest:
                lines[full, :rest] = letters[full * LINE :]
                padded = padded[: full * (LINE + 1) + rest + 1]
            file.write(f">{chrom}\n".encode() + padded.tobytes())


def random_windows(width: int, rng: np.random.Generator) -> pd.DataFrame:
    """Lay windows inside the chromosomes, on both strands."""
    start = rng.integers(0, LENGTH - width, N_WINDOWS)
    return pd.DataFrame(
        {
            "chrom": rng.choice(CHROMS, N_WINDOWS),
            "start": start,
            "end": start + width,
            "strand": rng.choice(["+", "-"], N_WINDOWS),
        }
    )


def with_pyfaidx(genome: PyFasta, windows: pd.DataFrame) -> list[str]:
    """Fetch windows one by one; pyfaidx reverse-complements on request."""
    rows = zip(*(windows[name] for name in ("chrom", "start", "end", "strand")), strict=True)
    return [
        genome.get_seq(chrom, start + 1, end, rc=strand == "-").seq
        for chrom, start, end, strand in rows
    ]


def with_pyfaidx_slices(genome: PyFasta, windows: pd.DataFrame) -> list[str]:
    """Fetch windows one by one, as pyfaidx's own examples do."""
    rows = zip(*(windows[name] for name in ("chrom", "start", "end", "strand")), strict=True)
    pieces = ((genome[chrom][start:end], strand) for chrom, start, end, strand in rows)
    return [str(-piece if strand == "-" else piece) for piece, strand in pieces]


def main() -> None:
    """Compare on the windows of Chapters 2 and 3."""
    describe_machine()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "genome.fa")
        write_genome(path, rng)
        ours, theirs = Fasta(path), PyFasta(str(path), sequence_always_upper=True)
        for width in (2_000, 4_650):
            windows = random_windows(width, rng)
            if not np.array_equal(sequences(ours, windows), codes(with_pyfaidx(theirs, windows))):
                raise SystemExit("the readers disagree")
            compare(
                f"{N_WINDOWS:,} windows of {width:,} bp, both strands",
                {
                    "ours, codes": lambda w=windows: sequences(ours, w),
                    "pyfaidx by slices, letters": lambda w=windows: with_pyfaidx_slices(theirs, w),
                    "pyfaidx, letters": lambda w=windows: with_pyfaidx(theirs, w),
                    "pyfaidx, letters to codes": lambda w=windows: codes(with_pyfaidx(theirs, w)),
                },
            )
        theirs.close()


if __name__ == "__main__":
    main()

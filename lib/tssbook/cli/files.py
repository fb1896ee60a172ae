"""What `tssbook data` does: the files of the book, and simulated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tssbook.data import Fasta, fetch, read_tss
from tssbook.data.download import catalogue, on_this_machine, size
from tssbook.files import write_whole
from tssbook.simulator import simulate, write_files

__all__ = ["listed", "simulated", "verified"]

_REACH = 40  # bp from a start site to its variants
_OTHER = {"A": "C", "C": "A", "G": "T", "T": "G"}


def listed() -> list[dict[str, Any]]:
    """Return name, size, licence and place of each file of the catalogue."""
    return [
        {
            "name": name,
            "size": size(entry),
            "licence": entry.get("licence"),
            "here": on_this_machine(name),
        }
        for name, entry in catalogue().items()
    ]


def verified() -> dict[str, Any]:
    """Compare what is here with its checksums.

    Raises
    ------
    OSError
        A file is not what it should be; the sentence names it.
    """
    here = [name for name in catalogue() if on_this_machine(name)]
    for name in here:
        fetch(name)
    return {"verified": len(here), "not_here": len(catalogue()) - len(here)}


def simulated(folder: Path, n: int, seed: int) -> list[str]:
    """Write ``n`` simulated loci, peaks around them, and variants near the first start sites."""
    files = write_files(simulate(n, seed=seed), folder)
    sites = read_tss(files / "tss.tsv")
    peaks = pd.DataFrame(
        {"chrom": sites["chrom"], "start": sites["tss"] - 100, "end": sites["tss"] + 100}
    )
    genome, lines = Fasta(files / "genome.fa"), ["##fileformat=VCFv4.3"]
    lines.append("\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]))
    for chrom, tss in sites[["chrom", "tss"]].head(20).itertuples(index=False):
        place = tss - _REACH
        ref = genome.letters(chrom, place, place + 1)
        if ref in _OTHER:
            name = f"v{len(lines) - 1}"
            lines.append("\t".join([chrom, str(place + 1), name, ref, _OTHER[ref], ".", ".", "."]))
    write_whole(
        {
            files / "peaks.bed": peaks.to_csv(sep="\t", header=False, index=False).encode(),
            files / "variants.vcf": ("\n".join(lines) + "\n").encode(),
        }
    )
    return sorted(path.name for path in files.iterdir() if path.is_file())

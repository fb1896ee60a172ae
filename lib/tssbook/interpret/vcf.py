"""The variants of a VCF, as they are read: a line at a time, and compared with the genome.

The file is read twice, line by line. The first time nothing is predicted: every line is checked
against the genome, so a file with a fault is refused at once and not after an hour. The second
time one batch of variants is in memory. No package for VCF is needed: of each line the first five
columns count, which are plain text. (tangermeme's ``read_vcf`` wants nine columns, where files
without genotypes have eight, holds the whole file in memory, and loses the lines' numbers.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tssbook.data.fasta import Fasta
from tssbook.data.tables import known, lines
from tssbook.sequence import ALPHABET

__all__ = ["Variant", "checked_variants"]


class Variant(NamedTuple):
    """One alternative allele of one line."""

    line: int
    chrom: str
    position: int  # 0-based
    name: str
    ref: str
    alt: str


def checked_variants(vcf: Path, fasta: Fasta, length: int, size: int) -> Iterator[list[Variant]]:
    """Yield some variants at a time, in the order of the file; refuse what the genome denies."""
    variants = _variants(vcf, fasta, length - length // 2)
    while some := list(islice(variants, size)):
        longest = max(len(v.ref) for v in some)
        found = fasta.codes([v.chrom for v in some], [v.position for v in some], longest)
        for variant, row in zip(some, found, strict=True):
            bases = "".join("ACGTN"[code] for code in row[: len(variant.ref)])
            if bases != variant.ref:
                raise ValueError(
                    f"Line {variant.line} of {vcf} has REF {_brief(variant.ref)} at "
                    f"{variant.chrom}:{variant.position + 1} where {fasta.path} has "
                    f"{_brief(bases)}; wanted both of one assembly, and positions counted from 1: "
                    "'bcftools norm -c x -f FASTA' leaves out what disagrees."
                )
        yield some


def _variants(vcf: Path, fasta: Fasta, longest: int) -> Iterator[Variant]:
    """Yield every alternative allele of a VCF; refuse what is none that can be read."""
    if vcf.exists() and not vcf.is_file():
        raise ValueError(f"{vcf} is no file; wanted one on disk, because it is read twice.")
    for number, line in lines(vcf):
        if line.startswith("#"):
            continue
        where, fields = f"Line {number} of {vcf}", line.split("\t", 5)
        if len(fields) < 5:
            raise ValueError(
                f"{where} has {len(fields)} columns; wanted at least 5, separated by tabs: "
                "CHROM, POS, ID, REF, ALT."
            )
        chrom, position, name, ref, alts = fields[:5]
        if chrom not in fasta.lengths:
            names = known(chrom, fasta.lengths)
            raise ValueError(f"{where} is on {chrom!r}, which {fasta.path} does not have: {names}.")
        if not re.fullmatch(r"0*[1-9][0-9]{0,14}", position, re.ASCII):
            raise ValueError(
                f"{where} has the POS {position[:40]!r}; wanted a whole number above 0."
            )
        if int(position) > fasta.length(chrom):
            raise ValueError(
                f"{where} is at {chrom}:{position}, and {chrom} has {fasta.length(chrom):,} bp in "
                f"{fasta.path}; wanted both of one assembly."
            )
        for alt in alts.split(","):
            variant = Variant(number, chrom, int(position) - 1, name, ref.upper(), alt.upper())
            if not (set(variant.ref) | set(variant.alt)) <= set(ALPHABET) or "" in variant[4:]:
                raise ValueError(
                    f"{where} has REF {_brief(ref)} and ALT {_brief(alt)}; wanted letters A, C, G "
                    "and T, and no symbolic allele, breakend, IUPAC code or '*': 'bcftools norm "
                    "-m -', and then bcftools view -i 'REF~\"^[ACGTacgt]*$\" && "
                    'ALT~"^[ACGTacgt]*$"\', keep those.'
                )
            if variant.ref == variant.alt:
                raise ValueError(
                    f"{where} has REF {_brief(ref)} and ALT {_brief(alt)}; wanted two alleles."
                )
            if max(len(variant.ref), len(variant.alt)) > longest:
                raise ValueError(
                    f"{where} has REF {_brief(ref)} and ALT {_brief(alt)} where the window has "
                    f"{longest} bases from the variant on; wanted alleles that fit into it: leave "
                    "the line out, or choose a larger length."
                )
            yield variant


def _brief(allele: str) -> str:
    return repr(allele if len(allele) <= 40 else f"{allele[:40]}...")

"""What a model has learned, base by base: ask it, look inside it, let it design.

`ism` changes every base, `attribute` shares a prediction out among the bases, `score_variants`
reads a VCF, `design` edits; `filters` reads motifs off first layers, `scan_motifs` and
`scan_genome` find where motifs match. Which of a model's numbers they are about, a func says
(`funcs`).
"""

from tssbook.interpret import filters, funcs
from tssbook.interpret.attributions import Attributions, attribute
from tssbook.interpret.designs import Design, design, flip_strand
from tssbook.interpret.funcs import total
from tssbook.interpret.heads import CountHead, ProfileHead, Totals
from tssbook.interpret.mutagenesis import ism
from tssbook.interpret.scanning import scan_genome, scan_motifs
from tssbook.interpret.variants import score_variants

__all__ = [
    "Attributions",
    "CountHead",
    "Design",
    "ProfileHead",
    "Totals",
    "attribute",
    "design",
    "filters",
    "flip_strand",
    "funcs",
    "ism",
    "scan_genome",
    "scan_motifs",
    "score_variants",
    "total",
]

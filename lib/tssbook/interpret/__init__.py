"""What a model has learned, base by base: ask it, look inside it, let it design.

`ism` changes every base, `attribute` shares a prediction out among the bases, `score_variants`
reads a VCF, `flip_strand` designs; `filters` reads motifs off first layers, `scan_motifs` and
`scan_genome` find where motifs match.
"""

from tssbook.interpret import filters
from tssbook.interpret.attributions import Attributions, attribute
from tssbook.interpret.design import Design, flip_strand
from tssbook.interpret.heads import CountHead, ProfileHead
from tssbook.interpret.mutagenesis import Totals, ism
from tssbook.interpret.scanning import scan_genome, scan_motifs
from tssbook.interpret.variants import score_variants

__all__ = [
    "Attributions",
    "CountHead",
    "Design",
    "ProfileHead",
    "Totals",
    "attribute",
    "filters",
    "flip_strand",
    "ism",
    "scan_genome",
    "scan_motifs",
    "score_variants",
]

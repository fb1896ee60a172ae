"""Files in, data sets out: thin adapters over the field's libraries, and a builder per chapter.

`load_promoters` (Chapter 2), `build_tracks` (Chapter 3) and `read_peaks` (Chapter 4) read a genome
with its genes, tracks or peaks; `fetch` brings the files that the chapters use.
"""

from tssbook.data import genome
from tssbook.data.annotation import read_gtf
from tssbook.data.background import matching_background
from tssbook.data.bigwig import BigWigs
from tssbook.data.blacklists import Blacklist, cage_blacklists
from tssbook.data.budding_yeast import Yeast, yeast
from tssbook.data.download import ChecksumError, MissingFile, cache_folder, fetch
from tssbook.data.fasta import Fasta
from tssbook.data.genome import extract
from tssbook.data.mappability import unique_words, write_mappability
from tssbook.data.peaks import JITTER, LENGTH, OUTPUT, Windows, read_peaks
from tssbook.data.pieces import Pieces
from tssbook.data.promoters import (
    Promoters,
    ecoli_promoters,
    join_expression,
    load_promoters,
    read_expression,
)
from tssbook.data.splits import Split, split_at_random, split_by_block, split_by_chromosome
from tssbook.data.store import Store, open_store
from tssbook.data.tables import NoIntervals, read_bed, read_table, read_tss
from tssbook.data.tracks import TRACKS, build_tracks
from tssbook.data.ucsc import fetch_sequence
from tssbook.data.writing import write_bigwigs, write_table

__all__ = [
    "JITTER",
    "LENGTH",
    "OUTPUT",
    "TRACKS",
    "BigWigs",
    "Blacklist",
    "ChecksumError",
    "Fasta",
    "MissingFile",
    "NoIntervals",
    "Pieces",
    "Promoters",
    "Split",
    "Store",
    "Windows",
    "Yeast",
    "build_tracks",
    "cache_folder",
    "cage_blacklists",
    "ecoli_promoters",
    "extract",
    "fetch",
    "fetch_sequence",
    "genome",
    "join_expression",
    "load_promoters",
    "matching_background",
    "open_store",
    "read_bed",
    "read_expression",
    "read_gtf",
    "read_peaks",
    "read_table",
    "read_tss",
    "split_at_random",
    "split_by_block",
    "split_by_chromosome",
    "unique_words",
    "write_bigwigs",
    "write_mappability",
    "write_table",
    "yeast",
]

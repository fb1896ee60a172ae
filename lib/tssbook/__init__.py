"""From Sequence to Start Site: the library under the book.

One tensor contract holds everywhere:

* sequences ``X`` are one-hot, ``(N, 4, L)``, channel order A, C, G, T, ``float32``;
  N and every other IUPAC ambiguity code are an all-zero column;
* tracks are ``(N, T, L)``: one assay on one strand per row of ``T``;
* intervals are 0-based and half-open, ``[start, end)``, on the + strand unless flipped.

With this channel order ``x.flip(-1).flip(-2)`` is the reverse complement.

``import tssbook`` loads nothing heavy; each module is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

# In the order of reading: each module imports only from those before it.
_MODULES = (
    "sequence",
    "download",
    "checkpoints",
    "metrics",
    "motifs",
    "store",
    "fasta",
    "tables",
    "ucsc",
    "bigwig",
    "blacklists",
    "genome",
    "datasets",
    "grammar",
    "activity",
    "planting",
    "simulation",
    "simulated_files",
    "simulate",
    "toy",
    "promoter",
    "longconv",
    "puffin",
    "batches",
    "procap_data",
    "procap_simulation",
    "procapnet_files",
    "procapnet",
    "procapnet_fast",
    "variants",
    "training",
    "archives",
    "track_data",
    "incremental",
    "puffin_incremental",
    "mutagenesis",
    "attributions",
    "design",
    "pretrained",
    "words",
    "filters",
    "plots",
    "display",
    "checks",
    "promoter_checks",
    "puffin_checks",
    "procapnet_checks",
)

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> ModuleType:
    if name in _MODULES:
        return import_module(f"tssbook.{name}")
    raise AttributeError(f"module 'tssbook' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""From Sequence to Start Site: the library under the book.

One tensor contract holds everywhere:

* sequences ``X`` are one-hot, ``(N, 4, L)``, channel order A, C, G, T, ``float32``;
  N and every other IUPAC ambiguity code are an all-zero column;
* tracks are ``(N, T, L)``: one assay on one strand per row of ``T``;
* intervals are 0-based and half-open, ``[start, end)``, on the + strand unless flipped.

With this channel order ``x.flip(-1).flip(-2)`` is the reverse complement.

The rooms, in the order of reading:

* `sequence`, `metrics`, `motifs`: letters and arrays, and how good a prediction is;
* `files`: how the library writes a file whole or not at all;
* `models`: the networks of the chapters with their losses, and their checkpoints;
* `data`: files in (FASTA, BED, bigWig, downloads), the chapters' data sets out;
* `training`: batches, the training loop, predictions of many sequences;
* `interpret`: what a model has learned: mutagenesis, attributions, filters, variants, design;
* `simulator`: loci whose truth is known;
* `exercises`, `pages`: checks of the exercises, figures of the chapters;
* `scale`: more loci than one machine has time for (the extra ``scale``);
* `cli`: the command ``tssbook`` (the extra ``cli``).

``import tssbook`` loads nothing heavy; a room is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__version__ = "0.2.0"

_ROOMS = (
    "cli",
    "data",
    "exercises",
    "interpret",
    "metrics",
    "models",
    "motifs",
    "pages",
    "scale",
    "sequence",
    "simulator",
    "training",
)

__all__ = ["__version__", *_ROOMS]


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        return import_module(f"tssbook.{name}")
    raise AttributeError(f"module 'tssbook' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

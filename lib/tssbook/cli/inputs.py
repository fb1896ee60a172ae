"""What the commands are given: loci in any format, models of any origin."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import pandas as pd
from torch import nn

from tssbook import models
from tssbook.cli.recipe import Recipe
from tssbook.data import read_bed, read_gtf, read_tss
from tssbook.data.download import on_this_machine

__all__ = ["load_model", "read_loci", "require_files", "track_files"]

_ANNOTATION = (".gtf", ".gff", ".gff3")


def read_loci(path: str | Path) -> pd.DataFrame:
    """Read genes, peaks or start sites by the name of their file.

    Parameters
    ----------
    path
        GTF or GFF3, BED or narrowPeak, or a table with the header ``chr, TSS, strand``; also
        compressed.
    """
    name = str(path).lower().removesuffix(".gz").removesuffix(".bgz")
    if name.endswith(_ANNOTATION):
        return read_gtf(path)
    return read_bed(path) if name.endswith((".bed", ".narrowpeak")) else read_tss(path)


def track_files(
    plus: Sequence[str], minus: Sequence[str], unstranded: str | None = None
) -> dict[str, str]:
    """Name the files of both strands, given in the same order.

    Parameters
    ----------
    plus, minus
        Files, or ``NAME=FILE``. A pair without a name is called after what its files share before
        a point, line or dash.
    unstranded
        A file of no strand, or ``NAME=FILE``.

    Returns
    -------
    dict of str to str
        ``{"PRO-cap+": "PRO-cap_plus.bw", "PRO-cap-": "PRO-cap_minus.bw"}``.

    Raises
    ------
    ValueError
        There are more of one strand, or of several pairs one has no name.
    """
    if len(plus) != len(minus):
        raise ValueError(
            f"There are {len(plus)} files of the + strand and {len(minus)} of the - strand; wanted "
            "as many, in the same order."
        )
    found = {}
    for pair in zip(plus, minus, strict=True):
        names, paths = zip(*map(_named, pair), strict=True)
        name = names[0] if any(names) else _shared(paths)
        if len(set(names)) > 1 or (name is None and len(plus) > 1) or f"{name}+" in found:
            raise ValueError(
                f"{pair[0]} and {pair[1]} are taken for the two strands of one track, and their "
                "names do not say so; wanted the strands in the same order, or NAME=FILE with the "
                "same name for both."
            )
        found |= dict(zip((f"{name or 'reads'}+", f"{name or 'reads'}-"), paths, strict=True))
    if unstranded is not None:
        name, path = _named(unstranded)
        found[name or Path(path).name.partition(".")[0]] = path
    return found


def _named(text: str) -> tuple[str | None, str]:
    """Part ``NAME=FILE``; a file's own name may hold a ``=``."""
    name, equals, path = text.partition("=")
    return (name, path) if equals and not Path(text).exists() else (None, text)


def _shared(paths: Sequence[str]) -> str | None:
    letters = zip(*(Path(path).name for path in paths), strict=False)
    shared = "".join(a for a, _ in takewhile(lambda two: two[0] == two[1], letters))
    name = shared.rstrip("._- ")
    return name if name and name != shared else None  # ENCFF1 and ENCFF2 share nothing


def load_model(name: str) -> nn.Module:
    """Load a checkpoint of tssbook, or published weights, in evaluation mode on the CPU.

    Parameters
    ----------
    name
        A shipped name, a path, a Hub repository; or ``puffin.pth``, or an archive of ProCapNet
        such as ``ENCFF976FHE.tar.gz``, of which fold 0 is taken: a path, or what
        ``tssbook data fetch`` brought.

    Raises
    ------
    FileNotFoundError, ValueError
        As :meth:`tssbook.models.checkpoints.Pretrained.from_pretrained`.
    """
    if name.endswith((".pth", ".tar.gz", ".tgz")):
        path = Path(name) if Path(name).exists() else on_this_machine(name) or Path(name)
        if name.endswith(".pth"):
            return models.Puffin.from_published(path)
        return models.ProCapNet.from_published(path, fold=0)
    return models.load(name)


def require_files(recipe: Recipe, *names: str) -> None:
    """Refuse a recipe that lacks a file.

    Raises
    ------
    ValueError
        The sentence names the key and the flag.
    """
    for name in names:
        if not getattr(recipe, name):
            raise ValueError(
                f"{recipe.model} needs {name}, which the recipe does not have; wanted {name}: in "
                f"the file, or --{name}."
            )

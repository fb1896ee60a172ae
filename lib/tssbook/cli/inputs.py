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


def track_files(plus: Sequence[str], minus: Sequence[str]) -> dict[str, str]:
    """Name the files of both strands, given in the same order, after what their names share.

    Returns
    -------
    dict of str to str
        ``{"PRO-cap+": "PRO-cap_plus.bw", "PRO-cap-": "PRO-cap_minus.bw"}``; ``track 0+`` and so
        on where names share nothing before a point, line or dash.

    Raises
    ------
    ValueError
        There are more of one strand.
    """
    if len(plus) != len(minus):
        raise ValueError(
            f"There are {len(plus)} files of the + strand and {len(minus)} of the - strand; wanted "
            "as many, in the same order."
        )
    named = {}
    for number, pair in enumerate(zip(plus, minus, strict=True)):
        letters = zip(*(Path(path).name for path in pair), strict=False)
        shared = "".join(a for a, _ in takewhile(lambda two: two[0] == two[1], letters))
        name = shared.rstrip("._- ")
        if not name or name == shared or f"{name}+" in named:  # such as ENCFF123ABC.bw
            name = f"track {number}"
        named |= dict(zip((f"{name}+", f"{name}-"), pair, strict=True))
    return named


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

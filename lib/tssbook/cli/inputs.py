"""What the commands are given: loci in any format, models of any origin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from torch import nn

from tssbook import models
from tssbook.cli.recipe import Recipe
from tssbook.data import read_bed, read_gtf, read_tss

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


def track_files(plus: Sequence[str], minus: Sequence[str]) -> list[str]:
    """Put files of both strands, given in the same order, into mirror order.

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
    return [*plus, *reversed(minus)]


def load_model(name: str) -> nn.Module:
    """Load a checkpoint of tssbook, or published weights, in evaluation mode on the CPU.

    Parameters
    ----------
    name
        A shipped name, a path, a Hub repository; or ``puffin.pth``, or an archive of ProCapNet
        such as ``ENCFF976FHE.tar.gz``, of which fold 0 is taken.

    Raises
    ------
    FileNotFoundError, ValueError
        As :meth:`tssbook.models.checkpoints.Pretrained.from_pretrained`.
    """
    if name.endswith(".pth"):
        return models.Puffin.from_published(name)
    if name.endswith((".tar.gz", ".tgz")):
        return models.ProCapNet.from_published(name, fold=0)
    kind = models.describe(name)["model"].rpartition(".")[2]
    if not hasattr(models, kind):
        raise ValueError(f"{name} is a {kind}, which tssbook does not have; is it a newer one?")
    return getattr(models, kind).from_pretrained(name)


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

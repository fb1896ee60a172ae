"""What workers do with a checkpoint, and what the client does before and after.

Each worker loads the checkpoint once, by its name or path, and reads its sequences itself, from a
genome or from a store.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from dask.distributed import Client
from torch import Tensor, nn

from tssbook import interpret, training
from tssbook.data.fasta import Fasta
from tssbook.data.genome import one_length, padding, require_bases, sequences
from tssbook.data.store import Store
from tssbook.data.tracks import digest
from tssbook.interpret.funcs import named, usual
from tssbook.models import Puffin, SimpleNet, class_of, describe, load, shipped
from tssbook.scale.regions import ROWS, is_store, open_store
from tssbook.scale.work import Work, compute
from tssbook.sequence import one_hot_codes
from tssbook.training.batches import qualified_name

__all__ = ["Heads", "apply", "attributed", "changed", "identity", "predicted"]

_VERSION = 1  # goes up when the same question gives other numbers
_LARGEST = 1 << 30  # bytes of a region, in the memory of a worker

# What a model says of some sequences: one tensor, or several.
Heads: TypeAlias = Tensor | tuple[Tensor, ...]


# --- what a worker does -------------------------------------------------------------------------


def _ask(
    rows: pd.DataFrame,
    task: Callable[[nn.Module, Tensor], dict[str, Tensor]],
    checkpoint: tuple[str | Path, str],
    source: tuple[Path, str],
) -> dict[str, np.ndarray]:
    """Apply a model to some loci."""
    x = one_hot_codes(_codes(source, rows))
    found = task(_model(*checkpoint), x)
    return {name: value.float().contiguous().numpy() for name, value in found.items()}


def predicted(model: nn.Module, x: Tensor, func: Callable | str | None) -> dict[str, Tensor]:
    """Predict, or call ``func(model, x)``, which may be named."""
    func = func if callable(func) or func is None else named(func)
    return _named("predictions", training.predict(model, x, func=func))


def changed(model: nn.Module, x: Tensor, func: Callable | str | None) -> dict[str, Tensor]:
    """Change every base."""
    if func is None and isinstance(model, SimpleNet | Puffin):
        func = usual(model)
    return _named("effects", interpret.ism(model, x, func))


def attributed(model: nn.Module, x: Tensor, **options: Any) -> dict[str, Tensor]:
    """Explain; contributions, hypothetical ones and deltas."""
    return interpret.attribute(model, x, **options)._asdict()


def _named(name: str, heads: Heads) -> dict[str, Tensor]:
    if isinstance(heads, Tensor):
        return {name: heads}
    return {f"{name}_{number}": head for number, head in enumerate(heads)}


@lru_cache(maxsize=1)
def _model(checkpoint: str | Path, checksum: str) -> nn.Module:
    """Load a checkpoint once in each worker; one with another checksum is loaded anew."""
    return load(checkpoint, sha256=checksum)


def _codes(source: tuple[Path, str], rows: pd.DataFrame) -> np.ndarray:
    opened = _opened(*source)
    if isinstance(opened, Store):
        return opened.arrays["sequences"][int(rows.index[0]) : int(rows.index[-1]) + 1]
    return sequences(opened, rows)


@lru_cache(maxsize=1)
def _opened(source: Path, made_from: str) -> Fasta | Store:
    """Open a source once in each worker; one that was made from something else anew."""
    return open_store(source) if is_store(source) else Fasta(source)


# --- what the client does -----------------------------------------------------------------------


def apply(
    kind: str,
    store: str | Path,
    model: str | Path,
    source: str | Path,
    loci: pd.DataFrame | None,
    task: Callable[[nn.Module, Tensor], dict[str, Tensor]],
    options: Mapping[str, Any],
    client: Client | str | None,
    progress: bool,
) -> Store:
    """Ask the model of the first locus for the shapes, and the workers for all."""
    about, source = _described(model), Path(source).absolute()
    is_name = isinstance(model, str) and model in shipped()
    checkpoint = model if is_name else Path(model).absolute(), about["sha256"]
    loci, origin = _loci(source, loci)
    settings = {"task": task, "checkpoint": checkpoint, "source": (source, str(origin))}
    if kind == "attribute":
        _require_bases(settings["source"], loci)
    first = _ask(loci.iloc[:1], **settings)
    if (size := ROWS * sum(part.nbytes for part in first.values())) > _LARGEST:
        raise ValueError(
            f"{ROWS} loci would take {size / 1e9:.1f} GB, and all {len(loci):,} "
            f"{size / ROWS * len(loci) / 1e12:.2g} TB; wanted {_LARGEST / 1e9:.1f} GB at most for "
            f"{ROWS}: give a func that keeps less of each."
        )
    work = Work(
        function=_ask,
        settings=settings,
        loci=loci,
        arrays={name: (part.shape[1:], str(part.dtype)) for name, part in first.items()},
        tables={"loci": loci},
        made_from={
            kind: _VERSION,
            "model": [about["model"], about["sha256"]],
            "source": origin,
            "loci": digest(loci),
            **options,
        },
    )
    return compute(store, work, client, progress=progress)


def _described(model: str | Path) -> dict[str, Any]:
    """Return what a checkpoint says; refuse what no worker could load."""
    if not isinstance(model, str | Path):
        raise TypeError(
            f"model is a {type(model).__name__}; wanted the name or path of a checkpoint, which "
            "each worker loads: tssbook.models.save(model, path) writes one."
        )
    class_of(model)
    return describe(model)


def _loci(source: Path, loci: pd.DataFrame | None) -> tuple[pd.DataFrame, Any]:
    """Return the table of loci, and what their sequences come from."""
    if is_store(source):
        if loci is not None:
            raise ValueError(
                f"{source} is a store, and loci are given as well; wanted the one or the other: a "
                "store has its own."
            )
        made = open_store(source)
        if "sequences" not in made.arrays:
            raise ValueError(
                f"{source} holds {', '.join(made.arrays)}; wanted a store with sequences, as "
                "build_tracks makes it, or a genome."
            )
        return made.tables["loci"], made.made_from
    fasta = Fasta(source)
    if loci is None:
        raise ValueError(f"{source} is a genome, and no loci are given; wanted their windows.")
    length = one_length(loci)
    if (outside := padding(fasta, loci) >= length).any():
        row = loci.iloc[int(outside.argmax())]
        raise ValueError(
            f"{outside.sum()} of {len(loci)} windows lie wholly outside their chromosomes, the "
            f"first is {row['chrom']}:{row['start']:,}-{row['end']:,}; wanted windows of "
            f"{source.name}."
        )
    return loci.reset_index(drop=True), fasta.about


def _require_bases(source: tuple[Path, str], loci: pd.DataFrame) -> None:
    """Refuse sequences with N before the work begins."""
    for first in range(0, len(loci), ROWS):
        rows = loci.iloc[first : first + ROWS]
        require_bases(_codes(source, rows), rows)


def identity(func: Callable | str | None) -> list[str] | str | None:
    """Say which function it is, so that another one is not gone on with.

    Its name, its text, and the values that it closes over or was made with.

    Raises
    ------
    ValueError
        It closes over something that is no number and no text.
    """
    if func is None or isinstance(func, str):
        return func
    inner = getattr(func, "func", func)  # of a partial
    try:
        text = inspect.getsource(inner)
    except (OSError, TypeError):  # it is none of Python's own
        text = ""
    held = inspect.getclosurevars(inner).nonlocals if inspect.isfunction(inner) else {}
    for name, value in held.items():
        if not isinstance(value, str | int | float | bool | None):
            raise ValueError(
                f"The func {qualified_name(func)} holds {name}, a {type(value).__name__}, by which "
                "it cannot be known again; wanted a function of a module, or functools.partial of "
                "one with numbers and texts."
            )
    return [qualified_name(func), hashlib.sha256(f"{text}{held}".encode()).hexdigest()[:16]]

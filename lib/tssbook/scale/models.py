"""A checkpoint over any number of loci: predictions, mutagenesis, attributions.

Each worker loads the checkpoint once, by its name or path, and reads its sequences itself, from a
genome or from a store. Results are those of one process: a region is 64 loci, two whole batches.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from dask.distributed import Client
from torch import Tensor, nn

from tssbook import interpret, models, training
from tssbook.data.fasta import Fasta
from tssbook.data.genome import one_length, padding, sequences
from tssbook.data.store import Store
from tssbook.data.tracks import digest
from tssbook.files import sha256
from tssbook.models import Puffin, SimpleNet, describe, shipped
from tssbook.scale.regions import ROWS, is_store, open_store
from tssbook.scale.work import Work, compute
from tssbook.sequence import one_hot_codes, require_positive
from tssbook.training.batches import qualified_name

__all__ = ["attribute", "ism", "predict", "tile"]

_VERSION = 1  # goes up when the same question gives other numbers
_LARGEST = 1 << 30  # bytes of a region, in the memory of a worker

# What a model says of some sequences: one tensor, or several.
Heads = Tensor | tuple[Tensor, ...]


def predict(
    store: str | Path,
    model: str | Path,
    source: str | Path,
    loci: pd.DataFrame | None = None,
    *,
    func: Callable[[Heads], Heads] | None = None,
    client: Client | str | None = None,
    progress: bool = False,
) -> Store:
    """Run a checkpoint over many loci: :func:`tssbook.training.predict` with many processes.

    Parameters
    ----------
    store
        Where to put the predictions, a new folder such as ``predicted.zarr``. A store of the same
        model, loci and ``func`` is used as it is, or gone on with. All workers must see it, the
        checkpoint and the source under the same names.
    model
        A checkpoint of a model of this library: a shipped name or a path.
    source
        A genome (FASTA), or a Zarr store with ``sequences``, such as `build_tracks` makes.
    loci
        Windows on the genome, all of one length: ``chrom``, ``start``, ``end``, ``strand``, such as
        those of :func:`tssbook.data.genome.windows` or `tile`; other columns are kept. None takes
        all loci of a store.
    func
        Applied to what the model returns for some loci, ``(n, ...)``, before it is stored, such as
        `tssbook.models.puffin.to_counts`. Its name and text belong to what the store is made from.
    client
        Who does the work: None takes all cores of this machine; or the address of a scheduler
        (``"tcp://node1:8786"``), or a ``dask.distributed.Client``.
    progress
        Show a progress bar.

    Returns
    -------
    Store
        ``arrays["predictions"]`` ``(N, ...)``; where the model, or ``func``, returns several,
        ``arrays["predictions_0"]`` and so on. ``tables["loci"]``. For bigWigs:
        ``write_bigwigs(paths, made.arrays["predictions"], made.tables["loci"], lengths)``.

    Raises
    ------
    BlockingIOError, ConnectionError, FileExistsError, OSError, RuntimeError
        As :func:`tssbook.scale.work.compute`.
    FileNotFoundError, CheckpointError
        There is no such file, or the checkpoint is not sound.
    TypeError, ValueError
        The model is no name, loci and source do not go together, or as
        :func:`tssbook.training.predict`.
    """
    task = partial(_predicted, func=func)
    return _apply(
        "predict", store, model, source, loci, task, {"func": _said(func)}, client, progress
    )


def ism(
    store: str | Path,
    model: str | Path,
    source: str | Path,
    loci: pd.DataFrame | None = None,
    *,
    func: Callable[[Heads], Heads] | None = None,
    client: Client | str | None = None,
    progress: bool = False,
) -> Store:
    """Change every base of many loci: :func:`tssbook.interpret.ism` with many processes.

    Of a `SimpleNet` or a `Puffin` the `Totals` are asked, as the profiles of one locus would take
    gigabytes.

    Parameters
    ----------
    store, model, source, loci, client, progress
        As for `predict`.
    func
        Applied to the effects of one locus, ``(1, 4, L, ...)`` for each output of the model, before
        they are stored; for outputs that are large. It keeps the first three axes:
        ``lambda effects: effects[1][..., 0]`` keeps ProCapNet's counts.

    Returns
    -------
    Store
        ``arrays["effects"]`` ``(N, 4, L, ...)``: prediction for the changed sequence minus
        prediction for the sequence as it is; or ``arrays["effects_0"]`` and so on.

    Raises
    ------
    As `predict`; and ValueError where 64 loci would take more than a gigabyte.
    """
    task = partial(_changed, func=func)
    return _apply("ism", store, model, source, loci, task, {"func": _said(func)}, client, progress)


def attribute(
    store: str | Path,
    model: str | Path,
    source: str | Path,
    loci: pd.DataFrame | None = None,
    *,
    head: str,
    seed: int,
    n_shuffles: int = 20,
    client: Client | str | None = None,
    progress: bool = False,
) -> Store:
    """Explain many predictions: :func:`tssbook.interpret.attribute` with many processes.

    Parameters
    ----------
    store, model, source, loci, client, progress
        As for `predict`; the sequences must have no N.
    head, seed, n_shuffles
        As for :func:`tssbook.interpret.attribute`.

    Returns
    -------
    Store
        ``arrays["contributions"]`` and ``arrays["hypothetical"]`` ``(N, 4, L)``, and
        ``arrays["deltas"]`` ``(N, n_shuffles)``.

    Raises
    ------
    As `predict` and :func:`tssbook.interpret.attribute`; ValueError also where a sequence has N.
    """
    options = {"head": head, "seed": seed, "n_shuffles": n_shuffles}
    task = partial(_attributed, **options)
    return _apply("attribute", store, model, source, loci, task, options, client, progress)


def tile(lengths: Mapping[str, int], length: int, output: int) -> pd.DataFrame:
    """Lay windows over whole chromosomes, so that predictions of their middles meet.

    Parameters
    ----------
    lengths
        Chromosomes and their lengths, such as ``Fasta("hg38.fa").lengths``.
    length
        What a model reads, in bp: 2,114 for ProCapNet.
    output
        What it predicts in the middle of that: 1,000 for ProCapNet.

    Returns
    -------
    pandas.DataFrame
        ``chrom``, ``start``, ``end``, ``strand`` (+). The first window of a chromosome begins
        before it, and the last one ends after it; what lies outside is N.

    Raises
    ------
    ValueError
        A number is no whole number above 0, or not as much is left out at either end.
    """
    require_positive(
        length=length, output=output, **{f"The length of {c}": n for c, n in lengths.items()}
    )
    if output > length or (length - output) % 2:
        raise ValueError(
            f"length is {length} and output {output}; wanted as much left out at either end."
        )
    starts = {c: np.arange(0, n, output) - (length - output) // 2 for c, n in lengths.items()}
    chroms = np.repeat(list(starts), [len(found) for found in starts.values()])
    start = np.concatenate([*starts.values(), np.zeros(0, int)])
    return pd.DataFrame({"chrom": chroms, "start": start, "end": start + length, "strand": "+"})


# --- what a worker does -------------------------------------------------------------------------


def _ask(
    rows: pd.DataFrame,
    task: Callable[[nn.Module, Tensor], dict[str, Tensor]],
    checkpoint: tuple[str, str | Path, str],
    source: tuple[Path, str],
) -> dict[str, np.ndarray]:
    """Apply a model to some loci."""
    x = one_hot_codes(_codes(source, rows))
    found = task(_model(*checkpoint), x)
    return {name: value.float().contiguous().numpy() for name, value in found.items()}


def _predicted(model: nn.Module, x: Tensor, func: Callable | None) -> dict[str, Tensor]:
    output = training.predict(model, x)
    return _named("predictions", output if func is None else func(output))


def _changed(model: nn.Module, x: Tensor, func: Callable | None) -> dict[str, Tensor]:
    model = interpret.Totals(model) if isinstance(model, SimpleNet | Puffin) else model
    if func is None:
        return _named("effects", interpret.ism(model, x))
    each = [_named("effects", func(interpret.ism(model, one))) for one in x.split(1)]
    found = {name: torch.cat([one[name] for one in each]) for name in each[0]}
    for effects in found.values():
        if effects.shape[:3] != x.shape:
            raise ValueError(
                f"func makes {tuple(effects[:1].shape)} of one locus; wanted "
                f"(1, 4, {x.shape[-1]}, ...)."
            )
    return found


def _attributed(model: nn.Module, x: Tensor, **options: Any) -> dict[str, Tensor]:
    return interpret.attribute(model, x, **options)._asdict()


def _named(name: str, heads: Heads) -> dict[str, Tensor]:
    if isinstance(heads, Tensor):
        return {name: heads}
    return {f"{name}_{number}": head for number, head in enumerate(heads)}


@lru_cache(maxsize=1)
def _model(kind: str, checkpoint: str | Path, checksum: str) -> nn.Module:
    """Load a checkpoint once in each worker; one with another checksum is loaded anew."""
    return getattr(models, kind).from_pretrained(checkpoint, sha256=checksum)


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


def _apply(
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
    checkpoint, source = _checkpoint(model), Path(source).absolute()
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
            "model": [checkpoint[0], checkpoint[2]],
            "source": origin,
            "loci": digest(loci),
            **options,
        },
    )
    return compute(store, work, client, progress=progress)


def _checkpoint(model: str | Path) -> tuple[str, str | Path, str]:
    """Return a checkpoint's class, its name as a worker finds it, and its checksum."""
    if not isinstance(model, str | Path):
        raise TypeError(
            f"model is a {type(model).__name__}; wanted the name or path of a checkpoint, which "
            "each worker loads: tssbook.models.save(model, path) writes one."
        )
    about = describe(model)
    kind = about["model"].rpartition(".")[2]
    if not hasattr(getattr(models, kind, None), "from_pretrained"):
        raise ValueError(
            f"{model} is of a {kind}; wanted a checkpoint of a model of tssbook.models."
        )
    is_name = isinstance(model, str) and model in shipped()
    return kind, model if is_name else Path(model).absolute(), about["sha256"]


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
    one_length(loci)
    padding(fasta, loci)  # refuses chromosomes that the genome does not have
    return loci.reset_index(drop=True), [source.name, sha256(source)]


def _require_bases(source: tuple[Path, str], loci: pd.DataFrame) -> None:
    """Refuse sequences with N before the work begins."""
    for first in range(0, len(loci), ROWS):
        rows = loci.iloc[first : first + ROWS]
        if (unknown := (_codes(source, rows) > 3).any(1)).any():
            row = int(rows.index[int(unknown.argmax())])
            chrom, start = loci[["chrom", "start"]].iloc[row]
            raise ValueError(
                f"The sequence of locus {row}, at {chrom}:{start:,}, has N, and a shuffle needs to "
                "know each base: leave such loci out."
            )


def _said(func: Callable | None) -> list[str] | None:
    """Say which function it is, so that another one is not gone on with."""
    if func is None:
        return None
    try:
        text = inspect.getsource(getattr(func, "func", func))
    except (OSError, TypeError):  # it is none of Python's own
        text = ""
    return [qualified_name(func), hashlib.sha256(text.encode()).hexdigest()[:16]]

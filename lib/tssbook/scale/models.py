"""A checkpoint over any number of loci: predictions, mutagenesis, attributions.

Results are those of one process: a region is 64 loci, two whole batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from dask.distributed import Client
from torch import Tensor, nn

from tssbook.data.store import Store
from tssbook.interpret.funcs import Func
from tssbook.scale.asking import Heads, apply, attributed, changed, identity, predicted
from tssbook.sequence import require_positive

__all__ = ["attribute", "ism", "predict", "tile"]


def predict(
    store: str | Path,
    model: str | Path,
    source: str | Path,
    loci: pd.DataFrame | None = None,
    *,
    func: Callable[[nn.Module, Tensor], Heads] | str | None = None,
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
        What is stored, ``func(model, x)`` of some loci, ``(n, ...)``, or the name of one of
        :mod:`tssbook.interpret.funcs`; None is ``model(x)``. Its name and text belong to what the
        store is made from.
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
    task = partial(predicted, func=func)
    return apply(
        "predict", store, model, source, loci, task, {"func": identity(func)}, client, progress
    )


def ism(
    store: str | Path,
    model: str | Path,
    source: str | Path,
    loci: pd.DataFrame | None = None,
    *,
    func: Func | str | None = None,
    client: Client | str | None = None,
    progress: bool = False,
) -> Store:
    """Change every base of many loci: :func:`tssbook.interpret.ism` with many processes.

    Of a `SimpleNet` or a `Puffin` the ``"totals"`` are asked, unless told otherwise, as the
    profiles of one locus would take gigabytes.

    Parameters
    ----------
    store, model, source, loci, client, progress
        As for `predict`.
    func
        As for :func:`tssbook.interpret.ism`, such as ``"count"`` for ProCapNet, whose profiles
        would be too large.

    Returns
    -------
    Store
        ``arrays["effects"]`` ``(N, 4, L, ...)``: prediction for the changed sequence minus
        prediction for the sequence as it is; or ``arrays["effects_0"]`` and so on.

    Raises
    ------
    BlockingIOError, ConnectionError, FileExistsError, OSError, RuntimeError
        As :func:`tssbook.scale.work.compute`.
    FileNotFoundError, CheckpointError, TypeError
        As `predict`.
    ValueError
        As `predict`; or 64 loci would take more than a gigabyte, or ``func`` does not keep the
        first three axes.
    """
    task = partial(changed, func=func)
    return apply(
        "ism", store, model, source, loci, task, {"func": identity(func)}, client, progress
    )


def attribute(
    store: str | Path,
    model: str | Path,
    source: str | Path,
    loci: pd.DataFrame | None = None,
    *,
    func: Func | str | None = None,
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
    func, seed, n_shuffles
        As for :func:`tssbook.interpret.attribute`.

    Returns
    -------
    Store
        ``arrays["contributions"]`` and ``arrays["hypothetical"]`` ``(N, 4, L)``, and
        ``arrays["deltas"]`` ``(N, n_shuffles)``.

    Raises
    ------
    BlockingIOError, ConnectionError, FileExistsError, OSError, RuntimeError
        As :func:`tssbook.scale.work.compute`.
    FileNotFoundError, CheckpointError, TypeError
        As `predict`.
    NotImplementedError, ValueError
        As `predict` and :func:`tssbook.interpret.attribute`; a sequence with N is named before the
        work begins.
    """
    options = {"seed": seed, "n_shuffles": n_shuffles}
    task = partial(attributed, func=func, **options)
    options["func"] = identity(func)
    return apply("attribute", store, model, source, loci, task, options, client, progress)


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

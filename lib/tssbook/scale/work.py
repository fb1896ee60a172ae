"""One function over all rows of a store, region by region, on the workers of a Dask cluster.

Workers get paths and a few rows of a table, and write what they make into the store themselves;
only warnings come back. A few tasks for each thread are under way at a time, so the memory of
client and scheduler does not grow with the number of rows.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from dask.distributed import Client, KilledWorker, LocalCluster, as_completed, get_worker
from tqdm import tqdm

from tssbook.data.store import Store, locked
from tssbook.files import remove
from tssbook.scale.regions import (
    ROWS,
    Shapes,
    create,
    done_regions,
    mark,
    mark_complete,
    matches,
    open_arrays,
    open_store,
    write,
)

__all__ = ["Work", "compute", "connected"]

_AHEAD = 3  # tasks under way for each thread of the cluster
_PATIENCE = "10s"  # for the scheduler's answer
_EVERY = 1.0  # seconds between looks at the size of the cluster, and between records
_SAME = ("tssbook", "torch", "zarr", "figwig")  # in one version everywhere
_one_at_a_time = threading.Lock()  # in a worker: a task has all its threads


class Work(NamedTuple):
    """What is done with each region.

    Attributes
    ----------
    function : callable
        ``function(rows, **settings)`` returns per array its rows. Importable by its name.
        ``rows`` are some of the table's, with their numbers as index.
    settings : dict
        Paths, numbers, small tables: they travel with each task.
    loci : pandas.DataFrame
        ``N`` rows.
    arrays : dict
        Per array the shape of one row and the type.
    tables : dict of str to pandas.DataFrame
        What is kept beside the arrays.
    made_from : dict
        What another run must have in common to be gone on with.
    """

    function: Callable[..., dict[str, np.ndarray]]
    settings: dict[str, Any]
    loci: pd.DataFrame
    arrays: Shapes
    tables: Mapping[str, pd.DataFrame]
    made_from: Mapping[str, Any]


def compute(
    path: str | Path,
    work: Work,
    client: Client | str | None = None,
    *,
    check: Callable[[Store], None] | None = None,
    progress: bool = False,
) -> Store:
    """Fill a store, or go on with one that is half full, or use one that is finished.

    Parameters
    ----------
    path
        The store; all workers must see it under this name.
    work
        What to do.
    client
        See :func:`connected`.
    check
        Called with the whole store before it counts as finished; raises where it is not right.
    progress
        Show a progress bar.

    Raises
    ------
    BlockingIOError
        Somebody else fills this store.
    ConnectionError
        There is no scheduler, or it was lost.
    FileExistsError
        Something else is there.
    OSError
        The disk is full; what is done stays done.
    RuntimeError
        A worker has other versions, or tasks killed their workers.
    """
    path = Path(path).absolute()
    if matches(path, work.made_from):
        return open_store(path)
    lock = locked(path)
    try:
        create(path, len(work.loci), work.arrays, work.tables, work.made_from)
        done = done_regions(path)
        if not done.all():
            with connected(client) as cluster:
                _fill(path, work, cluster, done, progress)
        if check is not None:
            check(open_arrays(path))
        mark_complete(path)
        remove([Path(lock.lock_file)])
    finally:
        lock.release()
    return open_store(path)


@contextmanager
def connected(client: Client | str | None) -> Iterator[Client]:
    """Give a client: one on this machine, one of a scheduler's address, or the one that is given.

    Parameters
    ----------
    client
        None starts a process with one thread for each core of this machine, and ends them. An
        address such as ``"tcp://node1:8786"`` is that of a running scheduler.

    Raises
    ------
    ConnectionError
        No scheduler answers at the address.
    RuntimeError
        The processes do not start.
    """
    if isinstance(client, Client):
        yield client
    elif client is None:
        with _local_cluster() as cluster, Client(cluster) as found:
            yield found
    else:
        try:
            found = Client(client, timeout=_PATIENCE)
        except Exception as error:  # whatever answers there may say anything
            raise ConnectionError(
                f"No Dask scheduler answers at {client!r} within {_PATIENCE} ({error}); wanted the "
                "address that `dask scheduler` prints, such as 'tcp://node1:8786'."
            ) from error
        with found:
            yield found


def _local_cluster() -> LocalCluster:
    try:
        return LocalCluster(
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # any port that is free
            silence_logs=logging.CRITICAL,  # what goes wrong in a task is raised by the client
        )
    except RuntimeError as error:
        raise RuntimeError(
            f"The workers did not start ({error}). Each reads the script anew that is run: put "
            'what the script does below `if __name__ == "__main__":`.'
        ) from error


def _fill(path: Path, work: Work, client: Client, done: np.ndarray, progress: bool) -> None:
    """Do the regions that are not done; write down those that are."""
    _require_workers(client)
    todo, seen, where = iter(np.flatnonzero(~done).tolist()), set(), client.scheduler.address
    under_way, looked, marked, at_most = as_completed(), 0.0, 0.0, 0
    futures: set[Any] = set()
    settings = (str(path), work.function, work.settings, _versions())
    with tqdm(
        total=len(work.loci), initial=_n_rows(done, work), unit=" loci", disable=not progress
    ) as bar:
        try:
            while True:
                if (now := time.monotonic()) - looked > _EVERY:  # workers come and go
                    looked, at_most = now, _AHEAD * max(sum(client.nthreads().values()), 1)
                while len(futures) < at_most and (region := next(todo, None)) is not None:
                    rows = work.loci.iloc[region * ROWS : (region + 1) * ROWS]
                    future = client.submit(_region, rows, *settings, pure=False)
                    futures.add(future)
                    under_way.add(future)
                if not futures:
                    break
                future = next(under_way)
                futures.discard(future)
                first, said = future.result()
                done[first // ROWS] = True
                if not under_way.has_ready() or time.monotonic() - marked > _EVERY:
                    mark(path, done)
                    marked = time.monotonic()
                bar.update(min(ROWS, len(work.loci) - first))
                for kind, text in set(said) - seen:
                    seen.add((kind, text))
                    warnings.warn(text, kind, stacklevel=5)
        except KilledWorker as error:
            raise RuntimeError(
                f"A task ended its worker {error.allowed_failures + 1} times ({error.last_worker}):"
                " it may need more memory than a worker has; see the worker's log, give workers "
                f"more memory, and run this again: it goes on. {done.sum()} of {len(done)} regions "
                "are done."
            ) from error
        except (CancelledError, TimeoutError, OSError) as error:
            if isinstance(error, OSError) and client.status == "running":
                raise
            raise ConnectionError(
                f"The scheduler at {where} was lost ({error or type(error).__name__}); start "
                f"it and run this again: it goes on. {done.sum()} of {len(done)} regions are done."
            ) from error
        finally:
            mark(path, done)
            if client.status == "running":
                client.cancel(list(futures))


def _region(
    rows: pd.DataFrame,
    path: str,
    function: Callable[..., dict[str, np.ndarray]],
    settings: Mapping[str, Any],
    wanted: Mapping[str, str | None],
) -> tuple[int, list[tuple[type[Warning], str]]]:
    """Do one region, in a worker; return its first row and the warnings."""
    worker, first = get_worker(), int(rows.index[0])
    _require_same(_versions(), wanted, worker.address)
    with _one_at_a_time, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if torch.get_num_threads() != worker.state.nthreads:
            torch.set_num_threads(worker.state.nthreads)
        write(Path(path), first, function(rows, **settings))
    return first, [(w.category, str(w.message)) for w in caught]


def _n_rows(done: np.ndarray, work: Work) -> int:
    return int(done.repeat(ROWS)[: len(work.loci)].sum())


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in _SAME:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _require_workers(client: Client) -> None:
    """Look at the workers that are there; those that come later are looked at by their tasks."""
    workers = client.get_versions(packages=_SAME)["workers"]
    for address, found in workers.items():
        _require_same(found["packages"], _versions(), address)
    if not workers:
        warnings.warn(
            f"The scheduler at {client.scheduler.address} has no worker yet: nothing happens until "
            "one comes.",
            stacklevel=5,
        )


def _require_same(
    found: Mapping[str, str | None], wanted: Mapping[str, str | None], worker: str
) -> None:
    for name, ours in wanted.items():
        if (theirs := found[name]) != ours:
            raise RuntimeError(
                f"The worker {worker} has {f'{name} {theirs}' if theirs else f'no {name}'}, and "
                f"the client {name} {ours}; wanted the same everywhere, for the same numbers: "
                f'pip install "tssbook[scale]" {name}=={ours} on the worker, and start it again.'
            )

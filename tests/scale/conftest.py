from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from dask.distributed import Client, LocalCluster

from tssbook.simulator import FILES, simulate, write_files


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """Two workers, processes with one thread each; a task may end one worker, not two."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulation of 150 loci, three regions, as files."""
    return write_files(
        simulate(150, seed=1, length=2000), tmp_path_factory.mktemp("simulated") / "f"
    )


@pytest.fixture
def files(simulated: Path) -> dict:
    bigwigs = [simulated / name for name in FILES]
    return {
        "fasta": simulated / "genome.fa", "bigwigs": bigwigs, "loci": simulated / "tss.tsv",
        "length": 200,
    }  # fmt: skip

"""Workers, and what may happen to them, to the client and to the scheduler."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from dask.distributed import Client, LocalCluster

from tests.scale.tasks import N, called, work
from tests.support import refusal
from tssbook.data.store import locked
from tssbook.scale import open_store
from tssbook.scale import work as working
from tssbook.scale.regions import done_regions
from tssbook.scale.work import compute, connected

FIRST = list(range(0, N, 64))
CLIENT = """
import sys
from pathlib import Path
from tests.scale.tasks import work
from tssbook.scale.work import compute
compute(sys.argv[1], work(Path(sys.argv[2]), 0.7), sys.argv[3])
"""


def require_squares(path: Path) -> None:
    store = open_store(path)
    assert np.array_equal(store.arrays["squares"], np.arange(N, dtype=np.float32) ** 2)
    assert not np.asarray(store.arrays["zeros"]).any()


def test_every_row_once_and_then_never_again(client, tmp_path):
    for _ in range(2):
        compute(tmp_path / "a.zarr", work(tmp_path), client)
        require_squares(tmp_path / "a.zarr")
        assert sorted(called(tmp_path)) == FIRST
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_few_tasks_are_under_way(client, tmp_path, monkeypatch):
    submit, seen = client.submit, []

    def counting(*args, **options):
        seen.append(client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))
        return submit(*args, **options)

    monkeypatch.setattr(client, "submit", counting)
    monkeypatch.setattr(working, "_AHEAD", 1)
    compute(tmp_path / "a.zarr", work(tmp_path), client)
    assert len(seen) == len(FIRST)
    assert max(seen) <= 3  # two threads; the scheduler may not have forgotten the last one yet


def test_an_error_comes_back_and_what_was_done_stays(client, tmp_path):
    (tmp_path / "fail 192").touch()
    message = refusal(lambda: compute(tmp_path / "a.zarr", work(tmp_path), client))
    assert message == "Row 192 is wrong; wanted another."
    done = done_regions(tmp_path / "a.zarr")
    assert not done[3]
    (tmp_path / "fail 192").unlink()
    before = len(called(tmp_path))
    compute(tmp_path / "a.zarr", work(tmp_path), client)
    require_squares(tmp_path / "a.zarr")
    assert sorted(called(tmp_path)[before:]) == [
        f for f, d in zip(FIRST, done, strict=True) if not d
    ]


def test_a_full_disk_of_a_worker_is_no_lost_scheduler(client, tmp_path):
    (tmp_path / "full 64").touch()
    message = refusal(lambda: compute(tmp_path / "a.zarr", work(tmp_path), client), OSError)
    assert "No space left on device" in message
    assert "was lost" not in message


def test_the_work_of_a_worker_that_dies_is_done_again(client, tmp_path):
    (tmp_path / "exit 128").touch()
    compute(tmp_path / "a.zarr", work(tmp_path), client)
    require_squares(tmp_path / "a.zarr")
    assert called(tmp_path).count(128) == 2


def test_a_worker_that_is_killed_from_outside(client, tmp_path):
    pid = next(iter(client.run(os.getpid).values()))
    killer = subprocess.Popen(["/bin/sh", "-c", f"sleep 1.2; kill -9 {pid}"])
    compute(tmp_path / "a.zarr", work(tmp_path, 0.6), client)
    assert killer.wait() == 0
    require_squares(tmp_path / "a.zarr")
    assert len(called(tmp_path)) > len(FIRST)  # something was begun twice


def test_a_task_that_ends_every_worker(client, tmp_path):
    (tmp_path / "exit 0").touch()
    (tmp_path / "always").touch()
    message = refusal(lambda: compute(tmp_path / "a.zarr", work(tmp_path), client), RuntimeError)
    assert message.startswith("A task ended its worker 2 times")
    assert "more memory" in message
    (tmp_path / "exit 0").unlink()
    client.wait_for_workers(2, timeout=60)  # both are being started again
    compute(tmp_path / "a.zarr", work(tmp_path), client)
    require_squares(tmp_path / "a.zarr")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_client_that_is_ended_can_be_started_again(client, tmp_path, number):
    """The cluster is another program's; what was done is not done again."""
    command = [sys.executable, "-c", CLIENT, tmp_path / "a.zarr", tmp_path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command += [client.scheduler.address]
    path, deadline = tmp_path / "a.zarr", time.monotonic() + 60
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        while not path.exists() or done_regions(path).sum() < 2:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        said = process.communicate(timeout=30)[1]
    assert process.returncode != 0
    assert ("KeyboardInterrupt" in said) == (number == signal.SIGINT), said
    assert "is not finished" in refusal(lambda: open_store(path))
    done, before = done_regions(path), len(called(tmp_path))
    assert 2 <= done.sum() < len(FIRST)
    compute(path, work(tmp_path), client)
    require_squares(path)
    again = [f for f in called(tmp_path)[before:] if done[f // 64]]
    assert again == []


def test_another_run_is_refused(client, tmp_path):
    compute(tmp_path / "a.zarr", work(tmp_path), client)
    message = refusal(
        lambda: compute(tmp_path / "a.zarr", work(tmp_path, numbers=7), client), FileExistsError
    )
    assert f"a finished store whose numbers is {N}, not 7" in message


def test_two_clients_do_not_fill_one_store(client, tmp_path):
    lock = locked(tmp_path / "a.zarr")
    refusal(lambda: compute(tmp_path / "a.zarr", work(tmp_path), client), BlockingIOError)
    lock.release()
    compute(tmp_path / "a.zarr", work(tmp_path), client)
    lock = locked(tmp_path / "a.zarr")
    compute(tmp_path / "a.zarr", work(tmp_path), client)  # what is finished is only read
    lock.release()


def test_a_chunk_that_was_deleted_is_made_anew_and_no_other(client, tmp_path):
    compute(tmp_path / "a.zarr", work(tmp_path), client)
    (tmp_path / "a.zarr" / "zeros" / "c.2.0").unlink()
    compute(tmp_path / "a.zarr", work(tmp_path), client)
    require_squares(tmp_path / "a.zarr")
    assert called(tmp_path)[len(FIRST) :] == [128]


def test_a_store_that_the_check_refuses_is_not_finished(client, tmp_path):
    def check(store):
        raise ValueError(f"The last square is {store.arrays['squares'][N - 1]:g}.")

    for _ in range(2):
        message = refusal(lambda: compute(tmp_path / "a.zarr", work(tmp_path), client, check=check))
        assert message == f"The last square is {(N - 1) ** 2}."
        assert "is not finished" in refusal(lambda: open_store(tmp_path / "a.zarr"))
    assert len(called(tmp_path)) == len(FIRST)


def test_a_worker_with_other_versions_is_named(client, tmp_path, monkeypatch):
    ours = working._versions()
    monkeypatch.setattr(working, "_versions", lambda: ours | {"tssbook": "9.9"})
    with monkeypatch.context() as patched:
        patched.setattr(client, "submit", None)  # before anything is begun
        message = refusal(
            lambda: compute(tmp_path / "a.zarr", work(tmp_path), client), RuntimeError
        )
    assert f"has tssbook {ours['tssbook']}, and the client tssbook 9.9" in message
    # One that comes later, while the work goes on, is looked at by its first task.
    monkeypatch.setattr(working, "_require_workers", lambda client: None)
    again = refusal(lambda: compute(tmp_path / "a.zarr", work(tmp_path), client), RuntimeError)
    assert again.partition(" has ")[2] == message.partition(" has ")[2]


def test_a_worker_without_a_package_is_told_how_to_get_it():
    message = refusal(
        lambda: working._require_same({"torch": None}, {"torch": "2.9"}, "tcp://a:1"), RuntimeError
    )
    assert message.startswith("The worker tcp://a:1 has no torch, and the client torch 2.9")
    assert 'pip install "tssbook[scale]" torch==2.9' in message


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "http://127.0.0.1:9"])
def test_no_scheduler_at_an_address(address, monkeypatch, tmp_path):
    monkeypatch.setattr(working, "_PATIENCE", "500ms")
    message = refusal(
        lambda: compute(tmp_path / "a.zarr", work(tmp_path), address), ConnectionError
    )
    assert f"No Dask scheduler answers at {address!r}" in message
    assert "tcp://node1:8786" in message


def test_a_scheduler_that_is_lost(tmp_path):
    options = {"n_workers": 1, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(threads_per_worker=1, **options) as cluster, Client(cluster) as client:
        threading.Timer(1.0, cluster.close).start()
        message = refusal(
            lambda: compute(tmp_path / "a.zarr", work(tmp_path, 0.7), client), ConnectionError
        )
    assert f"The scheduler at {cluster.scheduler_address} was lost" in message
    assert re.search(r"run this again: it goes on\. \d of 6 regions are done\.", message)


def test_a_cluster_without_workers_is_no_silent_wait():
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
        pytest.warns(UserWarning, match="has no worker yet: nothing happens until one comes"),
    ):
        working._require_workers(client)


def test_by_itself_it_takes_this_machine(monkeypatch):
    with connected(None) as client:
        assert set(client.nthreads().values()) == {1}
        address = client.scheduler.address
    monkeypatch.setattr(working, "_PATIENCE", "500ms")
    with pytest.raises(ConnectionError):
        connected(address).__enter__()


def test_a_script_without_a_main_part_is_told_of_it(monkeypatch):
    def fails(**options):
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(working, "LocalCluster", fails)
    message = refusal(lambda: connected(None).__enter__(), RuntimeError)
    assert 'below `if __name__ == "__main__":`' in message


def test_the_extra_is_named_where_it_is_missing():
    code = "import sys; sys.modules['zarr'] = None; import tssbook.scale"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'pip install "tssbook[scale]"' in done.stderr.splitlines()[-1]

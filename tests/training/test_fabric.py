"""fit on several ranks, with a Lightning Fabric, and in pieces: as one process with whole batches.

What ranks do is in fabric_ranks.py; two of them are started three times in all.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader

from tests.support import refusal
from tests.training.fabric_ranks import EPOCHS, NoisyRows, Small, Training, rows
from tests.training.training_runs import Noisy, same
from tssbook import __version__
from tssbook.training import Batches
from tssbook.training.passes import Pass

ROOT = Path(__file__).resolve().parent.parent.parent
# What needs no killing goes on in the same two processes, one after the other.
LEARNED = ("plain", "pieces", "patience", "loader", "interrupt", "state")
REFUSED = {
    "other_version": f"in their version of tssbook: {__version__} on rank 0, 0.0.1 on rank 1",
    "other_seed": "differ in their seed: 0 on rank 0, 1 on rank 1",
    "other_data": "differ in their content of the training data: ",
    "other_epochs": "differ in their epochs: 3 on rank 0, 4 on rank 1",
    "other_weights": "differ in their first weights: .* call torch.manual_seed before",
    "other_batches": r"Not all ranks are where rank \d is .* leave out DistributedSampler",
    "sampler": r"Not all ranks are where rank \d is .* leave out DistributedSampler",
    "batch_norm": r"normalises over batches \(BatchNorm1d, layers.1\), and each rank sees a part",
    "sync_batch_norm": r"normalises over batches \(SyncBatchNorm, layers.1\), and each rank",
    "wrapped": r"set up for several devices already \(_FabricModule\)",
    "unused": 'no part in its loss, .* wanted strategy="ddp_find_unused_parameters_true"',
}


def start_two(folder: Path, *names: str) -> tuple[list[int], str]:
    """Start two ranks as torchrun does, without its habit of ending all when one has ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [sys.executable, "-W", "error", "-m", "tests.training.fabric_ranks", str(folder)]
    ranks = [
        subprocess.Popen(
            [*command, *names], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        said = [rank.communicate(timeout=100)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
    return [rank.returncode for rank in ranks], "\n".join(said)


def read(folder: Path, name: str) -> list[Any]:
    """What the ranks kept, those that lived to keep it."""
    paths = sorted(folder.glob(f"{name}-?.pt"))
    return [torch.load(path, weights_only=False) for path in paths]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Any]]:
    folder = tmp_path_factory.mktemp("together")
    codes, said = start_two(folder, *LEARNED, "nan", "alone", *REFUSED, "failed")
    assert codes == [0, 0], said
    return lambda name: read(folder, name)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A training whose second rank is killed, and what comes of the same started again."""
    folder = tmp_path_factory.mktemp("killed")
    codes, said = start_two(folder, "killed_1")
    assert codes == [0, -signal.SIGKILL], said
    kept = torch.load(folder / "run.pt", weights_only=True)
    left = [path.name for path in folder.iterdir()]
    codes, said = start_two(folder, "state", "killed_0")
    assert codes == [-signal.SIGKILL, 0], said
    return SimpleNamespace(folder=folder, kept=kept, left=left)


def by_one(**options: Any) -> dict[str, Any]:
    return Training().fit(device="cpu", **options)


def assert_close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """But for the rounding of sums in another order, one training."""
    assert list(found["history"]) == list(expected["history"])
    for name, values in expected["history"].items():
        np.testing.assert_allclose(found["history"][name], values, rtol=1e-5, err_msg=name)
    assert list(found["weights"]) == list(expected["weights"])  # no "module." before them
    for name, weights in expected["weights"].items():
        torch.testing.assert_close(found["weights"][name], weights, rtol=1e-4, atol=1e-6)
    for name in ("attrs", "trained_on", "training", "rate", "steps"):
        assert found[name] == expected[name], name
    assert found["training"] is False


# --- several ranks ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "pieces", "state"])
def test_ranks_learn_what_one_process_learns(together, name: str) -> None:
    """Batches of 5 rows are 3 and 2, and the last of 1 leaves the second rank without a row."""
    assert_close(together(name)[0], by_one())


@pytest.mark.parametrize("name", LEARNED)
def test_all_ranks_end_with_the_same(together, name: str) -> None:
    one, other = together(name)
    drawn = [result.pop("drawn", None) for result in (one, other)]
    assert same(one, other)
    assert len(one["history"]["epoch"]) == {"patience": 9, "interrupt": 1}.get(name, EPOCHS)
    if name == "loader":  # batches of the same rows, but random numbers of its own for each
        assert len(set(drawn[0] + drawn[1])) == len(drawn[0] + drawn[1])


def test_patience_counts_on_all_ranks_as_on_one(together) -> None:
    training = Training()
    training.valid = Batches(*rows(7), batch_size=1)
    training.optimizer.param_groups[0]["lr"] = 0.5
    expected = training.fit(device="cpu", epochs=40, patience=2, scheduler=None)
    assert [result["attrs"] for result in together("patience")] == [expected["attrs"]] * 2
    assert expected["attrs"]["stopped"] == "early"


def test_what_a_loader_draws_does_not_depend_on_ranks(together) -> None:
    training = Training()
    training.train = DataLoader(NoisyRows(), batch_size=5, shuffle=True)
    assert_close(together("loader")[0], training.fit(device="cpu"))


def test_nan_on_one_rank_stops_all_with_one_sentence(together) -> None:
    one, other = together("nan")
    assert same(one, other)
    assert "at step 7 (epoch 1, batch 2 of the training data: loss nan, square nan" in one["said"]
    for name, wanted in by_one(epochs=1)["weights"].items():  # of the epoch before
        torch.testing.assert_close(one["weights"][name], wanted, rtol=1e-4, atol=1e-6)
    assert len(one["history"]["epoch"]) == 1


def test_ctrl_c_in_one_rank_ends_the_training_in_all(together) -> None:
    for result in together("interrupt"):
        assert result["attrs"] == {"best_epoch": 0, "stopped": "interrupted"}
        assert result["handler"]  # Ctrl-C is Python's own again


def test_nothing_of_the_ranks_stays_on_the_model(together) -> None:
    assert together("alone") == [{"wrappers": 0}] * 2


@pytest.mark.parametrize("name", REFUSED)
def test_what_ranks_refuse_they_refuse_together(together, name: str) -> None:
    one, other = (result["refused"] for result in together(name))
    assert re.match(f"ValueError: .*{REFUSED[name]}", one)
    assert "\n" not in one
    assert other == one or "Not all ranks" in other  # that one says where each of them is


def test_failure_of_one_rank_is_told_by_the_others(together) -> None:
    one, other = (result["refused"] for result in together("failed"))
    assert other == "KeyError: 'no such term'"
    assert re.fullmatch(r"RankLost: Rank 0 has lost another of the 2 ranks \([^\n]*", one)


# --- a rank is killed ------------------------------------------------------------------------


def test_killed_rank_ends_the_others_with_a_sentence(killed) -> None:
    for name in ("killed_1", "killed_0"):
        (survivor,) = read(killed.folder, name)
        said = r"RankLost: Rank \d has lost another of the 2 ranks \([^\n]*\): that one was killed"
        assert re.match(said, survivor["refused"]), survivor


def test_state_of_a_killed_training_is_whole(killed) -> None:
    assert sorted(killed.left) == ["killed_1-0.pt", "run.pt"]  # and no unfinished file
    assert len(killed.kept["rows"]) == 2
    assert list(killed.kept["model"]) == list(Small().state_dict())


def test_killed_training_goes_on_bit_for_bit(killed, together) -> None:
    expected = together("state")
    assert expected[0]["attrs"]["best_epoch"] == EPOCHS - 1  # so these are the last weights
    assert same(read(killed.folder, "state"), expected)


# --- one process with a Fabric ---------------------------------------------------------------


def test_fabric_of_one_process_changes_nothing() -> None:
    fabric = Fabric(accelerator="cpu", devices=1)
    assert same(Training().fit(fabric=fabric), by_one())


def test_bfloat16_is_of_the_layers_alone(tmp_path: Path) -> None:
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    state, seen = tmp_path / "run.pt", set()
    training = Training()
    training.model.conv.register_forward_hook(lambda _, x, y: seen.add(y.dtype))
    found, exact = training.fit(fabric=fabric, state=state), by_one()
    assert seen == {torch.bfloat16}
    assert all(weights.dtype == torch.float32 for weights in found["weights"].values())
    losses = [result["history"]["valid_loss"] for result in (found, exact)]
    np.testing.assert_allclose(*losses, rtol=0.02)
    assert not same(found["history"], exact["history"])

    again = Training().fit(fabric=fabric, state=state)
    assert same(again["weights"], found["weights"])
    said = refusal(lambda: by_one(state=state))
    assert "its precision is bf16-mixed, not 32-true" in said


def test_fabric_and_device_exclude_each_other() -> None:
    fabric = Fabric(accelerator="cpu", devices=1)
    said = refusal(lambda: Training().fit(fabric=fabric, device="cpu"))
    assert said.startswith("device is 'cpu' and there is a fabric")


def fake(strategy: str = "DDPStrategy", precision: str = "32-true") -> SimpleNamespace:
    """As much of a Fabric with two ranks as is looked at before anything is done."""
    known = {"precision": SimpleNamespace(precision=precision)}
    return SimpleNamespace(
        strategy=type(strategy, (), known)(), world_size=2, global_rank=0, no_backward_sync=None
    )


@pytest.mark.parametrize(
    ("fabric", "error", "complaint"),
    [
        ("ddp", TypeError, "fabric is a str; wanted a Fabric of lightning_fabric, or None."),
        (fake("FSDPStrategy"), ValueError, "The fabric's strategy is FSDPStrategy; wanted one"),
        (fake(precision="16-mixed"), ValueError, "The fabric's precision is 16-mixed; wanted one"),
        (fake(), ValueError, "The fabric has 2 ranks and is not launched; wanted fabric.launch()"),
    ],
)
def test_fabric_that_fit_cannot_use(fabric: Any, error: type, complaint: str) -> None:
    assert refusal(lambda: Training().fit(fabric=fabric), error).startswith(complaint)


def test_state_from_before_there_was_a_choice_of_precision(tmp_path: Path) -> None:
    state = tmp_path / "run.pt"
    by_one(state=state, epochs=2)
    kept = torch.load(state, weights_only=True)
    del kept["about"]["precision"]
    torch.save(kept, state)
    assert same(by_one(state=state)["history"], by_one()["history"])


# --- pieces ----------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [2, 3, 5, 1000])
def test_pieces_add_up_to_the_batch(accumulate: int) -> None:
    """Also uneven ones (2, 2 and 1), and more of them than rows."""
    seen = []
    training = Training()
    training.model.register_forward_hook(
        lambda model, x, y: seen.append(len(y)) if model.training else None
    )
    assert_close(training.fit(device="cpu", accumulate=accumulate), by_one())
    pieces = {2: [3, 2], 3: [2, 2, 1]}.get(accumulate, [1] * 5)
    assert seen == (pieces * 4 + [1]) * EPOCHS


def test_pieces_may_change_when_a_training_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "run.pt"
    by_one(state=state, epochs=2)
    assert_close(by_one(state=state, accumulate=2) | {"steps": [20] * 4}, by_one())


def test_pieces_of_what_wants_the_whole_are_refused() -> None:
    said = refusal(lambda: Training(Noisy()).fit(device="cpu", accumulate=2))
    assert "(BatchNorm1d, layers.1), and accumulate cuts these; wanted whole batches" in said
    training = Training()
    training.train = [(*rows(5), torch.ones(3))]
    training.loss_terms = lambda model, prediction, *_: {"a": prediction}
    said = refusal(lambda: training.fit(device="cpu", accumulate=2))
    assert said.startswith("Tensor 2 of a batch is (3,) for 5 examples; wanted one row per")
    assert refusal(lambda: by_one(accumulate=0)).startswith("accumulate is 0; wanted a whole")


def test_synchronised_normalisation_wants_a_row_for_each_rank() -> None:
    """A borrowed row would count in the statistics; but in evaluation none are taken."""
    model = nn.SyncBatchNorm.convert_sync_batchnorm(Noisy())
    ranks = SimpleNamespace(size=2, rank=1, without_mean=lambda _: torch.no_grad())
    run = SimpleNamespace(model=model)
    batch = (torch.zeros(1, 4), torch.zeros(1))
    one = Pass("training", [batch], run, ranks, torch.device("cpu"))
    one.number = 7
    said = refusal(lambda: next(one.pieces(batch)))
    assert said.startswith("Batch 7 of the training data has 1 rows for 2 ranks")
    model.eval()
    assert len(next(one.pieces(batch))[0]) == 1

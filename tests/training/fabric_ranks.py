"""What two ranks do in the tests of ``fit(fabric=...)``; run once by each of them.

``python -m tests.training.fabric_ranks FOLDER SCENARIO ...`` trains one after another, and keeps
what came of each in ``FOLDER/SCENARIO-RANK.pt``: the weights and the history, or what was refused.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, Dataset, DistributedSampler, TensorDataset
from tqdm import tqdm as progress_bar

from tests.training.training_runs import Noisy
from tssbook.sequence import one_hot_codes
from tssbook.training import Batches, fit, flip_half

EPOCHS = 4


class Small(nn.Module):
    """Two filters of width 3, their mean over the places, and a weight for each: 29 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv1d(4, 2, 3), nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:  # (N, 4, 9)
        return self.linear(self.conv(x).tanh().mean(-1)).squeeze(-1)  # (N,)


def loss_terms(model: nn.Module, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    """A square for each example, a mean over them, and a penalty of the weights."""
    return {
        "square": (prediction - target).square(),
        "distance": 0.1 * (prediction - target).abs().mean(),
        "penalty": 0.05 * model.conv.weight.square().sum(),
    }


def rows(n: int = 21) -> tuple[Tensor, Tensor]:
    """Rows of nine bases; the target counts A, more than T, so that strands differ."""
    codes = torch.randint(4, (n, 9), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    x = one_hot_codes(codes.numpy()).float()
    return x, x[:, 0].sum(-1) - 0.3 * x[:, 3].sum(-1)


class Training:
    """New objects for one training; 21 rows make batches of 5, 5, 5, 5 and 1."""

    def __init__(self, model: nn.Module | None = None) -> None:
        torch.manual_seed(0)
        self.model = model or Small()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01)
        self.train = Batches(*rows(), batch_size=5, seed=3, transform=flip_half)
        self.valid = Batches(*rows(7), batch_size=4)
        self.loss_terms: Any = loss_terms

    def fit(self, **options: Any) -> dict[str, Any]:
        scheduler = ReduceLROnPlateau(self.optimizer, factor=0.5, patience=0, threshold=0.3)
        history = fit(
            self.model, self.train, self.valid, self.loss_terms, self.optimizer,
            **{"epochs": EPOCHS, "seed": 17, "scheduler": scheduler, "clip_norm": 0.4, **options},
        )  # fmt: skip
        return {
            "history": history.to_dict("list"),
            "attrs": history.attrs,
            "weights": self.model.state_dict(),
            "trained_on": self.model.trained_on,
            "training": any(module.training for module in self.model.modules()),
            "rate": self.optimizer.param_groups[0]["lr"],
            "moments": [held["exp_avg"] for held in self.optimizer.state.values()],
            "steps": [int(held["step"]) for held in self.optimizer.state.values()],
        }


def at_call(number: int, do: Any) -> Any:
    """`loss_terms`, but for its call of that number, whose terms ``do`` may change."""
    calls = iter(range(10**6))

    def terms(*args: Any) -> dict[str, Tensor]:
        found = loss_terms(*args)
        return do(found) if next(calls) == number else found

    terms.__module__, terms.__qualname__ = loss_terms.__module__, loss_terms.__qualname__
    return terms


# --- scenarios; an epoch of each rank is 5 calls of loss_terms for training, 2 for validation ---


def plain(fabric: Fabric) -> Any:
    return Training().fit(fabric=fabric)


def pieces(fabric: Fabric) -> Any:
    return Training().fit(fabric=fabric, accumulate=2)


def patience(fabric: Fabric) -> Any:
    training = Training()
    training.valid = Batches(*rows(7), batch_size=1)  # the second rank has no row at all
    training.optimizer.param_groups[0]["lr"] = 0.5
    return training.fit(fabric=fabric, epochs=40, patience=2, scheduler=None)


class NoisyRows(Dataset):
    """Rows whose targets get a random number of the global stream when they are read."""

    def __len__(self) -> int:
        return 21

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        x, y = rows()
        return x[row], y[row] + torch.rand(())


def loader(fabric: Fabric) -> Any:
    """Order and noise come from the global stream, which the loss of each rank draws from too."""
    training, drawn = Training(), []
    training.train = DataLoader(NoisyRows(), batch_size=5, shuffle=True)

    def terms(model: nn.Module, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        drawn.extend(torch.rand(len(prediction)).tolist())
        return loss_terms(model, prediction, target)

    training.loss_terms = terms
    return training.fit(fabric=fabric) | {"drawn": drawn}


def nan(fabric: Fabric) -> Any:
    """On the second rank, in batch 2 of epoch 1; one call for each of 7 batches before."""
    training = Training()
    if fabric.global_rank == 1:
        training.loss_terms = at_call(9, lambda t: t | {"square": t["square"] * float("nan")})
    try:
        training.fit(fabric=fabric)
    except ArithmeticError as error:
        weights = training.model.state_dict()
        return {"said": str(error), "weights": weights, "history": error.history.to_dict("list")}


def interrupt(fabric: Fabric) -> Any:
    """Ctrl-C in the second rank, twice, as torchrun hands it on; in batch 2 of epoch 1."""
    training = Training()

    def press(terms: dict[str, Tensor]) -> dict[str, Tensor]:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        return terms

    if fabric.global_rank == 1:
        training.loss_terms = at_call(9, press)
    result = training.fit(fabric=fabric)
    return result | {"handler": signal.getsignal(signal.SIGINT) is signal.default_int_handler}


def alone(fabric: Fabric) -> Any:
    """After a training that ended between forward and backward, a rank uses its model alone."""
    training = Training()
    if fabric.global_rank == 1:
        training.loss_terms = at_call(3, lambda t: t | {"square": t["square"] * float("nan")})
    try:
        training.fit(fabric=fabric)
    except ArithmeticError as error:
        kept = error  # and with it all that the training's functions had in hand
    assert "step 3" in str(kept)
    if fabric.global_rank == 0:
        training.model(rows()[0]).sum().backward()
    return {"wrappers": sum("DataParallel" in type(o).__name__ for o in gc.get_objects())}


def other_version(fabric: Fabric) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        if fabric.global_rank == 1:
            patch.setattr("tssbook.training.ranks.__version__", "0.0.1")
        return Training().fit(fabric=fabric)


def other_seed(fabric: Fabric) -> Any:
    return Training().fit(fabric=fabric, seed=fabric.global_rank)


def other_data(fabric: Fabric) -> Any:
    training = Training()
    training.train.tensors[1][20] += fabric.global_rank
    return training.fit(fabric=fabric)


def other_epochs(fabric: Fabric) -> Any:
    return Training().fit(fabric=fabric, epochs=3 + fabric.global_rank)


def other_weights(fabric: Fabric) -> Any:
    training = Training()
    nn.init.constant_(training.model.linear.bias, fabric.global_rank)
    return training.fit(fabric=fabric)


def unused(fabric: Fabric) -> Any:
    training = Training()
    training.model.more = nn.Linear(2, 1)
    return training.fit(fabric=fabric)


def other_batches(fabric: Fabric) -> Any:
    """Four batches on the first rank and five on the second, none of them told apart by class."""
    training, batches = Training(), list(Batches(*rows(), batch_size=5))
    training.train = Untold(batches[: 4 + fabric.global_rank])
    return training.fit(fabric=fabric)


class Untold:
    """A source that tells nothing of itself."""

    def __init__(self, batches: list) -> None:
        self.batches = batches

    def __iter__(self) -> Any:
        return iter(self.batches)


def sampler(fabric: Fabric) -> Any:
    """As Fabric's own loaders have it: each rank has rows of its own."""
    training, data = Training(), TensorDataset(*rows())
    training.train = DataLoader(data, batch_size=5, sampler=DistributedSampler(data))
    return training.fit(fabric=fabric)


def batch_norm(fabric: Fabric) -> Any:
    return Training(Noisy()).fit(fabric=fabric)


def sync_batch_norm(fabric: Fabric) -> Any:
    return Training(nn.SyncBatchNorm.convert_sync_batchnorm(Noisy())).fit(fabric=fabric)


def wrapped(fabric: Fabric) -> Any:
    return Training(fabric.setup_module(Small())).fit(fabric=fabric)


def state(fabric: Fabric) -> Any:
    """The first rank alone writes the file and shows a bar; the second may not."""

    def write_whole(files: dict[Path, bytes]) -> None:
        raise AssertionError(f"a second rank writes {files.keys()}")

    def tqdm(*, disable: bool, **options: Any) -> Any:
        assert disable
        return progress_bar(disable=disable, **options)

    with pytest.MonkeyPatch.context() as patch:
        if fabric.global_rank == 1:
            patch.setattr("tssbook.training.state.write_whole", write_whole)
            patch.setattr("tssbook.training.loop.tqdm", tqdm)
        return Training().fit(fabric=fabric, state=FOLDER / "run.pt", progress=True)


def killed_1(fabric: Fabric) -> Any:
    """The second rank is killed in batch 2 of epoch 2."""
    training = Training()
    if fabric.global_rank == 1:
        training.loss_terms = at_call(16, lambda _: os.kill(os.getpid(), signal.SIGKILL))
    return training.fit(fabric=fabric, state=FOLDER / "run.pt")


def killed_0(fabric: Fabric) -> Any:
    """The first rank, the meeting place of all, is killed on its way back through the layers."""
    training = Training()

    def kill_later(terms: dict[str, Tensor]) -> dict[str, Tensor]:
        terms["square"].register_hook(lambda _: os.kill(os.getpid(), signal.SIGKILL))
        return terms

    if fabric.global_rank == 0:
        training.loss_terms = at_call(16, kill_later)
    return training.fit(fabric=fabric)


def failed(fabric: Fabric) -> Any:
    """The second rank's own loss fails."""
    training = Training()
    if fabric.global_rank == 1:
        training.loss_terms = at_call(16, lambda terms: terms["no such term"])
    return training.fit(fabric=fabric)


def main(folder: Path, names: list[str]) -> None:
    # Who starts processes in the background hands on that they do not listen to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fabric = Fabric(accelerator="cpu", devices=int(os.environ["WORLD_SIZE"]), strategy="ddp")
    fabric.launch()
    for name in names:
        try:
            result = globals()[name](fabric)
        except (ValueError, RuntimeError, KeyError) as error:
            result = {"refused": f"{type(error).__name__}: {error}"}
        torch.save(result, folder / f"{name}-{fabric.global_rank}.pt")


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    main(FOLDER, sys.argv[2:])

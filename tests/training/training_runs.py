"""Trainings for the tests: one with everything that is random in it, and one told by a script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, TensorDataset

from tssbook.training.batches import Batches
from tssbook.training.loop import fit

SCHEDULERS: dict[str, Callable] = {
    "none": lambda optimizer: None,
    "step": lambda optimizer: StepLR(optimizer, step_size=2, gamma=0.5),
    "plateau": lambda optimizer: ReduceLROnPlateau(optimizer, patience=0, threshold=0.5),
}


class Noisy(nn.Module):
    """Batch norm and dropout between two layers: state and chance at each step."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(width, 1), nn.Flatten(0),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def two_terms(model: nn.Module, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Squared error of each example, and a penalty that is one number already."""
    penalty = 0.01 * sum(p.square().sum() for p in model.parameters())
    return {"mse": (prediction - target).square(), "penalty": penalty}


def data(n_rows: int = 40) -> tuple[Tensor, Tensor]:
    x = torch.randn(n_rows, 4, generator=torch.Generator().manual_seed(1))
    return x, x @ torch.tensor([1.0, -2.0, 0.5, 3.0])


def source(kind: str) -> Any:
    """Forty rows, 16 a batch: 16, 16 and 8."""
    x, y = data()
    if kind == "loader":
        return DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
    return Batches(x, y, batch_size=16, seed=3)


class Run:
    """A training with new objects, as in a new process; only the state file is carried over.

    ``start`` is the seed of the weights: a resumed run that took a single weight, moment or
    running mean from its own start instead of the file would end elsewhere.
    """

    def __init__(self, *, kind: str = "batches", scheduler: str = "step", start: int = 0) -> None:
        torch.manual_seed(start)
        self.model = Noisy()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.3)
        self.scheduler = SCHEDULERS[scheduler](self.optimizer)
        self.train, self.valid = source(kind), Batches(*data(24), batch_size=16)
        self.loss_terms: Callable = two_terms

    def fit(self, epochs: int, state: Path | None = None, **options: Any) -> pd.DataFrame:
        options = {"seed": 17, "scheduler": self.scheduler, "state": state, **options}
        return fit(
            self.model, self.train, self.valid, self.loss_terms, self.optimizer,
            epochs=epochs, **options,
        )  # fmt: skip

    def everything(self) -> list[Any]:
        scheduler = self.scheduler and self.scheduler.state_dict()
        return [self.model.state_dict(), self.optimizer.state_dict(), scheduler]


def same(one: Any, other: Any) -> bool:
    """Whether two nested states are equal, bit for bit."""
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


class Walk:
    """A training of one weight that grows by 1 at each step, one step an epoch.

    After epoch ``e`` (from 0) the weight is ``e + 1``, and the validation loss is
    ``valid_losses[e]``: what happens when can be read off the weight.
    """

    def __init__(self, valid_losses: Sequence[float]) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.model.weight)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1.0)
        self.valid_losses = torch.tensor(valid_losses, dtype=torch.float32)

    def loss_terms(self, model: nn.Module, prediction: Tensor, _: Tensor) -> dict[str, Tensor]:
        if model.training:
            return {"cost": -prediction}  # gradient -1, whatever the weight
        return {"cost": self.valid_losses[prediction.long() - 1]}

    @property
    def weight(self) -> float:
        return self.model.weight.item()

    def fit(self, **options: Any) -> pd.DataFrame:
        one = [(torch.ones(1, 1), torch.zeros(1, 1))]
        options = {"epochs": len(self.valid_losses), "seed": 0, **options}
        return fit(self.model, one, one, self.loss_terms, self.optimizer, **options)

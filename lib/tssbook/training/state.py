"""What a training knows between two epochs, and the file that it can be taken up from."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from tssbook.files import write_whole

__all__ = ["Run"]


class Run:
    """A training between two epochs: its history, its step, and its best weights.

    Parameters
    ----------
    model, optimizer, scheduler, seed, train, state
        As of :func:`tssbook.training.loop.fit`.

    Attributes
    ----------
    rows : list of dict
        The history, one row for each finished epoch.
    step : int
        Steps of the optimizer so far.
    best_epoch : int or None
        The epoch of the lowest validation loss.
    best_weights : dict of torch.Tensor
        The model's weights after that epoch; those it came with before the first one.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Any,
        scheduler: Any | None,
        seed: int,
        train: Iterable,
        state: str | Path | None,
    ) -> None:
        self.model, self.optimizer, self.scheduler = model, optimizer, scheduler
        self.path = None if state is None else Path(state)
        self.about = _describe(model, optimizer, scheduler, seed, train)
        self.rows: list[dict[str, float]] = []
        self.step = 0
        self.best_epoch: int | None = None
        self.best_weights = copy.deepcopy(model.state_dict())
        if self.path is not None:
            _require_repeatable(train)

    @property
    def epoch(self) -> int:
        """The epoch that comes next, counted from 0."""
        return len(self.rows)

    @property
    def best_loss(self) -> float:
        """The lowest validation loss so far; infinite before the first epoch."""
        return math.inf if self.best_epoch is None else self.rows[self.best_epoch]["valid_loss"]

    def keep_weights(self) -> None:
        """Remember the model's weights as those of the best epoch, the last in ``rows``."""
        weights = copy.deepcopy(self.model.state_dict())
        self.best_weights, self.best_epoch = weights, self.epoch - 1  # both or, at Ctrl-C, neither

    def epochs_since_best(self) -> int:
        """Count the epochs since the best one."""
        return 0 if self.best_epoch is None else self.epoch - 1 - self.best_epoch

    def history(self, stopped: str) -> pd.DataFrame:
        """Return the rows so far as a table."""
        table = pd.DataFrame(self.rows or {"epoch": [], "train_loss": [], "valid_loss": []})
        table.attrs = {"best_epoch": self.best_epoch, "stopped": stopped}
        return table

    def save(self) -> None:
        """Write the run into its file, if it has one; a crash leaves the old file whole."""
        if self.path is None:
            return
        content = {
            "about": self.about,
            "model": self.model.state_dict(),
            "best_weights": self.best_weights,
            "best_epoch": self.best_epoch,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "rows": self.rows,
            "step": self.step,
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole({self.path: buffer.getvalue()})

    def resume(self, device: torch.device) -> None:
        """Take up the run that is kept in its file, if there is one.

        Raises
        ------
        ValueError
            If the file is no whole state, or that of another training.
        """
        if self.path is None or not self.path.exists():
            return
        raw = io.BytesIO(self.path.read_bytes())
        try:
            content = torch.load(raw, map_location=device, weights_only=True)
            about = dict(content["about"])
        except Exception as error:  # reading damaged bytes can fail in any way
            raise ValueError(
                f"{self.path} is not the state of a training, or only a part of one "
                f"({type(error).__name__}); delete it to start anew."
            ) from error
        for name, value in self.about.items():
            if about.get(name) != value:
                raise ValueError(
                    f"{self.path} holds another training: its {name} is {about.get(name)}, not "
                    f"{value}; give another file, or delete it to start anew."
                )
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(content["scheduler"])
        self.best_weights, self.best_epoch = content["best_weights"], content["best_epoch"]
        self.rows, self.step = content["rows"], content["step"]


def _describe(
    model: nn.Module, optimizer: Any, scheduler: Any, seed: int, train: Iterable
) -> dict[str, Any]:
    """Describe what must be the same at the start of two runs for them to be one."""
    return {
        "format": 1,
        "model": type(model).__name__,
        "shapes": str({name: tuple(t.shape) for name, t in model.state_dict().items()}),
        "optimizer": type(optimizer).__name__,
        "scheduler": type(scheduler).__name__,
        # As the optimizer was made; a scheduler changes the rates of its groups, not these.
        "optimizer settings": str(optimizer.defaults),
        "seed": seed,
        "batch size": getattr(train, "batch_size", None),
        "number of rows": getattr(train, "n_rows", None),
    }


def _require_repeatable(train: Iterable) -> None:
    """Refuse a loader whose order cannot be had again after a break."""
    sources = (train, getattr(train, "sampler", None))
    if any(getattr(source, "generator", None) is not None for source in sources):
        raise ValueError(
            "The training data shuffle with a generator of their own, so a resumed run would see "
            "another order; leave the DataLoader's generator out (seed= of fit then counts), or "
            "use Batches(..., seed=...)."
        )
    if getattr(train, "persistent_workers", False):
        raise ValueError(
            "The training data keep their workers, and with them random numbers that a resumed run "
            "cannot have again; make the DataLoader without persistent_workers."
        )

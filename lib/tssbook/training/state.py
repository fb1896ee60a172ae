"""What a training knows between two epochs, and the file that it can be taken up from."""

from __future__ import annotations

import copy
import io
import math
import re
from collections.abc import Callable, Iterable
from operator import length_hint
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from tssbook.files import require_sound_zip, where_they_differ, write_whole
from tssbook.models.weights import bare
from tssbook.training.batches import Batches, fingerprint, qualified_name
from tssbook.training.ranks import Ranks

__all__ = ["Run"]

_FORMAT = 3  # of the file
# What a scheduler counts, or has made of the rates by now.
_MOVING = frozenset((
    "_get_lr_called_within_step", "_is_initial", "_last_lr", "_step_count", "best",
    "cooldown_counter", "last_epoch", "num_bad_epochs", "T_cur", "T_i",
))  # fmt: skip


class Run:
    """A training between two epochs: its history, its step, and its best weights.

    Parameters
    ----------
    model, optimizer, scheduler, state
        As of :func:`tssbook.training.loop.fit`.
    ranks
        The processes that train together: the first one writes, all read.

    Attributes
    ----------
    model : nn.Module
        Without what ``torch.compile`` or data parallelism has put around it.
    rows : list of dict
        The history, one row for each finished epoch.
    step : int
        Steps of the optimizer so far.
    best_epoch : int or None
        The epoch of the lowest validation loss.
    best_weights : dict of torch.Tensor
        The model's weights after that epoch; those it came with before the first one.
    trained_on : dict
        ``length`` of the training sequences and ``data``, the digest of the training data, as far
        as they are known.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Any,
        scheduler: Any | None,
        state: str | Path | None,
        ranks: Ranks,
    ) -> None:
        self.model, self.optimizer, self.scheduler = bare(model), optimizer, scheduler
        self.ranks = ranks
        self.path = None if state is None else Path(state)
        self.about: dict[str, str] = {}
        self.rows: list[dict[str, float]] = []
        self.step = 0
        self.best_epoch: int | None = None
        self.best_weights = copy.deepcopy(self.model.state_dict())
        self.trained_on: dict[str, Any] = dict(getattr(self.model, "trained_on", {}))

    @property
    def epoch(self) -> int:
        """The epoch that comes next, counted from 0."""
        return len(self.rows)

    @property
    def best_loss(self) -> float:
        """The lowest validation loss so far; infinite before the first epoch."""
        return math.inf if self.best_epoch is None else self.rows[self.best_epoch]["valid_loss"]

    def is_out_of(self, patience: int | None) -> bool:
        """Whether as many epochs as ``patience`` have passed since the best one."""
        if patience is None or self.best_epoch is None:
            return False
        return self.epoch - 1 - self.best_epoch >= patience

    def end_epoch(self, trained: dict[str, float], validated: dict[str, float]) -> None:
        """Add an epoch's means to the history, keep its weights if best, step the scheduler; save.

        Parameters
        ----------
        trained, validated
            ``loss`` and each term, means over the examples.
        """
        row = {f"train_{name}": mean for name, mean in trained.items()}
        row |= {f"valid_{name}": mean for name, mean in validated.items()}
        rows, best = (
            [*self.rows, {"epoch": self.epoch, **row}],
            (self.best_epoch, self.best_weights),
        )
        if validated["loss"] < self.best_loss:
            best = self.epoch, copy.deepcopy(self.model.state_dict())
        # In one statement, with no call in between where Ctrl-C could come: all of it, or nothing.
        self.rows, (self.best_epoch, self.best_weights) = rows, best
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(validated["loss"])
        elif self.scheduler is not None:
            self.scheduler.step()
        self.save()

    def history(self, stopped: str) -> pd.DataFrame:
        """Return the rows so far as a table."""
        table = pd.DataFrame(self.rows or {"epoch": [], "train_loss": [], "valid_loss": []})
        table.attrs = {"best_epoch": self.best_epoch, "stopped": stopped}
        return table

    def save(self) -> None:
        """Write the run into its file, if it has one; a crash leaves the old file whole."""
        if self.path is None or self.ranks.rank > 0:
            return
        content = {
            "format": _FORMAT,
            "about": self.about,
            "model": self.model.state_dict(),
            "best_weights": self.best_weights,
            "best_epoch": self.best_epoch,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "rows": self.rows,
            "step": self.step,
            "trained_on": self.trained_on,
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole({self.path: buffer.getvalue()})

    def resume(
        self,
        data: tuple[Iterable, Iterable],
        loss_terms: Callable,
        *,
        seed: int,
        clip_norm: float | None,
    ) -> None:
        """Take up the run that is kept in its file, if there is one; compare it among ranks.

        Parameters
        ----------
        data
            The training and the validation data; what makes a training one with that in the
            file, as do the other arguments.
        loss_terms, seed, clip_norm
            As of :func:`tssbook.training.loop.fit`.

        Raises
        ------
        ValueError
            If the training data cannot be repeated after a break, the file is no whole state,
            in another format, or that of another training, or the ranks differ.
        """
        if self.path is None and self.ranks.size == 1:
            return
        if self.path is not None:
            _require_repeatable(data[0])
        self.about = self._describe(data, loss_terms, seed, clip_norm)
        self.ranks.require_same(self.about)
        if self.path is not None:
            self._read()
        if self.ranks.size > 1:
            weights = fingerprint([tensor[None] for tensor in self.model.state_dict().values()])
            self.ranks.require_same(
                {"state file's epochs": self.epoch, "first weights": weights},
                "call torch.manual_seed before the model is made, and give state= a file that "
                "all of them see",
            )

    def _read(self) -> None:
        """Take up what the file holds, if there is one and it is that of this training."""
        if not self.path.exists():
            return
        if self.path.is_dir():
            raise ValueError(f"{self.path} is a folder; wanted the name of a file for the state.")
        raw = io.BytesIO(self.path.read_bytes())
        try:
            require_sound_zip(raw)
            content = torch.load(raw, map_location="cpu", weights_only=True)
            about = {"precision": "32-true", **content["about"]}  # older files do not say it
        except Exception as error:  # reading damaged bytes can fail in any way
            raise ValueError(
                f"{self.path} is not the state of a training, or only a part of one "
                f"({type(error).__name__}); delete it to start anew."
            ) from error
        if content.get("format") != _FORMAT:
            raise ValueError(
                f"{self.path} was saved by another version of tssbook: its format is "
                f"{content.get('format', 1)}, not {_FORMAT}; delete it to start anew."
            )
        for name, value in self.about.items():
            if (found := about.get(name, "unknown")) != value:
                found, value = where_they_differ(found, value)
                raise ValueError(
                    f"{self.path} holds another training: its {name} is {found}, not {value}; "
                    "give another file, or delete it to start anew."
                )
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(content["scheduler"])
        self.best_weights, self.best_epoch = content["best_weights"], content["best_epoch"]
        self.rows, self.step = content["rows"], content["step"]
        self.trained_on = content["trained_on"]

    def _describe(
        self,
        data: tuple[Iterable, Iterable],
        loss_terms: Callable,
        seed: int,
        clip_norm: float | None,
    ) -> dict[str, str]:
        """Describe what must be the same at the start of two runs for them to be one."""
        model = self.model
        shapes = {n: (tuple(t.shape), str(t.dtype)) for n, t in model.state_dict().items()}
        scheduler = {} if self.scheduler is None else self.scheduler.state_dict()
        about = {
            "model": type(model).__name__,
            "shapes": shapes,
            # Pooling, dropout and the like leave no trace in the weights.
            "settings": getattr(model, "config", None) or repr(model),
            "optimizer": type(self.optimizer).__name__,
            "scheduler": type(self.scheduler).__name__,
            "scheduler settings": _lasting(scheduler),
            # As the optimizer was made; a scheduler changes the rates of its groups, not these.
            "optimizer settings": self.optimizer.defaults,
            "seed": seed,
            "loss_terms": qualified_name(loss_terms),
            "clip_norm": None if clip_norm is None else float(clip_norm),
            "precision": self.ranks.precision,
        }
        for part, batches in zip(("training", "validation"), data, strict=True):
            tensors = getattr(getattr(batches, "dataset", None), "tensors", None)
            about_data = (
                batches.about
                if isinstance(batches, Batches)
                else {
                    "class": type(batches).__name__,
                    "batch size": getattr(batches, "batch_size", None),
                    "number of batches": length_hint(batches),
                    # Of a TensorDataset; what another data set holds cannot be seen from here.
                    "content": tensors and fingerprint(tensors),
                }
            )
            about |= {f"{name} of the {part} data": value for name, value in about_data.items()}
        return {name: _stable(value) for name, value in about.items()}


def _stable(value: object) -> str:
    """Write a value on one line, without addresses, which differ from process to process."""
    return " ".join(re.sub(" at 0x[0-9a-f]+", "", str(value)).split())


def _lasting(state: Any) -> Any:
    """Leave of a scheduler's state what does not change from step to step."""
    if isinstance(state, list):
        return [_lasting(part) for part in state]
    if isinstance(state, dict):
        return {name: _lasting(value) for name, value in state.items() if name not in _MOVING}
    return state


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

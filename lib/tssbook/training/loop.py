"""One training loop for every model of the book.

Chapter 1 writes the loop out by hand once, with PyTorch's ``Dataset`` and ``DataLoader``.
:func:`fit` is that loop with what a long run needs besides: named loss terms, the best weights
kept, a run that can be stopped and taken up again, and a stop when the loss is no number.
"""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm import tqdm

from tssbook.files import write_whole
from tssbook.training.batches import epoch_seed
from tssbook.training.prediction import on_device

__all__ = ["TrainingDiverged", "fit"]

LossTerms = Callable[..., dict[str, Tensor]]


class TrainingDiverged(ArithmeticError):
    """The loss became NaN or infinite; ``batch`` and ``history`` tell when and on what.

    Attributes
    ----------
    batch : tuple of torch.Tensor or None
        The batch at fault, of the training or of the validation data.
    history : pandas.DataFrame
        The epochs finished before.
    """

    def __init__(self, message: str, batch: tuple[Tensor, ...] | None = None) -> None:
        super().__init__(message)
        self.batch = batch
        self.history = pd.DataFrame()


def fit(
    model: nn.Module,
    train: Iterable,
    valid: Iterable,
    loss_terms: LossTerms,
    optimizer: torch.optim.Optimizer,
    *,
    epochs: int,
    seed: int,
    scheduler: Any | None = None,
    clip_norm: float | None = None,
    patience: int | None = None,
    state: str | Path | None = None,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Train a model; it ends with the weights of its best epoch, in evaluation mode.

    Parameters
    ----------
    model
        Called with the first tensor of a batch.
    train, valid
        Batches, tuples ``(x, target, ...)``: :class:`tssbook.training.batches.Batches`, a
        ``DataLoader``, or anything else that can be iterated over once an epoch. If it has
        ``set_epoch``, that is called first.
    loss_terms
        ``loss_terms(model, prediction, target, ...)`` returns named terms, per example or
        already reduced. Their means are added up to the loss, so weights belong inside.
    optimizer
        Made by the caller over ``model.parameters()``.
    epochs
        Passes through ``train``, counted from the very start of a resumed run.
    seed
        For dropout and the like. Each epoch has a random stream of its own; the global one is
        left as it was.
    scheduler
        From ``torch.optim.lr_scheduler``, stepped after each epoch (``ReduceLROnPlateau``
        with the validation loss).
    clip_norm
        Largest norm of the gradient.
    patience
        Stop after so many epochs without a better validation loss.
    state
        File in which the run is kept after each epoch. If it exists, the run goes on from
        there, and on a CPU ends bit for bit where it would have ended without the break.
    device
        None takes CUDA, Apple's MPS or the CPU, the first there is; the model goes back to
        where it was at the end.
    progress
        Show a progress bar.

    Returns
    -------
    pandas.DataFrame
        One row an epoch: ``epoch`` (from 0), ``train_loss``, ``train_TERM`` for each term,
        ``valid_loss``, ``valid_TERM``, all means over examples; the training values are taken
        while the weights move. ``attrs`` holds ``best_epoch`` and ``stopped`` (``"finished"``,
        ``"early"`` or ``"interrupted"``).

    Raises
    ------
    TrainingDiverged
        If the loss is NaN or infinite: names the step and the batch. The model then has its
        best weights so far, or those it came with.
    ValueError
        If ``patience`` is below 1, there are no batches, or ``state`` is broken or belongs to
        another run.

    Notes
    -----
    In each epoch the whole model is put into training mode, frozen layers too.

    Tensors of a batch's first place that are not floating point (one-hot bytes) become float32.

    Ctrl-C ends the training, not the program: the model has its best weights so far, and
    ``attrs["stopped"]`` is ``"interrupted"``.

    Examples
    --------
    >>> model = toy.ToyCNN()
    >>> history = fit(
    ...     model,
    ...     Batches(x_train, y_train, batch_size=128, seed=17),
    ...     Batches(x_valid, y_valid, batch_size=1024),
    ...     toy.loss_terms,
    ...     torch.optim.SGD(model.parameters(), lr=0.01),
    ...     epochs=50, seed=17, patience=10, state="run.pt",
    ... )
    >>> checkpoints.save(model, "my-model", metrics={"valid": history["valid_loss"].min()})
    """
    if patience is not None and patience < 1:
        raise ValueError(f"patience is {patience}; wanted 1 epoch or more, or None to never stop.")
    with on_device(model, device) as place:
        run = _Run(model, optimizer, scheduler, seed, train)
        if state is not None:
            _require_repeatable(train)
            run.resume(Path(state), place)
        bar = tqdm(total=epochs, initial=len(run.rows), disable=not progress, unit="epoch")
        stopped = "finished"
        try:
            while len(run.rows) < epochs:
                if patience is not None and run.epochs_since_best() >= patience:
                    stopped = "early"
                    break
                run.epoch(train, valid, loss_terms, clip_norm, place)
                if state is not None:
                    run.save(Path(state))
                bar.set_postfix(valid=f"{run.rows[-1]['valid_loss']:.4g}", refresh=False)
                bar.update()
        except KeyboardInterrupt:
            stopped = "interrupted"
        except TrainingDiverged as error:
            error.history = run.history("diverged")
            raise
        finally:
            bar.close()
            model.load_state_dict(run.best_weights)
    model.eval()
    return run.history(stopped)


class _Run:
    """What a training knows between two epochs; all of it goes into the ``state`` file."""

    def __init__(
        self, model: nn.Module, optimizer: Any, scheduler: Any, seed: int, train: Iterable
    ) -> None:
        self.model, self.optimizer, self.scheduler, self.seed = model, optimizer, scheduler, seed
        self.about = _describe(model, optimizer, scheduler, seed, train)
        self.rows: list[dict[str, float]] = []
        self.step = 0
        self.best_epoch: int | None = None
        self.best_weights = copy.deepcopy(model.state_dict())

    def epoch(
        self,
        train: Iterable,
        valid: Iterable,
        loss_terms: LossTerms,
        clip_norm: float | None,
        device: torch.device,
    ) -> None:
        """Train and validate once; add a row to the history."""
        epoch = len(self.rows)
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(epoch_seed(self.seed, epoch))
            self.model.train()
            trained = self._pass(
                train, loss_terms, device, lambda loss: self._update(loss, clip_norm)
            )
            self.model.eval()
            with torch.no_grad():
                validated = self._pass(valid, loss_terms, device)
        self.rows.append(
            {"epoch": epoch}
            | {f"train_{name}": value for name, value in trained.items()}
            | {f"valid_{name}": value for name, value in validated.items()}
        )
        if validated["loss"] < self._best_loss():
            best = copy.deepcopy(self.model.state_dict())
            self.best_weights, self.best_epoch = best, epoch  # both or, at Ctrl-C, neither
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(validated["loss"])
        elif self.scheduler is not None:
            self.scheduler.step()

    def _pass(
        self,
        batches: Iterable,
        loss_terms: LossTerms,
        device: torch.device,
        update: Callable[[Tensor], None] | None = None,
    ) -> dict[str, float]:
        """Go through the batches once; return each term's mean over the examples."""
        if hasattr(batches, "set_epoch"):
            batches.set_epoch(len(self.rows))
        sums: dict[str, float] = {}
        n_examples = 0
        for number, batch in enumerate(batches):
            x, *target = (tensor.to(device) for tensor in batch)
            x = x if x.is_floating_point() else x.float()  # sequences may be stored as bytes
            terms = _checked_terms(loss_terms(self.model, self.model(x), *target))
            means = [term.mean() for term in terms.values()]
            # Read back once a batch: on a GPU each time waits for the device.
            if len(means) == 1:
                loss = means[0]
                read = [loss.item()] * 2
            else:
                loss = torch.stack(means).sum()
                read = torch.stack([loss, *means]).tolist()
            values = dict(zip(("loss", *terms), read, strict=True))
            if not math.isfinite(values["loss"]):
                where = f"batch {number} of the {'training' if update else 'validation'} data"
                raise self._diverged(where, values, (x, *target))
            if update is not None:
                update(loss)
            n_examples += len(x)
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value * len(x)
        if n_examples == 0:
            raise ValueError(
                "The training or the validation data gave no batch in this epoch; wanted at "
                "least one (a generator is used up after the first epoch: pass a list)."
            )
        return {name: total / n_examples for name, total in sums.items()}

    def _update(self, loss: Tensor, clip_norm: float | None) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), clip_norm)
        self.optimizer.step()
        self.step += 1

    def _diverged(
        self, where: str, values: dict[str, float], batch: tuple[Tensor, ...]
    ) -> TrainingDiverged:
        first = self.best_epoch is None
        kept = "the weights it came with" if first else f"its weights of epoch {self.best_epoch}"
        terms = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        return TrainingDiverged(
            f"The loss is no longer a number at step {self.step} (epoch {len(self.rows)}, {where}: "
            f"{terms}); the model has {kept}: look at the batch, lower the learning "
            "rate, or clip the gradient.",
            batch,
        )

    def _best_loss(self) -> float:
        return math.inf if self.best_epoch is None else self.rows[self.best_epoch]["valid_loss"]

    def epochs_since_best(self) -> int:
        """Count the epochs since the best one."""
        return 0 if self.best_epoch is None else len(self.rows) - 1 - self.best_epoch

    def history(self, stopped: str) -> pd.DataFrame:
        """Return the rows so far as a table."""
        table = pd.DataFrame(self.rows or {"epoch": [], "train_loss": [], "valid_loss": []})
        table.attrs = {"best_epoch": self.best_epoch, "stopped": stopped}
        return table

    def save(self, path: Path) -> None:
        """Write the run beside ``path`` and rename it, so that a crash leaves the old one."""
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
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole({path: buffer.getvalue()})

    def resume(self, path: Path, device: torch.device) -> None:
        """Take up the run kept in ``path``, if there is one."""
        if not path.exists():
            return
        raw = io.BytesIO(path.read_bytes())
        try:
            content = torch.load(raw, map_location=device, weights_only=True)
            about = dict(content["about"])
        except Exception as error:  # reading damaged bytes can fail in any way
            raise ValueError(
                f"{path} is not the state of a training, or only a part of one "
                f"({type(error).__name__}); delete it to start anew."
            ) from error
        for name, value in self.about.items():
            if about.get(name) != value:
                raise ValueError(
                    f"{path} holds another training: its {name} is {about.get(name)}, not "
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


def _checked_terms(terms: Any) -> dict[str, Tensor]:
    if not isinstance(terms, dict):
        raise TypeError(
            f"loss_terms returned a {type(terms).__name__}; wanted a dict of tensors by name, such "
            'as {"mse": (prediction - target).square()}.'
        )
    if not terms or "loss" in terms:
        raise ValueError(
            f"loss_terms returned the terms {list(terms)}; wanted at least one, and none named "
            "loss, which is their sum."
        )
    return terms


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

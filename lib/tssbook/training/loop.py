"""One training loop for every model of the book.

Chapter 1 writes the loop out by hand once, with PyTorch's ``Dataset`` and ``DataLoader``.
:func:`fit` is that loop with what a long run needs besides: named loss terms, the best weights
kept, a run that can be stopped and taken up again, and a stop when the loss is no number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from tssbook.training.batches import Batches, epoch_seed
from tssbook.training.prediction import (
    on_device,
    require_rows,
    weights_dtype,
    with_gradients,
)
from tssbook.training.state import Run

__all__ = ["TrainingDiverged", "fit"]

LossTerms = Callable[..., dict[str, Tensor]]


class TrainingDiverged(ArithmeticError):
    """The loss became NaN or infinite; ``batch`` and ``history`` tell when and on what.

    Attributes
    ----------
    batch : tuple of torch.Tensor or None
        The batch at fault, of the training or of the validation data, on the training's device.
    history : pandas.DataFrame
        The epochs finished before.
    """

    def __init__(
        self,
        message: str,
        batch: tuple[Tensor, ...] | None = None,
        history: pd.DataFrame | None = None,
    ) -> None:
        super().__init__(message)
        self.batch, self.history = batch, pd.DataFrame() if history is None else history


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

    Its attribute ``trained_on`` then says the ``length`` of the training sequences and a digest of
    the training ``data`` (of :class:`tssbook.training.batches.Batches`); ``save`` keeps both.

    Parameters
    ----------
    model
        Called with the first tensor of a batch. Tensors that it returns, alone or in a tuple,
        have one row per example; anything else is left to ``loss_terms``.
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
        there, and on a CPU ends bit for bit where it would have ended without the break (on
        CUDA with ``torch.use_deterministic_algorithms(True)``). What is trained and
        how must be as the first time; ``epochs``, ``patience``, ``device`` may differ.
    device
        None takes CUDA, Apple's MPS or the CPU, the first there is; the model goes back to
        where it was at the end, and the optimizer's state with it.
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
    TypeError
        If ``loss_terms`` returns something else than a dict of tensors, or a batch is no tuple of
        tensors.
    ValueError
        If a number is out of range, there are no batches, a term is named ``loss``, an output
        does not have one row per example, ``train`` cannot be repeated after a break, ``state``
        is broken or belongs to another run, or ``optimizer`` holds none of the model's weights
        or only frozen ones, or these were made in inference mode.

    Notes
    -----
    In each epoch the whole model is put into training mode, frozen layers too.

    The first tensor of a batch (one-hot bytes, float64) is given the type of the model's weights.
    Targets that are not whole become ``float32`` (``float64`` where the weights are); whole
    numbers and masks stay as they are.

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
    >>> save(model, "my-model", metrics={"valid": history["valid_loss"].min()})
    """
    _require_numbers(epochs, seed, clip_norm, patience)
    _require_own(optimizer, model)
    with with_gradients(), _both_on_device(model, optimizer, device) as place:
        run = Run(model, optimizer, scheduler, state)
        run.resume((train, valid), loss_terms, seed=seed, clip_norm=clip_norm)
        bar = tqdm(total=epochs, initial=run.epoch, disable=not progress, unit="epoch")
        try:
            digest = _digest(train, run.about)
            while run.epoch < epochs and not run.is_out_of(patience):
                with _random_numbers_of(seed, run.epoch):
                    model.train()
                    trained = _Pass("training", train, model, run, place)
                    for x, *target in trained:
                        terms = loss_terms(model, trained.predict(x), *target)
                        loss = trained.add(terms)  # the sum of their means
                        optimizer.zero_grad()
                        loss.backward()
                        if clip_norm is not None:
                            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
                        optimizer.step()
                        run.step += 1
                    model.eval()
                    validated = _Pass("validation", valid, model, run, place)
                    with torch.no_grad():
                        for x, *target in validated:
                            terms = loss_terms(model, validated.predict(x), *target)
                            validated.add(terms)
                run.trained_on = {"length": trained.length, "data": digest}
                run.end_epoch(trained.means(), validated.means())
                bar.set_postfix(valid=f"{validated.means()['loss']:.4g}", refresh=False)
                bar.update()
            stopped = "finished" if run.epoch >= epochs else "early"
        except KeyboardInterrupt:  # ends the training, not the program
            stopped = "interrupted"
        finally:
            bar.close()
            run.model.load_state_dict(run.best_weights)
            run.model.trained_on = run.trained_on
    model.eval()
    return run.history(stopped)


class _Pass:
    """One pass over batches: puts them on the device, and adds up their losses."""

    def __init__(
        self, name: str, source: Iterable, model: nn.Module, run: Run, device: torch.device
    ) -> None:
        self.name, self.source, self.model, self.run, self.device = name, source, model, run, device
        self.kind = weights_dtype(run.model)
        self.sums: dict[str, float] = {}
        self.n_examples = 0

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        if hasattr(self.source, "set_epoch"):
            self.source.set_epoch(self.run.epoch)
        for number, batch in enumerate(self.source):
            self.number, self.batch = number, _placed(batch, self.device, self.kind)
            x = self.batch[0]
            self.length = x.shape[-1] if x.ndim > 1 else None
            yield self.batch
        if self.n_examples == 0:
            raise ValueError(
                f"The {self.name} data gave no batch in epoch {self.run.epoch}; wanted at least "
                "one (a generator is used up after the first epoch: pass a list)."
            )

    def predict(self, x: Tensor) -> Any:
        """Return what the model answers; refuse an answer that has lost rows."""
        prediction = self.model(x)
        require_rows(prediction, len(x))
        return prediction

    def add(self, terms: dict[str, Tensor]) -> Tensor:
        """Return the loss, the sum of the terms' means; refuse one that is no number."""
        means = [term.mean() for term in _checked_terms(terms).values()]
        # Read back once a batch: on a GPU each time waits for the device.
        if len(means) == 1:
            loss = means[0]
            read = [loss.item()] * 2
        else:
            loss = torch.stack(means).sum()
            read = torch.stack([loss, *means]).tolist()
        values = dict(zip(("loss", *terms), read, strict=True))
        if not math.isfinite(values["loss"]):
            message = self._divergence(values)
            raise TrainingDiverged(message, self.batch, self.run.history("diverged"))
        size = len(self.batch[0])
        self.n_examples += size
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * size
        return loss

    def means(self) -> dict[str, float]:
        """Return the loss and each term, means over the examples."""
        return {name: total / self.n_examples for name, total in self.sums.items()}

    def _divergence(self, values: dict[str, float]) -> str:
        best = self.run.best_epoch
        kept = "the weights it came with" if best is None else f"its weights of epoch {best}"
        terms = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        return (
            f"The loss is no longer a number at step {self.run.step} (epoch {self.run.epoch}, "
            f"batch {self.number} of the {self.name} data: {terms}); the model has {kept}: look at "
            "the batch, lower the learning rate, or clip the gradient."
        )


@contextmanager
def _both_on_device(
    model: nn.Module, optimizer: torch.optim.Optimizer, device: str | torch.device | None
) -> Iterator[torch.device]:
    """Move a model and with it the optimizer's state, there and back."""
    try:
        with on_device(model, device) as place:
            _follow_weights(optimizer)
            yield place
    finally:
        _follow_weights(optimizer)


def _follow_weights(optimizer: torch.optim.Optimizer) -> None:
    """Move an optimizer's tensors to where their weights are now."""
    for group in optimizer.param_groups:
        counts_there = group.get("fused") or group.get("capturable")  # else steps are on the CPU
        for weight in group["params"]:
            held = optimizer.state.get(weight, {})
            for name, value in held.items():
                if isinstance(value, Tensor) and (name != "step" or counts_there):
                    held[name] = value.to(weight.device)


def _placed(batch: Iterable[Tensor], device: torch.device, kind: torch.dtype) -> tuple[Tensor, ...]:
    """Put a batch on the device. The one place that decides about types."""
    if not isinstance(batch, tuple | list) or not all(isinstance(t, Tensor) for t in batch):
        raise TypeError(
            f"A batch is a {type(batch).__name__}; wanted a tuple of tensors, the input first."
        )
    x, *target = (t.clone() if t.is_inference() else t for t in batch)
    exact = torch.float64 if kind == torch.float64 else torch.float32
    target = (t.to(device, exact) if t.is_floating_point() else t.to(device) for t in target)
    return x.to(device, kind), *target


def _digest(train: Iterable, about: dict[str, str]) -> str | None:
    """Return the digest of the training data, computed anew where no state has asked for it."""
    if not isinstance(train, Batches):
        return None
    return about.get("content of the training data") or train.about["content"]


def _require_numbers(epochs: int, seed: int, clip_norm: float | None, patience: int | None) -> None:
    if isinstance(epochs, bool) or not isinstance(epochs, Integral) or epochs < 0:
        raise ValueError(f"epochs is {epochs!r}; wanted a whole number of 0 or more.")
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed is {seed!r}; wanted a whole number of 0 or more.")
    if clip_norm is not None and not (0 < clip_norm < math.inf):
        raise ValueError(f"clip_norm is {clip_norm!r}; wanted a number above 0, or None.")
    if patience is not None and patience < 1:
        raise ValueError(f"patience is {patience}; wanted 1 epoch or more, or None.")


def _require_own(optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """Refuse the optimizer of a model that was made before this one."""
    held = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    if not any(id(weight) in held for weight in model.parameters()):
        raise ValueError(
            "The optimizer holds none of the model's weights, so that none would change; wanted "
            "one made over model.parameters() after the model was made."
        )
    if not any(weight.requires_grad for weight in model.parameters() if id(weight) in held):
        raise ValueError(
            "All weights that the optimizer holds are frozen (requires_grad is False); wanted some "
            "that may change."
        )
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError(
            "The optimizer is LBFGS, which wants the loss several times a step; wanted one that "
            "takes a step for each batch, such as SGD or AdamW."
        )
    if any(weight.is_inference() for weight in model.parameters()):
        raise ValueError(
            "The model was made in inference mode, where weights can have no gradient; wanted one "
            "made outside of it."
        )


@contextmanager
def _random_numbers_of(seed: int, epoch: int) -> Iterator[None]:
    """Give an epoch a random stream of its own; then leave the global one as it was."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(epoch_seed(seed, epoch))
        yield


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
    if other := [name for name, term in terms.items() if not isinstance(term, Tensor)]:
        kind = type(terms[other[0]]).__name__
        raise TypeError(f"loss_terms returned {other[0]!r} as a {kind}; wanted tensors.")
    return terms

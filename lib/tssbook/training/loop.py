"""One training loop for every model of the book.

Chapter 1 writes the loop out by hand once, with PyTorch's ``Dataset`` and ``DataLoader``.
:func:`fit` is that loop with what a long run needs besides: named loss terms, the best weights
kept, a run that can be stopped and taken up again, and a stop when the loss is no number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from tssbook.sequence import require_positive, require_whole
from tssbook.training.batches import Batches, epoch_seed
from tssbook.training.passes import Pass, TrainingDiverged
from tssbook.training.prediction import on_device, with_gradients
from tssbook.training.ranks import Ranks
from tssbook.training.state import Run

__all__ = ["TrainingDiverged", "fit"]

LossTerms = Callable[..., dict[str, Tensor]]


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
    accumulate: int = 1,
    fabric: Any | None = None,
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
        how must be as the first time; ``epochs``, ``patience``, ``device``, ``accumulate`` and
        the number of ranks may differ.
    device
        None takes CUDA, Apple's MPS or the CPU, the first there is; the model goes back to
        where it was at the end, and the optimizer's state with it.
    progress
        Show a progress bar.
    accumulate
        In how many pieces each batch of ``train`` is worked off, for a GPU that has no room for
        the whole; the gradients of the pieces add up to that of the batch.
    fabric
        A ``lightning_fabric.Fabric`` that has been launched (``fabric.launch()``): it says on
        which devices to train, in which precision (``"32-true"`` or ``"bf16-mixed"``), and, with
        the strategy ``"ddp"``, on how many processes, the ranks. Each rank is given the same
        model, optimizer and data, and takes its share of the rows of each batch: the batch size
        is that of all ranks together. All end with the same weights and history.

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
    RankLost
        On the other ranks, if one was killed or has failed.
    TypeError
        If ``loss_terms`` returns something else than a dict of tensors, a batch is no tuple of
        tensors, or ``fabric`` is no Fabric.
    ValueError
        If a number is out of range, there are no batches, a term is named ``loss``, an output
        does not have one row per example, ``train`` cannot be repeated after a break, ``state``
        is broken or belongs to another run, or ``optimizer`` holds none of the model's weights
        or only frozen ones, or these were made in inference mode; if the ranks differ in their
        versions, settings, data or first weights; if batches have to be cut, and the model
        normalises over them; if there is a ``device`` besides ``fabric``.

    Notes
    -----
    In each epoch the whole model is put into training mode, frozen layers too.

    The first tensor of a batch (one-hot bytes, float64) is given the type of the model's weights.
    Targets that are not whole become ``float32`` (``float64`` where the weights are); whole
    numbers and masks stay as they are.

    Ctrl-C ends the training, not the program: the model has its best weights so far, and
    ``attrs["stopped"]`` is ``"interrupted"``. In one rank it ends that of all, after their batch.

    Pieces and ranks change a training by rounding alone, where a term of the loss is one number
    per example, a mean over them, or a penalty of the weights. What model and ``loss_terms`` draw
    at random (dropout) depends on the number of pieces and ranks; order, coins and ``transform``
    of the batches do not.

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
    ranks = Ranks(fabric, device)  # this process alone, without a fabric
    _require_sound(model, optimizer, ranks, epochs, seed, clip_norm, patience, accumulate)
    with with_gradients(), _both_on_device(model, optimizer, ranks.device) as place, ranks:
        run = Run(model, optimizer, scheduler, state, ranks)
        run.resume((train, valid), loss_terms, seed=seed, clip_norm=clip_norm)
        optimizer = ranks.setup(model, optimizer)
        hidden = not progress or ranks.rank > 0
        bar = tqdm(total=epochs, initial=run.epoch, disable=hidden, unit="epoch")
        try:
            digest = _digest(train, run.about)
            while run.epoch < epochs and not run.is_out_of(patience):
                with _random_numbers_of(seed, run.epoch):
                    model.train()
                    trained = Pass("training", train, run, ranks, place, accumulate)
                    for batch in trained:
                        optimizer.zero_grad()
                        for x, *target in trained.pieces(batch):  # one, unless told otherwise
                            terms = loss_terms(model, trained.predict(x), *target)
                            loss = trained.add(terms)  # the sum of their means
                            ranks.backward(loss)
                        if clip_norm is not None:
                            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
                        optimizer.step()
                        run.step += 1
                    model.eval()
                    validated = Pass("validation", valid, run, ranks, place)
                    with torch.no_grad():
                        for batch in validated:
                            for x, *target in validated.pieces(batch):
                                validated.add(loss_terms(model, validated.predict(x), *target))
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


def _digest(train: Iterable, about: dict[str, str]) -> str | None:
    """Return the digest of the training data, computed anew where no state has asked for it."""
    if not isinstance(train, Batches):
        return None
    return about.get("content of the training data") or train.about["content"]


def _require_sound(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    ranks: Ranks,
    epochs: int,
    seed: int,
    clip_norm: float | None,
    patience: int | None,
    accumulate: int,
) -> None:
    """Refuse what cannot be trained, or not by all ranks in one way."""
    _require_numbers(epochs, seed, clip_norm, patience, accumulate)
    _require_own(optimizer, model)
    ranks.require_parts(model, accumulate)
    ranks.require_same({"epochs": epochs, "patience": patience, "accumulate": accumulate})


def _require_numbers(
    epochs: int, seed: int, clip_norm: float | None, patience: int | None, accumulate: int
) -> None:
    require_whole(epochs=epochs, seed=seed)
    if clip_norm is not None and not (0 < clip_norm < math.inf):
        raise ValueError(f"clip_norm is {clip_norm!r}; wanted a number above 0, or None.")
    if patience is not None and patience < 1:
        raise ValueError(f"patience is {patience}; wanted 1 epoch or more, or None.")
    require_positive(accumulate=accumulate)


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

"""One pass over the batches of an epoch: where they go, and what their losses add up to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from tssbook.training.batches import fingerprint
from tssbook.training.prediction import require_rows, weights_dtype
from tssbook.training.ranks import Ranks
from tssbook.training.state import Run

__all__ = ["Pass", "TrainingDiverged"]


class TrainingDiverged(ArithmeticError):
    """The loss became NaN or infinite; ``batch`` and ``history`` tell when and on what.

    Attributes
    ----------
    batch : tuple of torch.Tensor or None
        The batch at fault, of the training or of the validation data, on the training's device;
        with ``accumulate`` or several ranks the piece of it that this rank was at.
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


class Pass:
    """One pass over batches: cuts them, puts them on the device, and adds up their losses.

    Parameters
    ----------
    name
        ``"training"`` or ``"validation"``, for messages.
    source
        The batches; ``set_epoch`` is called first if there is one.
    run
        The training that this is a part of.
    ranks
        The processes that share each batch.
    device
        Where this rank's model is.
    accumulate
        In how many pieces each rank works off its rows of a batch.
    """

    def __init__(
        self,
        name: str,
        source: Iterable,
        run: Run,
        ranks: Ranks,
        device: torch.device,
        accumulate: int = 1,
    ) -> None:
        self.name, self.source, self.run = name, source, run
        self.ranks, self.device, self.accumulate = ranks, device, accumulate
        self.kind = weights_dtype(run.model)
        self.sums: dict[str, float] = {}
        self.n_examples = 0

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield whole batches, the same on all ranks, as the source has them.

        Raises
        ------
        TypeError
            If one is no tuple of tensors.
        ValueError
            If there is none.
        """
        if hasattr(self.source, "set_epoch"):
            self.source.set_epoch(self.run.epoch)
        for number, batch in enumerate(self.source):
            x, self.number = _checked(batch)[0], number
            self.length = x.shape[-1] if x.ndim > 1 else None
            if number == 0 and self.ranks.size > 1:
                self.first = fingerprint(batch)
            with self.ranks.own_random_numbers():
                yield batch
        if self.n_examples == 0:
            raise ValueError(
                f"The {self.name} data gave no batch in epoch {self.run.epoch}; wanted at least "
                "one (a generator is used up after the first epoch: pass a list)."
            )

    def pieces(self, batch: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, ...]]:
        """Yield this rank's rows of a batch on the device, in pieces: whole for one rank alone.

        Ranks take the mean of their gradients in the last piece. A rank without a row borrows
        one, of which nothing counts: it must take part.

        Raises
        ------
        ValueError
            If a tensor does not have one row per example, and the batch has to be cut; or a rank
            without a row would spoil the statistics of a normalisation over the batch.
        """
        size, self.n_batch = self.ranks.size, len(batch[0])
        n_pieces = max(1, min(self.accumulate, math.ceil(self.n_batch / size)))
        if n_pieces * size > 1:
            _require_rows_of(batch, self.n_batch)
            self._require_row_for_each()
        for piece in range(n_pieces):
            rows = _share(self.n_batch, piece * size + self.ranks.rank, n_pieces * size)
            self.n_rows, self.piece = rows.stop - rows.start, piece
            part = batch
            if n_pieces * size > 1:
                part = [tensor[rows if self.n_rows else slice(1)] for tensor in batch]
            self.batch = _placed(part, self.device, self.kind)
            with self.ranks.without_mean(piece < n_pieces - 1):
                yield self.batch

    def predict(self, x: Tensor) -> Any:
        """Return what the model answers; refuse an answer that has lost rows."""
        prediction = self.ranks.predict(x)
        require_rows(prediction, len(x))
        return prediction

    def add(self, terms: dict[str, Tensor]) -> Tensor:
        """Return what a piece adds to its batch's loss, the sum of the terms' means.

        Weighted by its rows, so that the pieces' gradients, and the mean over ranks, make the
        gradient of the whole batch.

        Raises
        ------
        TrainingDiverged
            If the loss is no number, on all ranks if it is none on one.
        """
        means = [term.mean() for term in _checked_terms(terms).values()]
        # Read back once a piece: on a GPU each time waits for the device.
        if len(means) == 1:
            loss = means[0]
            read = loss.expand(2)
        else:
            loss = torch.stack(means).sum()
            read = torch.stack([loss, *means])
        found, n_rows = self.ranks.mean(read, self.n_rows, self._place())
        values = dict(zip(("loss", *terms), found, strict=True))
        if not math.isfinite(values["loss"]):
            message = self._divergence(values)
            raise TrainingDiverged(message, self.batch, self.run.history("diverged"))
        self.n_examples += n_rows
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * n_rows
        whole = self.n_rows * self.ranks.size == self.n_batch
        return loss if whole else loss * (self.n_rows * self.ranks.size / self.n_batch)

    def means(self) -> dict[str, float]:
        """Return the loss and each term, means over the examples."""
        return {name: total / self.n_examples for name, total in self.sums.items()}

    def _place(self) -> str:
        """Say where in the data this is; two ranks that say the same are at the same batch."""
        if self.ranks.size == 1:
            return ""
        return (
            f"epoch {self.run.epoch}, batch {self.number} of the {self.name} data, piece "
            f"{self.piece}, {self.n_batch} rows, first batch {self.first}"
        )

    def _require_row_for_each(self) -> None:
        """Refuse a borrowed row where the batch's statistics would count it."""
        if self.n_batch < self.ranks.size and any(
            isinstance(layer, nn.SyncBatchNorm) and layer.training
            for layer in self.run.model.modules()
        ):
            raise ValueError(
                f"Batch {self.number} of the {self.name} data has {self.n_batch} rows for "
                f"{self.ranks.size} ranks, and the model normalises over batches; wanted at least "
                "one row for each: another batch_size, or leave out the last rows."
            )

    def _divergence(self, values: dict[str, float]) -> str:
        best = self.run.best_epoch
        kept = "the weights it came with" if best is None else f"its weights of epoch {best}"
        terms = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        return (
            f"The loss is no longer a number at step {self.run.step} (epoch {self.run.epoch}, "
            f"batch {self.number} of the {self.name} data: {terms}); the model has {kept}: look at "
            "the batch, lower the learning rate, or clip the gradient."
        )


def _share(n: int, part: int, parts: int) -> slice:
    """Return which of ``n`` rows are in a part; parts differ by one row at most, longer first."""
    short, longer = divmod(n, parts)
    start = part * short + min(part, longer)
    return slice(start, start + short + (part < longer))


def _checked(batch: Any) -> tuple[Tensor, ...]:
    if not isinstance(batch, tuple | list) or not all(isinstance(t, Tensor) for t in batch):
        raise TypeError(
            f"A batch is a {type(batch).__name__}; wanted a tuple of tensors, the input first."
        )
    return batch


def _placed(batch: Iterable[Tensor], device: torch.device, kind: torch.dtype) -> tuple[Tensor, ...]:
    """Put a batch on the device. The one place that decides about types."""
    x, *target = (t.clone() if t.is_inference() else t for t in batch)
    exact = torch.float64 if kind == torch.float64 else torch.float32
    target = (t.to(device, exact) if t.is_floating_point() else t.to(device) for t in target)
    return x.to(device, kind), *target


def _require_rows_of(batch: tuple[Tensor, ...], n: int) -> None:
    for number, tensor in enumerate(batch):
        if tensor.ndim == 0 or len(tensor) != n:
            raise ValueError(
                f"Tensor {number} of a batch is {tuple(tensor.shape)} for {n} examples; wanted one "
                "row per example, because ranks and accumulate cut batches into their rows."
            )


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

"""One runner for every model, and the device that it runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from tqdm import tqdm

from tssbook.sequence import require_positive, require_sequences
from tssbook.training.memory import keep_memory

__all__ = [
    "on_device",
    "predict",
    "require_rows",
    "resolve_device",
    "run",
    "weights_dtype",
    "with_gradients",
]


@torch.no_grad()
def predict(
    model: nn.Module,
    x: Tensor,
    *,
    func: Callable[[nn.Module, Tensor], Tensor | tuple[Tensor, ...]] | None = None,
    batch_size: int = 16,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Tensor | tuple[Tensor, ...]:
    """Run a model over many sequences, in evaluation mode and without gradients.

    Parameters
    ----------
    model
        Returns one tensor, or several in a tuple, each with one row per sequence. Its mode and
        its device are as before afterwards.
    x
        ``(N, 4, L)``; converted to the type of the model's weights, so bytes are welcome.
    func
        ``func(model, x)`` is called instead of ``model(x)``, for what is to be kept of large
        outputs, such as those of :mod:`tssbook.interpret.funcs`.
    batch_size
        Sequences at a time; but for rounding, the result does not depend on it.
    device
        None takes CUDA, Apple's MPS or the CPU, the first there is.
    progress
        Show a progress bar.

    Returns
    -------
    torch.Tensor or tuple of torch.Tensor
        ``(N, ...)`` on the CPU; a tuple where the model returns one.

    Raises
    ------
    TypeError
        If ``x`` is no tensor, or the model returns something else than tensors.
    ValueError
        If ``x`` is not ``(N, 4, L)`` with at least one base, ``batch_size`` is below 1, or an
        output does not have one row per sequence.
    """
    require_sequences(x)
    require_positive(batch_size=batch_size)
    outputs = []
    with on_device(model, device) as place:
        model.eval()
        for part in tqdm(x.split(batch_size), disable=not progress, unit="batch"):
            output = run(model, part, place, func)
            heads = output if isinstance(output, tuple) else (output,)
            outputs.append([head.cpu() for head in heads])
    whole = tuple(torch.cat(parts) for parts in zip(*outputs, strict=True))
    return whole if isinstance(output, tuple) else whole[0]


def run(
    model: nn.Module, x: Tensor, place: torch.device, func: Callable | None = None
) -> Tensor | tuple[Tensor, ...]:
    """Call a model on one batch, on ``place`` and in the type of its weights; check its answer.

    With a func, ``func(model, x)`` is called.

    Returns
    -------
    torch.Tensor or tuple of torch.Tensor
        What the model returns, ``(N, ...)`` on ``place``; a list becomes a tuple.

    Raises
    ------
    TypeError
        If the model returns something else than a tensor or a tuple of tensors.
    ValueError
        If an output does not have one row per sequence.
    """
    if isinstance(func, str):
        raise TypeError(f"func is {func!r}; wanted a function, such as interpret.funcs.{func}.")
    x = x.to(place, weights_dtype(model))
    output = model(x) if func is None else func(model, x)
    output = tuple(output) if isinstance(output, list) else output
    for part in output if isinstance(output, tuple) else (output,):
        if not isinstance(part, Tensor):
            raise TypeError(
                f"The model returns a {type(part).__name__}; wanted a tensor or a tuple of tensors."
            )
        if part.ndim == 0:
            raise ValueError(
                f"The model returns one number for {len(x)} sequences; wanted one row per sequence."
            )
    require_rows(output, len(x))
    return output


def require_rows(output: object, n: int) -> None:
    """Refuse tensors, alone or in a tuple, with other than ``n`` rows; others are not looked at.

    Raises
    ------
    ValueError
        The message names the shape.
    """
    for part in output if isinstance(output, tuple | list) else (output,):
        if isinstance(part, Tensor) and part.ndim and len(part) != n:
            raise ValueError(
                f"The model returns {tuple(part.shape)} for {n} sequences; wanted one row per "
                "sequence."
            )


def weights_dtype(model: nn.Module) -> torch.dtype:
    """Return the type of a model's first weights that are no integers; float32 without any."""
    weights = (p.dtype for p in model.parameters() if p.is_floating_point())
    return next(weights, torch.float32)


def resolve_device(device: str | torch.device | None) -> torch.device:
    """Return the device asked for; None is CUDA, Apple's MPS or the CPU, the first there is.

    Raises
    ------
    ValueError
        There is no such device here.
    """
    if device is not None:
        try:
            place = torch.device(device)
        except (RuntimeError, TypeError):
            place = None
        here = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
        if place is None or (place.index or 0) >= here.get(place.type, 1):
            there = [f"cuda:{number}" for number in range(here["cuda"])] + ["mps"] * here["mps"]
            raise ValueError(
                f"device is {device!r}; wanted one that PyTorch has here: "
                f"{', '.join(['cpu', *there])}, or None for the fastest."
            )
        return place
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@contextmanager
def with_gradients() -> Iterator[None]:
    """Compute gradients in a block, also where the caller is in ``no_grad`` or inference mode."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def _full_precision() -> Iterator[None]:
    """Forbid TF32 in convolutions and matrix products for a block."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    if hasattr(cudnn, "conv"):  # from PyTorch 2.9 on; with it, allow_tf32 may not even be readable
        settings = [(cudnn.conv, "fp32_precision", "ieee"), (matmul, "fp32_precision", "ieee")]
    else:
        settings = [(cudnn, "allow_tf32", False), (matmul, "allow_tf32", False)]
    before = [getattr(part, name) for part, name, _ in settings]
    try:
        for part, name, value in settings:
            setattr(part, name, value)
        yield
    finally:
        for (part, name, _), value in zip(settings, before, strict=True):
            setattr(part, name, value)


@contextmanager
def on_device(
    model: nn.Module, device: str | torch.device | None, *, exact: bool = False
) -> Iterator[torch.device]:
    """Move a model for the length of a ``with`` block; then restore its device and mode.

    On a CPU the process keeps its freed memory from then on, which halves the time of a training
    step; see :func:`tssbook.training.memory.keep_memory`.

    Parameters
    ----------
    model
        Any model.
    device
        None takes CUDA, Apple's MPS or the CPU, the first there is.
    exact
        Multiply in full ``float32`` on CUDA too, where PyTorch by itself rounds the factors of
        convolutions to ten bits (TF32): for what are small differences of large numbers.
    """
    home = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    modes = {module: module.training for module in model.modules()}
    place = resolve_device(device)
    if place.type == "cpu":
        keep_memory()
    try:
        model.to(place)
        with _full_precision() if exact and place.type == "cuda" else nullcontext():
            yield place
    finally:
        model.to(home)
        for module, training in modes.items():
            module.training = training

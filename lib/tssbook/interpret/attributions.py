"""Which bases make a prediction: DeepLIFT/SHAP (Chapter 4, section 6).

tangermeme does the work. Here is the convention in which the book reports what it finds;
:mod:`tssbook.interpret.funcs` has the numbers that are explained: of ProCapNet one for the shape
and one for the size of initiation.

* *Multipliers* are what comes out of the backward pass: how much the number changes per unit of
  change of each input, between a sequence and one reference. Captum's answer is the multipliers
  times the difference ``x - reference``, so where both have the same base it says 0, and where
  they differ it says something about the reference's base as well.
* *Hypothetical contributions* say for each base at each position what it would contribute if it
  stood there: the multipliers times the difference of that base and the reference, summed over
  the four rows. TF-MoDISco reads these.
* *Contributions* are the hypothetical ones of the bases that do stand there, and 0 in the other
  three rows. **This is what the book draws and sums up**, and what tangermeme returns by default.

All are means over references. Contributions and Captum's answer have the same sum at each
position, so both add up to the prediction minus the mean prediction of the references.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from tqdm import tqdm

from tssbook.interpret.funcs import Func
from tssbook.interpret.heads import Asked, Columns, ProfileHead, asked
from tssbook.sequence import require_positive, require_sequences
from tssbook.training.prediction import on_device, with_gradients

__all__ = ["Attributions", "attribute"]

# Contributions may miss the differences of predictions by so much of the largest of these, and
# of the largest prediction: rounding, where no difference is large. Accelerators add up in other
# orders.
_OF_DIFFERENCE, _OF_PREDICTION, _OF_PREDICTION_ELSEWHERE = 1e-2, 1e-5, 1e-4

# Functions that are not linear, and have no hook where a model calls them by itself.
_BENT = frozenset((
    "abs", "adaptive_max_pool1d", "amax", "amin", "atan", "batch_norm", "celu", "clamp",
    "clamp_max", "clamp_min", "clip", "cos", "cumprod", "elu", "erf", "exp", "expm1", "gelu",
    "glu", "group_norm", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "instance_norm",
    "layer_norm", "leaky_relu", "log", "log1p", "log_softmax", "logsigmoid", "logsumexp",
    "masked_fill", "max", "max_pool1d", "maximum", "median", "min", "minimum", "mish",
    "normalize", "pow", "prelu", "prod", "quantile", "reciprocal", "relu6", "rms_norm", "rsqrt",
    "selu", "sigmoid", "silu", "sin", "softmax", "softmin", "softplus", "softsign", "sort",
    "sqrt", "square", "std", "tanh", "tanhshrink", "threshold", "topk", "var", "where",
))  # fmt: skip


class Attributions(NamedTuple):
    """What `attribute` returns, on the CPU.

    Attributes
    ----------
    contributions, hypothetical : torch.Tensor
        ``(N, 4, L)``, means over the references, in the unit of what is asked; see the module's
        docstring. ``contributions.sum(1)``, ``(N, L)``, is one number per base.
    deltas : torch.Tensor
        Convergence deltas, ``(N, n_shuffles)``: by how much the contributions against each
        reference miss the difference of the two predictions. Rounding, if all went well.
    """

    contributions: Tensor
    hypothetical: Tensor
    deltas: Tensor


def attribute(
    model: nn.Module,
    x: Tensor,
    func: Func | str | None = None,
    *,
    seed: int,
    n_shuffles: int = 20,
    batch_size: int = 16,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Attributions:
    """Explain a prediction base by base: DeepLIFT/SHAP against dinucleotide shuffles.

    Parameters
    ----------
    model
        Any model. Its mode and its device are as before afterwards. What is not linear in it must
        be a layer of ``torch.nn``, or one of the functions that run through layers here (see
        :class:`tssbook.interpret.heads.Asked`): ReLU, SiLU, softplus, sigmoid, tanh, GELU.
    x
        One-hot ``(N, 4, L)`` of any type, without N: a shuffle needs to know each base. The
        sequences are explained one by one.
    func
        What is explained, one number: ``"profile"`` (`ProfileHead`) or ``"count"`` of two heads,
        ``total("CAGE+")`` of tracks, or any function ``func(model, x) -> (N,)``; see
        :mod:`tssbook.interpret.funcs`. None is the one number that the model returns.
    seed
        Of the shuffles. Those of a sequence do not depend on the other sequences.
    n_shuffles
        References for each sequence.
    batch_size
        Pairs of sequence and reference at a time; the result does not depend on it.
    device
        None takes CUDA, Apple's MPS or the CPU, the first there is.
    progress
        Show a progress bar.

    Raises
    ------
    NotImplementedError
        If the contributions do not add up: the model does something that DeepLIFT takes for
        linear, such as to call ``torch.exp`` in ``forward``, where it has no hook.
    TypeError
        If ``x`` is no tensor, or the model has other outputs, or ``func`` gives several numbers.
    ValueError
        If ``x`` is not ``(N, 4, L)`` or holds something else than A, C, G and T, is too short
        for the model, or so repetitive that shuffling changes nothing, no ``func`` has that name,
        or a number is below 1.
    """
    require_positive(n_shuffles=n_shuffles, batch_size=batch_size)
    require_sequences(x, bases=True)
    with with_gradients(), on_device(model, device, exact=True) as place, _not_in_place(model):
        model.eval()
        parts = []
        for one in tqdm(x.split(1), disable=not progress, unit="sequence"):
            one = one.to(place, torch.float32, copy=True)  # inference mode's own has no gradient
            explained = asked(model, func, one)
            parts.append(_explained(explained, one, seed, n_shuffles, batch_size))
    return Attributions(*(torch.cat(part) for part in zip(*parts, strict=True)))


@contextmanager
def _not_in_place(model: nn.Module) -> Iterator[None]:
    """Let layers such as ``nn.ReLU(inplace=True)``, which hooks cannot follow, make a copy."""
    layers = [layer for layer in model.modules() if getattr(layer, "inplace", False) is True]
    try:
        for layer in layers:
            layer.inplace = False
        yield
    finally:
        for layer in layers:
            layer.inplace = True


def _explained(
    explained: Asked, x: Tensor, seed: int, n_shuffles: int, batch_size: int
) -> Attributions:
    """Explain one sequence ``(1, 4, L)``."""
    from tangermeme.deep_lift_shap import deep_lift_shap

    column = Columns(explained).eval()  # tangermeme puts its mode back
    with torch.no_grad():
        answer = column(x)
    if answer.shape[1] != 1:
        raise TypeError(
            f"There are {answer.shape[1]} numbers for each sequence; wanted one to explain: a func "
            "such as lambda model, x: model(x)[:, 0], or total('CAGE+') of tracks."
        )
    with warnings.catch_warnings():  # its word on the deltas: they are looked at below
        warnings.filterwarnings("ignore", "Convergence deltas", RuntimeWarning)
        multipliers, references = deep_lift_shap(
            column,
            x,
            n_shuffles=n_shuffles,
            batch_size=batch_size,
            random_state=seed,
            raw_outputs=True,
            return_references=True,
            device=x.device,
        )
    both = torch.cat([x, references[0].to(x)])  # (1 + n_shuffles, 4, L)
    if (both == x).all():
        raise ValueError(
            "Every shuffle of a sequence is the sequence itself, which has too few pairs of "
            "neighbours to choose from, so there is nothing to compare it with; wanted sequences "
            "such as a genome has."
        )
    with torch.no_grad():
        predicted = torch.cat([column(part) for part in both.split(batch_size)]).cpu()
    x, references = both[:1].cpu(), both[1:].cpu()
    multipliers = multipliers[0]  # (n_shuffles, 4, L)
    # What a base adds against a reference: its own multiplier minus that of the reference's base.
    hypothetical = multipliers - (references * multipliers).sum(1, keepdim=True)
    found = (hypothetical * x).sum((1, 2))  # (n_shuffles,)
    expected = (predicted[:1] - predicted[1:])[:, 0]
    share = _OF_PREDICTION if both.device.type == "cpu" else _OF_PREDICTION_ELSEWHERE
    _require_sum(found - expected, expected, share * predicted.abs().max(), explained, x)
    mean = hypothetical.mean(0, keepdim=True)  # (1, 4, L)
    return Attributions(mean * x, mean, (found - expected)[None])


def _require_sum(
    deltas: Tensor, expected: Tensor, rounding: Tensor, explained: Asked, x: Tensor
) -> None:
    """Refuse contributions that miss the differences of predictions, ``(n_shuffles,)``."""
    delta, difference = deltas.abs().max(), expected.abs().max()
    if not delta <= _OF_DIFFERENCE * difference + rounding:  # NaN is no sum either
        raise NotImplementedError(
            f"The contributions miss the differences of predictions by up to {delta:.2g}, where "
            f"these are up to {difference:.2g}; wanted at most {_OF_DIFFERENCE:.0%}. The model "
            f"does something that DeepLIFT takes for linear{_bent(explained, x)}: make each "
            "activation a layer of torch.nn in __init__ (nn.Mish() for F.mish), and a product of "
            "activations tangermeme.deep_lift_shap.BilinearOp. There is no rule for normalisations "
            "that depend on the sequence (all but nn.BatchNorm1d)."
        )


@torch.no_grad()
def _bent(explained: Asked, x: Tensor) -> str:
    """Name the functions that are not linear and that a ``forward`` calls by itself, and whose."""
    # A profile head's own product is with weights that stand still.
    around, found = ["" if isinstance(explained, ProfileHead) else "func"], {}

    class Listening(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
        ) -> Any:
            name = getattr(function, "__name__", "").strip("_")
            pair = name in ("mul", "div", "truediv") and isinstance(args[-1], Tensor)
            if around[-1] and (name in _BENT or pair):
                found[f"{name} in {around[-1]}"] = None
            return function(*args, **(kwargs or {}))

    def enter(name: str) -> Any:
        return lambda *_: around.append(name)

    def leave(*_: Any) -> None:
        around.pop()

    hooks = []
    for name, module in explained.named_modules():
        own = "" if type(module).__module__.startswith("torch.nn.") else type(module).__name__
        inner = name.removeprefix("model").removeprefix(".")
        where = f"the layer {inner} ({own})" if own and inner else own
        if module is explained:
            continue
        hooks.append(module.register_forward_pre_hook(enter(where)))
        hooks.append(module.register_forward_hook(leave))
    try:
        with Listening():
            explained(x)
    finally:
        for hook in hooks:
            hook.remove()
    return f" ({', '.join(found)})" if found else ""

"""A model and what is asked of it, as one module that others' tools can run.

Mutagenesis, DeepLIFT and Ledidi want a module that maps sequences to numbers: `asked` makes one of
a model and a func (:mod:`tssbook.interpret.funcs`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tssbook.interpret.funcs import (
    NAMED,
    Func,
    count,
    output,
    probabilities,
    shapes_of,
    totals,
    two_heads,
)
from tssbook.sequence import require_sequences
from tssbook.training.prediction import weights_dtype

__all__ = ["Asked", "Columns", "CountHead", "ProfileHead", "Totals", "asked", "require_one"]

# Functions that are not linear, as the layers that do the same: what DeepLIFT can follow.
_LAYERS = {
    "relu": nn.ReLU, "silu": nn.SiLU, "softplus": nn.Softplus, "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh, "gelu": nn.GELU,
}  # fmt: skip


class Asked(nn.Module):
    """A model and what is asked of it: ``(N, 4, L)`` to ``(N,)`` or ``(N, K)``.

    DeepLIFT replaces the gradient of what is not linear. It finds such layers by hooks on modules,
    so it would take a function that is called in ``forward`` for linear. Here ReLU, SiLU, softplus,
    sigmoid, tanh and GELU all run through a module, in whatever form they are called; not
    where they have settings of their own, such as another ``beta``.

    Parameters
    ----------
    model
        Any model.
    func
        What is asked.
    """

    def __init__(self, model: nn.Module, func: Func) -> None:
        super().__init__()
        self.model, self.func = model, func
        self.layers = nn.ModuleDict({name: layer() for name, layer in _LAYERS.items()})

    def forward(self, x: Tensor) -> Tensor:
        """Ask about one-hot ``(N, 4, L)``, which are cast to the type of the weights.

        Raises
        ------
        TypeError
            If the answer is not ``(N,)`` or ``(N, K)``.
        """
        with _ThroughModules(self.layers):
            answer = self.func(self.model, x.to(weights_dtype(self.model)))
        n = len(x)
        if not isinstance(answer, Tensor) or answer.ndim not in (1, 2) or len(answer) != n:
            who = "The model" if self.func is output else "func"
            raise TypeError(
                f"{who} returns {shapes_of(answer)} for {n} sequences; wanted ({n},) or ({n}, K), "
                "a number or a few for each: say which by a func, such as 'count' and 'strands' of "
                "two heads, 'totals' of tracks, or lambda model, x: model(x)[:, 0].sum(-1)."
            )
        return answer


class CountHead(Asked):
    """A model with two heads, asked for its `count`: ``(N, 4, L)`` to ``(N, 1)``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, count)


class Totals(Asked):
    """A network of Chapter 3, asked for its `totals`: ``(N, 4, L)`` to ``(N, T)``.

    ``ism(Totals(model), x)`` tells what each base change does to the totals.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, totals)


class ProfileHead(Asked):
    """One number for the shape of initiation: ``(N, 4, L)`` to ``(N, 1)``.

    The mean-centred logits, each weighted with the probability that the model gives its base for
    the sequence that is explained (the convention of BPNet, Avsec et al. 2021, and of ProCapNet's
    authors). So it says what lifts the logits where initiation is predicted above the others. The
    probabilities are computed once and then stand as they are, for the references and for changed
    sequences too: the head is linear in the logits. That is the same as to cut the gradient
    through the softmax, and the contributions add up.

    In-silico mutagenesis of this head therefore needs no pass of its own: it is
    ``(ism(model, x)[0] * head.weights).sum((-2, -1))``.

    Parameters
    ----------
    model
        Has two heads, as ProCapNet has.
    x
        The sequence that is explained, one-hot ``(1, 4, L)``.

    Attributes
    ----------
    weights : torch.Tensor
        ``(1, T, L_out)``: probability minus the mean probability, so they add up to 0.

    Raises
    ------
    TypeError
        If ``x`` is no tensor, or the model has other outputs.
    ValueError
        If ``x`` is not one sequence of A, C, G and T, or too short for the model.
    """

    weights: Tensor

    def __init__(self, model: nn.Module, x: Tensor) -> None:
        super().__init__(model, self._weighted)
        require_one(x)
        place = next((p.device for p in model.parameters()), x.device)
        with torch.no_grad():
            profile, counts = two_heads(model, x.to(place))
            proba = probabilities(profile, counts).reshape(1, counts.shape[1], -1)
        self.register_buffer("weights", (proba - proba.mean(-1, keepdim=True)).view_as(profile))

    def _weighted(self, model: nn.Module, x: Tensor) -> Tensor:
        return (two_heads(model, x)[0] * self.weights).sum((1, 2))[:, None]


class Columns(nn.Module):
    """The answers of an `Asked` as ``(N, K)``, also where there is one: what others' tools want."""

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self.asked = asked

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, 4, L)`` to ``(N, K)``."""
        return self.asked(x).reshape(len(x), -1)


def asked(model: nn.Module, func: Func | str | None, x: Tensor | None = None) -> Asked:
    """Put a model and a func together.

    Parameters
    ----------
    model
        Any model.
    func
        A function, the name of one of this module's, or None for `output`.
    x
        The one sequence ``(1, 4, L)`` that is explained; with it ``"profile"`` is a name too, of
        `ProfileHead`.

    Raises
    ------
    TypeError
        If ``func`` is neither a function nor a name.
    ValueError
        If there is no such name.
    """
    if func == "profile" and x is not None:
        return ProfileHead(model, x)
    names = sorted([*NAMED, "profile"] if x is not None else NAMED)
    wanted = (
        f"wanted a function (model, x) -> (N,) or (N, K), such as total({func!r}) of a track, or "
        f"one of {', '.join(names)}"
    )
    if isinstance(func, str) and func not in NAMED:
        raise ValueError(f"func is {func!r}; {wanted}.")
    if not (func is None or isinstance(func, str) or callable(func)):
        raise TypeError(f"func is {type(func).__name__}; {wanted}.")
    func = output if func is None else NAMED[func] if isinstance(func, str) else func
    return Totals(model) if func is totals else Asked(model, func)


def require_one(x: object) -> None:
    """Refuse what is not one sequence of A, C, G and T, ``(1, 4, L)``.

    Raises
    ------
    TypeError
        If ``x`` is no tensor.
    ValueError
        If it is something else, holds an N or more than one sequence.
    """
    require_sequences(x, bases=True)
    if len(x) != 1:
        raise ValueError(
            f"x holds {len(x)} sequences; wanted one, (1, 4, L): x[:1] is the first of them."
        )


class _ThroughModules(TorchFunctionMode):
    """Inside this context the functions of `_LAYERS` run through modules, in any form."""

    def __init__(self, layers: nn.ModuleDict) -> None:
        super().__init__()
        self.layers = layers

    def __torch_function__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        bare_name, rest = name.removesuffix("_"), args[1:]
        settings = [value for value in rest if not isinstance(value, bool)]
        if bare_name not in _LAYERS or settings or set(kwargs) - {"input", "inplace"}:
            return function(*args, **kwargs)
        x = args[0] if args else kwargs["input"]
        result = self.layers[bare_name](x)
        in_place = name.endswith("_") or kwargs.get("inplace") or True in rest
        return x.copy_(result) if in_place else result

"""The two outputs of a ProCapNet, and each of them as one number that can be explained.

Two outputs are profile logits ``(N, 2, L_out)`` and count logits ``(N, 1)``, as `ProCapNet`
returns them: all that attributions, variants and designs know of a model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tssbook.models.procapnet import to_proba
from tssbook.sequence import require_sequences
from tssbook.training.prediction import run

__all__ = ["CountHead", "ProfileHead", "require_one", "two_heads"]

_RELU = {"relu", "relu_"}  # functions, methods, and what works in place


def two_heads(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Call a model on sequences ``(N, 4, L)`` where they are; check that it has the two outputs.

    Gradients and mode are the caller's.

    Returns
    -------
    tuple
        ``profile_logits``, ``(N, 2, L_out)``, and ``count_logits``, ``(N, 1)``.

    Raises
    ------
    TypeError
        If the model returns something else.
    """
    outputs = run(model, x, x.device)
    found = [tuple(part.shape) for part in (outputs if isinstance(outputs, tuple) else (outputs,))]
    n = len(x)
    if len(found) != 2 or len(found[0]) != 3 or found[0][:2] != (n, 2) or found[1] != (n, 1):
        raise TypeError(
            f"The model returns {', '.join(map(str, found))} for {n} sequences; wanted profile "
            f"logits ({n}, 2, L_out) and count logits ({n}, 1), as ProCapNet returns them."
        )
    return outputs


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


class _Head(nn.Module):
    """A model whose ReLUs all run through a module.

    DeepLIFT replaces the gradient of what is not linear. It finds such layers by hooks on
    modules, so it would take a function that is called in ``forward`` for linear.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.relu = nn.ReLU()

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return profile logits ``(N, 2, L_out)`` and count logits ``(N, 1)``."""
        with _ThroughModule(self.relu):
            return two_heads(self.model, x)


class ProfileHead(_Head):
    """One number for the shape of initiation: ``(N, 4, L)`` to ``(N, 1)``.

    The mean-centred logits of both strands, each weighted with the probability that the model
    gives its base for the sequence that is explained (the convention of BPNet, Avsec et al. 2021,
    and of ProCapNet's authors). So it says what lifts the logits where initiation is predicted
    above the others. The probabilities are computed once and then stand as they are, for the
    references and for changed sequences too: the head is linear in the logits. That is the same
    as to cut the gradient through the softmax, and the contributions add up.

    In-silico mutagenesis of this head therefore needs no pass of its own: it is
    ``(ism(model, x)[0] * head.weights).sum((-2, -1))``.

    Parameters
    ----------
    model
        Returns profile logits and count logits, as ProCapNet does.
    x
        The sequence that is explained, one-hot ``(1, 4, L)``.

    Attributes
    ----------
    weights : torch.Tensor
        ``(1, 2, L_out)``: probability minus the mean probability, so they add up to 0.

    Raises
    ------
    TypeError
        If ``x`` is no tensor, or the model has other outputs.
    ValueError
        If ``x`` is not one sequence of A, C, G and T, or too short for the model.
    """

    weights: Tensor

    def __init__(self, model: nn.Module, x: Tensor) -> None:
        super().__init__(model)
        require_one(x)
        place = next((p.device for p in model.parameters()), x.device)
        with torch.no_grad():
            profile, _ = two_heads(model, x.to(place))
        proba = to_proba(profile)
        self.register_buffer("weights", proba - proba.mean())

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, 4, L)`` to ``(N, 1)``."""
        profile, _ = self.outputs(x)
        return (profile * self.weights).sum((1, 2))[:, None]


class CountHead(_Head):
    """The log of 1 + the counts of both strands: ``(N, 4, L)`` to ``(N, 1)``.

    Parameters
    ----------
    model
        Returns profile logits and count logits, as ProCapNet does.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, 4, L)`` to ``(N, 1)``."""
        return self.outputs(x)[1]


class _ThroughModule(TorchFunctionMode):
    """Inside this context a ReLU runs through a module, whatever form of it is called."""

    def __init__(self, relu: nn.Module) -> None:
        super().__init__()
        self.relu = relu

    def __torch_function__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if name not in _RELU:
            return function(*args, **kwargs)
        x = args[0] if args else kwargs["input"]
        result = self.relu(x)
        in_place = name == "relu_" or kwargs.get("inplace") or args[1:] == (True,)
        return x.copy_(result) if in_place else result

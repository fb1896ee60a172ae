"""Which bases make a prediction: DeepLIFT/SHAP on ProCapNet's two heads (Chapter 4, section 6).

tangermeme does the work. Here are the two numbers that it explains, one for the shape and one for
the size of initiation, and the convention in which the book reports what it finds:

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

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tssbook.models.procapnet import to_proba
from tssbook.sequence import decode
from tssbook.training.prediction import on_device

__all__ = ["Attributions", "CountHead", "ProfileHead", "attribute"]

_HEADS = ("profile", "count")


class Attributions(NamedTuple):
    """What `attribute` returns, on the CPU.

    Attributes
    ----------
    contributions, hypothetical : torch.Tensor
        ``(N, 4, L)``, means over the references, in the unit of the head; see the module's
        docstring. ``contributions.sum(1)``, ``(N, L)``, is one number per base.
    deltas : torch.Tensor
        Convergence deltas, ``(N, n_shuffles)``: by how much the contributions against each
        reference miss the difference of the two predictions. Rounding, if all went well.
    """

    contributions: Tensor
    hypothetical: Tensor
    deltas: Tensor


class _Head(nn.Module):
    """A model whose calls of ``torch.relu`` go through a module, where hooks can see them.

    DeepLIFT replaces the gradient of what is not linear. It finds such layers by hooks on
    modules, so a function that is called in ``forward`` would be taken for linear.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.relu = nn.ReLU()

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return profile logits ``(N, 2, L_out)`` and count logits ``(N, 1)``."""
        with _AsModule(self.relu):
            return run(self.model, x)


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
        with torch.no_grad():
            profile, _ = run(model, as_input(model, x))
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


def attribute(
    model: nn.Module,
    x: Tensor,
    head: str,
    *,
    seed: int,
    n_shuffles: int = 20,
    batch_size: int = 32,
    device: str | torch.device | None = None,
) -> Attributions:
    """Explain a prediction base by base: DeepLIFT/SHAP against dinucleotide shuffles.

    Parameters
    ----------
    model
        Returns profile logits and count logits, as ProCapNet does. Its mode and its device are
        as before afterwards.
    x
        One-hot ``(N, 4, L)`` of any type, without N: a shuffle needs to know each base. The
        sequences are explained one by one.
    head
        ``"profile"`` for `ProfileHead`, ``"count"`` for `CountHead`.
    seed
        Of the shuffles. Those of a sequence do not depend on the other sequences.
    n_shuffles
        References for each sequence.
    batch_size
        Pairs of sequence and reference at a time; the result does not depend on it.
    device
        None takes CUDA, Apple's MPS or the CPU, the first there is.

    Raises
    ------
    TypeError
        If ``x`` is no tensor, or the model has other outputs.
    ValueError
        If ``x`` is not ``(N, 4, L)`` or holds something else than A, C, G and T, is too short
        for the model, ``head`` is another one, or a number is below 1.
    """
    if head not in _HEADS:
        raise ValueError(f"head is {head!r}; wanted 'profile' or 'count'.")
    if n_shuffles < 1 or batch_size < 1:
        raise ValueError(
            f"n_shuffles is {n_shuffles} and batch_size {batch_size}; wanted 1 or more of both."
        )
    require_bases(x)
    with on_device(model, device):
        model.eval()
        parts = []
        for one in x.split(1):
            explained = ProfileHead(model, one) if head == "profile" else CountHead(model)
            parts.append(_explained(explained, one, seed, n_shuffles, batch_size))
    return Attributions(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _explained(
    head: nn.Module, x: Tensor, seed: int, n_shuffles: int, batch_size: int
) -> Attributions:
    """Explain one sequence ``(1, 4, L)``."""
    from tangermeme.deep_lift_shap import deep_lift_shap

    x = as_input(head, x)
    multipliers, references = deep_lift_shap(
        head.eval(),
        x,
        n_shuffles=n_shuffles,
        batch_size=batch_size,
        random_state=seed,
        raw_outputs=True,
        return_references=True,
        device=x.device,
    )
    both = torch.cat([x, as_input(head, references[0])])  # (1 + n_shuffles, 4, L)
    with torch.no_grad():
        predicted = torch.cat([head(part) for part in both.split(batch_size)]).cpu()
    x, references = both[:1].cpu(), both[1:].cpu()
    multipliers = multipliers[0]  # (n_shuffles, 4, L)
    # What a base adds against a reference: its own multiplier minus that of the reference's base.
    hypothetical = multipliers - (references * multipliers).sum(1, keepdim=True)
    found = (hypothetical * x).sum((1, 2))  # (n_shuffles,)
    expected = (predicted[:1] - predicted[1:])[:, 0]
    mean = hypothetical.mean(0, keepdim=True)  # (1, 4, L)
    return Attributions(mean * x, mean, (found - expected)[None])


class _AsModule(TorchFunctionMode):
    """Inside this context ``torch.relu`` runs through a module."""

    def __init__(self, relu: nn.Module) -> None:
        super().__init__()
        self.relu = relu

    def __torch_function__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return self.relu(*args) if function is torch.relu else function(*args, **(kwargs or {}))


# --- what tssbook.interpret.design needs as well --------------------------------------------------------


def run(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the model's profile and count logits; refuse a model with other outputs."""
    outputs = model(x)
    if isinstance(outputs, tuple) and len(outputs) == 2:
        shapes = [tuple(part.shape) for part in outputs]
        if len(shapes[0]) == 3 and shapes[0][:2] == (len(x), 2) and shapes[1] == (len(x), 1):
            return outputs
    else:
        shapes = [getattr(outputs, "shape", type(outputs).__name__)]
    raise TypeError(
        f"The model returns {', '.join(map(str, shapes))} for {len(x)} sequences; wanted profile "
        "logits (N, 2, L) and count logits (N, 1), as ProCapNet returns them."
    )


def as_input(model: nn.Module, x: Tensor) -> Tensor:
    """Return ``x`` on the device and in the type of the model's weights."""
    weights = next(model.parameters())
    return x.to(weights.device, weights.dtype)


def require_bases(x: Tensor) -> None:
    """Refuse what is not one-hot ``(N, 4, L)``, and any N in it."""
    if not isinstance(x, Tensor):
        raise TypeError(f"x is {type(x).__name__}; wanted a tensor (N, 4, L): call one_hot first.")
    if x.ndim != 3 or x.shape[1] != 4 or x.numel() == 0:
        raise ValueError(f"x is {tuple(x.shape)}; wanted (N, 4, L) with at least one base.")
    for number, letters in enumerate(decode(x)):
        if "N" in letters:
            raise ValueError(
                f"x has an N at position {letters.index('N')} of sequence {number} (counted from "
                "0); wanted A, C, G and T only: choose a window without N."
            )


def require_one(x: Tensor) -> None:
    """Refuse what is not one sequence of A, C, G and T, ``(1, 4, L)``."""
    require_bases(x)
    if len(x) != 1:
        raise ValueError(
            f"x holds {len(x)} sequences; wanted one, (1, 4, L): x[:1] is the first of them."
        )

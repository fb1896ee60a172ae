"""What a check of an exercise returns, and what all checks share.

A check returns a :class:`Verdict`; shown in a notebook it is one sentence. An answer of None
counts as not attempted, so that the notebooks run before anybody has solved them. An answer of
the wrong type or shape gets a sentence too; only errors inside the answer's own code are raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

__all__ = [
    "EMPTY",
    "Verdict",
    "asked",
    "keys_fault",
    "matched",
    "not_passed",
    "number",
    "numbers",
    "numbers_fault",
    "one_hot_fault",
    "short",
]


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes
    ----------
    passed : bool or None
        None if there was nothing to check yet.
    message : str
        One sentence for the reader.
    """

    passed: bool | None
    message: str

    def __repr__(self) -> str:
        """Return the mark and the message, which is what a notebook shows."""
        mark = {True: "Passed", False: "Not yet", None: "Not attempted yet"}[self.passed]
        return f"{mark}: {self.message}" if self.message else f"{mark}."


EMPTY = Verdict(None, "")


def numbers(given: object) -> np.ndarray | None:
    """Return an array of floats, or None where numpy finds no numbers."""
    try:
        if isinstance(given, Tensor):
            given = given.detach().cpu().double().numpy()
        return np.asarray(given, dtype=float)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


@torch.no_grad()
def asked(model: nn.Module, x: Tensor) -> object:
    """Ask a model in evaluation mode, on its own device, and restore its mode."""
    place = next((weights.device for weights in model.parameters()), x.device)
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        return model(x.to(place, copy=True))  # a model may write into its input
    finally:
        for module, training in modes:
            module.training = training


def one_hot_fault(x: Tensor, name: str) -> str | None:
    if not ((x == 0) | (x == 1)).all() or (x.sum(1) > 1).any():
        return f"{name} is not one-hot: wanted a single 1 in each column, and zeros."
    return None


def number(given: object) -> float | None:
    found = None if given is None or isinstance(given, str) else numbers(given)
    return float(found) if found is not None and found.shape == () and np.isfinite(found) else None


def short(given: object) -> str:
    return repr(given) if isinstance(given, str | float) else f"a {type(given).__name__}"


def not_passed(fault: str | None, missing: Sequence[str]) -> Verdict:
    if fault is not None:
        return Verdict(False, fault)
    return Verdict(None, f"right so far; still to come: {', '.join(missing)}.")


def matched(
    found: np.ndarray,
    ways: Iterable[tuple[str, Tensor]],
    otherwise: str,
    *,
    rtol: float = 0,
    atol: float = 1e-3,
) -> str | None:
    """Return the sentence of the first way to these numbers, None for the right one, ``""``."""
    for sentence, way in ways:
        if np.allclose(found, way.numpy(), rtol=rtol, atol=atol):
            return sentence or None
    return otherwise


def keys_fault(name: str, given: object, keys: Sequence[str]) -> str | None:
    wanted = ", ".join(map(repr, keys))
    if not isinstance(given, Mapping):
        return f"{name} is {short(given)}; wanted a dict with the keys {wanted}."
    if set(given) != set(keys):
        has = ", ".join(map(repr, given)) or "none"
        return f"the keys of {name} are {has}; wanted {wanted}."
    return None


def numbers_fault(name: str, given: object, keys: Sequence[str], why_nan: str) -> str | None:
    if fault := keys_fault(name, given, keys):
        return fault
    for key in keys:
        value = None if given[key] is None or isinstance(given[key], str) else numbers(given[key])
        if value is None or value.shape != ():
            return f"{name}[{key!r}] is {short(given[key])}; wanted one number."
        if np.isnan(value):
            return f"{name}[{key!r}] is NaN: {why_nan}"
    return None

"""What a check of an exercise returns, and what all checks share.

A check returns a :class:`Verdict`; shown in a notebook it is one sentence. An answer of None
counts as not attempted, so that the notebooks run before anybody has solved them. An answer of
the wrong type or shape gets a sentence too; only errors inside the answer's own code are raised.
What decides is validation data, or data of which nothing was chosen: where a check tells a test
error, it does so once, when all else is right.

Inside a check a mistake is raised as a :class:`Fault` and returned as a verdict by :func:`check`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from inspect import signature
from types import MappingProxyType
from typing import Any, NamedTuple, ParamSpec

import numpy as np
import torch
from torch import Tensor, nn

from tssbook.training import predict

__all__ = [
    "EMPTY",
    "Fault",
    "Verdict",
    "answered",
    "array",
    "check",
    "matched",
    "networks_differ",
    "number",
    "numbers",
    "places",
    "predicted",
    "require_function",
    "require_keys",
    "require_largest",
    "require_sequence",
    "short",
    "unfinished",
    "worst",
]

_P = ParamSpec("_P")


class Verdict(NamedTuple):
    """What a check found.

    Attributes
    ----------
    passed : bool or None
        None while a part of the answer is missing.
    message : str
        One sentence for the reader; empty where nothing was attempted.
    numbers : mapping of str to float
        The numbers of the message by name, where the answer is right.
    exercise : str
        Chapter and exercise, such as ``1.2``.
    """

    passed: bool | None
    message: str
    numbers: Mapping[str, float] = MappingProxyType({})
    exercise: str = ""

    def __repr__(self) -> str:
        """Return the mark and the message, which is what a notebook shows."""
        if not self.message:
            return "Not attempted yet."
        if self.passed is None:
            return self.message[0].upper() + self.message[1:]
        return f"{'Passed' if self.passed else 'Not yet'}: {self.message}"


EMPTY = Verdict(None, "")


class Fault(Exception):
    """A mistake in an answer, in one sentence."""


def check(exercise: str) -> Callable[[Callable[_P, Verdict]], Callable[_P, Verdict]]:
    """Make a function the check of an exercise: it returns a :class:`Fault` as a verdict."""

    def decorated(function: Callable[_P, Verdict]) -> Callable[_P, Verdict]:
        @wraps(function)
        def checked(*args: _P.args, **kwargs: _P.kwargs) -> Verdict:
            try:
                verdict = function(*args, **kwargs)
            except Fault as fault:
                verdict = Verdict(False, str(fault))
            return verdict._replace(exercise=exercise)

        return checked

    return decorated


def unfinished(answers: Mapping[str, object]) -> Verdict | None:
    """Return the verdict that names what is still missing, or None where nothing is."""
    missing = [name for name, answer in answers.items() if answer is None]
    if len(missing) == len(answers):
        return EMPTY
    return Verdict(None, f"right so far; still to come: {', '.join(missing)}.") if missing else None


def matched(
    found: Any,
    ways: Iterable[tuple[str, Any]],
    otherwise: str,
    *,
    same: Callable[[Any, Any], bool] | None = None,
    rtol: float = 0,
    atol: float = 1e-3,
) -> None:
    """Look for the way that an answer was found, and refuse it by that way's sentence.

    Parameters
    ----------
    found
        The answer.
    ways
        Pairs of a sentence and what this way gives. The right way's sentence is ``""``.
    otherwise
        What to say where no way fits.
    same
        Whether the answer is what a way gives; None compares numbers, up to ``rtol`` and ``atol``,
        and takes NaN for NaN.

    Raises
    ------
    Fault
        Unless the first way that fits is the right one.
    """
    for sentence, way in ways:
        fits = same(found, way) if same else np.allclose(found, way, rtol, atol, equal_nan=True)
        if fits:
            if sentence:
                raise Fault(sentence)
            return
    raise Fault(otherwise)


def predicted(model: nn.Module, x: Tensor, batch_size: int = 16) -> Any:
    """Ask a model as :func:`tssbook.training.predict` does; it may write into its input."""
    return predict(model, x.detach().clone(), batch_size=batch_size)


def answered(name: str, model: nn.Module, x: Tensor, batch_size: int = 16) -> Any:
    """Ask a model that is a part of the answer; refuse it where it fails."""
    try:
        return predicted(model, x, batch_size)
    except (RuntimeError, TypeError, ValueError) as error:
        first_line = str(error).partition("\n")[0]
        raise Fault(f"{name} fails on an input of {tuple(x.shape)}: {first_line}") from error


# --- the form of answers ----------------------------------------------------------------------


def short(given: object) -> str:
    """Name an answer: text, numbers and None as they are, everything else by its type."""
    if given is None or isinstance(given, str | float):
        return repr(given)
    name = type(given).__name__
    return f"{'an' if name[0] in 'aeioAEIO' or name == 'ndarray' else 'a'} {name}"


def numbers(given: object) -> np.ndarray | None:
    """Return an array of floats, or None where numpy finds no numbers."""
    try:
        if isinstance(given, Tensor):
            given = given.detach().cpu().double().numpy()
        return None if given is None else np.asarray(given, dtype=float)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


def array(name: str, given: object, shape: Sequence[int], advice: str = "") -> np.ndarray:
    """Return an answer as an array of this shape; refuse any other, with a piece of advice."""
    found, shape = numbers(given), tuple(shape)
    if found is None or found.shape != shape:
        has = short(given) if found is None else found.shape
        raise Fault(f"{name} is {has}; wanted {shape}{advice}.")
    return found


def places(name: str, given: object, n: int, end: int, advice: str = "") -> np.ndarray:
    """Return an answer as ``n`` different whole numbers from 0 to ``end - 1``; refuse others."""
    found = array(name, given, (n,), f": {n} numbers from 0 to {end - 1}")
    wrong = found[(found % 1 != 0) | (found < 0) | (found >= end)]
    if len(wrong):
        raise Fault(f"{name} holds {wrong[0]:g}; wanted 0 to {end - 1}{advice}.")
    if len(set(found)) < n:
        raise Fault(f"{name} holds a number twice; wanted {n} different ones.")
    return found.astype(int)


def require_largest(
    chosen: np.ndarray,
    size: np.ndarray,
    ways: Sequence[tuple[str, np.ndarray]],
    name: Callable[[int], str],
    advice: str,
) -> None:
    """Refuse places that do not have the largest sizes; the ways are other sizes, as in matched."""
    missing = next((i for i in np.argsort(-size) if i not in chosen), 0)
    least = chosen[size[chosen].argmin()]
    matched(
        chosen,
        [("", size), *ways],
        f"{name(missing)} changes by {size[missing]:,.3g}, and {name(least)} only by "
        f"{size[least]:,.3g}: {advice}.",
        same=lambda chosen, sizes: np.allclose(
            np.sort(sizes[chosen]), np.sort(sizes)[-len(chosen) :]
        ),
    )


def number(name: str, given: object, *, why_nan: str | None = "wanted one number.") -> float:
    """Return an answer as a number; refuse text, arrays, and NaN unless its reason is None."""
    found = None if isinstance(given, str) else numbers(given)
    if found is None or found.shape != ():
        raise Fault(f"{name} is {short(given)}; wanted one number.")
    if why_nan and np.isnan(found):
        raise Fault(f"{name} is NaN: {why_nan}")
    return float(found)


def worst(name: str, found: np.ndarray, wanted: np.ndarray | Tensor) -> str:
    """Name the element of an answer that is farthest from what it should be."""
    wanted = np.asarray(wanted)
    i = np.unravel_index(np.abs(found - wanted).argmax(), found.shape)
    return f"{name}[{', '.join(map(str, i))}] is {found[i]:.4g}, and should be {wanted[i]:.4g}"


def require_function(name: str, given: object, *of: str) -> None:
    """Refuse what cannot be called with so many arguments, and a network, which can."""
    wanted = f"wanted a function of {' and '.join(', '.join(of).rsplit(', ', 1))}."
    if not callable(given) or isinstance(given, nn.Module):
        raise Fault(f"{name} is {short(given)}; {wanted}")
    try:
        takes = signature(given)
    except (TypeError, ValueError):  # some that are written in C do not say what they take
        return
    try:
        takes.bind(*of)
    except TypeError as error:
        raise Fault(f"{name} is called as {name}{takes}; {wanted}") from error


def require_keys(name: str, given: object, keys: Sequence[str]) -> None:
    """Refuse what is not a dict with exactly these keys."""
    wanted = ", ".join(map(repr, keys))
    if not isinstance(given, Mapping):
        raise Fault(f"{name} is {short(given)}; wanted a dict with the keys {wanted}.")
    if set(given) != set(keys):
        has = ", ".join(map(repr, given)) or "none"
        raise Fault(f"the keys of {name} are {has}; wanted {wanted}.")


def require_sequence(
    name: str,
    given: object,
    shape: Sequence[int],
    advice: str = ": replace bases, do not insert or remove them",
    *,
    bases: bool = True,
) -> None:
    """Refuse what is not a one-hot tensor of this shape; N only where ``bases`` is False."""
    shape = tuple(shape)
    if not isinstance(given, Tensor):
        raise Fault(f"{name} is {short(given)}; wanted a tensor {shape}.")
    if given.shape != shape:
        if given.shape == shape[1:]:
            advice = f": keep the first axis, {name}[None]"
        raise Fault(f"{name} is {tuple(given.shape)}; wanted {shape}{advice}.")
    if not ((given == 0) | (given == 1)).all() or (given.sum(1) > 1).any():
        raise Fault(f"{name} is not one-hot: wanted a single 1 in each column, and zeros.")
    if bases and not given.any(1).all():
        raise Fault(f"{name} has columns that are all zero (N); wanted bases.")


def networks_differ(name: str, given: Mapping[str, object], advice: str) -> None:
    """Refuse a dict of two networks where one is none, or both have the same weights."""
    for key, net in given.items():
        if not isinstance(net, nn.Module):
            raise Fault(f"{name}[{key!r}] is {short(net)}; wanted the trained network.")
    first, second = (net.state_dict() for net in given.values())
    if first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first):
        raise Fault(f"both networks have the same weights; {advice}")

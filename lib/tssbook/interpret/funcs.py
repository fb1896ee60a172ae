"""What is asked of a model: which of its numbers mutagenesis, attributions and designs are about.

A ``func`` is a function ``func(model, x)`` that runs a model on sequences ``(N, 4, L)`` and returns
one number for each, ``(N,)``, or a few, ``(N, K)``; differentiable, where attributions or designs
are to be made. It is called on batches. All of this room take one: ``ism``, ``attribute``,
``score_variants`` and ``design``; None is the model's own output. What is often asked is here, and
may be given by name: `count` and `strands` of networks with two heads, `totals` of tracks. Anything
else is one line, such as ``lambda model, x: model(x)[:, 0].amax(-1)``.

Two heads are profile logits ``(N, T, L_out)`` and count logits, ``(N, 1)`` of all tracks together
or ``(N, T)`` of each, as `ProCapNet` returns them with the + and the - strand for tracks. One
softmax goes over what one count counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor, nn

from tssbook.data.tracks import TRACKS
from tssbook.models.procapnet import ProCapNet
from tssbook.models.puffin import MARGIN, Puffin, SimpleNet
from tssbook.models.weights import bare
from tssbook.training.prediction import run

__all__ = [
    "NAMED",
    "Func",
    "count",
    "named",
    "output",
    "probabilities",
    "require_two_heads",
    "shapes_of",
    "strands",
    "total",
    "totals",
    "track_index",
    "track_names",
    "two_heads",
    "usual",
]

# A function of a model and sequences (N, 4, L) that returns (N,) or (N, K).
Func: TypeAlias = Callable[[nn.Module, Tensor], Tensor]

# --- functions that are often asked -------------------------------------------------------------


def output(model: nn.Module, x: Tensor) -> Tensor:
    """Return what a model with one output says by itself, ``(N,)`` or ``(N, K)``."""
    return run(model, x, x.device)


def count(model: nn.Module, x: Tensor) -> Tensor:
    """Return the count logits of a network with two heads: ``ln(1 + counts)``, ``(N, 1)``.

    Raises
    ------
    TypeError
        If the model returns something else.
    """
    return two_heads(model, x)[1]


def strands(model: nn.Module, x: Tensor) -> Tensor:
    """Return the log probability of each strand of a network with two heads, ``(N, 2)``.

    The + strand first: the log of the sum of the exponentials of each strand's logits, normalised
    over the two.

    Raises
    ------
    TypeError
        If the model has not two heads, or not two strands with one count.
    """
    profile, counts = two_heads(model, x)
    if profile.shape[1] != 2 or counts.shape[1] != 1:
        raise TypeError(
            f"The model returns {profile.shape[1]} tracks with {counts.shape[1]} counts; wanted "
            "the + and the - strand with one count for both."
        )
    return profile.logsumexp(-1).log_softmax(-1)


def totals(model: nn.Module, x: Tensor) -> Tensor:
    """Return each track's total over the central positions, ``(N, T)``, of a network of Chapter 3.

    `MARGIN` positions at either end are left out.

    Raises
    ------
    ValueError
        If the tracks have no central positions.
    """
    tracks = model(x)
    is_tracks = isinstance(tracks, Tensor) and tracks.ndim == 3
    if not is_tracks or tracks.shape[-1] <= 2 * MARGIN:
        raise ValueError(
            f"The model returns {shapes_of(tracks)}; wanted tracks (N, T, L) of at least "
            f"{2 * MARGIN + 1} positions, as {MARGIN} at either end do not count."
        )
    return tracks[..., MARGIN:-MARGIN].sum(-1)


def total(track: str) -> Func:
    """Make a func of the `totals` of one track, ``(N,)``, by its name (see `track_names`)."""

    def total_of_track(model: nn.Module, x: Tensor) -> Tensor:
        found = totals(model, x)
        return found[:, track_index(model, found.shape[1], track)]

    return total_of_track


# The funcs that may be given by name.
NAMED: dict[str, Func] = {f.__name__: f for f in (count, output, strands, totals)}


def named(name: str) -> Func:
    """Return one of `NAMED`.

    Raises
    ------
    ValueError
        There is none of that name.
    """
    if name not in NAMED:
        raise ValueError(f"func is {name!r}; wanted {', '.join(NAMED)}, or a function.")
    return NAMED[name]


def usual(model: nn.Module) -> Func:
    """Return what is asked of a model where nothing is said and one number, or a few, are wanted.

    `totals` of the networks of Chapter 3, `count` of two heads, else the model's own `output`.
    """
    if isinstance(bare(model), SimpleNet | Puffin):
        return totals
    return count if isinstance(bare(model), ProCapNet) else output


# --- two heads ----------------------------------------------------------------------------------


def two_heads(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Call a model on sequences ``(N, 4, L)`` where they are; check that it has two heads.

    Gradients and mode are the caller's.

    Returns
    -------
    tuple
        ``profile_logits``, ``(N, T, L_out)``, and ``count_logits``, ``(N, 1)`` or ``(N, T)``.

    Raises
    ------
    TypeError
        If the model returns something else.
    """
    return require_two_heads(run(model, x, x.device), len(x))


def require_two_heads(outputs: Tensor | tuple[Tensor, ...], n: int) -> tuple[Tensor, Tensor]:
    """Return what a model gave for ``n`` sequences, if these are two heads.

    More tracks than positions are taken for a profile with the axes in another order, but for the
    two strands.

    Raises
    ------
    TypeError
        If they are something else.
    """
    parts = outputs if isinstance(outputs, tuple) else (outputs,)
    if len(parts) == 2 and parts[0].ndim == 3 and len(parts[0]) == n:
        tracks, length = parts[0].shape[1:]
        if parts[1].shape in ((n, 1), (n, tracks)) and (tracks == 2 or tracks <= length):
            return parts
    raise TypeError(
        f"The model returns {shapes_of(outputs)} for {n} sequences; wanted profile logits "
        f"({n}, T, L_out) and count logits ({n}, 1) or ({n}, T), as ProCapNet returns them. Of "
        "other models a func says which number is asked about: 'totals' of tracks (N, T, L)."
    )


def probabilities(profile: Tensor, counts: Tensor) -> Tensor:
    """Turn the logits of two heads into probabilities, ``(N, T, L_out)``.

    They add up to 1 over all tracks together where these have one count, and within each track
    where each has its own.
    """
    return profile.reshape(len(profile), counts.shape[1], -1).softmax(-1).view_as(profile)


# --- tracks -------------------------------------------------------------------------------------


def track_names(model: nn.Module, n: int) -> list[str]:
    """Name the ``n`` tracks or outputs of a model.

    By the names that it was made with (``SimpleNet(tracks=[...])``). A network of Chapter 3 with
    ten tracks and no names has :data:`tssbook.data.TRACKS`; all others are numbered, ``"0"``,
    ``"1"``, ...
    """
    model = bare(model)
    names = getattr(model, "config", {}).get("tracks")
    if names is None and hasattr(model, "deconv") and n == len(TRACKS):
        names = TRACKS
    return list(names) if names is not None and len(names) == n else [str(i) for i in range(n)]


def track_index(model: nn.Module, n: int, track: str) -> int:
    """Return the number of a track by its name.

    Raises
    ------
    ValueError
        If none of the ``n`` tracks has that name.
    """
    names = track_names(model, n)
    if track not in names:
        raise ValueError(f"The track is {track!r}; wanted one of {', '.join(names)}.")
    return names.index(track)


def shapes_of(outputs: object) -> str:
    """Say the shapes of what a model returned, for a message."""
    parts = outputs if isinstance(outputs, tuple | list) else (outputs,)
    return ", ".join(
        str(tuple(p.shape)) if isinstance(p, Tensor) else f"a {type(p).__name__}" for p in parts
    )

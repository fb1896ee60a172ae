"""The checks of the exercises of Chapter 3."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tssbook.data.tracks import TRACKS
from tssbook.exercises.verdict import (
    EMPTY,
    Fault,
    Verdict,
    answered,
    array,
    check,
    matched,
    networks_differ,
    number,
    numbers,
    places,
    predicted,
    require_function,
    require_keys,
    require_largest,
    require_sequence,
    short,
    unfinished,
    worst,
)
from tssbook.metrics import pearson_r
from tssbook.models.puffin import MARGIN, SimpleNet, loss_terms, to_counts
from tssbook.sequence import decode, one_hot

__all__ = ["TATA", "knockout", "mean_squares", "tata"]

TATA = "GTATAAAAGGC"  # distances are counted from its first T
DISTANCES = range(-60, 21)  # where exercise 3 puts it

_INSIDE = slice(MARGIN, -MARGIN)
_RECOMPUTED = 8  # loci whose changes are computed again, besides those named
_TOP = 5
_LN10 = math.log(10)


def _predicted(model: nn.Module, x: Tensor) -> Tensor:
    """Predict ``ln(1 + count)``, ``(N, 10, L)``, eight sequences at a time."""
    return predicted(model, x, batch_size=8)


def _answered(name: str, model: nn.Module, x: Tensor) -> Tensor:
    """Ask a network that is a part of the answer, as `_predicted` does."""
    found = answered(name, model, x, batch_size=8)
    wanted = len(x), len(TRACKS), x.shape[2]
    if not isinstance(found, Tensor) or found.shape != wanted:
        has = tuple(found.shape) if isinstance(found, Tensor) else short(found)
        raise Fault(f"{name} predicts {has}; wanted {wanted}, ten tracks.")
    return found


# --- exercise 1 -------------------------------------------------------------------------------


@check("3.1")
def knockout(
    model: SimpleNet,
    x: Tensor,
    chosen: int,
    silenced: Callable[[SimpleNet, int], SimpleNet] | None,
    changes: Tensor | None,
    top_loci: Sequence[int] | None,
    top_track: str | None,
) -> Verdict:
    """Check Chapter 3, exercise 1: a filter is silenced, and its loci and tracks are found.

    Parameters
    ----------
    model
        The trained network. ``silenced`` is given a copy of it.
    x
        Loci, one-hot ``(N, 4, L)``. The first eight and those of ``top_loci`` are predicted again.
    chosen
        Which filter, an index into ``model.conv.weight``.
    silenced
        A function of a network and a filter; it returns a copy in which that filter is silent.
    changes
        ``(N, 10)``: predicted reads in all positions but the margins, added up, of the copy
        minus those of the network.
    top_loci
        The five rows of ``x`` whose absolute changes have the largest sum over the tracks.
    top_track
        Name of the track whose absolute changes have the largest sum over the loci.
    """
    if silenced is None:
        return EMPTY
    require_function("silenced", silenced, "a network", "a filter's number")
    if not model.conv.weight[chosen].any():
        raise Fault(
            f"filter {chosen} of the network itself is 0. Run the cell that loads the network "
            "again, and change a copy.deepcopy."
        )
    own = copy.deepcopy(model)
    mutant = silenced(own, chosen)
    if mutant is None:
        return EMPTY
    _require_silenced(model, own, mutant, chosen, x[:2])
    answers = {
        "silenced": silenced, "changes": changes, "top_loci": top_loci, "top_track": top_track,
    }  # fmt: skip
    if changes is None:
        return unfinished(answers)
    advice = ": a row per locus, its positions added up with .sum(-1)"
    changes = array("changes", changes, (len(x), len(TRACKS)), advice)
    named = []
    if top_loci is not None:
        rows = places("top_loci", top_loci, _TOP, len(changes), ", rows of the test loci")
        _require_top(rows, changes, lambda i: f"locus {i}")
        named = rows.tolist()
    if top_track is not None:
        if not isinstance(top_track, str) or top_track not in TRACKS:
            raise Fault(f"top_track is {short(top_track)}; wanted one of the names in TRACKS.")
        _require_top(np.array([TRACKS.index(top_track)]), changes.T, lambda i: TRACKS[i])
    _require_same_changes(changes, model, mutant, x, named)

    if open_part := unfinished(answers):
        return open_part
    of_track = float(changes[:, TRACKS.index(top_track)].sum())
    first = max(named, key=lambda i: np.abs(changes[i]).sum())
    of_locus = float(changes[first].sum())
    return Verdict(
        True,
        f"without filter {chosen}, {top_track} changes most of all tracks, by {of_track:+,.0f} "
        f"reads in {len(changes)} loci; locus {first} changes most of all loci, by "
        f"{of_locus:+,.0f} reads in all tracks together.",
        {"filter": chosen, f"reads, {top_track}": of_track, f"reads, locus {first}": of_locus},
    )


def _require_silenced(
    model: SimpleNet, own: SimpleNet, mutant: object, chosen: int, x: Tensor
) -> None:
    before, after = model.state_dict(), own.state_dict()
    if any(not torch.equal(before[name], after[name]) for name in before):
        raise Fault(
            "silenced changes the network that it is given, which all later sections need; change "
            "a copy.deepcopy instead, and return that."
        )
    if not isinstance(mutant, nn.Module):
        raise Fault(f"silenced returns {short(mutant)}; wanted a network.")

    level = float(nn.functional.silu(model.conv.bias[chosen].detach()))
    other = chosen + len(model.conv.weight)
    half = f"strand is silent: channels {chosen} and {other} of deconv are one filter."
    silences: list[tuple[str, Callable[[SimpleNet], list[Tensor]]]] = [
        ("", lambda net: [net.conv.weight[chosen], net.conv.bias[chosen]]),
        ("the copy predicts the same as the network; nothing is silenced.", lambda net: []),
        (
            "the weights of the filter are 0, but its bias is not: instead of 0, it gives "
            f"{level:.2g} at every position. Set the bias to 0 too.",
            lambda net: [net.conv.weight[chosen]],
        ),
        (f"only the + {half}", lambda net: [net.deconv.weight[:, chosen]]),
        (f"only the - {half}", lambda net: [net.deconv.weight[:, other]]),
    ]

    def without(parts: Callable[[SimpleNet], list[Tensor]]) -> Tensor:
        version = copy.deepcopy(model)
        for part in parts(version):
            part.data.zero_()
        return _predicted(version, x)

    matched(
        _answered("the network that silenced returns", mutant, x),
        ((sentence, without(parts)) for sentence, parts in silences),
        "the copy differs from the network in more than the chosen filter; set "
        f"conv.weight[{chosen}] and conv.bias[{chosen}] to 0, and nothing else.",
        atol=1e-4,
    )


def _require_top(chosen: np.ndarray, changes: np.ndarray, name: Callable[[int], str]) -> None:
    """Refuse rows of the reader's changes whose absolute sums are not the largest."""
    ways = [("a fall matters as much as a rise: add up changes.abs().", changes.sum(1))]
    require_largest(chosen, np.abs(changes).sum(1), ways, name, "add up changes.abs()")


def _require_same_changes(
    given: np.ndarray, model: SimpleNet, mutant: nn.Module, x: Tensor, named: Sequence[int]
) -> None:
    """Compare the changes with those of a few loci, right and in the usual wrong ways."""
    rows = sorted({*range(min(_RECOMPUTED, len(x))), *named})
    before, after = (_predicted(net, x[rows]).double() for net in (model, mutant))
    logs = after - before
    reads = to_counts(after) - to_counts(before)
    wanted = reads[..., _INSIDE].sum(-1)
    ways = [
        ("", wanted),
        ("the sign is the wrong way round: it is the copy minus the network.", -wanted),
        ("the margins are in it; leave MARGIN positions out at either end.", reads.sum(-1)),
        ("these are means over the positions; wanted sums.", reads[..., _INSIDE].mean(-1)),
        ("these are changes of logarithms; bring both predictions to counts first: to_counts.",
         logs[..., _INSIDE].sum(-1)),
    ]  # fmt: skip
    found = given[rows]
    i, t = np.unravel_index(np.abs(found - wanted.numpy()).argmax(), found.shape)
    otherwise = (
        f"locus {rows[i]} changes by {found[i, t]:+,.3g} in {TRACKS[t]}, and the network says "
        f"{wanted[i, t]:+,.3g} reads."
    )
    matched(
        found,
        ways,
        otherwise,
        same=lambda found, way: np.allclose(found, way, 1e-2, 1e-3 * float(way.abs().max())),
    )


# --- exercise 2 -------------------------------------------------------------------------------


@check("3.2")
def mean_squares(
    mse_terms: Callable[[SimpleNet, Tensor, Tensor], dict[str, Tensor]] | None,
    networks: Mapping[str, SimpleNet] | None,
    profile_r: Mapping[str, float] | None,
    x: Tensor,
    measured: Tensor,
) -> Verdict:
    """Check Chapter 3, exercise 2: the profile's KL divergence gives way to squared errors.

    Parameters
    ----------
    mse_terms
        A function like :func:`tssbook.models.puffin.loss_terms`. Instead of ``profile`` it has
        the mean squared difference of ``prediction / ln 10`` and target, margins left out,
        ``(N,)``.
    networks
        ``KL`` and ``MSE``, trained alike with the two losses.
    profile_r
        ``KL`` and ``MSE``: Pearson's r along each track of each locus, averaged.
    x
        Validation loci to compare the networks on, one-hot ``(N, 4, L)``. They are all predicted
        again. Not the test loci: a loss is chosen here.
    measured
        Their tracks without margins, ``log10(1 + count)``, ``(N, 10, L - 650)``.
    """
    if mse_terms is None:
        return EMPTY
    require_function("mse_terms", mse_terms, "model", "prediction", "target")
    with torch.random.fork_rng(devices=[]):  # the reader's random numbers stay as they are
        torch.manual_seed(0)
        model = SimpleNet(1, 1)
        prediction, target = torch.rand(2, 2, len(TRACKS), 2 * MARGIN + 10)
    terms = mse_terms(model, prediction, target)
    if terms is None:
        return EMPTY
    _require_terms(terms, loss_terms(model, prediction, target), prediction, target)
    answers = {"mse_terms": mse_terms, "networks": networks, "profile_r": profile_r}
    for name in ("networks", "profile_r"):
        if answers[name] is not None:
            require_keys(name, answers[name], ("KL", "MSE"))
    if networks is not None:
        networks_differ("networks", networks, "make a new SimpleNet() for each loss.")
    if open_part := unfinished(answers):
        return open_part
    tracks = {
        name: _answered(f"networks[{name!r}]", networks[name], x)[..., _INSIDE]
        for name in ("KL", "MSE")
    }
    _require_profile_r(profile_r, tracks, measured)
    r = {name: float(profile_r[name]) for name in tracks}
    means = {name: float(track.mean()) / _LN10 for name, track in tracks.items()}
    flat = "has no r, since it predicts the same everywhere"
    r_mse = flat if math.isnan(r["MSE"]) else f"reaches {r['MSE']:.2f}"
    return Verdict(
        True,
        f"KL reaches r = {r['KL']:.2f}, and MSE {r_mse}. Their mean predictions are "
        f"{means['KL']:.4f} and {means['MSE']:.4f}; measured is {measured.mean():.4f}. One short "
        "training at one learning rate does not prove that MSE cannot learn: try other rates, or "
        "more epochs.",
        {f"r, {name}": value for name, value in r.items()}
        | {f"mean, {name}": value for name, value in means.items()},
    )


def _require_terms(
    given: object, wanted: dict[str, Tensor], prediction: Tensor, target: Tensor
) -> None:
    if not isinstance(given, Mapping):
        raise Fault(f"mse_terms returns {short(given)}; wanted a dict of terms by name.")
    kl = wanted.pop("profile")
    for name, value in wanted.items():
        found = numbers(given.get(name))
        if found is None or found.shape != value.shape or not np.allclose(found, value.detach()):
            raise Fault(f"the term {name} is not as in loss_terms; only profile should change.")
    new = [name for name in given if name not in wanted]
    if len(new) != 1:
        has = ", ".join(new) or "none"
        raise Fault(f"besides the other terms there are {has}; wanted one, instead of profile.")
    advice = f" for {len(kl)} loci: average over tracks and positions only: .mean((1, 2))"
    name, error = new[0], array(new[0], given[new[0]], kl.shape, advice)

    def squares(p: Tensor, t: Tensor) -> Tensor:
        return (p - t).square().mean((1, 2)).detach()

    p, t = prediction[..., _INSIDE], target[..., _INSIDE]
    squared = squares(p / _LN10, t)
    ways = [
        ("", squared),
        (f"{name} is still the KL divergence.", kl.detach()),
        (f"{name} takes the margins in; leave them out: [..., MARGIN:-MARGIN].",
         squares(prediction / _LN10, target)),
        (f"{name} compares ln with log10; divide the prediction by math.log(10).", squares(p, t)),
    ]  # fmt: skip
    matched(error, ways, f"{worst(name, error, squared)}.", rtol=1e-4, atol=0)


def _require_profile_r(
    given: Mapping[str, object], tracks: Mapping[str, Tensor], measured: Tensor
) -> None:
    wanted = {name: float(pearson_r(track, measured).nanmean()) for name, track in tracks.items()}
    for name, other in (("KL", "MSE"), ("MSE", "KL")):
        why = "tracks without reads have no r; leave them out with nanmean()."
        # A network that predicts the same everywhere has no r, and NaN is right.
        why_nan = None if math.isnan(wanted[name]) else why
        r = number(f"profile_r[{name!r}]", given[name], why_nan=why_nan)
        said = f"profile_r[{name!r}] is {r:.2f}, and the network gets {wanted[name]:.2f}"
        ways = [("", wanted[name]), (f"{said}; are KL and MSE swapped?", wanted[other])]
        otherwise = f"{said} on these {len(measured)} validation loci, margins left out."
        matched(r, ways, otherwise, atol=0.01)
    if not wanted["KL"] > 0.1:
        raise Fault(
            f"KL has hardly learned anything (r = {wanted['KL']:.2f}); train for three epochs or "
            "more."
        )


# --- exercise 3 -------------------------------------------------------------------------------

_NEAR = 100  # the peak is looked for so many bases to either side of the middle
_LOUD = 0.5  # reads per base from which on a sequence is not silent
_FOLLOWS = range(25, 36)  # bases downstream of a TATA box


@check("3.3")
def tata(
    model: SimpleNet,
    silent: Tensor | None,
    with_tata: Callable[[Tensor, int], Tensor] | None,
    peaks: Sequence[int] | None,
) -> Verdict:
    """Check Chapter 3, exercise 3: a TATA box slides through a silent sequence.

    Parameters
    ----------
    model
        The trained network.
    silent
        One-hot ``(1, 4, L)``; CAGE+ is predicted to be low within 100 bp of the middle.
    with_tata
        A function of such a sequence and a distance; it returns the sequence with its bases
        replaced by `TATA`, so that the first T is ``distance`` bases downstream of ``L // 2``.
    peaks
        For each of the 81 distances -60 to 20, where CAGE+ is highest within 100 bp of the
        middle, relative to it, ``(81,)``.
    """
    if silent is None:
        return EMPTY
    _require_silent(model, silent)
    answers = {"silent": silent, "with_tata": with_tata, "peaks": peaks}
    if with_tata is not None:
        require_function("with_tata", with_tata, "a sequence", "a distance")
        if with_tata(silent.clone(), -30) is None:
            answers["with_tata"] = None
        else:
            _require_boxes(with_tata, silent)
    if open_part := unfinished(answers):
        return open_part
    behind = _require_peaks(model, silent, peaks) - np.array(DISTANCES)
    median, follows = float(np.median(behind)), int(np.isin(behind, _FOLLOWS).sum())
    return Verdict(
        True,
        f"the peak is {median:.0f} bases downstream of the box (median), and 25 to 35 in "
        f"{follows} of {len(behind)} places.",
        {"median distance": median, "places with 25 to 35": follows},
    )


def _require_silent(model: SimpleNet, silent: object) -> None:
    length = silent.shape[-1] if isinstance(silent, Tensor) and silent.ndim == 3 else 0
    length = length if length >= 2 * (MARGIN + _NEAR) else 4650
    require_sequence("silent", silent, (1, 4, length), ", one sequence")
    reads = to_counts(_near(model, silent))[0]
    if (highest := float(reads.max())) > _LOUD:
        place = int(reads.argmax()) - _NEAR
        raise Fault(
            f"silent is not silent: {highest:.2g} reads are predicted at {place:+d}, wanted below "
            f"{_LOUD} within {_NEAR} bases of the middle. Draw many, and keep the quietest one."
        )


def _near(model: SimpleNet, x: Tensor) -> Tensor:
    """Predict CAGE+ within 100 bp of the middle, ``(N, 200)``, from no more than it takes."""
    middle, reach = x.shape[2] // 2, _NEAR + MARGIN
    return _predicted(model, x[..., middle - reach : middle + reach])[:, 0, _INSIDE]


def _placed(silent: Tensor, distance: int) -> Tensor:
    x, start = silent.clone(), silent.shape[2] // 2 + distance - TATA.index("T")
    x[..., start : start + len(TATA)] = one_hot([TATA]).to(x)
    return x


def _require_boxes(with_tata: Callable[[Tensor, int], Tensor], silent: Tensor) -> None:
    """Look at the sequences that the function makes for three distances."""
    for distance in (-30, -60, 20):
        own = silent.clone()
        given = with_tata(own, distance)
        if not torch.equal(own, silent):
            raise Fault("with_tata changes the sequence that it is given; change x.clone().")
        require_sequence("the result of with_tata", given, silent.shape)
        if torch.equal(given, _placed(silent, distance).to(given)):
            continue
        middle, text = silent.shape[2] // 2, decode(given[0])
        begins = f"at {text.find(TATA) - middle}" if TATA in text else "nowhere"
        raise Fault(
            f"for the distance {distance} the box begins {begins}; wanted its G at "
            f"{distance - TATA.index('T')} and its first T at {distance}, counted from the middle, "
            f"L // 2 = {middle}, and all other bases as they were."
        )


def _require_peaks(model: SimpleNet, silent: Tensor, given: object) -> np.ndarray:
    distances = np.array(DISTANCES)
    advice = ", a place for each of the distances -60 to 20"
    peaks = array("peaks", given, distances.shape, advice)
    tracks = _near(model, torch.cat([_placed(silent, int(d)) for d in distances])).numpy()
    half = silent.shape[2] // 2
    ways = [
        ("", peaks),
        (f"peaks are indices into the {2 * _NEAR} bases around the middle; subtract {_NEAR}.",
         peaks - _NEAR),
        (f"peaks are indices into the sequence; subtract {half}.", peaks - half),
    ]  # fmt: skip
    wrong = int(_are_peaks(tracks, peaks).argmin())
    best = int(tracks[wrong].argmax()) - _NEAR
    otherwise = (
        f"for the distance {distances[wrong]} you have {peaks[wrong]:.0f}; CAGE+, track 0, is "
        f"highest at {best} within {_NEAR} bases of the middle."
    )
    matched(tracks, ways, otherwise, same=lambda tracks, way: _are_peaks(tracks, way).all())
    return peaks


def _are_peaks(tracks: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Whether tracks ``(M, 200)`` are at their highest, or nearly, at these places, ``(M,)``."""
    index = peaks + _NEAR
    inside = (index >= 0) & (index < tracks.shape[1]) & (index % 1 == 0)
    there = tracks[np.arange(len(tracks)), np.where(inside, index, 0).astype(int)]
    return inside & (there >= tracks.max(1) * (1 - 1e-3))

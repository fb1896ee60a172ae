"""The checks of the exercises of Chapter 3."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tssbook.data.tracks import TRACKS
from tssbook.exercises.verdict import (
    EMPTY,
    Fault,
    Verdict,
    are_largest,
    array,
    check,
    finished,
    matched,
    networks_differ,
    number,
    numbers,
    places,
    predicted,
    require_keys,
    require_sequence,
    short,
)
from tssbook.metrics import pearson_r
from tssbook.models.puffin import MARGIN, SimpleNet, loss_terms, to_counts
from tssbook.sequence import one_hot

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


# --- exercise 1 -------------------------------------------------------------------------------


@check
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
        A function of a network and a filter; it returns a copy whose filter says nothing.
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
    if not callable(silenced):
        raise Fault("silenced should be a function of a network and a filter's number.")
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
        return finished(answers, str)
    changes = _require_changes(changes, len(x))
    if top_loci is not None:
        _require_top_loci(changes, top_loci)
    if top_track is not None:
        _require_top_track(changes, top_track)
    named = [] if top_loci is None else [int(i) for i in top_loci]
    _require_same_changes(changes, model, mutant, x, named)

    def praise() -> str:
        of_track = changes[:, TRACKS.index(top_track)]
        first = max(named, key=lambda i: np.abs(changes[i]).sum())
        return (
            f"without filter {chosen}, {top_track} changes by {of_track.sum():+,.0f} reads in "
            f"{len(changes)} loci, most of all tracks; locus {first} by "
            f"{changes[first].sum():+,.0f} in all tracks."
        )

    return finished(answers, praise)


def _require_silenced(
    model: SimpleNet, own: SimpleNet, mutant: object, chosen: int, x: Tensor
) -> None:
    before, after = model.state_dict(), own.state_dict()
    if any(not torch.equal(before[name], after[name]) for name in before):
        raise Fault(
            "silenced changes the network that it is given, and all later sections need it; "
            "change a copy.deepcopy and return that."
        )
    if not isinstance(mutant, nn.Module):
        raise Fault(f"silenced returns {short(mutant)}; wanted a network.")

    @torch.no_grad()
    def of_edited(edit: Callable[[SimpleNet], object]) -> Tensor:
        version = copy.deepcopy(model)
        edit(version)
        return _predicted(version, x)

    matched(
        _predicted(mutant, x),
        ((sentence, of_edited(edit)) for sentence, edit in _silencings(chosen, model)),
        "the copy differs from the network in something else than the chosen filter; set "
        f"conv.weight[{chosen}] and conv.bias[{chosen}] to 0, and nothing else.",
        atol=1e-4,
    )


def _silencings(chosen: int, model: SimpleNet) -> list[tuple[str, Callable[[SimpleNet], object]]]:
    """Return the right way, and the usual wrong ones with a sentence each."""
    other = chosen + len(model.conv.weight)
    level = float(nn.functional.silu(model.conv.bias[chosen].detach()))
    half = "only the {} strand is silent: channels {} and {} of deconv are one filter."

    def first_layer(net: SimpleNet) -> None:
        net.conv.weight[chosen] = 0
        net.conv.bias[chosen] = 0

    ways: list[tuple[str, Callable[[SimpleNet], object]]] = [
        ("", first_layer),
        ("the copy predicts the same as the network; nothing is silenced.", lambda net: None),
        (
            "the weights of the filter are 0 but its bias is not: instead of nothing, it says "
            f"{level:.2g} at every position. Set the bias to 0 too.",
            lambda net: net.conv.weight[chosen].zero_(),
        ),
        (half.format("+", chosen, other), lambda net: net.deconv.weight[:, chosen].zero_()),
        (half.format("-", chosen, other), lambda net: net.deconv.weight[:, other].zero_()),
    ]
    if chosen < len(TRACKS):
        said = f"all effects on the track {TRACKS[chosen]} were set to 0; the filters are axis 1."
        ways.append((said, lambda net: net.deconv.weight[chosen].zero_()))
    return ways


def _require_changes(given: object, n: int) -> np.ndarray:
    found, wanted = numbers(given), (n, len(TRACKS))
    summed = found is not None and found.shape[:2] == wanted
    advice = ": add up the positions with .sum(-1)" if summed else ", a row per locus"
    changes = array("changes", given, wanted, advice)
    if not np.isfinite(changes).all():
        raise Fault("there are NaN or infinite numbers in changes.")
    return changes


def _require_top_loci(changes: np.ndarray, given: object) -> None:
    """Compare the loci with those of the reader's changes."""
    chosen = places("top_loci", given, _TOP, len(changes), ", rows of the test loci")
    size, total = np.abs(changes).sum(1), changes.sum(1)
    missing = next((i for i in np.argsort(-size) if i not in chosen), 0)
    least = chosen[size[chosen].argmin()]
    matched(
        chosen,
        [
            ("", size),
            ("these are the largest rises; a fall matters as much: changes.abs().", total),
            ("these are the largest falls; a rise matters as much: changes.abs().", -total),
        ],
        f"locus {missing} changes by {size[missing]:,.3g}, {least} only by {size[least]:,.3g}.",
        same=are_largest,
    )


def _require_top_track(changes: np.ndarray, track: object) -> None:
    """Compare the track with that of the reader's changes."""
    if not isinstance(track, str) or track not in TRACKS:
        raise Fault(f"top_track is {short(track)}; wanted one of the names in TRACKS.")
    size, i = np.abs(changes).sum(0), TRACKS.index(track)
    best = int(size.argmax())
    pair = f"{track} changes by {size[i]:,.3g} in all and {TRACKS[best]} by {size[best]:,.3g}"
    matched(
        [i],
        [
            ("", size),
            (f"{pair}; a fall matters as much as a rise: take changes.abs().", changes.sum(0)),
        ],
        f"{pair}: add up the absolute changes of all loci.",
        same=are_largest,
    )


def _require_same_changes(
    given: np.ndarray, model: SimpleNet, mutant: nn.Module, x: Tensor, named: Sequence[int]
) -> None:
    """Compare the changes with those of a few loci, right and in the usual wrong ways."""
    rows = sorted({*range(min(_RECOMPUTED, len(x))), *named})
    before, after = (_predicted(net, x[rows]).double() for net in (model, mutant))

    def change(of: Callable[[Tensor], Tensor]) -> Tensor:
        return of(after) - of(before)

    def reads(prediction: Tensor) -> Tensor:
        return to_counts(prediction)[..., _INSIDE].sum(-1)

    wanted, ratio = change(reads), reads(after) / reads(before)
    logs = change(lambda p: p[..., _INSIDE].sum(-1))
    of_logs = "these are changes of logarithms; bring both predictions to counts first: to_counts."
    ways = [
        ("", wanted),
        ("the sign is the wrong way round: it is the copy minus the network.", -wanted),
        ("the signs are lost; a motif can raise and lower: no abs() here.", wanted.abs()),
        ("the margins are in it; leave MARGIN positions out at either end.",
         change(lambda p: to_counts(p).sum(-1))),
        ("these are means over the positions; wanted sums.",
         wanted / (x.shape[-1] - 2 * MARGIN)),
        (of_logs, logs),
        (of_logs, logs / _LN10),
        ("to_counts wants the network's own scale, ln(1 + count), not log10.",
         change(lambda p: reads(p / _LN10))),
        ("these are the reads without the filter; subtract those with it.", reads(after)),
        ("these are ratios; wanted differences.", ratio),
        ("these are logarithms of ratios; wanted differences.", ratio.log2()),
    ]  # fmt: skip
    found = torch.from_numpy(given[rows])
    worst = int((found - wanted).abs().sum(1).argmax())
    t = int((found - wanted)[worst].abs().argmax())
    otherwise = (
        f"locus {rows[worst]} changes by {found[worst, t]:+,.3g} in {TRACKS[t]}, and the network "
        f"says {wanted[worst, t]:+,.3g} reads."
    )
    matched(
        found,
        ways,
        otherwise,
        same=lambda found, way: np.allclose(found, way, 1e-2, 1e-3 * float(way.abs().max())),
    )


# --- exercise 2 -------------------------------------------------------------------------------


@check
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
        Loci to judge the networks by, one-hot ``(N, 4, L)``. They are all predicted again.
    measured
        Their tracks without margins, ``log10(1 + count)``, ``(N, 10, L - 650)``.
    """
    if mse_terms is None:
        return EMPTY
    if not callable(mse_terms):
        raise Fault("mse_terms should be a function of model, prediction and target.")
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
    if networks is None or profile_r is None:
        return finished(answers, str)
    tracks = {name: _predicted(networks[name], x)[..., _INSIDE] for name in ("KL", "MSE")}
    _require_profile_r(profile_r, tracks, measured)
    said = "; ".join(
        f"{name} r = {float(profile_r[name]):.2f}, mean {track.mean() / _LN10:.4f}"
        for name, track in tracks.items()
    )
    return finished(answers, lambda: f"{said}; the mean measured is {measured.mean():.4f}.")


def _require_terms(
    given: object, wanted: dict[str, Tensor], prediction: Tensor, target: Tensor
) -> None:
    if not isinstance(given, Mapping):
        raise Fault(f"mse_terms returns {short(given)}; wanted a dict of terms by name.")
    kl = wanted.pop("profile")
    new = [name for name in given if name not in wanted]
    for name, value in wanted.items():
        if name not in given:
            raise Fault(f"the term {name} is missing; only profile should go.")
        same = isinstance(given[name], Tensor) and given[name].shape == value.shape
        if not same or not torch.allclose(given[name], value):
            raise Fault(f"the term {name} is not as in loss_terms; only profile should change.")
    if len(new) != 1:
        more = "profile is still there; it should go" if "profile" in new else "wanted one new term"
        raise Fault(f"besides the old terms there are {len(new)} ({', '.join(new)}): {more}.")
    advice = f" for {len(kl)} loci: average over tracks and positions only: .mean((1, 2))"
    error = array(new[0], given[new[0]], kl.shape, advice)
    _require_squares(new[0], error, kl, prediction, target)


def _require_squares(
    name: str, given: np.ndarray, kl: Tensor, prediction: Tensor, target: Tensor
) -> None:
    def squares(p: Tensor, t: Tensor) -> Tensor:
        return (p - t).square().mean((1, 2)).detach()

    p, t = prediction[..., _INSIDE], target[..., _INSIDE]
    shares = [v / v.sum(-1, keepdim=True) for v in (p, t)]
    wanted = squares(p / _LN10, t)
    ways = [
        ("", wanted),
        (f"{name} is still the KL divergence.", kl.detach()),
        (f"{name} takes the margins in; leave them out: [..., MARGIN:-MARGIN].",
         squares(prediction / _LN10, target)),
        (f"{name} compares ln with log10; divide the prediction by math.log(10).", squares(p, t)),
        (f"{name} compares counts, on which a few loci are all that counts; stay with logarithms.",
         squares(to_counts(p), 10**t - 1)),
        (f"{name} compares tracks divided by their sums; take them as they are.",
         squares(*shares)),
    ]  # fmt: skip
    otherwise = f"{name} should be {wanted[0]:.4f} for a made-up locus and is {given[0]:.4f}."
    ratio = given / wanted.numpy()
    if np.allclose(ratio, ratio[0], rtol=1e-4):
        otherwise = f"{name} is {ratio[0]:.3g} times the mean squared error; its weight is 1."
    matched(given, ways, otherwise, rtol=1e-4, atol=0)


def _require_profile_r(
    given: Mapping[str, object], tracks: Mapping[str, Tensor], measured: Tensor
) -> None:
    def r_along(dim: int) -> dict[str, float]:
        return {k: float(pearson_r(track, measured, dim).nanmean()) for k, track in tracks.items()}

    wanted, across = r_along(-1), r_along(0)
    for name, other in (("KL", "MSE"), ("MSE", "KL")):
        why = "tracks without reads have no r; leave them out with nanmean()."
        r = number(f"profile_r[{name!r}]", given[name], why_nan=why)
        said = f"profile_r[{name!r}] is {r:.2f}, and the network gets {wanted[name]:.2f}"
        ways = [
            ("", wanted[name]),
            (f"{said}; are KL and MSE swapped?", wanted[other]),
            (f"{said}; yours compares loci, wanted positions: dim=-1.", across[name]),
        ]
        otherwise = f"{said} on these {len(measured)} loci, margins left out."
        matched(r, ways, otherwise, atol=0.01)
    if not wanted["KL"] > 0.1:
        raise Fault(
            f"KL has hardly learned (r = {wanted['KL']:.2f}); train for three epochs or more."
        )


# --- exercise 3 -------------------------------------------------------------------------------

_NEAR = 100  # the peak is looked for so many bases to either side of the middle
_LOUD = 0.5  # reads per base from which on a sequence is not silent
_FOLLOWS = range(25, 36)  # bases downstream of a TATA box


@check
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
        if not callable(with_tata):
            raise Fault("with_tata should be a function of a sequence and a distance.")
        if with_tata(silent.clone(), -30) is None:
            answers["with_tata"] = None
        else:
            _require_boxes(with_tata, silent)
    if answers["with_tata"] is None or peaks is None:
        return finished(answers, str)
    behind = _require_peaks(model, silent, peaks) - np.array(DISTANCES)
    follows = int(np.isin(behind, _FOLLOWS).sum())
    if follows < len(behind) / 2:
        raise Fault(
            f"the peaks are those of the network, but only {follows} of {len(behind)} are 25 to 35 "
            "bases downstream of the box: something else is louder. Take a more silent sequence."
        )
    said = (
        f"the peak is {np.median(behind):.0f} bases downstream of the box (median), and 25 to 35 "
        f"in {follows} of {len(behind)} places."
    )
    return finished(answers, lambda: said)


def _require_silent(model: SimpleNet, silent: object) -> None:
    length = silent.shape[-1] if isinstance(silent, Tensor) and silent.ndim == 3 else 0
    length = length if length >= 2 * (MARGIN + _NEAR) else 4650
    require_sequence("silent", silent, (1, 4, length), ", one sequence")
    reads = to_counts(_near(model, silent))[0]
    if (highest := float(reads.max())) > _LOUD:
        place = int(reads.argmax()) - _NEAR
        raise Fault(
            f"silent is not silent: {highest:.2g} reads are predicted at {place:+d}, wanted below "
            f"{_LOUD} within {_NEAR} bases of the middle. Draw many, and take the most silent one."
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
        if not torch.equal(given, _placed(silent, distance).to(given)):
            raise Fault(_misplaced(given, silent, distance))


def _misplaced(given: Tensor, silent: Tensor, distance: int) -> str:
    """Say where the box stands instead."""
    asked, middle = f"for the distance {distance}", silent.shape[2] // 2

    def places(word: Tensor) -> Tensor:
        score = given[0].float().unfold(1, len(TATA), 1).mul(word[:, None]).sum((0, 2))
        return (score == len(TATA)).nonzero().flatten() - middle

    box = one_hot([TATA])[0]
    fits = places(box)
    if not len(fits):
        if len(places(box.flip(0, 1))):
            return f"{asked} the box stands on the - strand; TATA is written as it should be read."
        return f"{asked} there is no {TATA} in the sequence."
    start, wanted = int(fits[(fits - distance).abs().argmin()]), distance - TATA.index("T")
    slips = {
        wanted: "and other bases were changed too",
        distance: "its G stands where the first T should",
        distance - len(TATA) + 1: "its last base stands where the first T should",
        -distance - TATA.index("T"): "negative distances are upstream, to the left",
        wanted + 2000 - middle: f"the TSS is at index L // 2 = {middle}, not at 2000",
    }
    if start in slips:
        return f"{asked} the box begins at {start}: {slips[start]}."
    return f"{asked} the box begins at {start}; wanted its G at {wanted} and its T at {distance}."


def _require_peaks(model: SimpleNet, silent: Tensor, given: object) -> np.ndarray:
    distances = np.array(DISTANCES)
    advice = ", a place for each of the distances -60 to 20"
    peaks = array("peaks", given, distances.shape, advice)
    tracks = _near(model, torch.cat([_placed(silent, int(d)) for d in distances]))
    half = silent.shape[2] // 2
    indices = "peaks are indices into {}; subtract {}."

    def ways() -> Iterator[tuple[str, np.ndarray]]:
        yield "", peaks
        yield indices.format(f"the {2 * _NEAR} bases around the middle", _NEAR), peaks - _NEAR
        yield indices.format("the sequence", half), peaks - half
        inside = half - MARGIN
        yield indices.format("what is left without margins", inside), peaks - inside
        yield (
            "peaks are counted from the box; add the distance to count from the middle.",
            peaks + distances,
        )

    right = [_are_peaks(tracks[i : i + 1], peaks[i : i + 1]) for i in range(len(peaks))]
    wrong = right.index(False) if False in right else 0
    best = int(tracks[wrong].argmax()) - _NEAR
    otherwise = (
        f"for the distance {distances[wrong]} you have {peaks[wrong]:.0f}; CAGE+, track 0, is "
        f"highest at {best} within {_NEAR} bases of the middle."
    )
    matched(tracks, ways(), otherwise, same=_are_peaks)
    return peaks


def _are_peaks(tracks: Tensor, peaks: np.ndarray) -> bool:
    """Whether tracks ``(M, 200)`` are at their highest, or nearly, at these places."""
    index = torch.from_numpy(peaks + _NEAR)
    if ((index < 0) | (index >= tracks.shape[1]) | (index % 1 != 0)).any():
        return False
    there = tracks.gather(1, index.long()[:, None])[:, 0]
    return bool((there >= tracks.amax(1) * (1 - 1e-3)).all())

"""The checks of the exercises of Chapter 3; what holds for :mod:`tssbook.exercises.chapter_1` holds here."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tssbook.data.tracks import TRACKS
from tssbook.exercises.verdict import EMPTY, Verdict, asked, numbers, one_hot_fault, short
from tssbook.metrics import pearson_r
from tssbook.models.puffin import MARGIN, SimpleNet, loss_terms, to_counts
from tssbook.sequence import one_hot

__all__ = ["TATA", "knockout", "mean_squares", "tata"]

TATA = "GTATAAAAGGC"  # distances are counted from its first T
DISTANCES = range(-60, 21)  # where exercise 3 puts it

_AT_A_TIME = 8  # sequences of 4,650 bp
_INSIDE = slice(MARGIN, -MARGIN)
_RECOMPUTED = 8  # loci whose changes are computed again, besides those named
_TOP = 5
_LN10 = math.log(10)
_LOGS = "these are changes of logarithms; bring both predictions to counts first: to_counts."


# --- exercise 1 -------------------------------------------------------------------------------


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
        return Verdict(False, "silenced should be a function of a network and a filter's number.")
    if not model.conv.weight[chosen].any():
        return Verdict(
            False,
            f"filter {chosen} of the network itself is 0. Run the cell that loads the network "
            "again, and change a copy.deepcopy.",
        )
    own = copy.deepcopy(model)
    mutant = silenced(own, chosen)
    if mutant is None:
        return EMPTY
    fault = _mutant_fault(model, own, mutant, chosen, x[:2])
    answers = {"changes": changes, "top_loci": top_loci, "top_track": top_track}
    missing = [name for name, answer in answers.items() if answer is None]
    if fault is None and changes is not None:
        fault = _form_of_changes(changes, len(x))
        fault = fault or _ranks_fault(numbers(changes), top_loci, top_track)
        fault = fault or _changes_fault(numbers(changes), model, mutant, x, top_loci)
    if fault is not None:
        return Verdict(False, fault)
    if missing:
        return Verdict(None, f"right so far; still to come: {', '.join(missing)}.")
    return Verdict(True, _found(numbers(changes), chosen, top_loci, top_track))


def _found(changes: np.ndarray, chosen: int, loci: Sequence[int], track: str) -> str:
    of_track = changes[:, TRACKS.index(track)]
    first = max((int(i) for i in loci), key=lambda i: np.abs(changes[i]).sum())
    return (
        f"without filter {chosen}, {track} changes by {of_track.sum():+,.0f} reads in "
        f"{len(changes)} loci, most of all tracks; locus {first} by {changes[first].sum():+,.0f} "
        "in all tracks."
    )


def _mutant_fault(
    model: SimpleNet, own: SimpleNet, mutant: object, chosen: int, x: Tensor
) -> str | None:
    before, after = model.state_dict(), own.state_dict()
    if any(not torch.equal(before[name], after[name]) for name in before):
        return (
            "silenced changes the network that it is given, and all later sections need it; "
            "change a copy.deepcopy and return that."
        )
    if not isinstance(mutant, nn.Module):
        return f"silenced returns a {type(mutant).__name__}; wanted a network."
    given = _predicted(mutant, x)
    for sentence, edit in _silencings(chosen, model):
        version = copy.deepcopy(model)
        with torch.no_grad():
            edit(version)
        if torch.allclose(given, _predicted(version, x), rtol=0, atol=1e-4):
            return sentence or None
    return (
        "the copy differs from the network in something else than the chosen filter; set "
        f"conv.weight[{chosen}] and conv.bias[{chosen}] to 0, and nothing else."
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


def _form_of_changes(given: object, n: int) -> str | None:
    changes, wanted = numbers(given), (n, len(TRACKS))
    if changes is None:
        return f"changes is a {type(given).__name__}; wanted numbers {wanted}."
    if changes.shape != wanted:
        advice = ": add up the positions with .sum(-1)" if changes.shape[:2] == wanted else ""
        return f"changes is {changes.shape}; wanted {wanted}, a row per locus{advice}."
    if not np.isfinite(changes).all():
        return "there are NaN or infinite numbers in changes."
    return None


def _ranks_fault(changes: np.ndarray, loci: object, track: object) -> str | None:
    """Say what is wrong with the top loci and the top track, going by the reader's changes."""
    fault = None if loci is None else _loci_fault(changes, loci)
    if fault is not None or track is None:
        return fault
    if not isinstance(track, str) or track not in TRACKS:
        return f"top_track is {short(track)}; wanted one of the names in TRACKS."
    size = np.abs(changes).sum(0)
    best, i = int(size.argmax()), TRACKS.index(track)
    if size[i] >= 0.999 * size[best]:
        return None
    pair = f"{track} changes by {size[i]:,.3g} in all and {TRACKS[best]} by {size[best]:,.3g}"
    if i == int(changes.sum(0).argmax()):
        return f"{pair}; a fall matters as much as a rise: take changes.abs()."
    return f"{pair}: add up the absolute changes of all loci."


def _loci_fault(changes: np.ndarray, given: object) -> str | None:
    rows, n = numbers(given), len(changes)
    if rows is None or rows.shape != (_TOP,) or not (rows % 1 == 0).all():
        return f"top_loci should be five rows, 0 to {n - 1}."
    if (rows < 0).any() or (rows >= n).any():
        wrong = rows[(rows < 0) | (rows >= n)][0]
        return f"there is no row {wrong:.0f}; wanted rows of the test loci, 0 to {n - 1}."
    if len(set(rows)) < _TOP:
        return "a row stands there twice; wanted five different ones."
    chosen = rows.astype(int)
    size, total = np.abs(changes).sum(1), changes.sum(1)
    ways = {
        "": size,
        "these are the largest rises; a fall matters as much: changes.abs().": total,
        "these are the largest falls; a rise matters as much: changes.abs().": -total,
    }
    for sentence, way in ways.items():
        if np.allclose(np.sort(way[chosen]), np.sort(way)[-_TOP:]):
            return sentence or None
    missing = next(i for i in np.argsort(-size) if i not in chosen)
    least = chosen[size[chosen].argmin()]
    return f"locus {missing} changes by {size[missing]:,.3g}, {least} only by {size[least]:,.3g}."


def _changes_fault(
    given: np.ndarray, model: SimpleNet, mutant: nn.Module, x: Tensor, top: Sequence[int] | None
) -> str | None:
    """Compare the changes with those of a few loci, right and in the usual wrong ways."""
    named = [] if top is None else [int(i) for i in top]
    rows = sorted({*range(min(_RECOMPUTED, len(x))), *named})
    before, after = (_predicted(net, x[rows]).double() for net in (model, mutant))

    def change(of: Callable[[Tensor], Tensor]) -> Tensor:
        return of(after) - of(before)

    def reads(prediction: Tensor) -> Tensor:
        return to_counts(prediction)[..., _INSIDE].sum(-1)

    def logs(prediction: Tensor) -> Tensor:
        return prediction[..., _INSIDE].sum(-1)

    wanted, ratio = change(reads), reads(after) / reads(before)
    ways = [
        ("", wanted),
        ("the sign is the wrong way round: it is the copy minus the network.", -wanted),
        ("the signs are lost; a motif can raise and lower: no abs() here.", wanted.abs()),
        ("the margins are in it; leave MARGIN positions out at either end.",
         change(lambda p: to_counts(p).sum(-1))),
        ("these are means over the positions; wanted sums.",
         wanted / (x.shape[-1] - 2 * MARGIN)),
        (_LOGS, change(logs)),
        (_LOGS, change(logs) / _LN10),
        ("to_counts wants the network's own scale, ln(1 + count), not log10.",
         change(lambda p: reads(p / _LN10))),
        ("these are the reads without the filter; subtract those with it.", reads(after)),
        ("these are ratios; wanted differences.", ratio),
        ("these are logarithms of ratios; wanted differences.", ratio.log2()),
    ]  # fmt: skip
    found = torch.from_numpy(given[rows])
    for sentence, way in ways:
        if torch.allclose(found, way, rtol=1e-2, atol=1e-3 * float(way.abs().max())):
            return sentence or None
    worst = int((found - wanted).abs().sum(1).argmax())
    t = int((found - wanted)[worst].abs().argmax())
    return (
        f"locus {rows[worst]} changes by {found[worst, t]:+,.3g} in {TRACKS[t]}, and the network "
        f"says {wanted[worst, t]:+,.3g} reads."
    )


def _predicted(model: nn.Module, x: Tensor) -> Tensor:
    """Predict ``ln(1 + count)`` in evaluation mode, ``(N, 10, L)``."""
    return torch.cat([asked(model, part.float()) for part in x.split(_AT_A_TIME)]).detach().cpu()


# --- exercise 2 -------------------------------------------------------------------------------


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
        A function like :func:`tssbook.models.puffin.loss_terms`. Instead of ``profile`` it has the mean
        squared difference of ``prediction / ln 10`` and target, margins left out, ``(N,)``.
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
        return Verdict(False, "mse_terms should be a function of model, prediction and target.")
    with torch.random.fork_rng(devices=[]):  # the reader's random numbers stay as they are
        torch.manual_seed(0)
        model = SimpleNet(1, 1)
        prediction, target = torch.rand(2, 2, len(TRACKS), 2 * MARGIN + 10)
    terms = mse_terms(model, prediction, target)
    if terms is None:
        return EMPTY
    fault = _terms_fault(terms, loss_terms(model, prediction, target), prediction, target)
    answers = {"networks": networks, "profile_r": profile_r}
    missing = [name for name, answer in answers.items() if answer is None]
    for name, answer in answers.items():
        if fault is None and answer is not None:
            fault = _pair_fault(name, answer)
    if fault is None and networks is not None:
        fault = _networks_fault(networks)
    if fault is None and not missing:
        tracks = {name: _predicted(net, x)[..., _INSIDE] for name, net in networks.items()}
        fault = _profile_r_fault(profile_r, tracks, measured)
    if fault is not None:
        return Verdict(False, fault)
    if missing:
        return Verdict(None, f"right so far; still to come: {', '.join(missing)}.")
    said = (
        f"{name} r = {float(numbers(profile_r[name])):.2f}, mean {tracks[name].mean() / _LN10:.4f}"
        for name in ("KL", "MSE")
    )
    return Verdict(True, f"{'; '.join(said)}; the mean measured is {measured.mean():.4f}.")


def _terms_fault(
    given: object, wanted: dict[str, Tensor], prediction: Tensor, target: Tensor
) -> str | None:
    if not isinstance(given, Mapping):
        return f"mse_terms returns a {type(given).__name__}; wanted a dict of terms by name."
    kl = wanted.pop("profile")
    new = [name for name in given if name not in wanted]
    for name, value in wanted.items():
        if name not in given:
            return f"the term {name} is missing; only profile should go."
        same = isinstance(given[name], Tensor) and given[name].shape == value.shape
        if not same or not torch.allclose(given[name], value):
            return f"the term {name} is not as in loss_terms; only profile should change."
    if len(new) != 1:
        more = "profile is still there; it should go" if "profile" in new else "wanted one new term"
        return f"besides the old terms there are {len(new)} ({', '.join(new)}): {more}."
    error = given[new[0]]
    if not isinstance(error, Tensor):
        return f"{new[0]} is a {type(error).__name__}; wanted a tensor (N,)."
    if error.shape != kl.shape:
        advice = "average over tracks and positions only: .mean((1, 2))."
        return f"{new[0]} is {tuple(error.shape)} for {len(kl)} loci; wanted (N,): {advice}"
    return _squares_fault(new[0], error, kl, prediction, target)


def _squares_fault(
    name: str, given: Tensor, kl: Tensor, prediction: Tensor, target: Tensor
) -> str | None:
    def squares(p: Tensor, t: Tensor) -> Tensor:
        return (p - t).square().mean((1, 2))

    p, t = prediction[..., _INSIDE], target[..., _INSIDE]
    shares = [v / v.sum(-1, keepdim=True) for v in (p, t)]
    wanted = squares(p / _LN10, t)
    ways = {
        "": wanted,
        "is still the KL divergence.": kl,
        "takes the margins in; leave them out: [..., MARGIN:-MARGIN].": squares(
            prediction / _LN10, target
        ),
        "compares ln with log10; divide the prediction by math.log(10).": squares(p, t),
        "compares counts, on which a few loci are all that counts; stay with logarithms.": squares(
            to_counts(p), 10**t - 1
        ),
        "compares tracks divided by their sums; take them as they are.": squares(*shares),
    }
    for sentence, way in ways.items():
        if torch.allclose(given, way, rtol=1e-4, atol=0):
            return f"{name} {sentence}" if sentence else None
    ratio = given / wanted
    if torch.allclose(ratio, ratio[:1], rtol=1e-4):
        return f"{name} is {float(ratio[0]):.3g} times the mean squared error; its weight is 1."
    return f"{name} should be {wanted[0]:.4f} for a made-up locus and is {given[0]:.4f}."


def _pair_fault(name: str, given: object) -> str | None:
    if not isinstance(given, Mapping) or set(given) != {"KL", "MSE"}:
        return f'{name} should be a dict with "KL" and "MSE", and nothing else.'
    return None


def _networks_fault(networks: Mapping[str, object]) -> str | None:
    for name, net in networks.items():
        if not isinstance(net, nn.Module):
            return f"networks[{name!r}] is a {type(net).__name__}; wanted the trained network."
    first, second = (networks[name].state_dict() for name in ("KL", "MSE"))
    if first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first):
        return "both networks are the same; make a new SimpleNet() for each loss."
    return None


def _profile_r_fault(
    given: Mapping[str, object], tracks: Mapping[str, Tensor], measured: Tensor
) -> str | None:
    def r_along(dim: int) -> dict[str, float]:
        return {k: float(pearson_r(track, measured, dim).nanmean()) for k, track in tracks.items()}

    wanted, across = r_along(-1), r_along(0)
    for name, other in (("KL", "MSE"), ("MSE", "KL")):
        r = numbers(given[name])
        if r is None or r.shape != ():
            return f"profile_r[{name!r}] is {short(given[name])}; wanted one number."
        if np.isclose(r, wanted[name], rtol=0, atol=0.01, equal_nan=True):
            continue
        said = f"profile_r[{name!r}] is {r:.2f}, and the network gets {wanted[name]:.2f}"
        if np.isnan(r):
            return f"{said}: tracks without reads have no r; leave them out with nanmean()."
        if np.isclose(r, wanted[other], rtol=0, atol=0.01):
            return f"{said}; are KL and MSE swapped?"
        if np.isclose(r, across[name], rtol=0, atol=0.01):
            return f"{said}; yours compares loci, wanted positions: dim=-1."
        return f"{said} on these {len(measured)} loci, margins left out."
    if not wanted["KL"] > 0.1:
        return f"KL has hardly learned (r = {wanted['KL']:.2f}); train for three epochs or more."
    return None


# --- exercise 3 -------------------------------------------------------------------------------

_NEAR = 100  # the peak is looked for so many bases to either side of the middle
_LOUD = 0.5  # reads per base from which on a sequence is not silent
_FOLLOWS = range(25, 36)  # bases downstream of a TATA box


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
    fault = _silent_fault(model, silent)
    answers = {"with_tata": with_tata, "peaks": peaks}
    missing = [name for name, answer in answers.items() if answer is None]
    if fault is None and with_tata is not None:
        if not callable(with_tata):
            return Verdict(False, "with_tata should be a function of a sequence and a distance.")
        if with_tata(silent.clone(), -30) is None:
            missing = ["with_tata", *([] if peaks is not None else ["peaks"])]
        else:
            fault = _box_fault(with_tata, silent)
    if fault is None and peaks is not None and "with_tata" not in missing:
        fault = _peaks_fault(model, silent, peaks)
    if fault is not None:
        return Verdict(False, fault)
    if missing:
        return Verdict(None, f"right so far; still to come: {', '.join(missing)}.")
    behind = numbers(peaks) - np.array(DISTANCES)
    return Verdict(
        True,
        f"the peak is {np.median(behind):.0f} bases downstream of the box (median), and 25 to 35 "
        f"in {np.isin(behind, _FOLLOWS).sum()} of {len(behind)} places.",
    )


def _silent_fault(model: SimpleNet, silent: object) -> str | None:
    if not isinstance(silent, Tensor) or silent.ndim != 3 or silent.shape[:2] != (1, 4):
        given = tuple(silent.shape) if isinstance(silent, Tensor) else short(silent)
        return f"silent is {given}; wanted one sequence, (1, 4, 4650)."
    if silent.shape[2] < 2 * (MARGIN + _NEAR):
        return f"silent has {silent.shape[2]} bases; wanted 4,650."
    if fault := one_hot_fault(silent, "silent"):
        return fault
    if not silent.any(1).all():
        return "silent has columns that are all zero (N); wanted bases."
    reads = to_counts(_near(model, silent))[0]
    if (highest := float(reads.max())) > _LOUD:
        place = int(reads.argmax()) - _NEAR
        return (
            f"silent is not silent: {highest:.2g} reads are predicted at {place:+d}, wanted below "
            f"{_LOUD} within {_NEAR} bases of the middle. Draw many, and take the most silent one."
        )
    return None


def _near(model: SimpleNet, x: Tensor) -> Tensor:
    """Predict CAGE+ within 100 bp of the middle, ``(N, 200)``, from no more than it takes."""
    middle, reach = x.shape[2] // 2, _NEAR + MARGIN
    return _predicted(model, x[..., middle - reach : middle + reach])[:, 0, _INSIDE]


def _placed(silent: Tensor, distance: int) -> Tensor:
    x, start = silent.clone(), silent.shape[2] // 2 + distance - TATA.index("T")
    x[..., start : start + len(TATA)] = one_hot([TATA]).to(x)
    return x


def _box_fault(with_tata: Callable[[Tensor, int], Tensor], silent: Tensor) -> str | None:
    """Say what is wrong with the sequences that the function makes for three distances."""
    for distance in (-30, -60, 20):
        own = silent.clone()
        given = with_tata(own, distance)
        if not torch.equal(own, silent):
            return "with_tata changes the sequence that it is given; change x.clone()."
        if not isinstance(given, Tensor):
            return f"with_tata returns a {type(given).__name__}; wanted a tensor (1, 4, 4650)."
        if given.shape != silent.shape:
            said = f"with_tata returns {tuple(given.shape)}; wanted {tuple(silent.shape)}"
            return f"{said}: replace bases, do not insert them."
        if torch.equal(given, _placed(silent, distance).to(given)):
            continue
        return _misplaced(given, silent, distance)
    return None


def _misplaced(given: Tensor, silent: Tensor, distance: int) -> str:
    box, asked = one_hot([TATA])[0], f"for the distance {distance}"
    for word, strand in ((box, "+"), (box.flip(0, 1), "-")):
        score = given[0].float().unfold(1, len(TATA), 1).mul(word[:, None]).sum((0, 2))
        fits = (score == len(TATA)).nonzero().flatten() - silent.shape[2] // 2
        if not len(fits):
            continue
        if strand == "-":
            return f"{asked} the box stands on the - strand; TATA is written as it should be read."
        start, wanted = int(fits[(fits - distance).abs().argmin()]), distance - TATA.index("T")
        slips = {
            "": wanted,
            "its G stands where the first T should": distance,
            "its last base stands where the first T should": distance - len(TATA) + 1,
            "negative distances are upstream, to the left": -distance - TATA.index("T"),
            f"the TSS is at index L // 2 = {silent.shape[2] // 2}, not at 2000": (
                wanted + 2000 - silent.shape[2] // 2
            ),
        }
        for reason, place in slips.items():
            if start == place:
                more = reason or "and other bases were changed too"
                return f"{asked} the box begins at {start}: {more}."
        return (
            f"{asked} the box begins at {start}; wanted its G at {wanted} and its T at {distance}."
        )
    return f"{asked} there is no {TATA} in the sequence."


def _peaks_fault(model: SimpleNet, silent: Tensor, given: object) -> str | None:
    peaks, distances = numbers(given), np.array(DISTANCES)
    if peaks is None or peaks.shape != distances.shape:
        shape = short(given) if peaks is None else peaks.shape
        return f"peaks is {shape}; wanted {len(distances)} places, one for each of -60 to 20."
    tracks = _near(model, torch.cat([_placed(silent, int(d)) for d in distances]))
    half = silent.shape[2] // 2
    shifted = {
        "": 0,
        f"are indices into the {2 * _NEAR} bases around the middle; subtract {_NEAR}.": _NEAR,
        f"are indices into the sequence; subtract {half}.": half,
        f"are indices into what is left without margins; subtract {half - MARGIN}.": half - MARGIN,
    }
    for sentence, shift in shifted.items():
        if _are_peaks(tracks, peaks - shift):
            return f"peaks {sentence}" if sentence else _does_not_follow(peaks - distances)
    if _are_peaks(tracks, peaks + distances):
        return "peaks are counted from the box; add the distance to count from the middle."
    if (np.abs(peaks) > _NEAR).any():
        far = peaks[np.abs(peaks) > _NEAR][0]
        return f"a peak at {far:.0f} is too far away; look within {_NEAR} bases of the middle only."
    wrong = next(
        i for i in range(len(peaks)) if not _are_peaks(tracks[i : i + 1], peaks[i : i + 1])
    )
    best = int(tracks[wrong].argmax()) - _NEAR
    return (
        f"for the distance {distances[wrong]} you have {peaks[wrong]:.0f}; CAGE+, track 0, is "
        f"highest at {best}."
    )


def _are_peaks(tracks: Tensor, peaks: np.ndarray) -> bool:
    """Whether tracks ``(M, 200)`` are at their highest, or nearly, at these places."""
    index = torch.from_numpy(peaks + _NEAR)
    if ((index < 0) | (index >= tracks.shape[1]) | (index % 1 != 0)).any():
        return False
    there = tracks.gather(1, index.long()[:, None])[:, 0]
    return bool((there >= tracks.amax(1) * (1 - 1e-3)).all())


def _does_not_follow(behind: np.ndarray) -> str | None:
    follows = int(np.isin(behind, _FOLLOWS).sum())
    if follows >= len(behind) / 2:
        return None
    return (
        f"the peaks are those of the network, but only {follows} of {len(behind)} are 25 to 35 "
        "bases downstream of the box: something else is louder. Take a more silent sequence."
    )

"""The checks of the exercises of Chapter 4."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

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
    predicted,
    require_keys,
    require_sequence,
    unfinished,
    worst,
)
from tssbook.interpret.designs import Design
from tssbook.metrics import jsd
from tssbook.models.procapnet import ProCapNet, to_proba

__all__ = ["equal_strands", "mask_training", "one_strand", "strand_softmax"]

_MAX_EDITS = 10
_ALONE = 95  # percent on one strand
_LESS = 0.75  # of the share with the mask; old copies keep a network from full silence
_PROFILES = ("both", "each")
_NETWORKS = ("with mask", "without mask")


def _percent(share: float | Tensor | np.ndarray) -> float:
    """Return a share as it is shown, so that what is shown is what is judged."""
    return round(100 * float(share), 1)


# --- exercise 1 -------------------------------------------------------------------------------


@check("4.1")
def strand_softmax(
    logits: Tensor,
    reads: Tensor,
    per_strand: Tensor | None,
    plus_share: Tensor | None,
    distance: Mapping[str, float] | None,
) -> Verdict:
    """Check Chapter 4, exercise 1: a softmax per strand does not say which strand fires.

    The logits are those of a network that was trained with one softmax over both strands; here
    they are only divided by other sums. How well a network does that was trained with two, the
    check does not say.

    Parameters
    ----------
    logits
        Profile logits of the model, ``(N, 2, L)``.
    reads
        Counts of the same loci, ``(N, 2, L)``.
    per_strand
        The softmax of each strand alone, ``(N, 2, L)``.
    plus_share
        The share of the + strand by one softmax over both strands, ``(N,)``.
    distance
        ``both`` (one softmax over both strands) and ``each`` (one per strand, halved): the
        Jensen-Shannon distance of predicted and measured profile, each one distribution over
        both strands, averaged over the loci that have reads.
    """
    logits, reads = (given.detach().cpu().double() for given in (logits, reads))
    if per_strand is not None:
        _require_per_strand(per_strand, logits)
    if plus_share is not None:
        _require_plus_share(plus_share, logits)
    if distance is not None:
        _require_distance(distance, logits, reads)

    answers = {"per_strand": per_strand, "plus_share": plus_share, "distance": distance}
    if open_part := unfinished(answers):
        return open_part
    share = to_proba(logits)[:, 0].sum(-1)
    both, each = (float(distance[name]) for name in _PROFILES)
    return Verdict(
        True,
        f"the mean distance to the reads is {both:.3f} with one softmax over both strands and "
        f"{each:.3f} with one for each; the share of the + strand goes from "
        f"{_percent(share.min())} to {_percent(share.max())} %, and a softmax per strand cannot "
        "say that. (The network was trained with one softmax: trained with two, its distance could "
        "be another.)",
        {f"distance, {name}": float(distance[name]) for name in _PROFILES},
    )


def _require_per_strand(given: object, logits: Tensor) -> None:
    wanted = logits.softmax(-1)
    found = array("per_strand", given, wanted.shape, ", the shape of the logits")
    ways = [
        ("", wanted),
        ("per_strand is one softmax over both strands; wanted each strand alone: along the last "
         "axis, softmax(-1).", to_proba(logits)),
        ("per_strand is a softmax over the two strands at each base; wanted over the bases of "
         "each strand: softmax(-1).", logits.softmax(1)),
        ("per_strand holds logarithms; take softmax, not log_softmax.", logits.log_softmax(-1)),
    ]  # fmt: skip
    otherwise = f"{worst('per_strand', found, wanted)}; wanted the softmax(-1) of the logits."
    matched(found, ways, otherwise, rtol=1e-3, atol=1e-6)


def _require_plus_share(given: object, logits: Tensor) -> None:
    wanted = to_proba(logits)[:, 0].sum(-1)
    advice = ", a number per locus: add up the bases of the + strand, [:, 0].sum(-1)"
    found = array("plus_share", given, wanted.shape, advice)
    ways = [
        ("", wanted),
        ("plus_share is 1, the same for all loci, as after a softmax per strand; take one softmax "
         "over both.", torch.ones_like(wanted)),
        ("plus_share is the share of the - strand; the + strand is [:, 0].", 1 - wanted),
    ]  # fmt: skip
    matched(found, ways, f"{worst('plus_share', found, wanted)}: one softmax over both strands.")


def _require_distance(given: object, logits: Tensor, reads: Tensor) -> None:
    require_keys("distance", given, _PROFILES)
    alone = logits.softmax(-1)
    profiles = {"both": to_proba(logits), "each": alone / 2}
    each_locus = {name: jsd(p.flatten(1), reads.flatten(1)) for name, p in profiles.items()}
    means = {name: d.nanmean() for name, d in each_locus.items()}
    of_strands = jsd(alone, reads).nanmean()
    why = "loci without reads have no distance; leave them out with nanmean()."
    for name, other in (_PROFILES, _PROFILES[::-1]):
        found = number(f"distance[{name!r}]", given[name], why_nan=why)
        said = f"distance[{name!r}] is {found:.3f}, and these loci give {means[name]:.3f}"
        ways = [
            ("", means[name]),
            (f"{said}; yours is that of {other!r}: are the two exchanged?", means[other]),
            (f"{said}: the distance is the root of the divergence.",
             each_locus[name].square().nanmean()),
            (f"{said}: yours is a mean over strands; flatten(1) both profiles first.", of_strands),
        ]  # fmt: skip
        matched(found, ways, f"{said}: the mean of jsd(profile.flatten(1), reads.flatten(1)).")


# --- exercise 2 -------------------------------------------------------------------------------


@check("4.2")
def equal_strands(
    model: ProCapNet,
    x: Tensor,
    designed: Tensor | None,
    audit: Mapping[str, float] | None,
    rates: Callable[[np.ndarray], np.ndarray],
) -> Verdict:
    """Check Chapter 4, exercise 2: a promoter that fires on both strands equally.

    A network is no judge of what was designed with it, so the design is audited by the truth. The
    audit has to be right; the truth need not agree.

    Parameters
    ----------
    model
        The network that judges; it is asked in evaluation mode.
    x
        The promoter to begin with, one-hot ``(1, 4, L)``.
    designed
        The same with at most 10 other bases: 45 to 55 % of the probability are on each strand,
        and the predicted counts are at least half of what they were.
    audit
        ``plus_share``: the true share of the + strand in the design; ``reads_left``: its true
        reads, divided by those of ``x``. Both of the L - 2 trim bases that the network predicts.
    rates
        The truth, :func:`tssbook.simulator.procap_rates`.
    """
    if designed is None:
        return EMPTY
    n, (before, plus), (was, now) = _judged(model, x, designed)
    shares = f"the + strand has {plus:.1f} % of the probability and the - strand {100 - plus:.1f} %"
    if not 45 <= plus <= 55:
        raise Fault(f"{shares}; wanted 45 to 55 %: aim at target=(math.log(0.5), math.log(0.5)).")
    if now < was / 2:
        raise Fault(
            f"the strands are equal, but the predicted counts fall from {was:,.1f} to {now:,.1f}; "
            "wanted at least half: try another seed."
        )
    said = (
        f"with {n} edit{'s' if n > 1 else ''} {shares} (before: {before:.1f} and "
        f"{100 - before:.1f} %); the predicted counts go from {was:,.1f} to {now:,.1f}."
    )
    told = {"edits": n, "percent on +": plus, "counts before": was, "counts after": now}
    if open_part := unfinished({"designed": designed, "audit": audit}):
        return open_part
    true = _audited(audit, x.detach().cpu(), designed.detach().cpu(), rates, model.trim)
    share, left = _percent(true["plus_share"]), _percent(true["reads_left"])
    agrees = 45 <= share <= 55 and left >= 50
    judged = "the truth agrees" if agrees else "the network misjudged its own design"
    truth = f"In truth {share} % are on the + strand, and {left} % of the reads are left; {judged}."
    return Verdict(True, f"{said} {truth}", told | true)


def _judged(
    model: ProCapNet, x: Tensor, designed: Tensor
) -> tuple[int, tuple[float, float], tuple[float, float]]:
    """Return the edits, and before and after: percent on the + strand, and predicted counts."""
    if isinstance(designed, Design):
        raise Fault("designed is all that flip_strand returns; wanted the sequence, its .x.")
    require_sequence("designed", designed, x.shape)
    x, designed = x.detach().cpu(), designed.detach().cpu()
    n = int((x != designed).any(1).sum())
    if not 1 <= n <= _MAX_EDITS:
        raise Fault(f"{n} bases differ from x; wanted 1 to {_MAX_EDITS}: max_edits={_MAX_EDITS}.")
    profile, count = predicted(model, torch.cat([x, designed.to(x)]))
    before, plus = (_percent(p) for p in to_proba(profile.double())[:, 0].sum(-1))
    was, now = count[:, 0].double().expm1().tolist()
    return n, (before, plus), (was, now)


def _audited(
    given: object,
    x: Tensor,
    designed: Tensor,
    rates: Callable[[np.ndarray], np.ndarray],
    trim: int,
) -> dict[str, float]:
    """Compare an audit with the truth, and return the truth."""
    require_keys("audit", given, ("plus_share", "reads_left"))
    codes = torch.cat([x, designed.to(x)]).argmax(1).to(torch.uint8).numpy()
    whole = np.asarray(rates(codes), dtype=float)  # (2, 2, L): before and after
    inside = whole[..., trim : whole.shape[-1] - trim]
    totals, margins = inside.sum(-1), whole.sum(-1)
    right = {
        "plus_share": float(totals[1, 0] / totals[1].sum()),
        "reads_left": float(totals[1].sum() / totals[0].sum()),
    }
    ways = {
        "plus_share": [
            ("", right["plus_share"]),
            ("yours is the share of the - strand.", 1 - right["plus_share"]),
            ("yours is the share before the design.", totals[0, 0] / totals[0].sum()),
            (f"leave out the {trim} bases at each end.", margins[1, 0] / margins[1].sum()),
        ],
        "reads_left": [
            ("", right["reads_left"]),
            ("yours is before divided by after.", 1 / right["reads_left"]),
            ("yours is the number of reads; divide by that of x.", totals[1].sum()),
            (f"leave out the {trim} bases at each end.", margins[1].sum() / margins[0].sum()),
        ],
    }
    for name, value in right.items():
        found = number(f"audit[{name!r}]", given[name])
        said = f"audit[{name!r}] is {found:.3f}, and the truth gives {value:.3f}"
        if np.isclose(found, 100 * value, rtol=0.01):
            raise Fault(f"{said}: wanted a share, not percent.")
        named = [(sentence and f"{said}: {sentence}", way) for sentence, way in ways[name]]
        matched(
            found, named, f"{said}: add up rates(codes) over the bases in the middle.", atol=5e-3
        )
    return right


# --- the open task of section 8 -----------------------------------------------------------------


@check("4.4")
def one_strand(model: ProCapNet, x: Tensor, designed: Tensor | None) -> Verdict:
    """Check the open task of Chapter 4, section 8: a promoter that fires on one strand.

    This is the playground's game. The score is the share of the probability that is on the
    stronger strand, as :func:`tssbook.interpret.flip_strand` tells it; which strand that is does
    not matter. What the truth makes of the design is not asked.

    Parameters
    ----------
    model, x
        As for `equal_strands`.
    designed
        The same with at most 10 other bases: 95 % of the probability or more are on one strand,
        and the predicted counts are at least half of what they were.
    """
    if designed is None:
        return EMPTY
    n, (before, plus), (was, now) = _judged(model, x, designed)
    score, strand = max((plus, "+"), (100 - plus, "-"))
    said = f"with {n} edit{'s' if n > 1 else ''} the {strand} strand has {score:.1f} %"
    if score < _ALONE:
        raise Fault(f"{said} of the probability; wanted {_ALONE} % or more on one strand.")
    if now < was / 2:
        raise Fault(
            f"{said}, but the predicted counts fall from {was:,.1f} to {now:,.1f}; wanted at "
            "least half."
        )
    start = before if strand == "+" else 100 - before
    return Verdict(
        True,
        f"{said} of the probability (before: {start:.1f}); the predicted counts go from "
        f"{was:,.1f} to {now:,.1f}. Your score is {score:.1f}.",
        {"edits": n, "score": score, "counts before": was, "counts after": now},
    )


# --- exercise 3 -------------------------------------------------------------------------------


@check("4.3")
def mask_training(
    networks: Mapping[str, ProCapNet] | None,
    share: Mapping[str, float] | None,
    x: Tensor,
    mappable: Tensor,
    rates: Tensor,
) -> Verdict:
    """Check Chapter 4, exercise 3: what a network believes of bases whose reads are lost.

    Parameters
    ----------
    networks
        ``with mask`` and ``without mask``, trained alike but for the mask.
    share
        ``truth`` and the same two: the share of all initiation, of both strands, that falls on
        masked bases, averaged over the windows; of the rates and of `to_proba` of each network.
    x
        Windows with masked bases, one-hot ``(N, 4, L_in)``, of validation loci: the check says
        whether the training was long enough. They are all predicted again.
    mappable
        False at masked bases, ``(N, L_out)`` bool.
    rates
        The true rates of initiation, ``(N, 2, L_out)``.
    """
    if networks is None and share is None:
        return EMPTY
    masked, rates = ~mappable.detach().cpu(), rates.detach().cpu().double()
    if networks is not None:
        require_keys("networks", networks, _NETWORKS)
        advice = "make a new ProCapNet for each training."
        networks_differ("networks", {name: networks[name] for name in _NETWORKS}, advice)
        trim = (x.shape[-1] - rates.shape[-1]) // 2
        for name, net in networks.items():
            if getattr(net, "trim", trim) != trim:
                raise Fault(
                    f"networks[{name!r}] trims {net.trim} bp and the windows need {trim}: make it "
                    "with the n_layers of the chapter."
                )
    if share is not None:
        require_keys("share", share, ("truth", *_NETWORKS))
        _require_share(share, networks, x, masked, rates)

    if open_part := unfinished({"networks": networks, "share": share}):
        return open_part
    truth, seen, unseen = (_percent(share[name]) for name in ("truth", *_NETWORKS))
    return Verdict(
        True,
        f"{truth} % of the initiation is on masked bases; the network trained with the mask "
        f"says {seen} %, and the one without {unseen} %: it takes lost reads for silence.",
        {f"percent, {name}": _percent(share[name]) for name in ("truth", *_NETWORKS)},
    )


def _require_share(
    given: Mapping[str, object],
    networks: Mapping[str, ProCapNet] | None,
    x: Tensor,
    masked: Tensor,
    rates: Tensor,
) -> None:
    """Compare the shares with those of the rates and, if they are there, of the networks."""
    profiles = {"truth": rates}
    for name, net in (networks or {}).items():
        profiles[name] = to_proba(answered(f"networks[{name!r}]", net, x)[0].double())
    hidden = masked[:, None]  # (N, 1, L)
    shares = {name: (p * hidden).sum((1, 2)) / p.sum((1, 2)) for name, p in profiles.items()}
    wanted = {name: share.nanmean() for name, share in shares.items()}
    why = "leave out windows without any rates, or has the training diverged?"
    numbers = {name: number(f"share[{name!r}]", given[name], why_nan=why) for name in given}
    for name, profile in profiles.items():
        found, right = numbers[name], wanted[name]
        said = f"share[{name!r}] is {found:.3f}, and it should be {right:.3f}"
        swapped = f"{said}; yours is that of {{!r}}: are the two exchanged?"
        ways = [
            ("", right),
            *((swapped.format(other), wanted[other]) for other in wanted if other != name),
            (f"{said}; yours is that of the mappable bases: the masked ones are ~mappable.",
             1 - right),
            (f"{said}: take the share in each window first, then the mean.",
             (profile * hidden).sum() / profile.sum()),
        ]  # fmt: skip
        matched(found, ways, f"{said}: both strands' sum at masked bases, of the sum at all.")
    seen, unseen = (_percent(wanted.get(name, 0)) for name in _NETWORKS)
    if networks is not None and unseen >= _LESS * seen:
        raise Fault(
            f"the numbers are right, but {unseen} % without the mask is not less than three "
            f"quarters of {seen} % with it: are the two networks exchanged, does only the loss of "
            "the one get the mask, and did both train long enough?"
        )

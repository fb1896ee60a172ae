"""The checks of Chapter 4: a solution passes, and each usual mistake hears its name."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from tssbook.exercises.chapter_4 import (
    equal_strands,
    mask_training,
    one_strand,
    strand_softmax,
)
from tssbook.interpret.designs import Design
from tssbook.models.procapnet import ProCapNet
from tssbook.sequence import one_hot, reverse_complement

FLANK, WINDOW = "C" * 53, 20  # ProCapNet(4, 2) trims 10 + 2 + 4 + 37 bases from each side


def letter_net(plus, minus, count=0.0, bias=3.0):
    """Each base of a strand weighs what its letter does, others 1; a G adds to the log count."""
    net = ProCapNet(4, 2)
    with torch.no_grad():
        for weights in net.parameters():
            weights.zero_()
        for i, letter in enumerate("ACGT"):
            net.iconv.weight[i, i, 10] = 1  # filter i is 1 at its letter, and 0 elsewhere
            net.fconv.weight[0, i, 37] = math.log(plus.get(letter, 1))
            net.fconv.weight[1, i, 37] = math.log(minus.get(letter, 1))
        net.linear.weight[0, 2] = count * (WINDOW + 74)  # the head takes a mean over so many
        net.linear.bias[0] = bias
    return net.train()


def windows(*words):
    return one_hot([FLANK + word + FLANK for word in words])


def refused(verdict, message):
    assert verdict.passed is False
    assert message in verdict.message


# --- exercise 1 -----------------------------------------------------------------------------

# The exponentials of the logits; the + strand has 4 of 16, 9 of 10 and 3 of 8.
WEIGHTS = np.array(
    [
        [[1, 1, 2], [4, 6, 2]],
        [[6, 2, 1], [0.5, 0.25, 0.25]],
        [[1, 1, 1], [1, 2, 2]],
    ]
)
LOGITS = torch.from_numpy(np.log(WEIGHTS)).float()
READS = torch.tensor(
    [
        [[2, 1, 1], [6, 5, 1]],
        [[9, 4, 2], [0, 1, 0]],
        [[0, 0, 0], [0, 0, 0]],
    ]
)
BOTH = WEIGHTS / WEIGHTS.sum((1, 2), keepdims=True)
EACH = WEIGHTS / WEIGHTS.sum(2, keepdims=True)
SHARE = np.array([0.25, 0.9, 0.375])


def divergences(profile, reads, axis):
    """The Jensen-Shannon divergences as they are defined, of loci that have reads."""
    p, q = (np.asarray(v[:2], float) for v in (profile, reads))
    p, q = (v / v.sum(axis, keepdims=True) for v in (p, q))
    m = (p + q) / 2
    return sum(v * np.log(np.where(v > 0, v, 1) / m) / 2 for v in (p, q)).sum(axis)


JSD = {
    name: np.sqrt(divergences(profile, READS, (1, 2)))
    for name, profile in (("both", BOTH), ("each", EACH))
}
DISTANCE = {name: float(d.mean()) for name, d in JSD.items()}


def check_1(per_strand=EACH, plus_share=SHARE, distance=DISTANCE):
    return strand_softmax(LOGITS, READS, per_strand, plus_share, distance)


def test_strand_softmax_not_attempted():
    assert repr(check_1(None, None, None)) == "Not attempted yet."


@pytest.mark.parametrize(
    ("answers", "missing"),
    [
        ({"plus_share": None, "distance": None}, "plus_share, distance"),
        ({"distance": None}, "distance"),
        ({"per_strand": None}, "per_strand"),
        ({"per_strand": None, "plus_share": None}, "per_strand, plus_share"),
    ],
)
def test_strand_softmax_half_done(answers, missing):
    shown = f"Right so far; still to come: {missing}."
    assert repr(check_1(**answers)) == shown


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, lambda v: torch.tensor(v).float()])
def test_strand_softmax_solution(kind):
    verdict = check_1(kind(EACH), kind(SHARE), {k: kind(v) for k, v in DISTANCE.items()})
    assert verdict.passed, verdict.message
    said = f"{DISTANCE['both']:.3f} with one softmax over both strands and {DISTANCE['each']:.3f} "
    assert said in verdict.message
    assert "the share of the + strand goes from 25.0 to 90.0 %" in verdict.message
    assert "(The network was trained with one softmax: trained with two, its" in verdict.message
    assert verdict.numbers == pytest.approx({f"distance, {k}": v for k, v in DISTANCE.items()})


def test_distances_on_paper():
    """One base per strand, 3 reads of 4 on +: 3/4 is right, and 1/2 is a distance of 0.184.

    The mean of both is 5/8: its entropy, 0.6616, exceeds (0.6931 + 0.5623) / 2 by 0.0339.
    """
    logits, reads = torch.tensor([[[3.0], [1.0]]]).log(), torch.tensor([[[3], [1]]])
    verdict = strand_softmax(
        logits, reads, torch.ones(1, 2, 1), [0.75], {"both": 0, "each": 0.0339**0.5}
    )
    assert verdict.passed, verdict.message
    assert verdict.message.startswith("the mean distance to the reads is 0.000 with one softmax")
    assert "and 0.184 with one for each;" in verdict.message


NAN = np.full((3, 2, 3), np.nan)


@pytest.mark.parametrize(
    ("per_strand", "message"),
    [
        ("softmax", "per_strand is 'softmax'; wanted (3, 2, 3), the shape of the logits."),
        (EACH.reshape(3, 6), "per_strand is (3, 6); wanted (3, 2, 3), the shape of the logits."),
        (BOTH, "per_strand is one softmax over both strands; wanted each strand alone"),
        (WEIGHTS / WEIGHTS.sum(1, keepdims=True), "is a softmax over the two strands at each ba"),
        (np.log(EACH), "per_strand holds logarithms; take softmax, not log_softmax."),
        (EACH[..., ::-1], "wanted the softmax(-1) of the logits."),
        (EACH + 2 * (EACH == 0.25), "per_strand[0, 0, 0] is 2.25, and should be 0.25;"),
        (NAN, "per_strand[0, 0, 0] is nan, and should be 0.25;"),
    ],
)
def test_per_strand_mistakes(per_strand, message):
    refused(check_1(per_strand, None, None), message)


@pytest.mark.parametrize(
    ("plus_share", "message"),
    [
        (0.5, "plus_share is (); wanted (3,), a number per locus: add up the bases"),
        ("all", "plus_share is 'all'; wanted (3,), a number per locus"),
        (BOTH.sum(2), "plus_share is (3, 2); wanted (3,), a number per locus"),
        (EACH[:, 0].sum(-1), "plus_share is 1, the same for all loci, as after a softmax per str"),
        (1 - SHARE, "plus_share is the share of the - strand; the + strand is [:, 0]."),
        (
            SHARE + 0.01 * np.eye(3)[1],
            "plus_share[1] is 0.91, and should be 0.9: one softmax",
        ),
    ],
)
def test_plus_share_mistakes(plus_share, message):
    refused(check_1(plus_share=plus_share, distance=None), message)


STRANDS = np.sqrt(divergences(BOTH, READS, 2))  # the same for EACH: both are divided by sums


@pytest.mark.parametrize(
    ("distance", "message"),
    [
        (0.2, "distance is 0.2; wanted a dict with the keys 'both', 'each'."),
        ({}, "the keys of distance are none; wanted 'both', 'each'."),
        ({"both": 0.2}, "the keys of distance are 'both'; wanted 'both', 'each'."),
        ({"both": None}, "distance['both'] is None; wanted one number."),
        ({"each": "far"}, "distance['each'] is 'far'; wanted one number."),
        ({"each": JSD["each"]}, "distance['each'] is an ndarray; wanted one number."),
        ({"both": math.nan}, "distance['both'] is NaN: loci without reads have no distance; leave"),
        ({"both": DISTANCE["each"], "each": DISTANCE["both"]},
         "yours is that of 'each': are the two exchanged?"),
        ({"each": DISTANCE["both"]}, "yours is that of 'both': are the two exchanged?"),
        ({"each": (JSD["each"] ** 2).mean()}, "the distance is the root of the divergence."),
        ({"both": STRANDS.mean()}, "yours is a mean over strands; flatten(1) both profiles first."),
        ({"each": STRANDS.mean()}, "yours is a mean over strands; flatten(1) both profiles first."),
        ({"both": 0.7}, f"distance['both'] is 0.700, and these loci give {DISTANCE['both']:.3f}:"),
    ],
)  # fmt: skip
def test_distance_mistakes(distance, message):
    whole = isinstance(distance, dict) and distance and distance != {"both": 0.2}
    refused(check_1(distance=DISTANCE | distance if whole else distance), message)


# --- exercise 2 -----------------------------------------------------------------------------

# The + strand has 20 + 10 for each A, the - strand 20 + 10 for each T: 100 and 20. The log count
# is 3 + 0.5 for each G.
NET = letter_net({"A": 11}, {"T": 11}, count=0.5)
X = windows("AAAAAAAAGGGGCCCCCCCC")


def edited(word, n_more=0):
    """A design, with so many more edits where no output sees them, in the first 16 bases."""
    x = windows(word)
    x[..., :n_more] = one_hot(["A"])
    return x


EVEN = "AAAATTTTGGGGCCCCCCCC"  # 60 and 60


def true_rates(codes):
    """Each A is 3 reads on the + strand, each T is 1 on the - strand, and the flanks have 10 more.

    Before there are 8 A, 24 reads on +, and none on -. EVEN has 12 and 4.
    """
    rates = np.stack([3.0 * (codes == 0), 1.0 * (codes == 3)], 1)
    rates[..., [0, -1]] += [[10], [0]]
    return rates


def true_audit(word, before=24):
    """What `true_rates` gives a design of this word; the reads before are 24."""
    plus, minus = 3 * word.count("A"), word.count("T")
    return {"plus_share": plus / (plus + minus), "reads_left": (plus + minus) / before}


AUDIT = {"plus_share": 12 / 16, "reads_left": 16 / 24}


def test_audit_by_hand():
    assert true_audit(EVEN) == AUDIT


def check_2(designed, audit=AUDIT, *, x=X, rates=true_rates):
    return equal_strands(NET, x, designed, audit, rates)


def test_equal_strands_not_attempted():
    assert repr(check_2(None, None)) == "Not attempted yet."


def test_a_design_without_an_audit_is_half_of_it():
    assert repr(check_2(edited(EVEN), None)) == "Right so far; still to come: audit."


@pytest.mark.parametrize("kind", [torch.Tensor.float, torch.Tensor.char, torch.Tensor.bool])
def test_equal_strands_solution(kind):
    verdict = check_2(kind(edited(EVEN)), x=X.char())
    # exp(5) - 1 = 147.4
    assert repr(verdict) == (
        "Passed: with 4 edits the + strand has 50.0 % of the probability and the - strand 50.0 % "
        "(before: 83.3 and 16.7 %); the predicted counts go from 147.4 to 147.4. In truth 75.0 % "
        "are on the + strand, and 66.7 % of the reads are left; the network misjudged its own "
        "design."
    )
    assert NET.training


@pytest.mark.parametrize(
    ("word", "n_more", "said"),
    [
        (EVEN, 6, "with 10 edits"),
        ("AAAAATTTGGGGTCCCCCCC", 0, "the + strand has 53.8 %"),  # 70 of 70 + 60
        ("AAAATTTTGGGGTCCCCCCC", 0, "the + strand has 46.2 %"),  # 60 of 60 + 70
        ("AAAATTTTGGGCCCCCCCCC", 0, "from 147.4 to 89.0."),  # exp(4.5) - 1
    ],
)
def test_equal_strands_just_good_enough(word, n_more, said):
    verdict = check_2(edited(word, n_more), true_audit(word))
    assert verdict.passed, verdict.message
    assert said in verdict.message


def test_one_edit_is_one_edit():
    start = windows("AAAAATTTGGGGCCCCCCCC")  # 70 and 50; in truth 15 and 3
    verdict = check_2(edited(EVEN), true_audit(EVEN, before=18), x=start)
    assert "with 1 edit the + strand" in verdict.message


def several(x):
    x = x.clone()
    x[:, :, 60] = 1
    return x


def with_n(x):
    x = x.clone()
    x[:, :, 60] = 0
    return x


@pytest.mark.parametrize(
    ("designed", "message"),
    [
        ("ACGT", "designed is 'ACGT'; wanted a tensor (1, 4, 126)."),
        (Design(X, [], (0, 1), (1, 0)), "is all that flip_strand returns; wanted the sequence"),
        (X[0], "designed is (4, 126); wanted (1, 4, 126): keep the first axis, designed[None]."),
        (X[..., 1:], "designed is (1, 4, 125); wanted (1, 4, 126): replace bases, do not insert"),
        (torch.ones_like(X), "designed is not one-hot"),
        (several(X), "designed is not one-hot"),
        (0.8 * X + 0.05, "designed is not one-hot"),
        (with_n(X), "designed has columns that are all zero (N); wanted bases."),
        (X.clone(), "0 bases differ from x; wanted 1 to 10: max_edits=10."),
        (reverse_complement(X), "bases differ from x; wanted 1 to 10: max_edits=10."),
        (edited(EVEN, 7), "11 bases differ from x; wanted 1 to 10: max_edits=10."),
        # 70 of 70 + 50, and 20 of 20 + 100
        (edited("AAAAATTTGGGGCCCCCCCC"), "has 58.3 % of the probability and the - strand 41.7 %;"),
        (edited("TTTTTTTTGGGGCCCCCCCC"), "the + strand has 16.7 % of the probability and the - s"),
        (edited("TTTTTTTTGGGGCCCCCCCC"), "aim at target=(math.log(0.5), math.log(0.5))."),
        # exp(4) - 1 and exp(3) - 1
        (edited("AAAATTTTGGCCCCCCCCCC"), "counts fall from 147.4 to 53.6; wanted at least half"),
        (edited("AAAATTTTCCCCCCCCCCCC"), "counts fall from 147.4 to 19.1; wanted at least half"),
    ],
)
def test_equal_strands_mistakes(designed, message):
    refused(check_2(designed), message)


@pytest.mark.parametrize("kind", [float, np.float32, torch.tensor])
def test_audit(kind):
    verdict = check_2(edited(EVEN), {name: kind(value) for name, value in AUDIT.items()})
    assert verdict.passed, verdict.message
    assert verdict.numbers["reads_left"] == pytest.approx(2 / 3)


def test_audit_that_agrees():
    def fair(codes):
        return np.stack([1.0 * (codes == 0), 1.0 * (codes == 3)], 1)

    agreed = {"plus_share": 0.5, "reads_left": 1}  # 4 and 4 of 8
    verdict = check_2(edited(EVEN), agreed, rates=fair)
    assert verdict.message.endswith("100.0 % of the reads are left; the truth agrees.")


@pytest.mark.parametrize(
    ("audit", "message"),
    [
        (0.75, "audit is 0.75; wanted a dict with the keys 'plus_share', 'reads_left'."),
        ({"plus_share": 0.75}, "the keys of audit are 'plus_share'; wanted"),
        (AUDIT | {"plus_share": 0.25}, "0.250, and the truth gives 0.750: yours is the share of"),
        (AUDIT | {"plus_share": 1}, "yours is the share before the design."),
        (AUDIT | {"plus_share": 75}, "wanted a share, not percent."),
        (AUDIT | {"plus_share": 32 / 36}, "leave out the 53 bases at each end."),
        (AUDIT | {"reads_left": 1.5}, "yours is before divided by after."),
        (AUDIT | {"reads_left": 16}, "yours is the number of reads; divide by that of x."),
        (AUDIT | {"reads_left": 36 / 44}, "leave out the 53 bases at each end."),
        (AUDIT | {"reads_left": 0.5}, "0.500, and the truth gives 0.667: add up rates(codes) over"),
        (AUDIT | {"reads_left": None}, "audit['reads_left'] is None; wanted one number."),
    ],
)
def test_audit_mistakes(audit, message):
    refused(check_2(edited(EVEN), audit), message)


# --- the open task ----------------------------------------------------------------------------

# The + strand has 20 + 40 for each A: 340 of 340 + 20. With one A more, 380 of 400.
SHARP = letter_net({"A": 41}, {"T": 41}, count=0.5)


def test_one_strand_not_attempted():
    assert repr(one_strand(SHARP, X, None)) == "Not attempted yet."


def test_one_strand_by_hand():
    verdict = one_strand(SHARP, X, edited("AAAAAAAAGGGGCCCCCCCA", 9))
    assert repr(verdict) == (
        "Passed: with 10 edits the + strand has 95.0 % of the probability (before: 94.4); the "
        "predicted counts go from 147.4 to 147.4. Your score is 95.0."
    )
    assert verdict.numbers["score"] == 95
    assert verdict.exercise == "4.4"


def test_the_other_strand_counts_as_much():
    """T instead of A, read from the other side: 380 of 400 on the - strand."""
    start = reverse_complement(X)
    verdict = one_strand(SHARP, start, reverse_complement(edited("AAAAAAAAGGGGCCCCCCCA")))
    assert verdict.message.startswith("with 1 edit the - strand has 95.0 % of the probability (bef")


@pytest.mark.parametrize(
    ("designed", "message"),
    [
        (X.clone(), "0 bases differ from x; wanted 1 to 10"),
        (edited("AAAAAAAAGGGGCCCCCCCA", 10), "11 bases differ from x; wanted 1 to 10"),
        ("ACGT", "designed is 'ACGT'; wanted a tensor (1, 4, 126)."),
        (Design(X, [], (0, 1), (1, 0)), "is all that flip_strand returns; wanted the sequence"),
        # 340 of 360, and 60 of 60 + 300
        (edited("AAAAAAAAGGGGCCCCCCCG"), "the + strand has 94.4 % of the probability; wanted 95"),
        (edited("TTTTTTTAGGGGCCCCCCCC"), "the - strand has 83.3 % of the probability; wanted 95"),
        # exp(4) - 1
        (edited("AAAAAAAAGGCCCCCCCCCA"), "95.0 %, but the predicted counts fall from 147.4 to 53."),
    ],
)
def test_one_strand_mistakes(designed, message):
    refused(one_strand(SHARP, X, designed), message)


# --- exercise 3 -----------------------------------------------------------------------------

WORDS = (
    "TTTTTAAACCCCCCCCCCCC",
    "TTTTTTTTTTACCCCGGGGG",
    "TTAAAAAAAACCCCCCGCCC",
    "TTTCCCCCCCCCCCCCCCCC",
)
LOCI = windows(*WORDS)
LETTERS = np.array([list(word) for word in WORDS])
MAPPABLE = torch.from_numpy(LETTERS != "T")  # the repeat is made of T
SEEN = ({"T": 3, "A": 2}, {"A": 4})
UNSEEN = ({"T": 0.3, "A": 2}, {"T": 0.1, "A": 4})
NETWORKS = {
    "with mask": letter_net(*SEEN, count=0.4),
    "without mask": letter_net(*UNSEEN, count=0.4),
}


def weights(strands):
    """What each base of each strand weighs, ``(N, 2, L)``."""
    return np.stack([np.vectorize(lambda b, w=w: w.get(b, 1.0))(LETTERS) for w in strands], 1)


TRUE = weights(({"T": 4, "A": 2}, {"T": 2, "A": 7})) * np.array([1, 10, 5, 0])[:, None, None]
COUNTS = np.expm1(3 + 0.4 * (LETTERS == "G").sum(1))


def repeat(profile):
    """The sum at T of each strand of each window; the last one, without rates, may be missing."""
    return (profile * (LETTERS == "T")[: len(profile), None]).sum(-1)


def window_shares(profile):
    profile = profile[profile.sum((1, 2)) > 0]
    return repeat(profile).sum(-1) / profile.sum((1, 2))


PROFILES = {"truth": TRUE, "with mask": weights(SEEN), "without mask": weights(UNSEEN)}
SHARES = {name: float(window_shares(profile).mean()) for name, profile in PROFILES.items()}


def check_3(nets=NETWORKS, share=SHARES):
    return mask_training(nets, share, LOCI, MAPPABLE, torch.from_numpy(TRUE))


def test_shares_on_paper():
    """Window 0: 5 T, 3 A, 12 C.

    + is 15 + 6 + 12 and - is 5 + 12 + 12; without the mask 1.5 + 6 + 12 and 0.5 + 12 + 12.
    """
    assert window_shares(weights(SEEN))[0] == pytest.approx(20 / 62)
    assert window_shares(weights(UNSEEN))[0] == pytest.approx(2 / 44)


def test_mask_training_not_attempted():
    assert repr(check_3(None, None)) == "Not attempted yet."


@pytest.mark.parametrize(("nets", "share"), [(NETWORKS, None), (None, SHARES)])
def test_mask_training_half_done(nets, share):
    missing = "share" if share is None else "networks"
    assert check_3(nets, share).passed is None
    assert check_3(nets, share).message == f"right so far; still to come: {missing}."


@pytest.mark.parametrize("kind", [float, np.float32, torch.tensor])
def test_mask_training_solution(kind):
    verdict = check_3(share={name: kind(share) for name, share in SHARES.items()})
    assert verdict.passed, verdict.message
    percent = [f"{100 * SHARES[name]:.1f} %" for name in ("truth", "with mask", "without mask")]
    assert verdict.message.startswith(f"{percent[0]} of the initiation is on masked bases;")
    assert f"mask says {percent[1]}, and the one without {percent[2]}: it" in verdict.message
    assert all(net.training for net in NETWORKS.values())


WITH, WITHOUT = NETWORKS.values()


@pytest.mark.parametrize(
    ("nets", "message"),
    [
        (WITH, "networks is a ProCapNet; wanted a dict with the keys 'with mask', 'without mask'."),
        ({"with mask": WITH}, "the keys of networks are 'with mask'; wanted 'with mask', 'without"),
        (NETWORKS | {"without mask": 0.5}, "networks['without mask'] is 0.5; wanted the trained"),
        (NETWORKS | {"without mask": ProCapNet}, "networks['without mask'] is a type; wanted the"),
        (NETWORKS | {"with mask": ProCapNet(4, 1)}, "networks['with mask'] trims 49 bp and the wi"),
        ({"with mask": WITH, "without mask": WITH}, "both networks have the same weights; make a"),
        (NETWORKS | {"without mask": copy.deepcopy(WITH)}, "both networks have the same weights;"),
    ],
)
@pytest.mark.parametrize("share", [None, SHARES])
def test_networks_mistakes(nets, message, share):
    refused(check_3(nets, share), message)


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (0.3, "share is 0.3; wanted a dict with the keys 'truth', 'with mask', 'without mask'."),
        ({"truth": 0.3}, "the keys of share are 'truth'; wanted 'truth', 'with mask', 'without"),
        (SHARES | {"with mask": None}, "share['with mask'] is None; wanted one number."),
        (SHARES | {"truth": math.nan}, "share['truth'] is NaN: leave out windows without any rat"),
        ({name: 1 - share for name, share in SHARES.items()}, "yours is that of the mappable bas"),
        (SHARES | {"with mask": 1 - SHARES["with mask"]}, "yours is that of the mappable bases"),
        (SHARES | {"truth": float(repeat(TRUE).sum() / TRUE.sum())}, "share in each window first"),
        (SHARES | {"with mask": SHARES["without mask"], "without mask": SHARES["with mask"]},
         "yours is that of 'without mask': are the two exchanged?"),
        (SHARES | {"without mask": SHARES["without mask"] + 0.01},
         f"it should be {SHARES['without mask']:.3f}: both strands' sum at masked bases, of"),
    ],
)  # fmt: skip
def test_share_mistakes(share, message):
    refused(check_3(share=share), message)


def test_the_truth_is_looked_at_without_networks():
    refused(check_3(None, SHARES | {"truth": 1 - SHARES["truth"]}), "that of the mappable bases")


WEAKER = ({"T": 0.2, "A": 2}, {"T": 0.2, "A": 4})
FLAT = ({}, {})


@pytest.mark.parametrize(
    ("first", "second"),
    [(UNSEEN, SEEN), (UNSEEN, WEAKER), (SEEN, SEEN), (FLAT, FLAT)],
    ids=["exchanged", "too little", "the same", "not trained"],
)
def test_right_numbers_without_the_effect(first, second):
    nets = {"with mask": letter_net(*first), "without mask": letter_net(*second, bias=2)}
    share = {
        "truth": SHARES["truth"],
        "with mask": window_shares(weights(first)).mean(),
        "without mask": window_shares(weights(second)).mean(),
    }
    unseen, seen = (f"{100 * share[name]:.1f} %" for name in ("without mask", "with mask"))
    refused(check_3(nets, share), f"{unseen} without the mask is not less than three quarters of")
    refused(check_3(nets, share), f"of {seen} with it: are the two networks exchanged")

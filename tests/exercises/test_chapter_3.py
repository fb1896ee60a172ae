"""The checks of Chapter 3: a solution passes, and each usual mistake hears its name."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from tssbook.data.tracks import TRACKS
from tssbook.exercises.chapter_3 import DISTANCES, TATA, knockout, mean_squares, tata
from tssbook.metrics import pearson_r
from tssbook.models.puffin import MARGIN, SimpleNet, loss_terms, to_counts
from tssbook.sequence import one_hot, reverse_complement

INSIDE = slice(MARGIN, -MARGIN)


def random_net(seed):
    """A small network whose filters all matter, on both strands and in all tracks."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = SimpleNet(3, 2)
        with torch.no_grad():
            for weights in net.parameters():
                weights.copy_(0.15 * torch.randn_like(weights))
            net.conv.bias.fill_(0.5)
            net.deconv.weight.mul_(0.2)
    return net.train()


def random_loci(n, length=800):
    letters = np.random.default_rng(0).integers(0, 4, (n, length))
    return torch.eye(4, dtype=torch.int8)[torch.from_numpy(letters)].transpose(1, 2)


@torch.no_grad()
def predicted(net, x):
    return net(x.float()).double()


def reads(prediction):
    return to_counts(prediction)[..., INSIDE].sum(-1)


def edited(edit):
    """A function as the exercise wants it, which edits a copy."""

    def silenced(model, chosen):
        net = copy.deepcopy(model)
        with torch.no_grad():
            edit(net, chosen)
        return net

    return silenced


# --- exercise 1 -----------------------------------------------------------------------------

NET, X, CHOSEN = random_net(1), random_loci(12), 1


@edited
def silenced(net, chosen):
    net.conv.weight[chosen] = 0
    net.conv.bias[chosen] = 0


@edited
def silenced_effects(net, chosen):
    """The same from behind: nobody hears the filter."""
    net.deconv.weight[:, [chosen, chosen + 3]] = 0


BEFORE, AFTER = predicted(NET, X), predicted(silenced(NET, CHOSEN), X)
CHANGES = reads(AFTER) - reads(BEFORE)
LOCI = CHANGES.abs().sum(1).topk(5).indices
TRACK = TRACKS[int(CHANGES.abs().sum(0).argmax())]


def check_1(answer=silenced, changes=CHANGES, loci=LOCI, track=TRACK, net=NET):
    return knockout(net, X, CHOSEN, answer, changes, loci, track)


@pytest.mark.parametrize("answer", [None, lambda net, chosen: None])
@pytest.mark.parametrize("changes", [None, CHANGES])
def test_knockout_not_attempted(answer, changes):
    assert repr(check_1(answer, changes)) == "Not attempted yet."


@pytest.mark.parametrize(
    ("answers", "missing"),
    [
        ({"changes": None, "loci": None, "track": None}, "changes, top_loci, top_track"),
        ({"loci": None, "track": None}, "top_loci, top_track"),
        ({"track": None}, "top_track"),
    ],
)
def test_knockout_half_done(answers, missing):
    shown = f"Right so far; still to come: {missing}."
    assert repr(check_1(**answers)) == shown


@pytest.mark.parametrize("answer", [silenced, silenced_effects])
@pytest.mark.parametrize("kind", [torch.Tensor.float, torch.Tensor.numpy])
def test_knockout_solution(answer, kind):
    verdict = check_1(answer, kind(CHANGES), LOCI.tolist())
    total = float(CHANGES[:, TRACKS.index(TRACK)].sum())
    assert verdict.passed, verdict.message
    assert verdict.message.startswith(
        f"without filter 1, {TRACK} changes most of all tracks, by {total:+,.0f} reads in 12 loci;"
    )
    most = f"locus {LOCI[0]} changes most of all loci, by {float(CHANGES[LOCI[0]].sum()):+,.0f}"
    assert most in verdict.message
    assert NET.training


@edited
def bias_left(net, chosen):
    net.conv.weight[chosen] = 0


@edited
def other_filter(net, chosen):
    net.conv.weight[chosen + 1] = 0
    net.conv.bias[chosen + 1] = 0


def in_place(model, chosen):
    with torch.no_grad():
        model.conv.weight[chosen] = 0
        model.conv.bias[chosen] = 0
    return model


def strand(shift):
    return edited(lambda net, chosen: net.deconv.weight[:, chosen + shift].zero_())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (3, "silenced is an int; wanted a function of a network and a filter's number."),
        (NET, "silenced is a SimpleNet; wanted a function of a network and a filter's number."),
        (lambda net, chosen: 3, "silenced returns an int; wanted a network."),
        (in_place, "silenced changes the network that it is given, which all later sections"),
        (lambda net: net, "silenced is called as silenced(net); wanted a function of a network"),
        (lambda net, chosen: torch.nn.Linear(4, 1), "the network that silenced returns fails on"),
        (lambda net, chosen: torch.nn.Identity(), "returns predicts (2, 4, 800); wanted (2, 10, 8"),
        (edited(lambda net, chosen: None), "predicts the same as the network; nothing is sil"),
        # silu(0.5) = 0.5 / (1 + exp(-0.5)) = 0.31
        (bias_left, "its bias is not: instead of 0, it gives 0.31 at every position."),
        (strand(0), "only the + strand is silent: channels 1 and 4 of deconv are one filter."),
        (strand(3), "only the - strand is silent: channels 1 and 4 of deconv are one filter."),
        (other_filter, "in more than the chosen filter; set conv.weight[1] and conv.bias"),
    ],
)  # fmt: skip
def test_silenced_mistakes(answer, message):
    before = copy.deepcopy(NET.state_dict())
    verdict = check_1(answer)
    assert verdict.passed is False
    assert message in verdict.message
    assert all(torch.equal(before[name], NET.state_dict()[name]) for name in before)


def test_a_network_that_was_silenced_before_is_seen():
    verdict = check_1(net=silenced(NET, CHOSEN))
    assert verdict.passed is False
    assert verdict.message.startswith("filter 1 of the network itself is 0. Run the cell that")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("many", "changes is 'many'; wanted (12, 10): a row per locus"),
        (CHANGES[:5], "changes is (5, 10); wanted (12, 10): a row per locus"),
        (AFTER - BEFORE, "(12, 10, 800); wanted (12, 10): a row per locus, its positions added up"),
        (CHANGES / 0, "and the network says "),
        (-CHANGES, "the sign is the wrong way round: it is the copy minus the network."),
        ((to_counts(AFTER) - to_counts(BEFORE)).sum(-1), "the margins are in it; leave MARGIN"),
        (CHANGES / 150, "these are means over the positions; wanted sums."),
        ((AFTER - BEFORE)[..., INSIDE].sum(-1), "these are changes of logarithms; bring both"),
        (CHANGES + 30 * torch.eye(12, 10), "reads."),
    ],
)
def test_changes_mistakes(changes, message):
    verdict = check_1(changes=changes, loci=None, track=None)
    assert verdict.passed is False
    assert message in verdict.message


def test_changes_of_other_loci_than_the_first_are_looked_at_if_they_are_named():
    changes = CHANGES.clone()
    changes[11] += 1000
    assert check_1(changes=changes, loci=None, track=None).passed is None
    loci = changes.abs().sum(1).topk(5).indices
    assert check_1(changes=changes, loci=loci, track=None).message.startswith("locus 11 changes by")


BY_SIZE = CHANGES.abs().sum(1).argsort(descending=True)


@pytest.mark.parametrize(
    ("loci", "message"),
    [
        ("first", "top_loci is 'first'; wanted (5,): 5 numbers from 0 to 11."),
        (LOCI[:3], "top_loci is (3,); wanted (5,): 5 numbers from 0 to 11."),
        ([0, 1, 2, 3, 12], "top_loci holds 12; wanted 0 to 11, rows of the test loci."),
        ([0, 1, 2, 3, -1], "top_loci holds -1; wanted 0 to 11, rows of the test loci."),
        ([0, 0, 1, 2, 3], "top_loci holds a number twice; wanted 5 different ones."),
        (BY_SIZE[[7, 8, 9, 10, 11]], f"locus {BY_SIZE[0]} changes by "),
        (BY_SIZE[[0, 1, 2, 3, 6]], f"locus {BY_SIZE[4]} changes by "),
    ],
)
def test_top_loci_mistakes(loci, message):
    verdict = check_1(loci=loci)
    assert verdict.passed is False
    assert message in verdict.message


def test_rises_and_falls_count_alike():
    # Loci 0 to 5 rise by 0, 1, .. 5; loci 6 to 11 fall by 2, 4, .. 12, most in track 9.
    changes = torch.zeros(12, 10)
    changes[:6, 2], changes[6:, 9] = torch.arange(6.0), -2 * torch.arange(1.0, 7)
    said = check_1(changes=changes, loci=[5, 4, 3, 2, 1]).message
    assert said == "a fall matters as much as a rise: add up changes.abs()."
    # 12, 10, 8, 6, and then comes the rise by 5, not the fall by 4.
    said = check_1(changes=changes, loci=[11, 10, 9, 8, 7]).message
    assert said == "locus 5 changes by 5, and locus 7 only by 4: add up changes.abs()."
    said = check_1(changes=changes, loci=None, track=TRACKS[2]).message
    assert said == "a fall matters as much as a rise: add up changes.abs()."


@pytest.mark.parametrize(
    ("track", "message"),
    [
        (3, "top_track is an int; wanted one of the names in TRACKS."),
        ("CAGE", "top_track is 'CAGE'; wanted one of the names in TRACKS."),
        (TRACKS[int(CHANGES.abs().sum(0).argmin())], f"{TRACK} changes by "),
    ],
)
def test_top_track_mistakes(track, message):
    verdict = check_1(track=track)
    assert verdict.passed is False
    assert message in verdict.message


def test_errors_of_the_answer_itself_are_raised():
    def broken(model, chosen):
        raise KeyError("my own mistake")

    with pytest.raises(KeyError, match="my own mistake"):
        check_1(broken)


# --- exercise 2 -----------------------------------------------------------------------------

NETS = {"KL": random_net(2), "MSE": random_net(3)}
PREDICTED = {name: predicted(net, X)[..., INSIDE] for name, net in NETS.items()}
NOISE = torch.randn(PREDICTED["KL"].shape, generator=torch.Generator().manual_seed(0))
MEASURED = PREDICTED["KL"] / math.log(10) + 0.1 * NOISE


R = {name: float(pearson_r(p, MEASURED).mean()) for name, p in PREDICTED.items()}


def with_error(error, drop=("profile",)):
    """A loss whose new term is ``error(prediction, target)``."""

    def terms(model, prediction, target):
        old = loss_terms(model, prediction, target)
        return {"mse": error(prediction, target)} | {k: v for k, v in old.items() if k not in drop}

    return terms


def squares(p, t):
    return (p - t).square().mean((1, 2))


LN10 = math.log(10)


def inside(error, scale=LN10):
    return lambda p, t: error(p[..., INSIDE] / scale, t[..., INSIDE])


mse_terms = with_error(inside(squares))


def check_2(terms=mse_terms, nets=NETS, r=R):
    return mean_squares(terms, nets, r, X, MEASURED)


def test_the_networks_differ_in_r():
    assert R["KL"] > 0.5
    assert abs(R["MSE"]) < 0.2


@pytest.mark.parametrize("terms", [None, lambda *given: None])
def test_mean_squares_not_attempted(terms):
    assert repr(check_2(terms)) == "Not attempted yet."


def test_mean_squares_half_done():
    assert check_2(nets=None, r=None).message == "right so far; still to come: networks, profile_r."
    assert check_2(r=None).message == "right so far; still to come: profile_r."


def test_mean_squares_solution_leaves_random_numbers_alone():
    state = torch.get_rng_state()
    verdict = check_2(r={name: torch.tensor(r) for name, r in R.items()})
    assert verdict.passed, verdict.message
    said = f"KL reaches r = {R['KL']:.2f}, and MSE reaches {R['MSE']:.2f}. Their mean predictions"
    assert verdict.message.startswith(said)
    assert f"; measured is {MEASURED.mean():.4f}. One short training" in verdict.message
    assert verdict.numbers["r, KL"] == pytest.approx(R["KL"])
    assert torch.equal(state, torch.get_rng_state())


def test_a_network_that_predicts_nothing_has_no_r():
    """Squared errors teach a network to be silent: the same everywhere, so that r is NaN."""
    silent = random_net(3)
    with torch.no_grad():
        for weights in silent.parameters():
            weights.zero_()
    nets = NETS | {"MSE": silent}
    verdict = check_2(nets=nets, r=R | {"MSE": math.nan})
    assert verdict.passed, verdict.message
    assert "and MSE has no r, since it predicts the same everywhere." in verdict.message
    assert "does not prove that MSE cannot learn" in verdict.message
    verdict = check_2(nets=nets, r=R | {"MSE": 0.1})
    assert verdict.passed is False
    assert "profile_r['MSE'] is 0.10, and the network gets nan" in verdict.message


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (5, "mse_terms is an int; wanted a function of model, prediction and target."),
        (lambda model, p, t: squares(p, t), "mse_terms returns a Tensor; wanted a dict of terms"),
        (with_error(inside(squares), drop=()), "there are mse, profile; wanted one, instead of"),
        (with_error(inside(squares), drop=("profile", "counts")), "the term counts is not as in"),
        (lambda *given: {k: 2 * v for k, v in mse_terms(*given).items()},
         "the term counts is not as in loss_terms; only profile should change."),
        (with_error(lambda p, t: 0.5), "mse is (); wanted (2,) for 2 loci"),
        (with_error(inside(lambda p, t: (p - t).square().mean())),
         "mse is (); wanted (2,) for 2 loci: average over tracks and positions only"),
        (with_error(inside(lambda p, t: (p - t).square().mean(-1))), "is (2, 10); wanted (2,) for"),
        (loss_terms, "profile is still the KL divergence."),
        (with_error(lambda p, t: squares(p / math.log(10), t)), "mse takes the margins in;"),
        (with_error(inside(squares, scale=1)), "mse compares ln with log10; divide the predict"),
        (with_error(inside(lambda p, t: squares(p, t) / 10)), ", and should be "),
        (lambda *given: {k: v for k, v in mse_terms(*given).items() if k != "mse"},
         "there are none; wanted one, instead of profile."),
    ],
)  # fmt: skip
def test_mse_terms_mistakes(terms, message):
    verdict = check_2(terms)
    assert verdict.passed is False
    assert message in verdict.message


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"nets": NETS["KL"]}, "networks is a SimpleNet; wanted a dict with the keys 'KL', 'MSE'."),
        ({"nets": {"KL": NETS["KL"]}}, "the keys of networks are 'KL'; wanted 'KL', 'MSE'."),
        ({"nets": NETS | {"MSE": 0.2}}, "networks['MSE'] is 0.2; wanted the trained network."),
        ({"nets": NETS | {"MSE": copy.deepcopy(NETS["KL"])}}, "both networks have the same weight"),
        ({"r": 0.7}, "profile_r is 0.7; wanted a dict with the keys 'KL', 'MSE'."),
        ({"r": R | {"KL": "high"}}, "profile_r['KL'] is 'high'; wanted one number."),
        ({"r": R | {"KL": [0.3, 0.4]}}, "profile_r['KL'] is a list; wanted one number."),
        ({"r": R | {"MSE": math.nan}}, "tracks without reads have no r; leave them out with nan"),
        ({"r": dict(zip(R, reversed(R.values()), strict=True))}, "are KL and MSE swapped?"),
        ({"r": R | {"MSE": -0.9}}, "on these 12 validation loci, margins left out."),
        ({"nets": {"KL": random_net(4), "MSE": NETS["MSE"]},
          "r": R | {"KL": float(pearson_r(predicted(random_net(4), X)[..., INSIDE],
                                          MEASURED).mean())}},
         "KL has hardly learned anything (r = "),
    ],
)  # fmt: skip
def test_networks_and_r_mistakes(answers, message):
    verdict = check_2(**answers)
    assert verdict.passed is False
    assert message in verdict.message


# --- exercise 3 -----------------------------------------------------------------------------

HALF, BEHIND = 450, 30


def tata_net():
    """CAGE+ is high 30 bases downstream of each TATA box on the + strand, and nowhere else."""
    net = SimpleNet(1, 1)
    with torch.no_grad():
        for weights in net.parameters():
            weights.zero_()
        # The box fills the places 20 to 30 of 51. It gets 2 * 11 - 18 = 4, with three bases
        # wrong 2 * 8 - 18 = -2, of which SiLU leaves 0.
        net.conv.weight[0, :, 20:31] = 2 * one_hot([TATA])[0]
        net.conv.bias[0] = -18
        # The middle, place 25, is 4 bases behind the first T, place 21.
        net.deconv.weight[0, 0, 300 - (BEHIND - 4)] = 2
        net.deconv.bias.fill_(-4)
    return net


CELL = tata_net()
SILENT = one_hot(["CG" * HALF])


def placed(start, x=SILENT, word=TATA):
    """The word begins so many bases downstream of the middle."""
    x = x.clone()
    x[:, :, HALF + start : HALF + start + len(word)] = one_hot([word])
    return x


def with_tata(x, distance):
    return placed(distance - 1, x)


PEAKS = [distance + BEHIND for distance in DISTANCES]


def check_3(silent=SILENT, function=with_tata, peaks=PEAKS):
    return tata(CELL, silent, function, peaks)


def test_the_network_on_paper():
    # SiLU(4) = 4 / (1 + exp(-4)) = 3.93, twice less 4 is 3.86, and softplus adds 0.02.
    track = predicted(CELL, with_tata(SILENT, -30))[0, 0]
    assert int(track.argmax()) == HALF
    assert float(track.max()) == pytest.approx(3.88, abs=0.01)


@pytest.mark.parametrize("function", [None, with_tata])
def test_tata_not_attempted(function):
    assert repr(check_3(None, function)) == "Not attempted yet."


@pytest.mark.parametrize(
    ("function", "peaks", "missing"),
    [
        (None, None, "with_tata, peaks"),
        (lambda x, distance: None, None, "with_tata, peaks"),
        (lambda x, distance: None, PEAKS, "with_tata"),
        (with_tata, None, "peaks"),
    ],
)
def test_tata_half_done(function, peaks, missing):
    assert check_3(SILENT, function, peaks).message == f"right so far; still to come: {missing}."


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_tata_solution(kind):
    verdict = check_3(SILENT.char(), peaks=kind(PEAKS))
    assert repr(verdict) == (
        "Passed: the peak is 30 bases downstream of the box (median), and 25 to 35 in 81 of 81 "
        "places."
    )


@pytest.mark.parametrize(
    ("silent", "message"),
    [
        ("CGCG", "silent is 'CGCG'; wanted a tensor (1, 4, 4650)."),
        (SILENT[0], "silent is (4, 900); wanted (1, 4, 4650)"),
        (SILENT.repeat(2, 1, 1), "silent is (2, 4, 900); wanted (1, 4, 900), one sequence."),
        (SILENT[..., :800], "silent is (1, 4, 800); wanted (1, 4, 4650), one sequence."),
        (SILENT / 2, "silent is not one-hot"),
        (torch.zeros_like(SILENT), "silent has columns that are all zero (N); wanted bases."),
        # exp(3.88) - 1 = 47 reads at -11 + 30 + 1
        (placed(-11), "silent is not silent: 47 reads are predicted at +20, wanted below 0.5"),
    ],
)
def test_silent_mistakes(silent, message):
    verdict = check_3(silent)
    assert verdict.passed is False
    assert message in verdict.message


def changes_its_input(x, distance):
    x[:, :, HALF + distance - 1 : HALF + distance + 10] = one_hot([TATA])
    return x


def inserted(x, distance):
    at = HALF + distance - 1
    return torch.cat([x[..., :at], one_hot([TATA]), x[..., at:]], 2)


TURNED = "GCCTTTTATAC"
BOX = "for the distance -30 the box "


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (5, "with_tata is an int; wanted a function of a sequence and a distance."),
        (changes_its_input, "with_tata changes the sequence that it is given; change x.clone()."),
        (lambda x, d: TATA, "with_tata is 'GTATAAAAGGC'; wanted a tensor (1, 4, 900)."),
        (inserted, "with_tata is (1, 4, 911); wanted (1, 4, 900): replace bases, do not insert"),
        (lambda x, d: placed(d - 1, x, TURNED), BOX + "begins nowhere; wanted its G at -31"),
        (
            lambda x, d: placed(d, x),
            BOX + "begins at -30; wanted its G at -31 and its first T at -",
        ),
        (lambda x, d: placed(-d - 1, x), BOX + "begins at 29; wanted its G at -31"),
        (lambda x, d: placed(50, placed(d - 1, x), "A"), "and all other bases as they were."),
        (lambda x, d: placed(-31, x), "for the distance -60 the box begins at -31; wanted its G"),
    ],
)
def test_with_tata_mistakes(function, message):
    verdict = check_3(function=function)
    assert verdict.passed is False
    assert message in verdict.message


def test_the_chapter_has_two_middles():
    """Index 2000 is the TSS of a track without margins, 2325 that of a sequence."""
    x = one_hot(["CG" * 2325])

    def wrong(x, distance):
        mutant = x.clone()
        mutant[:, :, 2000 + distance - 1 : 2000 + distance + 10] = one_hot([TATA])
        return mutant

    assert "begins at -356; wanted its G at -31 and its first T at -30, counted from the" in (
        check_3(x, wrong).message
    )


SLIGHTLY = np.array(PEAKS)
SLIGHTLY[7] -= 1  # the distance -53


@pytest.mark.parametrize(
    ("peaks", "message"),
    [
        ("all", "peaks is 'all'; wanted (81,), a place for each of"),
        (PEAKS[:80], "peaks is (80,); wanted (81,), a place for each of"),
        (np.add(PEAKS, 100), "peaks are indices into the 200 bases around the middle; subtract 10"),
        (np.add(PEAKS, HALF), "peaks are indices into the sequence; subtract 450."),
        (
            [-700, *PEAKS[1:]],
            "-60 you have -700; CAGE+, track 0, is highest at -30 within 100",
        ),
        (SLIGHTLY, "for the distance -53 you have -24; CAGE+, track 0, is highest at -23 within"),
        (PEAKS[::-1], "for the distance -60 you have 50; CAGE+, track 0, is highest at -30 within"),
    ],
)
def test_peaks_mistakes(peaks, message):
    verdict = check_3(peaks=peaks)
    assert verdict.passed is False
    assert message in verdict.message


def test_the_box_and_its_mirror_image():
    assert reverse_complement(one_hot([TATA])).equal(one_hot([TURNED]))

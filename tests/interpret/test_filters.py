"""Filters as motifs, their names, their effects, and what recurs over trainings."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from tssbook.data.tracks import TRACKS
from tssbook.interpret.filters import (
    consensus,
    contributions,
    core,
    filter_matrices,
    jaspar,
    jaspar_names,
    motif_effects,
    ranking,
    site_frequencies,
    tomtom,
)
from tssbook.models.puffin import Puffin, SimpleNet, effect_curves
from tssbook.motifs import frequencies
from tssbook.sequence import decode, one_hot, reverse_complement
from tssbook.simulator.rules import truth


def random_sequences(n: int, length: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.one_hot(torch.randint(4, (n, length), generator=generator), 4).mT.float()


def noise(n: int, width: int = 51, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 4, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def small() -> SimpleNet:
    """Three motifs, two initiators, kernels of random numbers."""
    torch.manual_seed(0)
    return SimpleNet(n_motifs=3, n_initiators=2).requires_grad_(False)


# --- matrices -------------------------------------------------------------------------------


def test_matrices_by_hand():
    weight = torch.tensor([[[3.0, 1.0], [1.0, 1.0], [0.0, 1.0], [0.0, 1.0]]])
    # First position: mean 1. Second: all the same, so nothing is left.
    centred = torch.tensor([[[2.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]]])
    assert torch.equal(filter_matrices(weight), centred)
    # Mean absolute value of the first position: (2 + 0 + 1 + 1) / 4 = 1, of which 0.7.
    drawn = filter_matrices(weight, contrast=True)
    torch.testing.assert_close(drawn[0, :, 0], torch.tensor([1.3, -0.7, -1.7, -1.7]))
    assert not drawn[0, :, 1].any()


def test_matrices_have_no_gradient_and_leave_the_weights_alone(small):
    weight = small.conv.weight.clone().requires_grad_(True)
    assert not filter_matrices(weight, contrast=True).requires_grad
    assert torch.equal(weight, small.conv.weight)


@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 5), (2, 5, 4)])
def test_what_is_no_filter(shape):
    for call in (filter_matrices, lambda w: site_frequencies(w, one_hot(["ACGTACGT"]), 1)):
        with pytest.raises(ValueError, match=r"^The filters are .*; wanted \(F, 4, W\)\.$"):
            call(torch.ones(shape))


# --- sites ----------------------------------------------------------------------------------


def test_sites_of_both_strands():
    # GAT stands three times: as GAT in the first two, as ATC in the third.
    x = one_hot(["CCGATCCC", "GATCCCCC", "GGGGATCG"])
    weight = one_hot(["GAT"])
    assert torch.equal(site_frequencies(weight, x[:2], 2), weight)
    # GATC holds GAT on either strand, so each of the three sequences has two sites.
    assert torch.equal(site_frequencies(weight, x, 6), weight)
    assert not torch.equal(site_frequencies(weight, x, 7), weight)


def test_sites_of_one_strand():
    """ATC is GAT on the other strand, which a filter that reads one strand does not see."""
    x = one_hot(["CCGATCCC", "GATCCCCC", "GGATCCCG"])
    weight = one_hot(["GAT"])
    assert torch.equal(site_frequencies(weight, x, 3, both_strands=False), weight)
    assert not torch.equal(site_frequencies(weight, x, 4, both_strands=False), weight)
    with pytest.raises(ValueError, match=r"1 to 18, .* its strand"):
        site_frequencies(weight, x, 19, both_strands=False)


def test_sites_are_shared_out_among_bases():
    # The two best windows for TAN are TAC and TAG: C and G half each.
    freqs = site_frequencies(one_hot(["TAN"]), one_hot(["TACCCC", "CTAGCC"])[:, :, :4], 2)
    assert torch.equal(freqs[0, :, :2], one_hot("TA"))
    assert freqs[0, :, 2].tolist() == [0, 0.5, 0.5, 0]


def test_sites_as_by_sorting_all_windows():
    weight, x = noise(3, 11), random_sequences(70, 40)
    freqs = site_frequencies(weight, x.to(torch.int8), 50)
    both = torch.cat([x, reverse_complement(x)]).unfold(-1, 11, 1).transpose(1, 2).flatten(0, 1)
    for f, w in zip(freqs, weight, strict=True):
        best = (both * w).sum((1, 2)).sort(descending=True, stable=True)
        assert best.values[49] > best.values[50]
        torch.testing.assert_close(f, both[best.indices[:50]].mean(0))


def test_sites_cannot_be_more_than_windows():
    x = one_hot(["GATTACA"])  # 5 windows of 3 bases on each strand
    assert site_frequencies(one_hot(["GAT"]), x, 10).shape == (1, 4, 3)
    for wrong, most in ((x, 10), (x[:, :, :2], 0)):
        with pytest.raises(ValueError, match=f"n_sites is 11; wanted 1 to {most}"):
            site_frequencies(one_hot(["GAT"]), wrong, 11)
    with pytest.raises(ValueError, match=r"\(4, 7\); wanted \(N, 4, L\)"):
        site_frequencies(one_hot(["GAT"]), x[0], 1)


def test_core():
    flat, firm = torch.full((4, 3), 0.25), one_hot("TATA")
    assert torch.equal(core(torch.cat([flat, firm, flat[:, :1]], 1)), firm)
    # A flat column inside stays.
    gapped = torch.cat([firm, flat, firm], 1)
    assert torch.equal(core(torch.cat([flat, gapped, flat], 1)), gapped)
    assert torch.equal(core(flat), flat)
    weak = torch.tensor([[0.4, 0.2, 0.2, 0.2]]).T  # 0.08 bits
    assert core(torch.cat([weak, firm], 1)).shape == (4, 4)
    assert core(torch.cat([weak, firm], 1), least=0.05).shape == (4, 5)


# --- names ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def targets() -> dict[str, np.ndarray]:
    """The ten planted motifs among forty others."""
    rng = np.random.default_rng(0)
    others = {f"other {i}": rng.dirichlet([0.3] * 4, 10).T for i in range(40)}
    return {**dict(zip(truth().names, truth().pwms, strict=True)), **others}


def test_tomtom_finds_what_is_there(targets):
    backwards = {"TATA", "NFY", "ZNF143"}
    pwms = [
        torch.from_numpy(pwm).flip(0, 1) if name in backwards else pwm
        for name, pwm in zip(truth().names, truth().pwms, strict=True)
    ]
    p = tomtom(pwms, targets)
    assert p.shape == (10, 50)
    assert list(p.idxmin(axis=1)) == list(truth().names)
    assert (p.min(axis=1) < 1e-4).all()
    others = p[[name for name in p if name.startswith("other")]]
    assert others.to_numpy().min() > 1e-5
    assert 0.2 < others.to_numpy().mean() < 0.9


def test_tomtom_needs_many_targets(targets):
    few = dict(list(targets.items())[:24])
    with pytest.raises(ValueError, match=r"^There are 24 targets, .*; wanted at least 25: add"):
        tomtom([truth().pwms[0]], few)


@pytest.mark.parametrize(
    "wrong", [np.ones((4, 3)), np.full((4, 3), np.nan), np.full((3, 4), 0.25), np.ones(4) / 4],
    ids=["counts", "nan", "rows", "column"],
)  # fmt: skip
def test_tomtom_compares_frequencies_only(wrong, targets):
    with pytest.raises(ValueError, match=r"^pwms\[1\] is .*; wanted \(4, W\), frequencies"):
        tomtom([truth().pwms[0], wrong], targets)
    with pytest.raises(ValueError, match=r"^odd is .*; wanted \(4, W\), frequencies"):
        tomtom([truth().pwms[0]], {**targets, "odd": wrong})
    with pytest.raises(ValueError, match=r"^pwms is empty; wanted at least one"):
        tomtom([], targets)


def test_names_from_jaspar():
    motifs = jaspar()
    assert len(motifs) > 800
    assert all(torch.allclose(m.sum(0), torch.ones(1, dtype=m.dtype)) for m in motifs.values())
    # By heart: NF-Y binds CCAAT, NRF1 a palindrome. Few bases are others.
    sites = [(one_hot(w) + 0.01) / 1.04 for w in ("AGCCAATCAG", "TGCGCATGCGCA", "ATGATTGGCT")]
    names = jaspar_names(sites)
    assert list(names) == ["name", "matrix", "p", "expected", "next"]
    assert names["name"].str.startswith("NFY").tolist() == [True, False, True]
    assert names["name"][1].upper() == "NRF1"
    assert names["matrix"].str.fullmatch(r"MA\d{4}\.\d+").all()
    np.testing.assert_allclose(names["expected"], names["p"] * len(motifs))
    assert (names["expected"] < 0.1).all()
    # NF-Y's three subunits have a matrix each, and bind as one.
    assert {names["name"][0], *names["next"][0].split(", ")} == {"NFYA", "NFYB", "NFYC"}


# --- effects --------------------------------------------------------------------------------


def test_ranking_by_hand(small):
    small.conv.weight.zero_()
    small.deconv.weight.zero_()
    # Filter 0: strength 3 - 3/4, effect 2 on CAGE+ 30 bp downstream. Filter 1: strength 6 x 3/4,
    # effect -4 on PRO-cap-, 10 bp upstream, of its reverse complement. Filter 2 does nothing.
    small.conv.weight[0, 0, 25], small.conv.weight[1, 3, 20] = 3, 6
    small.deconv.weight[0, 0, 300 - 30], small.deconv.weight[5, 4, 300 + 10] = 2, -4
    small.deconv.weight[9, 0, 7] = -1.5
    table = ranking(small)
    assert table.drop(columns="score").values.tolist()[:2] == [
        [1, "-", "PRO-cap-", -10, -4.0, 4.5],
        [0, "+", "CAGE+", 30, 2.0, 2.25],
    ]
    assert table["score"].tolist() == [18, 4.5, 0]


@pytest.mark.parametrize("net", [SimpleNet, Puffin])
def test_motif_effects_add_up(net):
    torch.manual_seed(1)
    model, x = net().requires_grad_(False), random_sequences(2, 700)
    acts = model.activations(x)
    nothing = [torch.zeros_like(a) for a in acts]
    rest = model.effects(nothing[0], *acts[1:])  # all but the motifs, biases included
    for track in ("CAGE+", "PRO-cap-"):
        number = TRACKS.index(track)
        effects = motif_effects(model, x, track)
        assert effects.shape == acts[0].shape
        torch.testing.assert_close(
            effects.sum(1) + rest[:, number], model.effects(*acts)[:, number], atol=1e-5, rtol=1e-4
        )


def test_a_motif_acts_downstream_where_its_curve_says(small):
    """One match in a sequence of N, so one activation stands out."""
    small.conv.weight.zero_()
    small.conv.bias.fill_(-100.0)
    small.conv.weight[1, :, 21:29] = 30 * one_hot("GATTACAG")  # middle: index 25, the first A
    x = torch.zeros(1, 4, 700)
    x[0, :, 346:354] = one_hot("GATTACAG")
    effects = motif_effects(small, x, "GRO-cap+")[0]
    activation = float(small.activations(x)[0][0, 1, 350])
    assert activation == pytest.approx(8 * 30 - 100)
    expected = activation * effect_curves(small)[1, 3]
    torch.testing.assert_close(effects[1, 50:651], expected, rtol=1e-4, atol=1e-4)
    assert not effects[[0, 2]].abs().max() > 1e-6


def test_effects_on_a_track_that_does_not_exist(small):
    with pytest.raises(ValueError, match=r"^The track is 'CAGE'; wanted one of CAGE\+, ENCODE"):
        motif_effects(small, random_sequences(1, 700), "CAGE")


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"tracks": ["a+", "a-"]}, ["a+", "a-"]),
        ({"n_tracks": 2}, ["0", "1"]),
        ({"tracks": ["ATAC"]}, ["ATAC"]),
        ({}, list(TRACKS)),
    ],
)
def test_tracks_have_the_names_of_the_model(config, names):
    torch.manual_seed(0)
    model, x = SimpleNet(3, 2, **config).requires_grad_(False), random_sequences(1, 700)
    model.deconv.weight[-1] *= 10
    assert ranking(model)["track"].tolist() == 3 * [names[-1]]
    acts = model.activations(x)
    rest = model.effects(torch.zeros_like(acts[0]), *acts[1:])
    effects = motif_effects(model, x, names[-1])
    torch.testing.assert_close(effects.sum(1) + rest[:, -1], model.effects(*acts)[:, -1],
                               atol=1e-5, rtol=1e-4)  # fmt: skip
    with pytest.raises(ValueError, match=f"'b\\+'; wanted one of {re.escape(names[0])}"):
        motif_effects(model, x, "b+")


def test_contributions_by_hand():
    x = one_hot(["AN"])
    # A to C, G, T takes 3, 2, 1 away: the A holds up 2. The N has no base that could.
    changes = torch.tensor([[[0.0, 5.0], [-3.0, 5.0], [-2.0, 5.0], [-1.0, 5.0]]])
    assert contributions(changes, x).tolist() == [[2, 0]]
    tracks = torch.stack([changes, -changes], -1)  # (N, 4, L, T)
    assert contributions(tracks, x).tolist() == [[[2, -2], [0, 0]]]


@pytest.mark.parametrize("shape", [(4, 2), (1, 4, 3), (1, 2, 4), (2, 4, 2)])
def test_contributions_of_other_sequences(shape):
    with pytest.raises(ValueError, match=r"^The changes are .*wanted \(N, 4, L, \.\.\.\) and"):
        contributions(torch.zeros(shape), one_hot(["AN"]))


# --- consensus ------------------------------------------------------------------------------


def planted(word: str, at: int, n: int, seed: int) -> torch.Tensor:
    """Filters of weak noise, the first with a word in it."""
    weight = 0.05 * noise(n, seed=seed)
    weight[0, :, at : at + len(word)] += one_hot(word)
    return weight


def test_consensus_finds_the_word_that_recurs():
    reverse = decode(reverse_complement(one_hot("GATTACAG")))
    weights = [
        planted("GATTACAG", 20, 4, 1), planted(reverse, 17, 6, 2), planted("GATTACAG", 26, 5, 3),
        planted("CCCCTTTT", 20, 5, 4),
    ]  # fmt: skip
    weights[2] = weights[2].flip(0)  # the word is in filter 4
    found = consensus([*weights[:2], 7 * weights[2] + 3, weights[3]])
    assert found.table.shape == (1, 4)
    assert (found.table.loc[0, :2] > 0.8).all()
    assert found.table.loc[0, 3] < 0.6
    # All three words were put over each other, on one strand; which one is the first's choice.
    matrix = found.matrices[0]
    word = decode(F.one_hot(matrix.argmax(0), 4).T.float())
    assert ("GATTACAG" in word) or (reverse in word)
    assert matrix.square().sum() == pytest.approx(1, abs=0.15)


def test_consensus_of_noise_is_empty():
    found = consensus([noise(20, seed=seed) for seed in range(3)])
    assert found.table.shape == (0, 3)
    assert found.matrices.shape == (0, 4, 51)


def test_consensus_counts_a_training_once_and_asks_for_enough():
    twice = torch.cat([planted("GATTACAG", 20, 1, 1), planted("GATTACAG", 10, 1, 2)])
    other = noise(3, seed=5)
    assert consensus([twice, other]).table.empty  # two filters, but of one training
    third = planted("GATTACAG", 20, 2, 3)
    found = consensus([twice, other, third])
    assert (found.table.loc[0] >= 0.7).tolist() == [True, False, True]
    assert len(found.table) == 1  # both filters of the first training are used up
    assert consensus([twice, other, third], least=3).table.empty
    assert consensus([twice, other, third], threshold=0.95).table.empty


def test_consensus_puts_what_most_found_first():
    words = [("GATTACAG", "CCGGAAGT"), ("GATTACAG", "CCGGAAGT"), ("ACGCATGC", "CCGGAAGT")]
    weights = [
        torch.cat([planted(word, 20, 1, 10 * i + j) for j, word in enumerate(pair)])
        for i, pair in enumerate(words)
    ]
    found = consensus(weights)
    assert (found.table >= 0.7).sum(axis=1).tolist() == [3, 2]
    words = [decode(F.one_hot(m.argmax(0), 4).T.float()) for m in found.matrices]
    for word, expected in zip(words, ("CCGGAAGT", "GATTACAG"), strict=True):
        assert expected in word or decode(reverse_complement(one_hot(expected))) in word


def test_more_trainings_count_more_than_greater_similarity():
    same, seen = noise(1, seed=20), filter_matrices(noise(1, seed=21))
    seen /= seen.norm()
    others = []
    for i in range(4):  # cosine with the first exactly 0.72
        rest = filter_matrices(noise(1, seed=30 + i))
        rest -= (rest * seen).sum() * seen
        others.append(0.72 * seen + (1 - 0.72**2) ** 0.5 * rest / rest.norm())
    weights = [torch.cat([same, other]) for other in [seen, *others[:3]]] + [others[3]]
    found = consensus(weights)
    # 1 + 4 x 0.72 is less than 4 x 1, but it was found in all five.
    assert found.table.loc[0].tolist() == pytest.approx([1, 0.72, 0.72, 0.72, 0.72])
    assert (found.table >= 0.7).sum(axis=1).tolist() == [5, 4]
    assert len(consensus(weights, least=5).table) == 1


def test_consensus_averages_the_best_filter_of_each_training():
    first, other, copy = noise(3, seed=8)
    second, weaker = first + 0.3 * other, first + 0.5 * copy
    found = consensus([torch.stack([first, weaker]), second[None]])
    assert len(found.table) == 1
    units = [m / m.norm() for m in filter_matrices(torch.stack([first, second]))]
    torch.testing.assert_close(found.matrices[0], (units[0] + units[1]) / 2)


def test_the_same_motif_scaled_offset_and_reversed_is_the_same():
    weight = noise(1, seed=3)
    found = consensus([weight, 5 * reverse_complement(weight) + 2])
    assert found.table.loc[0].tolist() == pytest.approx([1, 1])
    unit = filter_matrices(weight)[0] / filter_matrices(weight).norm()
    ways = unit, reverse_complement(unit)  # whichever of the two came first
    assert any(torch.allclose(found.matrices[0], way, atol=1e-6) for way in ways)


def test_consensus_of_a_dead_filter():
    dead = torch.ones(1, 4, 51)
    assert consensus([dead, dead]).table.empty


@pytest.mark.parametrize(("n", "least"), [(1, 2), (0, 1), (2, 0)])
def test_consensus_of_too_few_trainings(n, least):
    with pytest.raises(ValueError, match=rf"^There are {n} trainings and least is {least}; wanted"):
        consensus([noise(2)] * n, least=least)


def test_consensus_of_other_widths():
    with pytest.raises(ValueError, match=r"^The filters have the widths \[51, 15\]; wanted one"):
        consensus([noise(2), noise(2, 15)])


# --- all together ---------------------------------------------------------------------------


def test_a_planted_motif_is_found_by_a_filter_that_knows_it(targets):
    """From a filter to a name: sites, frequencies, core, TOMTOM."""
    name = "ETS"
    pwm = torch.from_numpy(targets[name]).float()
    weight = torch.zeros(1, 4, 51)
    weight[0, :, 20 : 20 + pwm.shape[1]] = (pwm + 0.01).log() - math.log(0.25)
    x = random_sequences(200, 500)
    sites = torch.multinomial(pwm.T, 200, replacement=True, generator=torch.manual_seed(0)).T
    x[:, :, 200 : 200 + pwm.shape[1]] = F.one_hot(sites, 4).mT.float()
    found = core(site_frequencies(weight, x, 150)[0])
    assert 8 <= found.shape[1] <= 12
    p = tomtom([found], targets).loc[0]
    assert isinstance(p, pd.Series)
    assert p.idxmin() == name
    assert p.min() < 1e-3
    torch.testing.assert_close(frequencies(found), found)

"""What a sequence does in the simulator, by hand, by a plain loop, and from both strands."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.support import refusal
from tssbook.data.tracks import TRACKS
from tssbook.sequence import codes
from tssbook.simulator import MOTIFS, log_rate, rates, scan, truth
from tssbook.simulator.rates import whole_rates
from tssbook.simulator.rules import INITIATOR

N = 4
NAMES = [motif.name for motif in MOTIFS]
TATA = NAMES.index("TATA")
CAGE_PLUS = TRACKS.index("CAGE+")
SCALE, BIAS = 0.61357 * 400, -13


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def complement(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.where(x < N, 3 - x, x)[:, ::-1]).astype(np.uint8)


def silent(length: int = 1000) -> np.ndarray:
    """N: no motif, no initiator."""
    return np.full((1, length), N, np.uint8)


def with_site(word: str, start: int, length: int = 1000) -> np.ndarray:
    x = silent(length)
    x[0, start : start + len(word)] = codes(word)
    return x


def random_codes(n: int, length: int, seed: int = 0) -> np.ndarray:
    """Random bases, each motif's best site once on each strand, and some N."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, (n, length)).astype(np.uint8)
    for row in range(n):
        for pwm in truth().pwms:
            site = pwm.argmax(0).astype(np.uint8)
            for word in (site, 3 - site[::-1]):
                start = rng.integers(0, length - len(word))
                x[row, start : start + len(word)] = word
        x[row, rng.integers(0, length, 5)] = N
    return x


# --- motifs -----------------------------------------------------------------------------------


def test_matrices_by_hand():
    # gTATAAAagnn: lower case 0.7 and three times 0.1, upper case 0.91 and three times 0.03.
    tata = truth().pwms[TATA]
    assert tata.shape == (4, 11)
    assert tata[:, 0].tolist() == pytest.approx([0.1, 0.1, 0.7, 0.1])
    assert tata[:, 1].tolist() == pytest.approx([0.03, 0.03, 0.03, 0.91])
    assert tata[:, 9].tolist() == [0.25] * 4
    for pwm in truth().pwms:
        assert pwm.sum(0) == pytest.approx(1)


def test_perfect_site_by_hand():
    # g, T, A, T, A, A, A, a, g: 3 columns of log2(2.8) bits, 6 of log2(3.64).
    found = scan(with_site("GTATAAAAGAA", 500))
    assert found.shape[0] == 1
    row = found.iloc[0]
    assert (row["locus"], row["motif"], row["position"], row["width"]) == (0, TATA, 500, 11)
    assert (row["strand"], row["anchor"], row["strength"]) == ("+", 501, 1)
    assert row["score"] == pytest.approx(3 * math.log2(2.8) + 6 * math.log2(3.64), abs=9 / 128)


def test_a_site_on_the_other_strand():
    found = scan(complement(with_site("GTATAAAAGAA", 500)))
    assert found["strand"].tolist() == ["-"]
    assert found["position"].tolist() == [1000 - 500 - 11]
    assert found["anchor"].tolist() == [1000 - 1 - 501]


def test_a_palindrome_is_a_site_on_both_strands():
    # TGCGCATGCGCA read backwards is TGCGCATGCGCA.
    found = scan(with_site("TGCGCATGCGCA", 500))
    assert found["motif"].tolist() == [NAMES.index("NRF1")] * 2
    assert found["strand"].tolist() == ["+", "-"]


def test_a_worse_site_is_weaker_and_a_broken_one_is_none():
    perfect, worse, broken = (
        scan(with_site(word, 500))["strength"].tolist()
        for word in ("GTATAAAAGAA", "CTATAAAAGAA", "GTATACAAGAA")
    )
    assert perfect == [1]
    assert 0 < worse[0] < 1
    assert broken == []


def test_an_n_breaks_a_site():
    x = with_site("GTATAAAAGAA", 500)
    x[0, 510] = N  # a column that does not care which base it is
    assert scan(x).empty


def test_scan_finds_what_a_plain_loop_finds():
    x = random_codes(3, 400)
    expected = set()
    for m, motif in enumerate(MOTIFS):
        scores = np.round(np.log2(truth().pwms[m] * 4) * 64)
        limit = np.ceil(motif.threshold * scores.max(0).sum())
        width = scores.shape[1]
        for strand, matrix in (("+", scores), ("-", scores[::-1, ::-1])):
            for row in range(len(x)):
                for start in range(400 - width + 1):
                    window = x[row, start : start + width]
                    if (window < N).all():
                        score = matrix[window, np.arange(width)].sum()
                        if score >= limit:
                            expected.add((row, NAMES[m], start, strand, score / 64))
    found = scan(x)
    names = found["motif"].map(dict(enumerate(NAMES)))
    columns = (found["locus"], names, found["position"], found["strand"], found["score"])
    assert set(zip(*columns, strict=True)) == expected
    assert len(expected) > 30


def test_scan_of_more_sequences_than_are_looked_at_together():
    x = np.repeat(with_site("GTATAAAAGAA", 50, 100), 600, axis=0)
    assert scan(x)["locus"].tolist() == list(range(600))
    assert scan(x[:0]).empty


# --- rates ------------------------------------------------------------------------------------


def test_rate_by_hand():
    # TATA acts by 3.6 on the base 30 after its anchor; the bases there are N, so nothing else.
    y = rates(with_site("GTATAAAAGAA", 500))[0, CAGE_PLUS]
    assert y.argmax() == 501 + 30
    assert y[531] == pytest.approx(SCALE * softplus(BIAS + 3.6), rel=1e-3)
    assert y[534] == pytest.approx(
        SCALE * softplus(BIAS + 3.6 * math.exp(-0.5 * (3 / 2.5) ** 2)), rel=1e-2
    )
    assert y[900] == pytest.approx(SCALE * softplus(BIAS), rel=1e-2)


def test_tata_works_in_one_direction_and_sp_in_both():
    tata, sp = truth().curves[TATA, 0], truth().curves[NAMES.index("SP"), 0]
    minus = TRACKS.index("CAGE-")
    assert tata[CAGE_PLUS].max() > 3.5
    assert not tata[minus].any()
    assert np.array_equal(sp[minus], sp[CAGE_PLUS][::-1])


def test_initiator_by_hand():
    x = silent()
    x[0, 497:503] = codes("TTCATT")  # the A at 500 is the first transcribed base
    letters = [INITIATOR["ACGT".index(b), i] for i, b in enumerate("TTCATT")]
    y = rates(x)[0, CAGE_PLUS]
    assert y.argmax() == 500
    assert y[500] == pytest.approx(SCALE * softplus(BIAS + sum(letters)), rel=1e-2)


def test_effects_add_up_before_softplus():
    both = with_site("GTATAAAAGAA", 500)
    both[0, 450:462] = codes("AGTGACGTCACA")
    one, other = with_site("GTATAAAAGAA", 500), with_site("AGTGACGTCACA", 450)

    def argument(x):
        return np.log(np.expm1(rates(x)[0, CAGE_PLUS, 520:540].astype(float) / SCALE))

    assert (argument(other) > BIAS + 0.5).any()
    assert argument(both) == pytest.approx(argument(one) + argument(other) - BIAS, abs=0.02)


def test_both_strands_tell_the_same_to_the_last_bit():
    x = random_codes(20, 1301)
    y = rates(x)
    assert y.shape == (20, 10, 1301)
    assert y.dtype == np.float32
    assert y.max() > 1
    assert np.array_equal(rates(complement(x)), y[:, ::-1, ::-1])


def test_a_sequence_does_not_depend_on_its_neighbours():
    x = random_codes(300, 200)
    assert np.array_equal(rates(x[270:280]), rates(x)[270:280])


def test_a_mutation_acts_no_further_than_the_curves_reach():
    x = random_codes(1, 2000)
    mutant = x.copy()
    mutant[0, 1000] = (mutant[0, 1000] + 1) % 4
    changed = np.nonzero((rates(x) != rates(mutant)).any((0, 1)))[0]
    assert len(changed)
    assert changed.min() >= 1000 - 15 - 300
    assert changed.max() <= 1000 + 15 + 300


def test_part_of_the_rates():
    x = random_codes(2, 700)
    whole = list(whole_rates(x))
    part = list(whole_rates(x, slice(4, 6), 300, 420))
    for a, b in zip(whole, part, strict=True):
        assert np.array_equal(a[4:6, 300:420], b)


def test_log_rate_is_the_log_of_the_summed_rates():
    x = random_codes(4, 1200)
    y = rates(x)[:, CAGE_PLUS].astype(float)
    assert log_rate(x) == pytest.approx(np.log2(1 + y[:, 500:700].sum(1)), abs=1e-5)


def test_truth_has_the_shapes_it_says():
    t = truth()
    assert len(t.names) == len(t.pwms) == 10
    assert t.curves.shape == (10, 2, 10, 601)
    assert t.tracks[0] == "CAGE+"
    assert t.tracks[-1] == "CAGE-"
    assert t.scale[0] / t.scale[1] == pytest.approx(0.61357)
    # The other strand of a motif is its mirror image in tracks and positions.
    assert np.array_equal(t.curves[:, 1], t.curves[:, 0, ::-1, ::-1])


@pytest.mark.parametrize("name", NAMES)
def test_heights_are_reached(name):
    m = NAMES.index(name)
    height = max(bump.height for bump in MOTIFS[m].same)
    assert truth().curves[m, 0, CAGE_PLUS].max() == pytest.approx(height, rel=0.2)


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [scan, rates, log_rate])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (np.zeros((2, 50)), "codes are float64 (2, 50); wanted uint8 (N, L)"),
        (np.zeros(50, np.uint8), "uint8 (50,)"),
        (np.zeros((2, 4, 50), np.uint8), "uint8 (2, 4, 50)"),
        (np.zeros((2, 10), np.uint8), "at least 20"),
        (np.full((2, 50), 7, np.uint8), "codes hold 7"),
    ],
    ids=["float", "one", "one-hot", "short", "no code"],
)
def test_what_is_no_codes(function, wrong, words):
    assert words in refusal(lambda: function(wrong))

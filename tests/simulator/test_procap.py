"""Simulated PRO-cap loci: elements, lost reads, windows."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from tssbook.simulator import (
    MOTIFS,
    peak_windows,
    procap_rates,
    rates,
    scan,
    simulate,
    simulate_procap,
)
from tssbook.simulator.procap import element

SEED = 17


@pytest.fixture(scope="module")
def made():
    return simulate_procap(400, seed=SEED)


def test_shapes_and_types(made):
    assert made.sequences.shape == (400, 4650)
    assert made.sequences.dtype == np.uint8
    assert made.reads.shape == (400, 2, 4650)
    assert made.reads.dtype == np.uint16
    assert made.mappable.shape == (400, 4650)
    assert made.mappable.dtype == bool
    assert len(made.loci) == 400


def test_only_the_copies_differ_from_simulate(made):
    plain = simulate(400, seed=SEED, tracks=False)
    different = made.sequences != plain.sequences
    for row, start, *_ in made.elements.itertuples(index=False):
        different[row, start : start + 240] = False
    assert not different.any()


def test_a_third_of_the_loci_hold_a_copy(made):
    share = made.elements["age"].value_counts() / 400
    assert 0.2 < share["young"] < 0.3
    assert 0.06 < share["old"] < 0.14


def test_copies_are_the_element_but_for_a_few_bases(made):
    for row, start, strand, age in made.elements.itertuples(index=False):
        copy = made.sequences[row, start : start + 240]
        copy = copy if strand == "+" else 3 - copy[::-1]
        changed = (copy != element()).mean()
        assert changed < (0.06 if age == "young" else 0.12)
        assert 150 <= abs(start + 120 - 2325) <= 600


def test_reads_are_lost_in_young_copies_alone(made):
    for row, start, _, age in made.elements.itertuples(index=False):
        place = slice(start, start + 240)
        if age == "young":
            assert not made.mappable[row, place].any()
            assert not made.reads[row, :, place].any()
        else:
            assert made.mappable[row, place].all()
    assert not made.reads[~np.broadcast_to(made.mappable[:, None], made.reads.shape)].any()


def test_the_element_starts_transcription_by_its_own_motifs():
    alone = np.random.default_rng(SEED).integers(0, 4, (1, 2000)).astype(np.uint8)
    before = procap_rates(alone)[0, :, 900:1140].sum()
    alone[0, 900:1140] = element()
    rate = procap_rates(alone)[0, :, 900:1140]
    assert rate.sum() > 20 * before
    assert abs(int(rate[0].argmax()) - 170) <= 1
    found = scan(alone)
    inside = found[found["position"].between(900, 1140) & (found["strand"] == "+")]
    assert {"NFY", "SP", "TATA", "Long Inr"} <= {MOTIFS[m].name for m in inside["motif"]}


def test_rates_are_those_of_activity(made):
    both = rates(made.sequences[:3])[:, 4:6]
    np.testing.assert_allclose(procap_rates(made.sequences[:3]), both, rtol=1e-6)


def test_reads_follow_the_rates(made):
    """Poisson: the sum over many loci is within five standard deviations."""
    seen = made.mappable[:, None]
    expected = (procap_rates(made.sequences) * seen).sum((1, 2))
    z = (made.reads.sum((1, 2)) - expected) / np.sqrt(expected)
    assert np.abs(z).max() < 5
    assert abs(z.mean()) < 5 / np.sqrt(400)


def test_same_seed_same_bytes():
    first, again, other = (
        simulate_procap(50, seed=seed, length=2600) for seed in (SEED, SEED, SEED + 1)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first[:3], again[:3], strict=True))
    assert not np.array_equal(first.reads, other.reads)


def test_peaks_in_the_middle_and_background_at_the_end(made):
    rows = np.arange(100, 200)
    windows = peak_windows(made, rows)
    assert windows.peak[:100].all()
    assert not windows.peak[100:].any()
    assert windows.codes.shape[1] == 2514
    np.testing.assert_array_equal(windows.codes[0], made.sequences[100, 1068:3582])
    lonely = [row for row in rows if row not in set(made.elements["locus"])]
    assert len(windows.codes) == 100 + len(lonely)
    np.testing.assert_array_equal(windows.reads[100], made.reads[lonely[0], :, -2514:])


def test_loci_shorter_than_a_window_give_none():
    with pytest.raises(ValueError, match="2000 bp; wanted 2514 or more"):
        peak_windows(simulate_procap(2, seed=1, length=2000), np.arange(2))


@pytest.mark.parametrize("wrong", [{"n_loci": 0}, {"seed": -1}, {"length": 1999}])
def test_numbers_out_of_range(wrong):
    with pytest.raises(ValueError, match="wanted"):
        simulate_procap(**({"n_loci": 2, "seed": 1} | wrong))


def test_digest(made):
    """If it fails, numpy's random numbers or a dial have changed: train again what is shipped."""
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in made[:3]))
    assert digest.hexdigest()[:16] == "3c43bdebb12bdb55"

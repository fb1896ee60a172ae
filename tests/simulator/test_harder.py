"""The harder setting: a pair, a flank, a decoy, few motifs, assays that differ, empty loci."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest

from tssbook.data.tracks import TRACKS
from tssbook.sequence import codes as codes_of
from tssbook.sequence import reverse_complement_codes
from tssbook.simulator import (
    DECOY,
    MOTIFS,
    harder_rates,
    harder_scan,
    scan,
    simulate_harder,
    truth,
    write_motifs,
)

N, L, TSS = 1000, 2600, 1300
NFY, SP, ETS = (truth().names.index(name) for name in ("NFY", "SP", "ETS"))


@pytest.fixture(scope="module")
def made():
    return simulate_harder(N, seed=17)


@pytest.fixture(scope="module")
def plain():
    """Return a sequence without any match, with an initiator (TTCAGT) at the start."""
    found = list(np.random.default_rng(1).integers(0, 4, (20, 1, L), np.uint8))
    empty = next(c for c in found if not len(scan(c)))
    empty[0, TSS - 3 : TSS + 3] = codes_of(["TTCAGT"])[0]
    assert not len(scan(empty))
    return empty


def best(motif: int) -> np.ndarray:
    return truth().pwms[motif].argmax(0).astype(np.uint8)


def put(codes, motif, place, forward=True, site=None):
    """Write a motif's best site with its anchor at `place` from the start."""
    codes, site = codes.copy(), best(motif) if site is None else site
    anchor = MOTIFS[motif].anchor
    start = TSS + place - (anchor if forward else len(site) - 1 - anchor)
    codes[0, start : start + len(site)] = site if forward else reverse_complement_codes(site)
    return codes


def total(codes, **options) -> float:
    """Expected CAGE reads of both strands."""
    return float(harder_rates(codes, **options)[0, [0, 9]].sum())


# --- the pair ---------------------------------------------------------------------------------


def test_nfy_and_sp_do_nothing_alone(plain):
    for codes in (put(plain, NFY, -115), put(plain, SP, -50), put(plain, NFY, -115, False)):
        assert not harder_scan(codes)["acts"].any()
        assert total(codes) == pytest.approx(total(plain), rel=0.1)


def test_together_they_do_more_than_the_sum_of_each_alone(plain):
    both = put(put(plain, NFY, -115), SP, -50)
    alone = [total(put(plain, NFY, -115)), total(put(plain, SP, -50))]
    assert total(both) > 100 * sum(alone)
    assert harder_scan(both)["acts"].tolist() == [True, True]


@pytest.mark.parametrize(
    ("distance", "acts"), [(44, False), (45, True), (65, True), (85, True), (86, False)]
)
def test_the_distance_decides(plain, distance, acts):
    codes = put(put(plain, NFY, -50 - distance), SP, -50)
    assert harder_scan(codes)["acts"].tolist() == [acts, acts]


def test_nfy_must_point_at_sp(plain):
    away = put(put(plain, NFY, -115, False), SP, -50)
    assert not harder_scan(away)["acts"].any()
    swapped = put(put(plain, SP, -115), NFY, -50, False)  # it points upstream, and SP is there
    assert harder_scan(swapped)["acts"].all()
    for forward in (True, False):  # where SP points does not matter
        assert harder_scan(put(put(plain, NFY, -115), SP, -50, forward))["acts"].all()


def test_a_pair_is_of_one_locus(plain):
    two = np.concatenate([put(plain, NFY, -115), put(plain, SP, -50)])
    assert not harder_scan(two)["acts"].any()


def test_without_the_rule_each_acts_alone_and_effects_add_up(plain):
    alone = [put(plain, NFY, -115), put(plain, SP, -50)]
    both = put(alone[0], SP, -50)
    assert harder_scan(both, pair=False)["acts"].all()

    def argument(codes):  # of softplus, at the start
        return np.log(np.expm1(harder_rates(codes, pair=False)[0, 0, TSS] / truth().scale[0]))

    one, other, together = (argument(c) - argument(plain) for c in (*alone, both))
    assert min(one, other) > 2
    assert together == pytest.approx(one + other, abs=0.02)
    assert np.array_equal(harder_rates(both, pair=False), harder_rates(both))


# --- the flank and the decoy ------------------------------------------------------------------


@pytest.mark.parametrize("forward", [True, False])
def test_the_letter_behind_ets_decides(plain, forward):
    for letter, acts in zip("ACGT", (False, True, True, False), strict=True):
        site = best(ETS)
        site[-1] = "ACGT".index(letter)
        codes = put(plain, ETS, -28, forward, site)
        assert harder_scan(codes)["acts"].tolist() == [acts]
        assert (total(codes) > 5 * total(plain)) == acts


def test_the_decoy_looks_like_a_tata_box_and_does_nothing(plain):
    decoy = plain.copy()
    decoy[0, TSS - 31 : TSS - 31 + len(DECOY)] = codes_of([DECOY])[0]
    assert not len(scan(decoy))
    assert total(decoy) == pytest.approx(total(plain), rel=0.05)
    assert total(put(plain, truth().names.index("TATA"), -30)) > 10 * total(plain)


# --- assays -----------------------------------------------------------------------------------


def test_assays_differ(plain):
    plain = put(put(plain, NFY, -115), SP, -50)
    seen = harder_rates(plain)[0] / truth().scale[:, None]
    cage, encode = (seen[TRACKS.index(f"{assay}+")] for assay in ("CAGE", "ENCODE CAGE"))
    # ENCODE CAGE has CAGE's rates, but for its scale: by hand (1, 2, 3, 2, 1) / 9 of them.
    by_hand = sum(w * cage[TSS + d] for d, w in zip(range(-2, 3), (1, 2, 3, 2, 1), strict=True))
    assert encode[TSS] == pytest.approx(by_hand / 9, rel=1e-3)
    assert encode.max() < 0.7 * cage.max()
    # RAMPAGE at a base: times (5 + G and C of the next 20 bases) / 15.
    rich, poor = plain.copy(), plain.copy()
    rich[0, TSS + 10 : TSS + 21] = codes_of(["CGCGCGCGCGC"])[0]
    poor[0, TSS + 10 : TSS + 21] = codes_of(["ATTATTATTAT"])[0]
    change = [harder_rates(c)[0, TRACKS.index("RAMPAGE+"), TSS] for c in (rich, poor)]
    near = int(np.isin(plain[0, TSS + 1 : TSS + 10], (1, 2)).sum())
    assert change[0] / change[1] == pytest.approx((5 + near + 11) / (5 + near), rel=1e-3)


def test_both_strands_are_alike(made):
    some = made.sequences[:20]
    turned = harder_rates(reverse_complement_codes(some))
    assert np.array_equal(turned, harder_rates(some)[:, ::-1, ::-1])  # to the last bit


# --- loci -------------------------------------------------------------------------------------


def test_as_few_motifs_as_in_human_promoters(made):
    """Human promoters have 0.76 of the ten families within 150 bases (the appendix)."""
    near = made.matches[(made.matches["anchor"] - TSS).abs() < 150]
    kinds = near.groupby("locus")["motif"].nunique().sum() / N
    assert kinds == pytest.approx(0.76, abs=0.12)


def test_what_was_planted_acts_as_said(made):
    pairs = made.matches[(made.matches["motif"] == "NFY") & made.matches["acts"]]["locus"]
    acts = made.loci["planted"].groupby(np.isin(np.arange(N), pairs)).value_counts()
    assert acts[True]["pair"] / (made.loci["planted"] == "pair").sum() > 0.9
    assert acts[True].drop("pair").sum() < 0.05 * N * 0.3
    assert made.loci["decoy"].mean() == pytest.approx(0.2, abs=0.05)


def test_many_loci_are_empty_and_pairs_are_not(made):
    pro_cap = made.reads[:, 4:6, TSS - 500 : TSS + 500].sum((1, 2))
    assert 0.2 < (pro_cap == 0).mean() < 0.5
    median = np.median(pro_cap[made.loci["planted"] == "pair"])
    assert median > 50
    assert np.median(pro_cap[made.loci["planted"] == "NFY"]) < 5


def test_reads_follow_the_rates(made):
    expected = harder_rates(made.sequences[:200]).sum((1, 2))
    z = (made.reads[:200].sum((1, 2)) - expected) / np.sqrt(expected)
    assert abs(z.mean()) < 5 / np.sqrt(200)
    assert np.abs(z).max() < 5


def test_log_rate_is_that_of_cage_near_the_start(made):
    near = harder_rates(made.sequences[:20])[:, 0, TSS - 100 : TSS + 100].sum(1)
    np.testing.assert_allclose(made.loci["log_rate"][:20], np.log2(1 + near), atol=1e-4)


def test_the_control_has_the_same_sequences(made):
    control = simulate_harder(20, seed=17, pair=False)
    assert np.array_equal(control.sequences, made.sequences[:20])
    both = made.matches[made.matches["locus"] < 20].drop(columns="acts")
    assert control.matches.drop(columns="acts").equals(both)
    acts = control.matches["acts"].to_numpy(), made.matches["acts"].to_numpy()[: len(both)]
    more = acts[0] & ~acts[1]  # an NFY or an SP that stands alone acts here only
    assert set(control.matches["motif"][more]) == {"NFY", "SP"}
    assert not (acts[1] & ~acts[0]).any()
    assert control.reads.sum() > made.reads[:20].sum()


def test_the_first_loci_do_not_depend_on_how_many_follow(made):
    few = simulate_harder(300, seed=17)
    assert np.array_equal(few.reads, made.reads[:300])
    assert few.loci.equals(made.loci[:300])
    assert few.matches.equals(made.matches[made.matches["locus"] < 300])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_loci", 0), ("n_loci", 1.5), ("seed", -1), ("seed", None), ("seed", "x"), ("seed", 1.5),
        ("length", 1999), ("length", 1998), ("length", "x"), ("length", 2000.0), ("pair", "no"),
    ],
)  # fmt: skip
def test_numbers_out_of_range(name, value):
    with pytest.raises(ValueError, match=re.escape(f"{name} is {value!r}; wanted")):
        simulate_harder(**({"n_loci": 2, "seed": 1} | {name: value}))


@pytest.mark.parametrize("function", [harder_rates, harder_scan])
@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (np.zeros((1, 100), np.int64), "int64 (1, 100); wanted uint8 (N, L)"),
        (np.zeros(100, np.uint8), "uint8 (100,); wanted uint8 (N, L)"),
        (np.zeros((1, 19), np.uint8), "(1, 19); wanted uint8 (N, L)"),
        (np.full((1, 100), 5, np.uint8), "codes hold 5; wanted"),
    ],
)
def test_what_is_no_sequence_is_refused(function, codes, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        function(codes)


def test_no_sequence_has_no_rates():
    assert harder_rates(np.zeros((0, 30), np.uint8)).shape == (0, 10, 30)
    assert len(harder_scan(np.zeros((0, 30), np.uint8))) == 0


def test_digest(made):
    """If it fails, numpy's random numbers or a dial have changed: train again what is shipped."""
    digest = hashlib.sha256(made.sequences.tobytes() + made.reads.tobytes())
    assert digest.hexdigest()[:16] == "8f9f1c5556124e71"


def test_write_motifs_by_hand(plain):
    # Each motif is found where its anchor was to stand, and nothing else was changed.
    changed = write_motifs(plain[:1], [("NFY", -115), ("SP", -50)])
    found = harder_scan(changed).set_index("motif")
    middle = plain.shape[1] // 2
    names = truth().names
    for name, place in {"NFY": -115, "SP": -50}.items():
        match = found.loc[[names.index(name)]].sort_values("strength").iloc[-1]
        assert (match["anchor"] - middle, match["strand"]) == (place, "+")
    sites = found.loc[[NFY, SP]]
    outside = np.ones(plain.shape[1], bool)
    for site in sites.itertuples():
        outside[site.position : site.position + site.width] = False
    assert (~outside).sum() == len(best(NFY)) + len(best(SP))
    assert np.array_equal(changed[:, outside], plain[:, outside])


def test_write_motifs_refuses(plain):
    with pytest.raises(ValueError, match="no motif 'XYZ'; wanted one of YY1"):
        write_motifs(plain, [("XYZ", 0)])
    with pytest.raises(ValueError, match="does not fit into"):
        write_motifs(plain, [("SP", -plain.shape[1])])
    with pytest.raises(ValueError, match="NFY at 2 lies over another motif"):
        write_motifs(plain, [("SP", 0), ("NFY", 2)])
    with pytest.raises(ValueError, match="codes hold 255"):
        write_motifs(np.full((1, 100), 255, np.uint8), [])
    with pytest.raises(ValueError, match="float64"):
        write_motifs(plain.astype(float), [])


@pytest.mark.parametrize("wrong", [("SP", 1.5), ("SP", float("nan")), ("SP", "a"), ("SP",), "SP"])
def test_write_motifs_wants_pairs(plain, wrong):
    with pytest.raises(ValueError, match="wanted pairs of a name and a whole number"):
        write_motifs(plain, [wrong])

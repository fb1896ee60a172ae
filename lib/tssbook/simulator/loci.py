"""Sequences for the simulator: human-like background with motifs planted around start sites.

Background DNA is a Markov chain of first order whose composition changes along the locus, as it
does around human start sites. Motifs are planted at their preferred distance from a start site.
Some loci are related, and some hold a repeat.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tssbook.sequence import reverse_complement_codes
from tssbook.simulator.rates import scan
from tssbook.simulator.rules import INITIATOR, INITIATOR_A, MOTIFS, truth

__all__ = [
    "CLASSES",
    "PLACEMENTS",
    "Loci",
    "Placement",
    "background",
    "draw_classes",
    "make_loci",
    "plant",
    "plant_initiators",
    "site_keys",
    "site_pool",
    "write_where_free",
]

CLASSES = ("CpG island", "intermediate", "AT-rich")
_CLASS_SHARE = (0.60, 0.15, 0.25)
_IN_FAMILIES = 0.25  # share of the genes that have relatives

_NAMES = [motif.name for motif in MOTIFS]


class Placement(NamedTuple):
    """Where a motif is planted: distance of its anchor from the TSS, on which strand, how often.

    ``often`` is the chance of each copy, per promoter class.
    """

    motif: int
    distance: int
    spread: float
    either_strand: bool
    copies: int
    often: tuple[float, float, float]


PLACEMENTS = tuple(
    Placement(_NAMES.index(name), *rest)
    for name, *rest in (
        ("Long Inr", 0, 0.4, False, 1, (0.22, 0.30, 0.40)),
        ("TATA", -30, 0.8, False, 1, (0.06, 0.25, 0.55)),
        ("YY1", 16, 4.0, False, 1, (0.26, 0.16, 0.08)),
        ("U1 snRNP", 130, 30.0, False, 1, (0.45, 0.35, 0.25)),
        ("ETS", -28, 12.0, True, 2, (0.42, 0.20, 0.06)),
        ("NRF1", -40, 15.0, True, 2, (0.32, 0.12, 0.03)),
        ("SP", -62, 20.0, True, 3, (0.50, 0.30, 0.08)),
        ("CREB", -55, 18.0, True, 1, (0.24, 0.20, 0.14)),
        ("NFY", -75, 16.0, True, 2, (0.26, 0.26, 0.22)),
        ("ZNF143", -72, 20.0, True, 1, (0.27, 0.16, 0.08)),
    )
)


class Loci(NamedTuple):
    """Sequences, and what is known of them.

    Attributes
    ----------
    codes
        ``(N, L)`` uint8.
    kind
        ``(N,)``, index of the promoter class.
    founder
        ``(N,)``, row of the locus that this one was copied from; its own where it was not.
    family
        ``(N,)``, the founder's row for members of a family (the founder too), else -1.
    mappable
        ``(N, L)`` bool.
    sites
        Sorted keys of the planted sites, see :func:`site_keys`.
    """

    codes: np.ndarray
    kind: np.ndarray
    founder: np.ndarray
    family: np.ndarray
    mappable: np.ndarray
    sites: np.ndarray


def make_loci(rng: np.random.Generator, n: int, length: int) -> Loci:
    """Make sequences with their start site at ``length // 2``.

    Parameters
    ----------
    rng
        Source of all randomness.
    n, length
        Number and length of the sequences.
    """
    kind = draw_classes(rng, n)
    codes = background(rng, kind, length)
    taken = np.zeros(codes.shape, bool)
    sites = _plant_promoters(rng, codes, taken, kind)
    founder, family = _families(rng, n)
    _become_related(rng, codes, taken, founder)
    mappable = _insert_repeats(rng, codes, taken)
    return Loci(codes, kind[founder], founder, family, mappable, np.unique(sites))


def draw_classes(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw the promoter class of each locus, ``(N,)``, an index of `CLASSES`."""
    return np.searchsorted(np.cumsum(_CLASS_SHARE)[:-1], rng.random(n), side="right")


def site_keys(row: np.ndarray, motif: np.ndarray, position: np.ndarray, length: int) -> np.ndarray:
    """One number per place of a motif; a copied locus has its founder's rows."""
    return (row * len(MOTIFS) + motif) * length + position


# --- background -------------------------------------------------------------------------------

# Ratio of each dinucleotide to what its two bases would give, rows A, C, G, T of the first base:
# far from and inside CpG islands. Measured on 237 human promoters (4,651 bp each).
_FAR = np.array(
    [[1.15, 0.81, 1.18, 0.86], [1.20, 1.27, 0.24, 1.17], [1.0, 1.0, 1.24, 0.82],
     [0.73, 0.95, 1.19, 1.13]]
)  # fmt: skip
_ISLAND = np.array(
    [[1.35, 0.71, 1.22, 0.78], [0.94, 1.09, 0.87, 1.18], [1.05, 1.03, 1.05, 0.77],
     [0.68, 1.02, 0.97, 1.33]]
)  # fmt: skip
_FAR_GC = np.linspace(0.36, 0.54, 8)  # GC content of a region without an island
_ISLAND_GC = 0.76  # and at the heart of an island
_LEVELS = 16  # steps from one to the other


@lru_cache(maxsize=1)
def _next_bases() -> np.ndarray:
    """Markov chain as a table: ``[(region * 16 + level) * 4 + base, random byte]`` -> next base."""
    table = np.empty((len(_FAR_GC), _LEVELS, 4, 256), np.uint8)
    for region, far in enumerate(_FAR_GC):
        for level in range(_LEVELS):
            share = level / (_LEVELS - 1)
            gc = far + (_ISLAND_GC - far) * share
            bases = np.array([1 - gc, gc, gc, 1 - gc]) / 2
            joint = np.outer(bases, bases) * (_FAR + (_ISLAND - _FAR) * share)
            for _ in range(50):  # until both bases of the pair have the wanted composition
                joint *= (bases / joint.sum(1))[:, None]
                joint *= bases / joint.sum(0)
            ends = np.round(256 * np.cumsum(joint / joint.sum(1, keepdims=True), axis=1))
            for base in range(4):
                table[region, level, base] = np.searchsorted(
                    ends[base, :3], np.arange(256), side="right"
                )
    return table.reshape(-1, 256)


def background(rng: np.random.Generator, kind: np.ndarray, length: int) -> np.ndarray:
    """Draw sequences without motifs, ``(N, L)`` uint8."""
    n = len(kind)
    region = np.clip(
        np.round(3.2 + np.array([0.4, 0.0, -0.6])[kind] + 1.6 * rng.standard_normal(n)), 0, 7
    ).astype(np.int64)
    height = np.array([0.85, 0.35, 0.06])[kind] * (0.7 + 0.5 * rng.random(n))
    reach = 350 + 450 * rng.random(n)
    distance = np.abs(np.arange(length) - length // 2 - 60)[:, None]
    island = np.minimum(height, 1) / (1 + (distance / reach) ** 3)
    levels = region * _LEVELS + np.round(island * (_LEVELS - 1)).astype(np.int64)
    table, dice = _next_bases().ravel(), rng.integers(0, 256, (length, n), np.uint8)
    rows = levels * 1024 + dice
    bases = np.empty((length, n), np.uint8)
    last = rng.integers(0, 4, n)
    for position in range(length):
        last = table[rows[position] + last.astype(np.int64) * 256]
        bases[position] = last
    return np.ascontiguousarray(bases.T)


# --- motifs -----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def site_pool() -> tuple[np.ndarray, ...]:
    """Sites per motif, ``(512, W)`` uint8, drawn from its matrix and kept where they match it."""
    pools = []
    for m in range(len(MOTIFS)):
        probabilities = truth().pwms[m]
        rng = np.random.default_rng([2024, m])
        dice = rng.random((4096, 1, probabilities.shape[1]))
        drawn = (dice >= np.cumsum(probabilities, axis=0)[:3]).sum(1).astype(np.uint8)
        padded = np.full((len(drawn), 40), 4, np.uint8)
        padded[:, 10 : 10 + drawn.shape[1]] = drawn
        found = scan(padded)
        good = found[(found["motif"] == m) & (found["strand"] == "+") & (found["position"] == 10)]
        pools.append(drawn[good["locus"].to_numpy()[:512]])
    return tuple(pools)


def _plant_promoters(
    rng: np.random.Generator, codes: np.ndarray, taken: np.ndarray, kind: np.ndarray
) -> np.ndarray:
    """Plant the motifs of all start sites; returns the keys of the planted sites."""
    n, length = codes.shape
    tss, plus = np.full(n, length // 2), np.ones(n, bool)
    often = np.array([p.often for p in PLACEMENTS])[:, kind]
    sites = [plant(rng, codes, taken, tss, plus, often)]
    plant_initiators(rng, codes, taken, tss, plus, 0.85)
    for _ in range(2):
        plant_initiators(rng, codes, taken, tss + rng.integers(-60, 61, n), plus, 0.6)
    antisense = tss - rng.integers(90, 171, n)
    plant_initiators(rng, codes, taken, antisense, ~plus, 0.7)
    sites.append(plant(rng, codes, taken, antisense, ~plus, often * 0.6 * (rng.random(n) < 0.25)))
    reach = length // 2 - 400
    far = tss + rng.integers(400, reach, n)  # another promoter, inside the gene
    away = rng.random(n) < 0.12
    sites.append(plant(rng, codes, taken, far, rng.random(n) < 0.5, often * 0.6 * away))
    return np.concatenate(sites)


def plant(
    rng: np.random.Generator,
    codes: np.ndarray,
    taken: np.ndarray,
    tss: np.ndarray,
    plus: np.ndarray,
    often: np.ndarray,
) -> np.ndarray:
    """Plant motifs around one start site per locus; returns the keys of their places."""
    n, length = codes.shape
    keys = []
    for placement, chance in zip(PLACEMENTS, often, strict=True):
        motif = placement.motif
        pool, anchor = site_pool()[motif], MOTIFS[motif].anchor
        for _ in range(placement.copies):
            waiting = rng.random(n) < chance
            for _ in range(4):  # another place where the first is taken
                away = placement.distance + placement.spread * rng.standard_normal(n)
                forward = plus ^ (placement.either_strand & (rng.integers(0, 2, n) == 1))
                site = pool[rng.integers(0, len(pool), n)]
                site = np.where(forward[:, None], site, reverse_complement_codes(site))
                centre = tss + np.where(plus, 1, -1) * np.round(away).astype(np.int64)
                start = centre - np.where(forward, anchor, pool.shape[1] - 1 - anchor)
                planted = write_where_free(codes, taken, start, site, waiting)
                waiting &= ~planted
                rows = np.nonzero(planted)[0]
                keys.append(site_keys(rows, motif, start[rows], length))
    return np.concatenate(keys)


def write_where_free(
    codes: np.ndarray, taken: np.ndarray, start: np.ndarray, site: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Write sites where wanted, inside and on free ground; returns where that was done."""
    places = start[:, None] + np.arange(site.shape[1])
    inside = (start >= 0) & (places[:, -1] < codes.shape[1])
    rows = np.nonzero(wanted & inside)[0]
    rows = rows[~taken[rows[:, None], places[rows]].any(1)]
    codes[rows[:, None], places[rows]] = site[rows]
    taken[rows[:, None], places[rows]] = True
    written = np.zeros(len(codes), bool)
    written[rows] = True
    return written


def plant_initiators(
    rng: np.random.Generator,
    codes: np.ndarray,
    taken: np.ndarray,
    tss: np.ndarray,
    plus: np.ndarray,
    chance: float,
) -> None:
    """Write a common initiator at the start site where its place is free."""
    ends = np.cumsum(np.exp(1.8 * INITIATOR), axis=0)
    ends /= ends[-1]
    width = INITIATOR.shape[1]
    site = (rng.random((len(tss), 1, width)) >= ends[:3]).sum(1).astype(np.uint8)
    site = np.where(plus[:, None], site, reverse_complement_codes(site))
    start = tss - np.where(plus, INITIATOR_A, width - 1 - INITIATOR_A)
    write_where_free(codes, taken, start, site, rng.random(len(tss)) < chance)


# --- relatives and repeats --------------------------------------------------------------------


def _families(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each locus's founder, and its family's number (-1 for none)."""
    sizes = rng.choice([1, 2, 3, 4, 5], n, p=_unit_shares())
    founder = np.repeat(np.cumsum(sizes) - sizes, sizes)[:n]
    single = np.repeat(sizes == 1, sizes)[:n]
    single[-1] |= founder[-1] == n - 1  # the block ended after one member
    return founder, np.where(single, -1, founder)


def _unit_shares() -> np.ndarray:
    sizes, shares = np.array([2, 3, 4, 5]), np.array([0.4, 0.3, 0.2, 0.1])
    families = _IN_FAMILIES / (sizes @ shares)  # per gene
    single = 1 - _IN_FAMILIES
    units = np.array([single, *(families * shares)])
    return units / units.sum()


def _become_related(
    rng: np.random.Generator, codes: np.ndarray, taken: np.ndarray, founder: np.ndarray
) -> None:
    """Replace members of families by mutated copies of their founder."""
    n, length = codes.shape
    codes[:], taken[:] = codes[founder], taken[founder]
    rate = (0.05 + 0.10 * rng.random(n)) * (founder != np.arange(n))
    rows = np.nonzero(rate)[0]
    chance = np.where(taken[rows], 0.1, 1.0) * rate[rows, None]
    change = rng.random((len(rows), length)) < chance
    step = rng.integers(1, 4, (len(rows), length), np.uint8)
    codes[rows] = (codes[rows] + change * step) & 3


@lru_cache(maxsize=1)
def _repeats() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(1789)
    return tuple(rng.integers(0, 4, size).astype(np.uint8) for size in (120, 180, 240, 300))


def _insert_repeats(rng: np.random.Generator, codes: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Write repeats into a fifth of the loci, away from start site and motifs; mask them."""
    n, length = codes.shape
    mappable = np.ones((n, length), bool)
    for row in np.nonzero(rng.random(n) < 0.2)[0]:
        repeat = _repeats()[rng.integers(4)]
        repeat = reverse_complement_codes(repeat) if rng.integers(2) else repeat
        changed = rng.random(len(repeat)) < 0.02
        repeat = (repeat + changed * rng.integers(1, 4, len(repeat), np.uint8)) & 3
        start = int(rng.integers(0, length - len(repeat)))
        place = slice(start, start + len(repeat))
        far = abs(start + len(repeat) // 2 - length // 2) > 200 + len(repeat) // 2
        if far and not taken[row, place].any():
            codes[row, place] = repeat
            mappable[row, place] = False
    return mappable

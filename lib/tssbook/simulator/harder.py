"""A second setting of the simulator, which breaks what Chapter 3's network assumes.

In :func:`~tssbook.simulator.simulate` effects add up, motifs are many, each match acts and five
assays see one list of rates. Here:

* **A pair.** NFY and SP act only together: where an NFY points at an SP whose anchor lies 45 to
  85 bases away. Alone, the other way round or too far apart they do nothing. No filter of 51
  bases sees both.
* **A flank.** ETS acts only where the last letter of its match is C or G.
* **A decoy.** A word like a TATA box stands at a TATA box's place in many promoters. It does
  nothing.
* **Density.** As many kinds of motifs per promoter as human ones have; each acts three
  times as strongly, from a lower bias. Most loci have next to no reads.
* **Assays.** ENCODE CAGE is smeared over five bases, and RAMPAGE likes GC: its reads grow with
  the share of G and C in the 20 bases downstream.

The truth is a function of the sequence still, in whole numbers, as in
:mod:`tssbook.simulator.rates`. There are no relatives and no repeats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from numbers import Integral
from typing import NamedTuple

import numpy as np
import pandas as pd

from tssbook.data.tracks import TRACKS
from tssbook.sequence import codes as codes_of
from tssbook.sequence import require_known_codes, reverse_complement_codes
from tssbook.simulator.loci import (
    PLACEMENTS,
    background,
    draw_classes,
    plant,
    plant_initiators,
    site_pool,
    write_where_free,
)
from tssbook.simulator.rates import RATE_BITS, SHORTEST, TSS_REACH, scan, whole_rates
from tssbook.simulator.rules import MOTIFS, UNIT, truth
from tssbook.simulator.simulation import CHROMOSOMES, drawn, require_numbers

__all__ = [
    "DECOY",
    "HarderLoci",
    "harder_block",
    "harder_rates",
    "harder_scan",
    "simulate_harder",
    "write_motifs",
]

DECOY = "CCTATTTATGC"  # the word that does nothing
_NFY, _SP, _ETS = (truth().names.index(name) for name in ("NFY", "SP", "ETS"))
_NEAREST, _FARTHEST = 45, 85  # from NFY's anchor to SP's
_STRONGER = 3  # times what a match does in the other setting
_LOWER = 2.5  # so much lower is softplus's argument where nothing acts
_SPARSE = 0.05  # how often the other motifs are planted, relative to the other setting
# Share of the loci with: the pair; NFY pointing away from SP; the two too far apart; one alone.
_PAIRS = {"pair": 0.12, "away": 0.05, "far": 0.03, "NFY": 0.04, "SP": 0.08}
_DECOYS = 0.20  # share of the loci with the decoy
_SMEARED, _OF_GC = "ENCODE CAGE", "RAMPAGE"
_SMEAR = (1, 2, 3, 2, 1)  # ninths of a base's reads, from two bases upstream to two downstream
_DOWNSTREAM = 20  # bases whose G and C count
_BLOCK = 250


class HarderLoci(NamedTuple):
    """What `simulate_harder` returns, along the gene, whose start is at index ``L // 2``.

    Attributes
    ----------
    sequences : numpy.ndarray
        ``(N, L)`` uint8, A 0, C 1, G 2, T 3.
    reads : numpy.ndarray
        ``(N, 10, L)`` uint16, in the order of :data:`tssbook.data.TRACKS`.
    loci : pandas.DataFrame
        One row per locus: ``gene``, ``chrom``, ``planted`` ("pair", "away", "far", "NFY", "SP" or
        "none"), ``decoy`` (bool) and ``log_rate``, log2 of 1 + the expected CAGE+ reads within
        100 bases of the start.
    matches : pandas.DataFrame
        From `harder_scan`, with the motif's name.
    """

    sequences: np.ndarray
    reads: np.ndarray
    loci: pd.DataFrame
    matches: pd.DataFrame


def simulate_harder(n_loci: int, *, seed: int, length: int = 2600, pair: bool = True) -> HarderLoci:
    """Make loci whose rules are not those of an additive model.

    Parameters
    ----------
    n_loci, seed, length
        As for :func:`~tssbook.simulator.simulate`: the first loci of a seed are the same however
        many are asked for.
    pair
        Whether NFY and SP need each other. False: each acts alone, on the same sequences; the
        control in which effects add up.

    Raises
    ------
    ValueError
        A number is out of range, or ``pair`` neither True nor False.
    """
    require_numbers(n_loci, seed, length)
    numbers = range(-(-n_loci // _BLOCK))
    with ThreadPoolExecutor(2) as pool:
        blocks = list(pool.map(partial(harder_block, seed=seed, length=length, pair=pair), numbers))
    codes, reads, loci, matches = zip(*blocks, strict=True)
    matches = pd.concat(matches, ignore_index=True)
    return HarderLoci(
        np.concatenate(codes)[:n_loci],
        np.concatenate(reads)[:n_loci],
        pd.concat(loci, ignore_index=True)[:n_loci],
        matches[matches["locus"] < n_loci],
    )


def harder_rates(codes: np.ndarray, *, pair: bool = True) -> np.ndarray:
    """Return the expected reads per base in all ten tracks, ``(N, 10, L)`` float64.

    Parameters
    ----------
    codes
        ``(N, L)`` uint8, A 0, C 1, G 2, T 3, N 4, ``L`` of 20 or more; as for
        :func:`tssbook.simulator.rates.rates`, and as symmetric.
    pair
        See `simulate_harder`.

    Raises
    ------
    TypeError, ValueError
        The codes are none, or ``pair`` is neither True nor False.
    """
    require_known_codes(codes, shortest=SHORTEST)
    scale = (truth().scale * 2.0**-RATE_BITS)[:, None]
    result = np.empty((len(codes), len(TRACKS), codes.shape[1]))
    for row, fixed in enumerate(_whole(codes, pair)):
        np.multiply(fixed, scale, out=result[row])
    return result


def harder_scan(codes: np.ndarray, *, pair: bool = True) -> pd.DataFrame:
    """Find all matches, as :func:`tssbook.simulator.scan` does, and say which of them act.

    Parameters
    ----------
    codes, pair
        As for `harder_rates`.

    Returns
    -------
    pandas.DataFrame
        With the column ``acts`` (bool) besides.

    Raises
    ------
    TypeError, ValueError
        As for `harder_rates`.
    """
    found = scan(codes)
    columns = {name: found[name].to_numpy() for name in found}
    columns["minus"] = columns["strand"] == "-"
    return found.assign(acts=_acts(codes, columns, pair))


def write_motifs(codes: np.ndarray, motifs: Sequence[tuple[str, int]]) -> np.ndarray:
    """Return sequences with the best site of motifs written over what stood there.

    Parameters
    ----------
    codes
        ``(N, L)`` uint8, A 0, C 1, G 2, T 3, N 4.
    motifs
        Pairs of a motif's name and where its anchor goes, in bases from the start at ``L // 2``,
        such as ``[("NFY", -115), ("SP", -50)]``; all along the + strand.

    Returns
    -------
    numpy.ndarray
        A copy, ``(N, L)`` uint8.

    Raises
    ------
    TypeError, ValueError
        The codes are none, something is no such pair, there is no such motif, or its site does
        not fit into the sequences or lies over another.
    """
    require_known_codes(codes)
    codes, names = codes.copy(), truth().names
    taken = np.zeros(codes.shape[1], bool)
    for each in motifs:
        match each:
            case str(name), Integral() as place:
                pass
            case _:
                raise ValueError(
                    f"The motifs hold {each!r}; wanted pairs of a name and a whole number, such as "
                    "('SP', -50)."
                )
        if name not in names:
            raise ValueError(f"There is no motif {name!r}; wanted one of {', '.join(names)}.")
        site = truth().pwms[names.index(name)].argmax(0)
        start = codes.shape[1] // 2 + place - MOTIFS[names.index(name)].anchor
        here = slice(start, start + len(site))
        if start < 0 or here.stop > codes.shape[1]:
            raise ValueError(f"{name} at {place} does not fit into {codes.shape[1]:,} bases.")
        if taken[here].any():
            raise ValueError(f"{name} at {place} lies over another motif; wanted them apart.")
        codes[:, here], taken[here] = site, True
    return codes


def _acts(codes: np.ndarray, found: dict[str, np.ndarray], pair: bool) -> np.ndarray:
    """Return which matches act, ``(M,)`` bool: those that their context does not silence."""
    if not isinstance(pair, bool):
        raise ValueError(f"pair is {pair!r}; wanted True or False.")
    motif, minus, locus = found["motif"], found["minus"].astype(bool), found["locus"]
    last = found["position"] + np.where(minus, 0, found["width"] - 1)
    acts = (motif != _ETS) | np.isin(codes[locus, last], (1, 2))  # C or G, on either strand
    if pair:
        nfy, sp = np.flatnonzero(motif == _NFY), np.flatnonzero(motif == _SP)
        ahead = found["anchor"][sp] - found["anchor"][nfy, None]
        ahead = np.where(minus[nfy, None], -ahead, ahead)  # as NFY points
        meet = (locus[sp] == locus[nfy, None]) & (ahead >= _NEAREST) & (ahead <= _FARTHEST)
        acts[nfy], acts[sp] = meet.any(1), meet.any(0)
    return acts


def _strengths(codes: np.ndarray, found: dict[str, np.ndarray], *, pair: bool) -> np.ndarray:
    return _STRONGER * found["strength"] * _acts(codes, found, pair)


def _whole(codes: np.ndarray, pair: bool) -> Iterator[np.ndarray]:
    """Yield for each sequence what the assays see, ``(10, L)`` int64, in `whole_rates`' units."""
    smeared, of_gc = (
        np.array([track[:-1] == assay for track in TRACKS]) for assay in (_SMEARED, _OF_GC)
    )
    acting = partial(_strengths, pair=pair)
    for row, fixed in enumerate(whole_rates(codes, strengths=acting, lower=int(_LOWER * UNIT))):
        fixed = fixed.astype(np.int64)
        spread = [np.convolve(track, _SMEAR, "same") // sum(_SMEAR) for track in fixed[smeared]]
        fixed[smeared] = spread
        gc = np.convolve(np.isin(codes[row], (1, 2)), np.ones(_DOWNSTREAM, np.int64))
        gc = np.pad(gc, 1)  # gc[i]: how many of the 20 bases before base i are C or G
        before, after = gc[: fixed.shape[1]], gc[_DOWNSTREAM + 1 :]
        fixed[of_gc] = fixed[of_gc] * (5 + np.stack([after, before])) // 15
        yield fixed


def harder_block(number: int, *, seed: int, length: int, pair: bool = True) -> HarderLoci:
    """Make the loci ``250 * number`` and on, 250 of them; parameters of `simulate_harder`."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, number, 2]))
    kind = draw_classes(rng, _BLOCK)
    codes = background(rng, kind, length)
    planted, decoy = _promoters(rng, codes, kind)
    fixed = list(_whole(codes, pair))
    near = slice(length // 2 - TSS_REACH, length // 2 + TSS_REACH)
    reads = np.array([one[0, near].sum() for one in fixed]) * (truth().scale[0] * 2.0**-RATE_BITS)
    shares = np.array(list(CHROMOSOMES.values()))
    first = number * _BLOCK
    loci = pd.DataFrame(
        {
            "gene": [f"G{first + i:06d}" for i in range(_BLOCK)],
            "chrom": rng.choice(list(CHROMOSOMES), _BLOCK, p=shares / shares.sum()),
            "planted": planted,
            "decoy": decoy,
            "log_rate": np.round(np.log2(1 + reads), 4),
        }
    )
    matches = harder_scan(codes, pair=pair)
    matches["motif"] = np.array(truth().names)[matches["motif"]]
    matches["locus"] += first
    return HarderLoci(codes, np.stack([drawn(rng, one) for one in fixed]), loci, matches)


def _promoters(
    rng: np.random.Generator, codes: np.ndarray, kind: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Plant initiators, NFY and SP, decoys and the rest; return what was meant for each locus."""
    n, length = codes.shape
    taken = np.zeros(codes.shape, bool)
    tss, plus = np.full(n, length // 2), np.ones(n, bool)
    plant_initiators(rng, codes, taken, tss, plus, 0.85)
    planted = _plant_pairs(rng, codes, taken)
    often = _SPARSE * np.array([p.often for p in PLACEMENTS])[:, kind]
    often[[p.motif in (_NFY, _SP) for p in PLACEMENTS]] = 0
    plant(rng, codes, taken, tss, plus, often)
    word = np.broadcast_to(codes_of([DECOY]), (n, len(DECOY)))
    decoy = rng.random(n) < _DECOYS
    decoy = write_where_free(codes, taken, tss - 31 + rng.integers(-1, 2, n), word, decoy)
    for _ in range(2):
        plant_initiators(rng, codes, taken, tss + rng.integers(-60, 61, n), plus, 0.6)
    plant_initiators(rng, codes, taken, tss - rng.integers(90, 171, n), ~plus, 0.7)
    return planted, decoy


def _plant_pairs(rng: np.random.Generator, codes: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Plant NFY and SP, together, alone or not as they should stand; return which, ``(N,)``."""
    n, length = codes.shape
    planted = rng.choice(["none", *_PAIRS], n, p=[1 - sum(_PAIRS.values()), *_PAIRS.values()])
    # One of the two at about -50, the other upstream of it; either can be NFY.
    near = np.round(-50 + 12 * rng.standard_normal(n)).astype(np.int64)
    apart = rng.integers(_NEAREST, _FARTHEST + 1, n)
    apart = np.where(planted == "far", rng.integers(110, 151, n), apart)
    nfy_first = rng.integers(0, 2, n) == 1
    points_down = nfy_first ^ (planted == "away")  # NFY looks at SP, or away from it
    turned = rng.integers(0, 2, n) == 1
    for motif, is_first, forward, absent in (
        (_NFY, nfy_first, points_down, "SP"),
        (_SP, ~nfy_first, turned, "NFY"),
    ):
        pool, anchor = site_pool()[motif], MOTIFS[motif].anchor
        site = pool[rng.integers(0, len(pool), n)]
        site = np.where(forward[:, None], site, reverse_complement_codes(site))
        start = length // 2 + near - np.where(is_first, apart, 0)
        start -= np.where(forward, anchor, pool.shape[1] - 1 - anchor)
        wanted = ~np.isin(planted, ["none", absent])
        write_where_free(codes, taken, start, site, wanted)
    return planted

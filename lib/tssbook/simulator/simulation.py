"""Simulated promoters: sequences, reads in ten tracks and expression, with everything known.

:mod:`tssbook.simulator.rates` says what a sequence does, :mod:`tssbook.simulator.loci` makes
sequences to which that matters. Here reads and expression are drawn from the rates, and all is
kept in memory or streamed to disk.

Loci are made in blocks of 250, each from its own random numbers. So memory is bounded, and the
first loci of a seed are the same however many are asked for.

Rates are whole numbers and logarithms are rounded to four digits, so the same seed gives the same
bytes on every computer, as long as numpy keeps its random numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from tssbook.data.store import Store, Writer, is_complete, open_store
from tssbook.data.tracks import TRACKS
from tssbook.sequence import require_positive, require_whole
from tssbook.simulator.loci import CLASSES, Loci, make_loci, site_keys
from tssbook.simulator.rates import RATE_BITS, log_rate, scan, whole_rates
from tssbook.simulator.rules import truth

__all__ = [
    "CHROMOSOMES",
    "SPACER",
    "Simulation",
    "draw_reads",
    "drawn",
    "require_numbers",
    "simulate",
]

SPACER = 350  # bases between loci on a chromosome
_BLOCK = 250  # loci that are made at a time
_GENE_NOISE = 1.5  # standard deviation of expression around log_rate, in log2
_SHARED = 0.7  # share of the noise variance that a family has in common
_WORKERS = 2
_VERSION = 2  # goes up when the same seed gives other data

# Chromosomes and how many of 100 genes they have. chr8 and chr9 are the book's test set, chr10
# its validation set.
CHROMOSOMES = {
    "chr1": 9.5, "chr2": 7, "chr3": 6, "chr4": 4, "chr5": 5, "chr6": 5.5, "chr7": 5, "chr8": 6.5,
    "chr9": 6.5, "chr10": 11.5, "chr11": 5.5, "chr12": 5, "chr13": 2, "chr14": 3, "chr15": 3,
    "chr16": 4, "chr17": 5, "chr18": 1.5, "chr19": 5, "chr20": 2.5, "chr21": 1, "chr22": 2.5,
    "chrX": 2.5,
}  # fmt: skip

# On these chromosomes the first gene lies so near the end that its upstream window sticks out.
_EDGE = ("chr1", "chr4", "chr8", "chr10", "chr16")
_EDGE_TSS = 900


class Simulation(NamedTuple):
    """Simulated loci with their truth.

    Attributes
    ----------
    sequences
        ``(N, L)`` uint8, A 0, C 1, G 2, T 3, along the gene; its first transcribed base is at
        index ``L // 2``.
    tracks
        ``(N, 10, L)`` uint16 reads, or None.
    mappable
        ``(N, L)`` bool; where False, reads are lost.
    loci
        One row per locus: ``gene``, ``chrom``, ``start`` (of the locus, on the + strand; below 0
        where the chromosome begins inside it), ``tss`` (0-based, on the + strand), ``strand``,
        ``family`` (-1: none), ``promoter_class``, ``log_rate`` and ``expression`` (both log2).
    instances
        All motif matches, as from :func:`tssbook.simulator.rates.scan` with the motif's name, and
        ``planted``: False for a match by chance.
    seed
        The seed.
    """

    sequences: np.ndarray
    tracks: np.ndarray | None
    mappable: np.ndarray
    loci: pd.DataFrame
    instances: pd.DataFrame
    seed: int


def simulate(
    n_loci: int,
    *,
    seed: int,
    length: int = 4650,
    tracks: bool = True,
    folder: str | Path | None = None,
) -> Simulation:
    """Make loci with sequence, reads, expression and truth.

    Parameters
    ----------
    n_loci
        How many.
    seed
        The same seed gives the same bytes.
    length
        Bases per locus: even, 2,000 or more.
    tracks
        Whether to draw reads, which takes most of the time.
    folder
        Where to keep the arrays (see :mod:`tssbook.data.store`). They come back memory-mapped, and
        only a few blocks are ever in memory. A folder that holds the same simulation, finished
        or not, is used and gone on with.

    Returns
    -------
    Simulation

    Raises
    ------
    ValueError
        A number is out of range.
    FileExistsError
        The folder holds something else.
    BlockingIOError
        Somebody else is simulating into this folder.
    """
    require_numbers(n_loci, seed, length)
    made_from = {
        "simulation": _VERSION, "n_loci": n_loci, "seed": seed, "length": length, "tracks": tracks,
    }  # fmt: skip
    if folder is not None and is_complete(folder, made_from):
        return _opened(open_store(folder))
    shapes = {"sequences": ((length,), "uint8"), "mappable": ((length,), "bool")}
    if tracks:
        shapes["tracks"] = ((len(TRACKS), length), "uint16")
    described = []
    if folder is None:
        arrays = {name: np.empty((n_loci, *shape), kind) for name, (shape, kind) in shapes.items()}
        for start, parts, *tables in _blocks(made_from, 0):
            for name, part in parts.items():
                arrays[name][start : start + len(part)] = part
            described.append(tables)
        return _opened(Store(arrays, _joined(described, length), made_from))
    with Writer(folder, n_loci, shapes, made_from) as writer:
        for start, parts, *tables in _blocks(made_from, writer.done):
            if parts:
                writer.write(start, **parts)
            described.append(tables)
        return _opened(writer.finish(**_joined(described, length)))


def require_numbers(n_loci: int, seed: int, length: int) -> None:
    """Refuse what cannot be simulated.

    Raises
    ------
    ValueError
        A number is out of range, or not whole.
    """
    require_positive(n_loci=n_loci, length=length)
    require_whole(seed=seed)
    if length < 2000 or length % 2:
        raise ValueError(f"length is {length}; wanted an even number of 2,000 or more.")


def _opened(store: Store) -> Simulation:
    return Simulation(
        sequences=store.arrays["sequences"],
        tracks=store.arrays.get("tracks"),
        mappable=store.arrays["mappable"],
        loci=store.tables["loci"],
        instances=store.tables["instances"],
        seed=store.made_from["seed"],
    )


_Block: TypeAlias = tuple[int, dict[str, np.ndarray], pd.DataFrame, pd.DataFrame]


def _blocks(made_from: Mapping[str, Any], done: int) -> Iterator[_Block]:
    """Make the blocks in order, two at a time, without the arrays' rows before ``done``."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        waiting: deque[Future[_Block]] = deque()
        for number in range(-(-made_from["n_loci"] // _BLOCK)):
            waiting.append(pool.submit(_block, number, made_from, done))
            if len(waiting) > _WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _block(number: int, made_from: Mapping[str, Any], done: int) -> _Block:
    """Make one block: its first new row, new rows of the arrays (if any), loci and instances."""
    first, length = number * _BLOCK, made_from["length"]
    end = min(first + _BLOCK, made_from["n_loci"])
    start = max(first, done)
    entropy = np.random.SeedSequence([made_from["seed"], number])
    sequence_seed, gene_seed, read_seed = entropy.spawn(3)
    made = make_loci(np.random.default_rng(sequence_seed), _BLOCK, length)
    loci = _genes(np.random.default_rng(gene_seed), made, first)
    instances = scan(made.codes)
    rows = instances["locus"].to_numpy()
    keys = site_keys(made.founder[rows], instances["motif"], instances["position"], length)
    instances["planted"] = np.isin(keys, made.sites)
    instances["locus"] += first
    instances["motif"] = np.array(truth().names)[instances["motif"]]
    parts = {}
    if start < end:
        parts = {"sequences": made.codes[: end - first], "mappable": made.mappable[: end - first]}
        if made_from["tracks"]:
            rng = np.random.default_rng(read_seed)
            parts["tracks"] = draw_reads(rng, parts["sequences"], parts["mappable"])
        parts = {name: part[start - first :] for name, part in parts.items()}
    return start, parts, loci[: end - first], instances[instances["locus"] < end]


def _joined(described: list[list[pd.DataFrame]], length: int) -> dict[str, pd.DataFrame]:
    """Make one table of the blocks' loci, and one of their instances."""
    loci, instances = (pd.concat(one, ignore_index=True) for one in zip(*described, strict=True))
    return {"loci": _placed_on_chromosomes(loci, length), "instances": instances}


def _genes(rng: np.random.Generator, made: Loci, first: int) -> pd.DataFrame:
    """Name the genes of a block, give them a chromosome and a strand, and draw expression.

    Members of a family are on one chromosome and share most of their noise: what acts on a gene
    from outside its promoter was copied too.
    """
    n = len(made.codes)
    shares = np.array(list(CHROMOSOMES.values()))
    chrom = rng.choice(len(shares), n, p=shares / shares.sum())[made.founder]
    common, own = rng.standard_normal((2, n))
    noise = np.sqrt(_SHARED) * common[made.founder] + np.sqrt(1 - _SHARED) * own
    rate = log_rate(made.codes)
    return pd.DataFrame(
        {
            "gene": [f"G{first + i:06d}" for i in range(n)],
            "chrom": np.array(list(CHROMOSOMES))[chrom],
            "strand": np.where(rng.integers(0, 2, n) == 0, "+", "-"),
            "family": np.where(made.family < 0, -1, first + made.family),
            "promoter_class": np.array(CLASSES)[made.kind],
            # The last digits of a logarithm differ between processors.
            "log_rate": np.round(rate, 4),
            "expression": np.round(rate + _GENE_NOISE * noise, 4),
        }
    )


def _placed_on_chromosomes(loci: pd.DataFrame, length: int) -> pd.DataFrame:
    """Add ``start``, where a locus begins on its chromosome, and ``tss``."""
    loci = loci.copy()
    rank = loci.groupby("chrom").cumcount()
    edge = loci["chrom"].isin(_EDGE)
    loci.loc[edge & (rank == 0), "strand"] = "+"
    first = np.where(edge, min(_EDGE_TSS - length // 2, SPACER), SPACER)
    start = first + rank * (length + SPACER)
    into = np.where(loci["strand"] == "+", length // 2, length - 1 - length // 2)
    loci.insert(2, "start", start)
    loci.insert(3, "tss", start + into)
    return loci


def draw_reads(rng: np.random.Generator, codes: np.ndarray, mappable: np.ndarray) -> np.ndarray:
    """Draw reads, ``(N, 10, L)`` uint16: a Poisson number per track, each at a drawn base.

    This is the same as a Poisson number per base, at about a third of the cost.
    """
    n, length = codes.shape
    reads = np.empty((n, len(TRACKS), length), np.uint16)
    for row, fixed in enumerate(whole_rates(codes)):
        fixed[:, ~mappable[row]] = 0
        reads[row] = drawn(rng, fixed)
    return reads


def drawn(rng: np.random.Generator, fixed: np.ndarray) -> np.ndarray:
    """Draw the reads of one sequence, ``(10, L)`` uint16, at rates in whole units."""
    length = fixed.shape[1]
    ends = np.cumsum(fixed, dtype=np.int64)  # over bases, and on from track to track
    edges = np.concatenate([[0], ends[length - 1 :: length]])
    number = rng.poisson(np.diff(edges) * (truth().scale * 2.0**-RATE_BITS))
    at = rng.integers(np.repeat(edges[:-1], number), np.repeat(edges[1:], number))
    base = np.searchsorted(ends, at, side="right")
    counts = np.bincount(base, minlength=fixed.size).reshape(fixed.shape)
    return np.minimum(counts, np.iinfo(np.uint16).max).astype(np.uint16)

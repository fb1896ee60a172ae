"""What the networks of Chapter 3 have learned: their filters as motifs, with names and effects.

A filter says what a motif looks like, its effect kernels say what the motif does. Sections 6 (each
motif and its effect), 9 (what recurs over trainings) and 10 (what each base contributes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from tssbook.interpret.funcs import track_index, track_names
from tssbook.models.puffin import Puffin, SimpleNet, effect_curves
from tssbook.motifs import checked_frequencies, frequencies, information
from tssbook.sequence import require_sequences, reverse_complement

__all__ = [
    "Consensus",
    "consensus",
    "contributions",
    "core",
    "filter_matrices",
    "jaspar",
    "jaspar_names",
    "motif_effects",
    "ranking",
    "site_frequencies",
    "tomtom",
]

_CONTRAST = 0.7
_FEWEST_TARGETS = 25  # with fewer, TOMTOM's p-values depend on which they are
_JASPAR = "JASPAR2026"
_COLLECTIONS = ("CORE", "UNVALIDATED")
_TAXA = (
    "cnidaria", "diatoms", "dictyostelium", "fungi", "insects", "nematodes", "oomycota", "plants",
    "trematodes", "urochordates", "vertebrates",
)  # fmt: skip


# --- what a filter looks like -----------------------------------------------------------------


def filter_matrices(weight: Tensor, contrast: bool = False) -> Tensor:
    """Return filters ``(F, 4, W)`` with the mean of each position taken off: section 6.

    What a filter adds at a position whatever the base is no part of the motif; the bias could
    hold it just as well.

    Parameters
    ----------
    weight
        ``(F, 4, W)``, such as ``model.conv.weight``.
    contrast
        Take also 0.7 times the mean absolute value of the position off. Then only bases that
        stand out are above the line, as in the source's figures. For drawing only.
    """
    _require_filters(weight)
    centred = weight.detach() - weight.detach().mean(1, keepdim=True)
    return centred - _CONTRAST * centred.abs().mean(1, keepdim=True) if contrast else centred


@torch.no_grad()
def site_frequencies(
    weight: Tensor, x: Tensor, n_sites: int = 500, *, both_strands: bool = True
) -> Tensor:
    """Return the frequencies of bases under each filter where it responds most: section 6.

    How strongly bases are preferred is that of the best ``n_sites``,
    so it depends on how many sites there are in the sequences.

    Parameters
    ----------
    weight
        ``(F, 4, W)``, such as ``model.conv.weight``.
    x
        One-hot ``(N, 4, L)`` of any type.
    n_sites
        Windows to average for each filter; a palindrome's count twice, once for each strand.
    both_strands
        Search the other strand too, as networks do whose filters read both (`SimpleNet`,
        `Puffin`). False for filters that read a sequence as it is, as all others of the book.

    Returns
    -------
    torch.Tensor
        ``(F, 4, W)``; each column adds up to 1, or is NaN where all sites have an N.

    Raises
    ------
    ValueError
        If the sequences have fewer than ``n_sites`` windows.
    """
    _require_filters(weight)
    require_sequences(x)
    width = weight.shape[-1]
    available = (1 + both_strands) * len(x) * max(x.shape[-1] - width + 1, 0)
    if not 0 < n_sites <= available:
        raise ValueError(
            f"n_sites is {n_sites}; wanted 1 to {available:,}, as many windows of {width} bases as "
            f"x has on {'both strands' if both_strands else 'its strand'}."
        )
    scores, sites = weight.new_empty(len(weight), 0), weight.new_empty(len(weight), 0, 4, width)
    for part in x.to(weight).split(32):
        for strand in (part, reverse_complement(part)) if both_strands else (part,):
            windows = strand.unfold(-1, width, 1)  # (n, 4, P, W), a view
            response = F.conv1d(strand, weight).transpose(0, 1).flatten(1)  # (F, n * P)
            here, index = response.topk(min(n_sites, response.shape[1]))
            row, place = index // windows.shape[2], index % windows.shape[2]
            scores = torch.cat([scores, here], 1)
            sites = torch.cat([sites, windows[row, :, place]], 1)  # (F, sites, 4, W)
            scores, best = scores.topk(min(n_sites, scores.shape[1]))
            sites = sites.take_along_dim(best[:, :, None, None], 1)
    return frequencies(sites.sum(1))


def core(freqs: Tensor, least: float = 0.25) -> Tensor:
    """Cut a motif's flanks off: keep from the first to the last column that says something.

    Parameters
    ----------
    freqs
        ``(4, W)``; each column adds up to 1.
    least
        Bits that a column needs to count (see :func:`tssbook.motifs.information`).

    Returns
    -------
    torch.Tensor
        ``(4, V)``, ``V <= W``; all of it if no column has so many bits.
    """
    says = (information(freqs).sum(0) >= least).nonzero().flatten().tolist()
    return freqs[:, says[0] : says[-1] + 1] if says else freqs


# --- names ------------------------------------------------------------------------------------


def tomtom(
    pwms: Sequence[Tensor | np.ndarray], targets: Mapping[str, Tensor | np.ndarray]
) -> pd.DataFrame:
    """Ask how likely a similarity as good as that of each two motifs is by chance.

    Both strands of a target and all shifts are tried. Chance means columns drawn from those of
    all targets, so the targets should be many and of all kinds: to compare with a few motifs, add
    JASPAR's (``{**mine, **jaspar()}``). The p-values are too small where both motifs are long and
    of one base composition, without being similar in more than that. The first call takes a
    minute or two, the next ones a second: the program is compiled and then kept.

    Parameters
    ----------
    pwms, targets
        Matrices of frequencies, ``(4, W)``; those of the targets by name.

    Returns
    -------
    pandas.DataFrame
        p-values, a row per motif of ``pwms`` and a column per target; not corrected for the
        number of targets.

    Raises
    ------
    ValueError
        If a matrix is none of frequencies, or there are fewer than 25 targets.

    Source: Gupta et al., Genome Biology 2007, as in the package memelite.
    """
    if len(targets) < _FEWEST_TARGETS:
        raise ValueError(
            f"There are {len(targets)} targets, and chance is judged by their columns; wanted at "
            f"least {_FEWEST_TARGETS}: add JASPAR's, {{**targets, **jaspar()}}."
        )
    queries = [checked_frequencies(pwm, f"pwms[{i}]") for i, pwm in enumerate(pwms)]
    known = [checked_frequencies(pwm, name) for name, pwm in targets.items()]
    if not queries:
        raise ValueError("pwms is empty; wanted at least one matrix.")
    from memelite import tomtom as compare  # compiles a program, so only where it is needed

    return pd.DataFrame(compare(queries, known)[0], columns=list(targets))


@cache
def _collection(taxon: str | None, collection: str) -> dict[str, Tensor]:
    if taxon not in (*_TAXA, None) or collection not in _COLLECTIONS:
        raise ValueError(
            f"The motifs asked for are of {taxon!r} in {collection!r}; wanted one of "
            f"{', '.join(_TAXA)}, or None for all, in {' or '.join(_COLLECTIONS)}."
        )
    from pyjaspar import jaspardb  # slow to import, and needed here alone

    database = jaspardb(release=_JASPAR)
    try:
        found = database.fetch_motifs(collection=collection, tax_group=taxon and [taxon])
    finally:
        database.conn.close()
    return {
        f"{motif.name} {motif.matrix_id}": frequencies(
            torch.tensor([motif.counts[base] for base in "ACGT"], dtype=torch.float64)
        )
        for motif in found
    }


def jaspar(taxon: str | None = "vertebrates", collection: str = "CORE") -> dict[str, Tensor]:
    """Return JASPAR's motifs, frequencies ``(4, W)`` by name and identifier.

    The latest version of each in JASPAR 2026, such as ``"NFYA MA0060.4"``. Motifs that no
    transcription factor binds, such as splice sites, are not among them. The data base is read
    once.

    Parameters
    ----------
    taxon
        ``"vertebrates"``, ``"fungi"``, ``"plants"``, ``"insects"``, ``"nematodes"`` and others;
        None takes all.
    collection
        ``"CORE"`` or ``"UNVALIDATED"``.

    Raises
    ------
    ValueError
        There is no such taxon or collection.

    Source: JASPAR (https://jaspar.elixir.no), licence CC BY 4.0, carried by the package pyjaspar.
    """
    return dict(_collection(taxon, collection))


def jaspar_names(
    pwms: Sequence[Tensor | np.ndarray], taxon: str | None = "vertebrates"
) -> pd.DataFrame:
    """Find the motif of JASPAR that each matrix is most similar to: section 6.

    A name is that of one member of a family: factors of one family bind the same motif, and
    which of them is on top is mostly chance. So look at the next ones too.

    Parameters
    ----------
    pwms
        Matrices of frequencies, ``(4, W)``, best without their flanks (:func:`core`).
    taxon
        As for `jaspar`.

    Returns
    -------
    pandas.DataFrame
        A row per matrix: ``name``, ``matrix`` (JASPAR's identifier), ``p``, ``expected``, how
        many motifs of JASPAR are so similar by chance (trust a name where that is well below 1),
        and ``next``, the names of the next two.

    Raises
    ------
    ValueError
        If a matrix is none of frequencies.
    """
    p = tomtom(pwms, jaspar(taxon))
    rows = []
    for _, row in p.iterrows():
        near = row.nsmallest(3)
        names, matrices = zip(*(label.rsplit(" ", 1) for label in near.index), strict=True)
        rows.append((names[0], matrices[0], near.iloc[0], near.iloc[0] * len(row), names[1:]))
    table = pd.DataFrame(rows, columns=["name", "matrix", "p", "expected", "next"])
    return table.assign(next=table["next"].str.join(", "))


# --- what a motif does ------------------------------------------------------------------------


def ranking(model: SimpleNet | Puffin) -> pd.DataFrame:
    """Rank filters by what they can do: largest effect times strength of the filter, section 6.

    Parameters
    ----------
    model
        Either network; each of its filters of 51 bp is listed once, for both strands.

    Returns
    -------
    pandas.DataFrame
        Best first: ``filter`` (index into ``model.conv.weight``), ``strand`` (+: the filter as it
        is, -: its reverse complement), ``track`` and ``distance`` of the largest effect (of either
        sign; bp downstream of the filter's middle), ``effect`` (per unit of activation, before
        the softplus), ``strength`` (largest weight, relative to the position's mean) and
        ``score``, their product without its sign.
    """
    strength = filter_matrices(model.conv.weight).amax((1, 2))  # (F,)
    curves = effect_curves(model)  # (2 F, T, 601)
    strands = torch.stack(curves.split(len(strength)), 1)  # (F, 2, T, 601)
    index = strands.abs().flatten(1).argmax(1)
    effect = strands.flatten(1).gather(1, index[:, None])[:, 0]
    strand, track, place = np.unravel_index(index.cpu().numpy(), strands.shape[1:])
    table = pd.DataFrame(
        {
            "filter": np.arange(len(strength)),
            "strand": np.where(strand == 0, "+", "-"),
            "track": np.array(track_names(model, strands.shape[2]))[track],
            "distance": place - strands.shape[-1] // 2,
            "effect": effect.cpu().numpy(),
            "strength": strength.cpu().numpy(),
        }
    )
    table["score"] = table["effect"].abs() * table["strength"]
    return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)


@torch.no_grad()
def motif_effects(model: SimpleNet | Puffin, x: Tensor, track: str) -> Tensor:
    """Return what each motif adds to a track at each position, before the softplus: section 3.

    A motif's activations (``model.activations(x)[0]``) spread out by its effect kernel. Their sum
    over the motifs, what initiators and trinucleotides add, and the layers' biases together are
    the softplus's argument.

    Parameters
    ----------
    model
        Either network.
    x
        One-hot ``(N, 4, L)``, on the model's device.
    track
        One of the model's (see :func:`tssbook.interpret.funcs.track_names`).

    Returns
    -------
    torch.Tensor
        ``(N, C, L)``: 80 channels of SimpleNet, 20 of Puffin in the order of
        :data:`tssbook.models.puffin.PUBLISHED_MOTIFS`.
    """
    number = track_index(model, len(model.deconv.weight), track)
    motifs = model.activations(x)[0]  # (N, C, L)
    kernels = model.deconv.weight[number][:, None]  # (C, 1, 601)
    return F.conv1d(motifs, kernels, padding=kernels.shape[-1] // 2, groups=len(kernels))


def contributions(changes: Tensor, x: Tensor) -> Tensor:
    """Return what each base contributes: the mean loss when it becomes another one, section 10.

    This is a definition by experiment: change the base, look what happens. The source's figures
    take gradients of squared activations instead, which is quicker and something else.

    Parameters
    ----------
    changes
        ``(N, 4, L, ...)``: prediction for the changed sequence minus prediction for the sequence
        as it is, from :func:`tssbook.interpret.mutagenesis.ism`.
    x
        One-hot ``(N, 4, L)``.

    Returns
    -------
    torch.Tensor
        ``(N, L, ...)``: positive where the base helps; 0 at an N.
    """
    require_sequences(x)
    if changes.shape[:3] != x.shape:
        raise ValueError(
            f"The changes are {tuple(changes.shape)} and x is {tuple(x.shape)}; wanted "
            "(N, 4, L, ...) and (N, 4, L) of the same sequences."
        )
    known = (x != 0).any(1).to(changes)  # (N, L)
    return -changes.sum(1) / 3 * known.reshape(known.shape + (1,) * (changes.ndim - 3))


# --- what recurs over trainings ---------------------------------------------------------------


class Consensus(NamedTuple):
    """Motifs that several trainings found.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per motif, a column per training: the similarity of its best filter to the motif's
        first; below the threshold: not found.
    matrices : torch.Tensor
        ``(K, 4, W)``: mean of each training's best filter, put in the place of the first, each
        centred and scaled to a sum of squares of 1.
    """

    table: pd.DataFrame
    matrices: Tensor


def consensus(weights: Sequence[Tensor], *, threshold: float = 0.7, least: int = 2) -> Consensus:
    """Find motifs that recur over replicate trainings: section 9.

    Two filters are similar by the cosine of their centred weights, the best over both strands and
    all shifts. Again and again the filter that most trainings have something similar to (then:
    the most similar) becomes the first of a motif, and all filters similar to it are put there.

    Parameters
    ----------
    weights
        ``model.conv.weight`` of each training, ``(F, 4, W)`` with one W.
    threshold
        Similarity from which on two filters are the same motif.
    least
        Trainings that must have found a motif, that of the first filter included.

    Returns
    -------
    Consensus
        Motifs found in most trainings first.

    Raises
    ------
    ValueError
        If there are fewer trainings than ``least``, or their filters have different widths.
    """
    filters, training = _stacked(weights, least)
    similarity, reverse, shift = _alignments(filters)
    free, rows, matrices = np.ones(len(filters), dtype=bool), [], []
    while free.any():
        available = np.where(free[:, None] & free, similarity, -1)
        best = np.stack([available[:, training == t].max(1) for t in range(len(weights))], 1)
        found = best >= threshold
        first = np.lexsort((np.where(found, best, 0).sum(1), found.sum(1)))[-1]
        if found[first].sum() < least:
            break
        same = np.flatnonzero(available[first] >= threshold)
        same = same[np.argsort(-available[first, same], kind="stable")]
        _, leaders = np.unique(training[same], return_index=True)  # each training's best
        placed = [_placed(filters[i], reverse[first, i], shift[first, i]) for i in same[leaders]]
        rows.append(best[first])
        matrices.append(torch.stack(placed).mean(0).float())
        free[same] = False
    return Consensus(
        pd.DataFrame(rows, columns=range(len(weights))),
        torch.stack(matrices) if matrices else torch.empty(0, *filters.shape[1:]),
    )


def _stacked(weights: Sequence[Tensor], least: int) -> tuple[Tensor, np.ndarray]:
    """Return all filters, each of length 1, and the training of each."""
    if not 1 <= least <= len(weights):
        raise ValueError(
            f"There are {len(weights)} trainings and least is {least}; wanted 1 to as many."
        )
    matrices = [filter_matrices(weight).double().cpu() for weight in weights]
    widths = [matrix.shape[-1] for matrix in matrices]
    if len(set(widths)) > 1:
        raise ValueError(f"The filters have the widths {widths}; wanted one width.")
    units = F.normalize(torch.cat(matrices).flatten(1)).unflatten(1, (4, -1))  # (M, 4, W)
    sizes = [len(matrix) for matrix in matrices]
    return units, np.repeat(np.arange(len(sizes)), sizes)


def _alignments(filters: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the best cosine of each two filters ``(M, 4, W)``, and which strand and shift it has.

    Entry ``[i, j]`` of each ``(M, M)`` tells how to put filter j over filter i; outside of a
    filter there are zeros.
    """
    width = filters.shape[-1]
    both = torch.stack([filters, reverse_complement(filters)], 1).flatten(0, 1)  # (2 M, 4, W)
    cosines = F.conv1d(F.pad(filters, (width - 1, width - 1)), both)  # (M, 2 M, 2 W - 1)
    best, index = cosines.unflatten(1, (-1, 2)).flatten(2).max(-1)  # (M, M)
    strand, place = index // (2 * width - 1), index % (2 * width - 1)
    return best.numpy(), (strand == 1).numpy(), (place - (width - 1)).numpy()


def _placed(matrix: Tensor, reverse: bool, shift: int) -> Tensor:
    """Return ``(4, W)`` on the other strand or not, moved to the right; zeros come in."""
    width = matrix.shape[-1]
    matrix = reverse_complement(matrix) if reverse else matrix
    return F.pad(matrix, (width, width))[:, width - shift : 2 * width - shift]


def _require_filters(weight: Tensor) -> None:
    if weight.ndim != 3 or weight.shape[1] != 4:
        raise ValueError(f"The filters are {tuple(weight.shape)}; wanted (F, 4, W).")

"""How well a simulation can be predicted at best, and what a model found of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tssbook.data.tracks import TRACKS
from tssbook.metrics import jsd, pearson_r
from tssbook.motifs import similarity
from tssbook.simulator.rates import rates
from tssbook.simulator.rules import REACH, truth
from tssbook.simulator.simulation import Simulation

__all__ = ["noise_ceiling", "recovery"]

_MOST_SHIFT = 32  # half of Puffin's filters of 51 bp, and from a motif's end to its anchor


def noise_ceiling(simulation: Simulation) -> pd.DataFrame:
    """Score the truth itself against what was drawn from it: no model can do better.

    Parameters
    ----------
    simulation
        With or without tracks.

    Returns
    -------
    pandas.DataFrame
        Row ``expression``: ``pearson_r`` of ``log_rate`` with ``expression``. A row per track:
        ``pearson_r`` of the rates with the reads along each locus, and ``jsd``, the
        Jensen-Shannon distance (natural logarithm) of the two profiles, both the mean over the
        loci with reads; ``counts_r``, correlation over loci of the log of both totals,
        ``log(1 + reads)``. Lost reads are left out on both sides.
    """
    loci = simulation.loci
    best = {"expression": {"pearson_r": np.corrcoef(loci["log_rate"], loci["expression"])[0, 1]}}
    if simulation.tracks is not None:
        scores, totals = [], []
        for row, reads in enumerate(simulation.tracks):
            seen = simulation.mappable[row]
            expected = rates(simulation.sequences[row : row + 1])[0][:, seen].astype(np.float64)
            counted = reads[:, seen].astype(np.float64)
            both = torch.from_numpy(expected), torch.from_numpy(counted)
            scores.append(torch.stack([pearson_r(*both), jsd(*both)]))
            totals.append((np.log1p(expected.sum(1)), np.log1p(counted.sum(1))))
        r, distance = torch.stack(scores).nanmean(0).tolist()
        logs = np.array(totals)  # (N, 2, T)
        for t, track in enumerate(TRACKS):
            counts_r = np.corrcoef(logs[:, 0, t], logs[:, 1, t])[0, 1]
            best[track] = {"pearson_r": r[t], "jsd": distance[t], "counts_r": counts_r}
    return pd.DataFrame(best).T


def recovery(
    pwms: Sequence[np.ndarray | Tensor],
    curves: np.ndarray | None = None,
    *,
    threshold: float = 0.8,
) -> pd.DataFrame:
    """Compare the motifs that a model learned with those that were planted.

    Parameters
    ----------
    pwms
        Matrices ``(4, W)``, rows A, C, G, T: frequencies, or a filter's weights.
    curves
        ``(len(pwms), 10, D)``, D odd: what each matrix does to each track at distances
        ``-(D // 2)`` to ``D // 2`` from its place.
    threshold
        Pearson correlation from which on a matrix counts as the motif.

    Returns
    -------
    pandas.DataFrame
        One row per planted motif: ``motif``, ``match`` (index of the most similar matrix), ``r``,
        ``reverse`` (whether it is the motif's reverse complement), ``found``, and, where curves
        are given, ``curve_r``: a curve is compared with the truth over all tracks, where the best
        of all shifts by up to 32 bp counts, since a filter's centre need not be the motif's anchor.

    Raises
    ------
    ValueError
        The matrices or the curves have another shape.
    """
    matrices = [torch.as_tensor(pwm, dtype=torch.float64, device="cpu") for pwm in pwms]
    if not matrices or any(m.ndim != 2 or len(m) != 4 for m in matrices):
        shapes = [tuple(m.shape) for m in matrices]
        raise ValueError(f"pwms have shapes {shapes}; wanted at least one matrix (4, W).")
    if curves is not None:
        curves = np.asarray(curves)
        wanted = (len(matrices), len(TRACKS))
        if curves.shape[:2] != wanted or curves.ndim != 3 or not _fits(curves.shape[2]):
            raise ValueError(
                f"curves are {curves.shape}; wanted ({len(matrices)}, {len(TRACKS)}, D) with D "
                f"odd and from {2 * _MOST_SHIFT + 3} to {2 * REACH + 1}."
            )
    planted = [torch.from_numpy(pwm) for pwm in truth().pwms]
    rows = []
    for m, name in enumerate(truth().names):
        r = np.array([_both_strands(matrix, planted[m]) for matrix in matrices])  # (N, 2)
        match, reverse = np.unravel_index(r.argmax(), r.shape)
        row = {
            "motif": name, "match": int(match), "r": r[match, reverse],
            "reverse": bool(reverse), "found": bool(r[match, reverse] >= threshold),
        }  # fmt: skip
        if curves is not None:
            row["curve_r"] = _curve_similarity(curves[match], truth().curves[m, reverse])
        rows.append(row)
    return pd.DataFrame(rows)


def _both_strands(matrix: Tensor, motif: Tensor) -> tuple[float, float]:
    """Best correlation over all shifts, as it is and for the motif's reverse complement.

    A matrix that shows only a part of the motif is continued by columns that say nothing.
    """
    around = motif.shape[1] // 2
    padded = torch.nn.functional.pad(matrix, (around, around), value=float(matrix.mean()))
    missing = max(motif.shape[1] - padded.shape[1], 0)
    padded = torch.nn.functional.pad(padded, (0, missing), value=float(matrix.mean()))
    pair = similarity(padded, motif), similarity(padded, motif.flip(0, 1))
    return tuple(-1.0 if np.isnan(r) else r for r in pair)


def _fits(distances: int) -> bool:
    return distances % 2 == 1 and 2 * _MOST_SHIFT + 3 <= distances <= 2 * REACH + 1


def _curve_similarity(curve: np.ndarray, true: np.ndarray) -> float:
    middle = curve.shape[1] // 2
    half = middle - _MOST_SHIFT
    wanted = true[:, REACH - half : REACH + half + 1].ravel()
    shifted = (
        curve[:, middle + s - half : middle + s + half + 1].ravel()
        for s in range(-_MOST_SHIFT, _MOST_SHIFT + 1)
    )
    return max(float(np.corrcoef(c, wanted)[0, 1]) if c.std() else -1.0 for c in shifted)

"""Chapter 1: a scoring rule for 8-mers, and three small models that try to learn it.

The rule is known exactly, so each model's error can be explained and not only measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tssbook.models.checkpoints import Pretrained
from tssbook.sequence import codes, require_sequences

__all__ = ["BASE_SCORES", "BONUS", "LinearModel", "MaxPoolCNN", "ToyCNN", "loss_terms", "score"]

BASE_SCORES = {"A": 20.0, "C": 17.0, "G": 14.0, "T": 11.0}  # what each base counts
BONUS = {"TAT": 10.0, "GCG": -10.0}  # what each motif adds, if it occurs


def score(seqs: Sequence[str]) -> np.ndarray:
    """Score sequences by the rule of Chapter 1, section 2.

    The mean of the base scores (A 20, C 17, G 14, T 11), plus 10 if TAT occurs, minus 10 if
    GCG occurs. Each motif counts once, however often it occurs.

    Parameters
    ----------
    seqs
        Sequences of one length, letters A, C, G, T.

    Returns
    -------
    numpy.ndarray
        ``(N,)``, ``float32``.

    Raises
    ------
    TypeError
        If ``seqs`` is a single string.
    ValueError
        If a letter has no base score, or the sequences cannot be encoded.
    """
    if isinstance(seqs, str):
        raise TypeError("seqs is one string; wanted a list of sequences.")
    seqs = list(seqs)
    encoded = codes(seqs)
    if encoded.max() >= len(BASE_SCORES):
        raise ValueError("A sequence holds N or another ambiguity code; wanted A, C, G and T only.")
    scores = np.array(list(BASE_SCORES.values()))[encoded].mean(axis=1)
    for motif, bonus in BONUS.items():
        scores += bonus * np.array([motif in seq.upper() for seq in seqs])
    return scores.astype(np.float32)


class LinearModel(nn.Module, Pretrained):
    """One weight per base and position, summed: Chapter 1, section 4.

    Parameters
    ----------
    length
        Length of the sequences, in bases.
    """

    def __init__(self, length: int = 8) -> None:
        super().__init__()
        self.config = {"length": length}
        self.linear = nn.Linear(4 * length, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map one-hot ``(N, 4, length)`` to scores ``(N,)``."""
        require_sequences(x, length=self.config["length"])
        x = x.flatten(1)  # (N, 4 * length)
        return self.linear(x).squeeze(-1)  # (N,)


class ToyCNN(nn.Module, Pretrained):
    """One convolution, and one weight per filter and position: Chapter 1, section 4.

    Parameters
    ----------
    length
        Length of the sequences, in bases.
    n_filters
        Number of convolution filters.
    width
        Width of a filter, in bases.
    """

    def __init__(self, length: int = 8, n_filters: int = 32, width: int = 3) -> None:
        super().__init__()
        self.config = {"length": length, "n_filters": n_filters, "width": width}
        positions = length - width + 1  # a filter fits at this many places
        self.conv = nn.Conv1d(4, n_filters, width)
        self.linear = nn.Linear(n_filters * positions, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map one-hot ``(N, 4, length)`` to scores ``(N,)``."""
        require_sequences(x, length=self.config["length"])
        x = torch.relu(self.conv(x))  # (N, n_filters, positions)
        x = x.flatten(1)  # (N, n_filters * positions)
        return self.linear(x).squeeze(-1)  # (N,)


class MaxPoolCNN(nn.Module, Pretrained):
    """A convolution that asks whether a motif occurs, and a linear part: section 9.

    Each filter passes on its best match only, so a second copy of a motif adds
    nothing. The linear part sees every position and takes care of the base scores.

    Parameters
    ----------
    length
        Length of the sequences, in bases.
    n_filters
        Number of convolution filters.
    width
        Width of a filter, in bases.
    """

    def __init__(self, length: int = 8, n_filters: int = 32, width: int = 3) -> None:
        super().__init__()
        self.config = {"length": length, "n_filters": n_filters, "width": width}
        self.conv = nn.Conv1d(4, n_filters, width)
        self.presence = nn.Linear(n_filters, 1)
        self.bases = nn.Linear(4 * length, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map one-hot ``(N, 4, length)`` to scores ``(N,)``."""
        require_sequences(x, length=self.config["length"])
        best = torch.relu(self.conv(x)).amax(-1)  # (N, n_filters)
        return (self.presence(best) + self.bases(x.flatten(1))).squeeze(-1)  # (N,)


def loss_terms(model: nn.Module, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Return the squared error of each sequence, ``(N,)``, as the one term ``mse``.

    The training loop (:func:`tssbook.training.loop.fit`) takes the mean. ``model`` is not used
    here; models with penalties on their weights need it.

    Raises
    ------
    ValueError
        If the two shapes differ: broadcasting ``(N, 1)`` against ``(N,)`` would silently
        compare every sequence with every other.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"The prediction is {tuple(prediction.shape)} and the target {tuple(target.shape)}; "
            "wanted the same shape, (N,)."
        )
    return {"mse": (prediction - target).square()}

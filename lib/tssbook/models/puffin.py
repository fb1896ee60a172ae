"""Chapter 3: ten tracks of transcription initiation from 4,650 bp of sequence.

Puffin is two layers. The first finds motifs, on both strands: each channel says how well a motif
matches at each position. The second says what a match does: an effect kernel per motif and track,
up to 300 bp to either side, and all effects add up. A softplus makes the sum a rate.

`SimpleNet` is the network of the first stage, which finds the motifs by itself. `Puffin` is the
published one, with ten motifs that have names. After Dudnyk et al. (Science 2024).

Both predict ``ln(1 + count)``; `to_counts` undoes it. The targets are ``log10(1 + count)``, which
is why the loss compares them with the prediction divided by ln 10.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Self, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tssbook.models.checkpoints import Pretrained
from tssbook.models.long_conv import LongConv1d
from tssbook.models.weights import fill, read_tensors
from tssbook.sequence import require_counts, require_mirror_order, require_sequences

Net = TypeVar("Net", "SimpleNet", "Puffin")

__all__ = [
    "MARGIN",
    "PUBLISHED_MOTIFS",
    "Puffin",
    "SimpleNet",
    "count_loss",
    "effect_curves",
    "effect_roughness",
    "loss_terms",
    "profile_loss",
    "require_context",
    "reverse_complement_tracks",
    "symmetrised",
    "to_counts",
]

_MOTIF, _INITIATOR, _EFFECT = 51, 15, 601  # widths, in bases
MARGIN = _MOTIF // 2 + _EFFECT // 2  # 325 bp at either end, where a prediction lacks context

# The published network's motifs as its 20 channels have them: which motif, on which strand.
PUBLISHED_MOTIFS = (
    "SP-", "ETS-", "CREB-", "NFY-", "YY1-", "U1 snRNP+", "Long Inr+", "NRF1+", "ZNF143-", "TATA-",
    "SP+", "ETS+", "CREB+", "NFY+", "YY1+", "U1 snRNP-", "Long Inr-", "NRF1-", "ZNF143+", "TATA+",
)  # fmt: skip

_EPSILON = 1e-10
_LARGEST = 10  # log10 of more reads at one base than any experiment has
# What each term of the loss counts; the profile counts 1.
_SMOOTHNESS, _COUNTS, _EFFECTS, _MOTIFS = 2e-3, 1e-3, 5e-5, 4e-5


class SimpleNet(nn.Module, Pretrained):
    """Motifs, then what they do: the network of stage 1, section 3. 496,240 parameters.

    Layers have the names of the source, so its checkpoints fit. ``conv`` and ``conv_inr`` see
    both strands: the first half of their channels reads the sequence as it is, the second half
    its reverse complement.

    Parameters
    ----------
    n_motifs
        Filters of 51 bp, whose effects reach 300 bp to either side.
    n_initiators
        Filters of 15 bp, whose effects reach 7 bp.
    n_tracks
        Tracks to predict. None is as many as there are names, or ten.
    tracks
        Their names, in mirror order (see :func:`tssbook.sequence.require_mirror_order`); they
        stand in ``config``, and so in the checkpoint.
    """

    def __init__(
        self,
        n_motifs: int = 40,
        n_initiators: int = 20,
        n_tracks: int | None = None,
        tracks: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        n_tracks = _number_of_tracks(n_tracks, tracks)
        self.config = {"n_motifs": n_motifs, "n_initiators": n_initiators, "n_tracks": n_tracks}
        if tracks is not None:
            self.config["tracks"] = list(tracks)
        self.conv = nn.Conv1d(4, n_motifs, _MOTIF, padding=_MOTIF // 2)
        self.conv_inr = nn.Conv1d(4, n_initiators, _INITIATOR, padding=_INITIATOR // 2)
        self.deconv = LongConv1d(2 * n_motifs, n_tracks, _EFFECT)
        self.deconv_inr = nn.ConvTranspose1d(
            2 * n_initiators, n_tracks, _INITIATOR, padding=_INITIATOR // 2
        )

    def activations(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map one-hot ``(N, 4, L)`` to motifs ``(N, 80, L)`` and initiators ``(N, 40, L)``."""
        require_context(x)
        # The gate y * sigmoid(y) is known as SiLU.
        return F.silu(_both_strands(self.conv, x)), F.silu(_both_strands(self.conv_inr, x))

    def effects(self, motifs: Tensor, initiators: Tensor) -> Tensor:
        """Add up the effects of all activations, ``(N, n_tracks, L)``; linear."""
        return self.deconv(motifs) + self.deconv_inr(initiators)

    def forward(self, x: Tensor) -> Tensor:
        """Map one-hot ``(N, 4, L)`` to ``ln(1 + count)``, ``(N, n_tracks, L)``.

        The outer `MARGIN` positions on either side lack context; do not use them.

        Raises
        ------
        ValueError
            If ``x`` has another shape, or is so short that no position has its full context.
        """
        return F.softplus(self.effects(*self.activations(x)))

    @classmethod
    def from_published(cls, path: str | Path) -> Self:
        """Load weights that the source's notebook or scripts have saved, ``stage1_*.pth``.

        In evaluation mode on the CPU; the sizes are those of the file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        CheckpointError
            If it is damaged, or holds the weights of another network.
        """
        tensors = read_tensors(path)
        layers = [tensors.get(f"{name}.weight") for name in ("conv", "conv_inr", "deconv")]
        return fill(lambda: cls(*(len(w) for w in layers if w is not None)), tensors, path)


class Puffin(nn.Module, Pretrained):
    """The published network: ten motifs, ten initiators and all trinucleotides.

    Its gates are softplus, so an activation is never negative. ``conv_sim``, 32 filters of 3 bp
    on both strands, takes up what single motifs do not explain, with effects of its own.
    ``scaler`` and ``scaler2`` are in the published file and are not used.
    """

    def __init__(self) -> None:
        super().__init__()
        self.config: dict[str, int] = {}
        self.conv = nn.Conv1d(4, 10, _MOTIF, padding=_MOTIF // 2)
        self.conv_inr = nn.Conv1d(4, 10, _INITIATOR, padding=_INITIATOR // 2)
        self.conv_sim = nn.Conv1d(4, 32, 3, padding=1)
        self.deconv = LongConv1d(20, 10, _EFFECT)
        self.deconv_sim = LongConv1d(64, 10, _EFFECT)
        self.deconv_inr = nn.ConvTranspose1d(20, 10, _INITIATOR, padding=_INITIATOR // 2)
        self.scaler = nn.Parameter(torch.ones(1))
        self.scaler2 = nn.Parameter(torch.ones(1))

    def activations(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map one-hot ``(N, 4, L)`` to motifs, initiators and trinucleotides.

        ``(N, 20, L)`` in the order of `PUBLISHED_MOTIFS`, ``(N, 20, L)`` and ``(N, 64, L)``.
        """
        require_context(x)
        motifs = F.softplus(_both_strands(self.conv, x))
        initiators = F.softplus(_both_strands(self.conv_inr, x))
        return motifs, initiators, F.softplus(_both_strands(self.conv_sim, x))

    def effects(self, motifs: Tensor, initiators: Tensor, trinucleotides: Tensor) -> Tensor:
        """Add up the effects of all activations, ``(N, n_tracks, L)``; linear."""
        return self.deconv(motifs) + self.deconv_inr(initiators) + self.deconv_sim(trinucleotides)

    def forward(self, x: Tensor) -> Tensor:
        """Map one-hot ``(N, 4, L)`` to ``ln(1 + count)``, as `SimpleNet` does."""
        return F.softplus(self.effects(*self.activations(x)))

    @classmethod
    def from_published(cls, path: str | Path) -> Self:
        """Load the published weights, in evaluation mode on the CPU.

        They are licensed for academic research only, not for commercial use (UT Southwestern's
        academic software licence), and are no part of this package.

        Parameters
        ----------
        path
            ``puffin.pth`` of the repository jzhoulab/puffin (2 MB).

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        CheckpointError
            If it is damaged, or holds the weights of another network.
        """
        return fill(cls, read_tensors(path), path)


def _number_of_tracks(n_tracks: int | None, tracks: Sequence[str] | None) -> int:
    """Return how many tracks are meant; ten, where nothing is said."""
    if tracks is None:
        return 10 if n_tracks is None else n_tracks
    require_mirror_order(tracks)
    if n_tracks not in (None, len(tracks)):
        raise ValueError(
            f"n_tracks is {n_tracks}, and there are {len(tracks)} names of tracks; "
            "wanted the same number, or the names alone."
        )
    return len(tracks)


def _both_strands(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """Convolve ``(N, 4, L)`` with filters and their reverse complements, ``(N, 2 C, L)``.

    The second half is what ``conv`` says of the reverse complement, in the places of ``x``.
    """
    weight = torch.cat((conv.weight, conv.weight.flip(1, 2)))
    return F.conv1d(x, weight, torch.cat((conv.bias, conv.bias)), padding=conv.padding)


def require_context(x: Tensor) -> None:
    """Refuse what is not ``(N, 4, L)``, or so short that no position has its full context.

    Raises
    ------
    ValueError
        If it is so.
    """
    require_sequences(x)
    if x.shape[-1] <= 2 * MARGIN:
        raise ValueError(
            f"The sequences are {x.shape[-1]} bp long and a prediction needs {MARGIN} bp on "
            f"either side; wanted at least {2 * MARGIN + 1} bp."
        )


# --- the loss -------------------------------------------------------------------------------


def loss_terms(model: SimpleNet | Puffin, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Return the five terms of stage 1's loss, weighted, to be added up: section 4.

    Only the central positions count, `MARGIN` are left out at either end.

    Parameters
    ----------
    model
        Its motif filters (``conv``) and their effect kernels (``deconv``) are penalised.
    prediction
        ``(N, T, L)``, ``ln(1 + count)``.
    target
        ``(N, T, L)``, ``log10(1 + count)``.

    Returns
    -------
    dict
        ``profile``, `profile_loss`, and ``counts``, 1e-3 times `count_loss` of the prediction
        divided by ln 10, ``(N,)`` each; and, as one number each, ``smoothness``, 2e-3 times
        `effect_roughness`, ``effects`` and ``motifs``, 5e-5 and 4e-5 times the mean absolute
        value of kernels and filters.

    Raises
    ------
    ValueError
        If the two shapes differ, no position is left, or the target is negative, not finite, or
        10 or more: counts themselves, and no logarithm.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"The prediction is {tuple(prediction.shape)} and the target {tuple(target.shape)}; "
            f"wanted the same shape, (N, T, L)."
        )
    if prediction.shape[-1] <= 2 * MARGIN:
        raise ValueError(
            f"The tracks have {prediction.shape[-1]} positions, of which {MARGIN} at either end "
            f"do not count; wanted at least {2 * MARGIN + 1}."
        )
    prediction, target = prediction[..., MARGIN:-MARGIN], target[..., MARGIN:-MARGIN]
    require_counts(target, "tracks, wanted as log10(1 + count),", offset=MARGIN, largest=_LARGEST)
    return {
        "profile": profile_loss(prediction, target),
        "counts": _COUNTS * count_loss(prediction / math.log(10), target),
        "smoothness": _SMOOTHNESS * effect_roughness(model.deconv.weight),
        "effects": _EFFECTS * model.deconv.weight.abs().mean(),
        "motifs": _MOTIFS * model.conv.weight.abs().mean(),
    }


def profile_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Return how far the shapes of tracks ``(N, T, L)`` are from the true ones, ``(N,)``.

    Each track is divided by its sum over the positions; the Kullback-Leibler divergence of the
    two distributions, divided by L, is averaged over the tracks. Multiplying a track by a number
    changes nothing.
    """
    p, t = prediction + _EPSILON, target + _EPSILON
    p, t = p / p.sum(-1, keepdim=True), t / t.sum(-1, keepdim=True)
    return (t * ((t + _EPSILON).log() - (p + _EPSILON).log())).mean((1, 2))


def count_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Return how far values ``(N, T, L)`` are from the true ones at each position, ``(N,)``.

    The mean of ``t ln(t / p) + p - t``: up to a constant the negative log likelihood of ``t``
    under a Poisson distribution with mean ``p``; 0 where both agree, positive elsewhere. "Pseudo",
    because the targets are logarithms of counts.
    """
    ratio = (target + _EPSILON) / (prediction + _EPSILON)
    return (target * ratio.log() + prediction - target).mean((1, 2))


def effect_roughness(weight: Tensor) -> Tensor:
    """Return the mean roughness of kernels ``(T, C, width)``, one number.

    A kernel's roughness is the mean squared step between neighbours, relative to the kernel's
    size: the square of the fourth root of its fourth central moment. Multiplying a kernel by a
    number changes nothing.
    """
    steps = weight.diff(dim=-1).square().mean(-1)  # (T, C)
    fourth = (weight - weight.mean(-1, keepdim=True)).pow(4).mean(-1)  # (T, C)
    # A kernel that has shrunk to nothing would otherwise have a gradient that is no number.
    return (steps / (fourth.clamp_min(1e-36).sqrt() + _EPSILON)).mean()


# --- reading predictions and weights --------------------------------------------------------


def to_counts(prediction: Tensor) -> Tensor:
    """Return the counts of a prediction ``ln(1 + count)``: ``exp(prediction) - 1``.

    The source writes ``10 ** (prediction / ln 10) - 1``, which is the same number.
    """
    return prediction.expm1()


def effect_curves(model: SimpleNet | Puffin) -> Tensor:
    """Return what a motif does at each distance, ``(C, T, 601)``: section 6.

    Entry ``[c, t, 300 + d]`` is what an activation of motif channel ``c`` adds to track ``t``
    before the softplus, ``d`` bases downstream of it (upstream where ``d`` is negative), in the
    direction of the sequence. A convolution layer stores its kernels the other way round. The
    transposed convolution of the initiators does not: its ``weight`` is already
    ``(C, T, 15)`` in this sense.
    """
    return model.deconv.weight.detach().flip(-1).transpose(0, 1)


def reverse_complement_tracks(tracks: Tensor) -> Tensor:
    """Return tracks ``(N, T, L)`` as they are along the reverse complement.

    They stand in mirror order (:func:`tssbook.sequence.require_mirror_order`), so both axes are
    reversed.
    """
    return tracks.flip(-1, -2)


def symmetrised(model: Net) -> Net:
    """Return a copy whose prediction of a reverse complement is the flipped prediction: section 3.

    The first layer is symmetric as it is: the reverse complement gives the flipped activations,
    with both halves of the channels exchanged. The second layer has a kernel of its own for each
    motif, strand and track, and nothing makes that of one strand the mirror image of the
    other's. This replaces both by their mean.
    """
    model = copy.deepcopy(model)
    with torch.no_grad():
        for layer in (model.deconv, model.deconv_inr, getattr(model, "deconv_sim", None)):
            if layer is None:
                continue
            # A transposed convolution has its two axes of channels the other way round.
            strands = 0 if isinstance(layer, nn.ConvTranspose1d) else 1
            weight = layer.weight
            half = weight.shape[strands] // 2
            weight.copy_((weight + weight.roll(half, strands).flip(1 - strands, 2)) / 2)
            layer.bias.copy_((layer.bias + layer.bias.flip(0)) / 2)
    return model

"""Chapter 4: from sequence to the shape and the size of transcription initiation.

ProCapNet reads a window around a promoter and predicts PRO-cap: where, on both strands, how
much initiation there is per base (a profile), and how much in all (a count).

One softmax over both strands together makes the profile's logits probabilities. The count is
``ln(1 + counts)`` of both strands together. After Cochran et al. 2024 (bioRxiv
2024.05.28.596138).
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from tssbook.models.checkpoints import Pretrained
from tssbook.models.procapnet_files import read_published
from tssbook.models.weights import fill
from tssbook.sequence import require_counts, require_sequences

__all__ = [
    "ProCapNet",
    "count_loss",
    "count_macs",
    "loss_terms",
    "profile_loss",
    "to_proba",
    "to_reads",
]

_FIRST, _LAST = 21, 75  # widths of the first convolution and of the profile's, in bases
_COUNT_WEIGHT = 100.0  # of the paper


class ProCapNet(nn.Module, Pretrained):
    """Dilated convolutions with two heads, without control tracks: Chapter 4, section 2.

    After Cochran et al. 2024 (bioRxiv 2024.05.28.596138). The layers have the names that they
    have in bpnet-lite, so published weights fit. The defaults are the published sizes: 6,416,387
    parameters, 2,114 bp in and 1,000 bp out. Nothing here is a probability: one softmax over both
    strands together makes the profile one.

    Parameters
    ----------
    n_filters
        Filters of each convolution.
    n_layers
        Number of dilated convolutions; their dilations are 2, 4, 8, ...

    Attributes
    ----------
    trim : int
        Bases that are lost on each side of the input. An output depends on that many bases on
        either side of it and on no others, so never on the zeros that pad a convolution.
    """

    def __init__(self, n_filters: int = 512, n_layers: int = 8) -> None:
        super().__init__()
        self.config = {"n_filters": n_filters, "n_layers": n_layers}
        dilations = [2**i for i in range(1, n_layers + 1)]
        self.iconv = nn.Conv1d(4, n_filters, _FIRST, padding=_FIRST // 2)
        self.rconvs = nn.ModuleList(
            nn.Conv1d(n_filters, n_filters, 3, padding=d, dilation=d) for d in dilations
        )
        self.fconv = nn.Conv1d(n_filters, 2, _LAST)  # what it reads is there, so no padding
        self.linear = nn.Linear(n_filters, 1)
        self.trim = _FIRST // 2 + sum(dilations) + _LAST // 2

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map one-hot ``(N, 4, L)`` to profile and count, with ``L_out = L - 2 * trim``.

        Returns
        -------
        tuple
            ``profile_logits``, ``(N, 2, L_out)``: the + strand, then the - strand; and
            ``count_logits``, ``(N, 1)``: log of 1 + the counts of both strands.

        Raises
        ------
        ValueError
            If ``x`` has another shape, or is too short to leave an output.
        """
        require_sequences(x)
        length = x.shape[-1]
        if length <= 2 * self.trim:
            raise ValueError(
                f"The sequences are {length} bp long and {self.trim} bp are trimmed from each "
                f"side; wanted at least {2 * self.trim + 1} bp."
            )
        x = torch.relu(self.iconv(x))  # (N, n_filters, L)
        for conv in self.rconvs:
            x = x + torch.relu(conv(x))  # (N, n_filters, L)
        seen = self.trim - _LAST // 2
        x = x[..., seen : length - seen]  # (N, n_filters, L_out + 74): what the heads look at
        profile = self.fconv(x)  # (N, 2, L_out)
        count = self.linear(x.mean(-1))  # (N, 1)
        return profile, count

    @classmethod
    def from_published(cls, path: str | Path, fold: int | None = None) -> Self:
        """Load weights of others, in evaluation mode on the CPU.

        ENCODE has the published models, seven folds in an archive, which is read in one go;
        nothing of it is written to disk, and no code that it brings along is run.

        MultiMolecule's first convolution reads a fifth channel, for N, whose weights are the mean
        of the other four. In this book N is a column of zeros, as it was for the published model,
        so that channel is left out: 10,752 of 6,427,139 parameters. Predictions are the same where
        a sequence has no N. MultiMolecule's profile is ``(N, L_out, 2)``, the strand last; here
        it is ``(N, 2, L_out)``.

        Parameters
        ----------
        path
            ``ENCFF976FHE.tar.gz`` (K562) or another archive of that layout, with members such as
            ``fold_0/ENCSR261KBX.procapnet_model.fold0.state_dict.torch``; or the
            ``model.safetensors`` of MultiMolecule's ``ProCapNetForProfilePrediction``.
        fold
            Of an archive, 0 to 6: the share of the chromosomes that this model was not trained on.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        CheckpointError
            If it is damaged or cut off, has not that fold, or holds another network's weights.
        """
        tensors, where = read_published(path, fold)
        # Every published model has eight layers; how wide they are, the first one says.
        n_filters = tensors["iconv.bias"].numel() if "iconv.bias" in tensors else 512
        return fill(lambda: cls(n_filters, 8), tensors, where)


def count_macs(model: ProCapNet, length: int) -> int:
    """Count the multiplications, each with an addition, that one sequence takes.

    Every convolution is counted over all ``length`` positions, as the published 13.58 G for
    2,114 bp are. That number is MultiMolecule's, with its fifth input channel; without it there
    are 13.55 G. `ProCapNet` computes the profile for the output's positions alone and saves 0.6 %
    of that.

    Parameters
    ----------
    model
        Of any size.
    length
        Of the sequence, in bp.
    """
    convolutions = (model.iconv, *model.rconvs, model.fconv)
    return sum(conv.weight.numel() for conv in convolutions) * length + model.linear.weight.numel()


# --- predictions ----------------------------------------------------------------------------


def to_proba(profile_logits: Tensor) -> Tensor:
    """Turn logits ``(N, 2, L_out)`` into probabilities that sum to 1 over both strands."""
    return profile_logits.flatten(1).softmax(-1).view_as(profile_logits)


def to_reads(profile_logits: Tensor, count_logits: Tensor) -> Tensor:
    """Return the reads per base that a prediction says, ``(N, 2, L_out)``.

    The probabilities times all reads, which are ``exp(count_logits) - 1``: below 0, and above -1,
    where the model says less than none.
    """
    return to_proba(profile_logits) * count_logits.expm1()[:, :, None]


# --- the loss -------------------------------------------------------------------------------


def loss_terms(
    model: nn.Module,
    prediction: tuple[Tensor, Tensor],
    counts: Tensor,
    mappable: Tensor | None = None,
    *,
    count_weight: float = _COUNT_WEIGHT,
) -> dict[str, Tensor]:
    """Return both terms of the loss for :func:`tssbook.training.loop.fit`, to be added up.

    Parameters
    ----------
    model
        Not used; `fit` hands it over.
    prediction
        ``profile_logits``, ``(N, 2, L_out)``, and ``count_logits``, ``(N, 1)``.
    counts
        Reads of the + and the - strand, ``(N, 2, L_out)``, in any type.
    mappable
        ``(N, L_out)`` bool, False where reads are lost, on both strands. None: nowhere.
    count_weight
        What the count's error counts. The profile's term grows with the reads, so this depends on
        how deep the data are; 100 is the paper's.

    Returns
    -------
    dict
        ``profile``, `profile_loss`, and ``counts``, ``count_weight`` times `count_loss`; ``(N,)``
        each.

    Raises
    ------
    ValueError
        If shapes do not agree, or the mask is not bool.
    """
    profile, count = prediction
    return {
        "profile": profile_loss(profile, counts, mappable),
        "counts": count_weight * count_loss(count, counts, mappable),
    }


def profile_loss(profile_logits: Tensor, counts: Tensor, mappable: Tensor | None = None) -> Tensor:
    """Return the multinomial negative log likelihood of counts ``(N, 2, L_out)``, ``(N,)``.

    Given how many reads there are: how likely is it that they fall as they do? Both strands are
    one distribution. Masked bases are taken out before the softmax, so the model need not
    predict that nothing is seen there. Without reads, or with all bases masked, it is 0 and so
    is its gradient. Parameters are those of `loss_terms`.
    """
    if profile_logits.shape != counts.shape:
        raise ValueError(
            f"The profile is {tuple(profile_logits.shape)} and the counts {tuple(counts.shape)}; "
            f"wanted the same shape, (N, 2, L_out)."
        )
    counts, seen = _seen(counts, mappable)
    counts = counts.to(profile_logits.dtype)
    # Where all is masked, nothing is: a softmax over nothing is no number, and no reads are left.
    hidden = ~(seen | ~seen.any(-1, keepdim=True))
    logits, counts = profile_logits.masked_fill(hidden, -torch.inf).flatten(1), counts.flatten(1)
    log_proba = logits.log_softmax(-1).masked_fill(hidden.expand_as(profile_logits).flatten(1), 0)
    orders = (counts.sum(-1) + 1).lgamma() - (counts + 1).lgamma().sum(-1)
    return -orders - (counts * log_proba).sum(-1)


def count_loss(count_logits: Tensor, counts: Tensor, mappable: Tensor | None = None) -> Tensor:
    """Return the squared error of ``count_logits``, ``(N, 1)``, which are logs, ``(N,)``.

    The target is ``ln(1 + counts)`` of the reads ``(N, 2, L_out)`` of both strands at mappable
    bases. (The paper's code sums the reads of masked bases as well, where there are next to
    none.) With all bases masked it is 0. Parameters are those of `loss_terms`.
    """
    if count_logits.shape != (len(counts), 1):
        raise ValueError(
            f"The count is {tuple(count_logits.shape)} for {len(counts)} rows of counts; wanted "
            f"({len(counts)}, 1)."
        )
    counts, seen = _seen(counts, mappable)
    counts = counts.to(count_logits.dtype)
    error = (count_logits[:, 0] - counts.sum((1, 2)).log1p()).square()
    return error * seen.any(-1)[:, 0]


def _seen(counts: Tensor, mappable: Tensor | None) -> tuple[Tensor, Tensor]:
    """Take out the counts of masked bases; return them and the mask as ``(N, 1, L_out)``."""
    counts = counts if counts.is_floating_point() else counts.float()
    if mappable is None:
        require_counts(counts)
        return counts, counts.new_ones(len(counts), 1, counts.shape[-1], dtype=torch.bool)
    wanted = (len(counts), counts.shape[-1])
    if mappable.shape != wanted:
        raise ValueError(
            f"The mask is {tuple(mappable.shape)} and the counts are {tuple(counts.shape)}; "
            f"wanted a mask {wanted}, one value for each base of the output."
        )
    if mappable.dtype != torch.bool:
        raise ValueError(
            f"The mask is {mappable.dtype}; wanted bool, True where reads can be seen: compare "
            f"mappability with a limit first."
        )
    seen = mappable[:, None]
    counts = counts.masked_fill(~seen, 0)
    require_counts(counts)
    return counts, seen

"""Chapter 4: from sequence to the shape and the size of transcription initiation.

ProCapNet reads a window around a promoter and predicts PRO-cap: where, on both strands, how
much initiation there is per base (a profile), and how much in all (a count).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tssbook.checkpoints import Pretrained

__all__ = ["ProCapNet"]

_FIRST, _LAST = 21, 75  # widths of the first convolution and of the profile's, in bases


class ProCapNet(nn.Module, Pretrained):
    """Dilated convolutions with two heads, without control tracks: section 1.

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
        self.fconv = nn.Conv1d(n_filters, 2, _LAST, padding=_LAST // 2)
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
            If the sequences are too short to leave an output.
        """
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
        profile = F.conv1d(x, self.fconv.weight, self.fconv.bias)  # (N, 2, L_out)
        count = self.linear(x.mean(-1))  # (N, 1)
        return profile, count

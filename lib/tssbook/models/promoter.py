"""Chapter 2: from the promoter's sequence to the gene's expression.

A convolutional network reads the 2,000 bp upstream of a transcription start site and returns
one number per gene. Its trunk (three convolutions) can be kept and put under another head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from tssbook.models.checkpoints import Pretrained
from tssbook.models.toy import loss_terms  # the squared error of Chapter 1 is that of Chapter 2
from tssbook.sequence import require_sequences

__all__ = ["PromoterNet", "loss_terms"]


class PromoterNet(nn.Module, Pretrained):
    """Three convolutions, one average over all positions, one small network: section 4.

    Parameters
    ----------
    n_filters
        Filters of the three convolutions.
    widths
        Their widths, in positions of the layer (odd, so that lengths are kept).
    pool
        The first two layers keep the largest of so many neighbours.
    n_hidden
        Units between the average and the output.
    n_outputs
        Values per gene; 1 gives predictions ``(N,)``.
    dropout
        Share of hidden units silenced while training.
    """

    def __init__(
        self,
        n_filters: Sequence[int] = (256, 128, 64),
        widths: Sequence[int] = (15, 5, 3),
        pool: int = 4,
        n_hidden: int = 32,
        n_outputs: int = 1,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.config = {
            "n_filters": list(n_filters),
            "widths": list(widths),
            "pool": pool,
            "n_hidden": n_hidden,
            "n_outputs": n_outputs,
            "dropout": dropout,
        }
        first, second, third = n_filters
        self.conv1 = nn.Conv1d(4, first, widths[0], padding=widths[0] // 2)
        self.bn1 = nn.BatchNorm1d(first)
        self.conv2 = nn.Conv1d(first, second, widths[1], padding=widths[1] // 2)
        self.bn2 = nn.BatchNorm1d(second)
        self.conv3 = nn.Conv1d(second, third, widths[2], padding=widths[2] // 2)
        self.bn3 = nn.BatchNorm1d(third)
        self.pool = nn.MaxPool1d(pool)
        self.linear1 = nn.Linear(third, n_hidden)
        self.dropout = nn.Dropout(dropout)
        self.linear2 = nn.Linear(n_hidden, n_outputs)

    def features(self, x: Tensor) -> Tensor:
        """Map one-hot ``(N, 4, L)`` to what the trunk knows of each sequence, ``(N, 64)``."""
        require_sequences(x)
        if x.shape[-1] < (least := self.pool.kernel_size**2):
            raise ValueError(f"x has {x.shape[-1]} positions; wanted {least} or more.")
        # The largest value first, then the ReLU: the same numbers, a quarter of the work.
        x = F.relu(self.pool(self.bn1(self.conv1(x))))  # (N, 256, L // 4)
        x = F.relu(self.pool(self.bn2(self.conv2(x))))  # (N, 128, L // 16)
        x = F.relu(self.bn3(self.conv3(x)))  # (N, 64, L // 16)
        return x.mean(-1)  # (N, 64)

    def head(self, features: Tensor) -> Tensor:
        """Map features ``(N, 64)`` to expression ``(N,)``, or ``(N, n_outputs)``."""
        hidden = self.dropout(F.relu(self.linear1(features)))  # (N, n_hidden)
        return self.linear2(hidden).squeeze(-1)  # (N,)

    def forward(self, x: Tensor) -> Tensor:
        """Map one-hot ``(N, 4, L)`` to expression ``(N,)``, or ``(N, n_outputs)``."""
        return self.head(self.features(x))

"""Two models small enough to check by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tssbook.models.checkpoints import Pretrained


class Tiny(nn.Module, Pretrained):
    """Linear layer (n_out, 4 * length) and a running count."""

    def __init__(self, length: int = 2, n_out: int = 1) -> None:
        super().__init__()
        self.config = {"length": length, "n_out": n_out}
        self.linear = nn.Linear(4 * length, n_out)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.linear(x.flatten(1)))


class Other(nn.Module, Pretrained):
    """A model with the arguments of Tiny and other tensors."""

    def __init__(self, length: int = 2, n_out: int = 1) -> None:
        super().__init__()
        self.config = {"length": length, "n_out": n_out}
        self.weight = nn.Parameter(torch.zeros(n_out, length))

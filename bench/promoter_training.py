"""Training steps of Chapter 2's network: pooling before the ReLU, and ``torch.compile``.

The source tutorial pools after the ReLU; the maximum and the ReLU can change places without
changing a number, and the loss of all three is compared before their times are. A step is forward,
backward and AdamW on 64 windows of 2,000 bp.

On Linux most of a step is the handing out of fresh memory, page by page. The second part runs the
same in a process whose C library keeps its memory and asks for large pages (``GLIBC_TUNABLES``).
"""

from __future__ import annotations

import copy
import os
import platform
import shutil
import subprocess
import sys

import torch
import torch.nn.functional as F
from _timing import compare, describe_machine
from torch import Tensor

from tssbook.models.promoter import PromoterNet, loss_terms

BATCH = 64
TUNABLES = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=8589934592"


class PoolLast(PromoterNet):
    """The tutorial's order: ReLU, then pooling."""

    def features(self, x: Tensor) -> Tensor:
        """Map one-hot ``(N, 4, L)`` to ``(N, 64)``."""
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        x = self.pool(F.relu(self.bn2(self.conv2(x))))
        return F.relu(self.bn3(self.conv3(x))).mean(-1)


def main() -> None:
    """Compare the three, then start over with the other allocator."""
    if "GLIBC_TUNABLES" not in os.environ:
        describe_machine()
    torch.manual_seed(17)
    x = F.one_hot(torch.randint(4, (BATCH, 2000)), 4).transpose(1, 2).float().contiguous()
    y = torch.randn(BATCH)
    models = {"pool first (ours)": PromoterNet(dropout=0.0)}
    models["pool last (tutorial)"] = PoolLast(dropout=0.0)
    for model in models.values():
        model.load_state_dict(models["pool first (ours)"].state_dict())
    if shutil.which("c++"):
        compiled = copy.deepcopy(models["pool first (ours)"])
        models["pool first, torch.compile"] = torch.compile(compiled)
    steps = {name: _step(model, x, y) for name, model in models.items()}
    losses = {name: step() for name, step in steps.items()}
    if max(losses.values()) - min(losses.values()) > 1e-5:
        raise SystemExit(f"the losses differ: {losses}")
    memory = "C library's memory kept" if "GLIBC_TUNABLES" in os.environ else "as it is"
    compare(f"one step, batch {BATCH}, {torch.get_num_threads()} threads, {memory}", steps, 5)
    if platform.libc_ver()[0] == "glibc" and "GLIBC_TUNABLES" not in os.environ:
        environment = os.environ | {"GLIBC_TUNABLES": TUNABLES}
        sys.stdout.flush()
        subprocess.run([sys.executable, *sys.argv], check=True, env=environment)


def _step(model: torch.nn.Module, x: Tensor, y: Tensor):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_terms(model, model(x), y)["mse"].mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


if __name__ == "__main__":
    main()

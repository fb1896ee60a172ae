"""Training with `fit` as it comes, beside the loops that others train the same networks with.

Chapter 2's network: `fit` with `Batches`, and the source tutorial's loop (a DataLoader of float32
one-hot, pooling after the ReLU, Adam). Chapter 4's with 64 filters: `fit` with `WindowBatches`, and
bpnet-lite's own `fit`, which is left out where bpnet-lite is not installed. Each runs in processes
of its own, in turn, with PyTorch's default settings; an epoch that is not counted comes first.
Prints samples per second, and what share that is of what the processor's matrix product allows.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec

import numpy as np
import torch
import torch.nn.functional as F
from _timing import describe_machine, goal
from promoter_training import PoolLast
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tssbook.data import Windows
from tssbook.models import ProCapNet, PromoterNet, procapnet, promoter
from tssbook.models.procapnet import count_macs
from tssbook.training import Batches, WindowBatches, fit, flip_half

PROCESSES = 3
GENES, GENE_BATCH, GENE_LENGTH = 512, 64, 2000
PEAKS, PEAK_BATCH, PEAK_LENGTH, PEAK_OUTPUT = 128, 32, 2114, 1000


class Clock:
    """Batches that note when each epoch begins."""

    def __init__(self, batches: Iterable) -> None:
        self.batches, self.starts = batches, []

    def __iter__(self) -> Iterator:
        self.starts.append(time.perf_counter())
        yield from self.batches
        self.ends = time.perf_counter()


def genes() -> tuple[Tensor, Tensor]:
    """Return random promoters, one-hot bytes, and numbers."""
    generator = torch.Generator().manual_seed(17)
    bases = torch.randint(4, (GENES, GENE_LENGTH), generator=generator)
    x = F.one_hot(bases, 4).transpose(1, 2).to(torch.int8).contiguous()
    return x, torch.randn(GENES, generator=generator)


def windows() -> Windows:
    """Return random windows and reads."""
    rng = np.random.default_rng(17)
    width = PEAK_LENGTH + 400
    codes = rng.integers(0, 4, (PEAKS, width), dtype=np.uint8)
    reads = rng.poisson(0.1, (PEAKS, 2, width)).astype(np.float32)
    seen = np.ones((PEAKS, width), dtype=bool)
    return Windows(codes, reads, seen, np.ones(PEAKS, dtype=bool))


def ours_genes() -> float:
    """Train Chapter 2's network with `fit`."""
    x, y = genes()
    model = PromoterNet()
    train = Clock(Batches(x, y, batch_size=GENE_BATCH, seed=1, transform=flip_half))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    return _seconds(train, Batches(x[:2], y[:2], batch_size=2), model, promoter, optimizer) / GENES


def tutorial_genes() -> float:
    """Train it with the source tutorial's loop."""
    x, y = genes()
    loader = DataLoader(TensorDataset(x.float(), y), batch_size=GENE_BATCH, shuffle=True)
    model, loss = PoolLast(), nn.MSELoss()
    optimizer, times = torch.optim.Adam(model.parameters(), lr=1e-3), []
    for _ in range(2):
        start, total = time.perf_counter(), 0.0
        model.train()
        for some, wanted in loader:
            optimizer.zero_grad()
            error = loss(model(some), wanted)
            error.backward()
            optimizer.step()
            total += error.item() * len(some)
        times.append(time.perf_counter() - start)
    return times[-1] / GENES


def ours_peaks() -> float:
    """Train Chapter 4's network with `fit`."""
    data, model = windows(), ProCapNet(n_filters=64)
    train = Clock(WindowBatches(data, batch_size=PEAK_BATCH, seed=1))
    valid = WindowBatches(data, batch_size=2, rows=[0, 1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    return _seconds(train, valid, model, procapnet, optimizer, clip_norm=1.0) / PEAKS


def bpnet_lite_peaks() -> float:
    """Train it with bpnet-lite's `fit`."""
    from bpnetlite.bpnet import BPNet

    data = windows()
    cut = slice(200, 200 + PEAK_LENGTH)
    asked = slice(757, 757 + PEAK_OUTPUT)
    x = F.one_hot(torch.from_numpy(data.codes[:, cut]).long(), 4).transpose(1, 2).float()
    y = torch.from_numpy(data.reads[..., asked].copy())
    model = BPNet(n_filters=64, n_layers=8, n_control_tracks=0, verbose=False)
    dataset = TensorDataset(x.contiguous(), y, torch.ones(PEAKS))
    train = Clock(DataLoader(dataset, batch_size=PEAK_BATCH, shuffle=True))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with tempfile.TemporaryDirectory() as folder:
        model.name = f"{folder}/bpnet"
        model.fit(
            train, optimizer, X_valid=x[:2], y_valid=y[:2], max_epochs=2, batch_size=PEAK_BATCH,
            device="cpu",
        )  # fmt: skip
    return (train.ends - train.starts[-1]) / PEAKS


def _seconds(
    train: Clock, valid: Iterable, model: nn.Module, losses: object, optimizer: object, **how: float
) -> float:
    """Return the seconds of the second epoch."""
    fit(model, train, valid, losses.loss_terms, optimizer, epochs=2, seed=1, device="cpu", **how)
    return train.ends - train.starts[-1]


WAYS: dict[str, tuple[Callable[[], float], str]] = {
    "PromoterNet, fit": (ours_genes, "tssbook"),
    "PromoterNet, tutorial": (tutorial_genes, "tssbook"),
    "ProCapNet-64, fit": (ours_peaks, "tssbook"),
    "ProCapNet-64, bpnet-lite": (bpnet_lite_peaks, "bpnetlite"),
}


def gemm() -> float:
    """Return what a product of two large matrices does, in GFLOP a second."""
    a, b = torch.rand(2, 2048, 2048)
    times = []
    for _ in range(8):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(times) / 1e9


def main() -> None:
    """Run all in turn, each in a process of its own."""
    if sys.argv[1:]:
        print(json.dumps(WAYS[sys.argv[1]][0]()))
        return
    describe_machine()
    there = [name for name, (_, package) in WAYS.items() if find_spec(package)]
    for name in WAYS.keys() - set(there):
        print(f"{name} is not installed and left out")
    speed: dict[str, list[float]] = {name: [] for name in there}
    for _ in range(PROCESSES):
        for name in there:
            call = [sys.executable, __file__, name]
            done = subprocess.run(call, check=True, capture_output=True, text=True)
            speed[name].append(1 / json.loads(done.stdout.splitlines()[-1]))
    middle = {name: statistics.median(found) for name, found in speed.items()}
    allowed = gemm()
    work = {"PromoterNet": 45 / GENE_BATCH, "ProCapNet-64": _gflop(ProCapNet(64), PEAK_LENGTH)}
    print(f"\nsamples per second; the matrix product does {allowed:.0f} GFLOP a second")
    for name, rate in middle.items():
        share = rate * work[name.split(",")[0]] / allowed
        print(f"  {name:26s} median {rate:7.1f}   best {max(speed[name]):7.1f}   {share:.0%} of it")
    ours, tutorial, peaks = (middle[name] for name in list(WAYS)[:3])
    goal("PromoterNet training, samples per second over the tutorial's", ours / tutorial, 2)
    if "ProCapNet-64, bpnet-lite" in middle:
        goal(
            "ProCapNet-64 training, samples per second over bpnet-lite's fit",
            peaks / middle["ProCapNet-64, bpnet-lite"], 1.5,
        )  # fmt: skip


def _gflop(model: ProCapNet, length: int) -> float:
    """Return what one sequence takes in a step: forward, and twice that backward."""
    return 3 * 2 * count_macs(model, length) / 1e9


if __name__ == "__main__":
    main()

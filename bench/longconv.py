"""A training step of Chapter 3's SimpleNet: our long convolution, the source's, and PyTorch's.

A step is forward, loss and backward on 16 sequences of 4,650 bp, the same weights in all three:

* ours: both strands in one convolution, long convolution in the frequency domain;
* source: strands one after the other, gate written out, `torch_fftconv`;
* nn.Conv1d: as the source, with PyTorch's own convolution (as on Apple GPUs).

Gradients are compared with those in double precision first. Peak memory is taken in a process of
its own for each, over what the process holds before its first step. With a CUDA device, steps per
second are printed for it too, the data on the device.

Other processes that compute make two threads several times slower: look at the minima, and repeat
where minimum and median differ. `--threads 1` gives steadier ratios.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from _timing import compare, describe_machine, goal
from torch import Tensor, nn

from tssbook.models.long_conv import long_conv
from tssbook.models.puffin import SimpleNet, loss_terms

BATCH, LENGTH = 16, 4650
NAMES = {"ours": "ours", "fftconv": "source, torch_fftconv", "direct": "source, nn.Conv1d"}


class Source(SimpleNet):
    """The source's way of computing the same network."""

    def __init__(self, backend: str) -> None:
        super().__init__()
        self.backend = backend

    def forward(self, x: Tensor) -> Tensor:
        """Map one-hot ``(N, 4, L)`` to ``(N, 10, L)``."""
        motifs, initiators = (
            torch.cat([conv(x), conv(x.flip([1, 2])).flip([2])], 1)
            for conv in (self.conv, self.conv_inr)
        )
        motifs, initiators = motifs.sigmoid() * motifs, initiators.sigmoid() * initiators
        layer = self.deconv
        effects = long_conv(motifs, layer.weight, layer.bias, backend=self.backend)
        return F.softplus(effects + self.deconv_inr(initiators))


def make(name: str) -> SimpleNet:
    """Return one of the three networks, with the same weights."""
    torch.manual_seed(17)
    net = SimpleNet() if name == "ours" else Source(name)
    return net.train()


def data(batch: int = BATCH) -> tuple[Tensor, Tensor]:
    """Return sequences and targets."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(4, (batch, LENGTH), generator=generator)
    x = F.one_hot(codes, 4).transpose(1, 2).float().contiguous()
    return x, torch.rand(batch, 10, LENGTH, generator=generator)


def step(net: nn.Module, x: Tensor, target: Tensor) -> Callable[[], None]:
    """Return what does one step without the optimizer, which is the same for all."""

    def run() -> None:
        net.zero_grad()
        sum(term.mean() for term in loss_terms(net, net(x), target).values()).backward()

    return run


def gradient_errors() -> None:
    """Print each network's largest difference from double precision, relative to the largest."""
    x, target = data(2)
    exact = make("direct").double()
    step(exact, x.double(), target.double())()
    wanted = {name: p.grad for name, p in exact.named_parameters()}
    print("\ngradients against double precision (batch 2), largest difference over largest value")
    for name in NAMES:
        net = make(name)
        step(net, x, target)()
        errors = {
            key: ((p.grad - wanted[key]).abs().max() / wanted[key].abs().max()).item()
            for key, p in net.named_parameters()
        }
        worst = max(errors, key=errors.get)
        print(f"  {NAMES[name]:24s} {errors[worst]:.1e} ({worst})")
        if errors[worst] > 1e-5:
            raise SystemExit(f"{NAMES[name]}: the gradient of {worst} is wrong")


def peak_memory(name: str) -> None:
    """Print by how many MB three steps raise this process's peak memory."""
    import resource

    net, batch = make(name), data()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = step(net, *batch)
    for _ in range(3):
        run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"  {NAMES[name]:24s} {peak / 1024:7.0f} MB", flush=True)


def on_cuda() -> None:
    """Print steps per second, AdamW included, with the data on the device."""
    for batch in (16, 64):
        x, target = (tensor.cuda() for tensor in data(batch))
        for name in NAMES:
            for dtype in (None, torch.bfloat16):
                if name == "fftconv" and dtype is not None:
                    continue  # cuFFT has no bfloat16
                net = make(name).cuda()
                rate = _steps_per_second(net, x, target, dtype)
                kind = "fp32" if dtype is None else "bf16"
                print(f"  batch {batch}  {NAMES[name]:24s} {kind}  {rate:8.1f} steps/s", flush=True)


def _steps_per_second(
    net: nn.Module, x: Tensor, target: Tensor, dtype: torch.dtype | None, n_steps: int = 50
) -> float:
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-4, weight_decay=0.01, fused=True)

    def run() -> None:
        optimizer.zero_grad()
        with nullcontext() if dtype is None else torch.autocast("cuda", dtype=dtype):
            prediction = net(x)
        terms = loss_terms(net, prediction.float(), target)
        sum(term.mean() for term in terms.values()).backward()
        optimizer.step()

    for _ in range(5):
        run()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(n_steps):
        run()
    torch.cuda.synchronize()
    return n_steps / (time.perf_counter() - start)


def main() -> None:
    """Compare gradients, times and memory; then the GPU, if there is one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, help="of PyTorch; all cores if left out")
    parser.add_argument("--memory", choices=NAMES, help="only this network's peak memory")
    chosen = parser.parse_args()
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    if chosen.memory is not None:
        peak_memory(chosen.memory)
        return
    describe_machine()
    # First of all: a process inherits the peak of the one that starts it.
    print("\npeak memory over the start", flush=True)
    for name in NAMES:
        threads = ["--threads", str(torch.get_num_threads())]
        subprocess.run([sys.executable, __file__, "--memory", name, *threads], check=True)
    gradient_errors()
    batch = data()
    steps = {label: step(make(name), *batch) for name, label in NAMES.items()}
    title = f"one step, batch {BATCH} x {LENGTH:,} bp, {torch.get_num_threads()} threads"
    medians = compare(title, steps)
    found = medians[NAMES["fftconv"]] / medians[NAMES["ours"]]
    goal("Puffin, training step: torch-fftconv / ours", found, 4)
    if torch.cuda.is_available():
        print(f"\n{torch.cuda.get_device_name()}, steps per second")
        on_cuda()


if __name__ == "__main__":
    main()

"""All single-base changes of one sequence of 4,650 bp through Chapter 3's networks.

What each change does to the ten tracks' totals over the central 4,000 bp: ours, whole; loops
with one prediction per change, and tangermeme, on some positions and scaled to all. The loops and
tangermeme run the network as the source has it (each strand by itself, torch-fftconv) and ours
(`SimpleNet`, whose prediction is faster). What tangermeme does once per call (capturing the
model, checking it) is left out; ours is timed with all that it does. Everything is timed in turn
in one process. Prints seconds for all changes, and ratios to ours.

One other process that computes makes two threads several times slower: look at the minima, and
repeat where minimum and median differ.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from _timing import describe_machine, goal
from tangermeme._fastism import _FastISM
from torch import Tensor, nn
from torch_fftconv import FFTConv1d

from tssbook.interpret import Totals, ism
from tssbook.models.puffin import MARGIN, Puffin, SimpleNet

LENGTH, ROUNDS = 4650, 3
TOTALS = "SimpleNet, ten totals: mutagenesis"
BATCH_SIZES = (1, 4, 8, 16, 32)


class Source(nn.Module):
    """The network of stage 1 as published: every strand, gate and long convolution by itself."""

    def __init__(self, model: SimpleNet) -> None:
        super().__init__()
        self.conv, self.conv_inr, self.deconv_inr = model.conv, model.conv_inr, model.deconv_inr
        self.deconv = FFTConv1d(80, 10, 601, padding=300)
        self.deconv.load_state_dict(model.deconv.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, 4, L)`` to tracks ``(N, 10, L)``."""
        motifs, initiators = (
            torch.cat((conv(x), conv(x.flip(1, 2)).flip(2)), 1)
            for conv in (self.conv, self.conv_inr)
        )
        motifs, initiators = motifs.sigmoid() * motifs, initiators.sigmoid() * initiators
        return F.softplus(self.deconv(motifs) + self.deconv_inr(initiators))


class Summed(nn.Module):
    """Totals without what `Totals` adds for DeepLIFT, which tangermeme cannot trace."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, 4, L)`` to totals ``(N, 10)``."""
        return self.model(x)[..., MARGIN:-MARGIN].sum(-1)


def changes_at(x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Return base and position of all changes of one sequence ``(4, L)``."""
    base, index = (x[:, positions] == 0).nonzero().T
    return base, positions[index]


def mutants(x: Tensor, bases: Tensor, positions: Tensor) -> Tensor:
    """Return one sequence ``(1, 4, L)`` with each of some changes."""
    changed, row = x.repeat(len(bases), 1, 1), torch.arange(len(bases))
    changed[row, :, positions] = 0
    changed[row, bases, positions] = 1
    return changed


def loop(model: nn.Module, x: Tensor, positions: Tensor, batch: int) -> None:
    """Predict each change at some positions."""
    base, position = changes_at(x[0], positions)
    for bases, places in zip(base.split(batch), position.split(batch), strict=True):
        model(mutants(x, bases, places))


def check(model: SimpleNet | Puffin, x: Tensor) -> None:
    """Print the errors against predictions in float64 at positions over the whole sequence."""
    positions = torch.tensor([0, 24, 325, 1000, 2324, 3333, 4324, 4649])
    base, place = changes_at(x[0], positions)
    found, wrapped = ism(Totals(model), x, device="cpu"), Totals(copy.deepcopy(model).double())
    before = wrapped(x.double())
    expected = wrapped(mutants(x.double(), base, place)) - before
    error = (found[0, base, place] - expected).abs().max()
    scale, total = expected.abs().max(), before.abs().max()
    print(
        f"  largest error {error:.1e}, as a share of the largest change ({scale:.2g}) "
        f"{error / scale:.1e}, of the largest total ({total:.0f}) {error / total:.1e}"
    )
    if error > 1e-4 * scale:
        raise SystemExit("the results differ")


def ways(model: SimpleNet, x: Tensor) -> dict[str, tuple[Callable[[], object], float]]:
    """Return what is timed, and what its time is multiplied by."""
    found: dict[str, tuple[Callable[[], object], float]] = {
        "ours, totals": (lambda: ism(Totals(model), x, device="cpu"), 1),
    }
    networks = {"source": Summed(Source(model)).eval(), "SimpleNet": Summed(model).eval()}
    for network, wrapped in networks.items():
        for batch in BATCH_SIZES:
            # A position has three changes: so many positions make whole batches.
            places = torch.linspace(0, LENGTH - 1, max(4, batch)).round().long()
            name = "naive loop" if batch == 1 else f"batches of {batch}"
            found[f"{name}, {network}"] = (
                lambda w=wrapped, p=places, b=batch: loop(w, x, p, b),
                LENGTH / len(places),
            )
        cpu, places = torch.device("cpu"), torch.arange(LENGTH // 2, LENGTH // 2 + 32)
        fast = _FastISM(wrapped, x.to(torch.int8), None, 0, LENGTH, cpu, torch.float32, False)
        for batch in (8, 32):
            found[f"tangermeme, batches of {batch}, {network}"] = (
                lambda f=fast, p=places, b=batch: f.predict_edits(0, *changes_at(x[0], p), b),
                LENGTH / len(places),
            )
    return found


def measure(timed: dict[str, tuple[Callable[[], object], float]]) -> dict[str, float]:
    """Time all ways in turn, after one call that is not counted; print them, return ratios."""
    times: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(ROUNDS + 1):
        for name, (function, scale) in timed.items():
            start = time.perf_counter()
            function()
            times[name].append(scale * (time.perf_counter() - start))
    times = {name: taken[1:] for name, taken in times.items()}
    ours = next(iter(times.values()))
    for name, taken in times.items():
        middle, least = statistics.median(taken), min(taken)
        print(
            f"  {name:34s} median {middle:8.3f} s   min {least:8.3f} s   "
            f"ratio {middle / statistics.median(ours):7.1f}, of minima {least / min(ours):7.1f}"
        )
    return {name: statistics.median(t) / statistics.median(ours) for name, t in times.items()}


@torch.no_grad()
def main() -> None:
    """Measure SimpleNet against the loops and tangermeme; Puffin by itself."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    describe_machine()
    bases = torch.randint(4, (1, LENGTH))
    x = F.one_hot(bases, 4).transpose(1, 2).float()
    model, published = SimpleNet().eval(), Puffin().eval()
    print("\nSimpleNet")
    check(model, x)
    ratios = measure(ways(model, x))
    goal(f"{TOTALS}, naive loop of the source's network / ours", ratios["naive loop, source"], 150)
    theirs = min(ratio for name, ratio in ratios.items() if name.startswith("tangermeme"))
    goal(f"{TOTALS}, tangermeme at its best / ours", theirs, 100)
    print("\nPuffin")
    check(published, x)
    measure(
        {
            "ours, totals": (lambda: ism(Totals(published), x, device="cpu"), 1),
            "naive loop, Puffin": (
                lambda: loop(Totals(published), x, torch.arange(2300, 2304), 1),
                LENGTH / 4,
            ),
        }
    )


if __name__ == "__main__":
    main()

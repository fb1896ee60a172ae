"""Predictions of the 512-filter ProCapNet: our fast way, our plain one, and other libraries'.

All have the same weights, on sequences of 2,114 bp; each is called as its users do, without
gradients. bpnet-lite and MultiMolecule are left out where they are not installed. Errors are
taken against double precision first. Peak memory is that of a process of its own for each, over
what the process holds before its first prediction (Linux only). Times are taken in turn in one
process; the ratios are to ours.

Other processes that compute make two threads several times slower: look at the minima, and repeat
where minimum and median differ. `--threads 1` gives steadier ratios.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from _timing import describe_machine, goal
from torch import Tensor, nn

from tssbook.models.procapnet import ProCapNet
from tssbook.models.procapnet_fast import FastProCapNet

LENGTH, BATCHES = 2114, (1, 8)
ROUNDS = {1: 15, 8: 7}
OURS = "tssbook, fast"
Prediction = Callable[[], tuple[Tensor, Tensor]]


def our_model() -> ProCapNet:
    """Return the network whose weights all others get."""
    torch.manual_seed(0)
    model = ProCapNet().eval()
    with torch.no_grad():
        nn.init.ones_(model.linear.bias)  # a count near 0 would be no scale to compare by
    return model


def codes(batch: int) -> Tensor:
    """Return random bases as numbers, ``(N, L)``."""
    return torch.randint(4, (batch, LENGTH), generator=torch.Generator().manual_seed(0))


def one_hot(batch: int) -> Tensor:
    """Return the same bases one-hot, ``(N, 4, L)``."""
    return F.one_hot(codes(batch), 4).transpose(1, 2).float().contiguous()


def fast(model: ProCapNet, batch: int) -> Prediction:
    """Predict by `FastProCapNet`."""
    wrapped, x = FastProCapNet(model), one_hot(batch)
    return lambda: wrapped(x)


def plain(model: ProCapNet, batch: int) -> Prediction:
    """Predict by the model itself."""
    x = one_hot(batch)
    return lambda: model(x)


def bpnet_lite(model: ProCapNet, batch: int) -> Prediction:
    """Predict by bpnet-lite's class."""
    from bpnetlite.bpnet import BPNet

    theirs = BPNet(n_filters=512, n_layers=8, n_control_tracks=0, verbose=False).eval()
    theirs.load_state_dict(model.state_dict())
    x = one_hot(batch)
    return lambda: theirs(x)


def multimolecule(model: ProCapNet, batch: int) -> Prediction:
    """Predict by MultiMolecule's class, which takes the bases as numbers."""
    from multimolecule import ProCapNetConfig, ProCapNetForProfilePrediction

    theirs = ProCapNetForProfilePrediction(ProCapNetConfig()).eval()
    trunk, heads = theirs.model.encoder, theirs.profile_count_head
    with torch.no_grad():
        trunk.stem.conv.weight[:, 4] = 0  # its channel for N
        trunk.stem.conv.weight[:, :4] = model.iconv.weight
        trunk.stem.conv.bias.copy_(model.iconv.bias)
    for layer, conv in zip(trunk.layer, model.rconvs, strict=True):
        layer.conv.load_state_dict(conv.state_dict())
    heads.profile.load_state_dict(model.fconv.state_dict())
    heads.count.load_state_dict(model.linear.state_dict())
    x = codes(batch)

    def predict() -> tuple[Tensor, Tensor]:
        found = theirs(x)
        return found.profile_logits.transpose(1, 2), found.count_logits

    return predict


WAYS = {
    OURS: (fast, "tssbook"),
    "tssbook, plain": (plain, "tssbook"),
    "bpnet-lite": (bpnet_lite, "bpnetlite"),
    "MultiMolecule": (multimolecule, "multimolecule"),
}


def check(ways: dict[str, Prediction], model: ProCapNet, batch: int) -> None:
    """Print the errors against double precision; stop where ours is above 1e-5.

    Differences from the plain way are printed as well, for profile and count: at this size they
    are the rounding of PyTorch's last convolution, a sum of 38,400 products per output.
    """
    exact = copy.deepcopy(model).double()(one_hot(batch).double())
    usual = ways["tssbook, plain"]()
    print("  error of profile and count, as a share of the largest value; difference from plain")
    for name, predict in ways.items():
        found = predict()
        errors = [
            _apart(*pair) / float(pair[1].abs().max()) for pair in zip(found, exact, strict=True)
        ]
        apart = [_apart(*pair) for pair in zip(found, usual, strict=True)]
        print(f"  {name:16s} {errors[0]:.1e} {errors[1]:.1e}; {apart[0]:.1e} {apart[1]:.1e}")
        if name == OURS and max(errors) > 1e-5:
            raise SystemExit("the results are wrong")


def _apart(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max())


def measure(ways: dict[str, Prediction], batch: int) -> None:
    """Time all in turn, after one call that is not counted, and print them."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS[batch] + 1):
        for name, predict in ways.items():
            start = time.perf_counter()
            predict()
            times[name].append(time.perf_counter() - start)
    times = {name: taken[1:] for name, taken in times.items()}
    ours = times[OURS]
    for name, taken in times.items():
        middle, least = statistics.median(taken), min(taken)
        print(
            f"  {name:16s} median {1e3 * middle:8.1f} ms   min {1e3 * least:8.1f} ms   "
            f"ratio {middle / statistics.median(ours):5.2f}  of minima {least / min(ours):5.2f}"
        )
        if name == "bpnet-lite":
            what = f"ProCapNet, forward, batch {batch}: bpnet-lite / ours"
            goal(what, middle / statistics.median(ours), 1.5)


def peak_memory(name: str, batch: int) -> None:
    """Print by how many MB three predictions raise this process's peak memory."""
    predict = WAYS[name][0](our_model(), batch)
    Path("/proc/self/clear_refs").write_text("5")  # Linux: forgets the peak of importing
    before = _peak()
    for _ in range(3):
        predict()
    print(f"  {name:16s} batch {batch}  {(_peak() - before) / 1024:7.0f} MB", flush=True)


def _peak() -> int:
    """Return this process's peak memory, in KB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


@torch.no_grad()
def main() -> None:
    """Compare memory, numbers and times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch; 2 if left out")
    parser.add_argument("--memory", choices=WAYS, help="only the peak memory of this one")
    parser.add_argument("--batch", type=int, default=1, help="of --memory")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.memory is not None:
        peak_memory(chosen.memory, chosen.batch)
        return
    describe_machine()
    found = {name: make for name, (make, package) in WAYS.items() if find_spec(package)}
    for name in WAYS.keys() - found.keys():
        print(f"{name} is not installed and left out")
    print("\npeak memory over the start", flush=True)
    for batch in BATCHES:
        for name in found:
            call = [sys.executable, __file__, "--threads", str(chosen.threads), "--memory", name]
            subprocess.run([*call, "--batch", str(batch)], check=True)
    model = our_model()
    for batch in BATCHES:
        print(f"\nbatch {batch} x {LENGTH:,} bp")
        ways = {name: make(model, batch) for name, make in found.items()}
        check(ways, model, batch)
        measure(ways, batch)


if __name__ == "__main__":
    main()

"""Training steps of Chapter 2's network: pooling before the ReLU, and freed memory kept.

The source tutorial pools after the ReLU; the maximum and the ReLU can change places without
changing a number, and the loss of all three is compared before their times are. A step is forward,
backward and AdamW on 64 windows of 2,000 bp.

On Linux most of a step is the handing out of fresh memory, page by page. The second part runs the
same step with and without `keep_memory`, in turn, each time in a process of its own.
"""

from __future__ import annotations

import copy
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from _timing import compare, describe_machine
from torch import Tensor

from tssbook.models.promoter import PromoterNet, loss_terms
from tssbook.training import keep_memory

BATCH = 64
STEPS, PROCESSES = 8, 3


class PoolLast(PromoterNet):
    """The tutorial's order: ReLU, then pooling."""

    def features(self, x: Tensor) -> Tensor:
        """Map one-hot ``(N, 4, L)`` to ``(N, 64)``."""
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        x = self.pool(F.relu(self.bn2(self.conv2(x))))
        return F.relu(self.bn3(self.conv3(x))).mean(-1)


def main() -> None:
    """Compare the orders of pooling, then a step with and without kept memory."""
    if sys.argv[1:] == ["one-process"]:
        print(json.dumps(measure()))
        return
    describe_machine()
    keep_memory()
    models = {"pool first (ours)": PromoterNet(dropout=0.0)}
    models["pool last (tutorial)"] = PoolLast(dropout=0.0)
    for model in models.values():
        model.load_state_dict(models["pool first (ours)"].state_dict())
    if shutil.which("c++"):
        compiled = copy.deepcopy(models["pool first (ours)"])
        models["pool first, torch.compile"] = torch.compile(compiled)
    steps = {name: _step(model) for name, model in models.items()}
    losses = {name: step() for name, step in steps.items()}
    if max(losses.values()) - min(losses.values()) > 1e-5:
        raise SystemExit(f"the losses differ: {losses}")
    compare(f"one step, batch {BATCH}, {torch.get_num_threads()} threads", steps, 5)
    compare_memory()


def compare_memory() -> None:
    """Run `measure` in processes that keep freed memory and that do not, in turn."""
    runs: dict[str, list[dict]] = {"0": [], "1": []}
    for _ in range(PROCESSES):
        for setting, results in runs.items():
            command = [sys.executable, __file__, "one-process"]
            environment = os.environ | {"TSSBOOK_KEEP_MEMORY": setting}
            done = subprocess.run(command, env=environment, check=True, capture_output=True)
            results.append(json.loads(done.stdout))
    print(f"\none step, batch {BATCH}, {PROCESSES} processes each of {STEPS} steps")
    for setting, results in runs.items():
        name = "memory kept" if setting == "1" else "as the system has it"
        times, cpu = ([t for r in results for t in r[key]] for key in ("times", "cpu"))
        print(
            f"  {name:22s} median {1e3 * statistics.median(times):8.1f} ms   "
            f"min {1e3 * min(times):8.1f} ms   "
            f"processor median {1e3 * statistics.median(cpu):8.1f} ms   "
            f"page faults a step {statistics.median(r['faults'] for r in results):9.0f}   "
            f"peak memory {max(r['peak'] for r in results) / 2**20:6.0f} MiB"
        )
    ratios = [
        statistics.median(kept["cpu"]) / statistics.median(plain["cpu"])
        for plain, kept in zip(*runs.values(), strict=True)
    ]
    said = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"  processor time, kept / as it is, of each pair: {said}")


def measure() -> dict:
    """Take steps in this process; return times (s), page faults and peak memory (bytes).

    The processor's time is less disturbed by what else runs on the machine than the clock's.
    """
    keep_memory()
    step, times, cpu = _step(PromoterNet(dropout=0.0)), [], []
    for _ in range(2):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(STEPS):
        start, cpu_start = time.perf_counter(), time.process_time()
        step()
        times.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    faults = (usage.ru_minflt - before) / STEPS
    return {"times": times, "cpu": cpu, "faults": faults, "peak": usage.ru_maxrss * unit}


def _step(model: torch.nn.Module) -> Callable[[], float]:
    generator = torch.Generator().manual_seed(17)
    bases = torch.randint(4, (BATCH, 2000), generator=generator)
    x = F.one_hot(bases, 4).transpose(1, 2).float().contiguous()
    y = torch.randn(BATCH, generator=generator)
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

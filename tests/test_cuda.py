"""What differs on a GPU: where things are, and how they are rounded.

The suite hides GPUs; these tests see one where CUDA_VISIBLE_DEVICES names it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.training.training_runs import Run, same, two_terms
from tssbook.interpret import attribute, ism
from tssbook.models import FastProCapNet, ProCapNet, PromoterNet
from tssbook.simulator import recovery, truth
from tssbook.training import fit, on_device, predict, prediction

needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device is visible: set CUDA_VISIBLE_DEVICES=0"
)


def sequences(n: int, length: int = 2114) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return nn.functional.one_hot(torch.randint(4, (n, length), generator=random), 4).mT.float()


def close(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    assert found.device == wanted.device == torch.device("cpu")
    return float((found - wanted).abs().max() / wanted.abs().max()) < tolerance


@pytest.mark.parametrize("chosen", ["ieee", "tf32"])
def test_full_precision_is_for_the_length_of_a_block(chosen):
    parts = torch.backends.cudnn.conv, torch.backends.cuda.matmul

    def found() -> list[str]:
        return [part.fp32_precision for part in parts]

    before = found()
    try:
        for part in parts:
            part.fp32_precision = chosen  # as a user may have it
        with prediction._full_precision():
            assert found() == ["ieee", "ieee"]
        assert found() == [chosen, chosen]
        with pytest.raises(KeyError), prediction._full_precision():
            raise KeyError
        assert found() == [chosen, chosen]
        with on_device(nn.Conv1d(4, 2, 3), "cpu", exact=True):
            assert found() == [chosen, chosen]  # nothing is touched on a CPU
    finally:
        for part, value in zip(parts, before, strict=True):
            part.fp32_precision = value


@needs_cuda
@pytest.mark.parametrize("places", [("cuda", "cpu"), ("cpu", "cuda"), ("cuda", "cuda")])
def test_optimizer_follows_its_model(places):
    run = Run()
    batch = (torch.randn(8, 4), torch.randn(8))
    optimizer = torch.optim.Adam(run.model.parameters())
    for place in places:
        history = fit(
            run.model, [batch], [batch], two_terms, optimizer, epochs=2, seed=0, device=place
        )
        assert len(history) == 2
        for state in optimizer.state.values():
            assert {tensor.device.type for tensor in state.values()} == {"cpu"}
    run.model(batch[0]).sum().backward()
    optimizer.step()


@needs_cuda
def test_resumed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)  # or no two runs are equal
    model, twin = PromoterNet(), PromoterNet()
    twin.load_state_dict(model.state_dict())
    x, y = sequences(12, 600), torch.randn(12)
    batches = [(x[:4], y[:4]), (x[4:8], y[4:8])]
    valid = [(x[8:], y[8:])]
    terms = lambda m, prediction, target: {"mse": (prediction - target).square()}  # noqa: E731

    def train(net: nn.Module, epochs: int, state: Path | None) -> torch.optim.Optimizer:
        optimizer = torch.optim.Adam(net.parameters())
        options = {"seed": 1, "device": "cuda", "state": state}
        fit(net, batches, valid, terms, optimizer, epochs=epochs, **options)
        return optimizer

    whole = train(twin, 4, None)
    train(model, 2, tmp_path / "state")
    resumed = train(model, 4, tmp_path / "state")
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True)
    )
    for a, b in zip(whole.state.values(), resumed.state.values(), strict=True):
        assert {k: v.device for k, v in a.items()} == {k: v.device for k, v in b.items()}
        assert same(a["step"], b["step"])


@needs_cuda
@pytest.mark.parametrize("n_filters", [8, 64])
def test_ism_is_exact(n_filters):
    torch.manual_seed(0)
    model, x = ProCapNet(n_filters), sequences(1)
    here, there = (ism(model, x, device=place, start=1000, end=1100) for place in ("cpu", "cuda"))
    assert all(close(a, b, 1e-4) for a, b in zip(there, here, strict=True))


@needs_cuda
@pytest.mark.parametrize("head", ["profile", "count"])
def test_attributions_are_exact(head):
    model, x = ProCapNet.from_pretrained("procapnet"), sequences(1)
    options = {"seed": 0, "n_shuffles": 4}
    here, there = (attribute(model, x, head, device=d, **options) for d in ("cpu", "cuda"))
    assert close(there.contributions, here.contributions, 1e-4)
    assert there.deltas.abs().max() < 1e-4


@needs_cuda
def test_fast_network_is_the_same_network():
    model, x = ProCapNet.from_pretrained("procapnet"), sequences(70)
    for fast, plain in zip(
        predict(FastProCapNet(model), x, batch_size=64, device="cuda"),
        predict(model, x, batch_size=64, device="cpu"),
        strict=True,
    ):
        assert close(fast, plain, 2e-3)  # TF32


@needs_cuda
def test_recovery_takes_matrices_of_a_gpu():
    pwms = [torch.from_numpy(pwm) for pwm in truth().pwms[:2]]
    found = recovery([pwm.cuda() for pwm in pwms])
    assert found.equals(recovery(pwms))

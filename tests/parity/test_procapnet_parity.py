"""ProCapNet against bpnet-lite and MultiMolecule: the same weights, the same numbers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tssbook.models.procapnet import (
    ProCapNet,
    count_loss,
    count_macs,
    loss_terms,
    profile_loss,
    to_reads,
)
from tssbook.training import predict

LENGTH, N_OUT = 1314, 200


@pytest.fixture(scope="module")
def bpnetlite():
    return pytest.importorskip("bpnetlite", reason="bpnet-lite is not installed")


@pytest.fixture(scope="module")
def theirs():
    """MultiMolecule's module of the model; importing the whole package takes some seconds."""
    return pytest.importorskip(
        "multimolecule.models.procapnet", reason="multimolecule is not installed"
    )


def bases(n: int, seed: int = 0) -> Tensor:
    return torch.randint(4, (n, LENGTH), generator=torch.Generator().manual_seed(seed))


def one_hot(codes: Tensor) -> Tensor:
    """Code 4 is N: a column of zeros."""
    return F.one_hot(codes, 5)[..., :4].transpose(1, 2).float()


def random_counts(n: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.poisson(torch.rand(n, 2, N_OUT, generator=generator), generator=generator)


def of_bpnetlite(bpnetlite, n_filters: int = 16):
    torch.manual_seed(0)
    return bpnetlite.BPNet(n_filters, n_layers=8, n_control_tracks=0, verbose=False).eval()


# --- bpnet-lite -------------------------------------------------------------------------------


@torch.no_grad()
def test_outputs_of_bpnetlite(bpnetlite):
    other = of_bpnetlite(bpnetlite)
    model = ProCapNet(16).eval()
    model.load_state_dict(other.state_dict(), strict=True)
    x = one_hot(bases(2))
    x[0, :, 400:420] = 0  # N
    for ours, other_output in zip(model(x), other(x), strict=True):
        torch.testing.assert_close(ours, other_output, rtol=0, atol=1e-5)


@pytest.mark.parametrize("mask", [None, torch.ones(2, N_OUT, dtype=torch.bool)])
def test_losses_of_bpnetlite(bpnetlite, mask):
    """The losses and what they do to the weights."""
    from bpnetlite.losses import MNLLLoss, _mixture_loss, log1pMSELoss

    other, counts, x = of_bpnetlite(bpnetlite), random_counts(2), one_hot(bases(2))
    model = ProCapNet(16)
    model.load_state_dict(other.state_dict(), strict=True)
    prediction, other_prediction = model(x), other(x)
    log_proba = other_prediction[0].flatten(1).log_softmax(-1)
    torch.testing.assert_close(
        profile_loss(prediction[0], counts, mask), MNLLLoss(log_proba, counts.flatten(1))
    )
    torch.testing.assert_close(
        count_loss(prediction[1], counts, mask),
        log1pMSELoss(other_prediction[1], counts.sum((1, 2))[:, None]),
    )
    loss = sum(t.mean() for t in loss_terms(model, prediction, counts, mask).values())
    other_loss = _mixture_loss(counts, *other_prediction, 100)[2]
    torch.testing.assert_close(loss, other_loss)
    loss.backward()
    other_loss.backward()
    other_grads = {name: weight.grad for name, weight in other.named_parameters()}
    for name, weight in model.named_parameters():
        scale = other_grads[name].abs().max().item()
        torch.testing.assert_close(weight.grad, other_grads[name], rtol=0, atol=1e-4 * scale)


@torch.no_grad()
def test_multiplications_of_bpnetlite(bpnetlite):
    """PyTorch's counter counts a multiplication and an addition as two."""
    other, counter = of_bpnetlite(bpnetlite), FlopCounterMode(display=False)
    with counter:
        other(one_hot(bases(1)))
    assert counter.get_total_flops() == 2 * count_macs(ProCapNet(16), LENGTH)


# --- MultiMolecule ----------------------------------------------------------------------------


def of_multimolecule(theirs, folder, n_filters: int = 16):
    """A model with random weights, saved as MultiMolecule saves one, and its file."""
    config = theirs.ProCapNetConfig(
        hidden_size=n_filters, sequence_length=LENGTH, profile_length=N_OUT
    )
    torch.manual_seed(0)
    other = theirs.ProCapNetForProfilePrediction(config).eval()
    stem = other.model.encoder.stem.conv.weight
    with torch.no_grad():
        stem[:, 4] = stem[:, :4].mean(1)  # as its conversion makes the channel for N
        for head in (other.profile_count_head.profile, other.profile_count_head.count):
            torch.nn.init.normal_(head.bias)
    other.save_pretrained(folder)
    return other, folder / "model.safetensors"


@torch.no_grad()
def test_outputs_of_multimolecule(theirs, tmp_path):
    other, path = of_multimolecule(theirs, tmp_path)
    model, codes = ProCapNet.from_published(path), bases(2)
    output = other(input_ids=codes)
    assert output.profile_logits.shape == (2, N_OUT, 2)
    profile, count = model(one_hot(codes))
    expected = output.profile_logits.transpose(1, 2)
    torch.testing.assert_close(profile, expected, rtol=0, atol=1e-5 * expected.abs().max().item())
    torch.testing.assert_close(count, output.count_logits, rtol=0, atol=1e-5)
    reads = to_reads(*predict(model, one_hot(codes), device="cpu"))
    torch.testing.assert_close(
        reads, other.postprocess(output).transpose(1, 2), rtol=1e-4, atol=1e-7
    )


@torch.no_grad()
def test_the_channel_for_n_is_the_mean_of_the_others(theirs, tmp_path):
    """Where they see an N, a quarter of each base gives their numbers, and zeros do not."""
    other, path = of_multimolecule(theirs, tmp_path)
    model, codes = ProCapNet.from_published(path), bases(1)
    codes[0, 600:640] = 4
    expected = other(input_ids=codes).profile_logits.transpose(1, 2)
    scale, x = expected.abs().max().item(), one_hot(codes)
    assert (model(x)[0] - expected).abs().max() > 1e-3 * scale
    x[0, :, 600:640] = 0.25
    torch.testing.assert_close(model(x)[0], expected, rtol=0, atol=1e-5 * scale)


def test_number_of_parameters_of_multimolecule(theirs):
    with torch.device("meta"):
        other, model = theirs.ProCapNetForProfilePrediction(theirs.ProCapNetConfig()), ProCapNet()
    theirs_has, ours = (sum(p.numel() for p in m.parameters()) for m in (other, model))
    assert (theirs_has, theirs_has - ours) == (6_427_139, 512 * 21)

"""tssbook.models.puffin: the networks of Chapter 3, their loss, and what is symmetric in them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tssbook.data.tracks import TRACKS
from tssbook.models import checkpoints
from tssbook.models.puffin import (
    MARGIN,
    PUBLISHED_MOTIFS,
    Puffin,
    SimpleNet,
    count_loss,
    effect_curves,
    effect_roughness,
    loss_terms,
    profile_loss,
    reverse_complement_tracks,
    symmetrised,
    to_counts,
)
from tssbook.sequence import one_hot
from tssbook.training import Batches, fit

NETS = [lambda: SimpleNet(n_motifs=3, n_initiators=2), Puffin]


def random_sequences(n: int, length: int, seed: int = 0) -> Tensor:
    codes = torch.randint(4, (n, length), generator=torch.Generator().manual_seed(seed))
    return nn.functional.one_hot(codes, 4).transpose(1, 2).float()


def made(make, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return make().double()


def rc(x: Tensor) -> Tensor:
    return x.flip(1, 2)


# --- the networks ---------------------------------------------------------------------------


def test_number_of_parameters():
    # conv 40 * (4 * 51 + 1), conv_inr 20 * (4 * 15 + 1), deconv 10 * (80 * 601 + 1),
    # deconv_inr 10 * (40 * 15 + 1)
    assert sum(p.numel() for p in SimpleNet().parameters()) == 8_200 + 1_220 + 480_810 + 6_010
    # conv 10 * 205, conv_inr 10 * 61, conv_sim 32 * (4 * 3 + 1), deconv 10 * (20 * 601 + 1),
    # deconv_sim 10 * (64 * 601 + 1), deconv_inr 10 * (20 * 15 + 1), two scalars
    by_hand = 2_050 + 610 + 416 + 120_210 + 384_650 + 3_010 + 2
    assert sum(p.numel() for p in Puffin().parameters()) == by_hand == 510_948


def test_names_of_the_source():
    layers = ["conv", "conv_inr", "deconv", "deconv_inr"]
    assert {name.rpartition(".")[0] for name in SimpleNet().state_dict()} == set(layers)
    names = set(Puffin().state_dict())
    assert names == {f"{layer}.{part}" for layer in [*layers, "conv_sim", "deconv_sim"]
                     for part in ("weight", "bias")} | {"scaler", "scaler2"}  # fmt: skip


@pytest.mark.parametrize("make", NETS)
def test_shapes(make):
    net = made(make).float()
    with torch.no_grad():
        y = net(random_sequences(2, 700))
    assert y.shape == (2, len(TRACKS), 700)
    assert (y > 0).all()


def test_tracks_stand_in_mirror_order():
    for track, mirrored in zip(TRACKS, reversed(TRACKS), strict=True):
        assert track[:-1] == mirrored[:-1]
        assert {track[-1], mirrored[-1]} == {"+", "-"}


def test_published_motifs_have_both_strands():
    for motif, other in zip(PUBLISHED_MOTIFS[:10], PUBLISHED_MOTIFS[10:], strict=True):
        assert motif[:-1] == other[:-1]
        assert {motif[-1], other[-1]} == {"+", "-"}


def test_any_number_of_tracks():
    net, x = SimpleNet(n_motifs=3, n_initiators=2, n_tracks=1), random_sequences(2, 700)
    prediction = net(x)
    assert prediction.shape == (2, 1, 700)
    terms = loss_terms(net, prediction, torch.rand(2, 1, 700))
    sum(term.mean() for term in terms.values()).backward()
    assert effect_curves(net).shape == (6, 1, 601)
    tied = symmetrised(net)
    wanted, found = reverse_complement_tracks(tied(x)), tied(rc(x))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("tracks", [["a+", "a-"], ["a+", "ATAC", "a-"], ["ATAC"]])
def test_names_of_tracks(tmp_path, tracks):
    net, x = SimpleNet(3, 2, tracks=tuple(tracks)), random_sequences(1, 700)
    assert net(x).shape == (1, len(tracks), 700)
    assert net.config == {
        "n_motifs": 3, "n_initiators": 2, "n_tracks": len(tracks), "tracks": tracks,
    }  # fmt: skip
    checkpoints.save(net, tmp_path / "net")
    assert SimpleNet.from_pretrained(tmp_path / "net", tracks=tracks).config == net.config
    with pytest.raises(checkpoints.CheckpointError, match="tracks"):
        SimpleNet.from_pretrained(tmp_path / "net", tracks=["b+", "b-"])
    tied = symmetrised(net)
    wanted, found = reverse_complement_tracks(tied(x)), tied(rc(x))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_without_names_nothing_has_changed(tmp_path):
    """A checkpoint from before there were names."""
    net = SimpleNet(3, 2)
    assert net.config == {"n_motifs": 3, "n_initiators": 2, "n_tracks": 10}
    del net.config["n_tracks"]
    checkpoints.save(net, tmp_path / "old")
    assert SimpleNet.from_pretrained(tmp_path / "old").config["n_tracks"] == 10


@pytest.mark.parametrize("make", NETS)
def test_margin_is_how_far_a_base_reaches(make):
    """A base changes the prediction up to 325 bp away, and not one base farther."""
    net, x = made(make), random_sequences(1, 900).double()
    changed = x.clone()
    changed[0, :, 450] = x[0, :, 450].roll(1)
    with torch.no_grad():
        difference = (net(changed) - net(x)).abs().amax((0, 1))
    # Outside, the FFT leaves rounding errors.
    reached = (difference > 1e-12).nonzero()[:, 0]
    assert (reached.min(), reached.max()) == (450 - MARGIN, 450 + MARGIN)


def test_strands_of_a_motif():
    """A filter that spells TATAATAG fires on + at TATAATAG and on - at CTATTATA."""
    net = SimpleNet(n_motifs=1, n_initiators=1)
    with torch.no_grad():
        net.conv.weight.zero_()
        net.conv.weight[0, :, 25:33] = one_hot("TATAATAG")
        net.conv.bias.fill_(-7)  # 8 matches give 1; 6 or fewer give almost nothing
    x = torch.zeros(1, 4, 700)
    x[0, :, 200:208] = one_hot("TATAATAG")
    x[0, :, 400:408] = one_hot("CTATTATA")
    motifs, _ = net.activations(x)
    silu = 1 / (1 + math.exp(-1))
    # + counts from the motif's first base, - from the first base of its own strand: the last here.
    assert motifs[0].argmax(-1).tolist() == [200, 407]
    assert motifs[0].amax(-1).tolist() == pytest.approx([silu, silu])


@pytest.mark.parametrize("make", NETS)
def test_checkpoint_keeps_the_network(tmp_path, make):
    net = made(make).float().eval()
    checkpoints.save(net, tmp_path / "net", task="test")
    again = type(net).from_pretrained(tmp_path / "net")
    x = random_sequences(1, 660)
    assert torch.equal(net(x), again(x))


@pytest.mark.parametrize("sizes", [(), (40, 10), (2, 1, 3)])  # notebook, manuscript, one's own
def test_checkpoint_of_the_source(tmp_path, sizes):
    net = SimpleNet(*sizes).eval()
    torch.save(net.state_dict(), tmp_path / "stage1_10000_0.pth")
    again = SimpleNet.from_published(tmp_path / "stage1_10000_0.pth")
    assert again.config == net.config
    assert not again.training
    for name, value in net.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_published_file_of_ones_own(tmp_path):
    net = made(Puffin).float()
    torch.save(net.state_dict(), tmp_path / "puffin.pth")
    again = Puffin.from_published(tmp_path / "puffin.pth")
    assert not again.training
    x = random_sequences(1, 660)
    assert torch.equal(net(x), again(x))


@pytest.fixture(scope="module")
def published(mirror: Path) -> Puffin:
    return Puffin.from_published(mirror / "puffin.pth")


def test_published_weights(published):
    assert len(published.state_dict()) == 14
    assert published.scaler.item() == published.scaler2.item() == 1
    # A TATA box between N, and its reverse complement: the channel that rises most.
    for box, motif in (("TATAAAA", "TATA+"), ("TTTTATA", "TATA-")):
        x = torch.zeros(1, 4, 700)
        x[0, :, 340:347] = one_hot(box)
        activations = published.activations(x)[0][0].detach()
        assert PUBLISHED_MOTIFS[(activations.amax(-1) - activations[:, 0]).argmax()] == motif


# --- strands: what is symmetric, and what is not ----------------------------------------------


@pytest.mark.parametrize("make", NETS)
def test_first_layer_is_symmetric(make):
    """Activations of the reverse complement: flipped, and the strands' halves exchanged."""
    net, x = made(make), random_sequences(2, 700).double()
    for found, before in zip(net.activations(rc(x)), net.activations(x), strict=True):
        swapped = before.roll(before.shape[1] // 2, 1)
        torch.testing.assert_close(found, swapped.flip(-1), atol=1e-12, rtol=0)


@pytest.mark.parametrize("make", NETS)
def test_second_layer_is_symmetric_only_when_made_so(make):
    net, x = made(make), random_sequences(2, 700).double()
    with torch.no_grad():
        wanted, found = reverse_complement_tracks(net(x)), net(rc(x))
        assert (found - wanted).abs().max() > 0.1 * wanted.abs().mean()
        tied = symmetrised(net)
        wanted, found = reverse_complement_tracks(tied(x)), tied(rc(x))
        torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)
        assert (found - net(rc(x))).abs().max() > 1e-3  # a copy; the first one stays as it is


def test_symmetrised_prediction_before_the_softplus_is_the_mean_over_strands():
    net, x = made(NETS[0]), random_sequences(1, 700).double()
    with torch.no_grad():
        both = [net.effects(*net.activations(s)) for s in (x, rc(x))]
        wanted = (both[0] + reverse_complement_tracks(both[1])) / 2
        tied = symmetrised(net)
        torch.testing.assert_close(tied.effects(*tied.activations(x)), wanted)


def test_symmetrised_twice_is_symmetrised_once():
    once = symmetrised(made(Puffin))
    for name, value in symmetrised(once).state_dict().items():
        torch.testing.assert_close(value, once.state_dict()[name], atol=1e-15, rtol=0)


def test_reverse_complement_of_tracks():
    tracks = torch.tensor([[[1, 2, 3], [4, 5, 6]]])
    assert reverse_complement_tracks(tracks).tolist() == [[[6, 5, 4], [3, 2, 1]]]


# --- effect curves ------------------------------------------------------------------------------


@pytest.mark.parametrize("make", NETS)
def test_effect_curves_by_an_impulse(make):
    """One activation at 400: what it adds at 400 + d is the curve at 300 + d."""
    net = made(make)
    curves = effect_curves(net)
    channels = net.deconv.in_channels
    assert curves.shape == (channels, 10, 601)
    impulse = torch.zeros(channels, channels, 801, dtype=torch.float64)
    impulse[range(channels), range(channels), 400] = 1  # a channel per row
    with torch.no_grad():
        added = net.deconv(impulse) - net.deconv.bias[:, None]
    torch.testing.assert_close(added[..., 100:701], curves, atol=1e-12, rtol=0)
    assert added[..., :100].abs().max() < 1e-12
    assert not torch.allclose(curves, curves.flip(-1))


def test_initiator_kernels_need_no_flip():
    net = made(NETS[0])
    impulse = torch.eye(4, dtype=torch.float64)[..., None] * torch.eye(31)[15]
    with torch.no_grad():
        added = net.deconv_inr(impulse) - net.deconv_inr.bias[:, None]
    torch.testing.assert_close(added[..., 8:23], net.deconv_inr.weight)


# --- the loss -------------------------------------------------------------------------------


def test_profile_loss_by_hand():
    # All reads at the first of two positions, predicted one half each: 1 * ln(1 / 0.5), over 2.
    target, prediction = torch.tensor([[[8.0, 0.0]]]), torch.tensor([[[3.0, 3.0]]])
    assert profile_loss(prediction, target).tolist() == pytest.approx([math.log(2) / 2])
    # A perfect track beside it halves the mean; the second example is perfect.
    prediction = torch.tensor([[[3.0, 3.0], [1.0, 3.0]], [[1.0, 2.0], [5.0, 5.0]]])
    target = torch.tensor([[[8.0, 0.0], [2.0, 6.0]], [[3.0, 6.0], [1.0, 1.0]]])
    wanted = [math.log(2) / 4, 0]
    assert profile_loss(prediction, target).tolist() == pytest.approx(wanted, abs=1e-7)


def test_profile_loss_does_not_see_the_size():
    torch.manual_seed(0)
    p, t = torch.rand(2, 3, 40), torch.rand(2, 3, 40)
    torch.testing.assert_close(profile_loss(1000 * p, t), profile_loss(p, t))


def test_count_loss_by_hand():
    # t = 1, p = e: 1 * ln(1 / e) + e - 1 = e - 2; t = 0, p = 3: 3; t = p: 0.
    prediction = torch.tensor([[[math.e, 3.0]], [[2.0, 4.0]]])
    target = torch.tensor([[[1.0, 0.0]], [[2.0, 4.0]]])
    wanted = [(math.e - 2 + 3) / 2, 0]
    assert count_loss(prediction, target).tolist() == pytest.approx(wanted, abs=1e-6)


def test_effect_roughness_by_hand():
    # 1, -1, 1, -1: squared steps 4; fourth moment 1. The same times 5: the same. 0, 0, 2, 2: steps
    # 0, 4, 0; around its mean 1 the fourth moment is 1.
    zigzag, step = [1.0, -1.0, 1.0, -1.0], [0.0, 0.0, 2.0, 2.0]
    assert effect_roughness(torch.tensor([[zigzag]])).item() == pytest.approx(4)
    assert effect_roughness(5 * torch.tensor([[zigzag]])).item() == pytest.approx(4)
    assert effect_roughness(torch.tensor([[zigzag, step]])).item() == pytest.approx((4 + 4 / 3) / 2)


def test_a_silent_kernel_has_a_gradient():
    weight = torch.zeros(1, 2, 601)
    weight[0, 1, 300] = 1
    weight.requires_grad_()
    effect_roughness(weight).backward()
    assert weight.grad.isfinite().all()
    assert weight.grad[0, 0].abs().max() == 0


def literally(net: nn.Module, prediction: Tensor, target: Tensor) -> float:
    """The source's loss, formula by formula."""
    p, t = prediction[:, :, 325:-325], target[:, :, 325:-325]
    share_p = (p + 1e-10) / (p + 1e-10).sum(dim=2, keepdim=True)
    share_t = (t + 1e-10) / (t + 1e-10).sum(dim=2, keepdim=True)
    profile = share_t * (torch.log(share_t + 1e-10) - torch.log(share_p + 1e-10))
    p = p / math.log(10)
    counts = t * torch.log((t + 1e-10) / (p + 1e-10)) + p - t
    w = net.deconv.weight
    spread = ((w - w.mean(dim=2, keepdim=True)) ** 4).mean(dim=2) ** (1 / 4)
    smoothness = ((w[:, :, :-1] - w[:, :, 1:]) ** 2).mean(dim=2) / (spread**2 + 1e-10)
    sparsity = 5e-5 * w.abs().mean() + 4e-5 * net.conv.weight.abs().mean()
    loss = profile.mean() + 2e-3 * smoothness.mean() + 1e-3 * counts.mean() + sparsity
    return loss.item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", NETS)
def test_loss_is_that_of_the_source(make, dtype):
    net, x = made(make).to(dtype), random_sequences(3, 800).to(dtype)
    target = torch.rand(3, 10, 800, dtype=dtype).mul(3).floor().log1p() / math.log(10)  # zeros too
    with torch.no_grad():
        prediction = net(x)
        terms = loss_terms(net, prediction, target)
        total = sum(term.mean() for term in terms.values()).item()
        assert total == pytest.approx(literally(net, prediction, target), rel=1e-6)
    assert list(terms) == ["profile", "counts", "smoothness", "effects", "motifs"]
    assert [term.shape for term in terms.values()] == [(3,), (3,), (), (), ()]


def test_margins_do_not_count():
    net = made(NETS[0])
    prediction, target = torch.rand(2, 10, 700), torch.rand(2, 10, 700)
    other = target.clone()
    other[..., :MARGIN] = other[..., -MARGIN:] = 9
    before, after = loss_terms(net, prediction, target), loss_terms(net, prediction, other)
    assert all(torch.equal(before[name], after[name]) for name in before)
    other[..., MARGIN] = 9
    assert not torch.equal(loss_terms(net, prediction, other)["profile"], before["profile"])


def test_a_locus_without_reads_gives_numbers():
    net, x = made(NETS[0]).float(), random_sequences(2, 700)
    terms = loss_terms(net, net(x), torch.zeros(2, 10, 700))
    sum(term.mean() for term in terms.values()).backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_counts_of_a_prediction():
    assert to_counts(torch.tensor([0.0, math.log(8)])).tolist() == pytest.approx([0, 7])
    y = torch.linspace(0, 12, 50, dtype=torch.float64)
    torch.testing.assert_close(to_counts(y), 10 ** (y / math.log(10)) - 1)  # as the source has it


def test_it_learns():
    net = made(lambda: SimpleNet(n_motifs=2, n_initiators=1)).float()
    x, target = random_sequences(16, 700), torch.zeros(16, 10, 700)
    target[..., 350] = 2  # one position, whatever the sequence; the margins of zeros tell it
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    train = Batches(x, target, batch_size=4, seed=0)
    history = fit(net, train, train, loss_terms, optimizer, epochs=4, seed=0, device="cpu")
    assert history["valid_loss"].iloc[-1] < 0.9 * history["valid_loss"].iloc[0]
    parts = [history[f"valid_{term}"] for term in loss_terms(net, net(x), target)]
    assert sum(parts).tolist() == pytest.approx(history["valid_loss"].tolist(), rel=1e-5)

"""ProCapNet: the published sizes and names, and every number by hand on a small one."""

from __future__ import annotations

import re
import tarfile

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Multinomial

from tests.models.procapnet_archives import (
    ENCODE,
    archive,
    encode_archive,
    member,
    multimolecule_file,
    special,
    stored,
)
from tests.support import refusal
from tssbook.models import checkpoints
from tssbook.models.procapnet import (
    ProCapNet,
    count_loss,
    count_macs,
    loss_terms,
    profile_loss,
    to_proba,
    to_reads,
)
from tssbook.sequence import one_hot
from tssbook.training import Batches, fit, predict


def random_x(n: int, length: int, seed: int = 0) -> torch.Tensor:
    letters = np.random.default_rng(seed).choice(list("ACGT"), size=(n, length))
    return one_hot(["".join(row) for row in letters])


def small(n_filters: int = 3, n_layers: int = 2, seed: int = 0) -> ProCapNet:
    torch.manual_seed(seed)
    return ProCapNet(n_filters, n_layers).eval()


def test_published_number_of_parameters():
    # 4 * 512 * 21 + 512, 8 * (512 * 512 * 3 + 512), 512 * 2 * 75 + 2, 512 + 1
    assert 43_520 + 6_295_552 + 76_802 + 513 == 6_416_387
    with torch.device("meta"):
        model = ProCapNet()
    assert sum(p.numel() for p in model.parameters()) == 6_416_387


def test_published_shapes():
    model = small(n_filters=2, n_layers=8)
    assert model.trim == 10 + 510 + 37 == 557
    profile, count = model(random_x(3, 2114))
    assert profile.shape == (3, 2, 1000)
    assert count.shape == (3, 1)


def test_names_of_bpnet_lite():
    layers = ["iconv", "rconvs.0", "rconvs.1", "fconv", "linear"]
    expected = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    assert list(small().state_dict()) == expected


@pytest.mark.parametrize("length", [107, 108, 131])
def test_any_length(length):
    model = small()  # trim 10 + 2 + 4 + 37 = 53
    profile, count = model(random_x(2, length))
    assert profile.shape == (2, 2, length - 106)
    assert count.shape == (2, 1)


def test_numbers_by_hand():
    """Each sum written out, without a convolution of torch."""
    model = small(n_filters=3, n_layers=1, seed=1)
    x = random_x(1, 105)
    weights = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    seen = x[0].double().numpy()  # trim 10 + 2 + 37 = 49: 7 outputs

    def at(values, position):
        inside = 0 <= position < values.shape[1]
        return values[:, position] if inside else np.zeros(len(values))

    def conv(values, layer, offsets):
        weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
        columns = [
            sum(weight[:, :, k] @ at(values, i + o) for k, o in enumerate(offsets)) + bias
            for i in range(values.shape[1])
        ]
        return np.stack(columns, axis=1)

    first = np.maximum(conv(seen, "iconv", range(-10, 11)), 0)
    second = first + np.maximum(conv(first, "rconvs.0", (-2, 0, 2)), 0)
    profile = conv(second, "fconv", range(-37, 38))[:, 49:56]
    mean = second[:, 49 - 37 : 56 + 37].mean(axis=1)
    count = weights["linear.weight"] @ mean + weights["linear.bias"]
    found = model(x)
    assert found[0][0].detach().numpy() == pytest.approx(profile, abs=1e-6)
    assert found[1][0].detach().numpy() == pytest.approx(count, abs=1e-6)


def test_an_output_sees_trim_bases_on_each_side_and_no_more():
    model = small()
    x = random_x(1, 140)
    profile, _ = model(x)  # output i stands at base 53 + i
    changed = x.clone()
    changed[0, :, 60] = changed[0, :, 60].flip(0)
    difference = (model(changed)[0] - profile)[0].abs().sum(0)
    # 0 to 33 stand at 53 to 86; base 60 reaches 60 - 53 = 7 to 60 + 53 = 113, that is all.
    assert difference.shape == (34,)
    assert (difference > 0).all()
    changed = x.clone()
    changed[0, :, 0] = changed[0, :, 0].flip(0)  # reaches base 53, output 0, and no other
    difference = (model(changed)[0] - profile)[0].abs().sum(0)
    assert difference[0] > 0
    assert (difference[1:] == 0).all()


def test_strands_and_counts_come_from_their_own_weights():
    model = small()
    x = random_x(1, 120)
    with torch.no_grad():
        profile, count = model(x)
        model.fconv.bias += torch.tensor([1.0, -2.0])
        model.linear.bias += 3
        shifted, larger = model(x)
    assert torch.allclose(shifted - profile, torch.tensor([1.0, -2.0])[:, None], atol=1e-6)
    assert torch.allclose(larger - count, torch.tensor(3.0), atol=1e-6)


def test_what_is_no_input():
    assert re.search("106 bp .*107 bp", refusal(lambda: small()(random_x(1, 106))))
    assert "(1, 1200, 4)" in refusal(lambda: small()(torch.zeros(1, 1200, 4)))


def test_is_a_checkpoint(tmp_path):
    model = small()
    checkpoints.save(model, tmp_path / "small")
    again = ProCapNet.from_pretrained(tmp_path / "small")
    x = random_x(2, 110)
    assert all(torch.equal(a, b) for a, b in zip(again(x), model(x), strict=True))


# --- what the outputs mean --------------------------------------------------------------------


def test_probabilities_sum_to_one_over_both_strands():
    logits = torch.log(torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 5.0]]]))
    expected = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 5.0]]]) / 20
    torch.testing.assert_close(to_proba(logits), expected)


def test_reads_are_the_share_of_each_base_in_all():
    model, x = small(), random_x(5, 120)
    profile, count = predict(model, x.to(torch.uint8), batch_size=2, device="cpu")
    assert (profile.shape, count.shape) == ((5, 2, 14), (5, 1))
    with torch.no_grad():
        torch.testing.assert_close((profile, count), model(x))
    reads = to_reads(profile, count)
    torch.testing.assert_close(reads.sum((1, 2)), count[:, 0].exp() - 1)
    shares = reads / reads.sum((1, 2), keepdim=True)
    torch.testing.assert_close(shares, to_proba(profile))


def test_multiplications():
    with torch.device("meta"):
        model = ProCapNet()
        five = nn.Conv1d(5, 512, 21)  # with a channel for N
    weights = 43_008 + 8 * 786_432 + 76_800  # 4 * 512 * 21, 512 * 512 * 3, 512 * 2 * 75
    assert count_macs(model, 2114) == 2114 * weights + 512 == 13_553_412_608
    model.iconv = five
    assert sum(p.numel() for p in model.parameters()) == 6_427_139  # 512 * 21 more
    assert round(count_macs(model, 2114) / 1e9, 2) == 13.58


# --- the loss ---------------------------------------------------------------------------------


def drawn(n: int = 4, length: int = 6, seed: int = 0):
    """Logits, counts and a mask, with reads at masked bases too."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, 2, length, generator=generator)
    counts = torch.randint(0, 5, (n, 2, length), generator=generator)
    mask = torch.rand(n, length, generator=generator) < 0.7
    return logits, counts, mask


def test_profile_loss_by_hand():
    logits = torch.zeros(1, 2, 2)  # four places, a quarter each
    counts = torch.tensor([[[1, 0], [0, 1]]])
    # Two reads at two places, in either order: 2 / 4**2 = 1 / 8.
    assert profile_loss(logits, counts).item() == pytest.approx(np.log(8))
    # Without the second base: one read at one of two places.
    mask = torch.tensor([[True, False]])
    assert profile_loss(logits, counts, mask).item() == pytest.approx(np.log(2))


def test_count_loss_by_hand():
    counts = torch.tensor([[[1, 0, 7], [0, 3, 9]]])
    mask = torch.tensor([[True, True, False]])
    # 20 reads, 4 of them at the first two bases.
    assert count_loss(torch.tensor([[1.5]]), counts).item() == pytest.approx(
        (np.log(21) - 1.5) ** 2
    )
    expected = (np.log(5) - 1.5) ** 2
    assert count_loss(torch.tensor([[1.5]]), counts, mask).item() == pytest.approx(expected)


@pytest.mark.parametrize("masked", [False, True])
def test_profile_loss_is_a_multinomial(masked):
    logits, counts, mask = drawn()
    mask = mask if masked else torch.ones_like(mask)
    found = profile_loss(logits, counts, mask if masked else None)
    assert found.shape == (4,)
    for i, row in enumerate(mask):
        reads = counts[i][:, row].flatten().float()
        theirs = Multinomial(int(reads.sum()), logits=logits[i][:, row].flatten())
        assert found[i].item() == pytest.approx(-theirs.log_prob(reads).item(), rel=1e-5)


def test_masked_bases_have_no_say():
    logits, counts, mask = drawn()
    counts = counts.float()
    logits.requires_grad_()
    before = profile_loss(logits, counts, mask)
    before.sum().backward()
    assert (logits.grad[~mask[:, None].expand_as(logits)] == 0).all()
    assert (logits.grad[mask[:, None].expand_as(logits)] != 0).any()
    hidden = ~mask[:, None].expand_as(counts)
    counts[hidden] = torch.nan
    with torch.no_grad():
        logits[hidden] += 50
    assert torch.equal(profile_loss(logits, counts, mask), before)
    log_count = torch.ones(4, 1)
    assert count_loss(log_count, counts, mask).isfinite().all()


def test_rows_without_reads_and_rows_without_a_mappable_base():
    logits, counts, mask = drawn()
    counts[0], mask[1] = 0, False
    log_count = torch.full((4, 1), 2.0, requires_grad=True)
    logits.requires_grad_()
    terms = loss_terms(small(), (logits, log_count), counts, mask)
    assert terms["profile"][:2].tolist() == [0, 0]
    # No reads at mappable bases is a count of 0; no mappable base says nothing.
    assert terms["counts"][:2].tolist() == [100 * 2.0**2, 0]
    with torch.autograd.set_detect_anomaly(True, check_nan=True):
        sum(term.sum() for term in terms.values()).backward()
    assert (logits.grad[:2] == 0).all()
    assert log_count.grad[1] == 0
    for tensor in (logits.grad, log_count.grad, *terms.values()):
        assert tensor.isfinite().all()
    assert (logits.grad[2:] != 0).any()


def test_weight_of_the_counts():
    logits, counts, mask = drawn()
    log_count = torch.randn(4, 1)
    plain = count_loss(log_count, counts, mask)
    for weight, terms in (
        (100, loss_terms(small(), (logits, log_count), counts, mask)),
        (7, loss_terms(small(), (logits, log_count), counts, mask, count_weight=7)),
    ):
        assert list(terms) == ["profile", "counts"]
        torch.testing.assert_close(terms["counts"], weight * plain)
        torch.testing.assert_close(terms["profile"], profile_loss(logits, counts, mask))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int64, torch.float64])
def test_counts_of_any_type(dtype):
    logits, counts, mask = drawn()
    expected = loss_terms(small(), (logits, torch.ones(4, 1)), counts.float(), mask)
    found = loss_terms(small(), (logits, torch.ones(4, 1)), counts.to(dtype), mask)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_fit_learns_with_the_mask():
    model, x = small(n_filters=4), random_x(8, 116)
    _, counts, mask = drawn(8, 10)
    history = fit(
        model,
        Batches(x, counts, mask, batch_size=4, seed=0),
        Batches(x, counts, mask, batch_size=4),
        loss_terms,
        torch.optim.Adam(model.parameters(), lr=0.01),
        epochs=8,
        seed=0,
        device="cpu",
    )
    assert {"train_profile", "train_counts"} <= set(history.columns)
    assert history["valid_loss"].iloc[-1] < 0.5 * history["valid_loss"].iloc[0]


# --- published weights ------------------------------------------------------------------------


def test_every_fold_of_an_archive_of_encode(tmp_path):
    models = [small(n_filters=2, n_layers=8, seed=seed) for seed in range(7)]
    path = encode_archive(tmp_path / "ENCFF976FHE.tar.gz", dict(enumerate(models)))
    state = torch.get_rng_state()
    for fold, model in enumerate(models):
        found = ProCapNet.from_published(path, fold)
        assert found.config == {"n_filters": 2, "n_layers": 8}
        assert not found.training
        assert list(found.state_dict()) == list(model.state_dict())
        for ours, theirs in zip(found.parameters(), model.parameters(), strict=True):
            assert torch.equal(ours, theirs)
            assert ours.requires_grad
    assert torch.equal(torch.get_rng_state(), state)
    assert list(tmp_path.iterdir()) == [path]  # nothing was unpacked


def test_archive_with_folders_and_what_a_mac_adds(tmp_path):
    model = small(n_filters=2, n_layers=8)
    name = f"fold_3/{ENCODE.format(3)}"
    members = [
        special("./fold_3", tarfile.DIRTYPE),
        member(f"./{name.replace('/', '/._')}", b"of a Mac"),
        member("./fold_3/training.log", b"text"),
        member(f"./{name}", stored(model.state_dict())),
    ]
    path = archive(tmp_path / "models.tar.gz", members)
    x = random_x(1, 1116)
    torch.testing.assert_close(ProCapNet.from_published(path, 3)(x), model(x))


def test_layout_of_multimolecule(tmp_path):
    model = small(n_filters=2, n_layers=8)
    path = multimolecule_file(tmp_path / "model.safetensors", model)
    found = ProCapNet.from_published(path)
    assert list(found.state_dict()) == list(model.state_dict())
    for ours, theirs in zip(found.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.is_contiguous()
    checkpoints.save(found, tmp_path / "ours")
    assert torch.equal(
        ProCapNet.from_pretrained(tmp_path / "ours").iconv.weight, model.iconv.weight
    )


def test_weights_of_half_precision_are_widened(tmp_path):
    model = small(n_filters=2, n_layers=8).half()
    found = ProCapNet.from_published(encode_archive(tmp_path / "half.tar.gz", {0: model}), 0)
    assert found.iconv.weight.dtype == torch.float32
    assert torch.equal(found.iconv.weight, model.iconv.weight.float())

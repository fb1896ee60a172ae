"""Mutagenesis of Chapter 3's networks: by hand, and against one prediction per edit in float64."""

from __future__ import annotations

import copy
import math
import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from support import refusal
from tssbook.interpret import _incremental_puffin as puffin_incremental
from tssbook.interpret import mutagenesis
from tssbook.interpret.mutagenesis import Totals, ism, linear_effects
from tssbook.models.puffin import Puffin, SimpleNet
from tssbook.sequence import one_hot

MODELS = ["SimpleNet", "Puffin"]


def sequences(n: int, length: int, seed: int = 0, unknown: float = 0.0) -> Tensor:
    """Random one-hot sequences with a share of N."""
    generator = np.random.default_rng(seed)
    letters = generator.choice(list("ACGT"), size=(n, length))
    letters[generator.random((n, length)) < unknown] = "N"
    return one_hot(["".join(row) for row in letters])


def network(name: str, seed: int = 0, **config: int) -> SimpleNet | Puffin:
    """A network with effects as large as trained ones have, so that its softplus bends."""
    torch.manual_seed(seed)
    if name == "SimpleNet":
        model: SimpleNet | Puffin = SimpleNet(**{"n_motifs": 3, "n_initiators": 2} | config)
    else:
        model = Puffin()
    with torch.no_grad():
        for layer in (model.conv, model.conv_inr):
            layer.weight.mul_(4)
        model.deconv.weight.mul_(4)
    return model.eval()


class BeforeSoftplus(nn.Module):
    """Totals before the softplus, as they are defined."""

    def __init__(self, model: SimpleNet | Puffin) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.effects(*self.model.activations(x))[..., 325:-325].sum(-1)


def precise(wrapped: nn.Module, x: Tensor, **options: int) -> Tensor:
    """One prediction per edit, in float64."""
    wrapped = copy.deepcopy(wrapped).double()
    assert not mutagenesis._as_built(wrapped)
    return ism(wrapped, x, device="cpu", **options)


def assert_close(found: Tensor, expected: Tensor) -> None:
    """Hold changes to 1e-4 of the largest; they come out about ten times closer."""
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    assert expected.abs().max() > 1e-3
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


# --- by hand --------------------------------------------------------------------------------


def impulse() -> SimpleNet:
    """One motif, a single G, that adds 2 to track 3 at 5 bases before it; nothing else."""
    model = SimpleNet(1, 1).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.zero_()
        model.conv.weight[0, 2, 25] = 1
        # Output j sees input j - 300 + tap, so an activation at i acts on i - 5 through tap 305.
        model.deconv.weight[3, 0, 305] = 2
    return model


SILU = 1 / (1 + math.exp(-1))  # of a G, whose filter gives 1; of anything else it is 0


def test_one_effect_by_hand():
    x = one_hot(["A" * 653])  # central positions are 325, 326 and 327
    linear, total = linear_effects(impulse(), x), ism(Totals(impulse()), x)
    assert linear.shape == total.shape == (1, 4, 653, 10)
    # A G at 330, 331 or 332 adds 2 silu(1) at one of them, where it was 0; nothing else counts.
    assert linear.nonzero().tolist() == [[0, 2, place, 3] for place in (330, 331, 332)]
    assert torch.allclose(linear[0, 2, 330:333, 3], torch.tensor(2 * SILU))
    expected = math.log(1 + math.exp(2 * SILU)) - math.log(2)
    assert torch.allclose(total[0, 2, 330:333, 3], torch.tensor(expected))
    total[0, 2, 330:333, 3] = 0
    assert total.abs().max() < 1e-6


def test_the_other_strand_by_hand():
    model = impulse()
    with torch.no_grad():
        model.deconv.weight[3, 0, 305] = 0
        model.deconv.weight[6, 1, 295] = 3  # channel 1 sees a C here, a G over there
    linear = linear_effects(model, one_hot(["T" * 325 + "C" + "T" * 325]))
    # Only position 325 is central, and what is at 320 acts on it: it becomes a C.
    assert linear.nonzero().tolist() == [[0, 1, 320, 6]]
    assert linear[0, 1, 320, 6].item() == pytest.approx(3 * SILU)


def test_initiators_by_hand():
    model = impulse()
    with torch.no_grad():
        model.deconv.weight.zero_()
        model.conv_inr.weight[0, 0, 7] = 1  # an A
        # A transposed convolution: tap 9 is 2 bases after the activation.
        model.deconv_inr.weight[0, 8, 9] = 1
    x = one_hot(["C" * 323 + "A" + "C" * 327])
    linear = linear_effects(model, x)
    # The A at 323 acts on 325; each other base in its place takes that away.
    assert linear.nonzero().tolist() == [[0, base, 323, 8] for base in (1, 2, 3)]
    assert torch.allclose(linear[0, 1:, 323, 8], torch.tensor(-SILU))
    total = ism(Totals(model), x)[0, 1:, 323, 8]
    assert torch.allclose(total, torch.tensor(math.log(2) - math.log(1 + math.exp(SILU))))


def test_totals_leave_the_margins_out():
    model, x = network("SimpleNet"), sequences(2, 700)
    with torch.no_grad():
        tracks, totals = model(x), Totals(model)(x)
    assert totals.shape == (2, 10)
    assert torch.allclose(totals, tracks[:, :, 325:375].sum(-1))


# --- against one prediction per edit --------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_simple_nets_of_all_sizes(seed):
    choose = random.Random(seed)  # noqa: S311
    model = network(
        "SimpleNet", seed, n_motifs=choose.randint(1, 6), n_initiators=choose.randint(1, 5)
    )
    length = choose.choice([651, 652, 657, 700, 743, 1000, 1305])
    x = sequences(choose.randint(1, 2), length, seed, unknown=choose.choice([0, 0.05]))
    # Both ends, and what the first and the last central position see of the motifs.
    for start in (0, 300, length - 351, length - 20):
        span = {"start": start, "end": start + 20}
        assert_close(ism(Totals(model), x, **span), precise(Totals(model), x, **span))
        expected = precise(BeforeSoftplus(model), x, **span)
        assert_close(linear_effects(model, x)[:, :, start : start + 20], expected)


def test_all_mutants_of_the_shortest_sequence():
    model, x = network("SimpleNet", n_motifs=2, n_initiators=1), sequences(1, 651, unknown=0.02)
    assert_close(ism(Totals(model), x), precise(Totals(model), x))
    assert_close(linear_effects(model, x), precise(BeforeSoftplus(model), x))


@pytest.mark.parametrize("length", [651, 700, 1305])
def test_the_published_network(length):
    model, x = network("Puffin"), sequences(1, length, unknown=0.05)
    for start in (0, 318, length - 12):
        span = {"start": start, "end": start + 12}
        assert_close(ism(Totals(model), x, **span), precise(Totals(model), x, **span))
        expected = precise(BeforeSoftplus(model), x, **span)
        assert_close(linear_effects(model, x)[:, :, start : start + 12], expected)


@pytest.mark.parametrize("name", MODELS)
def test_the_chapters_own_size(name):
    model = network(name, n_motifs=40, n_initiators=20)
    x = sequences(1, 4650, unknown=0.01)
    linear = linear_effects(model, x)
    for start in (0, 324, 2325, 4648):
        span = {"start": start, "end": start + 2}
        assert_close(ism(Totals(model), x, **span), precise(Totals(model), x, **span))
        expected = precise(BeforeSoftplus(model), x, **span)
        assert_close(linear[:, :, start : start + 2], expected)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_but_n(name):
    model, x = network(name), torch.zeros(1, 4, 660)
    span = {"start": 320, "end": 340}
    assert_close(ism(Totals(model), x, **span), precise(Totals(model), x, **span))
    expected = precise(BeforeSoftplus(model), x, **span)
    assert_close(linear_effects(model, x)[:, :, 320:340], expected)


def test_effects_that_are_huge():
    """Beyond exp's range in float32, where log(1 + exp(y)) is infinite."""
    model, x = network("SimpleNet"), sequences(1, 660)
    with torch.no_grad():
        model.deconv.weight.mul_(500)
    span = {"start": 320, "end": 340}
    expected = precise(Totals(model), x, **span)
    assert expected.abs().max() > 100
    assert_close(ism(Totals(model), x, **span), expected)


@pytest.mark.parametrize("name", MODELS)
def test_the_base_that_is_there_is_no_change(name):
    model, x = network(name), sequences(2, 660, unknown=0.05)
    there = x == 1
    for found in (ism(Totals(model), x), linear_effects(model, x)):
        assert found[there].count_nonzero() == 0
        assert (found[~there] != 0).any(-1).all()  # from 651 bp on, every base counts


# --- how it is cut does not matter ----------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_every_sequence_for_itself(name):
    model, x = network(name), sequences(3, 660, unknown=0.05)
    for way in (lambda part: ism(Totals(model), part), lambda part: linear_effects(model, part)):
        whole, single = way(x), torch.cat([way(row[None]) for row in x])
        assert torch.equal(whole, single)


@pytest.mark.parametrize("name", MODELS)
def test_a_range_of_positions_is_that_part_of_the_whole(name):
    model, x = network(name), sequences(1, 660, unknown=0.05)
    whole, part = ism(Totals(model), x), ism(Totals(model), x, start=17, end=333)
    assert torch.allclose(part, whole[:, :, 17:333], atol=1e-5 * float(whole.abs().max()))


# Sections of the 651 positions: 21, with none left over; 7 with some; one that is larger.
@pytest.mark.parametrize("section", [31, 101, 701])
def test_other_sections_and_fewer_edits_at_a_time(monkeypatch, section):
    model, x = network("SimpleNet"), sequences(1, 700)
    found = ism(Totals(model), x, start=300, end=360), linear_effects(model, x)
    monkeypatch.setattr(puffin_incremental, "_SECTION", section)
    monkeypatch.setattr(puffin_incremental, "_EDITS", 7)
    monkeypatch.setattr(puffin_incremental, "_POSITIONS", 3)
    other = ism(Totals(model), x, start=300, end=360), linear_effects(model, x)
    for a, b in zip(found, other, strict=True):
        assert (a - b).abs().max() < 1e-5 * a.abs().max()


def test_bytes_are_welcome():
    model, x = network("SimpleNet"), sequences(1, 660)
    assert torch.equal(ism(Totals(model), x.byte()), ism(Totals(model), x))
    assert torch.equal(linear_effects(model, x.byte()), linear_effects(model, x))


# --- who takes which path -------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_not_run_per_edit(monkeypatch, name):
    calls = []
    model = network(name)
    forward = type(model).forward

    def counted(self, x):
        calls.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(type(model), "forward", counted)
    ism(Totals(model), sequences(2, 660))
    assert calls == [2]  # the sequences as they are, and never again
    linear_effects(model, sequences(2, 660))
    assert calls == [2]


def test_model_mode_and_random_numbers_stay_as_they_are():
    model, x = network("Puffin").train(), sequences(1, 660)
    model.conv.eval()
    state, drawn = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    results = ism(Totals(model), x), linear_effects(model, x)
    assert not any(result.requires_grad for result in results)
    assert (model.training, model.conv.training) == (True, False)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not x.requires_grad


def with_a_hook(model: SimpleNet) -> None:
    model.deconv.register_forward_hook(lambda module, inputs, output: 2 * output)


def with_another_layer(model: SimpleNet) -> None:
    model.deconv_inr = nn.Sequential(model.deconv_inr, nn.Tanh())


def with_its_own_forward(model: SimpleNet) -> None:
    model.forward = lambda x: SimpleNet.forward(model, x) ** 3


def with_its_own_activations(model: SimpleNet) -> None:
    usual = model.activations
    model.activations = lambda x: tuple(2 * part for part in usual(x))


def with_its_own_effects(model: SimpleNet) -> None:
    usual = model.effects
    model.effects = lambda *parts: 3 * usual(*parts)


@pytest.mark.parametrize(
    "change",
    [
        with_a_hook, with_another_layer, with_its_own_forward, with_its_own_activations,
        with_its_own_effects,
    ],
)  # fmt: skip
def test_a_changed_model_is_run_in_full(change):
    model, x = network("SimpleNet"), sequences(1, 660)
    before = ism(Totals(model), x, start=325, end=326)
    change(model)
    found = ism(Totals(model), x, start=325, end=326)
    edited = x.clone()
    edited[0, :, 325] = torch.eye(4)[(x[0, :, 325].argmax() + 1) % 4]
    with torch.no_grad():
        expected = Totals(model)(edited) - Totals(model)(x)
    base = edited[0, :, 325].argmax()
    assert torch.allclose(found[:, base, 0], expected, atol=1e-5)
    assert not torch.allclose(found, before)
    assert refusal(lambda: linear_effects(model, x), TypeError) == (
        "The model is a SimpleNet; wanted a SimpleNet or Puffin, in float32, with the layers it "
        "was built with and without hooks. ism(Totals(model), x) takes any."
    )


class Doubled(SimpleNet):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class DoubledTotals(Totals):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def test_subclasses_are_run_in_full():
    model, x = network("SimpleNet"), sequences(1, 660)
    subclass = Doubled(3, 2).eval()
    subclass.load_state_dict(model.state_dict())
    expected = 2 * ism(Totals(model), x, start=320, end=330)
    for other in (Totals(subclass), DoubledTotals(model)):
        found = ism(other, x, start=320, end=330)
        assert (found - expected).abs().max() < 1e-3 * expected.abs().max()
    assert refusal(lambda: linear_effects(subclass, x), TypeError).startswith(
        "The model is a Doubled; wanted a SimpleNet or Puffin"
    )


# --- wrong input ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_sequences_without_a_central_position(name):
    model, x = network(name), sequences(1, 650)
    for call in (lambda: ism(Totals(model), x), lambda: linear_effects(model, x)):
        message = refusal(call)
        assert message.startswith("The sequences are 650 bp long")
        assert message.endswith("wanted at least 651 bp.")


def test_totals_of_what_has_no_tracks():
    assert refusal(lambda: Totals(nn.Identity())(torch.zeros(2, 4, 650))) == (
        "The model returns (2, 4, 650); wanted tracks (N, T, L) of at least 651 positions, as 325 "
        "at either end do not count."
    )
    assert refusal(lambda: Totals(nn.Flatten())(torch.zeros(2, 4, 651))).startswith(
        "The model returns (2, 2604); wanted tracks (N, T, L)"
    )


def test_linear_effects_of_something_else():
    x = sequences(1, 660)
    for model in (nn.Identity(), Totals(network("SimpleNet")), network("SimpleNet").double()):
        message = refusal(lambda model=model: linear_effects(model, x), TypeError)
        assert message.startswith(f"The model is a {type(model).__name__}; wanted a SimpleNet")


def test_linear_effects_of_what_is_not_one_hot():
    model, x = network("SimpleNet"), sequences(1, 660)
    assert refusal(lambda: linear_effects(model, ["GATT"]), TypeError) == (
        "x is list; wanted a tensor (N, 4, L): call one_hot first."
    )
    assert refusal(lambda: linear_effects(model, x / 2)).startswith(
        "x is not one-hot at position 0 of sequence 0"
    )
    assert refusal(lambda: linear_effects(model, x[0])) == (
        "x is (4, 660); wanted (N, 4, L) with at least one base."
    )

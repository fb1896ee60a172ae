"""Mutagenesis of Chapter 3's networks: by hand, and against one prediction per edit in float64."""

from __future__ import annotations

import copy
import math
import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tssbook.interpret import Totals, _incremental_puffin, funcs, ism, mutagenesis, total
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


def precise(wrapped: nn.Module, x: Tensor, **options: int) -> Tensor:
    """One prediction per edit, in float64."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutagenesis, "_fast_path", lambda _: None)
        return ism(copy.deepcopy(wrapped).double(), x, device="cpu", **options)


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


def softplus(y: float) -> float:
    return math.log(1 + math.exp(y))


def effects(model: SimpleNet, letters: str, start: int, end: int) -> dict[tuple, float]:
    """The changes that are any: base, position and track, and what it is."""
    found = ism(Totals(model), one_hot([letters]), start=start, end=end)[0]
    places = (found.abs() > 1e-6).nonzero().tolist()
    return {(base, start + place, track): float(found[base, place, track])
            for base, place, track in places}  # fmt: skip


def test_one_effect_by_hand():
    # Of 653 positions 325, 326 and 327 are central. A G at 330, 331 or 332 adds 2 silu(1) at one
    # of them, where it was 0; nothing else counts.
    found = effects(impulse(), "A" * 653, 320, 340)
    gain = softplus(2 * SILU) - math.log(2)
    assert found == pytest.approx({(2, place, 3): gain for place in (330, 331, 332)}, rel=1e-5)


def test_the_other_strand_by_hand():
    model = impulse()
    with torch.no_grad():
        model.deconv.weight[3, 0, 305] = 0
        model.deconv.weight[6, 1, 295] = 3  # channel 1 sees a C here, a G over there
    # Only position 325 is central, and what is at 320 acts on it: it becomes a C.
    found = effects(model, "T" * 325 + "C" + "T" * 325, 310, 330)
    assert found == pytest.approx({(1, 320, 6): softplus(3 * SILU) - math.log(2)}, rel=1e-5)


def test_initiators_by_hand():
    model = impulse()
    with torch.no_grad():
        model.deconv.weight.zero_()
        model.conv_inr.weight[0, 0, 7] = 1  # an A
        # A transposed convolution: tap 9 is 2 bases after the activation.
        model.deconv_inr.weight[0, 8, 9] = 1
    # The A at 323 acts on 325; each other base in its place takes that away.
    found = effects(model, "C" * 323 + "A" + "C" * 327, 310, 330)
    loss = math.log(2) - softplus(SILU)
    assert found == pytest.approx({(base, 323, 8): loss for base in (1, 2, 3)}, rel=1e-5)


def test_totals_leave_the_margins_out():
    model, x = network("SimpleNet"), sequences(2, 700)
    with torch.no_grad():
        tracks, totals = model(x), Totals(model)(x)
    assert totals.shape == (2, 10)
    assert torch.allclose(totals, tracks[:, :, 325:375].sum(-1))


# --- against one prediction per edit --------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_simple_nets_of_all_sizes(seed):
    choose = random.Random(seed)  # noqa: S311
    model = network(
        "SimpleNet", seed, n_motifs=choose.randint(1, 6), n_initiators=choose.randint(1, 5)
    )
    length = (651, 657, 743, 1305)[seed]
    x = sequences(1 + seed % 2, length, seed, unknown=choose.choice([0, 0.05]))
    # Both ends, and what the first and the last central position see of the motifs.
    for start in (0, 300, length - 351, length - 6):
        span = {"start": start, "end": start + 6}
        assert_close(ism(Totals(model), x, **span), precise(Totals(model), x, **span))


@pytest.mark.parametrize("length", [651, 1305])
def test_the_published_network(length):
    model, x = network("Puffin"), sequences(1, length, unknown=0.05)
    for start in (0, 318, length - 4):
        span = {"start": start, "end": start + 4}
        assert_close(ism(Totals(model), x, **span), precise(Totals(model), x, **span))


def test_the_chapters_own_size():
    model = network("SimpleNet", n_motifs=40, n_initiators=20)
    x = sequences(1, 4650, unknown=0.01)
    for start in (0, 2325):
        span = {"start": start, "end": start + 2}
        assert_close(ism(Totals(model), x, **span), precise(Totals(model), x, **span))


@pytest.mark.parametrize("name", MODELS)
def test_nothing_but_n(name):
    model, x = network(name), torch.zeros(1, 4, 660)
    span = {"start": 322, "end": 326}
    assert_close(ism(Totals(model), x, **span), precise(Totals(model), x, **span))


def test_effects_that_are_huge():
    """Beyond exp's range in float32, where log(1 + exp(y)) is infinite."""
    model, x = network("SimpleNet"), sequences(1, 660)
    with torch.no_grad():
        model.deconv.weight.mul_(500)
    span = {"start": 320, "end": 330}
    expected = precise(Totals(model), x, **span)
    assert expected.abs().max() > 100
    assert_close(ism(Totals(model), x, **span), expected)


# --- how it is cut does not matter ----------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_all_sequences_and_positions_or_some(name):
    model, x = network(name), sequences(2, 655, unknown=0.05)
    whole = ism(Totals(model), x)
    there = x == 1
    assert whole[there].count_nonzero() == 0
    assert (whole[~there] != 0).any(-1).all()  # from 651 bp on, every base counts
    part = ism(Totals(model), x[1:].byte(), start=17, end=333)
    assert torch.allclose(part, whole[1:, :, 17:333], atol=1e-5 * float(whole.abs().max()))


# Sections of the 651 positions: 21, with none left over; 7 with some; one that is larger.
@pytest.mark.parametrize("section", [31, 101, 701])
def test_other_sections_and_fewer_edits_at_a_time(monkeypatch, section):
    model, x = network("SimpleNet"), sequences(1, 700)
    found = ism(Totals(model), x, start=300, end=320)
    monkeypatch.setattr(_incremental_puffin, "_SECTION", section)
    monkeypatch.setattr(_incremental_puffin, "_EDITS", 7)
    other = ism(Totals(model), x, start=300, end=320)
    assert (found - other).abs().max() < 1e-5 * found.abs().max()


# --- who takes which path -------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_asked_twice_and_left_as_it_was(monkeypatch, name):
    calls, model, x = [], network(name).train(), sequences(2, 655)
    forward = type(model).forward

    def counted(self, x):
        calls.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(type(model), "forward", counted)
    model.conv.eval()
    state, drawn = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    result = ism(Totals(model), x, start=300, end=340)
    assert calls == [2, 4]  # the sequences as they are, and the check
    assert not result.requires_grad
    assert (model.training, model.conv.training) == (True, False)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def with_a_hook(model: SimpleNet) -> None:
    model.deconv.register_forward_hook(lambda module, inputs, output: 2 * output)


def with_another_layer(model: SimpleNet) -> None:
    model.deconv_inr = nn.Sequential(model.deconv_inr, nn.Tanh())


def with_its_own_forward(model: SimpleNet) -> None:
    model.forward = lambda x: SimpleNet.forward(model, x) ** 3


def with_its_own_activations(model: SimpleNet) -> None:
    usual = model.activations
    model.activations = lambda x: tuple(2 * part for part in usual(x))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_a_hook, "hooks"),
        (with_another_layer, "fails"),
        (with_its_own_forward, "differs"),
        (with_its_own_activations, "differs"),
    ],
)
def test_a_changed_model_is_run_in_full(change, reason):
    model, x = network("SimpleNet"), sequences(1, 655)
    before = ism(Totals(model), x, start=325, end=326)
    change(model)
    with pytest.warns(RuntimeWarning, match=f"Totals is predicted in full .*{reason}"):
        found = ism(Totals(model), x, start=325, end=326)
    edited = x.clone()
    edited[0, :, 325] = torch.eye(4)[(x[0, :, 325].argmax() + 1) % 4]
    with torch.no_grad():
        expected = Totals(model)(edited) - Totals(model)(x)
    base = edited[0, :, 325].argmax()
    assert torch.allclose(found[:, base, 0], expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, before)


class Doubled(SimpleNet):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class DoubledTotals(Totals):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def test_subclasses_have_no_fast_path():
    model, x = network("SimpleNet"), sequences(1, 655)
    subclass = Doubled(3, 2).eval()
    subclass.load_state_dict(model.state_dict())
    expected = 2 * ism(Totals(model), x, start=320, end=324)
    for other in (Totals(subclass), DoubledTotals(model)):
        assert mutagenesis._fast_path(other) is None
        found = ism(other, x, start=320, end=324)
        assert (found - expected).abs().max() < 1e-3 * expected.abs().max()


def test_the_func_takes_the_fast_path_too(monkeypatch):
    model, x = network("SimpleNet", n_tracks=2), sequences(1, 655)
    expected = ism(Totals(model), x, start=320, end=324)
    assert expected.shape == (1, 4, 4, 2)
    one = ism(model, x, total("1"), start=320, end=324)  # a prediction for each change
    assert torch.allclose(one, expected[..., 1], atol=1e-5)
    calls, forward = [], SimpleNet.forward
    counted = lambda self, x: calls.append(len(x)) or forward(self, x)  # noqa: E731
    monkeypatch.setattr(SimpleNet, "forward", counted)
    for func in ("totals", funcs.totals):
        assert torch.equal(ism(model, x, func, start=320, end=324), expected)
    assert calls == 2 * [1, 4]  # the sequence as it is, and the check


# --- wrong input ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_sequences_without_a_central_position(name):
    with pytest.raises(ValueError, match=r"650 bp.*at least 651 bp"):
        ism(Totals(network(name)), sequences(1, 650))


@pytest.mark.parametrize("net", [nn.Identity(), nn.Flatten()])
def test_totals_of_what_has_no_tracks(net):
    with pytest.raises(ValueError, match=r"\(2, (4, 650|2600)\); wanted tracks \(N, T, L\)"):
        Totals(net)(torch.zeros(2, 4, 650))

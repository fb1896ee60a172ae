"""Strand flips: a network whose best design is known, the budget, and what is left as it was."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from tssbook.interpret import design, designs, flip_strand
from tssbook.interpret.funcs import strands
from tssbook.interpret.heads import asked
from tssbook.models.procapnet import ProCapNet
from tssbook.models.promoter import PromoterNet
from tssbook.sequence import decode, one_hot

LENGTH = 106  # trim 49: 8 outputs at bases 49 to 56; all of them see bases 19 to 86
EVEN = (math.log(0.5), math.log(0.5))


def counter() -> ProCapNet:
    """A network that counts: + has the number of G as logits everywhere, - the number of C."""
    model = ProCapNet(n_filters=2, n_layers=1)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.zero_()
        model.iconv.weight[0, 2, 10] = 1  # filter 0 is 1 at each G,
        model.iconv.weight[1, 1, 10] = 1  # filter 1 at each C
        model.fconv.weight[0, 0] = 1
        model.fconv.weight[1, 1] = 1
    return model


def with_c(n: int) -> torch.Tensor:
    letters = ["A"] * LENGTH
    letters[50 : 50 + n] = "C" * n
    return one_hot(["".join(letters)])


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# --- the question ----------------------------------------------------------------------------


def test_strands_by_hand():
    """5 C and no G: - has e^5 at each of the 8 bases, + has e^0."""
    found = strands(counter(), with_c(5))
    minus = 8 * math.exp(5) / (8 * math.exp(5) + 8)
    assert found.shape == (1, 2)
    assert found.exp()[0].tolist() == pytest.approx([1 - minus, minus], rel=1e-4)


def test_strands_are_sums_over_the_one_softmax():
    torch.manual_seed(0)
    model = ProCapNet(3, 1)
    x = one_hot(["GATTACA" * 20, "CCGGTTA" * 20])
    proba = model(x)[0].flatten(1).softmax(-1).reshape(2, 2, -1)
    assert torch.allclose(strands(model, x).exp(), proba.sum(-1), atol=1e-6)


# --- the design -----------------------------------------------------------------------------


def test_the_flip_by_hand():
    """From 5 C to (0, -8): the log odds are G minus C, so 8 edits reach it and 7 almost do."""
    x = with_c(5)
    found = flip_strand(counter(), x, seed=0, max_iter=40, device="cpu")
    letters = decode(found.x)[0]
    odds = letters.count("G") - letters.count("C")
    assert found.before == pytest.approx((logistic(-5), logistic(5)), rel=1e-4)
    # A base near the ends of what is seen counts for some of the outputs only.
    assert found.after == pytest.approx((logistic(odds), logistic(-odds)), abs=1e-3)
    assert odds >= 6
    assert len(found.edits) <= 12  # Ledidi's penalty: far fewer than the 68 bases that count
    assert found.x.dtype == torch.float32
    assert all(after == "G" for _, _, after in found.edits)  # all others only cost


def test_edits_say_what_was_changed():
    x = with_c(5)
    found = flip_strand(counter(), x, seed=0, max_iter=40, device="cpu")
    letters = list(decode(x)[0])
    for position, before, after in found.edits:
        assert letters[position] == before != after
        letters[position] = after
    assert "".join(letters) == decode(found.x)[0]
    assert [p for p, _, _ in found.edits] == sorted(p for p, _, _ in found.edits)


@pytest.mark.parametrize("max_edits", [1, 5])
def test_the_budget_is_kept_and_the_best_edits_are(max_edits):
    """A C that becomes G counts twice: with 5 edits -5 becomes 5, with 1 it becomes -3."""
    found = flip_strand(
        counter(), with_c(5), max_edits=max_edits, seed=1, max_iter=40, device="cpu"
    )
    assert len(found.edits) == max_edits
    assert {(before, after) for _, before, after in found.edits} == {("C", "G")}
    assert found.after[0] == pytest.approx(logistic(2 * max_edits - 5), rel=1e-4)


def test_both_strands_alike():
    """Exercise 2: from log odds of -4 at most 10 edits make 0."""
    found = flip_strand(
        counter(), with_c(4), target=EVEN, max_edits=10, seed=0, max_iter=40, device="cpu"
    )
    assert found.after == pytest.approx((0.5, 0.5), abs=1e-4)
    assert 2 <= len(found.edits) <= 10


def test_the_other_way_round():
    x = with_c(5).flip(1)  # A to T, C to G: + is the stronger strand
    found = flip_strand(counter(), x, seed=0, max_iter=40, device="cpu")
    assert found.before[0] > 0.99
    assert found.after[1] > 0.99


def test_the_seed_decides():
    designs = [
        flip_strand(counter(), with_c(5), seed=s, max_iter=40, device="cpu") for s in (0, 0, 1)
    ]
    assert designs[0].edits == designs[1].edits
    assert designs[0].edits != designs[2].edits


def test_global_random_numbers_are_left_alone():
    model = counter()  # draws first weights
    before = torch.get_rng_state()
    flip_strand(model, with_c(5), seed=0, max_iter=5, device="cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_model_is_left_as_it_was():
    model = counter().train()
    model.iconv.weight.requires_grad_(False)
    state = copy.deepcopy(model.state_dict())
    x = with_c(5)
    flip_strand(model, x, seed=0, max_iter=5, device="cpu")
    assert model.training
    assert [p.requires_grad for p in model.parameters()] == [False] + [True] * 7
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(x, with_c(5))


def test_the_given_model_has_the_last_word(monkeypatch):
    """What is reported does not come from the copy that the design was made with."""

    class Liar(nn.Module):
        def forward(self, x):
            return torch.tensor([0.0, -8.0]) + 0 * x.sum((1, 2))[:, None]

    monkeypatch.setattr(designs.copy, "deepcopy", lambda model: Liar())
    liar = {"func": lambda model, x: model(x) if isinstance(model, Liar) else strands(model, x)}
    found = design(counter(), with_c(5), target=(0, -8), seed=0, max_iter=5, device="cpu", **liar)
    letters = decode(found.x)[0]
    odds = letters.count("G") - letters.count("C")
    assert math.exp(found.after[0]) == pytest.approx(logistic(odds), rel=1e-4)


def test_no_edit_where_none_is_needed():
    x = with_c(8)
    found = flip_strand(counter(), x, target=(-8, 0), seed=0, max_iter=5, device="cpu")
    assert found.edits == []
    assert torch.equal(found.x, x)
    assert found.after == found.before


def test_bytes_are_welcome():
    x = with_c(5)
    ways = [flip_strand(counter(), y, seed=0, max_iter=20, device="cpu") for y in (x, x.byte())]
    assert ways[0].edits == ways[1].edits


def test_many_useless_edits_are_pruned_in_a_few_rounds(monkeypatch):
    """61 A turned to T say nothing, 5 C turned to G do: these are what is left of 66 edits."""
    x = with_c(5)
    found = x.clone()
    found[0, :, 20:50] = found[0, :, 55:86] = torch.tensor([0, 0, 0, 1.0])[:, None]
    found[0, :, 50:55] = torch.tensor([0, 0, 1.0, 0])[:, None]
    question = asked(counter(), strands)
    rounds = []
    misses = designs._misses
    monkeypatch.setattr(designs, "_misses", lambda *given: rounds.append(1) or misses(*given))
    pruned = designs._pruned(question, x, found, torch.tensor([[0.0, -8.0]]), limit=5)
    assert (pruned != x).any(1)[0].nonzero().flatten().tolist() == [50, 51, 52, 53, 54]
    assert len(rounds) < 30


# --- other questions ------------------------------------------------------------------------


def test_a_flip_is_a_design_for_the_strands():
    """The same edits; what is said of it are logarithms there, and probabilities here."""
    settings = {"seed": 0, "max_iter": 20, "device": "cpu"}
    wanted = design(counter(), with_c(5), "strands", (0, -8), **settings)
    found = flip_strand(counter(), with_c(5), **settings)
    assert found.edits == wanted.edits != []
    assert [math.log(p) for p in found.after] == pytest.approx(wanted.after, abs=1e-5)


def n_g(model, x):
    """The only weight of a 1x1 convolution over all G: how many there are."""
    return model(x).sum((1, 2))


def counts_g() -> nn.Conv1d:
    model = nn.Conv1d(4, 1, 1, bias=False)
    nn.init.zeros_(model.weight)
    model.weight.data[0, 2] = 1
    return model


def test_a_design_for_one_number_by_hand():
    """No G where 6 are wanted: six edits to G, or fewer where an edit costs more than it brings."""
    x, settings = with_c(5), {"seed": 0, "max_iter": 60, "device": "cpu"}
    found = design(counts_g(), x, n_g, 6, **settings)
    assert (found.before, found.after) == ((0,), (6,))
    assert [after for _, _, after in found.edits] == 6 * ["G"]
    assert design(counts_g(), x, n_g, [6.0], max_edits=4, **settings).after == (4,)
    # (6 - 0)^2 = 36 is what all of six can bring.
    assert design(counts_g(), x, n_g, 6, edit_cost=100, **settings).edits == []


@pytest.mark.parametrize(("edit_cost", "n_edits"), [(5, 6), (7, 0)])
def test_what_is_drawn_is_judged_by_the_cost_of_its_edits(monkeypatch, edit_cost, n_edits):
    """Six edits save a squared distance of 36: worth 30, but not 42."""

    class Draws(nn.Module):
        def __init__(self, *_, **options):
            super().__init__()
            assert options["l"] == edit_cost

        def fit_transform(self, x, wanted):
            six = x.clone()
            six[0, :, 60:66] = torch.eye(4)[:, [2]]
            return torch.cat([x, six])

    monkeypatch.setattr("ledidi.Ledidi", Draws)
    found = design(counts_g(), with_c(5), n_g, 6, seed=0, edit_cost=edit_cost, device="cpu")
    assert len(found.edits) == n_edits


def test_a_design_for_a_model_with_one_number():
    torch.manual_seed(0)
    model = PromoterNet(dropout=0.5).train()
    with torch.no_grad():
        model.linear2.weight.mul_(30)
    found = design(model, with_c(5), None, 1.0, seed=0, max_iter=30, edit_cost=1e-4, device="cpu")
    assert model.training
    assert abs(found.after[0] - 1) < abs(found.before[0] - 1)
    with torch.no_grad():
        assert found.after[0] == pytest.approx(model.eval()(found.x).item(), abs=1e-6)


@pytest.mark.parametrize(
    ("given", "error", "found"),
    [
        ({"target": (1.0, 2.0)}, ValueError, r"\(1\.0, 2\.0\); wanted .* which is 1: now 0\."),
        ({"target": math.nan}, ValueError, "nan; wanted finite numbers"),
        ({"edit_cost": -1}, ValueError, "edit_cost is -1; wanted a finite number"),
        ({"func": "count"}, TypeError, r"\(1, 1, 106\) for 1 sequences; wanted profile logits"),
        ({"func": None}, TypeError, r"The model returns \(1, 1, 106\) for 1 .*wanted \(1,\) or"),
        ({"func": lambda *_: 3}, TypeError, r"func returns a int for 1 sequences; wanted \(1,\)"),
        ({"func": "profile"}, ValueError, "'profile'; wanted a function .*count, output, strands"),
        ({"func": 3}, TypeError, "func is int; wanted a function"),
    ],
)
def test_questions_that_cannot_be_answered(given, error, found):
    given = {"func": n_g, "target": 6, "seed": 0, "device": "cpu"} | given
    with pytest.raises(error, match=found):
        design(counts_g(), with_c(5), **given)


# --- wrong input ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "found"),
    [
        ({"x": with_c(5)[..., :98]}, ValueError, r"98 bp .*at least 99 bp"),
        ({"x": with_c(5) * (torch.arange(LENGTH) != 7)}, ValueError, "N at position 7 .*wanted A"),
        ({"x": with_c(5).repeat(3, 1, 1)}, ValueError, r"3 sequences; wanted one, \(1, 4, L\)"),
        ({"x": with_c(5)[0]}, ValueError, r"\(4, 106\); wanted \(N, 4, L\)"),
        ({"x": "GATTACA"}, TypeError, "str; wanted a tensor"),
        ({"model": nn.Conv1d(4, 2, 1)}, TypeError, r"\(1, 2, 106\) for 1 .*wanted profile logits"),
        ({"target": (0.0,)}, ValueError, r"\(0\.0,\); wanted two log probabilities"),
        ({"target": (0.5, 0.5)}, ValueError, r"\(0\.5, 0\.5\); wanted two log"),
        ({"target": (0, -math.inf)}, ValueError, "-inf.*wanted two log"),
        ({"target": (math.nan, -1)}, ValueError, "nan.*wanted two log"),
        ({"max_edits": 0}, ValueError, "max_edits is 0; wanted a whole number of 1"),
        ({"max_iter": 0}, ValueError, "max_iter is 0; wanted a whole number of 1"),
    ],
)
def test_what_is_refused(given, error, found):
    given = {"model": counter(), "x": with_c(5)} | given
    with pytest.raises(error, match=found):
        flip_strand(given.pop("model"), given.pop("x"), seed=0, device="cpu", **given)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_inside_a_block_without_gradients(mode):
    wanted = flip_strand(counter(), with_c(5), seed=0, max_iter=20, device="cpu")
    with mode():
        found = flip_strand(counter(), with_c(5), seed=0, max_iter=20, device="cpu")
    assert found.edits == wanted.edits

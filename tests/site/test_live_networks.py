"""The networks that live in the page, in the browser: what they say is what PyTorch says.

Most of the page's weights are halves and PyTorch's are whole, so these tests also hold that halves
suffice.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.site.conftest import Visit
from tssbook import simulator
from tssbook.interpret import ism
from tssbook.interpret.heads import ProfileHead
from tssbook.models import ProCapNet, PromoterNet, SimpleNet
from tssbook.models.procapnet import to_proba
from tssbook.sequence import one_hot

N_SEQUENCES, N_EDITS = 20, 200
NETWORKS = {
    "simplenet": (SimpleNet, 4650),
    "simplenet-yeast": (SimpleNet, 4650),
    "procapnet": (ProCapNet, 2114),
    "procapnet-yeast-17": (ProCapNet, 2114),
    "promoter": (PromoterNet, 2000),
}

# The page's side. Arrays come back as base64 of 32-bit floats: numbers one by one take minutes.
PAGE = """
globalThis.packed = numbers => {
  const bytes = new Uint8Array(Float32Array.from(numbers).buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return btoa(text);
};
globalThis.network = async ([name, kind, sequence]) => {
  globalThis.net = new tssLive[kind](await tssLive.loadWeights(name));
  if (sequence) net.set(tssLive.encode(sequence));
};
globalThis.said = () =>
  net.value !== undefined ? [packed([net.value])]
  : net.logits ? [packed(net.logits), packed([net.count])]
  : [packed(net.prediction)];
"""
# Sets one sequence and edits it many times; says the prediction after some of the edits.
CHAIN = """([sequence, edits, stops]) => {
  net.set(tssLive.encode(sequence));
  const found = [said()];
  edits.forEach(([start, word], i) => {
    net.edit(start, tssLive.encode(word));
    if (stops.includes(i + 1)) found.push(said());
  });
  return found;
}"""


def unpacked(text: str) -> np.ndarray:
    """Undo the page's `packed`."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4")


@cache
def sequences() -> list[str]:
    """Simulated loci, 4,650 bp, the start site in the middle."""
    codes = simulator.simulate(N_SEQUENCES, seed=5, tracks=False).sequences
    return ["".join("ACGT"[code] for code in row) for row in codes]


def middle(sequence: str, length: int) -> str:
    """Return the middle of a sequence."""
    start = (len(sequence) - length) // 2
    return sequence[start : start + length]


def random_edits(length: int, seed: int) -> list[tuple[int, str]]:
    """Draw edits, positions and what to write there: mostly single bases, some N, some words."""
    rng = np.random.default_rng(seed)
    edits = []
    for _ in range(N_EDITS):
        size = rng.integers(6, 13) if rng.random() < 0.1 else 1
        word = "".join(rng.choice(list("ACGTN"), size, p=[0.24, 0.24, 0.24, 0.24, 0.04]))
        edits.append((int(rng.integers(length - size + 1)), word))
    return edits


def outputs(model: torch.nn.Module, x: Tensor) -> list[np.ndarray]:
    """What PyTorch says of each row, as rows of numbers: one array per output."""
    with torch.no_grad():
        found = model(x)
    found = found if isinstance(found, tuple) else (found,)
    return [part.reshape(len(x), -1).numpy() for part in found]


def assert_agree(found: np.ndarray, wanted: np.ndarray, share: float = 1e-3) -> None:
    """Largest difference, as a share of the range of what is wanted."""
    assert found.shape == wanted.shape
    difference = np.abs(found - wanted).max() / np.ptp(wanted)
    assert difference < share, f"{difference:.1e} of the range"


@pytest.fixture
def say(visit: Visit) -> Callable[..., Any]:
    """Start a network in the page; returns a function that evaluates a script there."""
    visit.open("404.html")
    visit.page.add_script_tag(url=visit.base + "_static/live.js")

    def start(name: str, sequence: str = "") -> Callable[..., Any]:
        # Twice, as a function and called: the page's policy forbids scripts in text.
        visit.page.evaluate(f"() => {{ {PAGE} }}")
        visit.page.evaluate("given => network(given)", [name, NETWORKS[name][0].__name__, sequence])
        return visit.page.evaluate

    return start


@pytest.mark.parametrize("name", NETWORKS)
def test_a_chain_of_edits_ends_where_pytorch_starts_anew(
    say: Callable[..., Any], name: str
) -> None:
    """For 20 sequences, 200 edits each. Each edit builds on those before it, so an error of any of
    them is still there at the end, where all is compared; and at one random place on the way.
    """
    kind, length = NETWORKS[name]
    evaluate = say(name)
    found, changed = [], []
    for i, whole in enumerate(sequences()):
        sequence, edits = middle(whole, length), random_edits(length, seed=i)
        stops = [int(np.random.default_rng(i).integers(1, N_EDITS)), N_EDITS]
        found += evaluate(CHAIN, [sequence, edits, stops])
        letters = list(sequence)
        changed.append(sequence)
        for k, (start, word) in enumerate(edits, start=1):
            letters[start : start + len(word)] = word
            if k in stops:
                changed.append("".join(letters))
    assert len(found) == 3 * N_SEQUENCES
    wanted = outputs(kind.from_pretrained(name), one_hot(changed))
    for j, part in enumerate(wanted):
        assert_agree(np.stack([unpacked(said[j]) for said in found]), part)


def centred(gradient: Tensor, x: Tensor) -> np.ndarray:
    """Gradient times one-hot input, centred over the four bases, (L,)."""
    return ((gradient - gradient.mean(1, keepdim=True)) * x).sum(1)[0].numpy()


@pytest.mark.parametrize(("name", "tracks"), [("simplenet", [2, 7]), ("simplenet-yeast", [0])])
def test_letters_of_simplenet_are_gradients(
    say: Callable[..., Any], name: str, tracks: list[int]
) -> None:
    """Of the sums of some tracks over some positions, with two filters out and N in between."""
    sequence = sequences()[1][:2400] + "NN" + sequences()[1][2402:]
    evaluate = say(name, sequence)
    evaluate("() => { net.knock(3, false); net.knock(45, false); }")
    found = unpacked(evaluate(f"() => packed(net.letters({tracks}, 2300, 2420))"))
    model = silenced(SimpleNet.from_pretrained(name), 3, 5)
    x = one_hot([sequence]).requires_grad_()
    model.effects(*model.activations(x))[0, tracks, 2300:2420].sum().backward()
    assert_agree(found, centred(x.grad, x.detach()))


@pytest.mark.parametrize("head", ["count", "profile"])
def test_letters_of_procapnet_are_gradients(say: Callable[..., Any], head: str) -> None:
    """Of the count, and of the profile's logits as `ProfileHead` weights them."""
    sequence = middle(sequences()[2], 2114)
    evaluate = say("procapnet", sequence)
    found = unpacked(evaluate("head => packed(net.letters(head))", head))
    model = ProCapNet.from_pretrained("procapnet")
    x = one_hot([sequence]).requires_grad_()
    target = model(x)[1] if head == "count" else ProfileHead(model, x.detach())(x)
    target.sum().backward()
    assert_agree(found, centred(x.grad, x.detach()), 2e-3)


def silenced(model: SimpleNet, motif: int, initiator: int) -> SimpleNet:
    """Set the effects of one motif and of one initiator to 0, on both strands."""
    with torch.no_grad():
        for strand in (0, 1):
            model.deconv.weight[:, 40 * strand + motif] = 0
            model.deconv_inr.weight[20 * strand + initiator] = 0
    return model


def test_filters_of_simplenet_go_and_come_back(say: Callable[..., Any]) -> None:
    """A motif (3) and an initiator (40 + 5) knocked out, then an edit; then both put back."""
    sequence = sequences()[3]
    evaluate = say("simplenet", sequence)
    evaluate("() => { net.knock(3, false); net.knock(45, false); net.knock(3, false); }")
    without = unpacked(evaluate("() => { net.edit(2300, [0, 1, 2, 3]); return said()[0]; }"))
    again = unpacked(
        evaluate("() => { net.knock(3, true); net.knock(45, true); return said()[0]; }")
    )
    x = one_hot([sequence[:2300] + "ACGT" + sequence[2304:]])
    model = SimpleNet.from_pretrained("simplenet")
    whole = outputs(model, x)[0][0]
    gone = outputs(silenced(model, 3, 5), x)[0][0]
    assert_agree(again, whole)
    assert_agree(without, gone)
    assert np.abs(gone - whole).max() > 0.02 * np.ptp(whole)


def test_a_filter_of_procapnet_goes_and_comes_back(say: Callable[..., Any]) -> None:
    """The busiest filter of the first layer knocked out, then an edit; then put back."""
    sequence = middle(sequences()[3], 2114)
    x = one_hot([sequence[:1000] + "ACGT" + sequence[1004:]])
    model = ProCapNet.from_pretrained("procapnet")
    filter_ = int(model.iconv(x).relu().mean((0, 2)).argmax())
    evaluate = say("procapnet", sequence)
    evaluate("filter => net.knock(filter, false)", filter_)
    without = evaluate("() => { net.edit(1000, [0, 1, 2, 3]); return said(); }")
    again = evaluate("filter => { net.knock(filter, true); return said(); }", filter_)
    for found, wanted in zip(again, outputs(model, x), strict=True):
        np.testing.assert_allclose(unpacked(found), wanted[0], atol=2e-3 * np.abs(wanted).max())
    with torch.no_grad():
        model.iconv.weight[filter_] = 0
        model.iconv.bias[filter_] = 0
    for found, wanted in zip(without, outputs(model, x), strict=True):
        np.testing.assert_allclose(unpacked(found), wanted[0], atol=2e-3 * np.abs(wanted).max())


def test_contributions_add_up(say: Callable[..., Any]) -> None:
    """Of all channels and the bias, to the sum of a track at a position; one knocked out is 0."""
    evaluate = say("simplenet", sequences()[4])
    found = evaluate(
        """() => {
          net.knock(7, false);
          return [[0, 2325], [9, 300], [4, 4649]].map(([track, position]) => {
            const {motifs, initiators, bias} = net.contributions(track, position);
            return [motifs[7], motifs[47], motifs.reduce((a, b) => a + b, 0)
              + initiators.reduce((a, b) => a + b, 0) + bias, net.sums[track * 4650 + position]];
          });
        }"""
    )
    for first, second, total, sum_ in found:
        assert first == second == 0
        assert total == pytest.approx(sum_, abs=1e-3)


def test_activations_are_those_of_pytorch(say: Callable[..., Any]) -> None:
    """Motifs and initiators, channel by channel."""
    sequence = sequences()[6]
    evaluate = say("simplenet", sequence)
    with torch.no_grad():
        wanted = SimpleNet.from_pretrained("simplenet").activations(one_hot([sequence]))
    for name, part in zip(("motifs", "initiators"), wanted, strict=True):
        assert_agree(unpacked(evaluate(f"() => packed(net.{name})")), part.numpy().ravel())


def test_a_profile_is_one_distribution_over_both_strands(say: Callable[..., Any]) -> None:
    """Probabilities, (2, 1000), as `to_proba` makes them."""
    sequence = middle(sequences()[7], 2114)
    evaluate = say("procapnet", sequence)
    found = unpacked(evaluate("() => packed(net.profile())"))
    assert found.sum() == pytest.approx(1, abs=1e-5)
    with torch.no_grad():
        logits, _ = ProCapNet.from_pretrained("procapnet")(one_hot([sequence]))
    assert_agree(found, to_proba(logits).numpy().ravel(), 2e-3)


def test_a_scan_is_mutagenesis_also_after_an_edit(say: Callable[..., Any]) -> None:
    """Two windows, before and after an edit, as far as it reaches; the network is as it was."""
    sequence = middle(sequences()[8], 2000)
    evaluate = say("promoter", sequence)
    scan = """() => [...net.scan(850, 1030), ...net.scan(0, 5)].map(
      ({position, values}) => [position, ...values])"""
    model = PromoterNet.from_pretrained("promoter")
    for word in ("", "TATAAA"):
        evaluate("word => net.edit(940, tssLive.encode(word))", word)
        before = evaluate("() => net.value")
        found = np.array(evaluate(scan))
        assert evaluate("() => net.value") == before
        x = one_hot([sequence[:940] + word + sequence[940 + len(word) :]])
        changes = ism(model, x)[0].numpy()  # (4, L), relative to the prediction
        places = found[:, 0].astype(int)
        assert list(places) == [*range(850, 1030), *range(5)]
        wanted = changes[:, places].T + outputs(model, x)[0][0, 0]
        assert_agree(found[:, 1:], wanted)


@pytest.mark.parametrize("name", ["simplenet", "procapnet", "promoter"])
def test_a_sequence_that_is_too_short_gets_a_sentence(say: Callable[..., Any], name: str) -> None:
    """And says how much is needed."""
    evaluate = say(name)
    message = evaluate(
        "() => { try { net.set(tssLive.encode('ACGT')); } catch (e) { return e.message; } }"
    )
    assert message.startswith("That is 4 bases; this network needs at least ")

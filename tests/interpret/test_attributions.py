"""DeepLIFT/SHAP: by hand, against Captum, against mutagenesis; the heads; what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tssbook.interpret import CountHead, ProfileHead, attribute, heads, ism, total
from tssbook.metrics import pearson_r
from tssbook.models.procapnet import ProCapNet
from tssbook.models.promoter import PromoterNet
from tssbook.models.puffin import Puffin, SimpleNet
from tssbook.models.toy import ToyCNN
from tssbook.sequence import one_hot

pytest.importorskip("tangermeme")
HEADS = ["profile", "count"]


def sequences(n: int, length: int = 140, seed: int = 0) -> torch.Tensor:
    letters = np.random.default_rng(seed).choice(list("ACGT"), size=(n, length))
    return one_hot(["".join(row) for row in letters])


def small(n_filters: int = 8, n_layers: int = 2, seed: int = 0) -> ProCapNet:
    torch.manual_seed(seed)
    model = ProCapNet(n_filters, n_layers).eval()
    with torch.no_grad():
        model.fconv.weight *= 10  # so that the profile is not flat
    return model


class WithModules(ProCapNet):
    """The same network with a ReLU module for each layer, as hooks want it."""

    def __init__(self, n_filters: int, n_layers: int) -> None:
        super().__init__(n_filters, n_layers)
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(n_layers + 1))

    def forward(self, x):
        x = self.relus[0](self.iconv(x))
        for conv, relu in zip(self.rconvs, self.relus[1:], strict=True):
            x = x + relu(conv(x))
        inside = self.trim
        profile = self.fconv(x[..., inside - 37 : 37 - inside])
        return profile, self.linear(x[..., inside - 37 : 37 - inside].mean(-1))


def with_modules(model: ProCapNet) -> WithModules:
    twin = WithModules(**model.config)
    twin.load_state_dict(model.state_dict())
    return twin.eval()


def head_of(kind: str, model: nn.Module, x: torch.Tensor) -> nn.Module:
    return ProfileHead(model, x) if kind == "profile" else CountHead(model)


class Plain(nn.Module):
    """The number that a head of ``model`` explains, from a twin with modules, and no more."""

    def __init__(self, kind: str, model: ProCapNet, x: torch.Tensor) -> None:
        super().__init__()
        self.twin = with_modules(model)
        self.weights = ProfileHead(model, x).weights if kind == "profile" else None

    def forward(self, x):
        profile, count = self.twin(x)
        return count if self.weights is None else (profile * self.weights).sum((1, 2))[:, None]


def shuffles(x: torch.Tensor, n: int, seed: int) -> torch.Tensor:
    """The references of `attribute`: shuffle k of a sequence has the seed ``seed + k``."""
    from tangermeme.ersatz import dinucleotide_shuffle

    parts = [dinucleotide_shuffle(x, n=1, random_state=seed + k)[:, 0] for k in range(n)]
    return torch.cat(parts).to(x.dtype)


# --- the heads ------------------------------------------------------------------------------


def test_the_profile_head_by_hand():
    model, x = small(), sequences(1)
    logits = model(x)[0].detach().double().flatten()
    proba = torch.exp(logits) / torch.exp(logits).sum()
    head = ProfileHead(model, x)
    assert head(x).shape == (1, 1)
    assert head(x).item() == pytest.approx(
        float((proba * (logits - logits.mean())).sum()), abs=1e-5
    )
    assert head.weights.sum().item() == pytest.approx(0, abs=1e-6)


def test_the_profile_head_keeps_the_weights_of_its_sequence():
    model, x = small(), sequences(3)
    head = ProfileHead(model, x[:1])
    logits = model(x)[0].flatten(1)
    proba = logits[:1].softmax(-1)
    expected = (proba * (logits - logits.mean(-1, keepdim=True))).sum(-1, keepdim=True)
    assert torch.allclose(head(x), expected, atol=1e-5)


def test_the_count_head_is_the_count():
    model, x = small(), sequences(3)
    assert torch.equal(CountHead(model)(x), model(x)[1])


class Bent(nn.Module):
    """Two convolutions with something between them, as ``forward`` calls it."""

    def __init__(self, bend, layer: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second = nn.Conv1d(4, 6, 5), nn.Conv1d(6, 3, 5)
        self.bend, self.layer = bend, layer

    def forward(self, x):
        x = self.first(x)
        x = self.layer(x) if self.layer else self.bend(x)
        x = self.second(x)
        return x[:, :2], x[:, 2].mean(-1, keepdim=True)


def in_place_and_forgotten(x):
    x.relu_()
    return x


RELUS = {
    "torch.relu": torch.relu,
    "F.relu": F.relu,
    "Tensor.relu": lambda x: x.relu(),
    "Tensor.relu_": in_place_and_forgotten,
    "torch.relu_": torch.relu_,
    "F.relu_": F.relu_,
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "F.relu in place, by position": lambda x: F.relu(x, True),
    "F.relu by name": lambda x: F.relu(input=x),
}


@pytest.mark.parametrize("name", RELUS)
def test_every_relu_is_seen(name):
    """As with a module, for which tangermeme has a rule; a gradient alone would not add up."""
    x = sequences(1, 40)
    settings = {"seed": 0, "n_shuffles": 3, "device": "cpu"}
    found = attribute(Bent(RELUS[name]), x, "count", **settings)
    expected = attribute(Bent(None, nn.ReLU()), x, "count", **settings)
    assert torch.allclose(found.hypothetical, expected.hypothetical, atol=1e-7)
    assert found.deltas.abs().max() < 1e-6


@pytest.mark.parametrize(
    "layer", [nn.Softplus(), nn.SiLU(), nn.GELU(), nn.Sigmoid(), nn.Tanh(), nn.ELU(), nn.ReLU6()]
)
def test_layers_of_torch_are_seen(layer):
    found = attribute(
        Bent(None, layer), sequences(1, 40), "count", seed=0, n_shuffles=3, device="cpu"
    )
    assert found.deltas.abs().max() < 1e-6


@pytest.mark.parametrize("layer", [nn.ReLU, nn.SiLU])
def test_layers_that_write_in_place(layer):
    settings = {"func": "count", "seed": 0, "n_shuffles": 3, "device": "cpu"}
    x, within = sequences(1, 40), layer(inplace=True)
    found = attribute(Bent(None, within), x, **settings)
    assert torch.equal(found.hypothetical, attribute(Bent(None, layer()), x, **settings)[1])
    assert within.inplace


def test_normalisations_that_depend_on_the_sequence_are_refused():
    with pytest.raises(NotImplementedError, match=r"no rule for normalisations"):
        attribute(Bent(None, nn.GroupNorm(1, 6)), sequences(1, 40), "count", seed=0, n_shuffles=3)


@pytest.mark.parametrize("word", ["A", "AC"])
def test_sequences_that_shuffling_does_not_change(word):
    x = one_hot([word * (140 // len(word))]).float()
    with pytest.raises(ValueError, match="Every shuffle"):
        attribute(small(), x, "count", seed=0, n_shuffles=3)


BENDS = {
    "F.softplus with a setting": lambda h: F.softplus(h, 2),
    "F.mish": F.mish,
    "torch.special.expit": torch.special.expit,
    "product": lambda h: h * h,
    "division": lambda h: 1 / (h + 3),
    "einsum": lambda h: torch.einsum("nfl,ngl->nfl", h, h),
}


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("name", BENDS)
def test_contributions_that_do_not_add_up_are_refused(name, kind):
    model = Bent(BENDS[name])
    with torch.no_grad():
        model.first.weight *= 5  # into the bends
    number = r"[\d.e-]+"
    message = rf"by up to {number}, where these are up to {number}; wanted at most 1%.*torch\.nn"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one sentence, and not tangermeme's as well
        with pytest.raises(NotImplementedError, match=message):
            attribute(model, sequences(1, 40), kind, seed=0, n_shuffles=3, device="cpu")


def test_rounding_alone_is_no_reason_to_refuse():
    """Of a prediction that hardly depends on the sequence."""
    model = small()
    with torch.no_grad():
        model.linear.weight *= 1e-7
        model.linear.bias.fill_(5)
    found = attribute(model, sequences(1), "count", seed=0, n_shuffles=3, device="cpu")
    assert found.contributions.abs().max() < 1e-6


# --- the attributions -----------------------------------------------------------------------


def test_a_linear_network_by_hand():
    """With weights and inputs above zero ReLU does nothing: a base adds its weight, per base."""
    model = small(4, 1)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.abs_()
    x = sequences(1, 120)
    found = attribute(model, x, "count", seed=0, n_shuffles=3, device="cpu")
    steps = ism(model, x)[1][..., 0]  # (1, 4, L): to each base, and 0 at the base that is there
    gains = -steps[:, None] + steps[:, :, None]  # (1, to, from, L)
    mean = shuffles(x, 3, 0).mean(0)[None]  # (1, 4, L)
    expected = (gains * mean[:, None]).sum(2)
    assert torch.allclose(found.hypothetical, expected, atol=1e-6)
    assert torch.allclose(found.contributions, expected * x, atol=1e-6)


@pytest.mark.parametrize("kind", HEADS)
def test_contributions_add_up(kind):
    model, x = small(), sequences(2)
    found = attribute(model, x, kind, seed=3, n_shuffles=5, device="cpu")
    assert found.contributions.shape == found.hypothetical.shape == x.shape
    assert found.deltas.shape == (2, 5)
    assert found.deltas.abs().max() < 1e-5
    for number, one in enumerate(x.split(1)):
        head = head_of(kind, model, one)
        expected = (head(one) - head(shuffles(one, 5, 3)).mean()).item()
        assert abs(expected) > 1e-3
        assert found.contributions[number].sum().item() == pytest.approx(expected, abs=1e-5)


def test_contributions_are_the_hypothetical_ones_of_the_bases_that_are_there():
    model, x = small(), sequences(2)
    found = attribute(model, x, "profile", seed=0, n_shuffles=2, device="cpu")
    assert torch.equal(found.contributions, found.hypothetical * x)
    assert (found.hypothetical[x == 0] != 0).any()


@pytest.mark.parametrize("kind", HEADS)
def test_tangermeme_itself_says_the_same(kind):
    """On a network with modules of its own, with tangermeme's own averages."""
    from tangermeme.deep_lift_shap import deep_lift_shap

    model, x = small(), sequences(1)
    found = attribute(model, x, kind, seed=5, n_shuffles=4, device="cpu")
    head = Plain(kind, model, x)
    settings = {"n_shuffles": 4, "random_state": 5, "device": "cpu"}
    for hypothetical, ours in [(True, found.hypothetical), (False, found.contributions)]:
        theirs = deep_lift_shap(head, x, hypothetical=hypothetical, **settings)
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_it_is_the_convention_with_the_softmax_detached():
    """The same contributions; but there the differences of predictions are others."""
    from tangermeme.deep_lift_shap import deep_lift_shap

    class Detached(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            logits = self.model(x)[0].flatten(1)
            logits = logits - logits.mean(-1, keepdim=True)
            return (logits * logits.softmax(-1).detach()).sum(-1, keepdim=True)

    model, x = small(), sequences(1)
    found = attribute(model, x, "profile", seed=0, n_shuffles=4, device="cpu")
    with pytest.warns(RuntimeWarning, match="onvergence deltas"):
        theirs = deep_lift_shap(
            Detached(with_modules(model)), x, n_shuffles=4, random_state=0, device="cpu"
        )
    assert torch.allclose(found.contributions, theirs, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")
@pytest.mark.parametrize("kind", HEADS)
def test_captum_reports_the_same_in_another_convention(kind):
    """Multipliers times (x - reference): equal to ours in each column's sum, not in its rows."""
    captum = pytest.importorskip("captum.attr")
    model, x = small(), sequences(1)
    found = attribute(model, x, kind, seed=0, n_shuffles=4, device="cpu")
    head, references = Plain(kind, model, x), shuffles(x, 4, 0)
    theirs = captum.DeepLiftShap(head).attribute(x, baselines=references).detach()
    assert torch.allclose(theirs.sum(1), found.contributions.sum(1), atol=1e-6)
    assert (theirs[x == 0] != 0).any()  # something about the references' bases
    assert (found.contributions[x == 0] == 0).all()

    def project(multipliers, inputs, baselines):
        difference = torch.eye(4)[:, None, :, None] - baselines[0][None]  # (4, n, 4, L)
        return ((difference * multipliers[0][None]).sum(2).transpose(0, 1),)

    theirs = captum.DeepLiftShap(head).attribute(
        x, baselines=references, custom_attribution_func=project
    )
    assert torch.allclose(theirs.detach(), found.hypothetical, atol=1e-6)


@pytest.mark.parametrize(("kind", "least"), [("profile", 0.8), ("count", 0.8)])
def test_mutagenesis_agrees(kind, least):
    model, x = small(), sequences(1, 200)
    found = attribute(model, x, kind, seed=0, device="cpu").contributions.sum(1)
    profile, count = ism(model, x)
    changes = (profile * ProfileHead(model, x).weights).sum((-2, -1)), count[..., 0]
    # What a base is worth: how much is lost, in the mean, if it is another one.
    worth = -changes[HEADS.index(kind)].sum(1) / 3
    assert pearson_r(found, worth).item() > least
    assert pearson_r(found.roll(1, -1), worth).item() < 0.5


def test_mutagenesis_of_the_profile_head_needs_no_pass_of_its_own():
    model, x = small(), sequences(1)
    head = ProfileHead(model, x)
    found = (ism(model, x, start=60, end=64)[0] * head.weights).sum((-2, -1))
    assert torch.allclose(found, ism(head, x, start=60, end=64)[..., 0], atol=1e-5)


# --- any model ------------------------------------------------------------------------------


def steep(model: nn.Module) -> nn.Module:
    """Weights as large as trained ones, so that what is not linear bends."""
    with torch.no_grad():
        for layer in (model.conv, model.deconv):
            layer.weight *= 4
    return model.eval()


def promoter_net() -> PromoterNet:
    torch.manual_seed(0)
    return PromoterNet(dropout=0.5)


@pytest.mark.parametrize(
    ("make", "func", "length"),
    [
        (promoter_net, None, 120),
        (promoter_net, lambda model, x: model.features(x).sum(1), 120),
        (lambda: ToyCNN(40), None, 40),
        (lambda: steep(SimpleNet(3, 2, tracks=["a+", "a-"])), total("a-"), 700),
        (lambda: steep(Puffin()), total("CAGE+"), 700),
    ],
)
def test_contributions_add_up_for_any_model(make, func, length):
    """To the difference of what is asked, with references that are made here."""
    torch.manual_seed(0)
    model, x = make(), sequences(1, length)
    training = model.training
    found = attribute(model, x, func, seed=1, n_shuffles=3, device="cpu")
    assert model.training is training
    model.eval()
    ask = func or (lambda model, x: model(x))
    with torch.no_grad():
        expected = (ask(model, x) - ask(model, shuffles(x, 3, 1)).mean()).item()
    assert abs(expected) > 1e-4
    assert found.contributions.sum().item() == pytest.approx(
        expected, abs=1e-5 + 1e-4 * abs(expected)
    )


def test_a_plain_gradient_would_not_add_up():
    """SimpleNet's gate and softplus do bend: without the layers they run through it is refused."""
    torch.manual_seed(0)
    model, x = steep(SimpleNet(3, 2, 1)), sequences(1, 700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "_LAYERS", {})
        with pytest.raises(NotImplementedError, match=r"softplus in SimpleNet"):
            attribute(model, x, total("0"), seed=1, n_shuffles=3, device="cpu")


@pytest.mark.parametrize("bend", [F.silu, F.softplus, torch.sigmoid, torch.tanh, F.gelu])
def test_functions_run_through_layers(bend):
    settings = {"seed": 0, "n_shuffles": 3, "device": "cpu"}
    layer = heads._LAYERS[bend.__name__]()
    x, model = sequences(1, 40), Bent(bend)
    found = attribute(model, x, "count", **settings)
    assert torch.allclose(found[1], attribute(Bent(None, layer), x, "count", **settings)[1])
    assert found.deltas.abs().max() < 1e-6


def test_what_a_func_bends_is_named():
    with pytest.raises(NotImplementedError, match=r"\(exp in func\)"):
        attribute(
            small(), sequences(1), lambda model, x: (9 * model(x)[1]).exp(), seed=0, n_shuffles=3
        )


class PerTrack(nn.Module):
    """Three tracks, each with its own count."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, 3, 5)

    def forward(self, x):
        profile = 5 * self.conv(x)
        return profile, profile.mean(-1)


def test_the_profile_head_of_tracks_with_their_own_counts():
    """Each track has a softmax and a mean of its own."""
    model, x = PerTrack(), sequences(1, 30)
    logits = model(x)[0]
    proba = logits.softmax(-1)
    head = ProfileHead(model, x)
    assert torch.allclose(head.weights, proba - 1 / 26, atol=1e-6)
    expected = (proba * (logits - logits.mean(-1, keepdim=True))).sum()
    assert head(x).item() == pytest.approx(expected.item(), abs=1e-5)
    found = attribute(model, x, "profile", seed=0, n_shuffles=3, device="cpu")
    assert found.deltas.abs().max() < 1e-5
    one = attribute(model, x, lambda m, x: m(x)[1][:, 2], seed=0, n_shuffles=3, device="cpu")
    assert one.deltas.abs().max() < 1e-6
    with pytest.raises(TypeError, match="There are 3 numbers for each sequence; wanted one"):
        attribute(model, x, "count", seed=0, n_shuffles=3, device="cpu")


# --- what does not matter, and what does ----------------------------------------------------


def test_neither_batches_nor_neighbours_matter():
    model, x = small(), sequences(3)
    together = attribute(model, x, "profile", seed=0, n_shuffles=5, device="cpu")
    apart = attribute(model, x[2:], "profile", seed=0, n_shuffles=5, batch_size=2, device="cpu")
    assert torch.allclose(together.contributions[2:], apart.contributions, atol=1e-6)


def test_the_seed_decides():
    model, x = small(), sequences(1)
    a, b, c = (attribute(model, x, "count", seed=s, n_shuffles=2, device="cpu") for s in (0, 0, 9))
    assert torch.equal(a.contributions, b.contributions)
    assert not torch.allclose(a.contributions, c.contributions, atol=1e-6)


def test_bytes_are_welcome_and_the_model_is_left_as_it_was():
    model, x = small().train(), sequences(1)
    model.linear.eval()
    found = attribute(model, x.byte(), "profile", seed=0, n_shuffles=2, device="cpu")
    again = attribute(small(), x, "profile", seed=0, n_shuffles=2, device="cpu")
    assert torch.equal(found.contributions, again.contributions)
    assert model.training
    assert not model.linear.training
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())


def test_progress(capsys):
    attribute(small(), sequences(2), "count", seed=0, n_shuffles=1, device="cpu", progress=True)
    assert "2/2" in capsys.readouterr().err


# --- wrong input ----------------------------------------------------------------------------


class Swapped(ProCapNet):
    def forward(self, x):
        return super().forward(x)[::-1]


def changed(values: float) -> torch.Tensor:
    x = sequences(2)
    x[1, :, 30] = values
    return x


@pytest.mark.parametrize(
    ("given", "error", "found"),
    [
        ({"x": sequences(1, 106)}, ValueError, r"106 bp .*at least 107 bp"),
        ({"x": sequences(1, 106), "func": "count"}, ValueError, r"106 bp .*at least 107 bp"),
        ({"x": changed(0)}, ValueError, r"N at position 30 of sequence 1.*wanted A, C, G and T"),
        ({"x": changed(0.25)}, ValueError, r"not one-hot at position 30 of sequence 1"),
        ({"x": sequences(1)[0]}, ValueError, r"\(4, 140\); wanted \(N, 4, L\)"),
        ({"x": [1, 2]}, TypeError, "list; wanted a tensor"),
        ({"func": "counts"}, ValueError, "'counts'; wanted a function .*count, output, profile"),
        ({"n_shuffles": 0}, ValueError, "n_shuffles is 0"),
        ({"batch_size": 0}, ValueError, "batch_size is 0; wanted"),
        ({"model": Swapped(2, 1)}, TypeError, r"\(1, 1\), \(1, 2, 42\) for 1 sequences; wanted"),
        ({"model": nn.Conv1d(4, 2, 1)}, TypeError, r"\(1, 2, 140\) for 1 sequences; wanted"),
    ],
)
def test_what_is_refused(given, error, found):
    given = {"model": small(), "x": sequences(1), "func": "profile"} | given
    with pytest.raises(error, match=found):
        attribute(given.pop("model"), given.pop("x"), given.pop("func"), seed=0, **given)


def test_the_profile_head_explains_one_sequence():
    with pytest.raises(ValueError, match=r"2 sequences; wanted one, \(1, 4, L\)"):
        ProfileHead(small(), sequences(2))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("head", HEADS)
def test_inside_a_block_without_gradients(mode, head):
    model, x = small(), sequences(1)
    wanted = attribute(model, x, head, seed=0, n_shuffles=3).contributions
    with mode():
        assert torch.equal(attribute(model, x, head, seed=0, n_shuffles=3).contributions, wanted)
        made_inside = sequences(1)
        found = attribute(model, made_inside, head, seed=0, n_shuffles=3).contributions
    assert torch.equal(found, wanted)


class Squashed(nn.Module):
    """A layer that calls what no hook sees."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.mish(x) * 3


class WithSquashed(ProCapNet):
    def __init__(self) -> None:
        super().__init__(8, 2)
        self.squash = Squashed()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        profile, count = super().forward(x)
        return profile, self.squash(count * 10)


def test_refusal_names_the_function_and_the_layer():
    torch.manual_seed(0)
    with pytest.raises(NotImplementedError, match=r"\(mish in the layer squash \(Squashed\)\)"):
        attribute(WithSquashed(), sequences(1), "count", seed=0, n_shuffles=3)

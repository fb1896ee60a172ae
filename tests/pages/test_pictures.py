"""The pictures: one figure each, no warning, the words and numbers that must be there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.text import Text

from tssbook.models import ProCapNet, PromoterNet, SimpleNet, puffin
from tssbook.pages import network_pictures, pictures
from tssbook.pages.drawing import number
from tssbook.sequence import one_hot

TRAIN, VALID = [2.0, 1.0, 0.5, 0.25], [2.1, 1.25, 1.0, 1.5]


def small_net() -> SimpleNet:
    torch.manual_seed(0)
    return SimpleNet(4, 3, tracks=["CAGE+", "CAGE-"])


def locus() -> torch.Tensor:
    rng = np.random.default_rng(0)
    return one_hot("".join(rng.choice(list("ACGT"), 1200)))[None]


# What draws, and words that must be in the figure.
EXAMPLES: dict[str, tuple[Callable[[], None], list[str]]] = {
    # TAT fits once: 3; after the ReLU it alone is left.
    "sliding_filter": (pictures.sliding_filter, ["filter", "products", "sum\n3", "after\nReLU"]),
    "descent": (pictures.descent, ["too small: 0.02", "about right: 0.2", "too large: 0.6"]),
    "gradient": (pictures.gradient, ["w = 2", "z = 6", "loss = 1", "× 3", "w = 2 − 0.1 × 6 = 1.4"]),
    "overfitting": (
        lambda: pictures.overfitting(TRAIN, VALID),
        ["best epoch: 3", "gap 1.2", "validation", "training"],
    ),
    "receptive_field": (pictures.receptive_field, ["DNA", "layer 3: width 3\nsees 7 bases"]),
    "softmax": (pictures.softmax, ["+ strand\nsum 0.70", "− strand\nsum 0.30", "0.40", "0.57"]),
    "saturation": (pictures.saturation, ["a 0,  b 0", "a 0.5,  b 0.5", "y = 1"]),
    "promoter_net": (
        lambda: network_pictures.promoter_net(PromoterNet((8, 4, 2), n_hidden=3), 160),
        ["trunk", "head", "8 × 160", "8 × 40", "4 × 10", "convolution, width 15"],
    ),
    "simple_net": (
        lambda: network_pictures.simple_net(SimpleNet(4, 3, 2)),
        ["4 motif filters, 51 bp,\non both strands: 8 × L", "2 tracks", "softplus", "sigmoid"],
    ),
    "one_motif": (
        lambda: network_pictures.one_motif(small_net(), locus(), "CAGE+", span=200),
        ["1  The motif: filter", "effect curve on CAGE+", "all motifs", "reads per base"],
    ),
    "dilation_tree": (
        network_pictures.dilation_tree,
        ["dilation 2", "dilation 256", "510 to either side", "residual", "ReLU"],
    ),
}


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    plt.close("all")
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    plt.close("all")


def words() -> list[str]:
    return [text.get_text() for text in plt.gcf().findobj(Text) if text.get_text().strip()]


def test_every_picture_is_among_the_examples() -> None:
    numbers = {"layer_shapes", "tree_edges"}
    assert set(EXAMPLES) == {*pictures.__all__, *network_pictures.__all__} - numbers


@pytest.mark.parametrize("name", EXAMPLES)
def test_one_figure_with_its_words(name: str) -> None:
    draw, wanted = EXAMPLES[name]
    assert draw() is None
    assert len(plt.get_fignums()) == 1
    figure = plt.gcf()
    figure.canvas.draw()
    assert figure.get_size_inches()[0] == 6
    assert mpl.colors.to_hex(figure.get_facecolor()) == "#ffffff"
    for text in wanted:
        assert any(text in found for found in words()), text
    assert min(t.get_fontsize() for t in figure.findobj(Text) if t.get_text().strip()) >= 8


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_word_is_cut_off(name: str) -> None:
    EXAMPLES[name][0]()
    figure = plt.gcf()
    figure.canvas.draw()
    page = figure.bbox.padded(1)
    for axes in figure.axes:
        for text in axes.texts:
            if text.get_text().strip():
                extent = text.get_window_extent()
                assert page.x0 <= extent.x0 < extent.x1 <= page.x1, text.get_text()
                assert page.y0 <= extent.y0 < extent.y1 <= page.y1, text.get_text()


def test_the_filter_moves_to_the_place() -> None:
    pictures.sliding_filter("GCTATGCA", place=0)
    assert "sum\n−1" in words()  # GCT: only the T agrees, 1 - 1 - 1
    assert "slides on" in words()
    plt.close()
    pictures.sliding_filter("GCTATGCA", place=5)  # the last place
    assert "slides on" not in words()


def test_the_receptive_field_is_lit() -> None:
    pictures.receptive_field((5, 3))
    lit = [p for p in plt.gca().patches if mpl.colors.to_hex(p.get_facecolor()) == "#a8328c"]
    assert len(lit) == 7 + 3 + 1


def test_overfitting_of_a_single_epoch_is_drawn() -> None:
    pictures.overfitting([2.0], [3.0])
    plt.gcf().canvas.draw()
    assert "best epoch: 1" in words()


def test_shapes_of_promoter_net_are_those_of_chapter_2() -> None:
    model = PromoterNet().train()
    assert network_pictures.layer_shapes(model, 2000) == [
        ("one-hot DNA", (4, 2000)),
        ("convolution, width 15", (256, 2000)),
        ("largest of 4, ReLU", (256, 500)),
        ("convolution, width 5", (128, 500)),
        ("largest of 4, ReLU", (128, 125)),
        ("convolution, width 3", (64, 125)),
        ("average over positions", (64,)),
        ("linear, ReLU", (32,)),
        ("linear", (1,)),
    ]
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(model.bn1.running_mean, torch.zeros(256))


def test_the_default_dilations_are_those_of_procapnet() -> None:
    found = [conv.dilation[0] for conv in ProCapNet(4).rconvs]
    assert list(network_pictures.dilation_tree.__defaults__[0]) == found


def test_the_curves_of_one_motif_are_those_of_the_network() -> None:
    model, x = small_net(), locus()
    network_pictures.one_motif(model, x, "CAGE-", channel=5, span=200)
    figure = plt.gcf()
    curve = puffin.effect_curves(model)[5, 1]
    assert figure.axes[1].lines[0].get_ydata() == pytest.approx(curve.numpy())
    motifs, _ = model.activations(x)
    everything = (model.deconv(motifs) - model.deconv.bias[:, None])[0, 1, 500:700]
    line = next(line for line in figure.axes[2].lines if line.get_label() == "all motifs")
    assert line.get_ydata() == pytest.approx(everything.detach().numpy(), abs=1e-4)
    assert "filter 1, - strand" in figure.axes[0].get_title(loc="left")


def test_numbers_are_short() -> None:
    assert [number(v) for v in (3.0, -1.0, 0.25, -0.001, 1 / 3)] == ["3", "−1", "0.25", "0", "0.33"]

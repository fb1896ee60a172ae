"""plots: the right number of things on the right Axes, and nothing anywhere else."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from tssbook import sequence
from tssbook.pages import colours, plots


@pytest.fixture
def ax():
    """The first of two Axes; the second one is the current one and must stay empty."""
    with mpl.rc_context():
        fig, (first, second) = plt.subplots(1, 2)
        plt.sca(second)
        yield first
        assert not second.has_data()
        assert not second.texts
        fig.canvas.draw()  # what was drawn can be rendered, without a warning
        plt.close(fig)


def history(*losses: float) -> pd.DataFrame:
    return pd.DataFrame(
        {"epoch": range(len(losses)), "train_loss": np.add(losses, 1.0), "valid_loss": losses}
    )


EXAMPLES = {
    "one_hot": lambda ax: plots.one_hot(sequence.one_hot("GATTACAN"), ax),
    "loss_curves": lambda ax: plots.loss_curves({"CNN": history(3, 2)}, ax),
    "predicted_against_actual": lambda ax: plots.predicted_against_actual(
        torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0]), ax
    ),
    "filter_weights": lambda ax: plots.filter_weights(torch.ones(4, 3), ax),
    "logo": lambda ax: plots.logo(sequence.one_hot("TAT"), ax),
}


def test_every_drawing_is_among_the_examples():
    assert {*EXAMPLES, "set_style"} == set(plots.__all__)


@pytest.mark.parametrize("name", EXAMPLES)
def test_draws_on_the_axes_given_and_returns_them(ax, name):
    before = dict(mpl.rcParams)
    assert EXAMPLES[name](ax) is ax
    assert ax.has_data() or ax.patches or ax.images
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", EXAMPLES)
def test_without_axes_the_current_ones_are_taken(name):
    with mpl.rc_context():
        fig, (_, second) = plt.subplots(1, 2)
        assert EXAMPLES[name](None) is second
        plt.close(fig)


def test_one_hot(ax):
    plots.one_hot(sequence.one_hot("GATN"), ax)
    cells = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert len(cells) == 4 * 4
    filled = {
        (round(cell.get_x() + 0.5), round(cell.get_y() + 0.5)): to_hex(cell.get_facecolor())
        for cell in cells
        if cell.get_facecolor()[3]
    }
    assert filled == {
        (0, 2): colours.BASE_COLOURS["G"],
        (1, 0): colours.BASE_COLOURS["A"],
        (2, 3): colours.BASE_COLOURS["T"],
    }
    assert [text.get_text() for text in ax.texts].count("1") == 3
    assert [text.get_text() for text in ax.texts].count("0") == 13
    assert [label.get_text() for label in ax.get_xticklabels()] == list("GATN")
    assert [label.get_text() for label in ax.get_yticklabels()] == list("ACGT")
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # A is the row at the top


def test_loss_curves(ax):
    plots.loss_curves({"linear": history(5, 4, 3), "CNN": history(2, 1)}, ax)
    train_linear, valid_linear, train_cnn, valid_cnn, _ = ax.lines
    assert valid_linear.get_xydata().tolist() == [[1, 5], [2, 4], [3, 3]]  # epochs from 1
    assert train_linear.get_ydata().tolist() == [6, 5, 4]
    assert valid_cnn.get_ydata().tolist() == [2, 1]
    assert train_cnn.get_linestyle() == train_linear.get_linestyle() == "--"
    assert valid_cnn.get_color() == train_cnn.get_color() != valid_linear.get_color()
    labels = [text.get_text() for text in ax.get_legend().texts]
    assert labels == ["linear", "CNN", "dashed: training"]


def test_predicted_against_actual(ax):
    # 1 - (0 + 1 + 0) / (1 + 1 + 0) = 0.5
    target = torch.tensor([1.0, 3.0, 2.0])
    prediction = torch.tensor([1.0, 4.0, 2.0])
    plots.predicted_against_actual(prediction, target, ax, unit="log count")
    (points,) = ax.collections
    assert points.get_offsets().tolist() == [[1, 1], [3, 4], [2, 2]]  # actual to the right
    (diagonal,) = ax.lines
    assert diagonal.get_xydata().tolist() == [[1, 1], [4, 4]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("actual log count", "predicted log count")
    assert [text.get_text() for text in ax.texts] == ["R² = 0.500"]


def test_filter_weights(ax):
    weights = torch.tensor([[0.0, 1], [-3, 0], [0, 0], [2, 0]])
    (cells,) = plots.filter_weights(weights, ax).images
    assert cells.get_array().tolist() == weights.tolist()
    assert cells.get_clim() == (-3, 3)  # zero is white
    assert to_hex(cells.cmap(cells.norm(0.0))) == "#f7f6f6"
    assert [label.get_text() for label in ax.get_yticklabels()] == list("ACGT")
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # A is the row at the top
    assert ax.get_aspect() == 1


def test_filter_weights_of_a_model_with_a_common_limit(ax):
    conv = torch.nn.Conv1d(4, 1, 3)
    (cells,) = plots.filter_weights(conv.weight[0], ax, limit=5).images
    assert cells.get_clim() == (-5, 5)
    plots.filter_weights(conv.weight[0], ax)  # the limit of weights with a gradient
    plots.filter_weights(torch.zeros(4, 3), ax)


def test_logo(ax):
    heights = torch.tensor([[2.0, 0.5], [0, 0.25], [0, 0], [0, 0]])
    plots.logo(heights, ax, first=-30)
    assert ax.get_ylim()[1] == pytest.approx(2, rel=0.05)
    # A at -30 and -29, and C at -29: their places, and how high they reach.
    boxes = {to_hex(patch.get_facecolor()): [] for patch in ax.patches}
    for patch in ax.patches:
        box = patch.get_path().get_extents()
        boxes[to_hex(patch.get_facecolor())].append((round(box.x0 + 0.5), round(box.height, 2)))
    drawn = {colour: [b for b in found if b[1]] for colour, found in boxes.items()}
    assert sorted(drawn[colours.BASE_COLOURS["A"]]) == [(-30, 2), (-29, 0.5)]
    assert drawn[colours.BASE_COLOURS["C"]] == [(-29, 0.25)]
    assert not ax.texts


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_logo_of_nothing(ax, value):
    plots.logo(torch.full((4, 3), value), ax)
    assert [text.get_text() for text in ax.texts] == ["no site"]
    assert not ax.patches
    assert list(ax.get_xticks()) == list(ax.get_yticks()) == []


def test_logo_with_an_empty_column(ax):
    heights = sequence.one_hot("TAT")
    heights[:, 1] = torch.nan
    before = heights.clone()
    plots.logo(heights.requires_grad_(), ax)
    assert not ax.texts
    assert torch.equal(heights.nan_to_num(-1), before.nan_to_num(-1))


def test_style_changes_rcparams_and_opens_no_figure():
    with mpl.rc_context():
        figures = plt.get_fignums()
        plots.set_style()
        assert mpl.rcParams["figure.facecolor"] == "white"
        assert mpl.rcParams["axes.spines.top"] is False
        once = dict(mpl.rcParams)
        plots.set_style()
        assert dict(mpl.rcParams) == once
        assert plt.get_fignums() == figures

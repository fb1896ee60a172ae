"""The numbers in the pictures, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tssbook.pages import arithmetic
from tssbook.pages.network_pictures import tree_edges
from tssbook.sequence import one_hot


def test_sums_under_a_filter() -> None:
    tat = 2 * one_hot("TAT").numpy() - 1
    # GTA and ATG: no letter agrees. TAT: all three do.
    assert arithmetic.filter_sums("GTATG", tat).tolist() == [-3, 3, -3]
    # TAG: two agree, one does not.
    assert arithmetic.filter_sums("TAG", tat).tolist() == [1]


def test_sums_are_those_of_a_convolution() -> None:
    weights = torch.arange(12.0).reshape(4, 3)
    expected = F.conv1d(one_hot("GATTACA")[None], weights[None])[0, 0]
    assert arithmetic.filter_sums("GATTACA", weights.numpy()).tolist() == expected.tolist()


def test_derivatives_of_a_chain() -> None:
    # z = 2 * 3 = 6, a = 6, loss = (6 - 5)² = 1; 2 (6 - 5) = 2; times 1; times x = 3.
    found = arithmetic.chain(2, 3, 5)
    assert found == {
        "z": 6, "a": 6, "loss": 1, "square": 2, "relu": 1, "da": 2, "dz": 2, "dw": 6,
    }  # fmt: skip


def test_a_closed_relu_lets_no_gradient_through() -> None:
    found = arithmetic.chain(-2, 3, 5)
    assert (found["z"], found["a"], found["loss"]) == (-6, 0, 25)
    assert (found["da"], found["dz"], found["dw"]) == (-10, 0, 0)


def test_derivatives_are_those_of_pytorch() -> None:
    w = torch.tensor(0.7, requires_grad=True)
    ((w * 1.5).relu() - 4).square().backward()
    assert arithmetic.chain(0.7, 1.5, 4)["dw"] == pytest.approx(w.grad.item())


def test_loss_of_a_line() -> None:
    # At w = b = 0 the errors are the y: (1.44 + 0.64 + 10.89 + 24.01) / 4 = 9.245.
    assert arithmetic.line_loss(0, 0) == pytest.approx(9.245)


def test_first_step_of_gradient_descent() -> None:
    # At w = 4.5, b = -2 the errors are -5.3, -2.8, -0.8, 2.1. Slope in w: 2 * mean(error * x)
    # = 2 * (5.3 + 0 - 0.8 + 4.2) / 4 = 4.35; in b: 2 * (-6.8) / 4 = -3.4.
    path, losses = arithmetic.descend(0.1, 1)
    assert path == pytest.approx(np.array([[4.5, -2], [4.065, -1.66]]))
    assert losses == pytest.approx(arithmetic.line_loss(path[:, 0], path[:, 1]))


def test_three_learning_rates() -> None:
    """The picture's titles: too small is not done, about right is, too large gets worse."""
    small, right, large = (arithmetic.descend(rate, 12)[1] for rate in (0.02, 0.2, 0.6))
    start, best = small[0], arithmetic.descend(0.2, 500)[1][-1]
    assert best < right[-1] < 0.1 < 4 < small[-1] < start < large[-1]


def test_best_epoch() -> None:
    assert arithmetic.best_epoch([3, 1, 2]) == 2
    assert arithmetic.best_epoch([3, 1, 1]) == 2


def test_receptive_fields() -> None:
    assert arithmetic.reach([3, 3, 3]) == [3, 5, 7]
    assert arithmetic.reach([15, 5, 3]) == [15, 19, 21]


def test_dilation_tree() -> None:
    # The upper layer reads 0 and 4 to either side; each of these reads itself and 2 to either side.
    assert sorted(tree_edges([2, 4])) == sorted([
        (1, -4, 0), (1, 0, 0), (1, 4, 0),
        (0, -6, -4), (0, -4, -4), (0, -2, -4),
        (0, -2, 0), (0, 0, 0), (0, 2, 0),
        (0, 2, 4), (0, 4, 4), (0, 6, 4),
    ])  # fmt: skip


def test_softmax_of_each_strand_and_of_both() -> None:
    apart, together = arithmetic.softmaxes(np.log([[1, 3], [2, 2]]))
    assert apart == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5]]))  # sums 4 and 4
    assert together == pytest.approx(np.array([[1, 3], [2, 2]]) / 8)


def test_saturation() -> None:
    # a + b = 2: ReLUs 2 and 1, y = 1. Without a: 1 and 0, y = 1 again. Multipliers from 0:
    # 2 / 2 = 1 and 1 / 2 = 0.5, so a and b get (1 - 0.5) * 1 each, and together y.
    found = arithmetic.saturation(1, 1)
    assert found["values"] == {"sum": 2, "first": 2, "second": 1, "y": 1, "m1": 1, "m2": 0.5}
    assert found["mutagenesis"] == (0, 0)
    assert found["deeplift"] == (0.5, 0.5)


@pytest.mark.parametrize(("a", "b"), [(0.25, 0.5), (2.0, 0.5), (0.0, 0.0), (1.0, 0.0)])
def test_deeplift_adds_up(a: float, b: float) -> None:
    found = arithmetic.saturation(a, b)
    assert sum(found["deeplift"]) == pytest.approx(min(a + b, 1))


def test_without_saturation_both_agree() -> None:
    # a + b = 0.75 is below the bend: y is the plain sum.
    found = arithmetic.saturation(0.25, 0.5)
    assert found["mutagenesis"] == found["deeplift"] == (0.25, 0.5)

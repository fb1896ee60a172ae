"""metrics: on numbers that fit on a slip of paper."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from tssbook.metrics import bootstrap_interval, cluster_interval, jsd, mse, pearson_r, r2


def numbers(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def test_mse():
    assert mse(numbers(1, 2, 3), numbers(1, 4, 0)).item() == pytest.approx(13 / 3)  # (0+4+9) / 3


def test_pearson_r():
    # Deviations from the means 2 and 3: (-1, 0, 1) and (-2, 1, 1); products 2 + 0 + 1 = 3;
    # squares 2 and 6; 3 / sqrt(12) = 0.8660.
    assert pearson_r(numbers(1, 2, 3), numbers(1, 4, 4)).item() == pytest.approx(math.sqrt(0.75))
    assert pearson_r(numbers(1, 2, 3), numbers(7, 5, 3)).item() == pytest.approx(-1)


def test_pearson_r_forgives_scale_and_offset_and_r2_does_not():
    target = numbers(1, 2, 3)
    prediction = 10 * target + 5
    assert pearson_r(prediction, target).item() == pytest.approx(1)
    # Residuals 14, 23, 32: 196 + 529 + 1024 = 1749; total 2; 1 - 1749 / 2 = -873.5.
    assert r2(prediction, target).item() == pytest.approx(-873.5)


def test_r2():
    target = numbers(1, 2, 3)
    assert r2(target, target).item() == 1
    assert r2(numbers(2, 2, 2), target).item() == 0  # no better than the mean
    assert r2(numbers(1, 2, 4), target).item() == pytest.approx(0.5)  # 1 - 1 / 2
    assert r2(numbers(3, 2, 1), target).item() == pytest.approx(-3)  # 1 - (4 + 0 + 4) / 2


def test_jsd():
    assert jsd(numbers(1, 3), numbers(2, 6)).item() == 0  # the same shares
    # Disjoint: entropy of (1/2, 1/2) is ln 2, those of (1, 0) and (0, 1) are 0.
    assert jsd(numbers(1, 0), numbers(0, 5)).item() == pytest.approx(math.sqrt(math.log(2)))
    # Mean of (1, 0) and (1/2, 1/2) is (3/4, 1/4); its entropy 0.56234, half of ln 2 is 0.34657.
    assert jsd(numbers(1, 0), numbers(1, 1)).item() == pytest.approx(math.sqrt(0.21576), abs=1e-4)


def test_jsd_is_not_defined_without_anything_counted():
    found = jsd(torch.tensor([[1.0, 1], [1, 1]]), torch.tensor([[0.0, 0], [1, 1]]))
    assert found[0].isnan()
    assert found[1] == 0


def test_jsd_refuses_negative_values():
    with pytest.raises(ValueError, match="negative values"):
        jsd(numbers(1, -1), numbers(1, 1))


def test_the_axis_changes_the_number():
    # Each row is predicted perfectly up to its level; across rows the levels are swapped.
    prediction, target = numbers([1, 2], [11, 12]), numbers([11, 12], [1, 2])
    assert pearson_r(prediction, target).tolist() == pytest.approx([1, 1])
    assert pearson_r(prediction, target, dim=0).tolist() == pytest.approx([-1, -1])
    # 1 - 200 / 0.5 in a row, 1 - 200 / 50 in a column.
    assert r2(prediction, target).tolist() == pytest.approx([-399, -399])
    assert r2(prediction, target, dim=0).tolist() == pytest.approx([-3, -3])
    uneven = numbers([0, 0], [3, 1])
    assert mse(uneven, torch.zeros(2, 2)).tolist() == [0, 5]
    assert mse(uneven, torch.zeros(2, 2), dim=0).tolist() == [4.5, 0.5]


def test_tracks_keep_their_other_axes():
    tracks = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0))
    for metric in (mse, pearson_r, r2):
        assert metric(tracks, tracks.flip(-1)).shape == (2, 3)
        assert metric(tracks, tracks.flip(-1), dim=0).shape == (3, 50)


@pytest.mark.parametrize("constant", [0.0, 2.0, 0.1, 1 / 3, 1e-30, 1e8 + 0.1])
@pytest.mark.parametrize("n", [2, 3, 7, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_has_no_correlation(constant, n, dtype):
    # The mean of 0.1, 0.1, 0.1 is 0.10000000000000002 in float64: rounding is no variance.
    flat, ramp = torch.full((n,), constant, dtype=dtype), torch.arange(n, dtype=dtype)
    for pair in ((flat, ramp), (ramp, flat), (flat, flat)):
        assert pearson_r(*pair).isnan()
    assert r2(ramp, flat) == -math.inf
    assert r2(flat, flat).isnan()


def test_one_dead_row_does_not_spoil_the_others():
    prediction, target = numbers([0.1, 0.1, 0.1], [1, 2, 3]), numbers([1, 2, 3], [1, 2, 3])
    assert pearson_r(prediction, target).isnan().tolist() == [True, False]


def test_sums_are_in_double_precision():
    target = 1e6 + torch.arange(4.0)  # in float32 the squares of 1e6 leave no digit for 1
    assert r2(target + numbers(1, 0, 0, 0), target).item() == pytest.approx(0.8)  # 1 - 1 / 5
    assert mse(target, target).dtype == torch.float64


def test_whole_numbers_and_arrays():
    assert mse(torch.tensor([1, 2]), torch.tensor([1, 3])).item() == 0.5
    assert pearson_r(np.array([1, 2, 3]), np.array([2, 4, 6])).item() == pytest.approx(1)


@pytest.mark.parametrize("metric", [mse, pearson_r, r2])
@pytest.mark.parametrize(("one", "other"), [((3,), (4,)), ((3, 1), (3,)), ((2, 3), (3, 2))])
def test_shapes_that_differ(metric, one, other):
    with pytest.raises(ValueError, match="wanted the same shape") as caught:
        metric(torch.zeros(one), torch.zeros(other))
    assert f"The prediction is {one} and the target {other}" in str(caught.value)


@pytest.mark.parametrize("metric", [mse, pearson_r, r2])
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3)])
def test_nothing_to_compare(metric, shape):
    with pytest.raises(ValueError, match="There is nothing to compare"):
        metric(torch.zeros(shape), torch.zeros(shape))


# --- bootstrap ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair():
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(200, generator=generator)
    return target + torch.randn(200, generator=generator), target


def test_interval_holds_the_estimate_and_the_truth(pair):
    low, high = bootstrap_interval(pearson_r, *pair, seed=1)
    assert low < float(pearson_r(*pair)) < high
    assert low < math.sqrt(0.5) < high  # signal and noise have the same variance
    # Fisher: atanh(r) has standard error 1 / sqrt(197).
    z = math.atanh(float(pearson_r(*pair)))
    expected = math.tanh(z - 1.96 / math.sqrt(197)), math.tanh(z + 1.96 / math.sqrt(197))
    assert (low, high) == pytest.approx(expected, abs=0.03)


def test_interval_depends_on_the_seed_alone(pair):
    first = bootstrap_interval(mse, *pair, seed=1, n_resamples=50)
    np.random.seed(3)  # noqa: NPY002 - the global state must not matter
    torch.manual_seed(3)
    assert bootstrap_interval(mse, *pair, seed=1, n_resamples=50) == first
    assert bootstrap_interval(mse, *pair, seed=2, n_resamples=50) != first


def test_interval_grows_with_its_level(pair):
    low, high = bootstrap_interval(mse, *pair, seed=1, n_resamples=200, level=0.5)
    wide_low, wide_high = bootstrap_interval(mse, *pair, seed=1, n_resamples=200, level=0.99)
    assert wide_low < low < high < wide_high


def test_interval_of_certainty_is_a_point():
    assert bootstrap_interval(mse, numbers(3, 3), numbers(1, 1), seed=0) == (4, 4)


def test_prediction_and_target_are_drawn_together():
    x = torch.arange(20.0)
    assert bootstrap_interval(mse, x, x, seed=0, n_resamples=20) == (0, 0)


def test_interval_of_another_shape():
    with pytest.raises(ValueError, match=r"The prediction is \(3, 2\); wanted \(N,\)"):
        bootstrap_interval(mse, torch.zeros(3, 2), torch.zeros(3, 2), seed=0)
    with pytest.raises(ValueError, match="wanted the same shape"):
        bootstrap_interval(mse, torch.zeros(3), torch.zeros(2), seed=0)
    with pytest.raises(ValueError, match="nothing to compare"):
        bootstrap_interval(mse, torch.zeros(0), torch.zeros(0), seed=0)


def test_cluster_interval_draws_whole_clusters():
    # Two clusters of two equal rows: the mean of a draw is 0 (one time in four), 5 or 10.
    values = torch.tensor([0.0, 10, 0, 10])
    seen = []

    def mean(rows):
        seen.append(sorted(rows.tolist()))
        return values[rows].mean()

    low, high = cluster_interval(mean, ["a", "b", "a", "b"], seed=1, n_resamples=400)
    assert (low, high) == (0, 10)
    assert {tuple(rows) for rows in seen} == {(0, 0, 2, 2), (0, 1, 2, 3), (1, 1, 3, 3)}
    assert sum(rows == [0, 1, 2, 3] for rows in seen) / 400 == pytest.approx(0.5, abs=0.1)


def test_cluster_interval_is_wider_where_rows_repeat_one_another():
    x = torch.from_numpy(np.random.default_rng(3).normal(size=50)).repeat_interleave(8)

    def width(clusters):
        low, high = cluster_interval(lambda rows: x[rows].mean(), clusters, seed=2)
        return high - low

    # Fifty values, each eight times: counted as 400 they look 8 ** 0.5 times more certain.
    ratio = width(np.arange(400) // 8) / width(np.arange(400))
    assert ratio == pytest.approx(8**0.5, rel=0.15)


def test_cluster_interval_wants_clusters():
    with pytest.raises(ValueError, match="Clusters in these 3 rows: 1; wanted 2 or more"):
        cluster_interval(lambda rows: 0.0, ["a"] * 3, seed=0)
    with pytest.raises(ValueError, match="Clusters in these 0 rows: 0; wanted 2 or more"):
        cluster_interval(lambda rows: 0.0, [], seed=0)
    for lost in (math.nan, None):
        with pytest.raises(ValueError, match="Row 1 is of no cluster"):
            cluster_interval(lambda rows: 0.0, ["a", lost, "b"], seed=0)
    with pytest.raises(ValueError, match="Row 2 is of no cluster"):
        cluster_interval(lambda rows: 0.0, [1.0, 2.0, math.nan], seed=0)
    for shape, wrong in (((2, 2), [[1, 2], [3, 4]]), ((), "abc")):
        with pytest.raises(ValueError, match=re.escape(f"The clusters are {shape}; wanted (N,)")):
            cluster_interval(lambda rows: 0.0, wrong, seed=0)


INTERVALS = {
    "bootstrap": lambda **options: bootstrap_interval(
        mse, torch.arange(4.0), torch.ones(4), **options
    ),
    "cluster": lambda **options: cluster_interval(lambda rows: 0.0, [1, 2, 3], **options),
}


@pytest.mark.parametrize("interval", INTERVALS.values(), ids=INTERVALS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("level", -1), ("level", 95), ("level", math.nan), ("level", "a"), ("n_resamples", 0),
        ("n_resamples", -1), ("n_resamples", 1.5), ("seed", None), ("seed", "x"), ("seed", 1.5),
        ("seed", -1),
    ],
)  # fmt: skip
def test_numbers_of_intervals(interval, name, value):
    with pytest.raises(ValueError, match=re.escape(f"{name} is {value!r}; wanted")):
        interval(**({"seed": 0} | {name: value}))


def test_a_statistic_that_is_not_defined_has_no_interval():
    x = torch.tensor([0.0, 1.0])  # half of the draws take one row twice: no correlation
    ends = (
        *bootstrap_interval(pearson_r, x, x, seed=0, n_resamples=100),
        *cluster_interval(lambda i: pearson_r(x[i], x[i]), [0, 1], seed=0, n_resamples=100),
    )
    assert all(map(math.isnan, ends))

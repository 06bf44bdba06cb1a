"""The bootstrap against what is known of means."""

import numpy as np
import pytest

from hsx.metrics.intervals import bootstrap


def test_it_is_that_of_the_normal_approximation_where_rows_are_many():
    values = np.random.default_rng(1).normal(3, 2, 4000)
    low, high = bootstrap(values)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_it_holds_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(2)
    held = [low <= 0 <= high for low, high in (bootstrap(rng.normal(size=40), draws=200) for _ in range(300))]
    assert 0.90 <= np.mean(held) <= 0.98


def test_it_is_the_same_each_time_and_no_wider_than_the_values():
    values = np.arange(9.0) ** 2
    assert bootstrap(values) == bootstrap(values) and bootstrap(values) != bootstrap(values, seed=1)
    assert 0 <= bootstrap(values)[0] < bootstrap(values)[1] <= 64
    assert bootstrap(np.array([7.0])) == (7, 7)

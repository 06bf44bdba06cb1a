"""The contract of a measure, as a test that its author runs in one line.

from hsx.testing import check_metric

def test_contract():
    check_metric(MyMeasure())
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from hsx.metrics.base import ABOUT, PICTURES, MeanMetric, Metric
from hsx.testing.common import expect, finite, near, rng, unchanged

ROWS, SIDE = 6, 24


def check_metric(metric: Metric | type[Metric]) -> None:
    """Check a measure, given as an object, or as a class whose options all have defaults.

    That it says what it is about, what it takes and which way is good; that its number is one finite scalar, the same
    over the whole as over two halves, in one process or in two; that a number a row does not depend on the other rows;
    that its arguments stay as they were, and that it works in other dtypes and on other devices.

    Raises:
        AssertionError: with the class and what it does wrong, in one line.
    """
    metric = metric() if isinstance(metric, type) else deepcopy(metric)
    expect(metric, isinstance(metric, Metric), "is no measure; derive it from hsx.metrics.Metric or MeanMetric")
    expect(metric, metric.about in ABOUT, f"is about {metric.about!r}; expected one of {', '.join(ABOUT)}")
    takes, known = metric.takes, ", ".join(PICTURES)
    right = isinstance(takes, tuple) and len(takes) > 0 and set(takes) <= set(PICTURES)
    expect(metric, right, f"takes {takes!r}; expected a tuple of some of {known}")
    good = isinstance(metric.higher_is_better, bool)
    expect(metric, good, f"has higher_is_better = {metric.higher_is_better!r}; expected True or False")
    pictures = [_pictures()[name] for name in takes]
    for device in ["cpu", *["cuda"] * torch.cuda.is_available()]:
        there = [each.to(device) for each in pictures]
        with torch.inference_mode():
            if isinstance(metric, MeanMetric):
                _rows(metric.to(device), there)
            _sums(metric.to(device), there)


def _rows(metric: MeanMetric, pictures: list[Tensor]) -> None:
    """Check a number a row."""
    with unchanged(metric, pictures, "its arguments in place; work on a copy"):
        numbers = metric.each(*pictures)
    shape = tuple(getattr(numbers, "shape", ()))
    expect(metric, shape == (ROWS,), f"gives numbers of shape {shape} for {ROWS} rows; expected one a row")
    expect(metric, numbers.is_floating_point(), f"gives {numbers.dtype}; expected floating point")
    expect(metric, finite(numbers), "is not finite for ordinary pictures")
    expect(metric, near(metric.each(*pictures), numbers, 1e-5), "gives other numbers for the same pictures")
    for rows in (slice(1), slice(1, 3), slice(3, ROWS)):
        alone = metric.each(*(each[rows] for each in pictures))
        expect(metric, near(alone, numbers[rows], 1e-3), "gives a row another number among other rows")
    double = metric.each(*(each.double() for each in pictures))
    expect(metric, near(double, numbers, 1e-3), "gives other numbers in float64; it may compute in float32")
    half = metric.each(*(each.bfloat16() for each in pictures))
    expect(metric, finite(half), "is not finite in bfloat16; compute in float32")


def _sums(metric: Metric, pictures: list[Tensor]) -> None:
    """Check the number of all that was taken in, however it came."""
    halves = [[each[rows] for each in pictures] for rows in (slice(ROWS // 2), slice(ROWS // 2, ROWS))]
    metric.reset()
    with unchanged(metric, pictures, "its arguments in update; work on a copy"):
        metric.update(*pictures)
    whole = metric.compute()
    right = isinstance(whole, Tensor) and whole.numel() == 1
    expect(metric, right, f"computes {type(whole).__name__}; expected a scalar tensor")
    expect(metric, finite(whole), "computes what is not finite of ordinary pictures")
    metric.reset()
    for half in halves:
        metric.update(*half)
    expect(metric, near(metric.compute(), whole, 1e-3), "computes another number of two halves than of the whole")
    one, two = deepcopy(metric), deepcopy(metric)
    for part, half in zip((one, two), halves, strict=True):
        part.reset()
        part.update(*half)
    one.merge_state(two)
    expect(metric, near(one.compute(), whole, 1e-3), "computes another number of two processes than of one; add_state")


def _pictures() -> dict[str, Tensor]:
    """Smooth ones with some texture, (ROWS, 3, SIDE, SIDE) in [-1, 1], of every kind."""
    draws, found = rng(), {}
    for name in PICTURES:
        coarse = torch.rand(ROWS, 3, 5, 5, generator=draws) * 1.8 - 0.9
        grain = torch.rand(ROWS, 3, SIDE, SIDE, generator=draws) * 0.2 - 0.1
        found[name] = torch.nn.functional.interpolate(coarse, size=SIDE, mode="bilinear") + grain
    return found

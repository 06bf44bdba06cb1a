"""What the page draws as SVG, in numbers: histograms of measures, and measures of settings against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 24


@dataclass(frozen=True)
class Histogram:
    """How a measure's values are distributed, in a box that is 1 wide and 1 high.

    Attributes:
        low, high: the least and the greatest value.
        bars: the height of each bar from the left, in [0, 1].
        mean: where the mean is, in [0, 1].
        interval: where its 95 % interval begins and ends, in [0, 1], if there is one.
        about: the same in words.
    """

    low: float
    high: float
    bars: list[float]
    mean: float
    interval: tuple[float, float] | None
    about: str


def histogram(
    name: str, values: np.ndarray, mean: float | None, interval: tuple[float, float] | None
) -> Histogram | None:
    """The distribution of the finite ones of ``values``, (n,); None where there are fewer than two."""
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return None
    low, high = float(finite.min()), float(finite.max())
    left, span = (low, high - low) if high > low else (low - 0.5, 1.0)
    counts, _ = np.histogram(finite, BINS, (left, left + span))
    middle = float(finite.mean()) if mean is None else mean

    def place(value: float) -> float:
        return min(max((value - left) / span, 0.0), 1.0)

    about = f"{name} of {len(finite)} pairs: from {low:.4g} to {high:.4g}, mean {middle:.4g}"
    about += f", 95 % interval {interval[0]:.4g} to {interval[1]:.4g}" if interval else ""
    ends = (place(interval[0]), place(interval[1])) if interval else None
    return Histogram(low, high, (counts / counts.max()).round(4).tolist(), place(middle), ends, about)


@dataclass(frozen=True)
class Plot:
    """Settings as points in a box that is 1 wide and 1 high: style to the right, content upwards.

    Attributes:
        x_range, y_range: the values at the box's edges.
        points: of each setting its number and its place.
        front: the places of those on the Pareto front, from the left.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    points: list[tuple[int, float, float]]
    front: list[tuple[float, float]]


def tradeoff(settings: Sequence[dict[str, Any]]) -> Plot | None:
    """Where settings stand, as sweep.json has them; None where none stands anywhere."""
    placed = [(i, each["place"]) for i, each in enumerate(settings) if each.get("place")]
    if not placed:
        return None
    values = [(i, float(place["style"]), float(place["content"])) for i, place in placed]
    (left, right), (bottom, top) = (_range([value[axis] for value in values]) for axis in (1, 2))
    points = [(i, (a - left) / (right - left), (b - bottom) / (top - bottom)) for i, a, b in values]
    front = sorted((a, b) for i, a, b in points if settings[i].get("front"))
    return Plot((left, right), (bottom, top), points, front)


def _range(values: list[float]) -> tuple[float, float]:
    """The least and the greatest, with a margin of a twentieth."""
    margin = (max(values) - min(values)) / 20 or abs(values[0]) / 20 or 0.05
    return min(values) - margin, max(values) + margin

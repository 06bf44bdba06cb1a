"""How sure a mean is: the bootstrap interval (Efron & Tibshirani 1993, section 13.3, percentiles)."""

from __future__ import annotations

import numpy as np

DRAWS = 1000  # resamples
LEVEL = 0.95


def bootstrap(values: np.ndarray, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean: percentiles of the means of ``draws`` samples of as many rows, with replacement.

    Args:
        values: (n,) of finite numbers, at least one, each of a row that does not depend on the others.
    """
    rng, n = np.random.default_rng(seed), len(values)
    means = [values[rng.integers(n, size=n)].mean() for _ in range(draws)]
    low, high = np.quantile(means, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)

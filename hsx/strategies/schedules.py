"""Blending schedules: gamma as a function of the timestep."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hsx.checks import MOST, got, number, whole
from hsx.errors import HsxError
from hsx.schedule import NoiseSchedule
from hsx.strategies.arguments import require
from hsx.strategies.base import BlendingSchedule


class Constant(BlendingSchedule):
    """The same gamma at every step (the paper, section 4.1; ``hs_coeff`` in the authors' command line).

    x carries what earlier steps injected, so that a constant gamma accumulates: the blending is gradual.

    Args:
        gamma: 0 (the style image itself) to 1 (all of the content's h).

    Raises:
        HsxError: for a gamma outside [0, 1].
    """

    def __init__(self, gamma: float = 0.3) -> None:
        self.value = _weight("gamma", gamma)

    def gamma(self, t: int) -> float:
        """The constant, whatever ``t``."""
        return self.value


class _OverSteps(BlendingSchedule):
    """A schedule over the course of the injections."""

    _timesteps: Sequence[int] = (999, 0)

    def prepare(self, timesteps: Sequence[int], noise: NoiseSchedule) -> None:
        """Keeps the timesteps at which h is injected, descending."""
        self._timesteps = timesteps or self._timesteps

    def position(self, t: int) -> float:
        """0 at the first injection (the most noise) to 1 at the last, each the same distance from the next."""
        places = np.linspace(0, 1, len(self._timesteps))
        return float(np.interp(-t, [-s for s in self._timesteps], places))


class Linear(_OverSteps):
    """A straight ramp: start + (end - start) p, with p from 0 at the first injection to 1 at the last.

    Content is laid down at high noise and detail at low (Choi et al. 2022, arXiv 2204.00227, section 3): a falling ramp
    keeps the layout of the content and leaves the detail to the style.

    Args:
        start: gamma at the first injection, the most noise.
        end: gamma at the last.

    Raises:
        HsxError: for a weight outside [0, 1].
    """

    def __init__(self, start: float = 0.6, end: float = 0.0) -> None:
        self.start, self.end = _weight("start", start), _weight("end", end)

    def gamma(self, t: int) -> float:
        """The ramp at ``t``."""
        return self.start + (self.end - self.start) * self.position(t)


class Cosine(Linear):
    """A ramp that is flat at both ends: start + (end - start) (1 - cos(pi p)) / 2.

    The half cosine of Loshchilov and Hutter 2017 (arXiv 1608.03983, eq. 5); p as in ``Linear``.

    Args:
        start: gamma at the first injection, the most noise.
        end: gamma at the last.

    Raises:
        HsxError: for a weight outside [0, 1].
    """

    def gamma(self, t: int) -> float:
        """The ramp at ``t``."""
        return self.start + (self.end - self.start) * (1 - math.cos(math.pi * self.position(t))) / 2


class Interval(BlendingSchedule):
    """The same gamma while t_hi >= t >= t_lo, nothing elsewhere.

    After guidance in a limited interval (Kynkäänniemi et al. 2024, arXiv 2404.07724, eq. 5).

    Args:
        gamma: the weight inside.
        t_hi: the first timestep that injects, inclusive.
        t_lo: the last, inclusive.

    Raises:
        HsxError: for a gamma outside [0, 1] or an empty interval.
    """

    def __init__(self, gamma: float = 0.3, t_hi: int = 900, t_lo: int = 400) -> None:
        if not (whole(t_lo, 0) and whole(t_hi, t_lo)):
            found = f"t_hi {got(t_hi)} and t_lo {got(t_lo)}"
            raise HsxError(f"t_hi, t_lo: expected t_hi >= t_lo >= 0, got {found}; exchange or correct them")
        self.value, self.t_hi, self.t_lo = _weight("gamma", gamma), t_hi, t_lo

    def gamma(self, t: int) -> float:
        """The weight inside the interval, else 0."""
        return self.value if self.t_lo <= t <= self.t_hi else 0.0


class Table(_OverSteps):
    """One gamma for each injection, in the order in which they come, from the most noise to the least.

    A table of another length than there are injections is stretched over them, linearly between its values
    (the general form of the paper's section 4.1, where gamma may differ at every step).

    Args:
        values: the weights.

    Raises:
        HsxError: for no values, or one outside [0, 1].
    """

    def __init__(self, values: list[float]) -> None:
        if not isinstance(values, (list, tuple)) or not values:
            what = "an empty list" if isinstance(values, (list, tuple)) else got(values)
            raise HsxError(f"values: expected at least one number from 0 to 1, got {what}; give some")
        self.values = [_weight("values", value) for value in values]

    def gamma(self, t: int) -> float:
        """The value of the injection at ``t``."""
        return float(np.interp(self.position(t), np.linspace(0, 1, len(self.values)), self.values))


class SignalToNoise(BlendingSchedule):
    """gamma k / (k + SNR(t)), with SNR(t) = a / (1 - a): strong in noise, where content is decided, weak in detail.

    The weight of P2 (Choi et al. 2022, arXiv 2204.00227, eq. 8, exponent 1), as a blending schedule.  The same numbers
    mean the same for models of other noise schedules.

    Args:
        gamma: the weight where there is only noise.
        k: the signal-to-noise ratio at which it is halved; 1 is where signal and noise have equal power.

    Raises:
        HsxError: for a gamma outside [0, 1] or a k that is not above 0.
    """

    _noise = NoiseSchedule.linear()

    def __init__(self, gamma: float = 0.6, k: float = 1.0) -> None:
        positive = number(k, 0, MOST) and k > 0
        require(positive, "k", "a number above 0", k, "1 is where signal and noise have equal power")
        self.value, self.k = _weight("gamma", gamma), k

    def prepare(self, timesteps: Sequence[int], noise: NoiseSchedule) -> None:
        """Keeps the model's schedule."""
        self._noise = noise

    def gamma(self, t: int) -> float:
        """The weight at ``t``."""
        a = float(self._noise.alphas_cumprod[t])
        return self.value * self.k * (1 - a) / (self.k * (1 - a) + a)


def _weight(name: str, value: float) -> float:
    require(number(value, 0, 1), name, "a number from 0 to 1", value, "0.3 is the paper's")
    return value

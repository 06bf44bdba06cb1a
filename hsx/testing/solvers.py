"""The checks of solvers: single steps, and whole ways along a flow that is known in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from itertools import pairwise

import torch
from torch import Tensor

from hsx.checks import whole
from hsx.errors import first_line
from hsx.method.course import Course
from hsx.schedule import NoiseSchedule
from hsx.strategies import DDIM, Solver
from hsx.strategies.base import Past
from hsx.testing.common import ALL, DTYPES, ROWS, Call, check_rows, expect, near, rng

FAR, NEAR = (900, 100, 300), (500, 500, 0)  # each row's way: down, up, and down to the clean picture
NEXT = (400, 600, -1)
HALVINGS = (12, 24, 48)  # steps of whole ways
SLACK = 2**-0.5  # of a factor by which an error must fall
EXACT = 1e-10  # an error that is none in float64


def check_solver(solver: Solver, device: str) -> None:
    """Rows, dtypes, DDIM without a history, x_0 at the end, and errors that fall by the order, there and back."""
    for name, least in (("memory", 0), ("order", 1)):
        value = getattr(solver, name)
        expect(solver, whole(value, least), f"has a {name} of {value!r}; expected a whole number from {least}")
    _steps(solver, device)
    flow, mine = Gaussian(), copy(solver)
    for what, steps in (("up, as inversion goes", 1), ("down, as generation goes", -1)):
        _falls(solver, [flow.error(mine, n, steps) for n in HALVINGS], solver.order, f"on its way {what}")
    # Each way begins with a step of DDIM's, whose one error is of the second order, whatever the solver's own.
    _falls(solver, [flow.error_there_and_back(mine, n) for n in HALVINGS], min(solver.order, 2), "there and back")


def _steps(solver: Solver, device: str) -> None:
    """Check single steps with each length of history, of rows that are at different timesteps."""
    noise = NoiseSchedule.linear()
    t, t_next, far = (torch.tensor(times) for times in (NEAR, NEXT, FAR))
    for dtype, tolerance in DTYPES.items():
        x0, eps, *further = torch.randn(2 + 2 * solver.memory, ROWS, 3, 4, 4, generator=rng()).to(device, dtype)
        a = noise.at(t)
        x = a.sqrt().to(x0) * x0 + (1 - a).sqrt().to(x0) * eps
        ago = [far + (t - far) * k // solver.memory for k in range(solver.memory)]  # the longest ago first
        past = [p for one in zip(further[::2], further[1::2], ago, strict=True) for p in one]
        for known in range(solver.memory + 1):
            given = (x, x0, eps, t, t_next, *past[len(past) - 3 * known :])
            check_rows(solver, _call(solver, noise), given, x, tolerance)
            end = _call(solver, noise)(slice(2, 3), *given)
            expect(solver, near(end, x0[2:], tolerance), "does not end in x0 where t_next is -1")
        first, ddim = (_call(each, noise)(ALL, x, x0, eps, t, t_next) for each in (solver, DDIM()))
        expect(solver, near(first, ddim, tolerance), "is not DDIM where there is no history; begin with its step")


def _call(solver: Solver, noise: NoiseSchedule) -> Call:
    """A step of some rows, its history given flat."""

    def call(rows: slice, *given: Tensor) -> Tensor:
        mine, (x, x0, eps, t, t_next, *past) = copy(solver), [tensor[rows] for tensor in given]
        mine.prepare(noise)
        history = tuple(Past(*past[i : i + 3]) for i in range(0, len(past), 3))
        try:
            return mine.step(x, x0, eps, t, t_next, history)
        except Exception as error:
            what = f"raises {type(error).__name__} with a history of {len(history)} ({first_line(error)})"
            raise AssertionError(f"{type(solver).__name__} {what}; it has a memory of {solver.memory}") from error

    return call


class Gaussian:
    """Pixels that are normal, each with a mean and a deviation of its own: eps is linear in x, the flow known.

    ln(alpha / sigma) falls evenly over the timesteps, so that evenly spaced ones are so for every solver.
    """

    def __init__(self) -> None:
        log_ratio = torch.linspace(2.5, -2.5, 2 * HALVINGS[-1] + 1, dtype=torch.float64)
        self.noise = NoiseSchedule(torch.sigmoid(2 * log_ratio))
        self.mean, z = torch.randn(2, ROWS, 3, 4, 4, generator=rng(), dtype=torch.float64)
        self.deviation = 0.5 + torch.rand(self.mean.shape, generator=rng(), dtype=torch.float64)
        self.exact = [self._scale(t) * z + self.noise.at(torch.tensor([t])).sqrt() * self.mean for t in self._all]

    @property
    def _all(self) -> range:
        return range(len(self.noise))

    def _scale(self, t: int) -> Tensor:
        """The deviation of x at ``t``."""
        a = self.noise.at(torch.tensor([t]))
        return (a * self.deviation**2 + 1 - a).sqrt()

    def said(self, x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """x_0 and eps, as a perfect network says them of ``x`` at ``t``."""
        a = self.noise.at(torch.tensor([t]))
        eps = (1 - a).sqrt() * (x - a.sqrt() * self.mean) / self._scale(t) ** 2
        return (x - (1 - a).sqrt() * eps) / a.sqrt(), eps

    def error(self, solver: Solver, n: int, way: int) -> float:
        """How far from the exact x ``n`` steps up (1) or down (-1) end; what came before them is known exactly."""
        times = self.grid(n)[::way]
        x = self.walk(solver, times, self.exact[times[0]], lambda k: k < solver.memory)
        return float((x - self.exact[times[-1]]).abs().max())

    def error_there_and_back(self, solver: Solver, n: int) -> float:
        """How far from where they began ``n`` steps up and as many down end."""
        times = self.grid(n)
        x = self.walk(solver, times[::-1], self.walk(solver, times, self.exact[0]))
        return float((x - self.exact[0]).abs().max())

    def grid(self, n: int) -> list[int]:
        """The timesteps of ``n`` steps."""
        return [*self._all[:: (len(self.noise) - 1) // n]]

    def walk(
        self, solver: Solver, times: Sequence[int], x: Tensor, put_right: Callable[[int], bool] = lambda k: False
    ) -> Tensor:
        """x at the last of these timesteps; after the steps that are ``put_right``, by number, it is the exact x."""
        course = Course(solver, self.noise, len(x))
        for k, (t, t_next) in enumerate(pairwise(times)):
            at, to = (torch.full((len(x),), each) for each in (t, t_next))
            x = course.step(x, *self.said(x, t), t=at, t_next=to)
            x = self.exact[t_next] if put_right(k) else x
        return x


def _falls(solver: Solver, errors: list[float], order: int, where: str) -> None:
    """Check that an error falls by 2 to the order, each time that the number of steps is doubled."""
    for n, (error, half) in zip(HALVINGS, pairwise(errors), strict=False):
        falls = half < EXACT or error / half >= SLACK * 2**order
        by = f"from {error:.2g} at {n} steps to {half:.2g} at {2 * n} {where}"
        expect(
            solver, falls, f"has an error that falls {by}; expected it to fall by {2**order}, for an order of {order}"
        )

"""A solver on its way through the timesteps, with what it remembers of each row."""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import torch
from torch import Tensor

from hsx.checks import got
from hsx.errors import HsxError
from hsx.method.rows import there
from hsx.schedule import NoiseSchedule
from hsx.strategies import DDIM
from hsx.strategies.base import Past, Solver


def check_inverter(inverter: int, solver: Solver) -> None:
    """Raises HsxError for looks (see ``TransferConfig.inverter``) with a solver that they do not invert."""
    if inverter and type(solver) is not DDIM:
        found = type(solver).__name__
        raise HsxError(f"inverter: expected the solver DDIM with it, which it inverts, got {found}; drop one of them")


class Course:
    """The steps of a batch of ``rows``, up or down.

    Args:
        solver: a copy of it is told of the schedule, so that its record stays as it is.
    """

    def __init__(self, solver: Solver, noise: NoiseSchedule, rows: int) -> None:
        self.solver, self.past = deepcopy(solver), list[Past]()
        self.solver.prepare(noise)
        self.known = torch.zeros(rows, dtype=torch.long)  # of ``past``, the evaluations that belong to each row

    def step(self, x: Tensor, x0: Tensor, eps: Tensor, *, t: Tensor, t_next: Tensor) -> Tensor:
        """The solver's step of all rows, each with what is known of it; what the network said is known from now on."""
        call = partial(self._checked, x, x0, eps, t, t_next)
        counts = sorted(set(self.known.tolist()))
        x_next = call(counts[0])
        for count in counts[1:]:
            rows = (self.known == count).reshape(-1, 1, 1, 1)
            x_next = torch.where(there(rows, x), call(count), x_next)
        if self.solver.memory:
            self.past = [*self.past, Past(x0, eps, t)][-self.solver.memory :]
            self.known = (self.known + 1).clamp(max=self.solver.memory)
        return x_next

    def forget(self, rows: Tensor) -> None:
        """These rows (B,) of bool begin anew."""
        self.known = self.known.where(~rows, 0)

    def _checked(self, x: Tensor, x0: Tensor, eps: Tensor, t: Tensor, t_next: Tensor, count: int) -> Tensor:
        """The step with the last ``count`` evaluations."""
        made = self.solver.step(x, x0, eps, t, t_next, tuple(self.past[len(self.past) - count :]))
        if not isinstance(made, Tensor) or made.shape != x.shape or not made.is_floating_point():
            what = f"{made.dtype} of shape {tuple(made.shape)}" if isinstance(made, Tensor) else got(made)
            name = type(self.solver).__name__
            raise HsxError(
                f"{name}: expected an x of shape {tuple(x.shape)} in floats, got {what}; take another solver"
            )
        return made

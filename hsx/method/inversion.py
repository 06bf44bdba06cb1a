"""Inversion: from a picture to the noise it comes from, and its features at every step on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from hsx.backbones.base import BOTTLENECK, Backbone
from hsx.backbones.prediction import predict_x0
from hsx.checks import got, in_range, whole
from hsx.errors import HsxError
from hsx.method.course import Course, check_inverter
from hsx.method.grids import Spacing, listed, nearest, spaced
from hsx.method.inputs import Images, as_images, check_backbone
from hsx.method.sites import Sites, chosen_sites
from hsx.strategies import DDIM, Solver
from hsx.strategies.base import check_strategy


@dataclass(frozen=True)
class Trajectory:
    """Inverted pictures, row by row.

    Attributes:
        x_T: (B, 3, R, R), the noise at ``t_start`` from which each picture comes.
        features: at each recorded site (B, S, c, r, r), its feature at each of ``timesteps``; at ``h`` the bottleneck.
        timesteps: the S timesteps at which they were recorded, ascending; ``t_start`` only where it looked there.
        t_start: the timestep of ``x_T``.
        images: (B, 3, R, R) in [-1, 1], the pictures themselves, where they are known.
        grid: all timesteps of the inversion, from 0 to ``t_start``; none where they are not known.
        solver: what took x from one to the next, see ``Strategy.record``; None where that is not known.
    """

    x_T: Tensor
    features: Mapping[str, Tensor]
    timesteps: tuple[int, ...]
    t_start: int
    images: Tensor | None = None
    grid: tuple[int, ...] = ()
    solver: Mapping[str, Any] | None = None

    @classmethod
    def of_pictures(cls, images: Tensor, t_start: int) -> Trajectory:
        """Pictures that were not inverted, for a donor that reads them: no noise and no features."""
        return cls(images[:, :0], {}, (), t_start, images)

    def __len__(self) -> int:
        return len(self.x_T)

    @property
    def h(self) -> Tensor:
        """The bottleneck at each of ``timesteps``, (B, S, C, H, W).  Raises HsxError where it was not recorded."""
        if BOTTLENECK not in self.features:
            found = ", ".join(self.features) or "no features"
            raise HsxError(f"expected a Trajectory with h, got one with {found}; name h among the sites")
        return self.features[BOTTLENECK]

    def h_at(self, t: int) -> Tensor:
        """h of the recorded timestep nearest to ``t`` (a tie: the larger), (B, C, H, W)."""
        return self.h[:, self._nearest(t)]

    def features_at(self, t: Tensor) -> dict[str, Tensor]:
        """The features at the recorded timesteps nearest to ``t`` (B,), each (B, c, r, r)."""
        places = [self._nearest(one) for one in t.tolist()]
        return {
            site: torch.stack([own[place] for own, place in zip(feature, places, strict=True)])
            for site, feature in self.features.items()
        }

    def _nearest(self, t: int) -> int:
        return nearest(self.timesteps, t)


@torch.no_grad()
def invert(
    backbone: Backbone,
    images: Images,
    steps: int = 50,
    t_start: int | None = None,
    fit: str = "crop",
    sites: Sites = (BOTTLENECK,),
    solver: Solver | None = None,
    spacing: Spacing = "uniform",
    inverter: int = 0,
) -> Trajectory:
    """Deterministic DDIM run forward in time (paper, section 3; Song et al. 2021, eq. 12 with sigma = 0).

    The picture is taken as x at t = 0, so that ``steps`` timesteps make ``steps - 1`` evaluations (the authors' code).

    Args:
        images: (B, 3, R, R) in [-1, 1], R the backbone's ``sample_size``; or paths or PIL pictures, one or a list.
        steps: how many timesteps, from 0 to ``t_start``, which is the model's last timestep by default.
        fit: how pictures that are no tensors become square: crop (the middle), pad (white bars) or stretch.
        sites: whose features are recorded, see ``hsx.method.sites``, or none; they take most of the memory.
        solver: what takes x from one timestep to the next, DDIM by default.
        spacing: how the timesteps are spaced, or the timesteps themselves: see ``TransferConfig.spacing``.
        inverter: how often the network looks at each step for the x from which DDIM leads back, see ``TransferConfig``.

    Raises:
        HsxError: for what is no such picture (see ``hsx.method.inputs.as_images``), a backbone that is none, steps,
            spacing and t_start that do not fit its schedule or each other, or a site that it does not have.
    """
    check_backbone(backbone)
    check_strategy("solver", Solver, solver)
    last = len(backbone.schedule) - 1
    if t_start is not None and not whole(t_start, 1, last):
        raise HsxError(
            f"t_start: expected at most {last}, the model's last timestep, and at least 1, got "
            f"{got(t_start)}; leave it out for the last"
        )
    if isinstance(spacing, str):
        t_start = last if t_start is None else t_start
        in_range("steps", steps, 2, t_start + 1, "as many as there are timesteps up to t_start", whole)
        times = spaced(steps, t_start, spacing, backbone.schedule)
    else:
        times = listed(spacing, last if t_start is None else t_start, t_start is None)
    in_range("inverter", inverter, 0, math.inf, "looks a step; 0: the solver run forward", whole)
    solver = solver or DDIM()
    check_inverter(inverter, solver)

    return along(backbone, as_images(images, backbone, fit), times, sites, solver, inverter)


@torch.no_grad()
def along(
    backbone: Backbone,
    images: Tensor,
    times: Sequence[int],
    sites: Sites,
    solver: Solver,
    inverter: int = 0,
    look_at_the_last: bool = False,
) -> Trajectory:
    """``invert`` along these timesteps, checked; with ``look_at_the_last`` features are recorded at the last too."""
    x = images
    course = Course(solver, backbone.schedule, len(x))
    record = _Record(backbone, {site: [] for site in (chosen_sites(sites, backbone) if sites else ())})
    eps = record.look(x, times[0])
    for t, t_next in pairwise(times):
        now = torch.full((len(x),), t)
        step = partial(_step, course, x, backbone.schedule.at(now), now, torch.full_like(now, t_next))
        for again in reversed(range(inverter)):
            eps = record.look(step(eps), t_next, keep=not again)
        x = step(eps)
        if not inverter and (look_at_the_last or t_next != times[-1]):
            eps = record.look(x, t_next)
    seen = times if inverter or look_at_the_last else times[:-1]
    return Trajectory(x, record.stacked(), tuple(seen), times[-1], images, tuple(times), solver.record())


def _step(course: Course, x: Tensor, a: Tensor, t: Tensor, t_next: Tensor, eps: Tensor) -> Tensor:
    """x at ``t_next`` by what the network says, at ``t`` or, from there, of a guess."""
    return course.step(x, predict_x0(x, eps, a), eps, t=t, t_next=t_next)


@dataclass(frozen=True)
class _Record:
    """What the network says, and its features at some sites, one after the other."""

    backbone: Backbone
    features: dict[str, list[Tensor]]

    def look(self, x: Tensor, t: int, keep: bool = True) -> Tensor:
        """eps of x at ``t``."""
        b = self.backbone.encode(x, torch.full((len(x),), t))
        own = b.features
        for site, recorded in self.features.items() if keep else ():
            recorded.append(own[site])
        return self.backbone.decode(b)

    def stacked(self) -> dict[str, Tensor]:
        """At each site (B, S, c, r, r)."""
        return {site: torch.stack(recorded, 1) for site, recorded in self.features.items()}

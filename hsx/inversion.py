"""Inversion: from a picture to the noise it comes from, and its bottleneck h at every step on the way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hsx.backbones.base import Backbone
from hsx.errors import HsxError
from hsx.schedule import timesteps
from hsx.step import predict_x0


@dataclass(frozen=True)
class Trajectory:
    """Inverted pictures, row by row.

    Attributes:
        x_T: (B, 3, R, R), the noise at ``t_start`` from which each picture comes.
        h: (B, S, C, H, W), the bottleneck at each of ``timesteps``.
        timesteps: the S timesteps at which h was recorded, ascending; ``t_start`` itself is not among them.
        t_start: the timestep of ``x_T``.
    """

    x_T: Tensor
    h: Tensor
    timesteps: tuple[int, ...]
    t_start: int

    def __len__(self) -> int:
        return len(self.x_T)

    def h_at(self, t: int) -> Tensor:
        """h of the recorded timestep nearest to ``t`` (a tie: the larger), (B, C, H, W)."""
        nearest = min(self.timesteps, key=lambda s: (abs(s - t), -s))
        return self.h[:, self.timesteps.index(nearest)]


@torch.no_grad()
def invert(backbone: Backbone, images: Tensor, steps: int = 50, t_start: int | None = None) -> Trajectory:
    """Deterministic DDIM run forward in time (paper, section 3; Song et al. 2021, eq. 12 with sigma = 0).

    The picture is taken as x at t = 0, so that ``steps`` timesteps make ``steps - 1`` evaluations (the authors' code).

    Args:
        images: (B, 3, R, R) in [-1, 1], R the backbone's ``sample_size``.
        steps: how many timesteps, evenly spaced from 0 to ``t_start``, which is the model's last timestep by default.

    Raises:
        HsxError: for pictures of another size, or steps and t_start that do not fit the backbone's schedule.
    """
    size = backbone.sample_size
    if images.ndim != 4 or images.shape[1:] != (3, size, size):
        raise HsxError(f"expected images of shape (B, 3, {size}, {size}), got {tuple(images.shape)}; "
                       f"crop and resize them to {size} x {size}")
    t_start = len(backbone.schedule) - 1 if t_start is None else t_start
    if t_start >= len(backbone.schedule):
        raise HsxError(f"t_start: expected at most {len(backbone.schedule) - 1}, the model's last timestep, "
                       f"got {t_start}")
    times = timesteps(steps, t_start)
    x, hs = images, []
    for t, t_next in zip(times[:-1], times[1:], strict=True):
        now = torch.full((len(x),), t)
        a, a_next = backbone.schedule.at(now), backbone.schedule.at(torch.full_like(now, t_next))
        b = backbone.encode(x, now)
        hs.append(b.h)
        eps = backbone.decode(b)
        x = a_next.sqrt().to(x) * predict_x0(x, eps, a) + (1 - a_next).sqrt().to(x) * eps
    return Trajectory(x, torch.stack(hs, 1), tuple(times[:-1]), t_start)

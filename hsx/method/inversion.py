"""Inversion: from a picture to the noise it comes from, and its bottleneck h at every step on the way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hsx.backbones.base import Backbone
from hsx.backbones.prediction import predict_x0
from hsx.checks import got, in_range, whole
from hsx.errors import HsxError
from hsx.method.inputs import Images, as_images, check_backbone
from hsx.schedule import timesteps


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
def invert(
    backbone: Backbone, images: Images, steps: int = 50, t_start: int | None = None, fit: str = "crop"
) -> Trajectory:
    """Deterministic DDIM run forward in time (paper, section 3; Song et al. 2021, eq. 12 with sigma = 0).

    The picture is taken as x at t = 0, so that ``steps`` timesteps make ``steps - 1`` evaluations (the authors' code).

    Args:
        images: (B, 3, R, R) in [-1, 1], R the backbone's ``sample_size``; or paths or PIL pictures, one or a list.
        steps: how many timesteps, evenly spaced from 0 to ``t_start``, which is the model's last timestep by default.
        fit: how pictures that are no tensors become square: crop (the middle), pad (white bars) or stretch.

    Raises:
        HsxError: for what is no such picture (see ``hsx.method.inputs.as_images``), a backbone that is none, or steps
            and t_start that do not fit its schedule.
    """
    check_backbone(backbone)
    last = len(backbone.schedule) - 1
    t_start = last if t_start is None else t_start
    if not whole(t_start, 1, last):
        raise HsxError(
            f"t_start: expected at most {last}, the model's last timestep, and at least 1, got "
            f"{got(t_start)}; leave it out for the last"
        )
    in_range("steps", steps, 2, t_start + 1, "as many as there are timesteps up to t_start", whole)
    times = timesteps(steps, t_start)
    x, hs = as_images(images, backbone, fit), []
    for t, t_next in zip(times[:-1], times[1:], strict=True):
        now = torch.full((len(x),), t)
        a, a_next = backbone.schedule.at(now), backbone.schedule.at(torch.full_like(now, t_next))
        b = backbone.encode(x, now)
        hs.append(b.h)
        eps = backbone.decode(b)
        x = a_next.sqrt().to(x) * predict_x0(x, eps, a) + (1 - a_next).sqrt().to(x) * eps
    return Trajectory(x, torch.stack(hs, 1), tuple(times[:-1]), t_start)

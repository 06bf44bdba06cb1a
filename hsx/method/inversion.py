"""Inversion: from a picture to the noise it comes from, and its features at every step on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hsx.backbones.base import BOTTLENECK, Backbone
from hsx.backbones.prediction import predict_x0
from hsx.checks import got, in_range, whole
from hsx.errors import HsxError
from hsx.method.inputs import Images, as_images, check_backbone
from hsx.method.sites import Sites, chosen_sites
from hsx.schedule import timesteps


@dataclass(frozen=True)
class Trajectory:
    """Inverted pictures, row by row.

    Attributes:
        x_T: (B, 3, R, R), the noise at ``t_start`` from which each picture comes.
        features: at each recorded site (B, S, c, r, r), its feature at each of ``timesteps``; at ``h`` the bottleneck.
        timesteps: the S timesteps at which they were recorded, ascending; ``t_start`` itself is not among them.
        t_start: the timestep of ``x_T``.
        images: (B, 3, R, R) in [-1, 1], the pictures themselves, where they are known.
    """

    x_T: Tensor
    features: Mapping[str, Tensor]
    timesteps: tuple[int, ...]
    t_start: int
    images: Tensor | None = None

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
        rows, places = list(range(len(self))), [self._nearest(one) for one in t.tolist()]
        return {site: feature[rows, places] for site, feature in self.features.items()}

    def _nearest(self, t: int) -> int:
        return self.timesteps.index(min(self.timesteps, key=lambda s: (abs(s - t), -s)))


@torch.no_grad()
def invert(
    backbone: Backbone,
    images: Images,
    steps: int = 50,
    t_start: int | None = None,
    fit: str = "crop",
    sites: Sites = (BOTTLENECK,),
) -> Trajectory:
    """Deterministic DDIM run forward in time (paper, section 3; Song et al. 2021, eq. 12 with sigma = 0).

    The picture is taken as x at t = 0, so that ``steps`` timesteps make ``steps - 1`` evaluations (the authors' code).

    Args:
        images: (B, 3, R, R) in [-1, 1], R the backbone's ``sample_size``; or paths or PIL pictures, one or a list.
        steps: how many timesteps, evenly spaced from 0 to ``t_start``, which is the model's last timestep by default.
        fit: how pictures that are no tensors become square: crop (the middle), pad (white bars) or stretch.
        sites: whose features are recorded, see ``hsx.method.sites``, or none; they take most of the memory.

    Raises:
        HsxError: for what is no such picture (see ``hsx.method.inputs.as_images``), a backbone that is none, steps and
            t_start that do not fit its schedule, or a site that it does not have.
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
    x = images = as_images(images, backbone, fit)
    features: dict[str, list[Tensor]] = {site: [] for site in (chosen_sites(sites, backbone) if sites else ())}
    for t, t_next in zip(times[:-1], times[1:], strict=True):
        now = torch.full((len(x),), t)
        a, a_next = backbone.schedule.at(now), backbone.schedule.at(torch.full_like(now, t_next))
        b = backbone.encode(x, now)
        own = b.features
        for site, recorded in features.items():
            recorded.append(own[site])
        eps = backbone.decode(b)
        x = a_next.sqrt().to(x) * predict_x0(x, eps, a) + (1 - a_next).sqrt().to(x) * eps
    stacked = {site: torch.stack(recorded, 1) for site, recorded in features.items()}
    return Trajectory(x, stacked, tuple(times[:-1]), t_start, images)

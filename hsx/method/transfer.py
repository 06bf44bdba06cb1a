"""The loop over ``step.py``: from inverted contents and styles to the contents in the styles."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from hsx.backbones.base import Backbone
from hsx.checks import got, in_range
from hsx.errors import HsxError
from hsx.io.images import read_image, read_mask
from hsx.method.config import TransferConfig
from hsx.method.contents import as_far_as, check_content, check_style, given
from hsx.method.course import Course
from hsx.method.injections import warn_of_few_injections
from hsx.method.inputs import (
    Images,
    as_images,
    check_backbone,
    check_gammas,
    check_mask,
    check_noise,
    check_rows,
)
from hsx.method.inversion import Trajectory, along, invert
from hsx.method.noise import SampleNoise
from hsx.method.sites import Sites
from hsx.method.step import transfer_step
from hsx.schedule import timesteps
from hsx.strategies import Constant, Frobenius, Identity, Latent, PaperFaceMask, Slerp
from hsx.strategies.base import KINDS

Noise = Callable[[Tensor], Tensor]


class Transfer:
    """Content images in the style of style images, with a frozen diffusion model (InjectFusion, arXiv 2303.15403).

    Args:
        backbone: the frozen network, see ``hsx.load_backbone``.
        settings, options: a ``TransferConfig``, or its fields: ``Transfer(backbone, Constant(0.5), t_edit=300)``.

    Attributes:
        config: the settings, with all that follows from the model; each is an attribute of the transfer too.
        timesteps, inversion_timesteps: of generation and of inversion, ascending to ``t_start``.
        content_timesteps: of the contents' inversion, which ends where they are injected first.
        injection_timesteps: those at which the content may be injected.

    Raises:
        HsxError: for a value out of range.
    """

    def __init__(self, backbone: Backbone, *settings: Any, **options: Any) -> None:
        check_backbone(backbone)
        if settings and isinstance(settings[0], TransferConfig):
            config = replace(*settings, **options)
        else:
            config = TransferConfig(*settings, **options)
        self.backbone, self.config = backbone, config.resolved(backbone)
        vars(self).update(deepcopy(self.config.strategies))  # these change at work, those of the config never do
        grids = self.config.grids
        self.timesteps, self.inversion_timesteps = [*grids.generation], [*grids.inversion]
        self.content_timesteps = [*grids.contents]
        self.injection_timesteps, self.t_start = grids.injections, grids.generation[-1]
        size, fit = backbone.sample_size, self.config.fit
        for kind in KINDS:
            getattr(self, kind).read_pictures(partial(read_image, size=size, fit=fit), partial(read_mask, fit=fit))
        self._prepare_schedule()
        warn_of_few_injections(self)

    def __getattr__(self, name: str) -> Any:
        """The settings."""
        if name == "config":  # not made yet
            raise AttributeError(name)
        return getattr(self.config, name)

    @classmethod
    def paper(
        cls,
        backbone: Backbone,
        gamma: float = 0.3,
        omega: float = 0.0,
        dt_lambda: float = 1.0,
        dt_end: int = 950,
        t_edit: int = 400,
        t_boost: int = 0,
        inversion_steps: int = 50,
        generation_steps: int = 1000,
        content_replace_step: int = 50,
        use_mask: bool = False,
        seed: int = 0,
    ) -> Transfer:
        """The authors' code, number for number (github.com/curryjung/InjectFusion_official, ``diff_style``).

        Args:
            gamma, omega, dt_lambda, t_boost: their ``hs_coeff``, ``omega``, ``dt_lambda``, ``t_noise``.
            content_replace_step: inject at the timesteps of this many evenly spaced ones; -1: at every step.
            use_mask: their mask (see ``hsx.strategies.PaperFaceMask`` for where it is), without normalisation.
        """
        every = timesteps(generation_steps)
        return cls(
            backbone,
            Constant(gamma),
            PaperFaceMask() if use_mask else Slerp(),
            Identity() if use_mask else Frobenius(),
            Latent(omega),
            inversion_steps,
            generation_steps,
            every if content_replace_step == -1 else timesteps(content_replace_step),
            t_start=999,
            t_edit=t_edit,
            t_boost=t_boost,
            seed=seed,
            dt_lambda=1.0 if omega else dt_lambda,  # no effect with omega in their code
            dt_end=dt_end,
        )

    def invert(self, images: Images, sites: Sites | None = None) -> Trajectory:
        """``hsx.invert`` with the timesteps, solver, fit and sites of this transfer; styles need no sites, ``()``."""
        sites, times = tuple(self.sites) if sites is None else sites, self.inversion_timesteps
        how = {"solver": self.solver, "spacing": times, "inverter": self.inverter}
        return invert(self.backbone, images, len(times), times[-1], self.fit, sites, **how)

    def invert_contents(self, images: Images, sites: Sites | None = None) -> Trajectory:
        """``invert``, but only as far as their features are injected."""
        sites, times = tuple(self.sites) if sites is None else sites, self.content_timesteps
        if times == self.inversion_timesteps:
            return self.invert(images, sites)
        images = as_images(images, self.backbone, self.fit)
        return along(self.backbone, images, times, sites, self.solver, self.inverter, look_at_the_last=True)

    def contents(self, images: Images) -> Trajectory:
        """Contents as the donor needs them: inverted as far as they are injected, or as they are."""
        if self.donor.inverts:
            return self.invert_contents(images)
        return Trajectory.of_pictures(as_images(images, self.backbone, self.fit), self.t_start)

    def __call__(
        self, content_images: Images, style_images: Images, mask: Tensor | None = None, noise: Noise | None = None
    ) -> Tensor:
        """Pairs, row by row: pictures to tensors (B, 3, R, R) in [-1, 1]; see ``inject``.

        Args:
            content_images, style_images: tensors (B, 3, R, R) in [-1, 1], or paths or PIL pictures, one or a list.

        Raises:
            HsxError: for what is no such picture, see ``hsx.method.inputs.as_images``.
        """
        contents, styles = (
            as_images(given, self.backbone, self.fit, name)
            for given, name in ((content_images, "content_images"), (style_images, "style_images"))
        )
        check_rows(len(contents), len(styles))
        check_mask(mask, len(styles), self.backbone.sample_size)  # before all the work
        return self.inject(self.contents(contents), self.invert(styles, ()), mask, noise).clamp(-1, 1)

    @torch.no_grad()
    def inject(
        self,
        content: Trajectory,
        style: Trajectory,
        mask: Tensor | None = None,
        noise: Noise | None = None,
        gamma: Tensor | None = None,
    ) -> Tensor:
        """The content's features injected into the style's generative process; (B, 3, R, R), not clamped.

        Args:
            content: as from ``contents``, pairs row by row.
            style: inverted images; of these only the noise is used.
            mask: (B or 1, 1, R, R) in [0, 1], where to inject; resized to the grid of each site by area.
            noise: what draws the quality boost's noise; by default ``SampleNoise(seed, row numbers)``.
            gamma: (B,) in [0, 1], in place of the schedule's wherever that is above 0, or, where it never is, at every
                injection; nan keeps the schedule's.

        Raises:
            HsxError: for unequal numbers of rows, styles inverted to another t_start, a mask of another shape or
                range, or a schedule that gives a gamma outside [0, 1].
        """
        for name, trajectory in (("content", content), ("style", style)):
            if not isinstance(trajectory, Trajectory):
                raise HsxError(f"{name}: expected a Trajectory, got {got(trajectory)}; give invert()'s")
        check_rows(len(content), len(style))
        check_content(content, self.donor, self.sites, self.backbone)
        check_style(style, self.inversion_timesteps, self.solver)
        R = self.backbone.sample_size
        if style.x_T.shape[1:] != (3, R, R):
            raise HsxError(
                f"style: expected a Trajectory with an x_T of (B, 3, {R}, {R}), got "
                f"{tuple(style.x_T.shape)}; invert it with this transfer's own invert()"
            )
        if noise is not None and not callable(noise):
            raise HsxError(
                f"noise: expected a function that draws it, got {got(noise)}; give hsx.method.noise.SampleNoise"
            )
        if gamma is not None:
            check_gammas(gamma, len(style))
        noise = noise or SampleNoise(self.seed, range(len(style)))
        self._prepare_schedule()
        check_mask(mask, len(style), R)
        content = self.blend.prepare(as_far_as(content, self.recorded_timesteps), self.invert_contents)
        donor = partial(given, self.donor, self.sites, content)
        weights_at = self._weights(len(style), gamma)
        x = style.x_T
        course = Course(self.solver, self.backbone.schedule, len(x))
        begun = torch.zeros(len(x), dtype=torch.bool)  # rows that have injected before
        for t, t_next in pairwise([*reversed(self.timesteps), -1]):
            injects, weights = t in self.injection_timesteps, weights_at.get(t, torch.zeros(len(x)))
            direction = self.dt_lambda if injects and t >= self.dt_end else 1.0
            boost = injects and 0 < t <= self.t_boost and direction == 1
            times = {"t": torch.full((len(x),), t), "t_next": torch.full((len(x),), t_next)}
            x = transfer_step(
                self.backbone,
                x,
                times["t"],
                times["t_next"],
                donor,
                self.sites,
                weights,
                self.blend,
                self.normalizer,
                self.calibrator,
                mask,
                eta=float(boost),
                noise=check_noise(noise(x), x) if boost else None,
                direction=direction,
                strength=self.strengths.get(t, 1),
                follows=begun & (weights > 0) if self.style_eps == "first" else False,
                solve=partial(course.step, **times),
            )
            course.forget(torch.ones_like(begun) if boost or direction != 1 else weights > 0)
            begun |= weights > 0
        return x

    @property
    def recorded_timesteps(self) -> tuple[int, ...]:
        """Those at which the contents' features are recorded: where the network looks, as far as they are injected."""
        times = self.content_timesteps
        return tuple(times if self.inverter or times != self.inversion_timesteps else times[:-1])

    @property
    def injects(self) -> list[int]:
        """The timesteps that the schedule is told of, descending: those at which it might inject."""
        return [t for t in reversed(self.config.grids.whole) if t in self.injection_timesteps and t >= self.t_edit]

    @cached_property
    def strengths(self) -> dict[int, int]:
        """By timestep, for how many of ``same_strength_as`` injections it stands: those from it to above the next."""
        many = self.config.same_strength_as
        if many is None:
            return {}
        those = [t for t in timesteps(many, len(self.backbone.schedule) - 1) if t >= self.t_edit]
        at = sorted(self.injection_timesteps.intersection(self.config.grids.whole), reverse=True)
        return {t: sum(t_next < one <= t for one in those) for t, t_next in pairwise([*at, -1])}

    def _weights(self, rows: int, gamma: Tensor | None) -> dict[int, Tensor]:
        """How much is blended in of each row, (B,), by timestep: on the CPU, so that no step waits for the device."""
        weights = {t: self.schedule.gamma(t) for t in self.injects if t <= self.t_start and self.strengths.get(t, 1)}
        for t, weight in weights.items():
            in_range("schedule", weight, 0, 1, f"gamma at timestep {t}")
        own = torch.full((rows,), torch.nan) if gamma is None else gamma.float().cpu()
        some = any(weights.values())
        return {
            t: torch.where(own.isnan() | (some and weight == 0), float(weight), own) for t, weight in weights.items()
        }

    def _prepare_schedule(self) -> None:
        """Tell the schedule at which timesteps it will be asked."""
        self.schedule.prepare(self.injects, self.backbone.schedule)

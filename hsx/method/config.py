"""The settings of a transfer: one field an option, for Python, the command line, records and fingerprints alike."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from typing import Any

from hsx.backbones.base import BOTTLENECK, Backbone
from hsx.checks import got, in_range, whole
from hsx.errors import HsxError
from hsx.io.reading import FITS, Fit
from hsx.method.injections import injections
from hsx.method.sites import chosen_sites
from hsx.schedule import timesteps
from hsx.strategies import (
    Blend,
    BlendingSchedule,
    Calibrator,
    Constant,
    Donor,
    Frobenius,
    Inverted,
    Latent,
    Normalizer,
    Slerp,
)
from hsx.strategies.base import KINDS, check_strategy


@dataclass(frozen=True)
class TransferConfig:
    """The settings of a transfer; what is None follows from the model, see ``resolved``.

    A new option of the method is a field here with its docstring, and its use.
    """

    schedule: BlendingSchedule = field(default_factory=Constant)
    """How much of the content is blended in at each timestep."""

    blend: Blend = field(default_factory=Slerp)
    """How the features of content and style become one."""

    normalizer: Normalizer = field(default_factory=Frobenius)
    """How the content's features are fitted to the style's statistics."""

    calibrator: Calibrator = field(default_factory=Latent)
    """How x is moved so that its skips agree with what was injected."""

    inversion_steps: int = 50
    """Timesteps from picture to noise, evenly spaced from 0 to t_start."""

    generation_steps: int = 50
    """Timesteps from noise to picture, evenly spaced from t_start to 0."""

    injection_steps: int | Sequence[int] | None = None
    """How many generation steps inject, spread evenly over them, or a list of their timesteps.

    By default all, at most 50, so that the same gamma means the same strength for any number of steps.
    """

    t_start: int | None = None
    """The timestep at which inversion ends and generation starts; the model's last by default."""

    t_edit: int | None = None
    """Inject while t >= t_edit; by default 400 of 1000 timesteps, scaled to the model's number of them."""

    t_boost: int | None = None
    """Add noise (eta = 1) at injection steps with t <= t_boost, which cleans the picture; 0: never; by default 200 of
    1000, scaled."""

    seed: int = field(default=0, metadata={"said_by": "seed_everything"})
    """The seed of the noise."""

    dt_lambda: float = 1.0
    """Scales the direction term at injection steps with t >= dt_end (the authors' 0.9985 for in-domain mixing).

    Not together with latent calibration.
    """

    dt_end: int | None = None
    """See dt_lambda; by default 950 of 1000, scaled."""

    fit: Fit = field(default="crop", metadata={"said_by": "data.fit"})
    """How pictures become square, also those that a strategy reads: crop (the middle), pad (white) or stretch."""

    sites: Sequence[str] | Mapping[str, float] | str = (BOTTLENECK,)
    """Where the content goes in: h, a skip by its name in hsx inspect, skip@R/4 (the last skip at a quarter of the
    picture's side; skips@R/4: all of them), deepest:3 (the last three).

    A list, or a mapping from each to a factor of the schedule's gamma there.
    """

    donor: Donor = field(default_factory=Inverted)
    """Where the content's features come from: its own inversion (the paper), or the content with the style's noise."""

    def __post_init__(self) -> None:
        for option in fields(self):
            if option.name in KINDS:
                check_strategy(option.name, KINDS[option.name], getattr(self, option.name))
                if getattr(self, option.name) is None and callable(option.default_factory):
                    object.__setattr__(self, option.name, option.default_factory())

    def resolved(self, backbone: Backbone) -> TransferConfig:
        """All settings for this network, checked: nothing is None, sites have factors, and the strategies are copies.

        Raises:
            HsxError: for a value out of range.
        """
        length = len(backbone.schedule)
        last = length - 1
        t_start = last if self.t_start is None else self.t_start
        t_edit, t_boost, dt_end = (
            default * length // 1000 if value is None else value
            for value, default in ((self.t_edit, 400), (self.t_boost, 200), (self.dt_end, 950))
        )
        in_range("t_start", t_start, 1, last, "the model's last timestep", whole)
        for name in ("inversion_steps", "generation_steps"):
            in_range(name, getattr(self, name), 2, t_start + 1, "as many as there are timesteps up to t_start", whole)
        in_range("t_edit", t_edit, 0, last + 1, "one past the model's last timestep, which injects nothing", whole)
        in_range("t_boost", t_boost, 0, last, "the model's last timestep", whole)
        in_range("dt_end", dt_end, 0, math.inf, "a timestep", whole)
        in_range("dt_lambda", self.dt_lambda, 0.5, 1.0, "which leaves the direction as it is")
        in_range("seed", self.seed, 0, math.inf, "of the noise", whole)
        if self.fit not in FITS:
            raise HsxError(f"fit: expected one of {', '.join(FITS)}, got {got(self.fit)}; choose one of them")
        injects = injections(timesteps(self.generation_steps, t_start), self.injection_steps)
        steps = [*map(int, self.injection_steps)] if isinstance(self.injection_steps, Collection) else len(injects)
        numbers = {
            "inversion_steps": self.inversion_steps,
            "generation_steps": self.generation_steps,
            "t_start": t_start,
            "t_edit": t_edit,
            "t_boost": t_boost,
            "seed": self.seed,
            "dt_end": dt_end,
        }
        ints: dict[str, Any] = {name: int(value) for name, value in numbers.items()}  # JSON does not take numpy's
        sites, dt_lambda = chosen_sites(self.sites, backbone), float(self.dt_lambda)
        return replace(
            self, injection_steps=steps, sites=sites, dt_lambda=dt_lambda, **ints, **deepcopy(self.strategies)
        )

    @property
    def strategies(self) -> dict[str, Any]:
        """The strategies by their kinds."""
        return {kind: getattr(self, kind) for kind in KINDS}

    @property
    def options(self) -> dict[str, Any]:
        """All settings but the strategies, by name."""
        return {option.name: getattr(self, option.name) for option in fields(self) if option.name not in KINDS}

    @property
    def inversion(self) -> dict[str, int | None]:
        """Those that decide a picture's trajectory; one more means that all pictures are inverted again."""
        return {"steps": self.inversion_steps, "t_start": self.t_start}

    def as_model(self) -> dict[str, Any]:
        """What the section ``model`` of a config takes to make these settings again, as plain data."""
        elsewhere = {option.name for option in fields(self) if "said_by" in option.metadata}
        config = {
            **{kind: strategy.config() for kind, strategy in self.strategies.items()},
            **{name: value for name, value in self.options.items() if name not in elsewhere},
        }
        if isinstance(self.sites, Mapping):
            config["sites"] = list(self.sites) if set(self.sites.values()) == {1.0} else dict(self.sites)
        return config

    def record(self) -> dict[str, Any]:
        """What tells results of these settings from those of others, as plain data.

        Sites and donor are left out at their usual values, so that results from before there were any stay known.
        """
        all_of_them = {**{kind: strategy.record() for kind, strategy in self.strategies.items()}, **self.options}
        usual = {"donor": Inverted().record(), "sites": {BOTTLENECK: 1.0}}
        return {name: value for name, value in all_of_them.items() if name not in usual or value != usual[name]}

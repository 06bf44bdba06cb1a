"""The settings of a transfer: one field an option, for Python, the command line, records and fingerprints alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from hsx.backbones.base import BOTTLENECK, Backbone
from hsx.io.reading import Fit
from hsx.method.grids import AUTO, Grids
from hsx.method.settling import settle
from hsx.schedule import timesteps
from hsx.strategies import (
    DDIM,
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
    Solver,
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
    """Timesteps from picture to noise, from 0 to t_start."""

    generation_steps: int = 50
    """Timesteps from noise to picture, from t_start to 0."""

    injection_steps: int | Sequence[int] | None = None
    """How many generation steps inject, spread evenly over them, or a list of their timesteps.

    By default all, at most 50, so that the same gamma means the same strength for any number of steps.
    """

    t_start: int | Literal["auto"] | None = AUTO
    """The timestep at which inversion ends and generation starts.

    auto: of the timesteps from the model's last down, the highest at which anything is injected or noised, since above
    it inversion and generation would only undo each other; the model's last where nothing ever is.  With a schedule of
    0 throughout: at which a row's own gamma may inject.  A number: that one, with the timesteps spaced up to it.
    """

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

    solver: Solver = field(default_factory=DDIM)
    """How x gets from one timestep to the next, in inversion and in generation.

    A step that injects or adds noise is always DDIM's.
    """

    inverter: int = 0
    """Looks a step of inversion for the x from which DDIM leads back (0: none).

    With 0 inversion is the solver run forward.  Every look is an evaluation (fixed-point iteration, begun with the last
    step's eps), and makes inversion more exact.
    """

    spacing: str | Sequence[int] = "uniform"
    """How timesteps are spaced: uniform, logsnr, mixed, split, or a list of them.

    uniform is the authors'; logsnr is even in the logarithm of the signal-to-noise ratio; mixed is half of each
    (mixed:0.75: three quarters of logsnr); split has three timesteps up to the highest injection (split:5: five), and
    is mixed:0.75 above it.  A list ascends from 0 and stands for both numbers of steps.
    """

    same_strength_as: int | None = None
    """Let gamma mean what it does with so many injections (50: the authors').

    However many there are: what an injection changes in x_0 is multiplied by how many of so many, spread evenly over
    all timesteps, it stands for: those from its own timestep to above the next one's.
    """

    style_eps: Literal["always", "first"] = "always"
    """Take the style's own direction at every injection (always), or the first alone.

    With first, the steps after it follow the injected eps, and the style's own D is not computed: for a gamma of 1 in
    h, where that saves nearly half of a step at no loss (27.03 dB to the truth either way, 64 pairs of the demo).
    """

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
        settled, grids = settle(self, backbone)
        found = replace(self, **settled, **deepcopy(self.strategies))
        object.__setattr__(found, "_grids", grids)
        return found

    @property
    def grids(self) -> Grids:
        """The timesteps that follow from settings that are ``resolved``."""
        found: Grids = vars(self)["_grids"]
        return found

    @property
    def strategies(self) -> dict[str, Any]:
        """The strategies by their kinds."""
        return {kind: getattr(self, kind) for kind in KINDS}

    @property
    def options(self) -> dict[str, Any]:
        """All settings but the strategies, by name."""
        return {option.name: getattr(self, option.name) for option in fields(self) if option.name not in KINDS}

    @property
    def inversion(self) -> dict[str, Any]:
        """Those that decide a style's trajectory; one more means that all pictures are inverted again."""
        grid = [*self.grids.inversion]
        even = grid == timesteps(len(grid), grid[-1])
        spaced: dict[str, Any] = {"steps": len(grid), "t_start": grid[-1]} if even else {"timesteps": grid}
        how = {"solver": self.solver.record(), "inverter": self.inverter}
        return {**spaced, **{name: value for name, value in how.items() if value != USUAL[name]}}

    @property
    def content_inversion(self) -> dict[str, Any]:
        """Those that decide a content's: the same, unless it is inverted only as far as it is injected."""
        if self.grids.contents == self.grids.inversion:
            return self.inversion
        return {**self.inversion, "contents": [*self.grids.contents]}

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

        What USUAL names is left out at these values, so that results from before there was such a setting stay known.
        """
        all_of_them = {**{kind: strategy.record() for kind, strategy in self.strategies.items()}, **self.options}
        return {name: value for name, value in all_of_them.items() if name not in USUAL or value != USUAL[name]}


USUAL: dict[str, Any] = {
    "donor": Inverted().record(),
    "sites": {BOTTLENECK: 1.0},
    "solver": DDIM().record(),
    "inverter": 0,
    "spacing": "uniform",
    "same_strength_as": None,
    "style_eps": "always",
}

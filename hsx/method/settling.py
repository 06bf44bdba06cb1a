"""The settings of a transfer, checked against a network, and what follows from it where they are left open."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from hsx.backbones.base import Backbone
from hsx.checks import got, in_range, whole
from hsx.errors import HsxError
from hsx.io.reading import FITS
from hsx.method.course import check_inverter
from hsx.method.grids import AUTO, Grids, listed
from hsx.method.sites import chosen_sites

if TYPE_CHECKING:
    from hsx.method.config import TransferConfig

STEPS = 50  # of inversion and of generation by default
MOST_LOOKS = 100
STYLE_EPS = ("always", "first")


def settle(config: TransferConfig, backbone: Backbone) -> tuple[dict[str, Any], Grids]:
    """The options of a transfer with this network, with numbers for all that it decides, and its timesteps.

    Raises:
        HsxError: for a value out of range.
    """
    length = len(backbone.schedule)
    last, auto = length - 1, config.t_start in (None, AUTO)
    start: Any = last if auto else config.t_start
    in_range("t_start", start, 1, last, "the model's last timestep, or auto", whole)
    given = None if isinstance(config.spacing, str) else listed(config.spacing, start, auto)
    start = given[-1] if given else start
    t_edit, t_boost, dt_end = (
        default * length // 1000 if value is None else value
        for value, default in ((config.t_edit, 400), (config.t_boost, 200), (config.dt_end, 950))
    )
    in_range("t_edit", t_edit, 0, last + 1, "one past the model's last timestep, which injects nothing", whole)
    in_range("t_boost", t_boost, 0, last, "the model's last timestep", whole)
    in_range("dt_end", dt_end, 0, math.inf, "a timestep", whole)
    in_range("dt_lambda", config.dt_lambda, 0.5, 1.0, "which leaves the direction as it is")
    in_range("seed", config.seed, 0, math.inf, "of the noise", whole)
    in_range("inverter", config.inverter, 0, MOST_LOOKS, "looks a step; 0: the solver run forward", whole)
    if config.same_strength_as is not None:
        in_range("same_strength_as", config.same_strength_as, 2, length, "injections, the authors' are 50", whole)
    for name, choices in (("fit", FITS), ("style_eps", STYLE_EPS)):
        if (chosen := getattr(config, name)) not in choices:
            raise HsxError(f"{name}: expected one of {', '.join(choices)}, got {got(chosen)}; choose one of them")
    check_inverter(config.inverter, config.solver)
    if config.same_strength_as is not None and config.style_eps == "first":
        raise HsxError("style_eps: expected always with same_strength_as, which needs it, got first; take always")
    numbers = {
        **{name: _steps(name, getattr(config, name), given, start) for name in ("inversion_steps", "generation_steps")},
        "t_start": start,
        "t_edit": t_edit,
        "t_boost": t_boost,
        "dt_end": dt_end,
        "seed": config.seed,
        "inverter": config.inverter,
        "same_strength_as": config.same_strength_as,
    }
    settled: dict[str, Any] = {name: value if value is None else int(value) for name, value in numbers.items()}
    settled |= {"sites": chosen_sites(config.sites, backbone), "dt_lambda": float(config.dt_lambda)}
    settled |= {"spacing": given or config.spacing, "injection_steps": config.injection_steps}
    grids = Grids.of(config.schedule, settled, auto, backbone.schedule)
    if grids.generation != grids.whole:
        settled["t_start"] = AUTO
    each = config.injection_steps
    settled["injection_steps"] = [*map(int, each)] if isinstance(each, Collection) else len(grids.injections)
    return settled, grids


def _steps(name: str, value: Any, given: list[int] | None, start: int) -> int:
    """A number of steps; those of the timesteps that are ``given`` in place of it."""
    if given and value in (STEPS, len(given)):
        return len(given)
    in_range(name, value, 2, start + 1, "as many as there are timesteps up to t_start", whole)
    if given:
        wanted = f"{len(given)}, as spacing lists so many timesteps"
        raise HsxError(f"{name}: expected {wanted}, got {value}; leave it out")
    return int(value)

"""What ``hsx sweep --quick`` tries: what ``hsx probe`` found, and around it gamma, normaliser and calibration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from hsx.probing.costs import Costs
from hsx.probing.screening import Combination
from hsx.sweeping.over import Axis

LIMIT = 40  # evaluations of the network a pair and setting, inversions among them, at most
MOST, FEWEST = 16, 3  # timesteps
BELOW = 3  # nothing is injected below one part in so many of the highest timestep, where the style's texture comes
NORMALIZERS = ("Identity", "AdaIN", "Frobenius")
GAMMAS = ("1", "0.8", "0.6")
OMEGAS = ("0", "0.3")  # of latent calibration: none, and the authors'


@dataclass(frozen=True)
class Quick:
    """What is tried.

    Attributes:
        words: what a command line says for all settings.
        over: the options that vary.
    """

    words: Sequence[str]
    over: Sequence[Axis]

    def __str__(self) -> str:
        return ", ".join(f"{axis.option.rpartition('.')[2]} {' | '.join(axis.values)}" for axis in self.over)


def around(best: Combination, costs: Costs, length: int) -> Quick:
    """The settings around a combination of sites, donor and interval, all with one way of inverting.

    Solver and number of steps are those that lose least of a style in so few: second order, from the noisier end of the
    interval, above which nothing would be injected.

    Args:
        costs: of the network's parts.
        length: of the network's noise schedule.
    """
    span, donor = best.span, best.donor
    lowest = max(span.t_lo, span.t_hi // BELOW)
    most = min(MOST, span.t_hi + 1, length)
    steps = next((n for n in range(most, FEWEST, -1) if cost(n, best, lowest, costs) <= LIMIT), min(FEWEST, most))
    schedule = {"class_path": "Interval", "init_args": {"gamma": 1.0, "t_hi": span.t_hi, "t_lo": lowest}}
    fixed = {
        "sites": [*best.sites],
        "donor": donor.__name__,
        "solver": "MultistepV",
        "schedule": schedule,
        "calibrator": "Latent",
        "t_start": span.t_hi,
        "t_edit": 0,
        "t_boost": 0,
        **dict.fromkeys(("inversion_steps", "generation_steps", "injection_steps"), steps),
        "spacing": "uniform",
        "inverter": 0,
        "same_strength_as": None,
        "style_eps": "always",
    }
    over = {
        "model.schedule.init_args.gamma": GAMMAS,
        "model.normalizer": NORMALIZERS,
        "model.calibrator.init_args.omega": OMEGAS,
    }
    words = [f"--model.{name}={_word(value)}" for name, value in fixed.items()]
    return Quick(words, [Axis(name, values) for name, values in over.items()])


def cost(steps: int, best: Combination, lowest: int, costs: Costs) -> float:
    """Evaluations of the network for a pair alone: both inversions, generation, and calibrated injections."""
    injections = sum(t >= lowest for t in (best.span.t_hi * k / (steps - 1) for k in range(steps)))
    inversions = (steps - 1) * (2 if best.donor.inverts else 1)
    injection = costs.decode + (costs.encode if best.donor.reads else 0) + 1
    return inversions + steps + injections * injection


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)

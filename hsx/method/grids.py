"""The timesteps of a transfer: how they are spaced, and from which on anything happens."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from hsx.checks import got, in_range, whole
from hsx.errors import HsxError
from hsx.method.injections import injections
from hsx.schedule import NoiseSchedule, timesteps
from hsx.strategies import BlendingSchedule

Spacing = str | Sequence[int]
NAMED = re.compile(r"(uniform|logsnr)|(mixed)(?::(0?\.\d+))?|(split)(?::([2-9]|[1-9]\d{1,3}))?")
ABOVE = 0.75  # the share of log-SNR above the injections of a split grid
AUTO: Literal["auto"] = "auto"


@dataclass(frozen=True)
class Grids:
    """The timesteps of a transfer, each list ascending.

    Attributes:
        whole: those of generation from ``t_start`` or the model's last, over which the injections are spread.
        generation: those that are run: from the highest at which anything is injected or noised.
        inversion: those of inversion, up to the same timestep.
        contents: of these those up to the last whose features are injected: all where that is the last recorded.
        injections: those at which the content may be injected.
    """

    whole: tuple[int, ...]
    generation: tuple[int, ...]
    inversion: tuple[int, ...]
    contents: tuple[int, ...]
    injections: frozenset[int]

    @classmethod
    def of(cls, schedule: BlendingSchedule, settings: Mapping[str, Any], auto: bool, noise: NoiseSchedule) -> Grids:
        """Those of settings that are checked numbers, by name; ``auto``: of those up to t_start only what is needed.

        Raises:
            HsxError: for a spacing that there is none of, or injections at none of its timesteps.
        """
        wanted, last, spacing = (settings[name] for name in ("injection_steps", "t_start", "spacing"))
        first = partial(highest, schedule, settings["t_edit"], noise)
        hi = None
        if isinstance(spacing, str) and spacing.startswith("split"):
            named = isinstance(wanted, Collection) and all(map(whole, wanted))  # what else it may be is refused below
            hi = first(wanted if named else range(last + 1))
        counts = settings["generation_steps"], settings["inversion_steps"]
        times, inversion = (tuple(spaced(count, last, spacing, noise, hi)) for count in counts)
        at = injections([*times], wanted)
        visited = at.intersection(times)
        injected = first(visited)
        if injected is None:  # but a row's own gamma may be above 0
            injected = max((t for t in visited if t >= settings["t_edit"]), default=None)
        if not auto:
            return cls(times, times, inversion, _needed(inversion, injected, settings["inverter"]), at)
        scaled = settings["dt_lambda"] != 1
        acting = [t for t in visited if 0 < t <= settings["t_boost"] or (scaled and t >= settings["dt_end"])]
        if injected is not None:
            acting.append(injected)
        top = max(times[1], *acting) if acting else last  # one step at least, whose features there are to inject
        generation = tuple(t for t in times if t <= top)
        inversion = (*(t for t in inversion if t < top), top)
        return cls(times, generation, inversion, _needed(inversion, injected, settings["inverter"]), at)


def nearest(times: Sequence[int], t: int) -> int:
    """The place of the timestep that is nearest to ``t``; of two the larger."""
    return min(range(len(times)), key=lambda i: (abs(times[i] - t), -times[i]))


def _needed(inversion: tuple[int, ...], injected: int | None, inverter: int) -> tuple[int, ...]:
    """Of these timesteps those up to the one whose features are injected at ``injected``."""
    recorded = inversion if inverter else inversion[:-1]
    if injected is None or (last := nearest(recorded, injected)) == len(recorded) - 1:
        return inversion
    return inversion[: last + 1]


def highest(schedule: BlendingSchedule, t_edit: int, noise: NoiseSchedule, candidates: Collection[int]) -> int | None:
    """The highest of these timesteps at which it injects, None for none; the highest of all where asking it fails."""
    asked = sorted((t for t in candidates if t >= t_edit), reverse=True)
    schedule = deepcopy(schedule)
    try:
        schedule.prepare(asked, noise)
        return next((t for t in asked if schedule.gamma(t) > 0), None)
    except Exception:  # whatever it is will be raised, and told, when it is asked again
        return max(asked, default=None)


def spaced(steps: int, last: int, spacing: Spacing, noise: NoiseSchedule, hi: int | None = None) -> list[int]:
    """``steps`` timesteps from 0 to ``last``, ascending.

    Args:
        spacing: ``uniform``, the authors'; ``logsnr``, evenly spaced in the logarithm of the signal-to-noise ratio;
            ``mixed``, half of each, or ``mixed:0.75``, three quarters of the latter; ``split``, three timesteps up to
            ``hi``, or as many as ``split:5`` says, and mixed:0.75 above it; or the timesteps themselves, in place of
            ``steps``.
        hi: the highest timestep at which anything is injected, where ``split`` ends to be sparse.

    Raises:
        HsxError: for another spacing, one that does not fit ``steps``, or a list that does not ascend from 0 to
            ``last``.
    """
    if not isinstance(spacing, str):
        return listed(spacing, last)
    named = NAMED.fullmatch(spacing)
    if not named:
        known = "uniform, logsnr, mixed, mixed:0.75, split, split:5 or a list of timesteps"
        raise HsxError(f"spacing: expected {known}, got {got(spacing)}; take one of them")
    plain, mixed, share, _, few = named.groups()
    if plain == "uniform":
        return timesteps(steps, last)
    if plain or mixed:
        return _mixed(steps, 0, last, 1.0 if plain else float(share or 0.5), noise)
    sparse = int(few or 3)
    if hi is None or not sparse - 1 <= hi < last:
        what, found = (
            f"injections from a timestep of {sparse - 1} or more, below {last}, down",
            "none" if hi is None else hi,
        )
        raise HsxError(
            f"spacing: expected {what} for {spacing}, got {found}; take mixed, or a schedule such as Interval"
        )
    in_range(f"steps of {spacing}", steps, sparse + 1, sparse + last - hi, f"{sparse} of them up to {hi}", whole)
    return timesteps(sparse, hi) + _mixed(steps - sparse + 1, hi, last, ABOVE, noise)[1:]


def _mixed(steps: int, first: int, last: int, share: float, noise: NoiseSchedule) -> list[int]:
    """Timesteps evenly spaced in (1 - share) t + share ln(SNR), both scaled to their range from ``first`` to ``last``.

    Where they would be nearer to each other than timesteps are they are one apart.
    """
    t = np.arange(first, last + 1)
    a = noise.alphas_cumprod[first : last + 1].numpy()
    log_snr = np.log1p(-a) - np.log(a)  # falling noise: of its negative, which rises with t
    scales = ((v - v[0]) / (v[-1] - v[0]) for v in (t.astype(float), log_snr))
    place = sum(weight * scale for weight, scale in zip((1 - share, share), scales, strict=True))
    ideal = np.interp(np.linspace(0, 1, steps), place, t).round().astype(int)
    k = np.arange(steps)
    upward = np.maximum.accumulate(ideal - k) + k
    return [int(one) for one in np.minimum(upward, last - k[::-1])]


def listed(given: Sequence[int], last: int, or_less: bool = False) -> list[int]:
    """Timesteps that were given, as they are; they ascend from 0 to ``last``, or, with ``or_less``, to one below it.

    Raises:
        HsxError: for anything else.
    """
    fine = isinstance(given, Sequence) and len(given) >= 2 and all(whole(t) for t in given) and given[0] == 0
    ends = fine and (given[-1] == last or (or_less and given[-1] < last))
    if not ends or any(b <= a for a, b in zip(given, given[1:], strict=False)):
        wanted = f"timesteps that ascend from 0 to {'at most ' * or_less}{last}"
        raise HsxError(f"spacing: expected {wanted}, got {got(given)}; correct them")
    return [int(t) for t in given]

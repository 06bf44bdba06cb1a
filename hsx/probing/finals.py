"""Finals: complete runs of a few steps, of what looked best in single steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from hsx.backbones.base import Backbone
from hsx.method.config import TransferConfig
from hsx.method.transfer import Transfer
from hsx.probing.costs import Costs
from hsx.probing.measures import Measured, Score, measure
from hsx.probing.screening import Combination
from hsx.strategies import Constant, Identity, Interval, Renoised

STEPS = 5  # of a run, from the noisier end of its span to the picture


@dataclass(frozen=True)
class Ran:
    """What a pair showed in complete runs.

    Attributes:
        results: of each combination that was run, its measures and the picture, (3, R, R).
        given_back: the style at gamma = 0, the ceiling: its measures and the picture.
        error: the mean square error of this picture, in the range [-1, 1].
        t_start: the timestep at which the runs start.
    """

    results: Mapping[Combination, tuple[Measured, Tensor]]
    given_back: tuple[Measured, Tensor]
    error: float
    t_start: int


class Ceiling(NamedTuple):
    """How styles come back in runs that inject nothing: their score, and the PSNR in dB."""

    score: Score
    decibels: float


def settings(one: Combination, steps: int = STEPS) -> TransferConfig:
    """A transfer with all of the content's features at these sites while t is in the span, and nothing else.

    It starts at the span's noisier end, above which nothing would be injected: few steps reconstruct best from there.
    """
    steps = min(steps, one.span.t_hi + 1)
    return TransferConfig(
        schedule=Interval(1.0, one.span.t_hi, one.span.t_lo),
        normalizer=Identity(),
        inversion_steps=steps,
        generation_steps=steps,
        injection_steps=steps,
        t_start=one.span.t_hi,
        t_edit=0,
        t_boost=0,
        sites=one.sites,
        donor=one.donor(),
    )


@torch.no_grad()
def run(
    backbone: Backbone, content: Tensor, style: Tensor, wanted: Sequence[Combination], costs: Costs, limit: float
) -> Ran:
    """The combinations, which start at the same timestep, in their order, as far as ``limit`` evaluations go.

    Args:
        content, style: (1, 3, R, R).
    """
    nothing = Transfer(backbone, replace(settings(wanted[0]), schedule=Constant(0.0), donor=Renoised()))
    start = nothing.invert(style, ())
    given_back = nothing.inject(nothing.contents(content), start).clamp(-1, 1)
    limit -= len(nothing.timesteps) * 2 - 1
    results = {}
    for one in wanted:
        transfer = Transfer(backbone, settings(one))
        if (cost := _cost(transfer, costs)) > limit:
            continue
        limit -= cost
        image = transfer.inject(transfer.contents(content), start).clamp(-1, 1)
        results[one] = measure(image, content, style, given_back), image[0].cpu()
    error = float((given_back - style).square().mean())
    return Ran(results, (measure(given_back, content, style), given_back[0].cpu()), error, nothing.t_start)


def _cost(transfer: Transfer, costs: Costs) -> float:
    """Evaluations of a run and of the content's inversion, where there is one."""
    steps, injections = len(transfer.timesteps), sum(transfer.schedule.gamma(t) > 0 for t in transfer.injects)
    an_injection = costs.decode + (costs.encode if transfer.donor.reads else 0)
    return float(steps + injections * an_injection + (steps - 1 if transfer.donor.inverts else 0))

"""Equal numbers: the same pictures by the plain loop and by hsx, and what batches, layout and compilation add."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jobs import Job
from plain import Plain
from turns import Tally, Way, in_turn

import hsx
from hsx.backbones.compiled import Compiled

STEPS = 50
NEAR = 1e-4  # how far apart equal pictures in [-1, 1] may be
BATCHES = (4, 16)


def measure(job: Job) -> list[dict[str, Any]]:
    """Seconds a pair, both inversions counted: 50 steps each way, all of which inject where t >= 400, float32.

    Raises:
        SystemExit: where hsx and the plain loop, both with a batch of one, do not make the same picture.
    """
    steps = 4 if job.tiny else STEPS
    net = Tally(job.network())
    content, style = job.given(max(1, job.pairs))
    plain = Plain(net, steps, steps, steps)
    ways = [Way("plain loop, batch 1", net, 1, lambda: plain(content[:1], style[:1]))]
    most = max([1, *(n for n in BATCHES if n <= job.pairs)])
    for n in (1, *BATCHES):
        if n <= most:
            ways.append(ours(f"hsx, batch {n}", net, steps, content[:n], style[:n]))
    also = partial(ours, steps=steps, content=content[:most], style=style[:most])
    last = f"hsx, batch {most}, channels_last"  # as with --trainer.channels_last
    ways.append(also(last, Tally(job.network().to(memory_format=torch.channels_last))))
    if job.compiled:
        compiled = Compiled(job.network().to(memory_format=torch.channels_last))
        ways.append(also(f"{last}, compiled", Tally(compiled)))
    for way in ways:  # what was never run before is slow
        way.facts["first call s"] = round(way.once(), 1)
        # others sum in another order, and a hundred evaluations make more of it
        way.facts["off"] = float(f"{float((way.made[:1] - ways[0].made).abs().max()):.1e}")  # type: ignore[index]
    if ways[1].facts["off"] > NEAR:
        off = ways[1].facts["off"]
        raise SystemExit(f"{ways[1].name}: expected the plain loop's picture within {NEAR}, got one {off} off")
    skipped = [{"way": ways.pop().name, "skipped": "not compiled"}] if job.compiled and not compiled.compiled else []
    return in_turn(ways, job.rounds) + skipped


def ours(name: str, net: Tally, steps: int, content: torch.Tensor, style: torch.Tensor) -> Way:
    """hsx with the plain loop's settings."""
    transfer = hsx.Transfer.paper(net, inversion_steps=steps, generation_steps=steps, content_replace_step=steps)
    return Way(name, net, len(content), lambda: transfer(content, style))

"""Equal numbers: the same pictures by the plain loop and by hsx, and what batches, layout and compilation add."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jobs import Job
from plain import Plain
from turns import Tally, Way, in_turn

import hsx

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
    last = Tally(job.network().to(memory_format=torch.channels_last))
    ways.append(also(f"hsx, batch {most}, channels_last", last))
    if job.compiled:
        ways.append(also(f"hsx, batch {most}, compiled", Tally(compile_halves(job.network()))))
    failed = [row for way in list(ways) if (row := first_time(way, ways))]
    for way in ways:  # others sum in another order, and a hundred evaluations make more of it
        way.facts["off"] = float(f"{float((way.made[:1] - ways[0].made).abs().max()):.1e}")  # type: ignore[index]
    if ways[1].facts["off"] > NEAR:
        off = ways[1].facts["off"]
        raise SystemExit(f"{ways[1].name}: expected the plain loop's picture within {NEAR}, got one {off} off")
    return in_turn(ways, job.rounds) + failed


def first_time(way: Way, ways: list[Way]) -> dict[str, Any] | None:
    """Run what was never run before, which is slow; a row that says why, where compiled code cannot be made here."""
    try:
        taken = way.once()
    except Exception as error:
        if "compiled" not in way.name:
            raise
        ways.remove(way)
        return {"way": way.name, "skipped": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:100]}"}
    if "compiled" in way.name:
        way.facts["first call s"] = round(taken, 1)
    return None


def ours(name: str, net: Tally, steps: int, content: torch.Tensor, style: torch.Tensor) -> Way:
    """hsx with the plain loop's settings."""
    transfer = hsx.Transfer.paper(net, inversion_steps=steps, generation_steps=steps, content_replace_step=steps)
    return Way(name, net, len(content), lambda: transfer(content, style))


def compile_halves(net: hsx.Backbone) -> hsx.Backbone:
    """The network with E and D compiled, for one size of batch each."""
    net.encode = torch.compile(net.encode, dynamic=False)  # type: ignore[method-assign]
    net.decode = torch.compile(net.decode, dynamic=False)  # type: ignore[method-assign]
    return net

"""Which sites of a network carry content and keep style: single steps of everything, then runs of what looked best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import log10
from typing import TypeVar

import torch

from hsx.backbones.base import Backbone
from hsx.backbones.counted import Counted
from hsx.checks import in_range, whole
from hsx.errors import HsxError
from hsx.method.config import TransferConfig
from hsx.method.inputs import Images, as_images, check_backbone, check_rows
from hsx.probing import verdict
from hsx.probing.costs import Costs, costs
from hsx.probing.finals import Ceiling, Ran, run, settings
from hsx.probing.measures import Score
from hsx.probing.rounds import rounds, scores
from hsx.probing.screening import Combination, Looked, combinations, look, looks_cost
from hsx.probing.spans import Span, spans

LIMIT = 60  # evaluations of the network a pair, at most
SCREEN = 21  # of these for the screening
MANY, OFTEN = 50, 10  # steps of the settings that come out of it, and how many of them inject
T = TypeVar("T")


@dataclass(frozen=True)
class Probed:
    """What a network's sites do.

    Attributes:
        sites: all that were tried, h first.
        spans: the intervals of the timestep.
        looked: the scores of single steps: of each site alone, and of h with all skips up to each size.
        ran: the scores of complete runs.
        ceilings: how styles come back, by the timestep at which the runs start.
        best: the combination that did best, or None for a network that does not denoise the pictures.
        carries: whether content comes in there while the style stays.
        verdict: the answer in words.
        evaluations: what each pair took.
        pairs: pair by pair what it showed, the complete runs None where there were none.
    """

    sites: tuple[str, ...]
    spans: tuple[Span, ...]
    looked: Mapping[Combination, Score]
    ran: Mapping[Combination, Score]
    ceilings: Mapping[int, Ceiling]
    best: Combination | None
    carries: bool
    verdict: str
    evaluations: tuple[float, ...]
    pairs: tuple[tuple[Looked, Ran | None], ...]

    @property
    def settings(self) -> TransferConfig | None:
        """The best, with steps enough for the style's texture; few of them inject, since what is injected adds up."""
        if self.best is None:
            return None
        more = settings(self.best, MANY)
        return replace(more, injection_steps=min(OFTEN, more.generation_steps))


def probe(
    backbone: Backbone,
    contents: Images,
    styles: Images,
    *,
    fit: str = "crop",
    seed: int = 0,
    parts: Costs | None = None,
    on_pair: Callable[[], None] = lambda: None,
) -> Probed:
    """Which sites carry content and keep style, from pairs of pictures, row by row.

    Each pair takes at most 60 evaluations of the network.  In single steps it tries a part of all sites, donors and
    intervals of the timestep; then half of the pairs find the interval in complete runs, the others the sites.

    Args:
        contents, styles: two or more of each, see ``hsx.method.inputs.as_images``.
        fit: how pictures become square: crop, pad or stretch.
        seed: of the noise.
        parts: what E and D cost, if it is known.
        on_pair: called twice for each pair: after its single steps, and after its complete runs.

    Raises:
        HsxError: for no such pictures, fewer than two pairs, or a schedule of fewer than 20 timesteps.
    """
    check_backbone(backbone)
    content, style = as_images(contents, backbone, fit, "contents"), as_images(styles, backbone, fit, "styles")
    check_rows(len(content), len(style))
    if len(content) < 2:
        raise HsxError(f"probe: expected two or more pairs of pictures, got {len(content)}; give more")
    parts, network = parts or costs(backbone), Counted(backbone)
    rows = [(content[i : i + 1], style[i : i + 1]) for i in range(len(content))]
    intervals, sites = spans(backbone), backbone.layout.sites
    everything = combinations(sites, intervals)
    tried = min(len(everything), max(1, int((SCREEN - looks_cost(backbone)) / parts.decode)))
    in_range("seed", seed, 0, 2**63 - 1, "of the noise", whole)
    noise = torch.randn(content.shape, generator=torch.Generator().manual_seed(seed)).to(content)
    looks, spent = [], [0.0] * len(rows)

    def counted(pair: int, work: Callable[[], T]) -> T:
        before = network.evaluations
        result = work()
        spent[pair] += network.evaluations - before
        on_pair()
        return result

    def complete(pair: int, wanted: list[Combination]) -> Ran:
        return counted(pair, lambda: run(network, *rows[pair], wanted, parts, LIMIT - spent[pair]))

    for i, row in enumerate(rows):
        wanted = [everything[(i * tried + k) % len(everything)] for k in range(tried)]
        looks.append(counted(i, partial(look, network, *row, wanted, intervals, noise[i : i + 1])))
    looked = scores([one.results for one in looks])
    denoised = sum(one.denoised for one in looks) / len(looks)
    best, ran = None, dict[int, Ran]()
    if denoised >= verdict.DENOISED:
        best, ran = rounds(len(rows), looked, sites, intervals, complete)
    scored, ceilings = scores([one.results for one in ran.values()]), _ceilings(ran.values())
    said = verdict.useless(denoised)
    if best:
        said = verdict.sentence(best, scored[best], ceilings[best.span.t_hi])
    return Probed(
        sites=tuple(sites),
        spans=intervals,
        looked=looked,
        ran=scored,
        ceilings=ceilings,
        best=best,
        carries=best is not None and verdict.carries(scored[best]),
        verdict=said,
        evaluations=tuple(spent),
        pairs=tuple((one, ran.get(i)) for i, one in enumerate(looks)),
    )


def _ceilings(ran: Iterable[Ran]) -> dict[int, Ceiling]:
    found: dict[int, list[Ran]] = {}
    for one in ran:
        found.setdefault(one.t_start, []).append(one)
    ceilings = {}
    for t_start, some in sorted(found.items()):
        error = sum(one.error for one in some) / len(some)
        ceilings[t_start] = Ceiling(Score.of([one.given_back[0] for one in some]), 10 * log10(4 / max(error, 1e-10)))
    return ceilings

"""Screening: what one step makes of a pair when one site's feature is the content's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hsx.backbones.base import Backbone
from hsx.backbones.prediction import predict_x0
from hsx.method.inversion import invert
from hsx.probing.measures import Measured, measure
from hsx.probing.spans import Span
from hsx.strategies import Donor, Inverted, Renoised
from hsx.strategies.states import StyleState

DONORS: tuple[type[Donor], ...] = (Renoised, Inverted)
STEPS = (2, 4, 5)  # timesteps at most of the content's inversion up to the look of each span


@dataclass(frozen=True)
class Combination:
    """What is injected: at which sites, from which donor, when."""

    sites: tuple[str, ...]
    donor: type[Donor]
    span: Span

    @property
    def where(self) -> str:
        """Its sites in words."""
        return named(self.sites)

    def __str__(self) -> str:
        return f"{self.where}, {self.donor.__name__}, {self.span}"


@dataclass(frozen=True)
class Looked:
    """What a pair showed in single steps.

    Attributes:
        results: of each combination that was tried, its measures and the predicted x_0, (3, R, R).
        denoised: how much of the noise that was added to the style the network took away at middle noise: 1 all,
            0 none, negative where it adds some.
    """

    results: Mapping[Combination, tuple[Measured, Tensor]]
    denoised: float


def named(sites: Sequence[str]) -> str:
    """Sites in words, short where they are many."""
    return " + ".join(sites) if len(sites) < 4 else f"{sites[0]} to {sites[-1]} ({len(sites)} sites)"


def deepest_first(sites: Iterable[str]) -> tuple[str, ...]:
    """h, then the skips against the order of the down path, in which ``sites`` has them after h."""
    h, *skips = sites
    return (h, *reversed(skips))


def sets(sites: Mapping[str, tuple[int, ...]]) -> list[tuple[str, ...]]:
    """Every site alone; then h with all skips up to each size of grid but the largest, which hold the content whole.

    Args:
        sites: of the network, h first, with the shapes of their features.
    """
    order = deepest_first(sites)
    sizes = sorted({shape[-1] for shape in sites.values()})[:-1]
    up_to = [tuple(site for site in order if sites[site][-1] <= size) for size in sizes]
    return [*((site,) for site in sites), *(some for some in up_to if len(some) > 1)]


def combinations(sites: Mapping[str, tuple[int, ...]], spans: Sequence[Span]) -> list[Combination]:
    """All sets of sites with features renoised, single ones with inverted features too, in each span.

    Those of a donor and a span follow each other, so that a pair that sees a part of them sees most sites.
    """
    whole = [Combination(some, donor, span) for donor in DONORS for span in spans for some in sets(sites)]
    return [one for one in whole if len(one.sites) == 1 or not one.donor.inverts]


def looks_cost(backbone: Backbone) -> float:
    """Evaluations of the network that a pair takes at most before the first combination."""
    return sum(STEPS) - len(STEPS) + len(STEPS) * (1 + 2 * backbone.encode_cost())


@torch.no_grad()
def look(
    backbone: Backbone,
    content: Tensor,
    style: Tensor,
    wanted: Sequence[Combination],
    spans: Sequence[Span],
    noise: Tensor,
) -> Looked:
    """One step of each combination, from the style with ``noise`` at the look of its span.

    The predicted x_0 is measured against what the step predicts by itself, which is as blurred, in the style's place.

    Args:
        content, style, noise: (1, 3, R, R).
    """
    results: dict[Combination, tuple[Measured, Tensor]] = {}
    denoised = 0.0
    for span, steps in zip(spans, STEPS, strict=True):
        t = torch.full((1,), span.look)
        a = backbone.schedule.at(t)
        x = a.sqrt().to(style) * style + (1 - a).sqrt().to(style) * noise
        b = backbone.encode(x, t)
        eps = backbone.decode(b)
        own = predict_x0(x, eps, a)
        if span.name == "middle":
            left, added = ((image - style).square().mean() for image in (own, x / a.sqrt().to(x)))
            denoised = 1 - float(left / added)
        own = own.clamp(-1, 1)
        inverted = invert(backbone, content, min(steps, span.look + 1), span.look, sites=())
        there = {site: feature[:, None] for site, feature in backbone.encode(inverted.x_T, t).features.items()}
        contents = replace(inverted, features=there, timesteps=(span.look,))
        features = {donor: donor()(contents, StyleState(backbone, x, t, a, eps, b)) for donor in DONORS}
        for one in wanted:
            if one.span == span:
                changed = b.with_features({site: features[one.donor][site] for site in one.sites})
                image = predict_x0(x, backbone.decode(changed), a).clamp(-1, 1)
                results[one] = measure(image, content, own), image[0].cpu()
    return Looked(results, denoised)

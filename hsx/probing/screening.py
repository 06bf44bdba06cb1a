"""Screening: what one step makes of a pair when one site's feature is the content's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hsx.backbones.base import Backbone
from hsx.backbones.prediction import predict_x0
from hsx.method.inversion import invert
from hsx.probing.measures import Measured, measure
from hsx.probing.spans import Span
from hsx.strategies import Donor, Inverted, Renoised
from hsx.strategies.base import StyleState

DONORS: tuple[type[Donor], ...] = (Renoised, Inverted)
STEPS = (2, 4, 5)  # timesteps of the content's inversion up to the look of each span


@dataclass(frozen=True)
class Combination:
    """What is injected: at which sites, from which donor, when."""

    sites: tuple[str, ...]
    donor: type[Donor]
    span: Span

    def __str__(self) -> str:
        return f"{' + '.join(self.sites)}, {self.donor.__name__}, {self.span}"


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


def combinations(sites: Sequence[str], spans: Sequence[Span]) -> list[Combination]:
    """Every site alone; those of a donor and a span follow each other, so that a pair with a part sees most sites."""
    return [Combination((site,), donor, span) for donor in DONORS for span in spans for site in sites]


def looks_cost(backbone: Backbone) -> float:
    """Evaluations of the network that a pair takes before the first combination."""
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
        inverted = invert(backbone, content, steps, span.look, sites=())
        there = {site: feature[:, None] for site, feature in backbone.encode(inverted.x_T, t).features.items()}
        contents = replace(inverted, features=there, timesteps=(span.look,))
        features = {donor: donor()(contents, StyleState(backbone, x, t, a, eps, b)) for donor in DONORS}
        for one in wanted:
            if one.span == span:
                changed = b.with_features({site: features[one.donor][site] for site in one.sites})
                image = predict_x0(x, backbone.decode(changed), a).clamp(-1, 1)
                results[one] = measure(image, content, own), image[0].cpu()
    return Looked(results, denoised)

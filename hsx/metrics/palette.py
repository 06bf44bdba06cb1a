"""Has it taken the style's colours?"""

from __future__ import annotations

import torch
from torch import Tensor

from hsx.metrics.base import MeanMetric

DIRECTIONS = 64


class Palette(MeanMetric):
    """Distance of the result's colours from the style's, 0 at best: sliced Wasserstein (Bonneel et al. 2015, eq. 10).

    The mean, over directions in RGB, of the distance between the sorted colours of the two pictures.
    """

    about, takes = "style", ("result", "style")
    higher_is_better = False

    def each(self, result: Tensor, style: Tensor) -> Tensor:
        """In units of the range [-1, 1]."""
        return (_sorted(result) - _sorted(style)).abs().mean((1, 2))


def _sorted(images: Tensor) -> Tensor:
    """The colours of each picture (B, 3, R, R) along each direction, in order: (B, DIRECTIONS, R*R)."""
    directions = torch.randn(DIRECTIONS, 3, generator=torch.Generator().manual_seed(0)).to(images.device)
    directions = directions / directions.norm(dim=1, keepdim=True)
    along: Tensor = directions @ images.float().flatten(2)  # (B, DIRECTIONS, R*R)
    return along.sort(dim=2).values

"""Has it taken the style's colours?"""

from __future__ import annotations

import torch
from torch import Tensor

from hsx.metrics.base import Metric

DIRECTIONS = 64


class Palette(Metric):
    """Distance of the result's colours from the style's, 0 at best: sliced Wasserstein (Bonneel et al. 2015, eq. 10).

    The mean, over directions in RGB, of the distance between the sorted colours of the two pictures.
    """

    higher_is_better = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, result: Tensor, content: Tensor, style: Tensor) -> None:
        """See ``Metric``."""
        self.total += (_sorted(result) - _sorted(style)).abs().mean((1, 2)).double().sum()
        self.count += len(result)

    def compute(self) -> Tensor:
        """The mean over pictures, in units of the range [-1, 1]."""
        return self.total / self.count


def _sorted(images: Tensor) -> Tensor:
    """The colours of each picture (B, 3, R, R) along each direction, in order: (B, DIRECTIONS, R*R)."""
    directions = torch.randn(DIRECTIONS, 3, generator=torch.Generator().manual_seed(0)).to(images.device)
    directions = directions / directions.norm(dim=1, keepdim=True)
    return (directions @ images.float().flatten(2)).sort(dim=2).values

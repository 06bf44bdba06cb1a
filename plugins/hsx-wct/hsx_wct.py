"""A normaliser for hsx: whitening and colouring of the bottleneck."""

from __future__ import annotations

import torch
from torch import Tensor

from hsx import hookimpl
from hsx.checks import got, whole
from hsx.errors import HsxError
from hsx.strategies import Normalizer, Strategy

SMALLEST = 1e-6  # part of the largest eigenvalue below which a direction counts as empty


class WhiteningColouring(Normalizer):
    """The content's h with the style's means and covariances between channels (WCT, arXiv 1705.08086, eq. 1 and 2).

    A small bottleneck has fewer cells than channels, and covariances of all channels at once would be empty in most
    directions.  Therefore channels are taken in groups (as in GDWCT, arXiv 1812.09912); groups of 1 are AdaIN.

    Args:
        group: channels a group; 0 takes all at once, as WCT does.

    Raises:
        HsxError: for a negative group.
    """

    def __init__(self, group: int = 8) -> None:
        if not whole(group, 0):
            raise HsxError(f"group: expected 0 or more channels, got {got(group)}; 0 takes all at once")
        self.group = group

    def __call__(self, content_h: Tensor, h: Tensor) -> Tensor:
        """See ``Normalizer``."""
        groups = zip(*(v.float().flatten(2).split(self.group or v.shape[1], 1) for v in (content_h, h)), strict=True)
        return torch.cat([_recolour(c, s) for c, s in groups], 1).reshape(h.shape).to(h.dtype)


def _recolour(c: Tensor, s: Tensor) -> Tensor:
    """One group of channels over cells, both (B, K, N)."""
    mean = s.mean(2, keepdim=True)
    c, s = c - c.mean(2, keepdim=True), s - mean
    return _root(s, 0.5) @ (_root(c, -0.5) @ c) + mean


def _root(v: Tensor, power: float) -> Tensor:
    """The covariance of v (B, K, N) to a power, (B, K, K); empty directions stay empty."""
    values, vectors = torch.linalg.eigh(v @ v.mT / v.shape[2])
    held = values > SMALLEST * values[:, -1:].clamp_min(1e-20)
    values = torch.where(held, torch.where(held, values, 1.0) ** power, 0.0)
    return (vectors * values[:, None]) @ vectors.mT


@hookimpl
def hsx_strategies() -> list[type[Strategy]]:
    """What this package supplies."""
    return [WhiteningColouring]

"""What a transfer must beat: pixel-space recipes, and the network's own skips swapped instead of its bottleneck."""

from __future__ import annotations

import torch
from torch import Tensor

from hsx import Transfer
from hsx.backbones.base import Bottleneck
from hsx.backbones.prediction import predict_x0


def recolour(content: Tensor, style: Tensor) -> Tensor:
    """The content given the style's mean and deviation, per colour channel (Reinhard et al. 2001)."""
    mean, std = content.mean((2, 3), keepdim=True), content.std((2, 3), keepdim=True)
    other, deviation = style.mean((2, 3), keepdim=True), style.std((2, 3), keepdim=True)
    return ((content - mean) / std.clamp_min(1e-6) * deviation + other).clamp(-1, 1)


def match_histograms(content: Tensor, style: Tensor) -> Tensor:
    """The content given the style's histogram, per colour channel: the k-th darkest pixel takes the k-th darkest."""
    ranks = content.flatten(2).argsort(2).argsort(2)
    return style.flatten(2).sort(2).values.gather(2, ranks).view_as(content)


@torch.no_grad()
def swap_skips(transfer: Transfer, content_x: Tensor, style_x: Tensor) -> Tensor:
    """The content's own process with every skip taken from the style's; both start at their x_T (B, 3, R, R)."""
    backbone, x, y = transfer.backbone, content_x, style_x
    for t, t_next in zip(reversed(transfer.timesteps), [*transfer.timesteps[-2::-1], -1], strict=True):
        a, a_next = (backbone.schedule.at(torch.full((len(x),), step)) for step in (t, t_next))
        own, other = (backbone.encode(v, torch.full((len(x),), t)) for v in (x, y))
        eps, eps_style = backbone.decode(own), backbone.decode(other)
        swapped = backbone.decode(Bottleneck(own.h, other.skips, own.emb, own.x, own.t))
        x = a_next.sqrt().to(x) * predict_x0(x, swapped, a) + (1 - a_next).sqrt().to(x) * eps
        y = a_next.sqrt().to(y) * predict_x0(y, eps_style, a) + (1 - a_next).sqrt().to(y) * eps_style
    return x.clamp(-1, 1)

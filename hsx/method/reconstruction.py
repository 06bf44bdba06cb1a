"""A picture given back: inverted and generated again, nothing injected."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from hsx.backbones.prediction import predict_x0
from hsx.method.course import Course
from hsx.method.transfer import Transfer


@torch.no_grad()
def reconstruct(transfer: Transfer, images: Tensor) -> Tensor:
    """What a transfer makes of styles with gamma = 0: how well its inversion gives them back.

    What belongs to injections, the noise of t_boost and dt_lambda, is left out.

    Args:
        images: (B, 3, R, R) in [-1, 1].

    Returns:
        (B, 3, R, R), clamped to [-1, 1].
    """
    net, x = transfer.backbone, transfer.invert(images, ()).x_T
    course = Course(transfer.solver, net.schedule, len(x))
    for t, t_next in pairwise([*reversed(transfer.timesteps), -1]):
        now, then = torch.full((len(x),), t), torch.full((len(x),), t_next)
        eps = net(x, now)
        x = course.step(x, predict_x0(x, eps, net.schedule.at(now)), eps, t=now, t_next=then)
    return x.clamp(-1, 1)

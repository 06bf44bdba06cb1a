"""One step of the transfer: the whole of the method on a page (InjectFusion, arXiv 2303.15403).

Notation (code name: symbol of the paper)
    x: x_t, the style's process          eps: epsilon, what that process predicts by itself
    b: E(x, t), its bottleneck h and     eps_injected: epsilon-tilde = D(b-tilde), other features at the sites
       skips: its features at the sites  a, a_next: alpha-bar at t and at the next lower timestep
    gamma: how much of the content is blended in; 0 where nothing is injected
    P(x, eps): the predicted x_0, ``predict_x0``
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from hsx.backbones.base import Backbone
from hsx.backbones.prediction import predict_x0
from hsx.strategies.base import StepState, StyleState


def transfer_step(
    backbone: Backbone,
    x: Tensor,
    t: Tensor,
    t_next: Tensor,
    donor: Callable[[StyleState], Mapping[str, Tensor]],
    sites: Mapping[str, float],
    gamma: Tensor,
    blend: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor],
    normalizer: Callable[[Tensor, Tensor], Tensor],
    calibrator: Callable[[StepState], Tensor | None],
    mask: Tensor | None = None,
    eta: Tensor | float = 0.0,
    noise: Tensor | None = None,
    direction: Tensor | float = 1.0,
) -> Tensor:
    """From x_t to x_{t'}, the content injected where gamma > 0 (paper, section 4; Asyrp's asymmetric step).

    Args:
        x: (B, 3, R, R), the style's process at ``t``.
        t, t_next: (B,) integer timesteps, which may differ within the batch; -1 is the clean image.
        donor: gives the content's features at ``t``, by site: see ``hsx.strategies.base``, as the next three.
        sites: where to inject, the paper's ``h`` or skips too, each with its factor of gamma.
        gamma: (B,) or (B, 1, 1, 1) in [0, 1].  A row with 0 is a plain DDIM step, whatever the donor gives.
        mask: (B or 1, 1, R, R) in [0, 1]: where to inject, resized to the grid of each site by area; None: everywhere.
        eta: per row or one number; 0 is deterministic, 1 adds DDPM's noise (the quality boost), taken from ``noise``.
        direction: scales the direction term (the authors' dt_lambda); without effect where x is calibrated.
    """
    a, a_next = backbone.schedule.at(t), backbone.schedule.at(t_next)
    gamma = gamma.reshape(-1, 1, 1, 1).to(x)
    injected = gamma > 0

    # 1. What the style's own process predicts.
    b = backbone.encode(x, t)
    eps = eps_injected = backbone.decode(b)

    if bool(injected.any()):
        # 2. Normalise the content to the style's statistics, blend it in at the sites, keep all else (section 4.1).
        content, style = donor(StyleState(backbone, x, t, a, eps, b)), b.features
        features = {}
        for site, factor in sites.items():
            h = style[site]  # (B, c, r, r)
            area = None if mask is None else F.adaptive_avg_pool2d(mask, (h.shape[2], h.shape[3]))
            features[site] = blend(h, normalizer(content[site], h), factor * gamma, area)
        b_injected = b.with_features(features)
        eps_injected = torch.where(injected, backbone.decode(b_injected), eps)

        # 3. Calibrate: move x so that the skips computed from it agree with what was injected (section 4.2).
        moved = calibrator(StepState(backbone, x, t, a, eps, b, eps_injected, b_injected))
        if moved is not None:
            x = torch.where(injected, moved, x)
            eps = eps_injected = torch.where(injected, backbone(x, t), eps)
            direction = torch.where(injected.cpu(), 1.0, _column(direction, a))

    # 4. Asymmetric DDIM: x_0 from the injected prediction, the direction from the style's own (Asyrp, eq. 6).
    x0 = predict_x0(x, eps_injected, a)
    c1 = _column(eta, a) * ((1 - a / a_next) * (1 - a_next) / (1 - a)).sqrt()
    c2 = _column(direction, a) * (1 - a_next - c1**2).sqrt()
    x_next = a_next.sqrt().to(x) * x0 + c2.to(x) * eps
    return x_next if noise is None else x_next + c1.to(x) * noise


def _column(value: Tensor | float, like: Tensor) -> Tensor:
    """A number, or one a row, as (B or 1, 1, 1, 1)."""
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).reshape(-1, 1, 1, 1)

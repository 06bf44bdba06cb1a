"""One step of the transfer: the whole of the method on a page (InjectFusion, arXiv 2303.15403).

Notation (code name: symbol of the paper)
    x: x_t, the style's process          eps: epsilon, what that process predicts by itself
    b: E(x, t), its bottleneck h and     eps_injected: epsilon-tilde = D(b-tilde), other features at the sites
       skips: its features at the sites  a, a_next: alpha-bar at t and at the next lower timestep
    gamma: how much is blended in        P(x, eps): the predicted x_0, ``predict_x0``
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from hsx.backbones.base import Backbone
from hsx.backbones.prediction import predict_x0
from hsx.method.rows import column, there
from hsx.schedule import onto
from hsx.strategies.states import StepState, StyleState


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
    strength: float = 1.0,
    follows: Tensor | bool = False,
    solve: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """From x_t to x_{t'}, the content injected where gamma > 0 (paper, section 4; Asyrp's asymmetric step).

    Args:
        x: (B, 3, R, R), the style's process at ``t``.
        t, t_next: (B,) integer timesteps, which may differ within the batch; -1 is the clean image.
        donor: gives the content's features at ``t``, by site: see ``hsx.strategies.base``, as the next three.
        sites: where to inject, the paper's ``h`` or skips too, each with its factor of gamma.
        gamma: (B,) or (B, 1, 1, 1) in [0, 1].  A row with 0 is a plain step, whatever the donor gives.
        mask: (B or 1, 1, R, R) in [0, 1]: where to inject, resized to the grid of each site by area; None: everywhere.
        eta: per row or one number; 0 is deterministic, 1 adds DDPM's noise (the quality boost), taken from ``noise``.
        direction, strength: scale the direction term (dt_lambda; not where x is calibrated), and the change of x_0.
        follows: (B,) or one for all: rows that take the injected prediction for the direction, too.
        solve: the step of rows without injection, noise or scale, of (x, x_0, eps); by default DDIM.
    """
    a, a_next = backbone.schedule.at(t), backbone.schedule.at(t_next)
    injects = gamma.reshape(-1, 1, 1, 1).cpu() > 0  # with a gamma on the CPU nobody waits for the device
    gamma, injected = onto(gamma.reshape(-1, 1, 1, 1), x), there(injects, x)
    plain = ~injects & (column(eta, a) == 0) & (column(direction, a) == 1)

    # 1. What the style's own process predicts: state.eps = D(b), computed when it is first needed.
    state = StyleState(backbone, x, t, a, None, backbone.encode(x, t))  # type: ignore[arg-type]
    if not bool(injects.any()):
        eps_injected = state.eps
    else:
        # 2. Normalise the content to the style's statistics, blend it in at the sites, keep all else (section 4.1).
        content, style, features = donor(state), state.b.features, dict[str, Tensor]()
        for site, factor in sites.items():
            h = style[site]  # (B, c, r, r)
            area = None if mask is None else adaptive_avg_pool2d(mask, (h.shape[2], h.shape[3]))
            features[site] = blend(h, normalizer(content[site], h), factor * gamma, area)
        b_injected = state.b.with_features(features)
        eps_injected = backbone.decode(b_injected)
        eps_injected = eps_injected if strength == 1 else state.eps + strength * (eps_injected - state.eps)
        if not bool(injects.all()):
            eps_injected = torch.where(injected, eps_injected, state.eps)

        # 3. Calibrate: move x so that the skips computed from it agree with what was injected (section 4.2).
        state = StepState(**vars(state), eps_injected=eps_injected, injected=b_injected)
        if (moved := calibrator(state)) is not None:
            x = torch.where(injected, moved, x)
            eps_injected = torch.where(injected, backbone(x, t), eps_injected)
            direction, follows = torch.where(injects, 1.0, column(direction, a)), column(follows, a).bool() | injects

    # 4. Asymmetric DDIM: x_0 from the injected prediction, the direction from the style's own (Asyrp, eq. 6).
    x0 = predict_x0(x, eps_injected, a)
    if solve and bool(plain.all()):
        return solve(x, x0, eps_injected)
    c1 = column(eta, a) * ((1 - a / a_next) * (1 - a_next) / (1 - a)).sqrt()
    c2 = column(direction, a) * (1 - a_next - c1**2).sqrt()  # 0 at the step to the clean image
    follows = column(follows, a).bool() | (c2 == 0)
    eps = eps_injected if bool(follows.all()) else torch.where(there(follows, x), eps_injected, state.eps)
    x_next = onto(a_next.sqrt(), x) * x0 + onto(c2, x) * eps
    x_next = x_next if noise is None else x_next + onto(c1, x) * noise
    if solve and bool(plain.any()):
        x_next = torch.where(there(plain, x), solve(x, x0, eps_injected), x_next)
    return x_next

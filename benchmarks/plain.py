"""The authors' procedure as research code has it: one pair at a time, in plain loops, E and both D at every injection.

What hsx is timed against.  Written from the paper's formulas (InjectFusion, arXiv 2303.15403, DDIM both ways, without
mask, calibration and noise); of hsx it knows the network's ``encode`` and ``decode`` and the alphas of its schedule.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

import hsx


class Plain:
    """A network and the authors' settings.

    Args:
        inversion_steps, generation_steps: timesteps each way, spread evenly over all.
        content_replace_step: inject at the timesteps of so many evenly spread ones.
        gamma: of the content, where t >= t_edit.
    """

    def __init__(
        self,
        net: hsx.Backbone,
        inversion_steps: int = 50,
        generation_steps: int = 1000,
        content_replace_step: int = 50,
        gamma: float = 0.3,
        t_edit: int = 400,
    ) -> None:
        self.net, self.gamma, self.t_edit = net, gamma, t_edit
        self.inversion, self.generation = self.spread(inversion_steps), self.spread(generation_steps)
        self.replaced = {*self.spread(content_replace_step)}

    def spread(self, steps: int) -> list[int]:
        """So many timesteps from the first to the last."""
        last = len(self.net.schedule) - 1
        return [int(s + 1e-6) for s in (torch.linspace(0, 1, steps, dtype=torch.float64) * last).tolist()]

    def alpha_bar(self, t: int) -> float:
        """The alpha-bar of a timestep; 1 of the clean picture, -1."""
        return float(self.net.schedule.alphas_cumprod[t]) if t >= 0 else 1.0

    def ddim(self, x: Tensor, t: int, t_next: int, eps: Tensor, eps_injected: Tensor) -> Tensor:
        """x at the next timestep: x_0 from one eps, the direction from the other."""
        a, a_next = self.alpha_bar(t), self.alpha_bar(t_next)
        x0 = (x - math.sqrt(1 - a) * eps_injected) / math.sqrt(a)
        return math.sqrt(a_next) * x0 + math.sqrt(1 - a_next) * eps

    @torch.no_grad()
    def invert(self, x: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """A picture (1, 3, R, R) to its noise, and h at each timestep on the way."""
        features = {}
        for t, t_next in zip(self.inversion[:-1], self.inversion[1:], strict=True):
            b = self.net.encode(x, torch.full((1,), t, device=x.device))
            features[t] = b.h
            eps = self.net.decode(b)
            x = self.ddim(x, t, t_next, eps, eps)
        return x, features

    @torch.no_grad()
    def __call__(self, content: Tensor, style: Tensor) -> Tensor:
        """A pair (each (1, 3, R, R) in [-1, 1]) to the content in the style."""
        _, features = self.invert(content)
        x, _ = self.invert(style)
        for t, t_next in zip(self.generation[::-1], [*self.generation[-2::-1], -1], strict=True):
            b = self.net.encode(x, torch.full((1,), t, device=x.device))
            eps = eps_injected = self.net.decode(b)
            if t in self.replaced and t >= self.t_edit:
                h = features[min(features, key=lambda s: (abs(s - t), -s))]
                h = h * (b.h.norm() / h.norm())
                eps_injected = self.net.decode(b.with_h(slerp(b.h, h, self.gamma)))
            x = self.ddim(x, t, t_next, eps, eps_injected)
        return x.clamp(-1, 1)


def slerp(h: Tensor, content: Tensor, gamma: float) -> Tensor:
    """From h to the content's, on the sphere."""
    angle = torch.acos((h * content).sum() / (h.norm() * content.norm()))
    return (torch.sin((1 - gamma) * angle) * h + torch.sin(gamma * angle) * content) / torch.sin(angle)

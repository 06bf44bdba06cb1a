"""Solvers: from one timestep to the next, along the probability flow.

Notation: alpha = sqrt(alpha-bar), sigma = sqrt(1 - alpha-bar), lambda = ln(alpha / sigma); primes are those of the next
timestep.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hsx.schedule import onto
from hsx.strategies.base import Past, Solver


class DDIM(Solver):
    """alpha' x_0 + sigma' eps, the authors' step (Song et al. 2021, arXiv 2010.02502, eq. 12 with sigma = 0)."""

    def step(self, x: Tensor, x0: Tensor, eps: Tensor, t: Tensor, t_next: Tensor, history: Sequence[Past]) -> Tensor:
        """See ``Solver``."""
        alpha, sigma = self.alpha_sigma(t_next)
        return onto(alpha, x) * x0 + onto(sigma, x) * eps


class Multistep2M(DDIM):
    """The second order in x_0, with what x_0 was a step before: few evaluations, and pictures that come back.

    D = x_0 + w (x_0 - x_0 before), w = (lambda' - lambda) / (2 (lambda - lambda before)), and then alpha' D +
    sigma' (x - alpha D) / sigma: DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095, algorithm 2), the same both ways.
    The first step, and the one to the clean picture, are DDIM's.
    """

    memory, order = 1, 2

    def step(self, x: Tensor, x0: Tensor, eps: Tensor, t: Tensor, t_next: Tensor, history: Sequence[Past]) -> Tensor:
        """See ``Solver``."""
        if not history:
            return super().step(x, x0, eps, t, t_next, history)
        before = history[-1]
        (alpha, sigma), (alpha_next, sigma_next) = self.alpha_sigma(t), self.alpha_sigma(t_next)
        alpha_before, sigma_before = self.alpha_sigma(before.t)
        now, then = (alpha / sigma).log(), (alpha_before / sigma_before).log()
        w = torch.where(sigma_next > 0, (alpha_next / sigma_next).log() - now, 0) / (2 * (now - then))
        D = x0 + onto(w, x) * (x0 - before.x0)
        return onto(alpha_next - sigma_next * alpha / sigma, x) * D + onto(sigma_next / sigma, x) * x


class MultistepV(DDIM):
    """The second order in v, in the angle phi = atan2(sigma, alpha): better than 2M where injection is early.

    cos(d) x + sin(d) (v + d / (2 d before) (v - v before)), with v = alpha eps - sigma x_0, that before of the x_0 and
    eps before at the angle of now, and d the way from phi to phi': Adams and Bashforth's two steps for the velocity of
    Salimans and Ho 2022 (arXiv 2202.00512, appendix D).  The first step, and the one to the clean picture, are DDIM's.
    """

    memory, order = 1, 2

    def step(self, x: Tensor, x0: Tensor, eps: Tensor, t: Tensor, t_next: Tensor, history: Sequence[Past]) -> Tensor:
        """See ``Solver``."""
        if not history:
            return super().step(x, x0, eps, t, t_next, history)
        before = history[-1]
        alpha, sigma = self.alpha_sigma(t)
        phi, phi_before, phi_next = (torch.atan2(*self.alpha_sigma(each)[::-1]) for each in (t, before.t, t_next))
        d = phi_next - phi
        w = torch.where(phi_next > 0, d / (2 * (phi - phi_before)), 0)
        v, v_before = (onto(alpha, x) * e - onto(sigma, x) * p for e, p in ((eps, x0), (before.eps, before.x0)))
        return onto(d.cos(), x) * x + onto(d.sin(), x) * (v + onto(w, x) * (v - v_before))

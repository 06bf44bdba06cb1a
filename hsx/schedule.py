"""The noise schedule: cumulative alphas in float64, and lists of timesteps.  Pure functions and one frozen class.

Notation (code name: symbol of the paper): ``betas``: beta_t; ``alphas_cumprod``: alpha-bar_t, the running product of
1 - beta up to and including t; alpha-bar at t = -1, the clean image, is 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hsx.errors import HsxError


@dataclass(frozen=True)
class NoiseSchedule:
    """The alphas of a trained model.

    Attributes:
        alphas_cumprod: (T,) float64, strictly falling in (0, 1).
    """

    alphas_cumprod: Tensor

    @classmethod
    def from_betas(cls, betas: Tensor) -> NoiseSchedule:
        """From betas (T,), each in (0, 1).  Raises HsxError for any other values."""
        betas = betas.to("cpu", torch.float64)
        if betas.ndim != 1 or not len(betas) or not bool(((betas > 0) & (betas < 1)).all()):
            raise HsxError("expected betas as a list of numbers in (0, 1), got others; check the schedule's betas")
        return cls(torch.cumprod(1 - betas, 0))

    @classmethod
    def linear(cls, num_timesteps: int = 1000, start: float = 1e-4, end: float = 0.02) -> NoiseSchedule:
        """Linear betas from ``start`` to ``end``, both scaled by 1000 / T (DDPM; OpenAI's rule for other T)."""
        scale = 1000 / num_timesteps
        return cls.from_betas(torch.linspace(start * scale, end * scale, num_timesteps, dtype=torch.float64))

    @classmethod
    def cosine(cls, num_timesteps: int = 1000) -> NoiseSchedule:
        """alpha-bar(u) = cos^2((u + 0.008) / 1.008 * pi / 2), betas clipped at 0.999 (Nichol and Dhariwal 2021)."""
        u = torch.arange(num_timesteps + 1, dtype=torch.float64) / num_timesteps
        alpha_bar = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
        return cls.from_betas((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999))

    def __len__(self) -> int:
        return len(self.alphas_cumprod)

    def at(self, t: Tensor) -> Tensor:
        """alpha-bar of integer timesteps ``t`` (B,), -1 being the clean image: (B, 1, 1, 1), float64, on the CPU.

        Take roots and quotients of it before rounding to the picture's dtype and device, see ``onto``.
        """
        padded = torch.cat([self.alphas_cumprod, torch.ones(1, dtype=torch.float64)])  # index -1 is the clean image
        return padded[t.cpu()].reshape(-1, 1, 1, 1)


def onto(numbers: Tensor, x: Tensor) -> Tensor:
    """Numbers of a step, on the CPU, in the dtype and on the device of ``x``; nobody waits for what that is doing."""
    return numbers.to(x, non_blocking=True)


def timesteps(steps: int, t_start: int = 999) -> list[int]:
    """``steps`` evenly spaced integers from 0 to ``t_start``, ascending: int(s * t_start + 1e-6), the authors' list.

    Raises:
        HsxError: for fewer than two steps, or more steps than there are timesteps from 0 to ``t_start``.
    """
    if not 2 <= steps <= t_start + 1:
        raise HsxError(
            f"expected 2 to {t_start + 1} steps for timesteps 0..{t_start}, got {steps}; "
            "take fewer steps or a larger t_start"
        )
    return [int(s * t_start + 1e-6) for s in torch.linspace(0, 1, steps, dtype=torch.float64).tolist()]

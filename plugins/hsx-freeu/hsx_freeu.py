"""A calibrator for hsx: the low frequencies of the skips are damped, as in FreeU."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from hsx import hookimpl
from hsx.checks import MOST, got, number, whole
from hsx.errors import HsxError
from hsx.strategies import Calibrator, Strategy
from hsx.strategies.base import StepState
from hsx.strategies.calibrators import shift, target


class SkipDamping(Calibrator):
    """Latent calibration towards what D says with the low frequencies of the skips damped (FreeU, arXiv 2309.11497).

    The skips hold the style picture's own layout in their low frequencies, which works against the injected h: seen
    through damped skips the injected prediction has more of the content.  One more evaluation of D and one of the
    network a step.

    Args:
        scale: of the low frequencies (FreeU's s, eq. 6); 1 leaves the skips as they are.
        radius: frequencies up to this many periods a side are low (after FreeU's r_thresh); 0 is the mean alone.
        resolution: skips up to this size are damped, the deep ones; 0 is a quarter of the picture.
        omega: weight of the second term, as in Latent, with the damped prediction; 0 keeps the first alone.

    Raises:
        HsxError: for a scale outside [0, 1], a negative radius or a negative omega; when called, for a network that
            does not show its skips (a HookedBackbone to which none are named).
    """

    def __init__(self, scale: float = 0.6, radius: int = 1, resolution: int = 0, omega: float = 0.0) -> None:
        if not number(scale, 0, 1):
            raise HsxError(f"scale: expected a number from 0 to 1, got {got(scale)}; 0.6 is usual")
        for name, value, usual in (("radius", radius, 1), ("resolution", resolution, 0)):
            if not whole(value, 0):
                raise HsxError(f"{name}: expected a whole number of 0 or more, got {got(value)}; {usual} is usual")
        if not number(omega, 0, MOST):
            raise HsxError(f"omega: expected a number of 0 or more, got {got(omega)}; 0.3 is the authors'")
        self.scale, self.radius, self.resolution, self.omega = scale, radius, resolution, omega

    def __call__(self, state: StepState) -> Tensor:
        """The moved x, see ``Calibrator``."""
        if not state.b.skips:
            raise HsxError(
                f"SkipDamping: expected a network whose skips are known, got a "
                f"{type(state.backbone).__name__}, which shows none; name its skips, or use Latent"
            )
        deep = self.resolution or state.x.shape[-1] // 4
        skips = tuple(  # what was injected into skips is the content's, and stays
            damp(own, self.scale, self.radius) if s is own and s.shape[-1] <= deep else s
            for s, own in zip(state.injected.skips, state.b.skips, strict=True)
        )
        damped = replace(state, eps_injected=state.backbone.decode(replace(state.injected, skips=skips)))
        return state.x + shift(damped, state.x, state.eps, target(damped), self.omega)


def damp(skip: Tensor, scale: float, radius: int) -> Tensor:
    """A skip (B, C, H, W) with the frequencies up to ``radius`` multiplied by ``scale``."""
    spectrum = torch.fft.rfft2(skip.float())  # (B, C, H, W // 2 + 1)
    rows = torch.fft.fftfreq(skip.shape[2], 1 / skip.shape[2], device=skip.device).abs()
    columns = torch.arange(spectrum.shape[3], device=skip.device)
    low = (rows[:, None] <= radius) & (columns <= radius)
    spectrum = torch.where(low, spectrum * scale, spectrum)
    return torch.fft.irfft2(spectrum, s=skip.shape[2:]).to(skip.dtype)


@hookimpl
def hsx_strategies() -> list[type[Strategy]]:
    """What this package supplies."""
    return [SkipDamping]

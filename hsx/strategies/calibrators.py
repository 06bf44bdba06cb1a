"""Calibrators: x moved so that the skips computed from it agree with the injected bottleneck."""

from __future__ import annotations

from torch import Tensor

from hsx.errors import HsxError
from hsx.step import StepState, predict_x0
from hsx.strategies.base import Calibrator


class Latent(Calibrator):
    """Latent calibration (the paper, section 4.2, eq. 8 and 9): one more evaluation of the network a step.

    dx = sqrt(a) (P~ - P) + omega sqrt(1 - a) (eps~ - eps), with P~ re-standardised to the deviation of P.

    Args:
        omega: its strength, 0 or more; 0 leaves calibration out, as the authors' code does.

    Raises:
        HsxError: for a negative omega.
    """

    def __init__(self, omega: float = 0.0) -> None:
        if not 0 <= omega < float("inf"):
            raise HsxError(f"omega: expected a number of 0 or more, got {omega}; 0.3 is the authors', 0 is off")
        self.omega = omega

    def __call__(self, state: StepState) -> Tensor | None:
        """x + dx, or None with omega = 0."""
        if self.omega == 0:
            return None
        x, a = state.x, state.a
        x0, injected = predict_x0(x, state.eps, a), predict_x0(x, state.eps_injected, a)
        mean = injected.mean((1, 2, 3), keepdim=True)
        ratio = x0.std((1, 2, 3), keepdim=True) / injected.std((1, 2, 3), keepdim=True).clamp_min(1e-12)
        target = mean + (injected - mean) * ratio
        dx = a.sqrt().to(x) * (target - x0) + self.omega * (1 - a).sqrt().to(x) * (state.eps_injected - state.eps)
        return x + dx

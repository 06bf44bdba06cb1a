"""Blending schedules: gamma as a function of the timestep."""

from __future__ import annotations

from hsx.errors import HsxError
from hsx.strategies.base import BlendingSchedule


class Constant(BlendingSchedule):
    """The same gamma at every step (the paper, section 4.1; ``hs_coeff`` in the authors' command line).

    x carries what earlier steps injected, so that a constant gamma accumulates: the blending is gradual.

    Args:
        gamma: 0 (the style image itself) to 1 (all of the content's h).

    Raises:
        HsxError: for a gamma outside [0, 1].
    """

    def __init__(self, gamma: float = 0.3) -> None:
        if not 0 <= gamma <= 1:
            raise HsxError(f"gamma: expected a number from 0 to 1, got {gamma}; 0.3 is the paper's")
        self.value = gamma

    def gamma(self, t: int) -> float:
        """The constant, whatever ``t``."""
        return self.value

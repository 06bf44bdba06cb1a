"""The kinds of strategy: the three moves of the method, each a small class that anyone can replace.

Every strategy works row by row, for any batch size, device and dtype, and never changes its arguments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from hsx.step import StepState


class Strategy(ABC):  # noqa: B024  (the common name of the kinds; each kind adds its own abstract method)
    """One interchangeable part of the method."""


class BlendingSchedule(Strategy):
    """How much of the content's h is blended in at each timestep."""

    @abstractmethod
    def gamma(self, t: int) -> float:
        """The weight at timestep ``t``, in [0, 1]; 0 injects nothing."""


class Blend(Strategy):
    """How two bottlenecks become one."""

    @abstractmethod
    def __call__(self, h: Tensor, content_h: Tensor, gamma: Tensor, mask: Tensor | None = None) -> Tensor:
        """Blend ``content_h`` into ``h``, both (B, C, H, W); a new tensor of the same shape and dtype.

        Args:
            gamma: (B, 1, 1, 1) in [0, 1]; 0 gives ``h`` back.
            mask: (B, 1, H, W) in [0, 1]; outside it ``h`` is kept.
        """


class Normalizer(Strategy):
    """How the content's h is fitted to the style's statistics before it is blended."""

    @abstractmethod
    def __call__(self, content_h: Tensor, h: Tensor) -> Tensor:
        """``content_h`` with the statistics of ``h``, both (B, C, H, W); a new tensor of the same shape and dtype."""


class Calibrator(Strategy):
    """How x is moved so that its skip connections agree with the injected h."""

    @abstractmethod
    def __call__(self, state: StepState) -> Tensor | None:
        """The moved x, (B, 3, R, R), from which a plain DDIM step is then taken; None for the asymmetric step."""

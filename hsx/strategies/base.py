"""The kinds of strategy: the three moves of the method, each a small class that anyone can replace.

Every strategy works row by row, for any batch size, device and dtype, and never changes its arguments.  What one keeps
between calls is set in ``prepare``, before each batch; a Transfer works with copies of its own.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from hsx.schedule import NoiseSchedule

if TYPE_CHECKING:
    from hsx.inversion import Trajectory
    from hsx.step import StepState


class Strategy(ABC):  # noqa: B024  (the common name of the kinds; each kind adds its own abstract method)
    """One interchangeable part of the method.

    Attributes:
        listed: the class that each short name stands for, filled by ``hsx.plugins.load``.
    """

    listed: ClassVar[dict[str, type[Strategy]]] = {}

    @classmethod
    def __subclasses__(cls) -> list[Any]:  # type: ignore[override]
        """Those that are listed and what they derive from: jsonargparse looks short names up here."""
        listed = Strategy.listed.values()
        return [c for c in type.__subclasses__(cls) if not listed or any(issubclass(known, c) for known in listed)]

    def record(self) -> dict[str, Any]:
        """The class and its public attributes as plain data: kept in each result, where it tells settings apart."""
        return {"class_path": f"{type(self).__module__}.{type(self).__qualname__}",
                **{name: _plain(value) for name, value in vars(self).items() if name[0] != "_"}}


class BlendingSchedule(Strategy):
    """How much of the content's h is blended in at each timestep."""

    def prepare(self, timesteps: Sequence[int], noise: NoiseSchedule) -> None:  # noqa: B027
        """Told before each batch at which timesteps it injects, descending, and the model's schedule; for free use."""

    @abstractmethod
    def gamma(self, t: int) -> float:
        """The weight at timestep ``t``, in [0, 1]; 0 injects nothing."""


class Blend(Strategy):
    """How two bottlenecks become one."""

    def prepare(self, content: Trajectory, invert: Callable[[Tensor], Trajectory]) -> Trajectory:
        """Told before each batch the inverted contents; those whose h is to be injected, by default the same.

        Args:
            content: the batch's contents, ``content.h`` (B, S, C, H, W) for S timesteps.
            invert: inverts further pictures (N, 3, R, R) in [-1, 1].
        """
        return content

    @abstractmethod
    def __call__(self, h: Tensor, content_h: Tensor, gamma: Tensor, mask: Tensor | None = None) -> Tensor:
        """Blend ``content_h`` into ``h``, both (B, C, H, W); a new tensor of the same shape and dtype.

        Args:
            gamma: (B, 1, 1, 1) in [0, 1]; 0 gives ``h`` back.
            mask: (B or 1, 1, H, W) in [0, 1]; where it is 0 ``h`` is kept.
        """


class Normalizer(Strategy):
    """How the content's h is fitted to the style's statistics before it is blended."""

    @abstractmethod
    def __call__(self, content_h: Tensor, h: Tensor) -> Tensor:
        """``content_h`` with the statistics of ``h``, both (B, C, H, W); a new tensor of the same shape and dtype.

        What has these statistics already comes back as it is: ``normalizer(h, h)`` is ``h``.
        """


class Calibrator(Strategy):
    """How x is moved so that its skip connections agree with the injected h."""

    @abstractmethod
    def __call__(self, state: StepState) -> Tensor | None:
        """The moved x, (B, 3, R, R), from which a plain DDIM step is then taken; None for the asymmetric step."""


def _plain(value: Any) -> Any:
    """Plain data as it is, a strategy's record, a tensor's hash."""
    if isinstance(value, Strategy):
        return value.record()
    if isinstance(value, Tensor):
        return hashlib.sha256(value.detach().float().cpu().contiguous().numpy().tobytes()).hexdigest()[:24]
    return value if value is None or isinstance(value, (str, int, float, list, tuple, dict)) else repr(value)

"""What strategies see of a step, and may not change.  Pictures are (B, 3, R, R); ``t`` is (B,)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from hsx.backbones.base import Backbone, Bottleneck


@dataclass(frozen=True)
class StyleState:
    """What a donor sees of the style's own process; an ``eps`` of None is computed, once, when somebody reads it."""

    backbone: Backbone
    x: Tensor
    t: Tensor
    a: Tensor  # (B, 1, 1, 1), float64
    eps: Tensor  # D(b), what the style's process predicts
    b: Bottleneck  # E(x, t), with the style's own features

    if not TYPE_CHECKING:

        def __getattribute__(self, name):
            found = object.__getattribute__(self, name)
            if name != "eps" or found is not None:
                return found
            object.__setattr__(self, name, self.backbone.decode(self.b))
            return object.__getattribute__(self, name)


@dataclass(frozen=True)
class StepState(StyleState):
    """What a calibrator sees after injection."""

    eps_injected: Tensor
    injected: Bottleneck  # b with what was injected

    @property
    def h(self) -> Tensor:
        """The bottleneck with what was injected, (B, C, H, W)."""
        return self.injected.h

"""A Backbone that counts its evaluations."""

from __future__ import annotations

from torch import Tensor

from hsx.backbones.base import Backbone, Bottleneck
from hsx.backbones.wrapped import Wrapped


class Counted(Wrapped):
    """Another Backbone, and how often it ran.

    Attributes:
        evaluations: of the whole network, for one picture each, so far; E and D count by their ``…_cost``.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.evaluations = 0.0

    def encode(self, x: Tensor, t: Tensor) -> Bottleneck:
        """See ``Backbone``."""
        b = super().encode(x, t)
        self.evaluations += len(x) * self.encode_cost()
        return b

    def decode(self, b: Bottleneck) -> Tensor:
        """See ``Backbone``."""
        eps = super().decode(b)
        self.evaluations += len(b.h) * self.decode_cost(b)
        return eps

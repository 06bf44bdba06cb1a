"""A Backbone that counts its evaluations."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from hsx.backbones.base import Backbone, Bottleneck, Layout


class Counted(Backbone):
    """Another Backbone, and how often it ran.

    Attributes:
        evaluations: of the whole network, for one picture each, so far; E and D count by their ``…_cost``.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.counted, self.evaluations = backbone, 0.0

    def __getattr__(self, name: str) -> Any:
        """The schedule, the sizes and the facts are the network's own."""
        return super().__getattr__(name) if name == "counted" else getattr(self.counted, name)

    @property
    def layout(self) -> Layout:
        """See ``Backbone``."""
        return self.counted.layout

    def encode(self, x: Tensor, t: Tensor) -> Bottleneck:
        """See ``Backbone``."""
        b = self.counted.encode(x, t)
        self.evaluations += len(x) * self.counted.encode_cost()
        return b

    def decode(self, b: Bottleneck) -> Tensor:
        """See ``Backbone``."""
        eps = self.counted.decode(b)
        self.evaluations += len(b.h) * self.counted.decode_cost(b)
        return eps

    def fingerprint(self) -> str:
        """The fingerprint of the network itself."""
        return self.counted.fingerprint()

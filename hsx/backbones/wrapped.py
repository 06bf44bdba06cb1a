"""A Backbone around another one."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from hsx.backbones.base import Backbone, Bottleneck, Layout


class Wrapped(Backbone):
    """Another Backbone, run in another way: what it is, and so its fingerprint, stays.

    Attributes:
        wrapped: the other one.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.wrapped = backbone

    def __getattr__(self, name: str) -> Any:
        """The schedule, the sizes and the facts are the network's own."""
        return super().__getattr__(name) if name == "wrapped" else getattr(self.wrapped, name)

    @property
    def layout(self) -> Layout:
        """See ``Backbone``."""
        return self.wrapped.layout

    def encode(self, x: Tensor, t: Tensor) -> Bottleneck:
        """See ``Backbone``."""
        return self.wrapped.encode(x, t)

    def decode(self, b: Bottleneck) -> Tensor:
        """See ``Backbone``."""
        return self.wrapped.decode(b)

    def encode_cost(self) -> float:
        """See ``Backbone``."""
        return self.wrapped.encode_cost()

    def decode_cost(self, b: Bottleneck) -> float:
        """See ``Backbone``."""
        return self.wrapped.decode_cost(b)

    def fingerprint(self) -> str:
        """The fingerprint of the network itself."""
        return self.wrapped.fingerprint()

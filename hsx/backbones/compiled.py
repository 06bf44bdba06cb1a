"""A Backbone whose halves are compiled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from hsx.backbones.base import Backbone, Bottleneck
from hsx.backbones.wrapped import Wrapped
from hsx.errors import HsxError, first_line

T = TypeVar("T")
log = logging.getLogger("hsx")


class Compiled(Wrapped):
    """Another Backbone with E and D compiled, each by itself (``torch.compile``); only the last bits are others.

    The first evaluation takes a minute or more, and so does the first of another number of pictures: give it batches of
    one size.  A network that cannot be compiled runs as it is, with a line in the log.

    Args:
        backbone: the network, where and in the precision in which it will run.
        backend: torch's compiler.

    Attributes:
        compiled: whether it is; False from the moment at which that has failed.
    """

    def __init__(self, backbone: Backbone, backend: str = "inductor") -> None:
        super().__init__(backbone)
        self.compiled = True
        # whole or not at all, as what is left out would run without a word; a size of its own each, which is faster
        how: dict[str, Any] = {"fullgraph": True, "dynamic": False, "backend": backend}
        self._E, self._D = torch.compile(backbone.encode, **how), torch.compile(backbone.decode, **how)

    def encode(self, x: Tensor, t: Tensor) -> Bottleneck:
        """See ``Backbone``."""
        return self._run(self._E, self.wrapped.encode, x, t)

    def decode(self, b: Bottleneck) -> Tensor:
        """See ``Backbone``."""
        return self._run(self._D, self.wrapped.decode, b)

    def _run(self, compiled: Callable[..., T], plain: Callable[..., T], *given: Any) -> T:
        if self.compiled:
            try:
                _ = self.layout  # which keeps what a compiler cannot look up
                return compiled(*given)
            except (HsxError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # compilers raise all sorts; what the network itself raises it will raise again
                self.compiled = False
                why = f"{type(error).__name__}: {first_line(error)}"
                log.warning("the network cannot be compiled and runs as it is (%s)", why)
        return plain(*given)

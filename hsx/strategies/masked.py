"""A blend inside one mask for all pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from hsx.assets import resolve
from hsx.checks import number
from hsx.io.digests import file_digest
from hsx.strategies.arguments import PATHS, absolute, require
from hsx.strategies.base import Blend, check_strategy, without_pictures
from hsx.strategies.blends import Slerp

if TYPE_CHECKING:
    from hsx.method.inversion import Trajectory

SIDE = 256  # pixels at which the mask is kept; h has at most 16 or 32


class Masked(Blend):
    """Another blend inside a mask, h outside: local injection (the paper's local injection).

    The mask is a picture, white where to inject; it is made square as the pictures are (``fit``), and resized to the
    grid of h by area.  The bars that padding adds are white, as those of pictures and of masks in a table: what is
    injected there is the content's own bar, where the mask is not inverted.  A mask that comes with a pair is
    multiplied with it.

    Args:
        mask: the picture of the mask, grey values between.
        blend: what is done inside; Slerp by default.
        feather: the softness of its edges, the deviation of a Gaussian as a fraction of the picture's side.
        invert: inject where the mask is black instead.

    Raises:
        HsxError: for a mask that cannot be read, or a feather outside [0, 0.5].
    """

    paths = ("mask",)
    _area: Tensor | None = None

    def __init__(self, mask: str, blend: Blend | None = None, feather: float = 0.0, invert: bool = False) -> None:
        require(number(feather, 0, 0.5), "feather", "a number from 0 to 0.5", feather, "0.05 is soft")
        require(isinstance(mask, PATHS), "mask", "the path of a picture", mask, "give one")
        require(isinstance(invert, bool), "invert", "true or false", invert, "give one of them")
        check_strategy("blend", Blend, blend)
        self.blend, self.feather, self.invert = Slerp() if blend is None else blend, feather, invert
        self._path = absolute(mask)
        file_digest(resolve(self._path))  # one that cannot be read is refused at once

    def read_pictures(self, image: Callable[[str], Tensor], mask: Callable[..., Tensor]) -> None:
        """Reads the mask."""
        super().read_pictures(image, mask)
        area = mask(self._path, SIDE, blur=self.feather * SIDE)[None]  # (1, 1, SIDE, SIDE)
        self._area = 1 - area if self.invert else area

    def prepare(self, content: Trajectory, invert: Callable[[Tensor], Trajectory]) -> Trajectory:
        """That of the blend inside."""
        return self.blend.prepare(content, invert)

    def __call__(self, h: Tensor, content_h: Tensor, gamma: Tensor, mask: Tensor | None = None) -> Tensor:
        """See ``Blend``."""
        if self._area is None:
            raise without_pictures(self)
        own = F.adaptive_avg_pool2d(self._area, (h.shape[2], h.shape[3])).to(h, non_blocking=True)  # (1, 1, H, W)
        return self.blend(h, content_h, gamma, own if mask is None else own * mask.to(h))

"""Blends: how the content's bottleneck is mixed into the style's."""

from __future__ import annotations

import torch
from torch import Tensor

from hsx._renamed import renamed
from hsx.errors import HsxError
from hsx.strategies.base import Blend

PARALLEL = 1e-4  # below this sine of the angle a great circle is not defined, or no different from a line


class Slerp(Blend):
    """Spherical interpolation of the flattened features (the paper, eq. 5), guarded.

    sin((1 - gamma) theta) / sin(theta) h + sin(gamma theta) / sin(theta) content_h, theta the angle between the two.
    Where they are parallel, opposite or zero the authors' code gives NaN; here it falls back to a straight line.
    With a mask the angle is that of the two masked features, as in the authors' code.
    """

    def __call__(self, h: Tensor, content_h: Tensor, gamma: Tensor, mask: Tensor | None = None) -> Tensor:
        """See ``Blend``."""
        m = torch.ones_like(h[:1, :1]) if mask is None else mask.to(h)
        u, v = (h * m).flatten(1).float(), (content_h * m).flatten(1).float()  # (B, C*H*W)
        norm_u, norm_v = u.norm(dim=1, keepdim=True), v.norm(dim=1, keepdim=True)  # (B, 1)
        u, v = u / norm_u.clamp_min(1e-12), v / norm_v.clamp_min(1e-12)
        theta = 2 * torch.atan2((u - v).norm(dim=1, keepdim=True), (u + v).norm(dim=1, keepdim=True))  # Kahan's angle
        g = gamma.reshape(-1, 1).float()
        sine = torch.sin(theta)
        line = (sine.abs() < PARALLEL) | (norm_u * norm_v == 0)
        sine = torch.where(line, 1.0, sine)
        keep = torch.where(line, 1 - g, torch.sin((1 - g) * theta) / sine).reshape(-1, 1, 1, 1).to(h)
        take = torch.where(line, g, torch.sin(g * theta) / sine).reshape(-1, 1, 1, 1).to(h)
        blended = keep * h + take * content_h
        return blended if mask is None else m * blended + (1 - m) * h


class PaperFaceMask(Slerp):
    """Slerp inside the authors' hard-coded mask: rows 4 .. H-2, columns 3 and 4 of h (the first of each is 0).

    Of an h of 8 x 8 these are the pixels from 128 to 223 downwards and 96 to 159 across of a picture of 256: nose and
    mouth of an aligned face, from below the eyes to above the chin, as wide as the pupils are apart.  Meant with no
    normaliser, as in their ``use_mask`` (InjectFusion_official).  A mask given per pair is multiplied.
    Raises HsxError for an h of fewer than 6 x 4 cells, where that mask is empty.
    """

    def __call__(self, h: Tensor, content_h: Tensor, gamma: Tensor, mask: Tensor | None = None) -> Tensor:
        """See ``Blend``."""
        if h.shape[2] < 6 or h.shape[3] < 4:
            remedy = "use Masked with a mask of your own"
            found = f"{h.shape[2]} x {h.shape[3]}"
            raise HsxError(f"PaperFaceMask: expected an h of at least 6 x 4 cells, got {found}; {remedy}")
        face = torch.zeros_like(h[:, :1])
        face[:, :, 4:-1, 3:5] = 1
        return super().__call__(h, content_h, gamma, face if mask is None else face * mask)


AuthorsMask = renamed("AuthorsMask", PaperFaceMask)


class Lerp(Blend):
    """A straight line: (1 - gamma) h + gamma content_h (what the paper compares slerp with, section 4.1).

    Between features of one length that are not parallel it is shorter than they are, which dulls the picture.
    """

    def __call__(self, h: Tensor, content_h: Tensor, gamma: Tensor, mask: Tensor | None = None) -> Tensor:
        """See ``Blend``."""
        weight = gamma.to(h) if mask is None else gamma.to(h) * mask.to(h)
        return (1 - weight) * h + weight * content_h

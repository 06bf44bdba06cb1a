"""Normalizers: the content's bottleneck with the style's statistics."""

from __future__ import annotations

from torch import Tensor

from hsx._renamed import renamed
from hsx.strategies.base import Normalizer


class Frobenius(Normalizer):
    """The whole feature scaled to the norm of the style's, per sample (the paper, section 4.1)."""

    def __call__(self, content_h: Tensor, h: Tensor) -> Tensor:
        """content_h * |h| / |content_h|; a content of zeros stays zero."""
        norm, own = (v.flatten(1).float().norm(dim=1).reshape(-1, 1, 1, 1) for v in (h, content_h))
        scaled: Tensor = content_h.float() * (norm / own.clamp_min(1e-12))
        return scaled.to(h.dtype)


class AdaIN(Normalizer):
    """Each channel given the mean and deviation of the style's, over H and W (AdaIN: Huang and Belongie 2017, eq. 8).

    Keeps more of the style at equal content than the paper's norm, and forgives almost any gamma.
    """

    def __call__(self, content_h: Tensor, h: Tensor) -> Tensor:
        """(content_h - mean) / std * std_h + mean_h; a constant channel becomes the style's mean."""
        mean, mean_h = (v.float().mean((2, 3), keepdim=True) for v in (content_h, h))  # (B, C, 1, 1)
        std, std_h = (v.float().std((2, 3), keepdim=True, correction=0) for v in (content_h, h))
        return ((content_h - mean) * (std_h / std.clamp_min(1e-6)) + mean_h).to(h.dtype)


class Identity(Normalizer):
    """No normalisation: the content's h as it is (what the authors' code does with their mask)."""

    def __call__(self, content_h: Tensor, h: Tensor) -> Tensor:
        """A copy of ``content_h``."""
        return content_h.clone()


ChannelMoments, Unchanged = renamed("ChannelMoments", AdaIN), renamed("Unchanged", Identity)

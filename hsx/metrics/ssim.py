"""Is the content still there?"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import image_gradients
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from hsx._renamed import renamed
from hsx.metrics.base import MeanMetric
from hsx.metrics.statistics import luminance


class SSIM(MeanMetric):
    """Structural similarity of the result's luminance to the content's, 1 at best (Wang et al. 2004, eq. 13)."""

    about, takes = "content", ("result", "content")
    higher_is_better = True

    def each(self, result: Tensor, content: Tensor) -> Tensor:
        """Of the luminances."""
        return similarity(luminance(result), luminance(content))


Structure = renamed("Structure", SSIM)


class EdgeSSIM(MeanMetric):
    """Structural similarity of the result's edges to the content's, 1 at best: whichever side is the lighter.

    Edges are the sizes of the gradients of the luminance.
    """

    about, takes = "content", ("result", "content")
    higher_is_better = True

    def each(self, result: Tensor, content: Tensor) -> Tensor:
        """Of the sizes of the gradients."""
        return similarity(_edges(result), _edges(content))


def similarity(image: Tensor, other: Tensor) -> Tensor:
    """The structural similarity of pictures in the range [-1, 1], row by row: (B,).

    In float64: where pictures are flat, variances in float32 are off by more than the formula's constants forgive.
    """
    return torch.as_tensor(ssim(image.double(), other.double(), data_range=2.0, reduction="none")).float()


def _edges(images: Tensor) -> Tensor:
    down, right = image_gradients(luminance(images))
    return (down.square() + right.square()).sqrt()

"""Is the content still there?"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from hsx._renamed import renamed
from hsx.metrics.base import MeanMetric


class SSIM(MeanMetric):
    """Structural similarity of the result's luminance to the content's, 1 at best (Wang et al. 2004, eq. 13)."""

    about, takes = "content", ("result", "content")
    higher_is_better = True

    def each(self, result: Tensor, content: Tensor) -> Tensor:
        """Of the luminances."""
        return torch.as_tensor(ssim(_luminance(result), _luminance(content), data_range=2.0, reduction="none"))


Structure = renamed("Structure", SSIM)


def _luminance(images: Tensor) -> Tensor:
    """(B, 3, R, R) to (B, 1, R, R), by the weights of ITU-R BT.601."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device).reshape(1, 3, 1, 1)
    return (images.float() * weights).sum(1, keepdim=True)

"""Is the content still there?"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from hsx.metrics.base import Metric


class Structure(Metric):
    """Structural similarity of the result's luminance to the content's, 1 at best (Wang et al. 2004, eq. 13)."""

    higher_is_better = True
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, result: Tensor, content: Tensor, style: Tensor) -> None:
        """See ``Metric``."""
        each = ssim(_luminance(result), _luminance(content), data_range=2.0, reduction="none")
        self.total += torch.as_tensor(each).double().sum()
        self.count += len(result)

    def compute(self) -> Tensor:
        """The mean over pictures."""
        return self.total / self.count


def _luminance(images: Tensor) -> Tensor:
    """(B, 3, R, R) to (B, 1, R, R), by the weights of ITU-R BT.601."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device).reshape(1, 3, 1, 1)
    return (images.float() * weights).sum(1, keepdim=True)

"""A blend for hsx: injection into the object that k-means finds in the content's own bottleneck."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor

from hsx import hookimpl
from hsx.checks import got, whole
from hsx.errors import HsxError
from hsx.method.inversion import Trajectory
from hsx.strategies import Blend, Slerp, Strategy
from hsx.strategies.base import check_strategy


class ObjectMask(Blend):
    """Another blend inside the content's object, found without drawing a mask (k-means over the cells of h).

    The cells of each content's bottleneck, its h averaged over the inversion's timesteps, are sorted into clusters
    (Lloyd 1982; as Baranchuk et al. 2022, arXiv 2112.03126, read segments off diffusion features).  The cluster that
    touches the border of the picture least, for its size, is the object.  A mask that comes with a pair is multiplied.
    At other sites the mask is that of h, resized.

    Args:
        blend: what is done inside; Slerp by default.
        clusters: into how many the cells are sorted; 2 is object and ground.
        invert: inject everywhere but in the object.

    Raises:
        HsxError: for fewer than two clusters; when called, for contents without h, which are renoised or were inverted
            for other sites alone.
    """

    def __init__(self, blend: Blend | None = None, clusters: int = 2, invert: bool = False) -> None:
        if not whole(clusters, 2):
            raise HsxError(f"clusters: expected 2 or more, got {got(clusters)}; 2 is object and ground")
        check_strategy("blend", Blend, blend)
        self.blend, self.clusters, self.invert = Slerp() if blend is None else blend, clusters, invert

    def prepare(self, content: Trajectory, invert: Callable[[Tensor], Trajectory]) -> Trajectory:
        """Finds the mask of each content."""
        if "h" not in content.features:
            found = ", ".join(content.features) or "pictures alone"
            remedy = "use the donor Inverted with h among the sites, if need be with a factor of 0"
            raise HsxError(f"ObjectMask: expected inverted contents with h, got {found}; {remedy}")
        cells = content.h.float().mean(1).cpu()  # (B, C, H, W)
        found = torch.stack([torch.from_numpy(find_object(row.numpy(), self.clusters)) for row in cells])[:, None]
        self._masks = 1 - found if self.invert else found  # (B, 1, H, W)
        return self.blend.prepare(content, invert)

    def __call__(self, h: Tensor, content_h: Tensor, gamma: Tensor, mask: Tensor | None = None) -> Tensor:
        """See ``Blend``."""
        own = F.adaptive_avg_pool2d(self._masks, (h.shape[2], h.shape[3])).to(h)
        return self.blend(h, content_h, gamma, own if mask is None else own * mask.to(h))


def find_object(h: np.ndarray, clusters: int = 2) -> np.ndarray:
    """Where the object is: h (C, H, W) to (H, W), 1 inside and 0 outside; 1 everywhere if all cells are alike."""
    height, width = h.shape[1:]
    cells = h.reshape(len(h), -1).T  # (H*W, C)
    if len(np.unique(cells, axis=0)) < clusters:
        return np.ones((height, width), np.float32)
    label = KMeans(clusters, n_init=10, random_state=0).fit(cells).labels_.reshape(height, width)
    border = np.ones((height, width), bool)
    border[1:-1, 1:-1] = False
    touching = [border[label == k].mean() for k in range(clusters)]
    return (label == int(np.argmin(touching))).astype(np.float32)


@hookimpl
def hsx_strategies() -> list[type[Strategy]]:
    """What this package supplies."""
    return [ObjectMask]

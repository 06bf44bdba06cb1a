"""Content and style in the features of a trained network of timm."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hsx.errors import HsxError
from hsx.metrics.base import MeanMetric
from hsx.metrics.networks import network as load

VGG = "vgg19.tv_in1k"  # as in the papers
DINO = "vit_small_patch16_224.dino"


class SelfSimilarity(MeanMetric):
    """How far apart result and content are in which of their patches resemble which, 0 at best.

    The mean absolute difference of the cosine similarities of all pairs of patches (Kolkin et al. 2019, eq. 5), in
    the last features of a vision transformer (Tumanyan et al. 2022, eq. 4, there of keys).

    Args:
        network: the network of timm, or NAME@FILE with a local file of its weights.
    """

    about, takes = "content", ("result", "content")
    higher_is_better = False

    def __init__(self, network: str = DINO) -> None:
        super().__init__()
        self.network = load(network)

    def each(self, result: Tensor, content: Tensor) -> Tensor:
        """Of the last stage's features."""
        one, two = (self._similarities(images) for images in (result, content))
        return (one - two).abs().mean((1, 2))

    def _similarities(self, images: Tensor) -> Tensor:
        """(B, N, N) of N patches."""
        patches = F.normalize(self.network.maps(images)[-1].flatten(2), dim=1)  # (B, D, N)
        return patches.mT @ patches


class Gram(MeanMetric):
    """Distance of the result's Gram matrices from the style's, 0 at best (Gatys et al. 2016, eq. 4 and 5).

    In the features after each stage of a network, all weighted alike.

    Args:
        network: the network of timm, or NAME@FILE with a local file of its weights.
    """

    about, takes = "style", ("result", "style")
    higher_is_better = False

    def __init__(self, network: str = VGG) -> None:
        super().__init__()
        self.network = load(network)

    def each(self, result: Tensor, style: Tensor) -> Tensor:
        """The mean over stages."""
        pairs = zip(map(_gram, self.network.maps(result)), map(_gram, self.network.maps(style)), strict=True)
        return torch.stack([(one - two).square().mean((1, 2)) / 4 for one, two in pairs]).mean(0)


class Moments(MeanMetric):
    """Distance of the result's channel moments from the style's, 0 at best (Huang and Belongie 2017, eq. 13).

    Of means and deviations of the features after each stage of a network, all weighted alike.

    Args:
        network: the network of timm, or NAME@FILE with a local file of its weights.
    """

    about, takes = "style", ("result", "style")
    higher_is_better = False

    def __init__(self, network: str = VGG) -> None:
        super().__init__()
        self.network = load(network)

    def each(self, result: Tensor, style: Tensor) -> Tensor:
        """The mean over stages."""
        distances = []
        for one, two in zip(self.network.maps(result), self.network.maps(style), strict=True):
            means = (one.mean((2, 3)) - two.mean((2, 3))).norm(dim=1)
            deviations = (one.std((2, 3), correction=0) - two.std((2, 3), correction=0)).norm(dim=1)
            distances.append(means + deviations)
        return torch.stack(distances).mean(0)


class StyleDescriptor(MeanMetric):
    """Cosine of the result's and the style's descriptors of style, 1 at best (as of Somepalli et al. 2024).

    Args:
        network: NAME@FILE, the network of timm that makes the descriptor, with its weights in a local file.
    """

    about, takes = "style", ("result", "style")
    higher_is_better = True

    def __init__(self, network: str = "") -> None:
        super().__init__()
        if not network:
            raise HsxError("StyleDescriptor: expected a network taught to tell styles, got none; give NAME@FILE")
        self.network = load(network)

    def each(self, result: Tensor, style: Tensor) -> Tensor:
        """Of what the classifier would be given."""
        return F.cosine_similarity(self.network.vector(result), self.network.vector(style))


def _gram(features: Tensor) -> Tensor:
    """Which channels go together: (B, C, H, W) to (B, C, C), divided by the number of places."""
    flat = features.flatten(2)
    return flat @ flat.mT / flat.shape[2]

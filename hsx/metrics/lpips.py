"""How unlike two pictures look to a network."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hsx.errors import HsxError
from hsx.metrics.base import MeanMetric
from hsx.metrics.networks import network as load
from hsx.metrics.weights import from_torch, installed, read, split

LEARNED = {"alex": "AlexNet_Weights", "vgg": "VGG16_Weights"}  # those that LPIPS has learned weights for
SMALLEST = 64  # pixels a side that they need


class LPIPS(MeanMetric):
    """Perceptual distance of the result from the content, 0 at best (Zhang et al. 2018, eq. 1).

    Args:
        network: alex or vgg, with the paper's learned weights of channels; or any network of timm, with equal ones.
            With @FILE behind it the network's weights (torchvision's for alex and vgg) are read from a local file.
    """

    about, takes = "content", ("result", "content")
    higher_is_better = False

    def __init__(self, network: str = "alex") -> None:
        super().__init__()
        self.distance = Perceptual(network)

    def each(self, result: Tensor, content: Tensor) -> Tensor:
        """The sum over layers of the mean over places."""
        return self.distance(result, content)


class Perceptual:
    """The distance of LPIPS, of pictures (B, 3, R, R) in [-1, 1] row by row."""

    def __init__(self, network: str) -> None:
        self.name = network
        self.learned = split(network)[0] in LEARNED
        self.network: Any = _learned(network) if self.learned else load(network)

    def __reduce__(self) -> Any:
        return Perceptual, (self.name,)

    @torch.no_grad()
    def __call__(self, images: Tensor, others: Tensor) -> Tensor:
        """(B,)."""
        if self.learned:
            distances: Tensor = self.network.to(images.device)(_enlarged(images), _enlarged(others))
            return distances.flatten()
        layers = zip(self.network.maps(images), self.network.maps(others), strict=True)
        return torch.stack([_apart(one, two) for one, two in layers]).sum(0)


@cache
def _learned(network: str) -> Any:
    """Torchmetrics' LPIPS with torchvision's network.  Raises HsxError where its weights cannot be had."""
    name, file = split(network)
    with installed(network):
        import torchvision
        from torchmetrics.functional.image.lpips import _NoTrainLpips
    if file is None:
        state = from_torch(getattr(torchvision.models, LEARNED[name]).DEFAULT.url, name)
    else:
        state = read(file, name)
    lpips: Any = _NoTrainLpips(net=name, pnet_rand=True)  # type: ignore[arg-type]
    names = {own: f"features.{own.partition('.')[2]}" for own in lpips.net.state_dict()}  # slice2.3.bias
    try:
        lpips.net.load_state_dict({own: state[theirs] for own, theirs in names.items()})
    except (KeyError, RuntimeError):
        raise HsxError(f"network: expected torchvision's weights of {name}, got others ({file}); fetch those") from None
    return lpips.eval().requires_grad_(False)


def _enlarged(images: Tensor) -> Tensor:
    images = images.float().clamp(-1, 1)
    return images if images.shape[-1] >= SMALLEST else F.interpolate(images, SMALLEST, mode="bicubic").clamp(-1, 1)


def _apart(one: Tensor, two: Tensor) -> Tensor:
    """The mean over places of the squared distance of features of norm 1."""
    return (F.normalize(one, dim=1) - F.normalize(two, dim=1)).square().sum(1).mean((1, 2))

"""Against pictures that are known: the true answer, and the style that ought to come back."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from hsx.metrics.base import MeanMetric
from hsx.metrics.lpips import Perceptual
from hsx.metrics.ssim import similarity

HIGHEST = 100.0  # dB, of equal pictures


class TruthPSNR(MeanMetric):
    """Peak signal-to-noise ratio of the result to the true answer, in dB; 100 if equal."""

    about, takes = "truth", ("result", "truth")
    higher_is_better = True

    def each(self, result: Tensor, truth: Tensor) -> Tensor:
        """For pictures in the range [-1, 1]."""
        return decibels(result, truth)


class TruthSSIM(MeanMetric):
    """Structural similarity of the result to the true answer, in colour, 1 at best (Wang et al. 2004, eq. 13)."""

    about, takes = "truth", ("result", "truth")
    higher_is_better = True

    def each(self, result: Tensor, truth: Tensor) -> Tensor:
        """The mean of the colour channels."""
        return similarity(result, truth)


class TruthLPIPS(MeanMetric):
    """Perceptual distance of the result from the true answer, 0 at best (Zhang et al. 2018, eq. 1).

    Args:
        network: as of LPIPS: alex, vgg or a network of timm, each with @FILE for a local file of weights.
    """

    about, takes = "truth", ("result", "truth")
    higher_is_better = False

    def __init__(self, network: str = "alex") -> None:
        super().__init__()
        self.distance = Perceptual(network)

    def each(self, result: Tensor, truth: Tensor) -> Tensor:
        """The sum over layers of the mean over places."""
        return self.distance(result, truth)


class InversionPSNR(MeanMetric):
    """Peak signal-to-noise ratio of the style given back, nothing injected, to the style, in dB; 100 if equal."""

    about, takes = "inversion", ("reconstruction", "style")
    higher_is_better = True

    def each(self, reconstruction: Tensor, style: Tensor) -> Tensor:
        """For pictures in the range [-1, 1]."""
        return decibels(reconstruction, style)


class InversionSSIM(MeanMetric):
    """Structural similarity of the style given back, nothing injected, to the style, in colour, 1 at best."""

    about, takes = "inversion", ("reconstruction", "style")
    higher_is_better = True

    def each(self, reconstruction: Tensor, style: Tensor) -> Tensor:
        """The mean of the colour channels."""
        return similarity(reconstruction, style)


def decibels(image: Tensor, other: Tensor) -> Tensor:
    """The peak signal-to-noise ratio of pictures in the range [-1, 1], row by row: (B,)."""
    ratio = peak_signal_noise_ratio(image.float(), other.float(), 2.0, reduction="none", dim=(1, 2, 3))
    return torch.as_tensor(ratio).clamp_max(HIGHEST)

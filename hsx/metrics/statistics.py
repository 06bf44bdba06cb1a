"""Statistics of pictures that tell content and style without a network: structure, colours, texture; row by row."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PIXELS = 1024  # at most, whose colours are compared
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601
STRUCTURE = 32  # structure is what a Gaussian of one part in so many of the picture's side leaves
WINDOWS = 8  # texture is looked at in windows of one part in so many of the side, but at least 8 pixels
COARSEST = 1.5  # cycles a window, below which it is no texture
SAME = 0.95  # correlation of content and style from which they have no weights of their own


def luminance(images: Tensor) -> Tensor:
    """(B, 3, R, R) to (B, 1, R, R), in float32."""
    return (images.float() * torch.tensor(LUMINANCE, device=images.device).reshape(1, 3, 1, 1)).sum(1, keepdim=True)


def structure(images: Tensor) -> Tensor:
    """Where edges are and how strong, whichever side is the lighter: vectors of mean 0 and norm 1, (B, N).

    The size of the luminance's gradient after a Gaussian blur, so that fine texture does not count.
    """
    light = _blurred(luminance(images), images.shape[-1] / STRUCTURE)
    down, right = light.diff(dim=2)[..., :-1], light.diff(dim=3)[..., :-1, :]
    edges = (down.square() + right.square()).sqrt().flatten(1)
    edges = edges - edges.mean(1, keepdim=True)
    unit: Tensor = edges / edges.norm(dim=1, keepdim=True).clamp_min(1e-6)
    return unit


def fit(result: Tensor, content: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
    """The weights a, b of least squares in result = a content + b style, for vectors as of ``structure``: (B,) each.

    A joint fit: what content and style have in common is not counted for both.
    """
    common = (content * style).sum(1).clamp_max(SAME)
    of_content, of_style = (result * content).sum(1), (result * style).sum(1)
    rest = 1 - common.square()
    return (of_content - common * of_style) / rest, (of_style - common * of_content) / rest


def colours_apart(images: Tensor, others: Tensor) -> Tensor:
    """How far the colours of two pictures are from each other's nearest, the mean both ways (chamfer distance): (B,).

    Which colours there are counts, and not how much of each: that is the content's.
    """
    drawn = torch.randperm(images.shape[-2] * images.shape[-1], generator=torch.Generator().manual_seed(0))[:PIXELS]
    one, two = (each.float().flatten(2)[..., drawn.to(each.device)].mT for each in (images, others))  # (B, PIXELS, 3)
    near = [torch.cdist(a, b) for a, b in zip(one, two, strict=True)]  # one by one: a batch of them is large
    return torch.stack([(d.min(0).values.mean() + d.min(1).values.mean()) / 2 for d in near])


def textures_apart(images: Tensor, others: Tensor) -> Tensor:
    """The mean difference of the amplitudes of two textures, see ``texture``: (B,)."""
    return (texture(images) - texture(others)).abs().mean(1)


def texture(images: Tensor) -> Tensor:
    """The amplitude of each fine frequency of the luminance in a typical small window, in the range [-1, 1]: (B, N).

    The median over overlapping windows, in which the edges of what is shown, being in few, do not count.
    """
    side = min(max(WINDOWS, images.shape[-1] // WINDOWS), images.shape[-1])
    light = luminance(images)
    hann = torch.hann_window(side + 2, periodic=False)[1:-1].to(light)
    windows = F.unfold(light, side, stride=max(1, side // 4)).mT  # (B, W, side * side)
    windows = windows.reshape(*windows.shape[:2], side, side)
    windows = windows - windows.mean((2, 3), keepdim=True)
    weights = hann * hann[:, None]
    amplitudes = torch.fft.rfft2(windows * weights).abs().median(1).values / weights.sum()
    down, right = (torch.fft.fftfreq(side)[:, None] * side, torch.arange(side // 2 + 1)[None])
    fine: Tensor = amplitudes[:, (down.square() + right.square()).sqrt().to(images.device) > COARSEST]
    return fine


def _blurred(images: Tensor, deviation: float) -> Tensor:
    """A Gaussian blur of (B, 1, R, R) pictures, their borders repeated."""
    reach = max(1, round(3 * deviation))
    kernel = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * deviation**2)).to(images)
    kernel = kernel / kernel.sum()
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.reshape(1, 1, 1, -1)), kernel.reshape(1, 1, -1, 1))

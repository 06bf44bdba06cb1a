"""What a result has of its content and of its style, by statistics alone: no trained weights, no true answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

PIXELS = 1024  # at most, whose colours are compared
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601
STRUCTURE = 32  # structure is what a Gaussian of one part in so many of the picture's side leaves
WINDOWS = 8  # texture is looked at in windows of one part in so many of the side, but at least 8 pixels
FAINT = {"palette": 0.02, "texture": 0.005}  # distances of pictures that hardly differ, of which no part is taken
CARRIED, KEPT = 0.4, 0.4  # of structure and style, from which content is said to come in and style to stay
COARSEST = 1.5  # cycles a window, below which it is no texture


@dataclass(frozen=True)
class Measured:
    """The measures of one result.

    Attributes:
        content, style: the weights of the content's and of the style's own structure in the result's.
        palette: the distance of the colours from the style's, and that of the content's, in the range [-1, 1].
        texture: likewise of the textures.
    """

    content: float
    style: float
    palette: tuple[float, float]
    texture: tuple[float, float]


@dataclass(frozen=True)
class Score:
    """What ``n`` results have of contents and styles; about 0 to 1 each.

    Attributes:
        content: the mean weight of the content's structure.
        leak: that of the style's own.
        palette: of the way from the contents' colours to the styles' how much was gone; 0 is the contents' colours.
        texture: likewise of the textures.
        n: how many pairs were measured.
    """

    content: float
    leak: float
    palette: float
    texture: float
    n: int

    @classmethod
    def of(cls, results: Sequence[Measured]) -> Score:
        """Over some results; a pair whose pictures hardly differ in colour or texture says little of these."""
        sums = [
            [sum(pair[k] for pair in pairs) for k in (0, 1)]
            for pairs in ([each.palette for each in results], [each.texture for each in results])
        ]
        palette, texture = (1 - own / whole for own, whole in sums)
        n = len(results)
        return cls(sum(r.content for r in results) / n, sum(r.style for r in results) / n, palette, texture, n)

    @property
    def structure(self) -> float:
        """The content's structure without the style's own, 0 to 1: one face, not two."""
        return _unit(self.content) * (1 - _unit(self.leak))

    @property
    def kept(self) -> float:
        """How much of the style was kept, 0 to 1: palette times texture."""
        return _unit(self.palette) * _unit(self.texture)

    @property
    def total(self) -> float:
        """Structure times style, 0 to 1: neither giving back the style nor copying the content counts."""
        return self.structure * self.kept


def measure(result: Tensor, content: Tensor, style: Tensor, textured: Tensor | None = None) -> Measured:
    """One result (1, 3, R, R) against its pictures, all in [-1, 1].

    Args:
        textured: the picture whose texture the style can give at best, such as its reconstruction; the style itself
            by default.
    """
    textured = style if textured is None else textured
    weights = fit(structure(result), structure(content), structure(style))
    palettes = colours_apart(result, style), max(colours_apart(content, style), FAINT["palette"])
    textures = textures_apart(result, textured), max(textures_apart(content, textured), FAINT["texture"])
    return Measured(*weights, palettes, textures)


def structure(image: Tensor) -> Tensor:
    """Where edges are and how strong, whichever side is the lighter: a vector of mean 0 and norm 1.

    The size of the luminance's gradient after a Gaussian blur, so that fine texture does not count.
    """
    light = _blurred(_luminance(image), image.shape[-1] / STRUCTURE)
    down, right = light.diff(dim=2)[..., :-1], light.diff(dim=3)[..., :-1, :]
    edges = (down.square() + right.square()).sqrt().flatten()
    edges = edges - edges.mean()
    unit: Tensor = edges / edges.norm().clamp_min(1e-6)
    return unit


def fit(result: Tensor, content: Tensor, style: Tensor) -> tuple[float, float]:
    """The weights a, b of least squares in result = a content + b style, for vectors as of ``structure``.

    A joint fit: what content and style have in common is not counted for both.
    """
    common = min(float(content @ style), 0.95)  # two that are the same have no weights of their own
    own = float(result @ content), float(result @ style)
    return (own[0] - common * own[1]) / (1 - common**2), (own[1] - common * own[0]) / (1 - common**2)


def colours_apart(image: Tensor, other: Tensor) -> float:
    """How far the colours of two pictures are from each other's nearest, in the mean both ways (chamfer distance).

    Which colours there are counts, and not how much of each: that is the content's.
    """
    drawn = torch.randperm(image.shape[-2] * image.shape[-1], generator=torch.Generator().manual_seed(0))[:PIXELS]
    one, two = (each[0].flatten(1)[:, drawn.to(image.device)].T.float() for each in (image, other))
    distances = torch.cdist(one, two)
    return float((distances.min(0).values.mean() + distances.min(1).values.mean()) / 2)


def textures_apart(image: Tensor, other: Tensor) -> float:
    """The mean difference of the amplitudes of two textures, see ``texture``."""
    return float((texture(image) - texture(other)).abs().mean())


def texture(image: Tensor) -> Tensor:
    """The amplitude of each fine frequency of the luminance in a typical small window, in the range [-1, 1].

    The median over overlapping windows, in which the edges of what is shown, being in few, do not count.
    """
    side = min(max(WINDOWS, image.shape[-1] // WINDOWS), image.shape[-1])
    hann = torch.hann_window(side + 2, periodic=False)[1:-1].to(image)
    windows = F.unfold(_luminance(image), side, stride=max(1, side // 4))[0].T.reshape(-1, side, side)
    windows = windows - windows.mean((1, 2), keepdim=True)
    weights = hann * hann[:, None]
    amplitudes = torch.fft.rfft2(windows * weights).abs().median(0).values / weights.sum()
    down, right = (torch.fft.fftfreq(side)[:, None] * side, torch.arange(side // 2 + 1)[None])
    fine: Tensor = amplitudes[(down.square() + right.square()).sqrt().to(image.device) > COARSEST]
    return fine


def _luminance(image: Tensor) -> Tensor:
    return (image.float() * torch.tensor(LUMINANCE).reshape(1, 3, 1, 1).to(image)).sum(1, keepdim=True)


def _blurred(image: Tensor, deviation: float) -> Tensor:
    """A Gaussian blur of a (1, 1, R, R) picture, its border repeated."""
    reach = max(1, round(3 * deviation))
    kernel = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * deviation**2)).to(image)
    kernel = kernel / kernel.sum()
    padded = F.pad(image, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.reshape(1, 1, 1, -1)), kernel.reshape(1, 1, -1, 1))


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)

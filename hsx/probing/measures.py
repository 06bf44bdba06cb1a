"""What a result has of its content and of its style, by statistics alone: no trained weights, no true answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from hsx.metrics.statistics import colours_apart, fit, structure, textures_apart

FAINT = {"palette": 0.02, "texture": 0.005}  # distances of pictures that hardly differ, of which no part is taken
CARRIED, KEPT = 0.4, 0.4  # of structure and style, from which content is said to come in and style to stay


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
    of_content, of_style = fit(structure(result), structure(content), structure(style))
    palettes = float(colours_apart(result, style)), max(float(colours_apart(content, style)), FAINT["palette"])
    textures = float(textures_apart(result, textured)), max(float(textures_apart(content, textured)), FAINT["texture"])
    return Measured(float(of_content), float(of_style), palettes, textures)


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)

"""Layout, look, and both: measures without weights that neither a copy of the content nor one of the style can win.

Plain measures of content rank a copy of the content first, plain ones of style a copy of the style.  These ask for the
content's layout *without* the style picture's own, and count no more of it than a true answer shows for certain; and
for the style's colours and texture *without* its layout.  Which measures are fit was measured: ``fitness.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hsx.metrics.base import MeanMetric
from hsx.metrics.statistics import colours_apart, fit, structure, textures_apart

CERTAIN = 0.5  # of the content's layout without the style's, which 1,999 of 2,000 true answers had (seed 20261)
COLOURS, TEXTURE = 0.1, 0.02  # distances, in the range [-1, 1], that take the look down to 1/e


class Layout(MeanMetric):
    """Is what the content shows there, and what the style picture shows not?  1 where it is for certain, 0 at worst.

    The weight of the content's structure times what is missing of the style's own, in a joint fit; see ``statistics``.
    """

    about, takes = "content", ("result", "content", "style")
    higher_is_better = True

    def each(self, result: Tensor, content: Tensor, style: Tensor) -> Tensor:
        """From 0 to 1."""
        return _layout(*_weights(result, content, style))


class Look(MeanMetric):
    """Are the style's colours and texture there, but not what it shows?  1 at best, 0 at worst.

    Falls exponentially with the distances of colours and textures, and with how much of the style's structure stayed.
    """

    about, takes = "style", ("result", "content", "style")
    higher_is_better = True

    def each(self, result: Tensor, content: Tensor, style: Tensor) -> Tensor:
        """From 0 to 1."""
        return _look(result, style, _weights(result, content, style)[1])


class Overall(MeanMetric):
    """Layout times look: 1 at best; 0 for a copy of the style, next to it for a copy of the content."""

    about, takes = "both", ("result", "content", "style")
    higher_is_better = True

    def each(self, result: Tensor, content: Tensor, style: Tensor) -> Tensor:
        """From 0 to 1."""
        own, leaked = _weights(result, content, style)
        return _layout(own, leaked) * _look(result, style, leaked)


def _weights(result: Tensor, content: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
    """Of the content's structure and of the style's own in the result's, from 0 to 1: (B,) each."""
    own, leaked = fit(structure(result), structure(content), structure(style))
    return own.clamp(0, 1), leaked.clamp(0, 1)


def _layout(own: Tensor, leaked: Tensor) -> Tensor:
    return (own * (1 - leaked) / CERTAIN).clamp_max(1)


def _look(result: Tensor, style: Tensor, leaked: Tensor) -> Tensor:
    apart = colours_apart(result, style) / COLOURS + textures_apart(result, style) / TEXTURE
    return torch.exp(-apart) * (1 - leaked)

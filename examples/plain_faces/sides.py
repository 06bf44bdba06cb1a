"""How much of a transfer comes from either side: layout from the content; colours and texture from the style.

Every measure is a regression on pictures drawn from the known factors, so that no network judges.  The blur is
``measure.blurred``'s 1.5 pixels at any picture size: it has to part textures from layout, and a texture's pitch is 3.5
to 5 pixels whatever the size.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1] / "demo_faces"))
from measure import blurred  # noqa: E402
from poster_faces import LUMA, TEXTURES, Content, Style, render, tone_image  # noqa: E402

CODES = {"background": 0.1, "shirt": 0.3, "hair": 0.5, "skin": 0.9}  # tones that tell a face's regions apart
FEWEST = 8  # pixels of a region, below which a picture has no colour of it


@dataclass(frozen=True)
class Sides:
    """What a picture of one face in one style consists of, N of them.

    Attributes:
        plain: (N, 3, R, R) in [-1, 1], without texture.
        texture: (N, 3, R, R), what the texture adds to that.
        regions: (N, 4, R, R) bool, the pixels that are wholly background, shirt, hair or skin.
        textured: (N,) bool, whether the style has a texture.
    """

    plain: Tensor
    texture: Tensor
    regions: Tensor
    textured: Tensor


def sides(contents: list[Content], styles: list[Style], size: int) -> Sides:
    """The parts of these faces in these styles, pair by pair."""
    flat = [render(c, replace(s, texture=TEXTURES.index("none")), size) for c, s in zip(contents, styles, strict=True)]
    whole = [render(c, s, size) for c, s in zip(contents, styles, strict=True)]
    plain, full = (torch.from_numpy(np.stack(v)).permute(0, 3, 1, 2).float() / 127.5 - 1 for v in (flat, whole))
    coded = torch.from_numpy(
        np.stack([tone_image(replace(c, tones={**CODES, "mouth": 0.0, "feature": 0.0}), size) for c in contents])
    )
    regions = torch.stack([(coded - code).abs() < 5e-3 for code in CODES.values()], 1)
    textured = torch.tensor([TEXTURES[s.texture] != "none" for s in styles])
    return Sides(plain, full - plain, regions, textured)


def layout(result: Tensor, content: Tensor, style: Tensor) -> Tensor:
    """Whose face a result shows: the weights (N, 2) of the content's and of the style's own.

    Luminances, blurred and standardised per picture, of the result are fitted, by least squares, with those of the
    content's face and of the style picture's face jointly, both drawn in the style and without texture (``plain`` of
    the pair and of the style picture): near (1, 0) for the true answer, near (0, 1) for the style picture.
    """
    target, *faces = (_standardised(v) for v in (result, content, style))  # (N, R * R)
    basis = torch.stack(faces, 2)  # (N, R * R, 2)
    return torch.linalg.solve(basis.mT @ basis, (basis.mT @ target[..., None]))[..., 0]


def colours(result: Tensor, regions: Tensor) -> Tensor:
    """The mean colour of each region, (N, 12); nan where a picture has too little of it."""
    weight = regions[:, :, None].to(result)  # (N, 4, 1, R, R)
    count = weight.sum((3, 4))
    mean = (result[:, None] * weight).sum((3, 4)) / count.clamp_min(1)
    return torch.where(count < FEWEST, torch.nan, mean).flatten(1)


def colour_slope(read: Tensor, true: Tensor) -> float:
    """How much of the true colours, (N, 12) both, is in those read: 1 is all of it.

    One slope over the pairs for the deviations of all regions and channels from their own means together.
    """
    known = ~true.isnan()
    count = known.sum(0).clamp_min(1)
    read, true = (torch.where(known, v, 0) for v in (read, true))
    read, true = (torch.where(known, v - v.sum(0) / count, 0) for v in (read, true))
    return float((read * true).sum() / (true**2).sum())


def texture(result: Tensor, true: Tensor) -> Tensor:
    """How much of the true texture (``texture`` of the pair) is in a result, in its phase: (N,); 1 is all of it."""
    fine, true = result - blurred(result), true - blurred(true)
    return (fine * true).sum((1, 2, 3)) / (true**2).sum((1, 2, 3)).clamp_min(1e-6)


def _standardised(x: Tensor) -> Tensor:
    """The blurred luminance of pictures (N, 3, R, R), each with mean 0 and deviation 1: (N, R * R)."""
    grey = torch.einsum("nchw,c->nhw", blurred(x), torch.tensor(LUMA, dtype=x.dtype)).flatten(1)
    return (grey - grey.mean(1, keepdim=True)) / grey.std(1, keepdim=True).clamp_min(1e-6)

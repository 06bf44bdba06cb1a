"""Pictures as tensors and back.  Every bad picture becomes a clear ImageError here."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from hsx.assets import resolve
from hsx.checks import got
from hsx.errors import ImageError
from hsx.io.reading import opened_picture, read_picture, square


def read_image(path: str | os.PathLike[str] | Image.Image, size: int, fit: str = "crop") -> Tensor:
    """A picture as the network wants it: made square, resized to ``size``; (3, size, size) in [-1, 1].

    Its colours become sRGB by its profile or its tags; one that cannot be used is named in the log.  EXIF rotation is
    applied, transparency laid over white, and only the first of several pages or frames is read.

    Args:
        path: the picture, or one that Pillow opened; ``hsx://`` and ``~`` stand for what they do in a config.
        size: pixels a side.
        fit: what makes it square: crop (the middle), pad (white bars) or stretch.

    Raises:
        ImageError: for a file that is missing, unreadable, no picture, truncated or too large, and for what is no path.
    """
    whole = opened_picture(path) if isinstance(path, Image.Image) else read_picture(_path(path))
    picture = square(whole, size, fit)
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 127.5 - 1  # (3, R, R)


def read_mask(path: str | os.PathLike[str], size: int, fit: str = "crop", blur: float = 0.0) -> Tensor:
    """A picture's luminance, (1, size, size) in [0, 1], white is 1; otherwise as ``read_image``.

    Its values are numbers, not colours: a profile is not applied.

    Args:
        blur: the deviation of a Gaussian, in pixels, that makes it soft.
    """
    grey = square(read_picture(_path(path), mask=True), size, fit).convert("L").filter(ImageFilter.GaussianBlur(blur))
    return torch.from_numpy(np.asarray(grey).copy())[None].float() / 255  # (1, R, R)


def _path(given: str | os.PathLike[str]) -> Path:
    """Where a picture is.  Raises ImageError for what is no path."""
    if not isinstance(given, (str, os.PathLike)):
        raise ImageError(f"expected the path of a picture, got {got(given)}; give one")
    return resolve(os.fspath(given))


def pixels_digest(image: Tensor) -> str:
    """A hash of the 8-bit pixels of a (3, R, R) tensor in [-1, 1], 24 hex digits."""
    return hashlib.sha256(to_picture(image).tobytes()).hexdigest()[:24]


def to_picture(image: Tensor) -> Image.Image:
    """(3, R, R) in [-1, 1], values beyond clamped, as an 8-bit picture."""
    return Image.fromarray(image.float().add(1).mul(127.5).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy())

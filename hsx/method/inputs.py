"""What Python code gives as pictures, as the tensors that the method works on; what is none is refused in one line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hsx.assets import resolve
from hsx.backbones.base import Backbone
from hsx.checks import got
from hsx.errors import HsxError
from hsx.io.images import read_image

Images = Tensor | np.ndarray | str | os.PathLike[str] | Image.Image | Sequence[str | os.PathLike[str] | Image.Image]
BEYOND = 1.1  # pixels this far from 0 are no rounding of [-1, 1], and no overshoot of a resampled edge
KINDS = "a path, a PIL picture, a list of these, or a float tensor"


def check_backbone(backbone: Any) -> None:
    """Raises HsxError for anything but a Backbone."""
    if not isinstance(backbone, Backbone):
        source = backbone if isinstance(backbone, (str, os.PathLike)) else "…"
        raise HsxError(f"backbone: expected a Backbone, got {got(backbone)}; give hsx.load_backbone('{source}')")


def as_images(given: Any, backbone: Backbone, fit: str = "crop", name: str = "images") -> Tensor:
    """Pictures as (B, 3, R, R) in [-1, 1], where the backbone is; a tensor that is so comes back as it is.

    Args:
        given: a path or a PIL picture, which are made square as ``fit`` says and resized; a list of these; or a float
            tensor or array (B, 3, R, R) in [-1, 1], B at least 1.
        name: what an error calls them.

    Raises:
        HsxError: for anything else: whole numbers (a picture of 0 to 255 is x / 127.5 - 1), another shape, nan, or
            values beyond [-1.1, 1.1].
        ImageError: for a picture that cannot be read.
    """
    if isinstance(given, np.ndarray):
        given = _from_array(given, name)
    if isinstance(given, Tensor):
        images = _checked(given, backbone.sample_size, name)
    else:
        images = torch.stack([read_image(one, backbone.sample_size, fit) for one in _listed(given, name)])
    own = next(chain(backbone.parameters(), backbone.buffers()), images)
    return images.detach().to(own.device)


def _listed(given: Any, name: str) -> list[Any]:
    """Paths and PIL pictures."""
    items = list(given) if isinstance(given, (list, tuple)) else [given]
    if not items:
        raise HsxError(f"{name}: expected at least one picture, got an empty {type(given).__name__}; give some")
    for place, one in enumerate(items):
        if isinstance(one, (Tensor, np.ndarray)):
            raise HsxError(
                f"{name}: expected {KINDS}, got a list of {type(one).__name__}s; make one tensor of them "
                "with torch.stack"
            )
        if not isinstance(one, (str, os.PathLike, Image.Image)):
            where = f" at place {place}" if isinstance(given, (list, tuple)) else ""
            raise HsxError(f"{name}: expected {KINDS}, got {got(one)}{where}; give one of these")
    return [one if isinstance(one, Image.Image) else resolve(os.fspath(one)) for one in items]


def _from_array(array: np.ndarray, name: str) -> Tensor:
    try:
        return torch.from_numpy(np.ascontiguousarray(array))
    except TypeError:
        raise HsxError(f"{name}: expected {KINDS}, got an array of {array.dtype}; give numbers in [-1, 1]") from None


def _checked(x: Tensor, size: int, name: str) -> Tensor:
    """A tensor that holds pictures of the network's size."""
    if not x.is_floating_point():
        remedy = "give x / 127.5 - 1 of values from 0 to 255" if x.dtype != torch.bool else "give x * 2.0 - 1"
        raise HsxError(f"{name}: expected floats in [-1, 1], got {x.dtype}; {remedy}")
    shape = tuple(x.shape)
    if x.ndim != 4 or shape[1:] != (3, size, size):
        raise HsxError(f"expected {name} of shape (B, 3, {size}, {size}), got {shape}; {_remedy(shape, size)}")
    if not len(x):
        raise HsxError(f"{name}: expected at least one picture, got none (shape {shape}); give some")
    if not bool(torch.isfinite(x).all()):
        raise HsxError(f"{name}: expected finite values in [-1, 1], got nan or inf among them; see how they were made")
    low, high = x.min().item(), x.max().item()
    if max(-low, high) > BEYOND:
        remedy = "give x / 127.5 - 1" if low >= 0 and high <= 255 else "scale them, or clamp them with x.clamp(-1, 1)"
        raise HsxError(f"{name}: expected values in [-1, 1], got {low:.4g} to {high:.4g}; {remedy}")
    return x


def _remedy(shape: tuple[int, ...], size: int) -> str:
    if shape == (3, size, size):
        return "make it a batch of one with x[None]"
    if len(shape) == 4 and shape[3] == 3:
        return "put the channels first with x.permute(0, 3, 1, 2)"
    if len(shape) == 4 and shape[1] == 1:
        return "make grey RGB with x.expand(-1, 3, -1, -1)"
    if len(shape) == 4 and shape[1] == 4:
        return "leave the transparency away with x[:, :3]"
    return f"crop and resize them to {size} x {size}"


def check_mask(mask: Any, rows: int, size: int) -> None:
    """Raises HsxError for what is neither None nor a mask: floats (rows or 1, 1, size, size) in [0, 1]."""
    if mask is None:
        return
    wanted = f"mask: expected shape ({rows} or 1, 1, {size}, {size}) and floats from 0 to 1, got"
    if not isinstance(mask, Tensor):
        raise HsxError(f"{wanted} {got(mask)}; give a tensor, such as hsx.io.images.read_mask(path, {size})[None]")
    if not mask.is_floating_point():
        raise HsxError(f"{wanted} {mask.dtype}; give mask.float()" + " / 255" * (mask.dtype == torch.uint8))
    if mask.shape not in ((rows, 1, size, size), (1, 1, size, size)):
        raise HsxError(f"{wanted} {tuple(mask.shape)}; resize it")
    if not bool(((mask >= 0) & (mask <= 1)).all()):
        raise HsxError(f"{wanted} {float(mask.min())} to {float(mask.max())}; scale them, resize it without overshoot")


def check_gammas(gamma: Any, rows: int) -> None:
    """Raises HsxError for what is no tensor of one gamma in [0, 1] a row, or nan for the schedule's."""
    if not isinstance(gamma, Tensor) or gamma.shape != (rows,) or gamma.dtype == torch.bool or gamma.is_complex():
        what = f"{gamma.dtype} of shape {tuple(gamma.shape)}" if isinstance(gamma, Tensor) else got(gamma)
        raise HsxError(f"gamma: expected a tensor of shape ({rows},), one number a row, got {what}; give one a row")
    if not bool(((gamma >= 0) & (gamma <= 1) | gamma.isnan()).all()):
        raise HsxError(
            f"gamma: expected numbers from 0 to 1, or nan for the schedule's, got {gamma.tolist()}; correct them"
        )


def check_noise(noise: Any, x: Tensor) -> Tensor:
    """What a function of the user's has drawn for ``x``.  Raises HsxError for anything but floats of the same shape."""
    if not isinstance(noise, Tensor) or noise.shape != x.shape or not noise.is_floating_point():
        what = f"{noise.dtype} of shape {tuple(noise.shape)}" if isinstance(noise, Tensor) else got(noise)
        raise HsxError(
            f"noise: expected it to draw floats of shape {tuple(x.shape)}, got {what}; draw them with torch.randn_like"
        )
    return noise.to(x)


def check_rows(contents: int, styles: int) -> None:
    """Raises HsxError unless there are as many contents as styles."""
    if contents != styles:
        raise HsxError(
            f"expected as many contents as styles, pairs row by row, got {contents} contents and "
            f"{styles} styles; repeat rows to pair each with each"
        )

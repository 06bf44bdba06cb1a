"""Several contents at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hsx.assets import resolve
from hsx.checks import MOST, number
from hsx.errors import HsxError
from hsx.io.digests import file_digest
from hsx.strategies.arguments import PATHS, absolute, require
from hsx.strategies.base import without_pictures
from hsx.strategies.blends import PARALLEL, Slerp

if TYPE_CHECKING:
    from hsx.method.inversion import Trajectory

ITERATIONS = 20  # of the mean; it has converged to rounding long before


class SphericalMean(Slerp):
    """Slerp towards the weighted mean, on the sphere, of the pair's content and further contents.

    The mean m is where sum w_k log_m(h_k) = 0 (Buss and Fillmore 2001, section 3), at every recorded timestep; of two
    it is their slerp (the paper, eq. 5).  The further pictures are made square as the others are (``fit``) and inverted
    once, with the steps of the transfer.

    Args:
        contents: further pictures.
        weights: of the pair's own content, then of each of these; equal by default.

    Raises:
        HsxError: for weights of another number, or negative, or all zero; for a picture that cannot be read.
    """

    paths = ("contents",)
    _images: Tensor | None = None
    _further: Trajectory | None = None

    def __init__(self, contents: list[str], weights: list[float] | None = None) -> None:
        paths = isinstance(contents, (list, tuple)) and all(isinstance(content, PATHS) for content in contents)
        require(paths, "contents", "a list of paths of pictures", contents, "give a list")
        weights = [1.0] * (len(contents) + 1) if weights is None else weights
        require(isinstance(weights, (list, tuple)), "weights", "a list of numbers", weights, "give a list")
        wanted = f"one for the pair's content and one for each of {len(contents)} further contents"
        remedy = f"give {len(contents) + 1} weights and at least one content"
        require(0 < len(contents) == len(weights) - 1, "weights", wanted, len(weights), remedy)
        if not all(number(w, 0, MOST) for w in weights) or sum(weights) == 0:
            raise HsxError(f"weights: expected numbers of 0 or more, not all zero, got {weights}; correct them")
        self.weights = list(weights)
        self._contents: list[str] = absolute(contents)
        for path in self._contents:
            file_digest(resolve(path))  # one that cannot be read is refused at once

    def read_pictures(self, image: Callable[[str], Tensor], mask: Callable[..., Tensor]) -> None:
        """Reads the further contents."""
        super().read_pictures(image, mask)
        self._images, self._further = torch.stack([image(path) for path in self._contents]), None  # (K, 3, R, R)

    def prepare(self, content: Trajectory, invert: Callable[[Tensor], Trajectory]) -> Trajectory:
        """The contents with the mean's features."""
        if self._images is None:
            raise without_pictures(self)
        if not content.features:
            raise HsxError("SphericalMean: expected inverted contents, got pictures alone; use the donor Inverted")
        if self._further is None:
            self._further = invert(self._images.to(content.x_T))
        means = {}
        for site, h in content.features.items():
            further = self._further.features[site].to(h)  # (K, S, C, H, W)
            means[site] = spherical_mean([h, *(one.expand_as(h) for one in further)], self.weights)
        return replace(content, features=means)


def spherical_mean(features: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The weighted mean on the sphere of K features, each (..., C, H, W); of that shape.

    It is a combination of the features, found in their Gram matrix (K, K), so that of two it is slerp, lengths and all.
    """
    v = torch.stack([f.flatten(-3).float() for f in features], -2)  # (..., K, C*H*W)
    u = v / v.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    gram = (u @ u.mT).double().cpu()  # (..., K, K): cosines
    w = torch.tensor(weights, dtype=torch.float64)
    w /= w.sum()
    c = w.expand(gram.shape[:-1])  # (..., K): the mean is sum c_k u_k
    c = c / _length(c, gram).clamp_min(PARALLEL)
    for _ in range(ITERATIONS):
        cos = (gram @ c[..., None])[..., 0].clamp(-1, 1)
        theta = cos.acos()
        stretch = torch.where(theta.sin() < PARALLEL, 1.0, theta / theta.sin().clamp_min(PARALLEL))
        step = w * stretch
        step = step - (step * cos).sum(-1, keepdim=True) * c  # the mean of log_m, tangent to the sphere at m
        length = _length(step, gram)
        c = length.cos() * c + torch.sinc(length / torch.pi) * step
    return (c.to(v)[..., None, :] @ v).reshape(features[0].shape).to(features[0])


def _length(c: Tensor, gram: Tensor) -> Tensor:
    """The norm of sum c_k u_k, (..., 1)."""
    return (c[..., None, :] @ gram @ c[..., None])[..., 0].clamp_min(0).sqrt()

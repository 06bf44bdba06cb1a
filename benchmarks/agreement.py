"""How far results went from the style picture to the content, where both were drawn from known factors.

Each measure of a set of results is a vector: its value, then those of bootstrap draws of the pairs.  The draws are the
same for all sets, so that the difference of two vectors is paired.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchmetrics.image.kid import poly_kernel

from hsx.assets import resolve
from hsx.metrics import SSIM, Layout, Look, Palette
from hsx.metrics.statistics import textures_apart

sys.path.append(str(Path(__file__).parents[1] / "examples" / "demo_faces"))
from measure import psnr  # noqa: E402
from poster_faces import PITCH, Content, Style, render, sample_content, sample_style  # noqa: E402
from recognisers import POSE, factors, load  # noqa: E402

DRAWS = 1000
POOL = 96  # pairs that there are
REFERENCE = 4, 20265  # pictures a pair that results are compared with, and their seed
PALETTE = slice(0, 12)  # of the recogniser's numbers of a style
BETTER = {"Palette": -1, "texture apart": -1, "KID": -1, "denoising": -1}  # those of which less is better


@dataclass(frozen=True)
class Drawn:
    """Pairs (N, 3, R, R) in [-1, 1], their true answers, and the factors that either picture was drawn from."""

    content: Tensor
    style: Tensor
    truth: Tensor
    of_content: dict[str, Tensor]
    of_style: dict[str, Tensor]


def draw(n: int, size: int, seed: int) -> Drawn:
    """The first ``n`` of as many pairs as there are, so that more of them begin with these."""
    contents, styles = sampled(2 * POOL, size, seed)
    own, theirs = slice(n), slice(POOL, POOL + n)
    chosen = (contents[own], styles[own]), (contents[theirs], styles[theirs]), (contents[own], styles[theirs])
    return Drawn(*(pictures(*pair, size) for pair in chosen), *(known(*pair) for pair in chosen[:2]))


def sampled(n: int, size: int, seed: int) -> tuple[list[Content], list[Style]]:
    """What ``poster_faces.make`` draws."""
    rng = np.random.default_rng(seed)
    return [sample_content(rng) for _ in range(n)], [sample_style(rng, PITCH[size]) for _ in range(n)]


def pictures(contents: list[Content], styles: list[Style], size: int) -> Tensor:
    """Each content in its style, (N, 3, R, R) in [-1, 1]."""
    drawn = np.stack([render(*pair, size) for pair in zip(contents, styles, strict=True)])
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 127.5 - 1


def known(contents: list[Content], styles: list[Style]) -> dict[str, Tensor]:
    """The factors of ``pictures``."""
    rows = [factors(*pair) for pair in zip(contents, styles, strict=True)]
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}


class Measures:
    """All that is measured of results of the same pairs."""

    def __init__(self, drawn: Drawn, size: int) -> None:
        self.drawn, self.recognisers = drawn, load(resolve("hsx://demo_faces/recognisers.safetensors"))
        n, rng = len(drawn.content), torch.Generator().manual_seed(0)
        counts = [torch.bincount(torch.randint(n, (n,), generator=rng), minlength=n) for _ in range(DRAWS)]
        self.weights = torch.stack([torch.ones(n, dtype=torch.long), *counts]).double()  # (1 + DRAWS, N)
        reference = self._features(pictures(*sampled(REFERENCE[0] * n, size, REFERENCE[1]), size))
        self.centre, self.spread = reference.mean(0), reference.std(0).clamp_min(1e-6)
        self.reference = self._standard(reference)

    @torch.no_grad()
    def __call__(self, result: Tensor, denoising: Tensor) -> dict[str, Tensor]:
        """Of results (N, 3, R, R) in [-1, 1], and a number of each, ``denoising``: (1 + DRAWS,) each."""
        d, read = self.drawn, self.recognisers["content"](result) | self.recognisers["style"](result)
        geometry = self._way(*(v["content"][:, POSE] for v in (read, d.of_style, d.of_content)))
        palette = self._way(
            read["style"][:, PALETTE], d.of_content["style"][:, PALETTE], d.of_style["style"][:, PALETTE]
        )
        hair, glasses = (self._taken(read[name], d.of_style[name], d.of_content[name]) for name in ("hair", "glasses"))
        texture = self._taken(read["texture"], d.of_content["texture"], d.of_style["texture"])
        return {
            "content": torch.stack([geometry, hair, glasses]).nanmean(0),
            "geometry": geometry,
            "hair": hair,
            "glasses": glasses,
            "Layout": self._mean(Layout().each(result, d.content, d.style)),
            "SSIM": self._mean(SSIM().each(result, d.content)),
            "style": torch.stack([palette, texture]).nanmean(0),
            "palette": palette,
            "texture": texture,
            "Look": self._mean(Look().each(result, d.content, d.style)),
            "Palette": self._mean(Palette().each(result, d.style)),
            "texture apart": self._mean(textures_apart(result, d.style)),
            "KID": self._kid(result),
            "denoising": self._mean(denoising),
            "PSNR": self._mean(psnr(result, d.truth)),
        }

    def _mean(self, numbers: Tensor, whole: Tensor | None = None) -> Tensor:
        """Of all rows and of each draw, as a part of what is ``whole``; nan where a draw has nothing of it."""
        whole = torch.ones_like(numbers) if whole is None else whole
        return (self.weights @ numbers.double()) / (self.weights @ whole.double())

    def _way(self, read: Tensor, start: Tensor, end: Tensor) -> Tensor:
        """How much of the way from the numbers ``start`` to ``end``, (N, K) each, was gone: 0 none, 1 all of it."""
        way = (end - start) / (end - start).std(0).clamp_min(1e-6)
        gone = (read - start) / (end - start).std(0).clamp_min(1e-6)
        return self._mean((gone * way).sum(1), way.square().sum(1))

    def _taken(self, read: Tensor, start: Tensor, end: Tensor) -> Tensor:
        """Of the rows whose two pictures differ in a class (N,): the share in which ``end``'s is read."""
        differ = start != end
        return self._mean(((read.argmax(1) == end) & differ).float(), differ.float())

    def _features(self, images: Tensor) -> Tensor:
        """What both recognisers see before they say what it is, (N, D)."""
        nets = (each.net for each in self.recognisers.values())
        with torch.no_grad():
            return torch.cat([net.forward_head(net.forward_features(images), pre_logits=True) for net in nets], 1)

    def _standard(self, features: Tensor) -> Tensor:
        return ((features - self.centre) / self.spread).double()

    def _kid(self, result: Tensor) -> Tensor:
        """Kernel distance to the domain, unbiased (Bińkowski et al. 2018): in a draw no picture meets itself."""
        x, y, w = self._standard(self._features(result)), self.reference, self.weights
        own, theirs = poly_kernel(x, x).fill_diagonal_(0), poly_kernel(y, y).fill_diagonal_(0)
        met, n = w.sum(1).square() - w.square().sum(1), len(y)
        across = (w @ poly_kernel(x, y).mean(1)) / w.sum(1)
        return ((w @ own) * w).sum(1) / met + theirs.sum() / (n * (n - 1)) - 2 * across


def interval(values: Tensor) -> tuple[float, float, float]:
    """The value, and the bootstrap interval of 95 %."""
    low, high = torch.nanquantile(values[1:], torch.tensor([0.025, 0.975], dtype=values.dtype)).tolist()
    return float(values[0]), low, high

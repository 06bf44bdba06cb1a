"""Measures of a transfer whose true answer is known: distance to the truth, and what is recognised of each side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from recognisers import POSE, Recogniser
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure
from torchvision.transforms.v2.functional import gaussian_blur


@dataclass(frozen=True)
class Pairs:
    """Contents, styles and true answers, each (N, 3, R, R) in [-1, 1], and the factors that they were drawn from."""

    content: Tensor
    style: Tensor
    truth: Tensor
    factors: dict[str, Tensor]  # of each pair's true answer, see recognisers.factors


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Per picture, in dB, for pictures in [-1, 1]: (N,)."""
    return 10 * torch.log10(4 / ((a - b) ** 2).mean((1, 2, 3)).clamp_min(1e-10))


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity per picture: (N,)."""
    return structural_similarity_index_measure(a, b, data_range=2.0, reduction="none")


def blurred(x: Tensor) -> Tensor:
    """Without its fine texture: a Gaussian of 1.5 pixels."""
    return gaussian_blur(x, [9, 9], [1.5, 1.5])


def slope(read: Tensor, true: Tensor) -> float:
    """How much of the true numbers (N, K) is found in those read: 1 all, 0 nothing; mean of the K regression slopes."""
    read, true = read - read.mean(0), true - true.mean(0)
    return float(((read * true).sum(0) / (true**2).sum(0)).mean())


def interval(measure: Callable[[Tensor], float], n: int, draws: int = 500) -> tuple[float, float, float]:
    """A measure of chosen rows, of all of them, and its bootstrap interval of 95 %."""
    rng = torch.Generator().manual_seed(0)
    values = torch.tensor([measure(torch.randint(n, (n,), generator=rng)) for _ in range(draws)])
    low, high = torch.quantile(values, torch.tensor([0.025, 0.975])).tolist()
    return measure(torch.arange(n)), low, high


@torch.no_grad()
def measured(result: Tensor, pairs: Pairs, recognisers: dict[str, Recogniser]) -> dict[str, tuple[float, float, float]]:
    """Each measure of results (N, 3, R, R) against the truth, with its bootstrap interval."""
    true = pairs.factors
    read = recognisers["content"](result) | recognisers["style"](result)
    soft, soft_truth = blurred(result), blurred(pairs.truth)
    each = {
        "PSNR": psnr(result, pairs.truth),
        "PSNR blurred": psnr(soft, soft_truth),
        "SSIM": ssim(result, pairs.truth),
        "SSIM blurred": ssim(soft, soft_truth),
    } | {name: (read[name].argmax(1) == true[name]).float() for name in ("hair", "glasses", "texture")}
    slopes = {
        "geometry": (read["content"][:, POSE], true["content"][:, POSE]),
        "palette": (read["style"][:, :12], true["style"][:, :12]),
    }
    n = len(result)
    means = {name: interval(lambda rows, v=v: float(v[rows].mean()), n) for name, v in each.items()}
    return means | {name: interval(lambda r, a=a, b=b: slope(a[r], b[r]), n) for name, (a, b) in slopes.items()}

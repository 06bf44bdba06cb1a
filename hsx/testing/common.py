"""What the checks of all kinds of strategies share: small inputs, and rows that must not depend on each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor

from hsx.backbones.unet2d import UNet2DBackbone
from hsx.schedule import NoiseSchedule
from hsx.strategies import Strategy

Call = Callable[..., Any]
DTYPES = {torch.float32: 1e-4, torch.float64: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}  # and their tolerance
ROWS, SIDE, STEPS = 3, 16, 5
ALL = slice(None)  # rows


def check_rows(strategy: Strategy, call: Call, arguments: Sequence[Tensor], like: Tensor, tolerance: float) -> None:
    """Check that a result is like ``like`` and finite, arguments are unchanged, and each row is as if it were alone."""
    with unchanged(strategy, arguments, "its arguments in place; work on a copy"):
        out = call(ALL, *arguments)
    shape, wanted = tuple(getattr(out, "shape", ())), tuple(like.shape)
    right = isinstance(out, Tensor) and shape == wanted
    expect(strategy, right, f"returns {shape}; expected a tensor of shape {wanted}")
    expect(strategy, out.dtype == like.dtype, f"returns {out.dtype} for {like.dtype}; cast it back")
    expect(strategy, out.device == like.device, f"returns a tensor on {out.device} for one on {like.device}")
    expect(strategy, finite(out), f"is not finite for ordinary {like.dtype} arguments")
    expect(strategy, near(call(ALL, *arguments), out, 1e-5), "gives another result for the same arguments")
    for i in range(len(like)):
        alone = call(slice(i, i + 1), *arguments)
        same = isinstance(alone, Tensor) and near(alone, out[i : i + 1], tolerance)
        expect(strategy, same, f"gives row {i} another result when it is alone; work on each sample by itself")


def extremes(content_h: Tensor, h: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Pairs (content_h, h) on which formulas break, each with what it is."""
    yield "a content_h of zeros", 0 * content_h, h
    yield "an h of zeros", content_h, 0 * h
    yield "zeros in both", 0 * h, 0 * h
    yield "content_h equal to h", h.clone(), h
    yield "content_h opposite to h", -h, h
    yield "constant features", 0 * h + 1, 0 * h + 2


def features(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Two ordinary bottlenecks, (ROWS, 6, H, W)."""
    draws = rng()
    return torch.randn(ROWS, 6, *size, generator=draws), torch.randn(ROWS, 6, *size, generator=draws) * 3 + 1


def images_of(device: str) -> Tensor:
    """Smooth pictures, (ROWS, 3, SIDE, SIDE) in [-1, 1]."""
    coarse = torch.rand(ROWS, 3, 4, 4, generator=rng()) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=SIDE, mode="bilinear").to(device)


@cache
def backbone_of(device: str, dtype: torch.dtype = torch.float32) -> UNet2DBackbone:
    """A small random network with a bottleneck of 16 x 8 x 8."""
    blocks = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
    sizes = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DModel(SIDE, **blocks, **sizes)
    return UNet2DBackbone(unet, NoiseSchedule.linear()).to(device, dtype)


def rng() -> torch.Generator:
    """The same numbers each time."""
    return torch.Generator().manual_seed(0)


def finite(value: Tensor) -> bool:
    """Whether all of it is."""
    return bool(torch.isfinite(value).all())


def near(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether they are equal up to ``tolerance`` times the largest value of b."""
    scale = max(float(b.abs().max()), 1e-3)
    return a.shape == b.shape and float((a.double() - b.double()).abs().max()) <= tolerance * scale * math.sqrt(2)


@contextmanager
def unchanged(strategy: object, tensors: Sequence[Tensor], what: str) -> Iterator[None]:
    """Within it a strategy, or a measure, must not change any of these."""
    kept = [tensor.clone() for tensor in tensors]
    yield
    expect(strategy, all(map(torch.equal, kept, tensors)), f"changes {what}")


def expect(strategy: object, holds: bool, otherwise: str) -> None:
    """Raises AssertionError, with what a strategy or a measure does ``otherwise``, unless something holds."""
    if not holds:
        raise AssertionError(f"{type(strategy).__name__} {otherwise}")

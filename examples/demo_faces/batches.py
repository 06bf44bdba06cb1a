"""What the demo model is trained on: faces drawn once, and styles drawn anew for every batch and painted in torch."""

from __future__ import annotations

import os
from dataclasses import replace
from multiprocessing import Pool

import numpy as np
import torch
from poster_faces import KNOTS, PITCH, TEXTURES, Content, Style, sample_content, sample_style, tone_image
from torch import Tensor
from torch.utils.data import Dataset

PALETTE = 12  # so many of a style's numbers are its palette; they come first


class Batches(Dataset):
    """The batches of iterations start .. start + length, each with the number of its iteration.

    Each is tones and what is shown of them, (2, B, 1, R, R) in [0, 1], two styles' numbers for each face, (B, 2, 20),
    and the iteration.  The two tones differ in the last ``mended`` rows: these are of ``flawed``, (M, 2, R, R).
    """

    def __init__(
        self,
        faces: np.ndarray,
        flawed: np.ndarray,
        start: int,
        length: int,
        batch: int,
        mended: int,
    ) -> None:
        self.faces, self.flawed, self.start, self.length = faces, flawed, start, length
        self.batch, self.mended = batch, mended

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        rng = np.random.default_rng((2, self.start + index))
        ordinary = self.faces[rng.integers(len(self.faces), size=self.batch - self.mended)]
        mended = self.flawed[rng.integers(len(self.flawed), size=self.mended)]
        tones = np.concatenate([ordinary[:, None].repeat(2, 1), mended]).astype(np.float32)
        flipped = rng.random(self.batch) < 0.5
        tones[flipped] = tones[flipped, ..., ::-1]
        pitch = PITCH[self.faces.shape[1]]
        styles = [[numbers(sample_style(rng, pitch)) for _ in range(2)] for _ in range(self.batch)]
        both = torch.from_numpy(tones.swapaxes(0, 1)[:, :, None].copy())
        return both, torch.from_numpy(np.array(styles, np.float32)), self.start + index


def numbers(style: Style) -> np.ndarray:
    """A style's numbers, (20,): its palette, 0 to 1, and what else ``apply_styles`` asks for."""
    return np.array(
        [
            *style.palette.ravel(),
            style.texture,
            style.strength,
            style.angle,
            style.pitch,
            style.phase,
            style.light_angle,
            style.light,
            style.vignette,
        ]
    )


def apply_styles(tones: Tensor, styles: Tensor, grain: Tensor) -> Tensor:
    """``poster_faces.apply_style`` for a batch.

    Args:
        tones: (B, 1, R, R) in [0, 1].
        styles: (B, 20), see ``numbers``.
        grain: standard normal numbers, (B, 1, R, R), in place of those of the style's seed.

    Returns: (B, 3, R, R) in [-1, 1], in steps of a 255th, as 8-bit pictures have them.
    """
    palette = styles[:, :PALETTE].view(-1, 4, 3, 1, 1)
    kind, strength, angle, pitch, phase, light_angle, light, vignette = styles[:, PALETTE:, None, None, None].unbind(1)
    side = (torch.arange(tones.shape[-1], device=tones.device) + 0.5) / tones.shape[-1] * 2 - 1
    y, x = side.view(-1, 1), side.view(1, -1)
    tone = tones + light * (x * light_angle.cos() + y * light_angle.sin()) - vignette * ((x**2 + y**2) / 2) ** 1.5
    mid = tone.clamp(0, 1)
    a = torch.pi / pitch * (x * angle.cos() + y * angle.sin()) + 2 * torch.pi * phase
    b = torch.pi / pitch * (-x * angle.sin() + y * angle.cos()) + 2 * torch.pi * phase
    patterns = {
        "hatching": 1.8 * a.cos() + 0.8 * (mid - 0.5),
        "halftone": 1.6 * a.cos() * b.cos(),
        "grain": 0.6 * grain,
    }
    pattern = sum((kind == TEXTURES.index(name)) * drawn.clamp(-1, 1) for name, drawn in patterns.items())
    tone = (tone + strength * (0.35 + 0.65 * 4 * mid * (1 - mid)) * pattern).clamp(0, 1)
    rgb = palette[:, 0].expand(-1, -1, *tone.shape[-2:])
    for i, (low, high) in enumerate(zip(KNOTS[:-1], KNOTS[1:], strict=True)):
        rgb = rgb + (palette[:, i + 1] - palette[:, i]) * ((tone - low) / (high - low)).clamp(0, 1)
    return (rgb.clamp(0, 1) * 255 + 0.5).floor() / 127.5 - 1


def flaw(content: Content, rng: np.random.Generator, size: int) -> np.ndarray:
    """A face and the same face not whole, tones (2, size, size): one lens, one eye or the mouth more or less missing.

    There is no such face in the domain, so that nothing true is unlearnt where each is taken for what it should be.
    """
    whole, broken = replace(content, tones=dict(content.tones)), replace(content, tones=dict(content.tones))
    x, y = np.meshgrid(*[(np.arange(size) + 0.5) / size * 2 - 1] * 2)
    across = (x - content.cx) * np.cos(content.roll) + (y - content.cy) * np.sin(content.roll)
    side = across - 0.26 * content.yaw * content.rx > 0  # of the features' middle
    kind, where = rng.choice(["lens", "eye", "mouth"], p=[0.4, 0.45, 0.15]), side == (rng.random() < 0.5)
    if kind == "lens":
        whole.glasses, broken.glasses = 1, 0
    elif kind == "eye":
        broken.eye = 1e-3
    else:
        broken.tones["mouth"], where = broken.tones["skin"], np.ones_like(side)
    tone = tone_image(whole, size)
    return np.stack([tone, tone + rng.uniform(0.4, 1) * where * (tone_image(broken, size) - tone)])


def draw_faces(n: int, seed: int, size: int, flawed: bool = False) -> np.ndarray:
    """``n`` tone images, float16 (n, size, size), or with their flawed twins, (n, 2, size, size); on all processors.

    Half of the flawed look far to a side, where features reach the edge of the head.
    """
    rng = np.random.default_rng(seed)
    asked = [(sample_content(rng), size, (seed, i) if flawed else None) for i in range(n)]
    with Pool(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None) as pool:
        return np.stack(pool.starmap(_drawn, asked, chunksize=64))


def _drawn(content: Content, size: int, flaw_seed: tuple[int, int] | None) -> np.ndarray:
    if flaw_seed is None:
        return tone_image(content, size).astype(np.float16)
    rng = np.random.default_rng(flaw_seed)
    if rng.random() < 0.5:
        content.yaw = rng.choice([-1, 1]) * rng.uniform(0.7, 1)
    return flaw(content, rng, size).astype(np.float16)

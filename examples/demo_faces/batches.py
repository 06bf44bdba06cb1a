"""What the demo model is trained on: faces drawn once, and styles drawn anew for every batch and painted in torch."""

from __future__ import annotations

import os
from multiprocessing import Pool

import numpy as np
import torch
from poster_faces import KNOTS, PITCH, TEXTURES, Content, Style, sample_content, sample_style, tone_image
from torch import Tensor
from torch.utils.data import Dataset

PALETTE = 12  # the first of a style's numbers


class Batches(Dataset):
    """The batches of iterations start .. start + length, each with the number of its iteration.

    Each is tones, (B, 1, R, R) in [0, 1], two styles' numbers for each face, (B, 2, 20), and the iteration.
    """

    def __init__(self, faces: np.ndarray, start: int, length: int, batch: int) -> None:
        self.faces, self.start, self.length, self.batch = faces, start, length, batch

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        rng = np.random.default_rng((2, self.start + index))
        tones = self.faces[rng.integers(len(self.faces), size=self.batch)].astype(np.float32)
        flipped = rng.random(self.batch) < 0.5
        tones[flipped] = tones[flipped, :, ::-1]
        pitch = PITCH[self.faces.shape[1]]
        styles = [[numbers(sample_style(rng, pitch)) for _ in range(2)] for _ in range(self.batch)]
        return torch.from_numpy(tones[:, None]), torch.from_numpy(np.array(styles, np.float32)), self.start + index


def numbers(style: Style) -> np.ndarray:
    """A style's numbers, (20,): its palette, 0 to 1, and what else ``apply_styles`` asks for."""
    return np.array([*style.palette.ravel(), style.texture, style.strength, style.angle, style.pitch, style.phase,
                     style.light_angle, style.light, style.vignette])


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
        "hatching": 1.8 * a.cos() + 0.8 * (mid - 0.5), "halftone": 1.6 * a.cos() * b.cos(), "grain": 0.6 * grain}
    pattern = sum((kind == TEXTURES.index(name)) * drawn.clamp(-1, 1) for name, drawn in patterns.items())
    tone = (tone + strength * (0.35 + 0.65 * 4 * mid * (1 - mid)) * pattern).clamp(0, 1)
    rgb = palette[:, 0].expand(-1, -1, *tone.shape[-2:])
    for i, (low, high) in enumerate(zip(KNOTS[:-1], KNOTS[1:], strict=True)):
        rgb = rgb + (palette[:, i + 1] - palette[:, i]) * ((tone - low) / (high - low)).clamp(0, 1)
    return (rgb.clamp(0, 1) * 255 + 0.5).floor() / 127.5 - 1


def draw_faces(n: int, seed: int, size: int) -> np.ndarray:
    """``n`` tone images: float16 (n, size, size), on all processors."""
    rng = np.random.default_rng(seed)
    with Pool(os.cpu_count()) as pool:
        return np.stack(pool.starmap(_drawn, [(sample_content(rng), size) for _ in range(n)], chunksize=64))


def _drawn(content: Content, size: int) -> np.ndarray:
    return tone_image(content, size).astype(np.float16)

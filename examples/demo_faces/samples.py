"""Draw the sample pictures that ship with hsx: contents, styles of the domain, styles from outside it, and masks.

    python examples/demo_faces/samples.py hsx/assets/demo_faces

None of them is trained on: training draws from seeds 1 and 7.  The three styles from outside the domain are drawn by
code: a mosaic of tiles, brush strokes, and a night scene.
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from poster_faces import HAIR, PITCH, TEXTURES, Content, Style, render, sample_content, sample_style, tone_image

SEED = 5
UP = 8  # the pictures from outside are drawn larger and then reduced
Named = dict[str, tuple[Content, Style]]


def chosen(size: int) -> tuple[Named, Named]:
    """Eight contents, of every hair, half of them with glasses; six styles, of every texture; by name."""
    rng, contents, styles = np.random.default_rng(SEED), {}, {}
    for i in range(8):
        content, style = sample_content(rng), sample_style(rng, PITCH[size])
        content.hair, content.glasses = i % len(HAIR), i // 2 % 2
        contents[f"{HAIR[content.hair]}{'_glasses' if content.glasses else ''}_{i + 1}"] = content, style
    for i in range(6):
        content, style = sample_content(rng), sample_style(rng, PITCH[size])
        style.texture = (i + 1) % len(TEXTURES)
        styles[f"{TEXTURES[style.texture]}_{i + 1}"] = content, style
    return contents, styles


def faces(folder: Path, size: int) -> None:
    """The contents, with masks, and the styles."""
    contents, styles = chosen(size)
    for kind, named in (("contents", contents), ("styles", styles)):
        for name, (content, style) in named.items():
            Image.fromarray(render(content, style, size)).save(folder / kind / f"{name}.png")
    for name, (content, _) in contents.items():
        for part in ("hair", "skin")[HAIR[content.hair] == "bald" :]:
            mask(content, part, size).save(folder / "masks" / f"{name}_{part}.png")


def mask(content: Content, part: str, size: int) -> Image.Image:
    """White where a face's part of this name is, its holes closed and its edge a little outside."""
    only = deepcopy(content)
    only.glasses, only.tones = 1, {name: float(name == part) for name in content.tones}  # glasses hide the eyes' white
    grey = Image.fromarray((tone_image(only, size) * 255).astype(np.uint8))
    return grey.point(lambda value: 255 * (value > 100)).filter(ImageFilter.MaxFilter(2 * (size // 32) + 1))


def mosaic(rng: np.random.Generator, n: int) -> Image.Image:
    """A landscape of square tiles with dark joints."""
    tile = n // 11
    picture = Image.new("RGB", (n, n), (40, 30, 30))
    draw = ImageDraw.Draw(picture)
    for y in range(0, n, tile):
        for x in range(0, n, tile):
            sea = y > n * (0.55 + 0.08 * np.sin(x / n * 7))
            base = np.array((20, 110, 150) if sea else (245, 190, 90)) + rng.normal(0, 22, 3)
            draw.rectangle((x + 1, y + 1, x + tile - 3, y + tile - 3), fill=tuple(int(v) for v in base.clip(0, 255)))
    return picture


def strokes(rng: np.random.Generator, n: int) -> Image.Image:
    """Short thick brush strokes along a swirl."""
    picture = Image.new("RGB", (n, n), (230, 215, 180))
    draw = ImageDraw.Draw(picture)
    colours = np.array([(200, 70, 40), (240, 200, 120), (60, 90, 140), (250, 235, 205), (120, 150, 90)])
    for _ in range(700):
        x, y = rng.uniform(0, n, 2)
        angle = np.arctan2(y - n / 2, x - n / 2) + np.pi / 2 + rng.normal(0, 0.2)
        dx, dy = np.cos(angle) * n / 14, np.sin(angle) * n / 14
        colour = (colours[rng.integers(len(colours))] + rng.normal(0, 14, 3)).clip(0, 255)
        draw.line((x - dx, y - dy, x + dx, y + dy), fill=tuple(int(v) for v in colour), width=n // 24)
    return picture


def night(rng: np.random.Generator, n: int) -> Image.Image:
    """A dark blue sky with a moon and stars over black hills."""
    y = np.linspace(0, 1, n)[:, None, None]
    picture = Image.fromarray(((1 - y) * (12, 16, 60) + y * (60, 50, 120) + np.zeros((n, n, 3))).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(45):
        x, z, r = rng.uniform(0, n), rng.uniform(0, n * 0.7), rng.uniform(1, n / 70)
        draw.ellipse((x - r, z - r, x + r, z + r), fill=(235, 230, 200))
    draw.ellipse((n * 0.62, n * 0.12, n * 0.84, n * 0.34), fill=(250, 240, 190))
    hills = [(x, n * (0.78 + 0.07 * np.sin(x / n * 9) + 0.03 * np.sin(x / n * 23))) for x in range(n)]
    draw.polygon([*hills, (n, n), (0, n)], fill=(8, 8, 20))
    return picture


def main(folder: Path, size: int = 64) -> None:
    """Write contents/, masks/, styles/ and outside/."""
    for name in ("contents", "masks", "styles", "outside"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    faces(folder, size)
    rng = np.random.default_rng(SEED)
    for name, draw in (("mosaic", mosaic), ("strokes", strokes), ("night", night)):
        draw(rng, size * UP).resize((size, size), Image.Resampling.LANCZOS).save(folder / "outside" / f"{name}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    main(parser.parse_args().folder)

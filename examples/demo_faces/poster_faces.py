"""Poster faces: a procedural picture set in which content and style are independent.

Content is what is drawn: one cartoon face (pose, head shape, hair, glasses, mouth, eyes), drawn as a grey *tone image*
in which every region (background, shirt, skin, hair, features) has its own fixed tone.
Style is how the whole picture is rendered from those tones: a colour palette (tone -> colour), a texture that covers
the whole picture, and a light.  Every style works with every content, so the true answer of a style transfer is
known: ``render(content_of_a, style_of_b)``.

Only numpy and Pillow are needed::

    rng = np.random.default_rng(0)
    picture = render(sample_content(rng), sample_style(rng), size=32)      # uint8, (32, 32, 3)

``python poster_faces.py sheet.png 32`` writes a contact sheet.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import numpy as np

HAIR = ("bald", "short", "long", "afro", "spiky")
TEXTURES = ("none", "hatching", "halftone", "grain")
LUMA = np.array([0.299, 0.587, 0.114])
KNOTS = np.array([0.0, 0.35, 0.7, 1.0])  # the tones at which a palette's four colours sit
PITCH = {32: (0.11, 0.16), 64: (0.055, 0.08)}  # bounds of a texture's pitch by picture size: 3.5 to 5 pixels


@dataclass
class Content:
    """What is drawn.  Lengths are in half picture widths: the picture spans -1 .. 1 in x (right) and y (down)."""

    cx: float  # head centre
    cy: float
    rx: float  # head radii
    ry: float
    roll: float  # head tilt in radians
    yaw: float  # -1 .. 1, looks left .. right
    power: float  # superellipse exponent of the head: 2 round, 3 boxy
    hair: int  # index into HAIR
    glasses: int  # 0 or 1
    smile: float  # -1 .. 1
    mouth: float  # 0 closed .. 1 open
    eye: float  # eye radius
    gap: float  # half the distance between the eyes
    tones: dict = field(default_factory=dict)  # tone of each region, 0 dark .. 1 light


@dataclass
class Style:
    """How a tone image is turned into a picture."""

    palette: np.ndarray  # (4, 3) RGB in 0 .. 1 at the tones KNOTS, luminance strictly rising
    texture: int  # index into TEXTURES
    strength: float  # of the texture, as a tone difference
    angle: float  # of hatching or halftone, in radians
    pitch: float  # distance of lines or dots, as a fraction of the picture width
    phase: float  # 0 .. 1, shift of the texture in units of the pitch
    seed: int  # of the grain
    light_angle: float  # where the light comes from, in radians
    light: float  # strength of the directional light, as a tone difference
    vignette: float  # darkening of the corners, as a tone difference


# ---------------------------------------------------------------------------------------------------------- samplers
def sample_content(rng: np.random.Generator) -> Content:
    """A random face."""
    base = dict(background=0.72, shirt=0.45, skin=0.93, hair=0.2, mouth=0.12, feature=0.04)
    width = dict(background=0.05, shirt=0.06, skin=0.03, hair=0.07, mouth=0.03, feature=0.02)
    return Content(
        cx=rng.uniform(-0.22, 0.22),
        cy=rng.uniform(-0.08, 0.14),
        rx=rng.uniform(0.42, 0.60),
        ry=rng.uniform(0.52, 0.68),
        roll=rng.uniform(-0.22, 0.22),
        yaw=rng.uniform(-1, 1),
        power=rng.uniform(2, 3),
        hair=int(rng.integers(len(HAIR))),
        glasses=int(rng.integers(2)),
        smile=rng.uniform(-1, 1),
        mouth=rng.uniform(0.5, 1) if rng.random() < 0.4 else 0.0,
        eye=rng.uniform(0.065, 0.10),
        gap=rng.uniform(0.18, 0.25),
        tones={k: float(np.clip(v + rng.uniform(-width[k], width[k]), 0, 1)) for k, v in base.items()},
    )


def colour_at(hue: float, saturation: float, luminance: float) -> np.ndarray:
    """The RGB colour of this hue with exactly this luminance; saturation 0 .. 1 (less is kept where gamut ends)."""
    k = (np.array([5.0, 3.0, 1.0]) + hue * 6) % 6
    colour = 1 - saturation * np.clip(np.minimum(k, 4 - k), 0, 1)
    own = colour @ LUMA
    if own >= luminance:
        return colour * (luminance / own)
    return colour + (1 - colour) * ((luminance - own) / (1 - own))


def sample_palette(rng: np.random.Generator) -> np.ndarray:
    """Four colours, dark to light: hues independent, or around one, or of two opposite families."""
    luminance = [rng.uniform(0.02, 0.14), rng.uniform(0.26, 0.38), rng.uniform(0.55, 0.68), rng.uniform(0.85, 0.97)]
    hue = rng.random()
    scheme = rng.choice(["free", "near", "opposite"])
    if scheme == "free":
        hues = rng.random(4)
    elif scheme == "near":
        hues = hue + rng.uniform(-0.08, 0.08, 4)
    else:
        hues = hue + np.array([0, 0, 0.5, 0.5]) + rng.uniform(-0.06, 0.06, 4)
    saturation = rng.uniform(0.45, 1.0, 4) if rng.random() < 0.85 else rng.uniform(0.0, 0.2, 4)
    return np.stack([colour_at(h % 1, s, v) for h, s, v in zip(hues, saturation, luminance)])


def sample_style(rng: np.random.Generator, pitch: tuple[float, float] = PITCH[32]) -> Style:
    """A random rendering.  ``pitch`` bounds the texture pitch; below about 3 pixels it cannot be drawn."""
    return Style(
        palette=sample_palette(rng),
        texture=int(rng.integers(len(TEXTURES))),
        strength=rng.uniform(0.18, 0.32),
        angle=rng.choice([0.2, 0.4, 0.6, 0.8]) * np.pi + rng.uniform(-0.1, 0.1),
        pitch=rng.uniform(*pitch),
        phase=rng.random(),
        seed=int(rng.integers(2**31)),
        light_angle=rng.uniform(0, 2 * np.pi),
        light=rng.uniform(0.0, 0.05),
        vignette=rng.uniform(0.0, 0.07),
    )


# ----------------------------------------------------------------------------------------------------------- content
def _grid(n: int) -> tuple[np.ndarray, np.ndarray]:
    c = (np.arange(n, dtype=np.float32) + 0.5) / n * 2 - 1
    return np.meshgrid(c, c)


def tone_image(content: Content, size: int = 32, supersample: int = 3) -> np.ndarray:
    """The face as a (size, size) array of tones: shapes are signed distances, painted back to front."""
    c, n = content, size * supersample
    x, y = _grid(n)
    px = 1.0 / n  # half a fine pixel, in picture units

    tone = np.full((n, n), c.tones["background"], np.float32)

    def paint(distance, value):
        """Cover with ``value`` where ``distance`` < 0, the edge smoothed over about one fine pixel."""
        np.copyto(tone, tone + (value - tone) * np.clip(0.5 - distance / (2 * px), 0, 1))

    def ellipse(a, b, ra, rb):
        return (np.sqrt((a / ra) ** 2 + (b / rb) ** 2) - 1) * min(ra, rb)

    dx, dy = x - c.cx, y - c.cy
    u = dx * np.cos(c.roll) + dy * np.sin(c.roll)  # head coordinates
    v = -dx * np.sin(c.roll) + dy * np.cos(c.roll)
    hair = HAIR[c.hair]

    paint(ellipse(dx, y - 1.25, 0.85, 0.55), c.tones["shirt"])
    if hair == "long":
        sides = np.maximum(np.abs(u) - (c.rx + 0.13), np.abs(v - 0.15) - 0.78)
        paint(np.where(v < -0.1, ellipse(u, v + 0.1, c.rx + 0.13, c.ry + 0.05), sides), c.tones["hair"])
    elif hair == "afro":
        paint(ellipse(u, v + 0.22, c.rx + 0.20, c.ry + 0.10), c.tones["hair"])
    elif hair == "spiky":
        angle = np.arctan2(v + 0.1, u)
        radius = np.sqrt((u / (c.rx + 0.04)) ** 2 + ((v + 0.1) / c.ry) ** 2)
        spikes = (radius - 1 - 0.24 * np.abs((angle * 9 / np.pi) % 2 - 1)) * c.rx
        paint(np.where(v < 0.02, spikes, 1), c.tones["hair"])
    paint(np.maximum(np.abs(dx) - 0.17, np.abs(dy - c.ry - 0.05) - 0.2), c.tones["skin"] - 0.14)  # neck
    p = c.power
    paint(((np.abs(u) / c.rx) ** p + (np.abs(v) / c.ry) ** p) ** (1 / p) * c.rx - c.rx, c.tones["skin"])
    if hair != "bald":
        fringe = v + 0.45 * c.ry + 0.10 - 0.16 * (u / c.rx) * np.sign(c.yaw)
        paint(np.maximum(fringe, ellipse(u, v + 0.04, c.rx + 0.06, c.ry + 0.07)), c.tones["hair"])

    f = u - 0.26 * c.yaw * c.rx  # the features shift with the yaw
    eyes = np.minimum(np.hypot(f + c.gap, v + 0.06), np.hypot(f - c.gap, v + 0.06))
    look = 0.03 * c.yaw
    pupils = np.minimum(np.hypot(f + c.gap - look, v + 0.06), np.hypot(f - c.gap - look, v + 0.06))
    if not c.glasses:
        paint(eyes - 1.35 * c.eye, 1.0)
    paint(pupils - 0.85 * c.eye, c.tones["feature"])
    if c.glasses:
        bridge = np.maximum(np.abs(f) - (c.gap - 0.14), np.abs(v + 0.06) - 0.028)
        paint(np.minimum(np.abs(eyes - 0.16) - 0.03, bridge), c.tones["feature"])
    curve = 1 - (f / 0.22) ** 2
    lips = np.abs(v - 0.62 * c.ry - c.smile * (0.13 * curve - 0.06))
    opening = 0.04 + 0.07 * c.mouth * np.sqrt(np.clip(curve, 0, 1))
    paint(np.maximum(lips - opening, np.abs(f) - 0.22), c.tones["mouth"])
    paint(np.maximum(np.abs(f - look) - 0.035, np.abs(v - 0.12) - 0.07), c.tones["skin"] - 0.3)  # nose

    return tone.reshape(size, supersample, size, supersample).mean((1, 3)).clip(0, 1)


# ------------------------------------------------------------------------------------------------------------- style
def texture(style: Style, tone: np.ndarray) -> np.ndarray:
    """The tone change that the style's texture makes, strongest in the mid tones."""
    size = tone.shape[0]
    x, y = _grid(size)
    kind, wave = TEXTURES[style.texture], np.pi / style.pitch  # a pitch of 1 is the whole picture, 2 units wide
    a = wave * (x * np.cos(style.angle) + y * np.sin(style.angle)) + 2 * np.pi * style.phase
    b = wave * (-x * np.sin(style.angle) + y * np.cos(style.angle)) + 2 * np.pi * style.phase
    if kind == "none":
        return np.zeros_like(tone)
    if kind == "grain":
        pattern = np.random.default_rng(style.seed).normal(0, 0.6, tone.shape).clip(-1, 1)
    elif kind == "halftone":
        pattern = np.clip(1.6 * np.cos(a) * np.cos(b), -1, 1)
    else:  # lines; the darker the tone, the broader the dark line
        pattern = np.clip(1.8 * np.cos(a) + 0.8 * (tone - 0.5), -1, 1)
    return style.strength * (0.35 + 0.65 * 4 * tone * (1 - tone)) * pattern


def light(style: Style, size: int) -> np.ndarray:
    """The tone change that the style's light and vignette make."""
    x, y = _grid(size)
    return (
        style.light * (x * np.cos(style.light_angle) + y * np.sin(style.light_angle))
        - style.vignette * ((x**2 + y**2) / 2) ** 1.5
    )


def apply_style(tone: np.ndarray, style: Style) -> np.ndarray:
    """Render a tone image: light, then texture, then the palette.  Returns uint8 (size, size, 3)."""
    t = tone + light(style, tone.shape[0])
    t = np.clip(t + texture(style, np.clip(t, 0, 1)), 0, 1)
    rgb = np.stack([np.interp(t, KNOTS, style.palette[:, i]) for i in range(3)], -1)
    return (rgb.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def render(content: Content, style: Style, size: int = 32) -> np.ndarray:
    """This content in this style: uint8, (size, size, 3)."""
    return apply_style(tone_image(content, size), style)


def make(n: int, seed: int, size: int = 32) -> tuple[np.ndarray, list[Content], list[Style]]:
    """``n`` random pictures, with the factors they were made from."""
    rng = np.random.default_rng(seed)
    contents = [sample_content(rng) for _ in range(n)]
    styles = [sample_style(rng, PITCH[size]) for _ in range(n)]
    return np.stack([render(c, s, size) for c, s in zip(contents, styles)]), contents, styles


def contact_sheet(pictures: np.ndarray, columns: int, up: int = 3):
    """The pictures side by side as a Pillow image."""
    from PIL import Image

    n, size = pictures.shape[:2]
    rows = -(-n // columns)
    out = np.full((rows * (size + 2), columns * (size + 2), 3), 255, np.uint8)
    for k, picture in enumerate(pictures):
        r, c = k // columns * (size + 2) + 1, k % columns * (size + 2) + 1
        out[r : r + size, c : c + size] = picture
    image = Image.fromarray(out)
    return image.resize((image.width * up, image.height * up), Image.NEAREST)


if __name__ == "__main__":
    name, size = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 32
    rng = np.random.default_rng(0)
    faces, styles = [sample_content(rng) for _ in range(8)], [sample_style(rng, PITCH[size]) for _ in range(12)]
    grid = np.stack([render(c, s, size) for c in faces for s in styles])
    contact_sheet(grid, 12, up=max(1, 96 // size)).save(name)  # rows share the content, columns share the style

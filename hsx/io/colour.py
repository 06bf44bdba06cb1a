"""Pictures with a colour profile as sRGB, with Pillow's ImageCms (Little CMS)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms
from PIL.ImageCms import Flags

LARGEST = 16 << 20  # bytes of a profile; those of printers take a few MiB
ROUNDING = 2  # of 255: a space that is nowhere further from sRGB is sRGB
SPACES = {"L": ("GRAY", "RGB"), "I;16": ("GRAY", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",), "LAB": ("Lab",)}
ENDS: dict[str, tuple[Any, Any]] = {  # black and white
    "L": (0, 255),
    "I;16": (0, 65535),
    "RGB": ((0,) * 3, (255,) * 3),
    "CMYK": ((255,) * 4, (0,) * 4),
    "LAB": ((0, 128, 128), (255, 128, 128)),
}
CLASSES = {"link": "a device link", "nmcl": "a list of named colours", "abst": "an abstract profile"}
GREYS = ("L", "I;16")
_STEPS, _RAMP = np.minimum(np.arange(0, 257, 16), 255), np.stack([np.arange(256)] * 3, 1)
# every sixteenth step of each channel with each of the others, and all greys
_LATTICE = np.concatenate([np.stack(np.meshgrid(_STEPS, _STEPS, _STEPS), -1).reshape(-1, 3), _RAMP])[None]
LATTICE = Image.fromarray(_LATTICE.astype(np.uint8))
Convert = Callable[[Image.Image], Image.Image]


class ProfileError(ValueError):
    """A profile that cannot be applied to a picture; why, in a few words."""


def to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """A picture whose colours are those of ``profile`` as RGB; unchanged where they are sRGB.

    The intent is relative colorimetric with black-point compensation, as in photo software: colours that sRGB can
    show stay what they are, and white stays white.

    Args:
        picture: L, I;16, RGB, CMYK or LAB.
        profile: the bytes of an ICC profile.

    Raises:
        ProfileError: for a profile that is broken, or of another kind of picture.
        RuntimeError: where this Pillow has no ImageCms.
    """
    if picture.mode == "RGB" and profile[16:20] == b"GRAY":
        pixels = np.asarray(picture)
        if (pixels == pixels[..., :1]).all():
            return to_srgb(picture.getchannel("R"), profile).convert("RGB")
    if convert := _conversion(profile, picture.mode):
        return convert(picture)
    return _eight_bits(picture) if picture.mode == "I;16" else picture


def changes(picture: Image.Image, profile: bytes) -> bool:
    """Whether ``to_srgb`` would change an 8-bit picture, or could not tell."""
    try:
        modes = {"1": "L", "LA": "L", "I": "I;16", "F": "I;16", "RGBA": "RGB", "P": "RGB", "PA": "RGB"}
        return _conversion(profile, modes.get(picture.mode, picture.mode)) is not None
    except (ProfileError, RuntimeError):
        return True


def lab() -> bytes:
    """The profile of a Lab picture that has none."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@lru_cache(maxsize=8)
def _conversion(profile: bytes, mode: str) -> Convert | None:
    """From a profile to sRGB, for pictures of ``mode``; None for sRGB itself."""
    opened, space = _opened(profile, mode)
    taken = "RGB" if space == "RGB" else mode  # a grey picture may have a profile of RGB
    flags = Flags.NOOPTIMIZE if taken in (*GREYS, "LAB") else Flags.HIGHRESPRECALC
    flags, intent = flags | Flags.BLACKPOINTCOMPENSATION, ImageCms.Intent.RELATIVE_COLORIMETRIC
    try:
        apply = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), taken, "RGB", intent, flags).apply
    except ImageCms.PyCMSError:
        raise ProfileError("it is broken") from None
    black, white = (np.asarray(apply(Image.new(taken, (1, 1), colour))).mean() for colour in ENDS[taken])
    if white - black < 64:
        raise ProfileError("its white is hardly lighter than its black")
    if mode in GREYS:
        steps = np.arange(ENDS[mode][1] + 1, dtype=np.uint8 if mode == "L" else np.uint16)[None]
        ramp = Image.fromarray(steps)
        colours = np.asarray(apply(ramp if taken == mode else _eight_bits(ramp).convert(taken)))[0]  # (256 or 65536, 3)
        return None if _same(colours, _eight_bits(ramp)) else lambda grey: Image.fromarray(colours[np.asarray(grey)])
    if mode == "RGB" and _same(np.asarray(apply(LATTICE)), LATTICE):
        return None
    return apply


def _opened(profile: bytes, mode: str) -> tuple[ImageCms.ImageCmsProfile, str]:
    """A profile that fits a picture of ``mode``, and its space."""
    if not 128 < len(profile) <= LARGEST:
        raise ProfileError(f"it has {len(profile):,} bytes")
    if int.from_bytes(profile[:4], "big") > len(profile) or profile[36:40] != b"acsp":
        raise ProfileError("it is broken")
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
    except ImportError:
        raise RuntimeError(
            "it has a colour profile, and this Pillow was built without littlecms2, which applies it; "
            "install the Pillow of PyPI"
        ) from None
    except OSError:
        raise ProfileError("it is broken") from None
    space, device = opened.profile.xcolor_space.strip(), opened.profile.device_class
    if device in CLASSES and not (device == "abst" and mode == "LAB"):
        raise ProfileError(f"it is {CLASSES[device]}")
    if space not in SPACES.get(mode, ()):
        raise ProfileError(f"it is of {space} colours, the picture of {mode}")
    return opened, space


def _same(colours: np.ndarray, picture: Image.Image) -> bool:
    """Whether ``colours`` are those of a picture, within ROUNDING."""
    expected = np.asarray(picture.convert("RGB"), dtype=int).reshape(-1, 3)
    return bool(np.abs(colours.reshape(-1, 3) - expected).max() <= ROUNDING)


def _eight_bits(picture: Image.Image) -> Image.Image:
    """L or I;16 as L."""
    scale = 255 / ENDS[picture.mode][1]
    return Image.fromarray((np.asarray(picture) * scale).round().astype(np.uint8))

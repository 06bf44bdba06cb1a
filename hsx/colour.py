"""Pictures with a colour profile as sRGB, with Pillow's ImageCms (Little CMS)."""

from __future__ import annotations

import struct
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms

LARGEST = 16 << 20  # bytes of a profile; those of printers take a few MiB
ROUNDING = 2  # of 255: a space that is nowhere further from sRGB is sRGB
SPACES = {"L": ("GRAY", "RGB"), "I;16": ("GRAY", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",), "LAB": ("Lab", "LAB")}
ENDS: dict[str, tuple[Any, Any]] = {  # black and white
    "L": (0, 255), "I;16": (0, 65535), "RGB": ((0,) * 3, (255,) * 3), "CMYK": ((255,) * 4, (0,) * 4),
    "LAB": ((0, 128, 128), (255, 128, 128))}
CLASSES = {"link": "a device link", "nmcl": "a list of named colours", "abst": "an abstract profile"}


class ProfileError(ValueError):
    """A profile that does not say what the colours of the picture are; why, in a few words."""


def to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """A picture whose colours are of ``profile`` as RGB, or RGBA with its own alpha; unchanged where it is sRGB.

    The intent is relative colorimetric with black-point compensation, as photo software has it: what sRGB can show
    stays what it is, and white stays white.

    Args:
        picture: L, I;16, RGB, RGBA, CMYK or LAB.
        profile: the bytes of an ICC profile.

    Raises:
        ProfileError: for a profile that is broken, or of another kind of picture.
        RuntimeError: where this Pillow has no ImageCms.
    """
    if picture.mode == "RGBA":
        opaque = to_srgb(picture.convert("RGB"), profile)
        opaque.putalpha(picture.getchannel("A"))
        return opaque
    mode, transform = _transform(profile, picture.mode)
    if transform is None:
        return picture if picture.mode != "I;16" else _eight_bits(picture)
    if mode != picture.mode:  # a grey picture with a profile of RGB
        picture = (_eight_bits(picture) if picture.mode == "I;16" else picture).convert(mode)
    return transform.apply(picture)


def changes(picture: Image.Image, profile: bytes) -> bool:
    """Whether ``to_srgb`` would change an 8-bit picture, or could not tell."""
    try:
        return _transform(profile, "RGB" if picture.mode in ("RGBA", "P", "PA") else picture.mode)[1] is not None
    except (ProfileError, RuntimeError):
        return True


def lab() -> bytes:
    """The profile of a Lab picture that has none."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """From a profile to sRGB, and the mode of picture it takes; nothing for sRGB itself."""
    _check_size(profile)
    try:
        srgb = ImageCms.createProfile("sRGB")
    except ImportError:
        raise RuntimeError("it has a colour profile, which this Pillow cannot apply: it was built without littlecms2; "
                           "install the Pillow of PyPI") from None
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        space, device = opened.profile.xcolor_space.strip(), opened.profile.device_class
        if device in CLASSES:
            raise ProfileError(f"it is {CLASSES[device]}")
        if space not in SPACES.get(mode, ()):
            raise ProfileError(f"it is of {space} colours, the picture of {mode}")
        mode = "RGB" if space == "RGB" else mode
        transform = ImageCms.buildTransform(opened, srgb, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC,
                                            ImageCms.Flags.BLACKPOINTCOMPENSATION)
    except (OSError, ImageCms.PyCMSError):
        raise ProfileError("it is broken") from None
    black, white = (np.asarray(transform.apply(Image.new(mode, (1, 1), colour))).mean() for colour in ENDS[mode])
    if white - black < 64:
        raise ProfileError("its white is hardly lighter than its black")
    probe = _probe(mode)
    if probe is not None:
        expected = (_eight_bits(probe) if mode == "I;16" else probe).convert("RGB")
        apart = np.abs(np.asarray(transform.apply(probe), dtype=int) - np.asarray(expected, dtype=int))
        if apart.max() <= ROUNDING:
            return mode, None
    return mode, transform


def _check_size(profile: bytes) -> None:
    """A profile says its own length first."""
    if not 128 < len(profile) <= LARGEST:
        raise ProfileError(f"it has {len(profile):,} bytes")
    if struct.unpack(">I", profile[:4])[0] > len(profile) or profile[36:40] != b"acsp":
        raise ProfileError("it is broken")


def _probe(mode: str) -> Image.Image | None:
    """All greys, and of RGB a lattice of colours too."""
    ramp = np.arange(256)
    if mode == "L":
        return Image.fromarray(ramp[None].astype(np.uint8))
    if mode == "I;16":
        return Image.fromarray((ramp[None] * 257).astype(np.uint16))
    if mode == "RGB":
        steps = np.minimum(np.arange(0, 257, 16), 255)
        lattice = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
        return Image.fromarray(np.concatenate([lattice, np.repeat(ramp[:, None], 3, 1)])[None].astype(np.uint8))
    return None


def _eight_bits(picture: Image.Image) -> Image.Image:
    """I;16 as L."""
    return Image.fromarray((np.asarray(picture) * (255 / 65535)).round().astype(np.uint8))

"""One picture file as 8-bit sRGB, upright.  Whatever is wrong with it becomes a clear ImageError here."""

from __future__ import annotations

import logging
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hsx.errors import HsxError, ImageError, first_line, shown
from hsx.io.colour import ProfileError, changes, lab, to_srgb
from hsx.io.colour_tags import TagError, profile_of
from hsx.io.formats import LEFT_OUT, frames, kind, likely, refuse_preview

Fit = Literal["crop", "pad", "stretch"]  # how pictures become square
FITS = get_args(Fit)
NAMED = 10  # pictures at most in the log for one reason

log = logging.getLogger("hsx")
_warned: dict[str, set[Path]] = {}  # the pictures in the log, by reason


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Whatever goes wrong with a file becomes an ImageError; one that could block, such as a pipe, is not opened."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is a folder" if stat.S_ISDIR(status.st_mode) else "it is no regular file")
        if not status.st_size:
            raise OSError("it is empty")
        yield
    except Exception as error:  # Pillow's readers raise all sorts for broken files
        why = f"expected a {what}, could not read it ({reason(error, path)})"
        raise ImageError(f"{shown(path)}: {why}; replace it or take it away") from None


def reason(error: Exception, path: Path) -> str:
    """Why a file could not be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return kind(path)
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"it has more than the {Image.MAX_IMAGE_PIXELS:,} pixels that Pillow takes"
    return (isinstance(error, OSError) and error.strerror) or first_line(error)


def read_picture(path: Path, mask: bool = False) -> Image.Image:
    """A picture file as RGB, upright, its colours sRGB; those of a mask as they are.

    Raises:
        ImageError: for a file that is missing, unreadable, no picture, truncated or too large.
    """
    with reading(path, "mask" if mask else "picture"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=likely(path)) as opened:
            refuse_preview(opened, path)
            picture = _numbers(opened, path) if mask else _coloured(opened, path)
            try:
                several = frames(opened)
            except Exception:  # the first was read
                several = "it holds further pictures, which are broken: the first is taken"
            if several:
                _warn(path, "frames", several)
            return picture


def opened_picture(picture: Image.Image) -> Image.Image:
    """The same of a picture that was opened or made elsewhere.

    Raises:
        ImageError: for one that cannot be read, or of a format that hsx does not open.
    """
    name = str(getattr(picture, "filename", "") or "a picture")
    try:
        if picture.format in LEFT_OUT:
            raise ValueError(LEFT_OUT[picture.format])
        if Path(name).is_file():
            refuse_preview(picture, Path(name))
        return _coloured(picture, Path(name))
    except Exception as error:
        why = f"expected a picture, could not read it ({first_line(error)})"
        raise ImageError(f"{shown(name)}: {why}; give another") from None


def _coloured(opened: Image.Image, path: Path) -> Image.Image:
    """An opened picture as RGB in sRGB, by the colour space that its file states."""
    upright = ImageOps.exif_transpose(opened)
    try:
        profile = profile_of(opened, path)
        if profile is not None:
            return _rgb(upright, profile)
        if opened.mode == "CMYK":
            _warn(path, "CMYK", "it is CMYK without a profile: converted by the simple formula")
    except ProfileError as error:
        space = f"{opened.mode} without one" if opened.mode in ("CMYK", "LAB") else "sRGB"
        _warn(path, "profile", f"its colour profile is ignored ({error}): read as {space}")
    except TagError as error:
        _warn(path, "tags", f"{error}: read as sRGB")
    return _rgb(upright)


def _numbers(opened: Image.Image, path: Path) -> Image.Image:
    """An opened picture as RGB, no profile applied, with a warning where one would change it."""
    with suppress(TagError, ValueError):  # about colours, which a mask does not have
        profile = profile_of(opened, path)
        if profile is not None and changes(opened, profile):
            _warn(path, "mask", "a mask's values are numbers: its colour profile is not applied")
    return _rgb(ImageOps.exif_transpose(opened))


def _warn(path: Path, reason: str, message: str) -> None:
    """Log one line for a picture, and for one reason NAMED pictures at most."""
    named = _warned.setdefault(reason, set())
    if path not in named and len(named) < NAMED and log.isEnabledFor(logging.WARNING):
        named.add(path)
        log.warning("%s: %s%s", shown(path), message, "; further ones are not named" if len(named) == NAMED else "")


@contextmanager
def unsaid() -> Iterator[None]:
    """No warnings about pictures within it: they come where the run reads them, perhaps in another process."""
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _rgb(picture: Image.Image, profile: bytes | None = None) -> Image.Image:
    """Any mode as RGB: 16 bits and floats scaled to 8 bits, transparency laid over white, ``profile`` to sRGB."""
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.mode.startswith(("I", "F")):  # 16-bit grey is also read into 32 bits
        values, white = np.asarray(picture), 1 if picture.mode == "F" else 65535
        if not (values.min() >= 0 and values.max() <= white):
            raise ValueError(f"its values are {values.min()} to {values.max()}, not from 0 to {white}")
        values = np.where(values == picture.info.get("transparency", -1), white, values)
        dtype = np.uint8 if profile is None else np.uint16  # profiles take 16 bits
        picture = Image.fromarray((values * (np.iinfo(dtype).max / white)).round().astype(dtype))
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
    if picture.mode == "LAB":
        profile = profile or lab()
    if profile is not None:
        alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
        if grey or picture.mode not in ("I;16", "RGB", "CMYK", "LAB"):
            picture = picture.convert("L" if grey else "RGB")
        picture = to_srgb(picture, profile).convert("RGB")
        if alpha:
            picture.putalpha(alpha)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def square(picture: Image.Image, size: int, fit: str) -> Image.Image:
    """A picture of ``size`` pixels a side; one that has this size is left as it is."""
    if fit not in FITS:
        raise HsxError(f"fit: expected one of {', '.join(FITS)}, got {fit}; choose one of them")
    if picture.size == (size, size):
        return picture
    if fit == "crop":
        return ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    longest = max(picture.size)
    width, height = (size if fit == "stretch" else max(1, round(side * size / longest)) for side in picture.size)
    square = Image.new("RGB", (size, size), "white")
    square.paste(picture.resize((width, height), Image.Resampling.LANCZOS), ((size - width) // 2, (size - height) // 2))
    return square

"""Finding, reading, cropping and writing pictures (Pillow).  Every bad picture becomes a clear ImageError here."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps, PngImagePlugin
from torch import Tensor

from hsx.assets import resolve
from hsx.checks import got
from hsx.errors import HsxError, ImageError
from hsx.io.reading import opened_picture, read_picture, reading

FITS = ("crop", "pad", "stretch")
PART_AGE = 3600  # seconds after which a temporary file has no living writer


def read_image(path: str | os.PathLike | Image.Image, size: int, fit: str = "crop") -> Tensor:
    """A picture as the network wants it: made square, resized to ``size``; (3, size, size) in [-1, 1].

    Its colours become sRGB by the profile or the tags that it has; one that cannot be used is named in the log.  EXIF
    rotation is applied, transparency laid over white, and of several pages or frames the first taken.

    Args:
        path: the picture, or one that Pillow opened; ``hsx://`` and ``~`` stand for what they do in a config.
        size: pixels a side.
        fit: what makes it square: crop (the middle), pad (white bars) or stretch.

    Raises:
        ImageError: for a file that is missing, unreadable, no picture, truncated or too large, and for what is no path.
    """
    whole = opened_picture(path) if isinstance(path, Image.Image) else read_picture(_path(path))
    picture = _square(whole, size, fit)
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 127.5 - 1  # (3, R, R)


def read_mask(path: str | os.PathLike, size: int, fit: str = "crop", blur: float = 0.0) -> Tensor:
    """A picture's luminance, (1, size, size) in [0, 1], white is 1; otherwise as ``read_image``.

    Its values are numbers, not colours: a profile is not applied.

    Args:
        blur: the deviation of a Gaussian, in pixels, that makes it soft.
    """
    grey = _square(read_picture(_path(path), mask=True), size, fit).convert("L").filter(ImageFilter.GaussianBlur(blur))
    return torch.from_numpy(np.asarray(grey).copy())[None].float() / 255  # (1, R, R)


def _path(given: str | os.PathLike) -> Path:
    """Where a picture is.  Raises ImageError for what is no path."""
    if not isinstance(given, (str, os.PathLike)):
        raise ImageError(f"expected the path of a picture, got {got(given)}; give one")
    return resolve(os.fspath(given))


def pixels_digest(image: Tensor) -> str:
    """A hash of the 8-bit pixels of a (3, R, R) tensor in [-1, 1], 24 hex digits."""
    return hashlib.sha256(to_picture(image).tobytes()).hexdigest()[:24]


def file_digest(path: Path) -> str:
    """A hash of a file's bytes.  Raises ImageError for one that cannot be read."""
    with reading(path, "picture"):
        return hashlib.sha256(path.read_bytes()).hexdigest()


def _square(picture: Image.Image, size: int, fit: str) -> Image.Image:
    """A picture of ``size`` a side, one that has it already left as it is."""
    if fit not in FITS:
        raise HsxError(f"fit: expected one of {', '.join(FITS)}, got {fit}; choose one of them")
    if picture.size == (size, size):
        return picture
    if fit == "crop":
        return ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    if fit == "stretch":
        return picture.resize((size, size), Image.Resampling.LANCZOS)
    width, height = (max(1, round(side * size / max(picture.size))) for side in picture.size)
    square = Image.new("RGB", (size, size), "white")
    square.paste(picture.resize((width, height), Image.Resampling.LANCZOS), ((size - width) // 2, (size - height) // 2))
    return square


def to_picture(image: Tensor) -> Image.Image:
    """(3, R, R) in [-1, 1], values beyond clamped, as an 8-bit picture."""
    return Image.fromarray(image.float().add(1).mul(127.5).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy())


def write_png(picture: Image.Image, path: Path, text: dict[str, str] | None = None) -> None:
    """Write a PNG whole or not at all, with ``text`` in its text chunks, which come before the pixels.

    It is sRGB, as a PNG is that says nothing else of its colours.
    """
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_itxt(key, value)
    with atomic(path) as part:
        picture.save(part, format="PNG", pnginfo=info)


def read_png(path: Path) -> Image.Image:
    """A PNG that ``write_png`` wrote, as RGB.  Raises ImageError for one that cannot be read."""
    with reading(path, "picture that hsx made"), Image.open(path, formats=("PNG",)) as picture:
        return picture.convert("RGB")


def png_text(path: Path, key: str) -> str | None:
    """The text chunk ``key`` of a PNG that ``write_png`` wrote; None without one, or without such a file."""
    try:
        with reading(path, "picture"), Image.open(path, formats=("PNG",)) as picture:
            text = picture.info.get(key)
            return None if text is None else str(text)
    except ImageError:
        return None


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that takes its place when the block ends well, and goes when it does not.

    It tells host and process, see ``left_behind``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{_host()}-{os.getpid()}-", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o666 & ~_umask())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def left_behind(part: Path) -> bool:
    """Whether nobody writes a temporary file of ``atomic`` any more: a dead process of this host, or for an hour."""
    host, _, writer = part.name[1:].rpartition("-")[0].rpartition("-")
    try:
        if time.time() - part.stat().st_mtime > PART_AGE:
            return True
        if host == _host() and os.name == "posix":
            os.kill(int(writer), 0)  # asks only whether it is there
    except ProcessLookupError:
        return True
    except (OSError, ValueError):  # gone meanwhile, of another user, or of another name
        pass
    return False


def _host() -> str:
    return re.sub(r"\W", "-", socket.gethostname())[:60]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def grid(cells: dict[tuple[int, int], Image.Image], cell: int, gap: int = 2) -> Image.Image:
    """Pictures by (row, column) on white, each enlarged to ``cell`` pixels a side without smoothing."""
    rows, columns = (1 + max(key[axis] for key in cells) for axis in (0, 1))
    sheet = Image.new("RGB", (columns * (cell + gap) + gap, rows * (cell + gap) + gap), "white")
    for (row, column), picture in cells.items():
        resample = Image.Resampling.NEAREST if picture.width < cell else Image.Resampling.LANCZOS
        sheet.paste(picture.resize((cell, cell), resample), (gap + column * (cell + gap), gap + row * (cell + gap)))
    return sheet

"""Finding, reading, cropping and writing pictures (Pillow).  Every bad picture becomes a clear ImageError here."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import stat
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from hsx.assets import resolve
from hsx.errors import HsxError, ImageError, first_line
from hsx.sources import MAGIC, in_folder, listed, matching, shown

FITS = ("crop", "pad", "stretch")
PART_AGE = 3600  # seconds after which a temporary file has no living writer


def find_images(source: str, option: str = "pictures") -> list[Path]:
    """The pictures ``source`` names: a picture, a folder, a pattern such as ``data/**/a*.png``, or a list of paths.

    Folders are searched with the folders in them, sorted by path.  A list is a ``.txt`` file with a path a line,
    relative to it; its order is kept, and a path that it names twice.

    Raises:
        HsxError: naming ``option``, where there is nothing, or nothing that is a picture.
    """
    if not source.strip():
        raise HsxError(f"{option}: expected a picture or a folder of pictures, got an empty name; give a path")
    path = resolve(source)
    if os.path.isdir(path):
        return in_folder(path, option)
    if path.suffix.lower() == ".txt" and os.path.isfile(path):
        return listed(path, option)
    if os.path.lexists(path):
        read_image(path, 1)  # a single file that is no picture is refused at once
        return [path]
    if set(MAGIC) & set(source):
        return matching(path, option)
    raise HsxError(f"{option}: expected a picture or a folder of pictures, found nothing at {shown(source)}; "
                   "check the path")


def read_image(path: Path, size: int, fit: str = "crop") -> Tensor:
    """A picture as the network wants it: made square, resized to ``size``; (3, size, size) in [-1, 1].

    EXIF rotation is applied, transparency laid over white, and of an animation the first frame taken.

    Args:
        path: the picture.
        size: pixels a side.
        fit: what makes it square: crop (the middle), pad (white bars) or stretch.

    Raises:
        ImageError: for a file that is missing, unreadable, no picture, truncated or too large.
    """
    picture = _square(_read(path, "picture"), size, fit)
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 127.5 - 1  # (3, R, R)


def read_mask(path: Path, size: int, fit: str = "crop") -> Tensor:
    """A picture's luminance, (1, size, size) in [0, 1], white is 1; otherwise as ``read_image``."""
    grey = _square(_read(path, "mask"), size, fit).convert("L")
    return torch.from_numpy(np.asarray(grey).copy())[None].float() / 255  # (1, R, R)


def pixels_digest(image: Tensor) -> str:
    """A hash of the 8-bit pixels of a (3, R, R) tensor in [-1, 1], 24 hex digits."""
    return hashlib.sha256(to_picture(image).tobytes()).hexdigest()[:24]


def file_digest(path: Path) -> str:
    """A hash of a file's bytes.  Raises ImageError for one that cannot be read."""
    with _reading(path, "picture"):
        return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    """Whatever is wrong with a file becomes one line; one that could block, as a pipe does, is never opened."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is a folder" if stat.S_ISDIR(status.st_mode) else "it is no regular file")
        if not status.st_size:
            raise OSError("it is empty")
        yield
    except Exception as error:  # on broken files Pillow's readers raise all sorts
        raise ImageError(f"{shown(path)}: expected a {what}, could not read it ({_reason(error)}); replace it or "
                         "take it away") from None


def _reason(error: Exception) -> str:
    """Why a file could not be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "it is no picture that Pillow knows"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"it has more than the {Image.MAX_IMAGE_PIXELS:,} pixels that Pillow takes"
    return (isinstance(error, OSError) and error.strerror) or first_line(error)


def _read(path: Path, what: str) -> Image.Image:
    """A picture file as RGB, upright."""
    with _reading(path, what), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as opened:
            return _rgb(ImageOps.exif_transpose(opened))


def _rgb(picture: Image.Image) -> Image.Image:
    """Any mode as RGB: 16 bits and floats scaled to 8 bits, transparency over white."""
    if picture.mode.startswith(("I", "F")):  # 16-bit grey is also read into 32 bits
        values, white = np.asarray(picture), 1 if picture.mode == "F" else 65535
        if not (values.min() >= 0 and values.max() <= white):
            raise ValueError(f"its values are {values.min()} to {values.max()}, not from 0 to {white}")
        picture = Image.fromarray((values * (255 / white)).round().astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


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
    """Write a PNG whole or not at all, with ``text`` in its text chunks, which come before the pixels."""
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_itxt(key, value)
    with atomic(path) as part:
        picture.save(part, format="PNG", pnginfo=info)


def png_text(path: Path, key: str) -> str | None:
    """The text chunk ``key`` of a PNG that ``write_png`` wrote; None without one, or without such a file."""
    try:
        with Image.open(path) as picture:
            text = picture.info.get(key)
            return None if text is None else str(text)
    except (OSError, SyntaxError, ValueError):
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

"""Reading, cropping and writing pictures (Pillow).  Every bad picture becomes a clear ImageError here."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, PngImagePlugin
from torch import Tensor

from hsx.assets import resolve
from hsx.errors import HsxError, ImageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")


def find_images(source: str, option: str = "pictures") -> list[Path]:
    """The picture ``source``, or the pictures in the folder ``source`` and the folders in it, sorted by path.

    Raises:
        HsxError: naming ``option``, where there is nothing, or nothing that is a picture.
    """
    path = resolve(source)
    if not source.strip():
        raise HsxError(f"{option}: expected a picture or a folder of pictures, got an empty name; give a path")
    if path.is_file():
        read_image(path, 1)  # a single file that is no picture is refused at once
        return [path]
    if not path.is_dir():
        raise HsxError(f"{option}: expected a picture or a folder of pictures, found nothing at {source}; "
                       "check the path")
    try:
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    except OSError as error:
        raise HsxError(f"{option}: expected a folder that can be read, got {source} ({error.strerror}); "
                       "check its permissions") from None
    if not files:
        raise HsxError(f"{option}: expected pictures ({', '.join(SUFFIXES)}), found none in the folder {source}; "
                       "put some there or name another folder")
    return files


def read_image(path: Path, size: int) -> Tensor:
    """A picture as the network wants it: centre-cropped to a square, resized to ``size``; (3, size, size) in [-1, 1].

    EXIF rotation is applied, transparency laid over white, and of an animation the first frame taken.

    Raises:
        ImageError: for a file that is missing, unreadable, no picture, truncated or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                picture = _rgb(ImageOps.exif_transpose(opened))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError,
            Image.DecompressionBombWarning) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].replace(str(path), "it")
        raise ImageError(f"{path}: expected a picture, could not read it ({reason}); replace it or take it away"
                         ) from None
    if picture.size != (size, size):
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 127.5 - 1  # (3, R, R)


def file_digest(path: Path) -> str:
    """A hash of a file's bytes.  Raises ImageError for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        raise ImageError(f"{path}: expected a picture, could not read it ({error.strerror}); replace it or take it "
                         "away") from None


def _rgb(picture: Image.Image) -> Image.Image:
    """Any mode as RGB: 16 bits scaled to 8, transparency over white."""
    if picture.mode.startswith("I"):  # 16-bit grey, also as read into 32 bits
        picture = Image.fromarray((np.asarray(picture).clip(0, 65535) / 257).round().astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


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
    """A temporary name beside ``path`` that takes its place when the block ends well, and goes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o666 & ~_umask())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


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

"""The PNGs that hsx writes, and the text in them; nothing here needs torch."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, PngImagePlugin

from hsx.errors import ImageError
from hsx.io.files import atomic
from hsx.io.reading import reading


def write_png(picture: Image.Image, path: Path, text: dict[str, str] | None = None) -> None:
    """Write a PNG whole or not at all, with ``text`` in its text chunks, which come before the pixels.

    It is sRGB, as is every PNG without colour chunks.
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

"""A folder as people have them: pictures of every kind under every kind of name, and files that are none."""

import os
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from .profiles import ADOBE, grey, matrix

PLACES = ("one", "two words", "größer/中文")
NAMES = ("plain", "with space", "quo'te\"d", "new\nline", "Ünïcödé 画像", "#hash", "100% [x] {0}")


def _noise(seed: int, width: int = 24, height: int = 24, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def _picture(seed: int, mode: str = "RGB", **size: int) -> Image.Image:
    return Image.fromarray(_noise(seed, **size)).convert(mode)


def _grey16(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 65536, (24, 24), dtype=np.uint16))


def _float(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).random((24, 24), dtype=np.float32))


def _rotated(path: Path, seed: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    _picture(seed).save(path, exif=exif)


def _animated(path: Path, seed: int) -> None:
    _picture(seed).save(path, save_all=True, append_images=[_picture(seed + 1_000_000)])


# the first three end alike, so that they have equal names in different folders
GOOD: tuple[tuple[str, Callable[[Path, int], None]], ...] = (
    (".png", lambda path, seed: _picture(seed).save(path)),
    (".png", lambda path, seed: _picture(seed, "L").save(path)),
    (".png", lambda path, seed: _picture(seed, "P").save(path, transparency=seed % 256)),
    (".png", lambda path, seed: Image.fromarray(_noise(seed, channels=4)).save(path)),
    (".png", lambda path, seed: _grey16(seed).save(path)),
    (".tif", lambda path, seed: _grey16(seed).save(path)),
    (".tiff", lambda path, seed: _float(seed).save(path)),
    (".jpg", _rotated),
    (".JPG", lambda path, seed: _picture(seed, "CMYK").save(path)),
    (".png", lambda path, seed: _picture(seed).save(path, format="JPEG")),
    (".gif", _animated),
    (".png", _animated),
    (".webp", _animated),
    (".bmp", lambda path, seed: _picture(seed, width=40).save(path)),
    (".jpeg", lambda path, seed: _picture(seed, height=57).save(path)),
    (".png", lambda path, seed: _picture(seed, width=1, height=1).save(path)),
    (".png", lambda path, seed: _picture(seed, width=1, height=5000).save(path)),
    (".jfif", lambda path, seed: _picture(seed).save(path, format="JPEG")),
    (".PPM", lambda path, seed: _picture(seed).save(path)),
    (".tga", lambda path, seed: _picture(seed).save(path)),
    (".png", lambda path, seed: _picture(seed).save(path, icc_profile=matrix(ADOBE, 563 / 256))),
    (".jpg", lambda path, seed: _picture(seed, "L").save(path, icc_profile=grey(1.8))),
)


def _truncated(path: Path, seed: int) -> None:
    buffer = BytesIO()
    _picture(seed).save(buffer, format="PNG")
    path.write_bytes(buffer.getvalue()[:600])


def _huge(path: Path, seed: int) -> None:
    """The head of a PNG of 20,000 x 20,000 bits."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(2501))))


# a word of the reason, and how to make it
BAD: tuple[tuple[str, Callable[[Path, int], object]], ...] = (
    ("empty", lambda path, seed: path.touch()),
    ("truncated", _truncated),
    ("no picture", lambda path, seed: path.write_text(f"no picture, {seed}")),
    ("pixels", _huge),
    ("No such file", lambda path, seed: path.symlink_to("nowhere.png")),
    ("symbolic links", lambda path, seed: path.symlink_to(path.name)),
    ("no regular file", lambda path, seed: os.mkfifo(path)),
)


def wild_folder(folder: Path, good: int, bad: int) -> dict[str, str]:
    """Fill ``folder`` with ``good`` different pictures, ``bad`` files that are none, and a few things to leave out.

    Returns:
        The path of each bad one, relative to ``folder``, with a word that its reason holds.
    """
    for place in PLACES:
        (folder / place / "folder.png").mkdir(parents=True)
        (folder / place / "notes.md").write_text("no picture")
        (folder / place / ".hidden.png").write_bytes(b"")
    for i in range(good):
        suffix, make = GOOD[i % len(GOOD)]
        make(_place(folder, f"{i // len(PLACES):03} ", i, suffix), i)
    reasons = {}
    for i in range(bad):
        word, make = BAD[i % len(BAD)]
        path = _place(folder, f"bad {i:03} ", i, ".png")
        make(path, i)
        reasons[str(path.relative_to(folder))] = word
    return reasons


def _place(folder: Path, start: str, i: int, suffix: str) -> Path:
    name = NAMES[i // len(PLACES) % len(NAMES)]
    return folder / PLACES[i % len(PLACES)] / f"{start}{name}{suffix}"

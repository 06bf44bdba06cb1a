"""The colour space that a picture file states: an embedded profile, or tags that stand for one."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from PIL import Image

from hsx.io import icc
from hsx.io.colour import LARGEST

GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")
PAL, SMPTE_C = (0.64, 0.33, 0.29, 0.60, 0.15, 0.06), (0.63, 0.34, 0.31, 0.595, 0.155, 0.07)
BT2020, P3 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046), (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
# CICP (ITU-T H.273), of PNG's cICP and AVIF's nclx: primaries, their white if not D65, and curves by number
PRIMARIES = {1: icc.SRGB, 2: icc.SRGB, 5: PAL, 6: SMPTE_C, 7: SMPTE_C, 9: BT2020, 11: P3, 12: P3}
WHITES = {11: (0.314, 0.351)}
AS_SRGB = dict.fromkeys((1, 2, 6, 13, 14, 15), icc.SRGB_CURVE)  # those of television too, as in browsers
CURVES: dict[int, Sequence[float]] = {**AS_SRGB, 4: (2.2,), 5: (2.8,), 8: (1.0,)}
HDR = {16: "PQ", 18: "HLG"}


class TagError(Exception):
    """A statement about colours that cannot be used; why, in a few words."""


def profile_of(picture: Image.Image, path: Path) -> bytes | None:
    """The ICC profile of an opened picture's colours, built where tags stand for one; None for sRGB or no statement.

    An embedded profile goes before tags, but PNG's cICP before it (PNG, third edition).

    Raises:
        TagError: for a statement that cannot be used.
        ValueError: for a picture of high dynamic range, which has no 8-bit sRGB.
    """
    in_memory = not path.is_file()
    chunks = _png_kept(picture) if in_memory else _png_chunks(path) if picture.format == "PNG" else {}
    if b"cICP" in chunks:
        return _cicp(picture, *struct.unpack(">BBxB", chunks[b"cICP"][:4].ljust(4, b"\0")))
    if "icc_profile" in picture.info:
        embedded = picture.info["icc_profile"]
        if not isinstance(embedded, bytes) or not embedded:
            raise TagError("its colour profile is broken")
        return embedded
    if b"sRGB" in chunks:
        return None
    if b"gAMA" in chunks or b"cHRM" in chunks:
        return _png_gamma(picture, chunks)
    reader = {"JPEG2000": _jp2, "AVIF": _avif, "GIF": _gif, "BMP": _bmp}.get(picture.format or "")
    if reader and not in_memory:
        return reader(picture, path)
    return _tiff(picture) if picture.format == "TIFF" else _exif(picture)


def _profile(picture: Image.Image, primaries: Sequence[float], white: Sequence[float], curve: Sequence[float]) -> bytes:
    return icc.profile(primaries, white, curve, grey=picture.mode in GREY)


def _cicp(picture: Image.Image, primaries: int, curve: int, full: int = 1) -> bytes:
    if curve in HDR:
        raise ValueError(f"it is of high dynamic range ({HDR[curve]}); save it as sRGB")
    if curve not in CURVES or primaries not in PRIMARIES or not full:
        code = f"primaries {primaries}, curve {curve}{'' if full else ', narrow range'}"
        raise ValueError(f"its colours are coded as {code} (CICP), which hsx does not know; save it as sRGB")
    return _profile(picture, PRIMARIES[primaries], WHITES.get(primaries, icc.D65), CURVES[curve])


def _png_chunks(path: Path) -> dict[bytes, bytes]:
    """The chunks of a PNG that are about colour, by name."""
    found: dict[bytes, bytes] = {}
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
            length, start = int.from_bytes(head[:4], "big"), file.tell()
            if head[4:] in (b"cICP", b"sRGB", b"gAMA", b"cHRM"):
                found.setdefault(head[4:], file.read(min(length, 32)))
            file.seek(start + length + 4)
    return found


def _png_kept(picture: Image.Image) -> dict[bytes, bytes]:
    """The same of a picture in memory, as far as Pillow keeps them, which cICP is not; strings are text chunks."""
    chunks = {}
    if isinstance(picture.info.get("srgb"), int):
        chunks[b"sRGB"] = b""
    if isinstance(gamma := picture.info.get("gamma"), float):
        chunks[b"gAMA"] = struct.pack(">I", round(gamma * 100_000))
    if isinstance(numbers := picture.info.get("chromaticity"), tuple):
        chunks[b"cHRM"] = struct.pack(f">{len(numbers)}I", *(round(number * 100_000) for number in numbers))
    return chunks


def _png_gamma(picture: Image.Image, chunks: dict[bytes, bytes]) -> bytes:
    """A gamma of 1 / 2.2 stands for sRGB's own curve: PNG has writers of sRGB add it."""
    curve: Sequence[float] = icc.SRGB_CURVE
    if b"gAMA" in chunks:
        gamma = int.from_bytes(chunks[b"gAMA"], "big") / 100_000
        if not 0.1 <= gamma <= 2:
            raise TagError(f"its gamma (gAMA) is {gamma}")
        curve = curve if abs(gamma * 2.2 - 1) < 0.02 else (1 / gamma,)
    if len(numbers := chunks.get(b"cHRM", b"")) != 32:
        return _profile(picture, icc.SRGB, icc.D65, curve)
    white_x, white_y, *primaries = (number / 100_000 for number in struct.unpack(">8I", numbers))
    try:
        return _profile(picture, primaries, (white_x, white_y), curve)
    except ValueError as error:
        raise TagError(f"{error} (cHRM)") from None


def _tiff(picture: Image.Image) -> bytes | None:
    tags: Any = getattr(picture, "tag_v2", {})
    if 318 not in tags or 319 not in tags:
        return _exif(picture)
    try:
        white, primaries = ([float(v) for v in tags[tag]] for tag in (318, 319))
        return _profile(picture, primaries, white, icc.SRGB_CURVE)
    except (ValueError, TypeError, ArithmeticError, IndexError):
        raise TagError("its primaries (PrimaryChromaticities) span no colours") from None


def _exif(picture: Image.Image) -> bytes | None:
    """Cameras mark Adobe RGB with the interoperability index R03 (DCF 2.0) or the number 2, sRGB with R98."""
    try:
        exif = picture.getexif()
        space, index = exif.get_ifd(0x8769).get(0xA001), str(exif.get_ifd(0xA005).get(1)).strip("\0 ")
    except Exception:  # Pillow raises all sorts for broken EXIF, which then counts as none
        return None
    if space in (None, 1) or index == "R98" or picture.mode in GREY:
        return None
    if space == 2 or index == "R03":
        return icc.profile(icc.ADOBE_RGB, icc.D65, (563 / 256,))
    colours = "uncalibrated" if space == 0xFFFF else f"of space {space}"
    raise TagError(f"EXIF says that its colours are {colours}, and it has no profile")


def _enter(file: IO[bytes], end: int, wanted: bytes) -> int:
    """Go to the contents of the first box ``wanted`` (ISO base media) before ``end``: where it ends, 0 without one."""
    while (start := file.tell()) + 8 <= end and len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        stop = min(start + length, end) if length else end
        if stop < file.tell():
            return 0
        if name == wanted:
            return stop
        file.seek(stop)
    return 0


def _colr(path: Path, *boxes: bytes) -> bytes:
    """The first box colr inside ``boxes``, one in another; empty without it."""
    with path.open("rb") as file:
        end = path.stat().st_size
        for box in (*boxes, b"colr"):
            end = _enter(file, end, box)
            if box == b"meta":
                file.read(4)  # its version and flags
        return file.read(min(end - file.tell(), LARGEST + 16)) if end else b""


def _jp2(picture: Image.Image, path: Path) -> bytes | None:
    """A method, two bytes, and a number for the space or a profile (ISO 15444-1, I.5.3.3)."""
    box = _colr(path, b"jp2h")
    number = int.from_bytes(box[3:7], "big")  # sRGB, grey, sYCC or inks
    if not box or box[:1] == b"\1" and (number in (16, 17, 18) or number == 12 and picture.mode == "CMYK"):
        return None
    if box[:1] in (b"\2", b"\3"):
        return box[3:]
    raise TagError(f"its colour space (colr, method {box[0]}, number {number}) is not known")


def _avif(picture: Image.Image, path: Path) -> bytes | None:
    """The numbers (nclx), which Pillow does not read; it does read a profile."""
    box = _colr(path, b"meta", b"iprp", b"ipco")
    if box[:4] != b"nclx" or len(box) < 8:
        return _exif(picture)
    return _cicp(picture, *struct.unpack(">HH", box[4:8]))


def _gif(picture: Image.Image, path: Path) -> bytes | None:
    """The application extension ICCRGBG1012, in pieces of 255 bytes at most."""
    with path.open("rb") as file:
        flags = file.read(13)[10]
        file.seek(3 << (flags & 7) + 1 if flags & 128 else 0, 1)
        while file.read(1) == b"!":
            label, blocks = file.read(1), [*iter(lambda: file.read(int.from_bytes(file.read(1), "big")), b"")]
            if label == b"\xff" and blocks[:1] == [b"ICCRGBG1012"]:
                return b"".join(blocks[1:])
    return None


def _bmp(picture: Image.Image, path: Path) -> bytes | None:
    """The profile of a BITMAPV5HEADER."""
    with path.open("rb") as file:
        head = file.read(14 + 124)
        if len(head) < 138 or head[14:18] != b"\x7c\0\0\0" or head[70:74] not in (b"DEBM", b"KNIL"):
            return None
        if head[70:74] == b"KNIL":
            raise TagError("its colour profile is in another file")
        start, length = struct.unpack("<II", head[126:134])
        file.seek(14 + start)
        return file.read(min(length, LARGEST + 1))

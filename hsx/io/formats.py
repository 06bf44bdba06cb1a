"""Which pictures are opened: every format of Pillow that runs nothing; and what other files are, by first bytes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

LEFT_OUT = {  # formats that Pillow opens and hsx does not, each with its reason
    "EPS": "PostScript is a program, which Pillow starts Ghostscript to run",
    "WMF": "a metafile is drawing commands, which Windows would run",
    "IPTC": "a wrapper in which Pillow opens whatever it finds, PostScript too",
    **dict.fromkeys(("FPX", "MIC"), "a container of files, read through another package"),
    **dict.fromkeys(("BUFR", "GRIB"), "measurements, which Pillow knows by name but cannot read"),
    "HDF5": "tables of numbers, which Pillow knows by name but cannot read",
    "MPEG": "a film, of which Pillow reads the size alone",
}
WITHIN = {"MPO": "JPEG"}  # suffixes of a format that another one's reader reads
OTHERS = (  # suffixes of what may be meant as a picture and that Pillow, or this one, does not read
    *(".heic", ".heif", ".hif", ".heics", ".jxl", ".jxr", ".wdp", ".exr", ".hdr", ".avif", ".webp", ".jp2"),
    *(".svg", ".svgz", ".pdf", ".ai", ".xcf", ".kra", ".psb", ".djvu", ".fpx", ".mic"),
    *(".raw", ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".rw2", ".raf"),
    *(".pef", ".srw", ".3fr", ".iiq", ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv"),
)
EVERYDAY = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PSD")  # their first bytes leave no doubt
SIGNATURES: tuple[tuple[str, int, tuple[bytes, ...]], ...] = (  # what a file is, by which bytes, from where in it
    ("PostScript, a program, which hsx does not run", 0, (b"%!", b"\xc5\xd0\xd3\xc6")),
    ("a PDF", 0, (b"%PDF",)),
    ("a Windows metafile", 0, (b"\xd7\xcd\xc6\x9a",)),
    ("a Windows metafile", 40, (b" EMF",)),
    ("a HEIC picture", 8, (b"heic", b"heix")),
    ("a HEIF picture", 8, (b"mif1",)),
    ("a camera's raw picture", 8, (b"crx ",)),
    ("a film", 4, (b"ftyp",)),
    ("an MPEG film", 0, (b"\x00\x00\x01\xb3", b"\x00\x00\x01\xba")),
    ("a film", 0, (b"\x1aE\xdf\xa3",)),
    ("a JPEG XL picture", 0, (b"\xff\x0a",)),
    ("a JPEG XL picture", 4, (b"JXL ",)),
    ("an OpenEXR picture", 0, (b"v/1\x01",)),
    ("a Radiance HDR picture", 0, (b"#?R",)),
    ("a JPEG XR picture", 0, (b"II\xbc",)),
    ("a GIMP picture", 0, (b"gimp xcf",)),
    ("a large Photoshop picture (PSB)", 0, (b"8BPS\x00\x02",)),
    ("a camera's raw picture", 0, (b"FUJIFILM", b"IIU\x00", b"IIR")),
    ("an HDF5 file", 0, (b"\x89HDF",)),
    ("a GRIB file", 0, (b"GRIB",)),
    ("a BUFR file", 0, (b"BUFR",)),
    ("an OLE container", 0, (b"\xd0\xcf\x11\xe0",)),
    ("a ZIP archive", 0, (b"PK\x03\x04",)),
    ("a gzip archive", 0, (b"\x1f\x8b",)),
    ("a Git LFS pointer, not the file itself", 0, (b"version https://git-lfs",)),
    ("an SVG drawing", 0, (b"<svg",)),
    ("XML, perhaps an SVG drawing", 0, (b"<?xml",)),
    ("a web page", 0, (b"<!doctype html", b"<html")),
    ("an IPTC file", 0, (b"\x1c\x02", b"\x1c\x03")),
)


@cache
def readable() -> tuple[str, ...]:
    """Pillow's names of the formats that are opened, those first that are known by their first bytes."""
    Image.init()
    opened = set(Image.ID) - LEFT_OUT.keys()
    return tuple(sorted(opened, key=lambda name: (Image.OPEN[name][1] is None, name not in EVERYDAY, name)))


@cache
def suffixes() -> tuple[str, ...]:
    """The suffixes of pictures, in small letters."""
    formats = readable()
    return tuple(sorted(s for s, name in Image.registered_extensions().items() if WITHIN.get(name, name) in formats))


@cache
def not_read() -> tuple[str, ...]:
    """The suffixes of what may be meant as a picture and is not opened."""
    return tuple(sorted({*OTHERS, *Image.registered_extensions()} - {*suffixes()}))


def is_everyday(path: Path) -> bool:
    """Whether a file without a picture's suffix starts as a picture of an everyday format does."""
    try:
        head = _head(path) if path.is_file() else b""
    except OSError:
        return False
    return any(_accepts(name, head) is True for name in EVERYDAY if name in readable())


def likely(path: Path) -> tuple[str, ...]:
    """The formats to try on a file; those without a signature only if it has no other known one."""
    return tuple(name for name in readable() if Image.OPEN[name][1]) if _signature(_head(path)) else readable()


def kind(path: Path) -> str:
    """What a file that is not opened is, in a few words."""
    head = _head(path)
    not_built = (why for name in readable() if isinstance(why := _accepts(name, head), str))
    return next(not_built, f"it is {_signature(head) or 'no picture that Pillow knows'}")


def _signature(head: bytes) -> str | None:
    """What a file is by its first bytes; for words, blanks before them and their case do not count."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for what, place, starts in SIGNATURES:
        words = tuple(start.lower() for start in starts if not place and start.isascii())
        if head[place:].startswith(starts) or text.startswith(words):
            return what
    return None


def refuse_preview(picture: Image.Image, path: Path) -> None:
    """Raise ValueError for a camera's raw picture: it is a TIFF whose first page is a preview."""
    tags: Any = getattr(picture, "tag_v2", {})
    raw = 50706 in tags or int(tags.get(254, 0)) & 1  # DNGVersion, or a page made smaller
    if picture.format == "TIFF" and (raw or _head(path)[8:10] == b"CR"):  # or Canon's
        raise ValueError("it is a camera's raw picture, of which Pillow reads the preview alone; develop it first")


def frames(picture: Image.Image) -> str:
    """How many pictures an opened file holds and which is read; empty for one, or one in parts, as in PSD."""
    if picture.format in ("ICO", "CUR", "ICNS"):
        sizes = picture.info.get("sizes")
        count = len(sizes) if isinstance(sizes, set | list) else 1
        return f"it holds {count} sizes: the largest is taken" if count > 1 else ""
    count = 1 if picture.format in ("MPO", "PSD") else getattr(picture, "n_frames", 1)
    return f"it holds {count} pictures: the first is taken" if count > 1 else ""


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)


def _accepts(name: str, head: bytes) -> bool | str:
    """Whether a format takes a file by its first bytes, or why this Pillow, built without it, cannot read it."""
    accept = Image.OPEN[name][1]
    try:
        return accept is not None and bool(head) and (accept(head[:16]) or False)
    except Exception:  # of a head too short
        return False

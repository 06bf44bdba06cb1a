"""Pictures with ICC profiles (version 2, written byte by byte, with the figures that their makers publish)."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from hsx.io.images import read_image

ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))  # XYZ of r, g, b at D50
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
D50 = (0.9642, 1.0, 0.8249)
TO_SRGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)  # of XYZ at D50, Lindbloom


def _fixed(*values):
    return b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def _curve(gamma):
    """A number, or a function that is sampled at 1,024 places, as Hewlett-Packard's sRGB is."""
    if callable(gamma):
        return struct.pack(">4s4xI", b"curv", 1024) + b"".join(
            struct.pack(">H", round(65535 * gamma(i / 1023))) for i in range(1024)
        )
    return struct.pack(">4s4xIH", b"curv", 1, round(gamma * 256)) + b"\0\0"


def icc(space, tags, device=b"mntr", connection=b"XYZ "):
    """A profile of ``tags``."""
    tags = {
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(*D50),
        b"desc": struct.pack(">4s4xI4s79x", b"desc", 4, b"mine"),
        b"cprt": b"text\0\0\0\0none\0",
        **tags,
    }
    table, data = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    head = struct.pack(
        ">I4sI4s4s4s12x4s", 132 + 12 * len(tags) + len(data), b"", 0x02400000, device, space, connection, b"acsp"
    )
    return head.ljust(68, b"\0") + _fixed(*D50) + bytes(48) + table + data


def matrix(colorants, gamma, **more):
    return icc(
        b"RGB ",
        {
            t: b
            for n, c in zip((b"r", b"g", b"b"), colorants, strict=True)
            for t, b in ((n + b"XYZ", b"XYZ \0\0\0\0" + _fixed(*c)), (n + b"TRC", _curve(gamma)))
        },
        **more,
    )


def grey(gamma, **more):
    return icc(b"GRAY", {b"kTRC": _curve(gamma)}, **more)


def cmyk():
    """Of four inks, multilinear in Lab between the sixteen corners, whose Lab is in ``INKS``."""
    ramp = bytes(range(256))
    corners = b"".join(bytes((round(L * 2.55), round(a + 128), round(b + 128))) for L, a, b in INKS.values())
    lut = struct.pack(">4s4xBBBx", b"mft1", 4, 3, 2) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + ramp * 4 + corners + ramp * 3
    return icc(b"CMYK", {b"A2B0": lut, b"A2B1": lut}, device=b"prtr", connection=b"Lab ")


INKS = {
    (c, m, y, k): (
        95 * (1 - 0.35 * c) * (1 - 0.5 * m) * (1 - 0.1 * y) * (1 - 0.9 * k),
        (-35 * c + 70 * m) * (1 - k),
        (-45 * c - 5 * m + 85 * y) * (1 - k),
    )
    for c in (0, 1)
    for m in (0, 1)
    for y in (0, 1)
    for k in (0, 1)
}


def decoded(v):
    """sRGB's own curve, linear light from 0 to 1."""
    return np.where(np.asarray(v) <= 0.04045, np.asarray(v) / 12.92, ((np.asarray(v) + 0.055) / 1.055) ** 2.4)


def encoded(linear):
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def in_srgb(pixels, colorants, gamma):
    """What 8-bit ``pixels`` (..., 3) of a matrix profile are in sRGB, from 0 to 255."""
    linear = gamma(pixels / 255) if callable(gamma) else (pixels / 255) ** gamma
    return encoded(linear @ np.array(colorants) @ TO_SRGB.T)


def lab_in_srgb(L, a, b):
    f = (L + 16) / 116
    xyz = [
        w * (v**3 if v > 6 / 29 else 3 * (6 / 29) ** 2 * (v - 4 / 29))
        for v, w in zip((f + a / 500, f, f - b / 200), D50, strict=True)
    ]
    return encoded(TO_SRGB @ np.array(xyz))


PIXELS = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)


def read(picture) -> np.ndarray:
    """What hsx reads, (24, 24, 3), 0 to 255."""
    return np.asarray(read_image(picture, 24).add(1).mul(127.5).round().permute(1, 2, 0))


def raw(path) -> np.ndarray:
    """The numbers in a file."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def png_with(picture: Image.Image, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with chunks after its head."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    more = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return buffer.getvalue()[:33] + more + buffer.getvalue()[33:]

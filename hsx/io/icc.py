"""A small ICC profile of primaries, white and tone curve (ICC.1:2022), for pictures that state these without one."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])  # XYZ of the profile connection space
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D65 = (0.3127, 0.3290)
SRGB = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # x, y of red, green and blue
ADOBE_RGB = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # IEC 61966-2-1


def profile(primaries: Sequence[float], white: Sequence[float], curve: Sequence[float], grey: bool = False) -> bytes:
    """A display profile, or a grey one.

    Args:
        primaries: x, y of red, green and blue.
        white: its x, y, adapted to D50 after Bradford.
        curve: g of Y = X^g; or g, a, b, c, d of Y = (aX + b)^g from d on, cX below.
        grey: of one channel; the primaries are not used.

    Raises:
        ValueError: for primaries or a white that span no colours.
    """
    trc = struct.pack(">4s4xHxx", b"para", 3 if len(curve) == 5 else 0) + _fixed(curve)
    tags = {b"wtpt": _xyz(D50), b"desc": _text("hsx"), b"cprt": _text("CC0")}
    if grey:
        tags[b"kTRC"] = trc
    else:
        for name, column in zip((b"r", b"g", b"b"), colorants(primaries, white).T, strict=True):
            tags |= {name + b"XYZ": _xyz(column), name + b"TRC": trc}
    table, data, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for tag, body in tags.items():
        table += struct.pack(">4sII", tag, start + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    size, space = start + len(data), b"GRAY" if grey else b"RGB "
    head = struct.pack(">I4sI4s4s4s12x4s", size, b"", 0x04200000, b"mntr", space, b"XYZ ", b"acsp")
    return head.ljust(68, b"\0") + _fixed(D50) + bytes(48) + table + data


def colorants(primaries: Sequence[float], white: Sequence[float]) -> np.ndarray:
    """The XYZ of red, green and blue relative to D50, in the columns of a (3, 3) matrix."""
    x, y = np.reshape(primaries, (3, 2)).T
    spread = np.array([x, y, 1 - x - y])
    if not (np.isfinite(spread).all() and abs(np.linalg.det(spread)) > 1e-3 and 0.05 < white[1] < 1):
        raise ValueError("its primaries span no colours")
    whole = np.array([white[0], white[1], 1 - white[0] - white[1]]) / white[1]
    shares = np.linalg.solve(spread, whole)
    cone = BRADFORD @ whole
    if not ((shares > 0).all() and (cone > 0).all()):
        raise ValueError("its white is outside its primaries")
    adaptation = np.linalg.solve(BRADFORD, np.diag(BRADFORD @ D50 / cone) @ BRADFORD)
    return np.asarray(adaptation @ (spread * shares))


def _fixed(values: Iterable[float]) -> bytes:
    """Each as s15Fixed16Number."""
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(values: np.ndarray) -> bytes:
    return struct.pack(">4s4x", b"XYZ ") + _fixed(values)


def _text(words: str) -> bytes:
    """multiLocalizedUnicodeType of one record."""
    text = words.encode("utf-16-be")
    return struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(text), 28) + text

"""What files say of their colours beside a profile that Pillow reads: chunks, boxes, headers and EXIF."""

import io
import logging
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from hsx.errors import ImageError
from hsx.io.images import read_mask

from ..profiles import ADOBE, P3, PIXELS, PROPHOTO, SRGB, decoded, encoded, in_srgb, matrix, png_with, raw, read


@pytest.fixture(autouse=True)
def said(monkeypatch, caplog):
    """What is said of pictures, from a clean slate."""
    monkeypatch.setattr("hsx.io.reading._warned", {})
    caplog.set_level(logging.WARNING, "hsx")
    return caplog


def test_an_unreadable_iccp_chunk_is_said_and_a_bomb_fails_by_itself(tmp_path, said):
    (tmp_path / "a.png").write_bytes(png_with(Image.fromarray(PIXELS), (b"iCCP", b"mine\0\0no zlib")))
    assert (read(tmp_path / "a.png") == PIXELS).all() and "its colour profile is broken: read as sRGB" in said.text
    bomb = zlib.compress(bytes(1 << 24))
    (tmp_path / "b.png").write_bytes(png_with(Image.fromarray(PIXELS), (b"iCCP", b"x\0\0" + bomb)))
    with pytest.raises(ImageError, match="b.png: expected a picture, could not read it .Decompressed data too large"):
        read(tmp_path / "b.png")


D65 = (31270, 32900)
PNG = {  # chunks, and of what space the pixels then are; None is sRGB
    "gamma of sRGB": ([(b"gAMA", struct.pack(">I", 45455))], None),
    "gamma and primaries of sRGB": (
        [
            (b"gAMA", struct.pack(">I", 45455)),
            (b"cHRM", struct.pack(">8I", *D65, 64000, 33000, 30000, 60000, 15000, 6000)),
        ],
        None,
    ),
    "linear": ([(b"gAMA", struct.pack(">I", 100000))], (SRGB, 1.0)),
    "gamma 1.8": ([(b"gAMA", struct.pack(">I", 55556))], (SRGB, 1.8)),
    "sRGB goes before gamma": ([(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100000))], None),
    "Adobe's primaries, sRGB's curve": (
        [(b"cHRM", struct.pack(">8I", *D65, 64000, 33000, 21000, 71000, 15000, 6000))],
        (ADOBE, decoded),
    ),
    "P3 by cICP": ([(b"cICP", bytes([12, 13, 0, 1]))], (P3, decoded)),
    "sRGB by cICP": ([(b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", struct.pack(">I", 100000))], None),
    "linear by cICP": ([(b"cICP", bytes([1, 8, 0, 1]))], (SRGB, 1.0)),
    "cICP before a profile": (
        [(b"cICP", bytes([1, 13, 0, 1])), (b"iCCP", b"x\0\0" + zlib.compress(matrix(ADOBE, 1.0)))],
        None,
    ),
    "profile before gamma": (
        [(b"gAMA", struct.pack(">I", 100000)), (b"iCCP", b"x\0\0" + zlib.compress(matrix(PROPHOTO, 1.8)))],
        (PROPHOTO, 1.8),
    ),
    "words are no tags": ([(b"tEXt", b"gamma\x001.0"), (b"tEXt", b"srgb\x001")], None),
}


@pytest.mark.parametrize("case", PNG)
def test_chunks_of_png(tmp_path, case, said):
    chunks, space = PNG[case]
    path = tmp_path / "a.png"
    path.write_bytes(png_with(Image.fromarray(PIXELS), *chunks))
    expected = PIXELS if space is None else in_srgb(PIXELS, *space)
    pictures = [path]
    if "cICP" not in case:  # which Pillow does not keep
        pictures += [Image.open(io.BytesIO(path.read_bytes())), Image.open(path).copy()]
    for picture in pictures:
        assert abs(read(picture) - expected).max() <= (2 if space else 0) and not said.records
    if space is None or space[0] is not SRGB:
        return
    wide = np.arange(576, dtype=np.uint16).reshape(24, 24) * 113
    path.write_bytes(png_with(Image.fromarray(wide), *chunks))
    assert abs(read(path) - encoded((wide[..., None] / 65535) ** space[1])).max() <= 1


@pytest.mark.parametrize(
    ("chunk_", "word"),
    [
        ((b"gAMA", bytes(4)), r"its gamma \(gAMA\) is 0.0: read as sRGB"),
        ((b"gAMA", b"\xff" * 4), r"its gamma \(gAMA\) is"),
        ((b"cHRM", bytes(32)), r"its primaries span no colours \(cHRM\)"),
        ((b"cHRM", struct.pack(">8I", 90000, 5000, 64000, 33000, 30000, 60000, 15000, 6000)), "outside|no colours"),
    ],
)
def test_absurd_chunks_are_said(tmp_path, chunk_, word, said):
    (tmp_path / "a.png").write_bytes(png_with(Image.fromarray(PIXELS), chunk_))
    assert (read(tmp_path / "a.png") == PIXELS).all()
    assert re.search(word, said.text)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ((9, 16, 0, 1), r"of high dynamic range \(PQ\); save it as sRGB"),
        ((9, 18, 0, 1), "HLG"),
        ((200, 13, 0, 1), "primaries 200, curve 13"),
        ((1, 13, 0, 0), "narrow range"),
    ],
)
def test_high_dynamic_range_and_unknown_codes_fail_by_themselves(tmp_path, code, word):
    (tmp_path / "a.png").write_bytes(png_with(Image.fromarray(PIXELS), (b"cICP", bytes(code))))
    with pytest.raises(ImageError, match=word):
        read(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", 24).shape == (1, 24, 24)  # a mask's values are numbers


def test_exif_says_adobe_rgb_or_nothing_that_can_be_used(tmp_path, said):
    for space, index, expected in (
        (0xFFFF, "R03", True),
        (2, None, True),
        (1, None, False),
        (1, "R98", False),
        (0xFFFF, "R98", False),
    ):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0xA001] = space
        if index:
            exif.get_ifd(0x8769)[0xA005] = {1: index}
        path = tmp_path / f"{space}{index}.jpg"
        Image.fromarray(PIXELS).save(path, exif=exif, quality=100, subsampling=0)
        right = in_srgb(raw(path), ADOBE, 563 / 256) if expected else raw(path)
        assert abs(read(path) - right).max() <= (2 if expected else 0) and not said.records
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 0xFFFF
    Image.fromarray(PIXELS).save(tmp_path / "a.webp", exif=exif, lossless=True)
    assert (read(tmp_path / "a.webp") == PIXELS).all() and "EXIF says that its colours are uncalibrated" in said.text
    Image.fromarray(PIXELS).save(tmp_path / "b.webp", exif=exif, lossless=True, icc_profile=matrix(P3, decoded))
    assert abs(read(tmp_path / "b.webp") - in_srgb(PIXELS, P3, decoded)).max() <= 2 and len(said.records) == 1


def test_profiles_that_pillow_does_not_look_for(tmp_path, said):
    """In JPEG 2000, GIF and BMP."""
    profile, space = matrix(ADOBE, 563 / 256), (ADOBE, 563 / 256)
    Image.fromarray(PIXELS).save(tmp_path / "a.jp2", irreversible=False)
    data = (tmp_path / "a.jp2").read_bytes()
    assert (read(tmp_path / "a.jp2") == PIXELS).all()
    place, head = data.index(b"colr") - 4, data.index(b"jp2h") - 4
    old = int.from_bytes(data[place : place + 4], "big")
    new = struct.pack(">I4sBBB", 11 + len(profile), b"colr", 2, 0, 0)
    size = int.from_bytes(data[head : head + 4], "big") - old + 11 + len(profile)
    (tmp_path / "a.jp2").write_bytes(
        data[:head] + struct.pack(">I", size) + data[head + 4 : place] + new + profile + data[place + old :]
    )
    assert abs(read(tmp_path / "a.jp2") - in_srgb(PIXELS, *space)).max() <= 2

    palette = Image.fromarray(PIXELS).quantize(200)
    palette.save(tmp_path / "a.gif")
    data, colours = (tmp_path / "a.gif").read_bytes(), raw(tmp_path / "a.gif")
    start = 13 + (3 << ((data[10] & 7) + 1))
    blocks = b"".join(bytes([len(part)]) + part for part in (profile[i : i + 255] for i in range(0, len(profile), 255)))
    (tmp_path / "a.gif").write_bytes(
        data[:start] + b"!\xfe\x05hello\0!\xff\x0bICCRGBG1012" + blocks + b"\0" + data[start:]
    )
    assert abs(read(tmp_path / "a.gif") - in_srgb(colours, *space)).max() <= 2

    rows = PIXELS[::-1, :, ::-1].tobytes()
    for kind, far in ((b"DEBM", True), (b"KNIL", False)):
        info = (
            struct.pack("<IiiHHIIiiII", 124, 24, 24, 1, 24, 0, len(rows), 0, 0, 0, 0)
            + bytes(16)
            + kind
            + bytes(36 + 12)
            + struct.pack("<IIII", 4, 124 + len(rows), len(profile), 0)
        )
        (tmp_path / "a.bmp").write_bytes(
            b"BM" + struct.pack("<IHHI", 138 + len(rows) + len(profile), 0, 0, 138) + info + rows + profile
        )
        assert abs(read(tmp_path / "a.bmp") - (in_srgb(PIXELS, *space) if far else PIXELS)).max() <= 2
    assert len(said.records) == 1 and "its colour profile is in another file: read as sRGB" in said.text


def test_numbers_of_avif(tmp_path):
    """AVIF tells its space in a box of four numbers."""
    Image.fromarray(PIXELS).save(tmp_path / "a.avif", quality=100, subsampling="4:4:4")
    data = (tmp_path / "a.avif").read_bytes()
    place, plain = data.index(b"colrnclx") + 8, raw(tmp_path / "a.avif")
    assert (read(tmp_path / "a.avif") == plain).all()
    (tmp_path / "a.avif").write_bytes(data[:place] + struct.pack(">HH", 12, 13) + data[place + 4 :])
    assert abs(read(tmp_path / "a.avif") - in_srgb(raw(tmp_path / "a.avif"), P3, decoded)).max() <= 2
    (tmp_path / "a.avif").write_bytes(data[:place] + struct.pack(">HH", 9, 16) + data[place + 4 :])
    with pytest.raises(ImageError, match="high dynamic range"):
        read(tmp_path / "a.avif")


def test_primaries_of_tiff(tmp_path, said):
    tags = {318: (0.3127, 0.3290), 319: (0.64, 0.33, 0.21, 0.71, 0.15, 0.06)}
    Image.fromarray(PIXELS).save(tmp_path / "a.tif", tiffinfo=tags)
    assert abs(read(tmp_path / "a.tif") - in_srgb(PIXELS, ADOBE, decoded)).max() <= 2
    Image.fromarray(PIXELS).save(tmp_path / "b.tif", tiffinfo={**tags, 319: (0.0,) * 6})
    assert (read(tmp_path / "b.tif") == PIXELS).all() and "PrimaryChromaticities" in said.text

"""Pictures of other colour spaces become sRGB, or are named."""

import logging
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL._util import DeferredError

from hsx.errors import ImageError
from hsx.io import colour, icc
from hsx.io.images import read_image, read_mask
from hsx.pairs.pairing import product
from hsx.pairs.sources import find_images
from hsx.report.sheets import write_sheets
from hsx.strategies import Masked

from .. import profiles
from ..profiles import (
    ADOBE,
    D50,
    INKS,
    P3,
    PIXELS,
    PROPHOTO,
    SRGB,
    cmyk,
    decoded,
    encoded,
    grey,
    in_srgb,
    lab_in_srgb,
    matrix,
    png_with,
    raw,
    read,
)

SPACES = {
    "Adobe RGB": (ADOBE, 563 / 256),
    "Display P3": (P3, decoded),
    "ProPhoto": (PROPHOTO, 1.8),
    "linear": (SRGB, 1.0),
    "gamma 2.2": (SRGB, 563 / 256),
}
LOSSLESS: dict[str, dict] = {
    "png": {},
    "tif": {},
    "webp": {"lossless": True},
    "jpg": {"quality": 100, "subsampling": 0},
    "avif": {"quality": 100, "subsampling": "4:4:4"},
}


@pytest.fixture(autouse=True)
def said(monkeypatch, caplog):
    """What is said of pictures, from a clean slate."""
    monkeypatch.setattr("hsx.io.reading._warned", {})
    caplog.set_level(logging.WARNING, "hsx")
    return caplog


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("name", SPACES)
def test_matrix_profiles_are_converted_as_the_formula_says(tmp_path, name, suffix, said):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PIXELS).save(path, icc_profile=matrix(*SPACES[name]), **LOSSLESS[suffix])
    expected = in_srgb(raw(path), *SPACES[name])
    apart = abs(read(path) - expected)
    assert apart.max() <= 2 and apart.mean() < 0.4 and not said.records
    assert abs(raw(path) - expected).mean() > 12 or name == "gamma 2.2"  # what it was without


@pytest.mark.parametrize(
    "profile",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        matrix(SRGB, decoded),
        matrix(SRGB, decoded) + bytes(100),
        icc.profile(icc.SRGB, icc.D65, icc.SRGB_CURVE),
        grey(decoded),
    ],
)
@pytest.mark.parametrize("suffix", LOSSLESS)
def test_srgb_changes_no_pixel(tmp_path, suffix, profile, said):
    path = tmp_path / f"a.{suffix}"
    if profile[16:20] == b"GRAY":
        Image.fromarray(PIXELS[..., 0]).save(path, icc_profile=profile, **LOSSLESS[suffix])
        if suffix in ("webp", "avif"):  # which have no grey
            return
    else:
        Image.fromarray(PIXELS).save(path, icc_profile=profile, **LOSSLESS[suffix])
    assert (read(path) == raw(path)).all() and not said.records


def test_grey_of_8_16_and_32_bits(tmp_path):
    wide = np.random.default_rng(1).integers(0, 65536, (24, 24), dtype=np.uint16)
    wide[0, :24] = np.arange(24)  # near black, where linear light is steepest
    for gamma in (1.0, 1.8, lambda v: np.clip((v - 0.05 * v * (1 - v)), 0, 1) ** 1.75):  # the last: some dot gain
        f = gamma if callable(gamma) else lambda v, gamma=gamma: v**gamma
        profile = grey(gamma)
        Image.fromarray(PIXELS[..., 0]).save(tmp_path / "8.png", icc_profile=profile)
        assert abs(read(tmp_path / "8.png") - encoded(f(PIXELS[..., :1] / 255))).max() <= 1
        for name, values in (
            ("16.png", wide),
            ("16.tif", wide),
            ("32.tif", (wide / 65535).astype(np.float32)),
            ("i.tif", wide.astype(np.int32)),
        ):
            Image.fromarray(values).save(tmp_path / name, icc_profile=profile)
            assert abs(read(tmp_path / name) - encoded(f(wide[..., None] / 65535))).max() <= 1, name


def test_ink_and_lab(tmp_path, said):
    for inks, lab in INKS.items():
        Image.new("CMYK", (24, 24), tuple(255 * i for i in inks)).save(tmp_path / "a.tif", icc_profile=cmyk())
        expected = lab_in_srgb(*lab) if any(inks) else 255  # paper is white
        assert abs(read(tmp_path / "a.tif")[3, 3] - expected).max() <= 1.5
        Image.new("CMYK", (24, 24), tuple(255 * i for i in inks)).save(  # Adobe's JPEGs are inverted
            tmp_path / "a.jpg", icc_profile=cmyk(), quality=100
        )
        assert abs(read(tmp_path / "a.jpg")[3, 3] - expected).max() <= 4
    for L, a, b in ((0, 0, 0), (100, 0, 0), (78, 20, -20), (50, -30, 25)):
        Image.new("LAB", (24, 24), (round(L * 2.55), a + 128, b + 128)).save(tmp_path / "lab.tif")
        assert abs(read(tmp_path / "lab.tif")[0, 0] - lab_in_srgb(L, a, b)).max() <= 2
    assert not said.records
    Image.new("CMYK", (24, 24)).save(tmp_path / "plain.tif")
    assert (read(tmp_path / "plain.tif") == 255).all() and "without a profile: converted by the simple" in said.text


def test_transparency_rotation_and_palettes_are_kept(tmp_path):
    profile, space = matrix(ADOBE, 563 / 256), SPACES["Adobe RGB"]
    alpha = np.full((24, 24, 1), 255, np.uint8)
    alpha[:12] = 0
    Image.fromarray(np.concatenate([PIXELS, alpha], -1)).save(tmp_path / "a.png", icc_profile=profile)
    image = read(tmp_path / "a.png")
    assert (image[:12] == 255).all() and abs(image[12:] - in_srgb(PIXELS[12:], *space)).max() <= 2
    Image.fromarray(np.concatenate([PIXELS[..., :1], alpha], -1)).save(tmp_path / "la.png", icc_profile=grey(1.8))
    image = read(tmp_path / "la.png")
    assert (image[:12] == 255).all() and abs(image[12:] - encoded((PIXELS[12:, :, :1] / 255) ** 1.8)).max() <= 1
    wide = Image.fromarray(np.arange(576, dtype=np.uint16).reshape(24, 24))
    wide.save(tmp_path / "wide.png", transparency=300, icc_profile=grey(1.8))
    assert np.argwhere((read(tmp_path / "wide.png") == 255).all(-1)).tolist() == [[300 // 24, 300 % 24]]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(tmp_path / "turned.tif", icc_profile=profile, exif=exif)
    assert abs(read(tmp_path / "turned.tif") - in_srgb(np.rot90(PIXELS, -1), *space)).max() <= 2
    palette = Image.fromarray(PIXELS).quantize(64)
    palette.save(tmp_path / "p.png", icc_profile=profile)
    colours = np.asarray(palette.convert("RGB"))
    assert abs(read(tmp_path / "p.png") - in_srgb(colours, *space)).max() <= 2
    hole = int(np.asarray(palette)[0, 0])
    palette.save(tmp_path / "hole.png", icc_profile=profile, transparency=hole)
    image = read(tmp_path / "hole.png")
    assert (image[np.asarray(palette) == hole] == 255).all()
    assert abs(image - in_srgb(colours, *space))[np.asarray(palette) != hole].max() <= 2


def test_a_grey_picture_with_a_profile_of_rgb_and_grey_in_three_channels(tmp_path, said):
    three = np.repeat(PIXELS[..., :1], 3, -1)
    Image.fromarray(three).save(tmp_path / "b.png", icc_profile=grey(1.8))
    Image.fromarray(PIXELS[..., 0]).convert("P").save(tmp_path / "p.png", icc_profile=grey(1.8))
    for name in ("b.png", "p.png"):
        assert abs(read(tmp_path / name) - encoded((PIXELS[..., :1] / 255) ** 1.8)).max() <= 1 and not said.records
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / "a.png", icc_profile=matrix(ADOBE, 563 / 256))
    assert abs(read(tmp_path / "a.png") - encoded((PIXELS[..., :1] / 255) ** (563 / 256))).max() <= 1


BROKEN = {  # a mode, its profile and a word of why it is not used
    "grey in RGB": ("RGB", grey(1.8), "of GRAY colours, the picture of RGB"),
    "inks in RGB": ("RGB", cmyk(), "of CMYK colours, the picture of RGB"),
    "inks in grey": ("L", cmyk(), "of CMYK colours, the picture of L"),
    "RGB in CMYK": ("CMYK", matrix(ADOBE, 2.2), "of RGB colours, the picture of CMYK"),
    "Lab in RGB": ("RGB", profiles.icc(b"Lab ", {}, device=b"spac"), "of Lab colours"),
    "device link": ("RGB", matrix(ADOBE, 2.2, device=b"link"), "a device link"),
    "named colours": ("RGB", matrix(ADOBE, 2.2, device=b"nmcl"), "a list of named colours"),
    "abstract": ("RGB", matrix(ADOBE, 2.2, device=b"abst"), "an abstract profile"),
    "cut off": ("RGB", matrix(ADOBE, 2.2)[:-200], "broken"),
    "without curves": ("RGB", profiles.icc(b"RGB ", {}), "broken"),
    "noise": ("RGB", bytes(range(256)) * 2, "broken"),
    "short": ("RGB", b"profile", "7 bytes"),
    "zeros": ("RGB", bytes(500), "broken"),
    "black": ("RGB", matrix(((0, 0, 0),) * 3, 2.2), "hardly lighter"),
    "flat": ("L", grey(lambda v: 0.5), "hardly lighter"),
    "large": ("RGB", matrix(ADOBE, 2.2) + bytes(colour.LARGEST), "bytes"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_profiles_that_cannot_be_used_are_ignored_and_said(tmp_path, case, said):
    mode, profile, word = BROKEN[case]
    path = tmp_path / "a.tif"
    Image.fromarray(PIXELS).convert(mode).save(path, icc_profile=profile)
    for _ in range(2):
        assert (read(path) == raw(path)).all()
    assert len(said.records) == 1 and f"{path}: its colour profile is ignored (" in said.text and word in said.text


def test_few_pictures_are_named_for_one_reason(tmp_path, said):
    for i in range(15):
        Image.fromarray(PIXELS).save(tmp_path / f"{i:02}.png", icc_profile=cmyk())
        read(tmp_path / f"{i:02}.png")
    lines = [r.getMessage() for r in said.records]
    assert len(lines) == 10 and lines[9].endswith("; further ones are not named") and "further" not in lines[8]


def test_nothing_is_said_where_a_run_reads_a_picture_once_more(tmp_path, said):
    Image.fromarray(PIXELS).save(tmp_path / "a.png", icc_profile=cmyk())
    pairs = product([tmp_path / "a.png"], [tmp_path / "a.png"])
    for _ in range(2):
        assert find_images(str(tmp_path / "a.png")) == [tmp_path / "a.png"]
        assert write_sheets(pairs, tmp_path / "out", 24, "crop") and not said.records
    read(tmp_path / "a.png")
    assert len(said.records) == 1


def test_a_pillow_without_littlecms_refuses_pictures_with_profiles_alone(tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / "plain.png")
    Image.fromarray(PIXELS).save(tmp_path / "a.png", icc_profile=matrix(P3, 2.2))
    monkeypatch.setattr(ImageCms, "core", DeferredError.new(ImportError("no littlecms2")))
    colour._conversion.cache_clear()
    assert (read(tmp_path / "plain.png") == PIXELS).all()
    with pytest.raises(ImageError, match="a.png: .*this Pillow was built without littlecms2, which applies it"):
        read(tmp_path / "a.png")


def test_masks_are_numbers(tmp_path, said):
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / "m.png", icc_profile=grey(1.0))
    assert (read_mask(tmp_path / "m.png", 24)[0].numpy() * 255).round().astype(int).tolist() == PIXELS[..., 0].tolist()
    assert "m.png: a mask's values are numbers: its colour profile is not applied" in said.text
    masked = Masked(str(tmp_path / "m.png"))
    masked.read_pictures(read_image, read_mask)
    area = masked._area
    assert abs(area.mean().item() - PIXELS[..., 0].mean() / 255) < 0.01
    said.clear()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / "s.png", icc_profile=srgb)
    read_mask(tmp_path / "s.png", 24)
    assert not said.records


def test_pictures_that_pillow_opened(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png", icc_profile=matrix(ADOBE, 563 / 256))
    with Image.open(tmp_path / "a.png") as opened:
        assert (read_image(opened, 24) == read_image(tmp_path / "a.png", 24)).all()
    (tmp_path / "b.png").write_bytes(png_with(Image.fromarray(PIXELS), (b"gAMA", struct.pack(">I", 100000))))
    with Image.open(tmp_path / "b.png") as opened:
        assert (read_image(opened, 24) == read_image(tmp_path / "b.png", 24)).all()
    assert (read(Image.fromarray(PIXELS)) == PIXELS).all()
    gone = Image.open(tmp_path / "a.png")
    gone.close()
    with pytest.raises(ImageError, match="a.png: expected a picture, could not read it"):
        read(gone)


def test_threads_and_order_make_no_difference(tmp_path):
    paths = []
    for i, space in enumerate(SPACES.values()):
        for j in range(3):
            paths.append(tmp_path / f"{i}{j}.png")
            Image.fromarray(np.roll(PIXELS, j)).save(paths[-1], icc_profile=matrix(*space))
    alone = [read(path).tolist() for path in paths]
    colour._conversion.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        again = list(
            pool.map(
                lambda path: colour.to_srgb(Image.open(path).convert("RGB"), Image.open(path).info["icc_profile"]),
                paths[::-1] * 3,
            )
        )
    assert [np.asarray(p).tolist() for p in again] == alone[::-1] * 3
    assert colour._conversion.cache_info().maxsize == 8


def test_our_own_profiles_have_the_published_colorants():
    for primaries, published in ((icc.SRGB, SRGB), (icc.ADOBE_RGB, ADOBE), ((0.68, 0.32, 0.265, 0.69, 0.15, 0.06), P3)):
        made = icc.colorants(primaries, icc.D65)
        assert abs(made.T - np.array(published)).max() < 5e-4 and abs(made.sum(1) - D50).max() < 1e-9

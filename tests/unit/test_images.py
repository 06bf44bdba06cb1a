"""Pictures from the wild, and files that appear whole or not at all."""

import numpy as np
import pytest
import torch
from PIL import Image

from hsx.errors import HsxError, ImageError, shown
from hsx.io.digests import file_digest
from hsx.io.files import atomic
from hsx.io.images import pixels_digest, read_image, read_mask, to_picture
from hsx.io.png import png_text, write_png
from hsx.pairs.sources import find_images

from ..wild import wild_folder

RED, GREEN = (255, 0, 0), (0, 128, 0)


def half(size=(20, 10), left=RED, right=GREEN) -> Image.Image:
    """Left half one colour, right half another."""
    picture = Image.new("RGB", size, left)
    picture.paste(right, (size[0] // 2, 0, *size))
    return picture


def pixel(image: torch.Tensor, y: int, x: int) -> list[int]:
    return image[:, y, x].add(1).mul(127.5).round().int().tolist()


def test_a_picture_of_the_right_size_is_read_to_the_pixel_and_written_back(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", 16)
    assert image.shape == (3, 16, 16) and image.dtype == torch.float32 and image.min() >= -1 and image.max() <= 1
    assert (np.asarray(to_picture(image)) == pixels).all()
    assert (np.asarray(to_picture(image * 3)) == np.asarray(to_picture((image * 3).clamp(-1, 1)))).all()


def test_odd_sizes_are_cropped_at_the_centre(tmp_path):
    half((31, 10)).save(tmp_path / "wide.png")
    image = read_image(tmp_path / "wide.png", 8)
    assert pixel(image, 4, 0) == [*RED] and pixel(image, 4, 7) == [*GREEN]
    half((10, 31)).save(tmp_path / "tall.png")
    assert read_image(tmp_path / "tall.png", 7).shape == (3, 7, 7)
    half((1, 1)).save(tmp_path / "tiny.png")
    assert read_image(tmp_path / "tiny.png", 8).shape == (3, 8, 8)


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    half((16, 16)).save(tmp_path / "turned.jpg", exif=exif, quality=100, subsampling=0)
    image = read_image(tmp_path / "turned.jpg", 16)
    assert pixel(image, 1, 8)[0] > 200 and pixel(image, 14, 8)[0] < 50  # red on top, green below


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA", "I;16", "I", "YCbCr"])
def test_modes_become_rgb(tmp_path, mode):
    if mode == "I;16":
        picture = Image.fromarray(np.full((8, 8), 65535, np.uint16))
    elif mode == "I":
        picture = Image.fromarray(np.full((8, 8), 65535, np.int32))
    else:
        picture = Image.new("RGB", (8, 8), "white").convert(mode)
    name = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr", "I") else "a.png")
    picture.save(name)
    image = read_image(name, 8)
    assert image.shape == (3, 8, 8) and image.min() > 0.95


def test_transparency_lies_over_white_and_animations_give_their_first_frame(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png", 8).min() == 1
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert read_image(tmp_path / "palette.png", 8).min() == 1
    half().save(tmp_path / "a.gif", save_all=True, append_images=[half(left=GREEN, right=RED)])
    assert pixel(read_image(tmp_path / "a.gif", 8), 4, 0)[0] > 200


@pytest.mark.parametrize(("name", "suffix"), [("I", "tif"), ("F", "tiff")])
def test_wide_grey_is_scaled_or_refused(tmp_path, name, suffix):
    white = {"I": 65535, "F": 1}[name]
    values = np.linspace(0, white, 64).reshape(8, 8).astype({"I": np.int32, "F": np.float32}[name])
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    grey = read_image(tmp_path / f"a.{suffix}", 8)
    assert (grey[0] - torch.from_numpy(values / white * 2 - 1)).abs().max() <= 1 / 255 + 1e-6
    for wrong in (-1, 3 * white, *([np.nan] if name == "F" else [])):
        values[3, 3] = wrong
        Image.fromarray(values).save(tmp_path / f"b.{suffix}")
        with pytest.raises(ImageError, match=rf"could not read it \(its values are .* not from 0 to {white}\)"):
            read_image(tmp_path / f"b.{suffix}", 8)


def test_fits(tmp_path):
    half((20, 10)).save(tmp_path / "wide.png")
    crop, pad, stretch = (read_image(tmp_path / "wide.png", 20, fit) for fit in ("crop", "pad", "stretch"))
    assert pixel(crop, 0, 0) == pixel(stretch, 0, 0) == pixel(pad, 5, 0) == [*RED]
    assert pixel(pad, 14, 19) == [*GREEN] and pixel(pad, 4, 0) == pixel(pad, 15, 19) == [255, 255, 255]
    half((10, 20), right=RED).save(tmp_path / "tall.png")
    pad = read_image(tmp_path / "tall.png", 10, "pad")
    assert [pixel(pad, 0, x)[1] for x in range(10)] == [255] * 2 + [0] * 5 + [255] * 3
    for size in ((1, 1), (1, 5000), (5000, 1)):
        half(size, right=RED).save(tmp_path / "thin.png")
        for fit in ("crop", "pad", "stretch"):
            image = read_image(tmp_path / "thin.png", 8, fit)
            assert image.shape == (3, 8, 8) and (image[0] > 0.99).all() and image[1].min() == -1
    with pytest.raises(HsxError, match="fit: expected one of crop, pad, stretch, got squeeze"):
        read_image(tmp_path / "wide.png", 8, "squeeze")


def test_masks_are_luminance(tmp_path):
    half((16, 8), "white", "black").save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png", 8)
    assert mask.shape == (1, 8, 8) and mask.dtype == torch.float32
    assert (mask[..., :4] == 1).all() and (mask[..., 4:] == 0).all()
    assert (read_mask(tmp_path / "mask.png", 8, "pad")[:, [0, 1, 6, 7]] == 1).all()
    half((8, 8), RED, GREEN).save(tmp_path / "colour.png")
    assert read_mask(tmp_path / "colour.png", 8)[0, 0, [0, 7]].mul(255).tolist() == pytest.approx([76, 75])
    with pytest.raises(ImageError, match=r"absent.png: expected a mask, could not read it \(No such file"):
        read_mask(tmp_path / "absent.png", 8)


def test_files_with_equal_pixels_have_one_digest(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "a.bmp")
    a, b = (read_image(tmp_path / name, 8) for name in ("a.png", "a.bmp"))
    digest = pixels_digest(a)
    assert digest == pixels_digest(b) and len(digest) == 24 and int(digest, 16)
    a[0, 0, 0] += 1 / 127.5 if a[0, 0, 0] < 0 else -1 / 127.5
    assert pixels_digest(a) != digest and file_digest(tmp_path / "a.png") != file_digest(tmp_path / "a.bmp")


def test_bad_pictures_are_named_with_the_reason(tmp_path, monkeypatch):
    half((64, 64)).save(tmp_path / "whole.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "new\nline.png").touch()
    reasons = {
        "folder.png": "it is a folder",
        "new\nline.png": "it is empty",
        "absent.png": "No such file or directory",
        "whole.png/x.png": "Not a directory",
        "null\0.png": "embedded null byte",
    }
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    reasons["whole.png"] = "it has more than the 3,000 pixels that Pillow takes"
    for name, reason in reasons.items():
        with pytest.raises(ImageError) as caught:
            read_image(tmp_path / name, 8)
        assert str(caught.value) == (
            f"{shown(tmp_path / name)}: expected a picture, could not read it ({reason}); replace it or take it away"
        ) and "\n" not in str(caught.value)


def test_broken_bytes_are_pictures_or_errors_of_ours(tmp_path):
    """Whatever a broken file makes Pillow raise."""
    dice = np.random.default_rng(0)
    for suffix in ("png", "jpg", "gif", "webp", "bmp", "tif"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(dice.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(40):
            data = whole[: dice.integers(1, len(whole) + 1)].copy()
            data[dice.integers(0, min(len(data), 200), 3)] = dice.integers(0, 256, 3)
            path.write_bytes(data.tobytes())
            try:
                assert read_image(path, 8).shape == (3, 8, 8)
            except ImageError as error:
                assert len(str(error)) < 400 and "\n" not in str(error)


@pytest.mark.filterwarnings("error")
def test_a_wild_folder_is_read_or_named_with_reasons(tmp_path):
    bad = wild_folder(tmp_path, 68, 21)
    digests, failed = set(), {}
    for path in find_images(str(tmp_path)):
        try:
            image = read_image(path, 16)
            assert image.shape == (3, 16, 16) and image.isfinite().all() and image.abs().max() <= 1
            digests.add(pixels_digest(image))
        except ImageError as error:
            failed[str(path.relative_to(tmp_path))] = str(error)
            with pytest.raises(ImageError):
                read_mask(path, 16)
    assert len(digests) == 68 and set(failed) == set(bad)
    for name, word in bad.items():
        assert word in failed[name].removeprefix(shown(tmp_path / name)) and "\n" not in failed[name]


def test_files_appear_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), atomic(tmp_path / "a.txt") as part:
        part.write_text("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    write_png(half(), tmp_path / "a.png", {"hsx": "é {}"})
    assert png_text(tmp_path / "a.png", "hsx") == "é {}" and png_text(tmp_path / "a.png", "no") is None
    assert png_text(tmp_path / "absent.png", "hsx") is None
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]

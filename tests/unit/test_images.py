"""Pictures from the wild, and files that appear whole or not at all."""

import numpy as np
import pytest
import torch
from PIL import Image

from hsx.errors import HsxError, ImageError
from hsx.images import atomic, find_images, png_text, read_image, to_picture, write_png

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


def test_bad_pictures_are_named_with_the_reason(tmp_path, monkeypatch):
    half((64, 64)).save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    for name, content in [("empty.png", b""), ("text.jpg", b"hello"), ("cut.png", data[:100])]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=f"{name}: expected a picture, could not read it .*replace it") as caught:
            read_image(tmp_path / name, 8)
        assert "\n" not in str(caught.value)
    with pytest.raises(ImageError, match="absent.png"):
        read_image(tmp_path / "absent.png", 8)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match="whole.png"):
        read_image(tmp_path / "whole.png", 8)


def test_folders_are_searched_and_empty_ones_refused(tmp_path):
    (tmp_path / "deep").mkdir()
    half().save(tmp_path / "deep" / "b.PNG")
    half().save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("no picture")
    assert [p.name for p in find_images(str(tmp_path), "data.styles")] == ["a.png", "b.PNG"]
    assert find_images(str(tmp_path / "a.png"), "data.styles") == [tmp_path / "a.png"]
    (tmp_path / "none").mkdir()
    with pytest.raises(HsxError, match="data.styles: expected pictures"):
        find_images(str(tmp_path / "none"), "data.styles")
    with pytest.raises(ImageError, match="notes.txt"):
        find_images(str(tmp_path / "notes.txt"), "data.styles")


def test_files_appear_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), atomic(tmp_path / "a.txt") as part:
        part.write_text("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    write_png(half(), tmp_path / "a.png", {"hsx": "é {}"})
    assert png_text(tmp_path / "a.png", "hsx") == "é {}" and png_text(tmp_path / "a.png", "no") is None
    assert png_text(tmp_path / "absent.png", "hsx") is None
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]

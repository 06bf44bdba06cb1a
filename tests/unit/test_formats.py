"""Which files are opened as pictures, which are named and left out, and that none of them runs anything."""

import logging
import os
import struct
import sys
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from hsx.cli import main
from hsx.errors import HsxError, ImageError
from hsx.io import formats
from hsx.io.images import read_image, read_mask
from hsx.io.png import png_text
from hsx.pairs.sources import find_images
from hsx.strategies import Masked

from ..conftest import picture

STARTED: list[tuple[str, object]] = []  # processes that this process started
sys.addaudithook(
    lambda event, given: (
        STARTED.append((event, given))
        if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile")
        else None
    )
)

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\n(hello) print showpage\n%%EOF\n"


def field(record: int, number: int, data: bytes) -> bytes:
    return struct.pack(">BBBH", 0x1C, record, number, len(data)) + data


WRAPPED = b"".join(
    field(*f)
    for f in (  # a picture of IPTC, in which Pillow opens whatever lies there
        (3, 60, b"\1\0"),
        (3, 20, b"\0\x10"),
        (3, 30, b"\0\x10"),
        (3, 120, b"\0\5"),
        (8, 10, EPS),
    )
)
PROGRAMS = {
    "plain": (EPS, "PostScript"),
    "for DOS": (struct.pack("<7I", 0xC6D3D0C5, 32, len(EPS), 0, 0, 0, 0).ljust(32, b"\0") + EPS, "PostScript"),
    "blank before": (b"\n " + EPS, "PostScript"),
    "in IPTC": (WRAPPED, "an IPTC file"),
    "metafile": (
        b"\xd7\xcd\xc6\x9a" + bytes(2) + struct.pack("<4hHIH", 0, 0, 16, 16, 72, 0, 0) + b"\1\0\x09\0" + bytes(60),
        "a Windows metafile",
    ),
    "enhanced metafile": (b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(60), "a Windows metafile"),
    "PDF": (b"%PDF-1.7\n%", "a PDF"),
}


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.eps", "a.webp", "a.tga", "a", "a.wmf"])
@pytest.mark.parametrize("case", PROGRAMS)
def test_programs_are_named_and_not_run_whatever_their_name(tmp_path, case, name):
    data, what = PROGRAMS[case]
    path = tmp_path / name
    path.write_bytes(data)
    STARTED.clear()
    for read in (
        lambda: read_image(path, 8),
        lambda: read_mask(path, 8),
        lambda: find_images(str(path)),
        lambda: Masked(str(path)).read_pictures(read_image, read_mask),
    ):
        with pytest.raises(ImageError, match=rf"{name}: expected a (picture|mask), could not read it \(it is {what}"):
            read()
    assert png_text(path, "hsx") is None and not STARTED


@pytest.mark.parametrize(
    "head",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"II*\0",
        b"BM",
        b"8BPS\0\1",
        b"P6 16 16 255\n",
        b"\0\0\2",
        b"RIFF\0\0\0\0WEBP",
        b"\x1b%-12345X@PJL\n",
        b"\0" * 2048,
    ],
)
def test_programs_behind_the_first_bytes_of_a_picture_do_not_run(tmp_path, head):
    (tmp_path / "a.png").write_bytes(head + EPS * 20)
    STARTED.clear()
    try:
        assert read_image(tmp_path / "a.png", 8).shape == (3, 8, 8)  # as the pixels that they are not
    except ImageError as error:
        assert "\n" not in str(error)
    assert not STARTED


def test_formats_without_first_bytes_are_tried_last(tmp_path):
    head = b"\0\0\1\xb3" + bytes(8) + struct.pack("<HHBB", 4, 4, 8, 0x20)  # of a film, and of a TGA
    (tmp_path / "a.tga").write_bytes(head + bytes(16))
    with pytest.raises(ImageError, match="it is an MPEG film"):
        read_image(tmp_path / "a.tga", 4)
    (tmp_path / "a.tga").write_bytes(b"\0\0\3" + head[3:] + bytes(16))
    assert read_image(tmp_path / "a.tga", 4).max() == -1


def test_a_program_that_pillow_opened_is_not_loaded(tmp_path):
    (tmp_path / "a.png").write_bytes(EPS)
    STARTED.clear()
    with Image.open(tmp_path / "a.png") as opened, pytest.raises(ImageError, match="a.png: .*PostScript is a program"):
        read_image(opened, 8)
    assert not STARTED


def test_no_role_of_a_run_starts_a_program(tiny_model, tmp_path, capfd):
    for name in ("contents/a.png", "styles/s.png"):
        picture(tmp_path / name, len(name))
    for name in ("contents/eps.png", "styles/eps.jpg", "mask.png", "further.png"):
        (tmp_path / name).write_bytes(EPS)
    (tmp_path / "wrapped.jpg").write_bytes(WRAPPED)
    (tmp_path / "pairs.csv").write_text(
        "content,style,mask\ncontents/a.png,styles/s.png,mask.png\nwrapped.jpg,styles/s.png,\ncontents/a.png,mask.png,\n"
        "contents/a.png,styles/s.png,\n"
    )
    few = [
        "--model.backbone",
        str(tiny_model),
        "--model.generation_steps",
        "4",
        "--model.inversion_steps",
        "4",
        "--model.t_boost",
        "0",
    ]
    lists = ["--data.contents", str(tmp_path / "contents"), "--data.styles", str(tmp_path / "styles")]
    table = [*few, "--data.pairs", str(tmp_path / "pairs.csv"), "--output_dir", str(tmp_path / "table")]
    STARTED.clear()
    assert main(["predict", *few, *lists, "--output_dir", str(tmp_path / "out")]) == 3
    assert main(["predict", *table]) == 3
    failures = "".join((tmp_path / name / "failures.jsonl").read_text() for name in ("out", "table"))
    assert all(
        words in failures
        for words in (
            "eps.png: expected a picture, could not read it (it is PostScript, a program, which hsx does not run)",
            "eps.jpg: expected a picture, could not read it (it is PostScript",
            "it is an IPTC file",
            "mask.png: expected a mask, could not read it (it is PostScript",
        )
    )
    (result,) = (tmp_path / "table").glob("*__*.png")
    assert (
        main(
            [
                "predict",
                *few,
                *lists,
                "--output_dir",
                str(tmp_path / "mean"),
                "--model.blend",
                "SphericalMean",
                "--model.blend.contents",
                str([str(tmp_path / "further.png")]),
            ]
        )
        == 2
    )
    assert "further.png: expected a picture, could not read it (it is PostScript" in capfd.readouterr().err
    result.write_bytes(EPS)
    main(["predict", *table])
    assert main(["show", str(tmp_path / "mask.png")]) == 2
    assert "Traceback" not in capfd.readouterr().err and not STARTED


def test_every_format_was_looked_at():
    """A format that a newer Pillow brings is to be looked at: does it run, wrap or fetch anything?  Then LEFT_OUT."""
    seen = {
        "AVIF",
        "BLP",
        "BMP",
        "CUR",
        "DCX",
        "DDS",
        "DIB",
        "FITS",
        "FLI",
        "FTEX",
        "GBR",
        "GIF",
        "ICNS",
        "ICO",
        "IM",
        "IMT",
        "JPEG",
        "JPEG2000",
        "MCIDAS",
        "MSP",
        "PCD",
        "PCX",
        "PIXAR",
        "PNG",
        "PPM",
        "PSD",
        "QOI",
        "SGI",
        "SPIDER",
        "SUN",
        "TGA",
        "TIFF",
        "WEBP",
        "XBM",
        "XPM",
        "XVTHUMB",
    }
    assert {name for name in formats.readable() if Image.OPEN[name][0].__module__.startswith("PIL.")} <= seen
    assert not seen & formats.LEFT_OUT.keys() and all(formats.LEFT_OUT.values())
    page = (Path(__file__).parents[2] / "docs" / "pictures.md").read_text().replace("WebP", "WEBP")
    assert [name for name in (*formats.LEFT_OUT, *formats.EVERYDAY) if name not in page.replace(" 2000", "2000")] == []


SAVED = {
    "jfif": "JPEG",
    "jpe": "JPEG",
    "jpg": "JPEG",
    "ppm": "PPM",
    "pnm": "PPM",
    "tga": "TGA",
    "jp2": "JPEG2000",
    "j2k": "JPEG2000",
    "ico": "ICO",
    "icns": "ICNS",
    "dds": "DDS",
    "avif": "AVIF",
    "qoi": "QOI",
    "sgi": "SGI",
    "rgb": "SGI",
    "pcx": "PCX",
    "bmp": "BMP",
    "dib": "DIB",
    "gif": "GIF",
    "webp": "WEBP",
    "tiff": "TIFF",
    "apng": "PNG",
    "mpo": "MPO",
    "PNG": "PNG",
    "JPEG": "JPEG",
}


def test_every_suffix_that_pillow_opens_is_a_picture(tmp_path):
    saved = {suffix: kind for suffix, kind in SAVED.items() if kind in Image.SAVE}
    for suffix, kind in saved.items():
        with Image.open(picture(tmp_path / "a.png", 1)) as plain:
            plain.save(tmp_path / f"{suffix}.{suffix}", kind)
    found = find_images(str(tmp_path))
    assert {path.suffix[1:] for path in found} == {*saved, "png"} and found == sorted(found)
    first = read_image(tmp_path / "a.png", 16)
    for path in found:
        assert (read_image(path, 16) - first).abs().mean() < 0.15, path
    assert set(formats.suffixes()) | set(formats.not_read()) >= set(Image.registered_extensions())
    assert not set(formats.suffixes()) & set(formats.not_read())


LEFT = {
    "a.heic": 1,
    "b.HEIC": 1,
    "c.svg": 1,
    "d.pdf": 1,
    "e.eps": 1,
    "f.cr2": 1,
    "g.NEF": 1,
    "h.jxl": 1,
    "i.exr": 1,
    "j.mp4": 1,
    "k.hdf": 1,
    "l.wmf": 1,
    "notes.md": 0,
    "a.json": 0,
    "a.txt": 0,
    "sums": 0,
    "a.png.sha256": 0,
}


def test_what_may_be_meant_as_a_picture_is_named(tmp_path, caplog):
    for name in LEFT:
        (tmp_path / name).write_text("of something else")
    picture(tmp_path / "sub" / "z.png", 1)
    for name in ("photo", "IMG_1.jpg.part", "x.jpeg~", "y.jpg_large"):
        (tmp_path / name).write_bytes((tmp_path / "sub" / "z.png").read_bytes())
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path, f"{tmp_path}/**"):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "hsx"):
            assert find_images(str(source), "data.styles") == [tmp_path / "sub" / "z.png"]
        (record,) = caplog.records
        assert record.getMessage() == (
            f"data.styles: files in {source} that may be meant as pictures are left out: 2 .heic, 1 .part, 1 .svg, "
            "1 .pdf, 1 .eps and 10 others, such as IMG_1.jpg.part; convert them to PNG or JPEG, give those with the "
            "bytes of a picture its suffix"
        )
    (tmp_path / "sub" / "z.png").unlink()
    for source in (tmp_path, f"{tmp_path}/*"):
        with pytest.raises(HsxError, match=r"data.styles: expected pictures .* found none .*but 2 .heic, .*; convert"):
            find_images(str(source), "data.styles")
    with pytest.raises(HsxError, match=r"found none but 1 .svg, such as c.svg; convert them to PNG or JPEG$"):
        find_images(f"{tmp_path}/*.svg")


def test_the_bytes_decide_not_the_suffix(tmp_path):
    picture(tmp_path / "a.png", 1)
    data = (tmp_path / "a.png").read_bytes()
    for name in ("b.jpg", "c.heic", "d", "e.tga", "f.ps"):
        (tmp_path / name).write_bytes(data)
        assert (read_image(tmp_path / name, 16) == read_image(tmp_path / "a.png", 16)).all()
    (tmp_path / "list.txt").write_text("c.heic\nd\n")
    assert [path.name for path in find_images(str(tmp_path / "list.txt"))] == ["c.heic", "d"]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a film"),
        (b"\xff\x0a\xfa\x1f", "a JPEG XL picture"),
        (b"v/1\x01\2\0\0\0", "an OpenEXR picture"),
        (b"#?RADIANCE\n", "a Radiance HDR picture"),
        (b"<svg xmlns='x'/>", "an SVG drawing"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", "XML, perhaps an SVG drawing"),
        (b"<!DOCTYPE html><p>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer, not the file itself"),
        (b"PK\x03\x04" + bytes(30), "a ZIP archive"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"GRIB....", "a GRIB file"),
        (b"FUJIFILMCCD-RAW ", "a camera's raw picture"),
        (b"\0\0\1\xb3" + bytes(20), "an MPEG film"),
        (b"words", "no picture that Pillow knows"),
        (b"%", "no picture that Pillow knows"),
    ],
)
def test_what_is_no_picture_is_named_by_its_first_bytes(tmp_path, data, what):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageError, match=rf"a.png: expected a picture, could not read it \(it is {what}\); replace it"):
        read_image(tmp_path / "a.png", 8)


def test_previews_of_raw_pictures_are_refused(tmp_path):
    for tags in ({254: 1}, {50706: b"\1\4\0\0"}):
        Image.new("RGB", (16, 16), "red").save(tmp_path / "a.dng", "TIFF", tiffinfo=tags)
        with pytest.raises(ImageError, match="it is a camera's raw picture, of which Pillow reads the preview alone"):
            read_image(tmp_path / "a.dng", 8)


def test_of_several_pages_frames_and_sizes_the_choice_is_told(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("hsx.io.reading._warned", {})
    pages = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    animated = [name for name in ("avif", "gif", "png", "tif", "webp") if name != "avif" or "AVIF" in Image.SAVE]
    for suffix in animated:
        pages[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "a.mpo", "MPO", save_all=True, append_images=pages[1:])
    Image.new("RGBA", (48, 48), "red").save(tmp_path / "a.ico", sizes=[(16, 16), (48, 48)])
    with caplog.at_level(logging.WARNING, "hsx"):
        for path in find_images(str(tmp_path)) * 2:
            assert read_image(path, 16)[:, 8, 8].tolist() == pytest.approx([1, -1, -1], abs=0.1)
    said = sorted(record.getMessage().removeprefix(f"{tmp_path}/") for record in caplog.records)
    first = "it holds 3 pictures: the first is taken"
    icon = "a.ico: it holds 2 sizes: the largest is taken"
    assert said == sorted([icon, *(f"a.{name}: {first}" for name in animated)])


def test_text_that_swells_and_other_odd_files_have_no_record(tmp_path, monkeypatch):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("hsx", "{}" + " " * (1 << 26), zip=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "bomb.png", pnginfo=info)
    Image.new("RGB", (64, 64)).save(tmp_path / "large.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "jpeg.png", "JPEG", comment=b"hsx")
    (tmp_path / "words.png").write_text("words")
    os.mkfifo(tmp_path / "pipe.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    for name in ("bomb", "large", "jpeg", "words", "pipe", "absent"):
        assert png_text(tmp_path / f"{name}.png", "hsx") is None

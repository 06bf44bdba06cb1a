"""What folders, patterns and lists name."""

import logging
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from hsx.errors import HsxError, ImageError, shown
from hsx.io.images import read_image
from hsx.pairs.sources import find_images

from ..wild import wild_folder


def touch(folder: Path, *names: str) -> None:
    """Files that need not be pictures: nothing reads them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(source: Path | str, folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in find_images(str(source), "data.styles")]


@contextmanager
def nobody():
    """Without the rights of root, who may read everything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_folders_are_searched_and_empty_ones_refused(tmp_path):
    names = ["a.png", "a/new\nline.gif", "b c/q'u\"o.JPEG", "b c/b.PNG", "folder.png/ü.webp", "größer/中文.tif"]
    touch(tmp_path, *names, "notes.md", ".hidden.png", ".hidden/a.png", "a/.cache/b.png")
    expected = [str(p.relative_to(tmp_path)) for p in sorted(tmp_path / name for name in names)]
    assert found(tmp_path, tmp_path) == expected
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    assert find_images(str(tmp_path / "a.png")) == [tmp_path / "a.png"]
    (tmp_path / "none").mkdir()
    with pytest.raises(HsxError, match="data.styles: expected pictures .* put some there"):
        found(tmp_path / "none", tmp_path)
    for nothing in ("absent", "absent.png", "absent.txt", "x" * 300, "a.png/b.png"):
        with pytest.raises(HsxError, match="data.styles: expected a picture or a folder of pictures, found nothing at"):
            found(tmp_path / nothing, tmp_path)
    with pytest.raises(HsxError, match="empty name"):
        find_images(" ")


def test_a_single_file_that_is_no_picture_is_refused_at_once(tmp_path):
    touch(tmp_path, "notes.md")
    (tmp_path / "link.png").symlink_to("absent.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    os.mkfifo(tmp_path / "pipe.txt")
    for name in ("notes.md", "link.png", "loop.png", "pipe.txt"):
        with pytest.raises(ImageError, match=f"{name}: expected a picture"):
            find_images(str(tmp_path / name))


def test_links_are_followed_but_not_in_circles(tmp_path):
    data = tmp_path / "data"
    touch(tmp_path, "data/sub/a.png", "data/z/b.png", "outside/c.png")
    (data / "a link").symlink_to("z")  # z is listed by its own name
    (data / "out").symlink_to("../outside")
    (data / "sub" / "up").symlink_to("..")
    (data / "sub" / "self").symlink_to(".")
    (tmp_path / "outside" / "back").symlink_to("../data/sub")
    (data / "dangling.png").symlink_to("absent")
    (data / "dangling").symlink_to("absent")
    (data / "loop.png").symlink_to("loop.png")
    expected = ["dangling.png", "loop.png", "out/c.png", "sub/a.png", "z/b.png"]
    for source in (data, f"{data}/**", f"{data}/**/*", f"{data}/*", f"{data}/**/*.png", f"{data}/**/**/**"):
        assert found(source, data) == expected


def test_patterns(tmp_path):
    touch(
        tmp_path,
        "x/a1.png",
        "x/b1.png",
        "x/a.md",
        "y/a2.jpg",
        "y/deep/a3.png",
        "y/.hidden/a4.png",
        ".h/a5.png",
        "[z]/a6.png",
        "[z]/a.png",
    )
    expected = {
        "*/a*.png": ["[z]/a.png", "[z]/a6.png", "x/a1.png"],
        "**/a?.*": ["[z]/a6.png", "x/a1.png", "y/a2.jpg", "y/deep/a3.png"],
        "[xy]": ["x/a1.png", "x/b1.png", "y/a2.jpg", "y/deep/a3.png"],
        "y/**/*3.png": ["y/deep/a3.png"],
        ".h/*": [".h/a5.png"],
        "[z]": ["[z]/a.png", "[z]/a6.png"],
        "x/a**": ["x/a1.png"],
    }
    for pattern, files in expected.items():
        assert found(tmp_path / pattern, tmp_path) == files
    for pattern in ("*.png", "x/*.md", "absent/*.png", "x/a1.png/*"):
        with pytest.raises(HsxError, match="data.styles: expected pictures .* found none; check the pattern"):
            found(tmp_path / pattern, tmp_path)


def test_relative_sources_and_those_that_ship_with_hsx(tmp_path, monkeypatch):
    touch(tmp_path, "x/a.png")
    monkeypatch.chdir(tmp_path)
    for source in ("x", "*", "**", "*/*.png", "./x", "x/"):
        assert find_images(source) == [Path("x/a.png")]
    faces = find_images("hsx://demo_faces/contents")
    assert faces and find_images("hsx://demo_faces/contents/*.png") == faces


def test_lists(tmp_path):
    touch(tmp_path, "x/a b.png", "x/中文.png")
    (tmp_path / "x.TXT").write_text(
        '\ufeffx/中文.png\r\n\r\n# a comment\n x/it\'s "a".png \t\nx/a b.png\r\r\n  # one more\n./x/中文.png\n'
        "/absent.png\n  \n#x.png",
        encoding="utf-8",
        newline="",
    )
    assert find_images(str(tmp_path / "x.TXT")) == [
        tmp_path / "x/中文.png",
        tmp_path / 'x/it\'s "a".png',
        tmp_path / "x/a b.png",
        tmp_path / "x/中文.png",
        Path("/absent.png"),
    ]
    (tmp_path / "hash.txt").write_text("./#1.png\n#1.png\n./#1.png\n")
    assert find_images(str(tmp_path / "hash.txt")) == [tmp_path / "#1.png"] * 2
    (tmp_path / "empty.txt").write_text("\n# none\n")
    with pytest.raises(HsxError, match="data.styles: expected a path a line, found none in .*empty.txt"):
        found(tmp_path / "empty.txt", tmp_path)
    (tmp_path / "utf16.txt").write_text("a.png", encoding="utf-16")
    with pytest.raises(HsxError, match="data.styles: expected a text file .*it is not UTF-8"):
        found(tmp_path / "utf16.txt", tmp_path)


def test_lists_that_are_relative_to_another_folder_are_refused(tmp_path, monkeypatch):
    touch(tmp_path, "data/a.png", "lists/beside.png")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "lists" / "list.txt"
    file.write_text("/absent.png\nabsent.png\ndata/a.png\n")
    with pytest.raises(
        HsxError,
        match=f"data.styles: expected paths relative to the list {file}, got data/a.png, "
        "which is in the current folder, not beside the list; move the list, or write ",
    ):
        found(file, tmp_path)
    for text in ("data/absent.png\n", "data/a.png\nbeside.png\n", f"{tmp_path}/data/a.png"):
        file.write_text(text)
        assert len(find_images(str(file))) == text.count("png")


def test_what_may_not_be_read(tmp_path, monkeypatch, caplog):
    touch(tmp_path, "data/a.png", "data/closed/b.png", "list.txt")
    Image.new("RGB", (4, 4)).save(tmp_path / "data" / "a.png")
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # so that nobody needs the folders above
    closed = [Path("data/closed"), Path("data/a.png"), Path("list.txt")]
    for path in closed:
        path.chmod(0)
    with nobody(), caplog.at_level(logging.WARNING, "hsx"):
        for source in ("data", "data/**", "dat?"):
            assert find_images(source) == [Path("data/a.png")]
            assert [r.getMessage() for r in caplog.records] == ["the folder data/closed is skipped: Permission denied"]
            caplog.clear()
        with pytest.raises(HsxError, match="expected a folder that can be read, got data/closed .Permission denied"):
            find_images("data/closed")
        with pytest.raises(HsxError, match=r"could not read list.txt \(Permission denied\)"):
            find_images("list.txt")
        with pytest.raises(ImageError, match=r"a.png: expected a picture, could not read it \(Permission denied\)"):
            read_image(Path("data/a.png"), 4)
    for path in closed:
        path.chmod(0o755)


def test_paths_are_shown_on_one_line():
    assert shown("größer/中 文 'a'.png") == "größer/中 文 'a'.png"
    assert shown("a\nb\u2028\udcff\x1b.png") == "a\\nb\\u2028\\udcff\\x1b.png"
    with pytest.raises(HsxError) as caught:
        find_images("new\nline")
    assert "\n" not in str(caught.value)


def test_a_wild_folder(tmp_path):
    bad = wild_folder(tmp_path, 60, 21)
    files = find_images(str(tmp_path))
    assert len(files) == 81 == len(set(files)) and len({p.name for p in files}) < 81
    assert len(bad) == 21 and set(bad) < {str(p.relative_to(tmp_path)) for p in files}
    (tmp_path / "list.txt").write_text("\n".join(name for name in bad if "\n" not in name), encoding="utf-8")
    assert {str(p.relative_to(tmp_path)) for p in find_images(str(tmp_path / "list.txt"))} <= set(bad)

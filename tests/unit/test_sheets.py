"""Contact sheets: what belongs together, and names."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from hsx.pairs.pairing import product, random_pairs
from hsx.pairs.table import read_table
from hsx.report import sheets
from hsx.report.sheets import LINE, cell_size, cut, write_sheets
from hsx.store.records import record_of

from ..conftest import picture

WIDE, HIGH = 96 + 2, 96 + LINE + 2  # of a cell on a sheet of groups


def results_of(pairs, folder):
    for i in range(len(pairs)):
        picture(folder / f"{pairs.name(i)}.png", 100 + i)
    return folder


def cells(path, high=HIGH) -> list[list[np.ndarray]]:
    """The pictures of a sheet, without the lines below them, at their own size."""
    sheet = np.asarray(Image.open(path))
    rows, columns = (sheet.shape[0] - 2) // high, (sheet.shape[1] - 2) // WIDE
    return [[sheet[2 + i * high :][:96:6, 2 + j * WIDE :][:, :96:6] for j in range(columns)] for i in range(rows)]


def shows(cell, path) -> bool:
    return np.array_equal(cell, np.asarray(Image.open(path)))


def test_the_results_of_a_content_are_together(tmp_path):
    for name in ("a", "b", "c"):
        picture(tmp_path / f"{name}.png", ord(name), (16, 16))
    rows = ["a,b,0", "a,b,0.5", "a,b,none", "c,b,1", "a,c,1", "a,b,0.2"]
    table = [",".join(f"{v}.png" if v.isalpha() and len(v) == 1 else v for v in row.split(",")) for row in rows]
    (tmp_path / "pairs.csv").write_text("\n".join(["content,style,gamma", *table]))
    pairs = read_table(tmp_path / "pairs.csv")
    out = results_of(pairs, tmp_path / "out")
    assert write_sheets(pairs, out, 16, "crop") == [out / "grid.png"] and record_of(out / "grid.png")["sheet"] == 1
    first, second = cells(out / "grid.png")
    expected = ["a", "b", 0, 1, 5, "c", 4], ["c", "b", 3]  # the bad row is left out
    for line, sources in zip((first, second), expected, strict=True):
        for cell, source in zip(line, sources, strict=False):
            place = tmp_path / f"{source}.png" if isinstance(source, str) else out / f"{pairs.name(source)}.png"
            assert shows(cell, place), source
        assert all((cell == 255).all() for cell in line[len(sources) :])


def test_a_long_line_goes_on_in_the_next_with_its_originals(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "SIDE", 4)
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.png", ord(name), (16, 16))
    (tmp_path / "pairs.csv").write_text("content,style,seed\n" + "".join(f"a.png,b.png,{i}\n" for i in range(11)))
    pairs = read_table(tmp_path / "pairs.csv")
    out = results_of(pairs, tmp_path / "out")
    made = write_sheets(pairs, out, 16, "crop")
    assert [Image.open(path).size for path in made] == [(4 * WIDE + 2, 4 * HIGH + 2), (4 * WIDE + 2, 2 * HIGH + 2)]
    lines = [*cells(made[0]), *cells(made[1])]
    assert all(shows(line[0], tmp_path / "a.png") and shows(line[1], tmp_path / "b.png") for line in lines)
    found = [cell for line in lines for cell in line[2:]]
    assert all(shows(cell, out / f"{pairs.name(i)}.png") for i, cell in enumerate(found[:11]))


def test_groups_are_packed(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "SIDE", 10)
    contents = [picture(tmp_path / f"c{i}.png", 1, (16, 16)) for i in range(40)]
    styles = [picture(tmp_path / f"s{i}.png", 2, (16, 16)) for i in range(40)]
    pairs = random_pairs(contents, styles, 2, 0)
    result = picture(tmp_path / "out" / "r.png", 3)
    for i in range(len(pairs)):
        (tmp_path / "out" / f"{pairs.name(i)}.png").symlink_to(result)
    made = write_sheets(pairs, tmp_path / "out", 16, "crop")
    assert [Image.open(path).size for path in made] == [(10 * WIDE + 2, 10 * HIGH + 2)] * 2  # each place is taken


@pytest.mark.parametrize("grid", [True, False])
def test_names_are_on_originals(tmp_path, grid):
    names = "first", "a" * 60 + "\udcff\n", "日本"
    paths = [picture(tmp_path / f"{name}.png", i, (16, 16)) for i, name in enumerate(names)]
    pairs = product(paths, paths) if grid else random_pairs(paths, paths, 2, 0)
    out = results_of(pairs, tmp_path / "out")
    (made,) = write_sheets(pairs, out, 16, "crop")
    sheet = np.asarray(Image.open(made))
    strip = sheet[2 + 98 + 96 - LINE : 2 + 98 + 96, 2:98] if grid else sheet[2 + 96 : 2 + 96 + LINE, 2:98]
    assert (strip == (28, 61, 90)).all(-1).mean() > 0.5 and (strip.min(-1) > 200).any()  # white letters on blue
    if grid:
        assert sheet.shape[:2] == (4 * 98 + 2, 4 * 98 + 2)
        assert shows(cells(made, 98)[1][1], out / f"{pairs.name(0)}.png")  # nothing is written on results


def test_names_that_are_too_long_are_cut_in_the_middle():
    font = ImageFont.load_default(size=11)
    assert cut("short", 90, font) == "short" and cut("", 90, font) == ""
    long = cut("the_beginning_of_a_long_name_and_its_end_17", 90, font)
    assert long.startswith("the_be") and long.endswith("d_17") and "…" in long and 70 < font.getlength(long) <= 90
    assert len(cut("i" * 10_000, 90, font)) < 45


def test_small_pictures_are_enlarged_by_a_whole_number():
    assert [cell_size(n) for n in (5, 16, 32, 48, 64, 96, 128, 255, 256, 1024)] == [
        100,
        96,
        96,
        96,
        128,
        96,
        128,
        255,
        256,
        256,
    ]

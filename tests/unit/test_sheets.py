"""Contact sheets of tables."""

from PIL import Image

from hsx.pairs.table import read_table
from hsx.report import sheets
from hsx.report.sheets import cell_size, write_sheets

from ..conftest import picture


def test_rows_of_the_same_two_pictures_share_a_line(tmp_path):
    for name in ("a", "b", "c"):
        picture(tmp_path / f"{name}.png", ord(name), (16, 16))
    rows = ["a,b,0", "a,b,0.5", "a,b,none", "a,b,1", "c,b,1", "a,b,0.2"]
    table = [",".join(f"{v}.png" if v.isalpha() and len(v) == 1 else v for v in row.split(",")) for row in rows]
    (tmp_path / "pairs.csv").write_text("\n".join(["content,style,gamma", *table]))
    pairs = read_table(tmp_path / "pairs.csv")
    for i in range(len(pairs)):
        picture(tmp_path / "out" / f"{pairs.name(i)}.png", i, (16, 16))
    assert write_sheets(pairs, tmp_path / "out", 16, "crop") == [tmp_path / "out" / "grid.png"]
    with Image.open(tmp_path / "out" / "grid.png") as sheet:
        assert sheet.size == (5 * 98 + 2, 3 * 98 + 2)  # the bad row left out; three lines, the longest of three results


def test_a_long_line_goes_on_in_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "SIDE", 2)
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.png", ord(name), (16, 16))
    (tmp_path / "pairs.csv").write_text("content,style,seed\n" + "".join(f"a.png,b.png,{i}\n" for i in range(7)))
    pairs = read_table(tmp_path / "pairs.csv")
    for i in range(len(pairs)):
        picture(tmp_path / "out" / f"{pairs.name(i)}.png", i, (16, 16))
    made = write_sheets(pairs, tmp_path / "out", 16, "crop")
    assert [Image.open(path).size for path in made] == [(4 * 98 + 2, 2 * 98 + 2)] * 2  # four lines on two pages


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

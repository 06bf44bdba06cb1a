"""Rows of CSV, with quotes that are left open, and of Parquet."""

import pytest

from hsx.errors import HsxError
from hsx.pairs.table import read_table


def test_rows_longer_than_the_header(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("content,style,gamma,seed,output\na.png,s.png,0,5,,eu\na.png,s.png,0,5,,\na.png,s.png,0.5,,ok\n")
    table = read_table(path)
    for i in (0, 1):
        with pytest.raises(HsxError, match=f"row {i + 1}: expected 5 cells, got 6; quote cells with commas$"):
            table[i]
    assert table[2].name == "ok"


OPEN = 'content,style\na.png,s.png\n"b.png,s.png\na.png,t.png\n'


@pytest.mark.parametrize(
    "text, said",
    [
        (OPEN, r"line 3: .* open over 2 lines \(unexpected end of data\); close it"),
        (OPEN + '"c.png",s.png\nd.png,s.png\n', r"line 3: .* open over 3 lines \(',' expected"),
        (OPEN + "d.png,s.png\n" * 20_000, r"line 3: .* open over \d+ lines \(field larger"),
        (OPEN + "d.png,s.png\n" * 20 + '",s.png\n', "line 3: .* open over 23 lines; close it"),
        ('"content,style\na.png,s.png\n', "line 1: .* open over 2 lines"),
    ],
)
def test_a_quote_left_open_never_swallows_rows(tmp_path, text, said):
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    with pytest.raises(HsxError, match=f"^{path} {said}") as raised:
        read_table(path)
    assert "\n" not in str(raised.value)


def test_a_quote_that_closes_lines_later_is_said(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(
        'content,style,mask,gamma,output\n"a.png,s.png,,,\nb.png",s.png,,,\na.png,s.png,"m\n.png",,\n'
        'a.png,s.png,,,"x\na.png,s.png,,,y"\na.png,s.png,,"0\n1",\n"c\nd.png",s.png,,,\na.png,s.png,,,\n'
    )
    (tmp_path / "c\nd.png").touch()
    table = read_table(path)
    assert table.indices()[0].tolist() == [-1, -1, -1, -1, 1, 0]
    for i, said in enumerate(
        ("expected a path, got one whose quote spans 2 lines .*; close the quote",) * 2
        + ("output: expected a name on one line, got one whose quote spans 2 lines; ", "gamma: expected .* got 0")
    ):
        with pytest.raises(HsxError, match=said) as raised:
            table[i]
        assert "\n" not in str(raised.value)
    assert table.contents[1] == tmp_path / "c\nd.png"


def test_blanks_around_cells_are_no_part_of_them(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("content,style,gamma,output\na.png , s.png\t, 0.5 , x y \na.png,s.png, ,  \n")
    table = read_table(path)
    assert table[0].gamma == 0.5 and [table.name(i) for i in range(2)] == ["x y", "a__s"]
    assert list(table.contents) == [tmp_path / "a.png"] and list(table.styles) == [tmp_path / "s.png"]


def test_a_table_in_utf16_says_so(tmp_path):
    path = tmp_path / "pairs.csv"
    for encoding in ("utf-16", "utf-16-be"):
        path.write_text("content,style\na.png,s.png\n", encoding=encoding)
        with pytest.raises(HsxError, match=f"^{path}: expected a table in UTF-8, it is not UTF-8 .*; save it"):
            read_table(path)


def test_an_output_that_is_not_utf8_fails_by_itself(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_bytes(b"content,style,output\na.png,s.png,\xe9\na.png,s.png,b\n")
    table = read_table(path)
    assert [table.name(i) for i in range(2)] == ["row-1", "b"]
    with pytest.raises(HsxError, match=r"row 1: output: expected a path in UTF-8, got '\\udce9'; correct it"):
        table[0]


def test_marks_blanks_and_quotes_around_a_header(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text('"content", style \na.png,s.png\n', encoding="utf-8-sig")
    assert read_table(path)[0].name == "a__s"


def test_of_parquet_only_what_is_wanted_is_read(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "pairs.parquet"
    columns = {"blob": [b"x" * 3000] * 9, "content": ["a.png"] * 9, "style": ["s.png"] * 8 + [None]}
    pq.write_table(pa.table(columns), path, row_group_size=3, compression=None, use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[50:8000] = b"\xff" * 7950  # in blob
    path.write_bytes(data)
    table = read_table(path)
    assert table[7].name == f"{table[1].name[:-2]}-8" and table.indices()[0].tolist() == [0] * 8 + [-1]
    with pytest.raises(OSError):
        pq.read_table(path)


def test_broken_parquet_is_one_line(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"content": [f"{i}.png" for i in range(999)], "style": ["s.png"] * 999}), path)
    whole = path.read_bytes()
    for broken in (whole[:-20], whole[:9] + b"\xff" * 300 + whole[309:], whole[:-90] + b"\xff" * 60 + whole[-30:]):
        path.write_bytes(broken)
        with pytest.raises(HsxError, match=f"^data.pairs: expected a Parquet table, could not read {path} .*; ") as e:
            read_table(path)
        assert "\n" not in str(e.value)
    pq.write_table(pa.table({"content": [1, 2], "style": ["s.png", "t.png"]}), path)
    with pytest.raises(HsxError, match="row 1: content: expected a path in UTF-8, got 1; "):
        read_table(path)[0]

"""Tables of pairs: rows read when their turn comes, bad ones failing by themselves."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from hsx.engine.table import read_table
from hsx.errors import HsxError

ROWS = [
    {"content": "a.png", "style": "s.png"}, {"content": "a.png", "style": "t.png", "gamma": 0.25},
    {"content": "b/a.jpg", "style": "s.png", "seed": 3}, {"content": "a.png", "style": "s.png", "mask": "m.png"},
    {"content": "a.png", "style": "s.png", "output": "x/y.png"},
    {"content": "a.png", "style": "t.png", "output": "X/Y"},
    {"content": "été, \"q\"\nz.png", "style": "s.png"},
]
NAMES = ["a__s", "a__t", "a~2__s", "a__s~2", "x/y", "X/Y~2", "été, _q__z__s"]


def write(path: Path, rows=ROWS) -> Path:
    columns = ["content", "style", "mask", "gamma", "seed", "output"]
    if path.suffix == ".parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        pq.write_table(pa.table({c: [row.get(c) for row in rows] for c in columns}), path, row_group_size=3)
    elif path.suffix == ".jsonl":
        path.write_text("\ufeff" + "\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    else:
        import csv

        mark = "\t" if path.suffix == ".tsv" else ","
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            out = csv.DictWriter(file, columns, delimiter=mark)
            out.writeheader()
            out.writerows(rows)
            file.write("\r\n")
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_rows_pictures_and_names(tmp_path, kind):
    table = read_table(write(tmp_path / f"pairs.{kind}"))
    assert len(table) == 7 and not table.grid
    assert [table[i].name for i in range(7)] == NAMES == [table.name(i) for i in range(7)]
    assert list(table.contents) == [tmp_path / "a.png", tmp_path / "b" / "a.jpg", tmp_path / "été, \"q\"\nz.png"]
    assert list(table.styles) == [tmp_path / "s.png", tmp_path / "t.png"]
    content, style = table.indices()
    assert content.tolist() == [0, 0, 1, 0, 0, 0, 2] and style.tolist() == [0, 1, 0, 0, 0, 1, 0]
    assert [(r.gamma, r.seed, r.mask) for r in (table[1], table[2], table[3])] == [
        (0.25, None, None), (None, 3, None), (None, None, tmp_path / "m.png")]
    again = pickle.loads(pickle.dumps(table))
    assert [again[i] for i in range(7)] == [table[i] for i in range(7)]
    with pytest.raises(IndexError):
        table[7]


def test_bad_rows_fail_by_themselves(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("content,style,gamma,seed,output\na.png,s.png,,,\n,s.png,,,\na.png\na.png,s.png,1.5,,\n"
                    "a.png,s.png,x,,\na.png,s.png,,-1,\na.png,s.png,,1.5,\na.png,s.png,,,../a.png\na.png,s.png,,,/a.png\n"
                    "a.png,s.png,,,a.jpg\na.png,s.png,,,Grid-2.png\nb.png,s.png,0.5,2.0,\n")
    table = read_table(path)
    assert table.indices()[0].tolist() == [0, *[-1] * 10, 1]
    said = []
    for i in range(1, 11):
        with pytest.raises(HsxError, match=f"^{path} row {i + 1}: .*expected .* got .*; ") as raised:
            table[i]
        said.append(str(raised.value).split(": ", 1)[1].split(",")[0])
        assert table.name(i) == f"row-{i + 1}"
    assert table[11].gamma == 0.5 and table[11].seed == 2
    lines = tmp_path / "pairs.jsonl"
    lines.write_text('{"content": "a.png", "style": "s.png"}\n{"content": \n[1]\n')
    table = read_table(lines)
    assert table.indices()[0].tolist() == [0, -1, -1]
    with pytest.raises(HsxError, match="row 2: expected a JSON object"):
        table[1]


def test_broken_quotes_cells_and_texts_fail_by_themselves(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_bytes(b'content,style,gamma\na.png,s.png\n\xe9.png,s.png,\na\0.png,s.png,\n  ,s.png,\n"a"b.png,s.png,\n'
                     b'"' + b"x" * 140_000 + b'",s.png,\nb.png, s.png,\n')
    table = read_table(path)
    assert table.indices()[0].tolist() == [*[-1] * 6, 0] and table[6].name == "b__s"
    for i in range(6):
        with pytest.raises(HsxError, match="expected .* got .*; "):
            table[i]
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"content": "a.png", "style": "s.png"}\n{"content": 5, "style": "s.png"}\n' + "[" * 100_000 + "\n"
                    '{"content": "\\ud800.png", "style": "s.png"}\n')
    assert read_table(path).indices()[0].tolist() == [0, -1, -1, -1]


class Names(Dataset):
    def __init__(self, table):
        self.table = table

    def __len__(self):
        return len(self.table)

    def __getitem__(self, i):
        return self.table[i].name


def test_forked_workers_do_not_share_a_position(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("content,style\n" + "".join(f"c{i}.png,s{i}.png\n" for i in range(4000)))
    loader = DataLoader(Names(read_table(path)), 50, num_workers=2, multiprocessing_context="fork")
    assert [name for batch in loader for name in batch] == [f"c{i}__s{i}" for i in range(4000)]


@pytest.mark.parametrize("name, text, said", [
    ("a.csv", "content,mask\na,b\n", "expected the columns content and style, got content, mask; add style"),
    ("a.csv", "content,style\n", "expected a row a pair, got none"), ("a.csv", "", "got none; add content and style"),
    ("a.jsonl", "\n", "got none"), ("a.xlsx", "x", "expected a table ending in .csv, .tsv"),
    ("a.parquet", "x", "Parquet|pyarrow"),
])
def test_what_is_no_table(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(HsxError, match=said) as raised:
        read_table(tmp_path / name)
    assert "; " in str(raised.value)
    with pytest.raises(HsxError, match="could not read|ending in"):
        read_table(tmp_path / "nowhere" / name)


def test_unknown_columns_are_named_once(tmp_path, caplog):
    path = tmp_path / "pairs.csv"
    path.write_text("content,style,weight\na.png,s.png,1\n")
    read_table(path)
    assert "the columns weight are ignored" in caplog.text


def test_numbers_are_the_same_in_every_process(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("content,style\n" + "".join(f"c{i * 7 % 11}.png,s{i * 5 % 9}.png\n" for i in range(99)))
    code = ("import sys; from pathlib import Path; from hsx.engine.table import read_table;"
            "t = read_table(Path(sys.argv[1])); print([tuple(t[i]) for i in range(99)], list(t.contents))")
    said = {subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True,
                           env={"PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")}
    assert len(said) == 1


@pytest.mark.slow
@pytest.mark.parametrize("distinct", [1_000, 1_000_000])
def test_a_million_rows(tmp_path, distinct):
    path = tmp_path / "pairs.csv"
    rng = np.random.default_rng(0)
    content, style = rng.integers(distinct, size=(2, 1_000_000))
    with path.open("w") as file:
        file.write("content,style\n")
        for c, s in zip(content, style, strict=True):
            file.write(f"some/folder/content_{c}.png,some/styles/style_{s}.png\n")
    code = """
import sys, time
from pathlib import Path
from hsx.engine.table import read_table
def memory(): return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
before, begun = memory(), time.perf_counter()
table = read_table(Path(sys.argv[1]))
print(len(table), time.perf_counter() - begun, memory() - before)
assert table[999_999].content == table.indices()[0][-1]
"""
    n, seconds, megabytes = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True,
                                           check=True).stdout.split()
    print(n, seconds, megabytes)
    assert int(n) == 1_000_000 and float(seconds) < 10 and float(megabytes) < 150

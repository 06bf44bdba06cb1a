"""Tables of pairs: rows read when their turn comes, bad ones failing by themselves."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from hsx.errors import HsxError
from hsx.pairs.table import read_table

ROWS = [
    {"content": "a.png", "style": "s.png"},
    {"content": "a.png", "style": "t.png", "gamma": 0.25},
    {"content": "b/a.jpg", "style": "s.png", "seed": 3},
    {"content": "a.png", "style": "s.png", "mask": "m.png"},
    {"content": "a.png", "style": "s.png", "output": "x/y.png"},
    {"content": "a.png", "style": "t.png", "output": "X/Y"},
    {"content": 'été, "q"\nz.png', "style": "s.png"},
]
NAMES = [
    "a__s",
    "a__t",
    "a__s~833f87dd",
    "a__s~f51e103b",
    "x/y",
    "X/Y~ebe7f2e6",
    "été, _q__z__s",
]


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
    (tmp_path / ROWS[-1]["content"]).touch()  # of a name over two lines it is asked
    table = read_table(write(tmp_path / f"pairs.{kind}"))
    assert len(table) == 7 and not table.grid
    assert [table[i].name for i in range(7)] == NAMES == [table.name(i) for i in range(7)]
    assert list(table.contents) == [tmp_path / "a.png", tmp_path / "b" / "a.jpg", tmp_path / 'été, "q"\nz.png']
    assert list(table.styles) == [tmp_path / "s.png", tmp_path / "t.png"]
    content, style = table.indices()
    assert content.tolist() == [0, 0, 1, 0, 0, 0, 2] and style.tolist() == [0, 1, 0, 0, 0, 1, 0]
    assert [(r.gamma, r.seed, r.mask) for r in (table[1], table[2], table[3])] == [
        (0.25, None, None),
        (None, 3, None),
        (None, None, tmp_path / "m.png"),
    ]
    again = pickle.loads(pickle.dumps(table))
    assert [again[i] for i in range(7)] == [table[i] for i in range(7)]
    with pytest.raises(IndexError):
        table[7]


def test_bad_rows_fail_by_themselves(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(
        "content,style,gamma,seed,output\na.png,s.png,,,\n,s.png,,,\na.png\na.png,s.png,1.5,,\n"
        "a.png,s.png,x,,\na.png,s.png,,-1,\na.png,s.png,,1.5,\na.png,s.png,,,../a.png\na.png,s.png,,,/a.png\n"
        "a.png,s.png,,,a.jpg\na.png,s.png,,,Grid-2.png\nb.png,s.png,0.5,2.0,\n"
    )
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
    path.write_bytes(
        b'content,style,gamma\na.png,s.png\n\xe9.png,s.png,\na\0.png,s.png,\n  ,s.png,\n"a"b.png,s.png,\n'
        b'"' + b"x" * 140_000 + b'",s.png,\nb.png, s.png,\n'
    )
    table = read_table(path)
    assert table.indices()[0].tolist() == [*[-1] * 6, 0] and table[6].name == "b__s"
    for i in range(6):
        with pytest.raises(HsxError, match="expected .* got .*; "):
            table[i]
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        '{"content": "a.png", "style": "s.png"}\n{"content": 5, "style": "s.png"}\n' + "[" * 100_000 + "\n"
        '{"content": "\\ud800.png", "style": "s.png"}\n'
    )
    assert read_table(path).indices()[0].tolist() == [0, -1, -1, -1]


def test_names_stay_when_a_bad_row_is_corrected(tmp_path):
    path = tmp_path / "pairs.jsonl"
    pair = {"content": "a.png", "style": "s.png"}
    bad = [
        pair | {"gamma": 2},
        {"content": "x/a.png", "style": "s.png", "seed": -1},
        pair | {"gamma": 2, "output": "b"},
        pair | {"output": "../c"},
        {"content": "y/a.png"},
    ]
    good = [
        pair | {"gamma": 0.2},
        {"content": "x/a.png", "style": "s.png"},
        pair | {"gamma": 0.2, "output": "b"},
        pair | {"output": "c"},
        {"content": "y/a.png", "style": "s.png"},
    ]
    rest = [pair, {"content": "z/a.png", "style": "s.png"}, pair | {"output": "b"}, pair | {"output": "row-1"}]
    before = read_table(write(path, bad + rest))
    names = ["a__s~ac3ce4ae", "a__s~a6f106b3", "b~ac3ce4ae", "row-1"]
    assert [before.name(i) for i in range(1, 9)] == [*(f"row-{i}" for i in range(2, 6)), *names]
    assert before.name(0).startswith("row-1~")  # another row's result is called row-1
    assert before.indices()[0].tolist() == [-1] * 5 + [0, 1, 0, 0]
    assert list(before.contents) == [tmp_path / "a.png", tmp_path / "z/a.png"] and len(before.styles) == 1
    after = read_table(write(path, good + rest))
    assert [after.name(i) for i in range(9)] == [
        *("a__s", "a__s~f2c45b68", "b", "c", "a__s~c23dd2d0"),
        *names,
    ]


def test_equal_rows_have_their_numbers_in_their_names(tmp_path):
    rows = [ROWS[0], ROWS[1], ROWS[0], ROWS[0] | {"seed": 1}]
    table = read_table(write(tmp_path / "pairs.csv", rows))
    assert [table.name(i) for i in range(4)] == ["a__s", "a__t", "a__s~ac3ce4ae-3", "a__s~56ff8554"]


def test_seeds_have_an_upper_bound(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(f"content,style,seed\na.png,s.png,{2**63 - 1}\na.png,s.png,{2**63}\n")
    table = read_table(path)
    assert table[0].seed == 2**63 - 1
    with pytest.raises(HsxError, match="expected an integer from 0 to 9223372036854775807, got 9223372036854775808"):
        table[1]


def test_numbers_and_names_over_many_rows(tmp_path):
    """More rows than are objects at once, with bad ones, equal stems, another case and names that look numbered."""
    rng = np.random.default_rng(0)
    stems = ["a", "A", "a~2", "x/a", "y/a", "b__a", "b", "a__b", *(f"z{i}" for i in range(300))]
    pairs = rng.choice([f"{stem}.png" for stem in stems], (20_000, 2)).tolist()
    rows = [{"content": content, "style": style} for content, style in pairs]
    for i in rng.integers(len(rows), size=500):
        rows[i] = rows[i] | {"output": stems[i % 9]}
    for i in (0, 8191, 8192, 19_999):
        rows[i] = {"content": "", "style": "s.png"}
    table = read_table(write(tmp_path / "pairs.csv", rows))
    content, style = table.indices()
    for column, pictures, numbers in (("content", table.contents, content), ("style", table.styles, style)):
        order = list(dict.fromkeys(row[column] for row in rows if row["content"]))
        assert [str(path.relative_to(tmp_path)) for path in pictures] == order
        assert numbers.tolist() == [order.index(row[column]) if row["content"] else -1 for row in rows]
    names = [table.name(i) for i in range(len(rows))]
    assert len({name.lower() for name in names}) == len(rows)
    assert names[0] == "row-1" and names[8192] == "row-8193"


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


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("a.csv", "content,mask\na,b\n", "expected the columns content and style, got content, mask; add style"),
        ("a.csv", "content,style\n", "expected a row a pair, got none"),
        ("a.csv", "", "got none; add content and add style"),
        ("a.csv", " Content,STYLE \na,b\n", "got Content, STYLE; rename Content to content and rename STYLE to style$"),
        ("a.csv", "content_path,target\na,b\n", "; rename content_path to content and add style$"),
        ("a.csv", "content;style\na;b\n", "expected commas between cells, got semicolons; "),
        ("a.csv", "content\tstyle\na\tb\n", "expected commas between cells, got tabs; save it with commas$"),
        ("a.tsv", "content,style\na,b\n", "expected tabs between cells, got commas; save it with tabs$"),
        ("a.csv", "content,style,content\na,b,c\n", "expected each column once, got content twice; rename one"),
        ("a.jsonl", '{"contnt": "a", "style": "b"}\n' * 3, "got contnt, style; rename contnt to content$"),
        ("a.jsonl", '[\n{"content": "a",\n', r"expected a JSON object, got .*; "),
        ("a.jsonl", "\n", "got none"),
        ("a.xlsx", "x", "expected a table ending in .csv, .tsv"),
        ("a.parquet", "x", "expected a Parquet table, could not read|pyarrow"),
    ],
)
def test_what_is_no_table(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(HsxError, match=said) as raised:
        read_table(tmp_path / name)
    assert "; " in str(raised.value)
    with pytest.raises(HsxError, match="could not read|ending in"):
        read_table(tmp_path / "nowhere" / name)


def test_columns_of_json_may_come_later_and_unknown_ones_are_ignored(tmp_path, caplog):
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        '{"style": "s.png"}\n{"content": "a.png", "style": "s.png"}\n'
        '{"content": "a.png", "style": "s.png", "gamma": 0.5, "gama": 1}\n'
        '{"contnt": "a.png", "style": "s.png"}\n'
    )
    table = read_table(path)
    assert table.indices()[0].tolist() == [-1, 0, 0, -1] and table[2].gamma == 0.5
    with pytest.raises(HsxError, match="row 4: expected a content and a style, got no content"):
        table[3]
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        f"{path}: the columns gama, contnt are ignored"
    ]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_that_is_edited_during_a_run_is_noticed(tmp_path, kind):
    path = write(tmp_path / f"pairs.{kind}")
    table = read_table(path)
    again = pickle.loads(pickle.dumps(table))
    assert table[0] == again[0]
    write(path, ROWS[1:])
    for edited in (table, again, pickle.loads(pickle.dumps(table))):
        with pytest.raises(HsxError, match=f"^{path} row 1: expected the table as it was .*, got one edited since"):
            edited[0]
        with pytest.raises(HsxError, match="row 3: expected the table as it was"):
            edited.contents[1]
    path.unlink()
    with pytest.raises(HsxError, match="row 2: expected the table as it was"):
        table[1]


def test_outputs_cannot_be_folders_and_files_at_once(tmp_path):
    path = tmp_path / "pairs.jsonl"
    names = ["a", "a.png/b", "A.PNG /b", "results.jsonl/b", "a/b.png", "a.png.d/b", "..png", "b..png"]
    path.write_text("".join(json.dumps({"content": "a", "style": "s", "output": name}) + "\n" for name in names))
    table = read_table(path)
    assert [table.name(i) for i in range(len(names))] == [
        "a",
        "row-2",
        "row-3",
        "row-4",
        "a/b",
        "a.png.d/b",
        "row-7",
        "b.",
    ]
    with pytest.raises(HsxError, match="row 2: output: expected folders that do not end as .* got a.png/b; "):
        table[1]


def test_unknown_columns_are_named_once(tmp_path, caplog):
    path = tmp_path / "pairs.csv"
    path.write_text("content,style,weight\na.png,s.png,1\n")
    read_table(path)
    assert "the columns weight are ignored" in caplog.text


def test_numbers_are_the_same_in_every_process(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("content,style\n" + "".join(f"c{i * 7 % 11}.png,s{i * 5 % 9}.png\n" for i in range(99)))
    code = (
        "import sys; from pathlib import Path; from hsx.pairs.table import read_table;"
        "t = read_table(Path(sys.argv[1])); print([tuple(t[i]) for i in range(99)], list(t.contents))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code, str(path)],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


@pytest.mark.slow
@pytest.mark.parametrize("distinct, most", [(1_000, 100), (1_000_000, 280)])
def test_a_million_rows(tmp_path, distinct, most):
    """Memory is the most that is added at any moment."""
    path = tmp_path / "pairs.csv"
    rng = np.random.default_rng(0)
    content, style = rng.integers(distinct, size=(2, 1_000_000))
    with path.open("w") as file:
        file.write("content,style\n")
        for c, s in zip(content, style, strict=True):
            file.write(f"some/folder/content_{c}.png,some/styles/style_{s}.png\n")
    code = """
import re, sys, time
from pathlib import Path
from hsx.pairs.table import read_table
def memory(): return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024 / 1e6
before, begun = memory(), time.perf_counter()
table = read_table(Path(sys.argv[1]))
print(len(table), time.perf_counter() - begun, memory() - before)
assert table[999_999].content == table.indices()[0][-1]
"""
    n, seconds, megabytes = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    ).stdout.split()
    print(n, seconds, megabytes)
    assert int(n) == 1_000_000 and float(seconds) < 10 and float(megabytes) < most

"""Tables of pairs, a row a pair: checked row by row, kept as columns of Arrow."""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hsx.errors import HsxError, shown
from hsx.pairs.names import CHUNK, Column, Endings, Keys, folded, safe
from hsx.pairs.pairing import PairList, Row
from hsx.pairs.rows import located, mappings, open_rows

SEED = 2**63 - 1  # the highest
PATH = 4096  # characters of a path, at most: no system takes more

log = logging.getLogger("hsx")


def read_table(table: Path | Sequence[Mapping[str, Any]]) -> PairList:
    """The pairs of a CSV, TSV, JSONL or Parquet table with the columns content, style and optionally mask, gamma, seed
    and output; paths in it are relative to it.  Or those of such rows as mappings, relative to the current folder.

    Raises:
        HsxError: for a file that is no such table.  A bad row fails by itself.
    """
    if isinstance(table, Path):
        columns, rows = open_rows(table)
        source = _Source(table, _stamp(table))
    else:
        columns, rows = mappings(table)
        source = _Source(Path("data.pairs"), None)
    if columns:
        _check([*columns], source.path)
    chunks = [*rows]
    n = np.cumsum([0, *(chunk.rows for chunk in chunks)]).tolist()
    errors = {begin + i: reason for begin, chunk in zip(n, chunks, strict=False) for i, reason in chunk.errors.items()}
    if not columns and errors:
        raise HsxError(f"{source.path}: {errors[0]}")  # no line of JSON is an object
    _check([*columns], source.path)
    if not chunks:
        raise HsxError(f"{source.path}: expected a row a pair, got none; add some")
    unknown = [name for name in columns if name not in READERS]
    if unknown:
        log.warning("%s: the columns %s are ignored; known are %s", source.path, _named(unknown), ", ".join(READERS))

    blank = pa.array([""] * CHUNK).dictionary_encode()

    def column(name: str) -> Column:
        return _column([chunk.cells.pop(name, blank[: chunk.rows]) for chunk in chunks])

    return _Table(source, {name: column(name) for name in READERS if name in columns}, errors)


def _check(columns: list[str], path: Path) -> None:
    lacking = [name for name in ("content", "style") if name not in columns]
    if lacking:
        raise HsxError(
            f"{path}: expected the columns content and style, got {_named(columns) or 'none'}; "
            + " and ".join(_remedy(name, columns) for name in lacking)
        )
    twice = [name for name in dict.fromkeys(columns) if name and columns.count(name) > 1]
    if twice:
        raise HsxError(f"{path}: expected each column once, got {_named(twice)} twice; rename one or take it away")


def _named(columns: list[str]) -> str:
    return f"{shown(', '.join(columns)):.200}"


def _remedy(name: str, columns: list[str]) -> str:
    """What to do about a missing column: rename the one most like it, or add it."""
    others = {other.strip().lower(): other for other in columns if other not in READERS}
    like = difflib.get_close_matches(name, others, 1, 0.6)
    return f"rename {_named([others[like[0]]])} to {name}" if like else f"add {name}"


def _path(text: str) -> str:
    if len(text) > PATH or "\0" in text or text.isspace():
        raise HsxError(f"expected a path in UTF-8, got {text!a:.80}; correct it")
    return text


def _number(kind: type, highest: float, what: str, text: str) -> Any:
    if text == "nan":  # pandas writes it for what is missing
        return None
    try:
        number = kind(float(text)) if kind is int and "." in text and float(text).is_integer() else kind(text)
    except ValueError:
        number = -1
    if not 0 <= number <= highest:
        raise HsxError(f"expected {what}, got {shown(text):.80}; correct it or leave it empty")
    return number


def _output(text: str) -> str:
    """The name of a result as the column gives it, made safe, without .png."""
    parts = text.replace("\\", "/").split("/")
    *folders, stem = parts
    dot = stem.rpartition(".")
    suffix = dot[2].lower() if dot[0] else ""
    if suffix == "png":
        stem = dot[0]
    if text.startswith("/") or ":" in parts[0] or ".." in folders or not stem.strip(". "):
        raise HsxError(f"expected a name below the output folder, got {shown(text)}; give one such as b/a.png")
    if suffix in ("jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"):
        raise HsxError(f"expected a name that ends in .png or in nothing, got {shown(text)}; results are PNG")
    folders = [safe(folder) for folder in folders if folder not in ("", ".")]
    if any(folder.lower().endswith((".png", ".jsonl", ".yaml")) for folder in folders):
        raise HsxError(
            f"expected folders that do not end as results do (.png, .jsonl, .yaml), got {shown(text)}; rename them"
        )
    name = "/".join([*folders, safe(stem)])
    if re.fullmatch(r"grid(-\d+)?", name.lower()):
        raise HsxError(f"expected another name than that of the contact sheet, got {shown(text)}; take another")
    return name


READERS: dict[str, Callable[[str], Any]] = {
    "content": _path,
    "style": _path,
    "mask": _path,
    "gamma": partial(_number, float, 1.0, "a number from 0 to 1"),
    "seed": partial(_number, int, SEED, f"an integer from 0 to {SEED}"),
    "output": _output,
}


class _Texts(Sequence[str]):
    """An array of strings, read when asked for."""

    def __init__(self, array: pa.Array) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, k: Any) -> Any:
        return self.array[k].to_pylist() if isinstance(k, slice) else self.array[int(k)].as_py()


def _column(parts: list[pa.DictionaryArray]) -> Column:
    """The cells of a column from those of its chunks; its distinct texts are in the order of their first rows."""
    parts = pa.chunked_array(parts).unify_dictionaries().chunks
    texts, numbers = parts[0].dictionary, np.concatenate([part.indices for part in parts])
    numbers[numbers == texts.index("").as_py()] = -1
    return Column(_Texts(texts), numbers)


def _read(name: str, text: str) -> Any:
    """What a cell says, or the HsxError that says why it cannot be read."""
    try:
        return READERS[name](text)
    except HsxError as error:
        return HsxError(f"{name}: {error}")


def _unreadable(name: str, column: Column) -> np.ndarray:
    """Which rows have a cell that cannot be read, (n,) of bool."""
    parts = (column.texts[i : i + CHUNK] for i in range(0, len(column.texts), CHUNK))
    wrong = [isinstance(_read(name, text), HsxError) for part in parts for text in part]
    rows: np.ndarray = np.array([*wrong, False])[column.numbers]
    return rows


def _own_name(text: str) -> bytes:
    name = _read("output", text)
    return b"" if isinstance(name, HsxError) else folded(name)


@dataclass(frozen=True)
class _Source:
    """Where the rows of a table are from."""

    path: Path
    stamp: tuple[int, int] | None = None  # of the file when it was read

    def check(self, row: Callable[[], int]) -> None:
        """Raise HsxError, naming a row, where the file is not the one that was read."""
        if self.stamp not in (None, _stamp(self.path)):
            raise HsxError(
                f"{self.path} row {row() + 1}: expected the table as it was when the run began, got one edited since, "
                "or none; leave it alone during a run, and start again"
            )


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


class _Pictures(Sequence[Path]):
    """The distinct pictures of a column, without those of bad rows, and the number of each row's."""

    def __init__(self, source: _Source, column: Column, bad: np.ndarray) -> None:
        self.source, self.texts = source, column.texts
        used = np.zeros(len(column.texts) + 1, bool)
        used[column.numbers[~bad]] = True
        self.left = np.flatnonzero(used).astype(np.int32)
        self.numbers = column.numbers
        if bad.any():
            self.numbers = np.where(bad, np.int32(-1), (np.cumsum(used, dtype=np.int32) - 1)[column.numbers])

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, k: Any) -> Any:
        self.source.check(lambda: int(np.argmax(self.numbers == k)))
        return located(self.texts[self.left[k]], self.source.path.parent)


class _Table(PairList):
    """The pairs of a table."""

    contents: _Pictures
    styles: _Pictures

    def __init__(self, source: _Source, columns: dict[str, Column], errors: dict[int, str]) -> None:
        self._source, self._columns, self._errors = source, columns, errors
        self._content, self._style = columns["content"], columns["style"]
        bad = (self._content.numbers < 0) | (self._style.numbers < 0)
        bad[[*errors]] = True
        for name, column in columns.items():
            bad |= _unreadable(name, column)
        output = columns.get("output")
        self._endings = Endings(
            self._content,
            self._style,
            [columns.get(name) for name in ("mask", "gamma", "seed")],
            None if output is None else (Keys.of(output.texts, _own_name), output.numbers),
            np.flatnonzero(bad).tolist(),
        )
        self.contents, self.styles = (_Pictures(source, column, bad) for column in (self._content, self._style))

    def __getitem__(self, i: int) -> Row:
        i = range(len(self))[i]
        self._source.check(lambda: i)
        values = {name: self._value(name, i) for name in READERS}
        reason = self._errors.get(i) or next((v for v in values.values() if isinstance(v, HsxError)), None)
        for name in ("content", "style"):
            if reason is None and values[name] is None:
                reason = f"expected a content and a style, got no {name}; fill it in"
        if reason:
            raise HsxError(f"{self._source.path} row {i + 1}: {reason}")
        mask = values["mask"] and located(values["mask"], self._source.path.parent)
        content, style = (int(numbers[i]) for numbers in self.indices())
        return Row(self.name(i), content, style, mask, values["gamma"], values["seed"])

    def indices(self) -> tuple[np.ndarray, np.ndarray]:
        return self.contents.numbers, self.styles.numbers

    def _base(self, i: int) -> str:
        if self.contents.numbers[i] < 0:
            return f"row-{i + 1}"
        return self._value("output", i) or super()._base(i)

    def _value(self, name: str, i: int) -> Any:
        column = self._columns.get(name)
        return None if column is None or column.numbers[i] < 0 else _read(name, column.texts[column.numbers[i]])

"""Tables of pairs, a row a pair: checked row by row, kept as columns of distinct cells."""

from __future__ import annotations

import difflib
import logging
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from hsx.errors import HsxError, shown
from hsx.pairs.cells import READERS, as_text
from hsx.pairs.names import Column, Names
from hsx.pairs.pairing import PairList, Row
from hsx.pairs.rows import Cells, located, open_rows

NEEDED = ("content", "style")
Stamp = tuple[int, int] | None  # a file's size and when it was changed

log = logging.getLogger("hsx")


def read_table(table: Path | Sequence[Mapping[str, Any]]) -> PairList:
    """The pairs of a CSV, TSV, JSONL or Parquet table with the columns content, style and optionally mask, gamma, seed
    and output; paths in it are relative to it.  Or those of such rows as mappings, relative to the current folder.

    Raises:
        HsxError: for a file that is no such table.  A bad row fails by itself.
    """
    if isinstance(table, Path):
        path, stamp, (names, rows) = table, _stamp(table), open_rows(table)
    else:
        path, stamp, names, rows = Path("data.pairs"), None, [], iter(table)
    if names:
        _check(names, path)
    columns, cells, errors = _columns(names, rows)
    if not columns and errors:
        raise HsxError(f"{path}: {errors[0]}")  # no line of JSON is an object
    _check(columns, path)
    if not len(cells["content"].numbers):
        raise HsxError(f"{path}: expected a row a pair, got none; add some")
    unknown = [name for name in columns if name not in READERS]
    if unknown:
        log.warning("%s: the columns %s are ignored; known are %s", path, _named(unknown), ", ".join(READERS))
    return _Table(path, stamp, cells, errors)


def _check(columns: list[str], path: Path) -> None:
    lacking = [name for name in NEEDED if name not in columns]
    if lacking:
        remedies = " and ".join(_remedy(name, columns) for name in lacking)
        raise HsxError(f"{path}: expected the columns content and style, got {_named(columns) or 'none'}; {remedies}")
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


def _columns(names: list[str], rows: Iterable[Cells]) -> tuple[list[str], dict[str, Column], dict[int, str]]:
    """The names of all columns, those that are read, of texts, and why some of the rows are none."""
    found, errors, n = dict[str, Any].fromkeys(names), dict[int, str](), 0
    columns = {name: ({"": 0}, array("i")) for name in READERS}
    for n, row in enumerate(rows, 1):
        try:
            if isinstance(row, HsxError):
                raise row
            found.update(row)
            for name, cell in row.items():
                if name in columns:
                    known, numbers = columns[name]
                    text = cell if isinstance(cell, str) else as_text(name, cell)
                    while len(numbers) < n - 1:  # rows without it
                        numbers.append(0)
                    numbers.append(known.setdefault(text, len(known)))
        except HsxError as error:
            errors[n - 1] = str(error)

    def column(name: str) -> Column:
        known, numbers = columns.pop(name)
        return Column([*known], np.pad(np.array(numbers), (0, n - len(numbers))))

    return [*found], {name: column(name) for name in READERS}, errors


def _stamp(path: Path) -> Stamp:
    with suppress(OSError):
        found = path.stat()
        return found.st_size, found.st_mtime_ns
    return None


class _Pictures(Sequence[Path]):
    """The distinct pictures of a column, each by the first row that has it."""

    def __init__(self, table: _Table, name: str, rows: np.ndarray) -> None:
        self.table, self.name, self.rows = table, name, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, k: Any) -> Any:
        return self.table.picture(self.name, int(self.rows[k]))


class _Table(PairList):
    """The pairs of a table: its columns, and why some of its rows are bad.  Number 0 of a column is the empty text."""

    def __init__(self, path: Path, stamp: Stamp, cells: dict[str, Column], errors: dict[int, str]) -> None:
        self._path, self._stamp, self._cells, self._errors = path, stamp, cells, errors
        for name, read in READERS.items():
            values, numbers = cells[name]
            wrong = {0: f"expected a content and a style, got no {name}; fill it in"} if name in NEEDED else {}
            for k, text in enumerate(values):
                try:
                    values[k] = text and read(text)
                except HsxError as error:
                    wrong[k] = f"{name}: {error}"
            for i in np.flatnonzero(np.isin(numbers, [*wrong])).tolist():
                errors.setdefault(i, wrong[numbers[i]])
        content, style, mask, gamma, seed, output = cells.values()
        names = Names(content, style, (mask, gamma, seed), output, errors)
        good = np.delete(np.arange(len(content.numbers), dtype=np.int32), [*errors])
        contents, left = self._pictures("content", good)
        styles, right = self._pictures("style", good)
        super().__init__(contents, styles, left, right, names)

    def _pictures(self, name: str, good: np.ndarray) -> tuple[_Pictures, np.ndarray]:
        """The pictures of the rows that are good, and the number of each row's."""
        values, cells = self._cells[name]
        first, numbers = np.full(len(values), -1, np.int32), np.full(len(cells), -1, np.int32)
        first[cells[good][::-1]] = good[::-1]
        numbers[good] = (np.cumsum(first >= 0) - 1)[cells[good]]
        return _Pictures(self, name, first[first >= 0]), numbers

    def __getitem__(self, i: int) -> Row:
        i = range(len(self))[i]
        if i in self._errors:
            raise HsxError(f"{self._path} row {i + 1}: {self._errors[i]}")
        mask, gamma, seed = self.picture("mask", i), self._cells["gamma"].value(i), self._cells["seed"].value(i)
        return super().__getitem__(i)._replace(mask=mask, gamma=gamma, seed=seed)

    def picture(self, name: str, i: int) -> Any:
        """Where the picture of a column is.  Raises HsxError where the file is not the one that was read."""
        if self._stamp and self._stamp != _stamp(self._path):
            raise HsxError(
                f"{self._path} row {i + 1}: expected the table as it was when the run began, got one edited since, "
                "or none; leave it alone during a run, and start again"
            )
        path = self._cells[name].value(i)
        return path and located(path, self._path.parent)

"""The rows of a CSV, JSONL or Parquet file, walked through once and then read one by one by their places."""

from __future__ import annotations

import codecs
import csv
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from hsx.errors import HsxError, first_line

COLUMNS = ("content", "style", "mask", "gamma", "seed", "output")  # that are read; others are ignored
CHUNK = 8192  # rows that are objects at once
LINES = 10  # that a row of CSV has at most, within quotes
MARKS = {",": "commas", ";": "semicolons", "\t": "tabs"}  # between cells
Cells = dict | HsxError  # a row by column, or why it is none


def lines_of(text: str) -> str:
    """How many lines a text has, in words."""
    return f"{text.count(chr(10)) + 1} lines"


class Rows(ABC):
    """A file of rows; a place is what finds a row again, as long as nobody edits the file.

    ``columns`` are those of the header; of a file without one, those of the rows read so far.
    """

    columns: list[str]
    quoted = False  # whether a quote left open makes one row of several

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = self._stamp_now()

    @abstractmethod
    def scan(self) -> Iterator[tuple[int, Cells]]:
        """Every row with its place."""

    def at(self, place: int) -> Cells:
        """The row at a place.  Raises HsxError where the file is not as it was when it was opened first."""
        try:
            same = self._stamp_now() == self._stamp
        except OSError:
            same = False
        if not same:
            raise HsxError(
                "expected the table as it was when the run began, got one edited since, or none; leave it "
                "alone during a run, and start again"
            )
        return self._at(place)

    @abstractmethod
    def _at(self, place: int) -> Cells: ...

    def _stamp_now(self) -> tuple[int, int]:
        found = os.stat(self.path)
        return found.st_size, found.st_mtime_ns


def open_rows(path: Path) -> Rows:
    """The rows of a file, by its suffix.  Raises HsxError for another suffix, or a file that cannot be read."""
    kinds: dict[str, type[Rows]] = {
        ".csv": _CSV,
        ".tsv": _CSV,
        ".jsonl": _JSONL,
        ".ndjson": _JSONL,
        ".parquet": _Parquet,
    }
    if path.suffix.lower() not in kinds:
        raise HsxError(f"data.pairs: expected a table ending in {', '.join(kinds)}, got {path}; convert it")
    try:
        return kinds[path.suffix.lower()](path)
    except OSError as error:
        raise HsxError(
            f"data.pairs: expected a table, could not read {path} ({error.strerror}); check the path"
        ) from None


class _Lines(Rows):
    """Rows that begin at a byte of the file, opened once in each process."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file: IO[bytes] | None = path.open("rb")
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}

    @property
    def file(self) -> IO[bytes]:
        """The file, opened by this very process: a forked one would share its position with its parent."""
        if self._file is None or self._process != os.getpid():
            self._file, self._process = self.path.open("rb"), os.getpid()
        return self._file

    def lines(self) -> Iterator[str]:
        """Lines from where the file stands; ``self.place`` is behind the last one."""
        for raw in self.file:
            self.place += len(raw)
            yield raw.decode("utf-8", "surrogateescape")

    def from_(self, place: int) -> Iterator[str]:
        """Lines from a place on."""
        self.place = place
        self.file.seek(place)
        return self.lines()


class _CSV(_Lines):
    quoted = True

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        self.marks = MARKS[self.delimiter]
        first = self.file.readline()
        if b"\0" in first:
            raise HsxError(f"{path}: expected a table in UTF-8, it is not UTF-8 (perhaps UTF-16); save it as UTF-8")
        self.begin = len(codecs.BOM_UTF8) if first.startswith(codecs.BOM_UTF8) else 0
        header = next(self.read(self.from_(self.begin)), [])
        if isinstance(header, HsxError):
            raise HsxError(f"{path}: {header}")
        self.columns = [name.strip() for name in header]
        others = [MARKS[mark] for mark in MARKS if len(self.columns) == 1 and mark in self.columns[0]]
        if others:
            raise HsxError(f"{path}: expected {self.marks} between cells, got {others[0]}; save it with {self.marks}")

    def read(self, lines: Iterator[str]) -> Iterator[list[str] | HsxError]:
        """The cells of the rows in these lines.  Raises HsxError for a quote that takes in the rows behind it."""
        reader = csv.reader(lines, delimiter=self.delimiter, skipinitialspace=True, strict=True)
        while True:
            before, row, reason = reader.line_num, None, ""
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                reason = f" ({error})"
            n = reader.line_num - before
            if n > (LINES if row is not None else 1):
                raise HsxError(
                    f"{self.path} line {before + 1}: expected quotes that close within a row, got "
                    f"one that is open over {n} lines{reason}; close it, or double it within a name"
                )
            yield HsxError(f"expected cells, got what is none{reason}; close its quotes") if row is None else row

    def scan(self) -> Iterator[tuple[int, Cells]]:
        rows = self.read(self.from_(self.begin))
        next(rows, None)  # the header
        place = self.place
        for row in rows:
            if row:
                yield place, self._cells(row)
            place = self.place

    def _at(self, place: int) -> Cells:
        return self._cells(next(self.read(self.from_(place)), []))

    def _cells(self, row: list[str] | HsxError) -> Cells:
        if isinstance(row, HsxError):
            return row
        if len(row) != len(self.columns):
            mend = "add the others, if empty" if len(row) < len(self.columns) else f"quote cells with {self.marks}"
            return HsxError(f"expected {len(self.columns)} cells, got {len(row)}; {mend}")
        cells = {name: cell.strip(" \t") for name, cell in zip(self.columns, row, strict=True)}
        if "\n" in cells.get("output", ""):
            return HsxError(
                f"output: expected a name on one line, got one whose quote spans {lines_of(cells['output'])}; close it"
            )
        return cells


class _JSONL(_Lines):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.columns = []
        broken: list[HsxError] = []
        for _, cells in self.scan():
            if isinstance(cells, HsxError):
                broken = broken or [cells]
            elif {"content", "style"} <= set(self.columns):
                return
        if broken and not self.columns:
            raise HsxError(f"{path}: {broken[0]}")

    def scan(self) -> Iterator[tuple[int, Cells]]:
        place = 0
        for line in self.from_(0):
            if line.strip("\ufeff \t\r\n"):
                cells = self._cells(line)
                if isinstance(cells, dict):
                    self.columns += [name for name in cells if name not in self.columns]
                yield place, cells
            place = self.place

    def _at(self, place: int) -> Cells:
        return self._cells(next(self.from_(place), ""))

    def _cells(self, line: str) -> Cells:
        try:
            found = json.loads(line.lstrip("\ufeff"))
        except (ValueError, RecursionError) as error:
            return HsxError(f"expected a JSON object, got what is none ({error}); correct the line")
        if isinstance(found, dict):
            return found
        return HsxError(f"expected a JSON object, got {line.strip()[:40]}; correct it")


class _Parquet(Rows):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        path.open("rb").close()  # what cannot be read is said first
        with self._reading():
            file = self._file()
            self.columns = list(file.schema_arrow.names)
            self.ends = [0]
            for group in range(file.num_row_groups):
                self.ends.append(self.ends[-1] + file.metadata.row_group(group).num_rows)
        self.wanted = [name for name in self.columns if name in COLUMNS]
        self._group: tuple[int, Any] = (-1, None)  # the last that was read, as Arrow's table

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_group": (-1, None)}

    def scan(self) -> Iterator[tuple[int, Cells]]:
        place = 0
        with self._reading():
            for batch in self._file().iter_batches(CHUNK, columns=self.wanted):
                for row in batch.to_pylist():
                    yield place, row
                    place += 1

    def _at(self, place: int) -> Cells:
        group = next(g for g, end in enumerate(self.ends[1:]) if place < end)
        with self._reading():
            if self._group[0] != group:
                self._group = group, self._file().read_row_group(group, columns=self.wanted)
            return self._group[1].slice(place - self.ends[group], 1).to_pylist()[0]

    def _file(self) -> Any:
        try:
            from pyarrow import parquet
        except ImportError:
            raise HsxError(
                f"data.pairs: expected pyarrow to read {self.path}, got none; pip install pyarrow, or "
                "convert the table to CSV"
            ) from None
        return parquet.ParquetFile(self.path)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except HsxError:
            raise
        except Exception as error:  # on broken files Arrow raises all sorts
            raise HsxError(
                f"data.pairs: expected a Parquet table, could not read {self.path} ({first_line(error)}); "
                "write it again"
            ) from None

"""The rows of CSV, JSONL, Parquet or a config as columns of Arrow, some thousand at a time.

Python's own readers split CSV and JSON, where a bad row fails by itself.  Arrow's take a quote left open for a cell of
many lines, and stop the whole file at a byte that is not UTF-8 and at a line that is no JSON.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from operator import methodcaller
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import parquet

from hsx.assets import SCHEME, resolve
from hsx.errors import HsxError, first_line, shown
from hsx.pairs.names import CHUNK

COLUMNS = ("content", "style", "mask", "gamma", "seed", "output")  # others are ignored
LINES = 10  # that a row of CSV has at most, within quotes
MARKS = {",": "commas", ";": "semicolons", "\t": "tabs"}  # between cells


class Chunk(NamedTuple):
    """Some rows of a table."""

    rows: int
    cells: dict[str, pa.DictionaryArray]  # by column, "" where one is empty
    errors: dict[int, str]  # why some of the rows are none, by their number in the chunk


Rows = tuple[Collection[str], Iterator[Chunk]]  # the columns' names, of JSON once all is read; and the rows


def open_rows(path: Path) -> Rows:
    """The rows of a file, by its suffix.  Raises HsxError for another suffix, or a file that cannot be read."""
    kinds = {".csv": _csv, ".tsv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl, ".parquet": _parquet}
    if path.suffix.lower() not in kinds:
        raise HsxError(f"data.pairs: expected a table ending in {', '.join(kinds)}, got {path}; convert it")
    try:
        path.open("rb").close()
        return kinds[path.suffix.lower()](path)
    except OSError as error:
        raise HsxError(
            f"data.pairs: expected a table, could not read {path} ({error.strerror}); check the path"
        ) from None


def located(path: str, folder: Path) -> Path:
    """Where a path of a table in ``folder`` is."""
    return resolve(path) if path.startswith((SCHEME, "~")) else folder / path


def mappings(rows: Iterable[Mapping[str, Any] | HsxError]) -> Rows:
    """Rows that are mappings, or why they are none."""
    columns: dict[str, None] = {}

    def chunks() -> Iterator[Chunk]:
        left = iter(rows)
        while part := [*islice(left, CHUNK)]:
            errors = {i: str(row) for i, row in enumerate(part) if isinstance(row, HsxError)}
            good = [{} if isinstance(row, HsxError) else row for row in part]
            columns.update(dict.fromkeys(name for row in good for name in row))
            yield _chunk({name: [row.get(name) for row in good] for name in columns}, len(part), errors)

    return columns, chunks()


def _chunk(columns: Mapping[str, Sequence[Any]], n: int, errors: dict[int, str]) -> Chunk:
    cells = {name: _texts(name, columns[name], errors).dictionary_encode() for name in COLUMNS if name in columns}
    return Chunk(n, cells, errors)


def _texts(name: str, cells: Sequence[Any], errors: dict[int, str]) -> pa.Array:
    """Cells as texts, "" for an empty one; a path that is none goes to ``errors``."""
    with suppress(pa.ArrowException, UnicodeError, TypeError):
        return pa.array(cells, pa.string()).fill_null("")
    texts = []  # of numbers, of what is missing in pandas, of bytes that are not UTF-8
    for i, cell in enumerate(cells):
        missing = cell is None or cell != cell
        bad = isinstance(cell, str) and any("\ud800" <= letter <= "\udfff" for letter in cell)
        if bad or not (missing or isinstance(cell, str) or name in ("gamma", "seed", "output")):
            errors.setdefault(i, f"{name}: expected a path in UTF-8, got {cell!a:.80}; correct it")
        texts.append("" if missing or i in errors else str(cell))
    return pa.array(texts, pa.string())


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file; bytes that are not UTF-8 become surrogates."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        yield from file


def _csv(path: Path) -> Rows:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    marks = MARKS[delimiter]
    if "\0" in next(_lines(path), ""):
        raise HsxError(f"{path}: expected a table in UTF-8, it is not UTF-8 (perhaps UTF-16); save it as UTF-8")
    rows = _split(path, delimiter)
    header, _, reason = next(rows, ([], 0, ""))
    if reason:
        raise HsxError(f"{path}: {reason}")
    columns = [name.strip() for name in header]
    n = len(columns)
    others = [MARKS[mark] for mark in MARKS if n == 1 and mark in columns[0]]
    if others:
        raise HsxError(f"{path}: expected {marks} between cells, got {others[0]}; save it with {marks}")

    def error(row: list[str], reason: str) -> str:
        mend = "add the others, if empty" if len(row) < n else f"quote cells with {marks}"
        wrong = reason or (f"expected {n} cells, got {len(row)}; {mend}" if len(row) != n else "")
        return wrong or next(
            filter(None, (_unclosed(*cell, path.parent) for cell in zip(columns, row, strict=True))), ""
        )

    def chunks() -> Iterator[Chunk]:
        while part := [*islice(rows, CHUNK)]:
            wrong = {i: error(row, reason) for i, (row, lines, reason) in enumerate(part) if lines > 1 or len(row) != n}
            errors = {i: reason for i, reason in wrong.items() if reason}
            cells = zip(*([""] * n if i in errors else row for i, (row, _, _) in enumerate(part)), strict=True)
            stripped = {
                name: [*map(_strip, column)] for name, column in zip(columns, cells, strict=True) if name in COLUMNS
            }
            yield _chunk(stripped, len(part), errors)

    return columns, chunks()


_strip = methodcaller("strip", " \t")


def _split(path: Path, delimiter: str) -> Iterator[tuple[list[str], int, str]]:
    """The cells of each row of CSV, how many lines it has, and why it is none.

    Raises:
        HsxError: for a quote that takes in the rows behind it.
    """
    reader = csv.reader(_lines(path), delimiter=delimiter, skipinitialspace=True, strict=True)
    end = 0
    while True:
        try:
            row, reason = next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            row, reason = [], f" ({error})"
        lines, end = reader.line_num - end, reader.line_num
        if lines > (1 if reason else LINES):
            raise HsxError(
                f"{path} line {end - lines + 1}: expected quotes that close within a row, got "
                f"one that is open over {lines} lines{reason}; close it, or double it within a name"
            )
        if row or reason:
            yield row, lines, reason and f"expected cells, got what is none{reason}; close its quotes"


def _unclosed(name: str, cell: str, folder: Path) -> str:
    """Why a cell of several lines is probably one whose quote was left open: a file's name may have lines."""
    lines = f"{cell.count(chr(10)) + 1} lines"
    if name == "output" and "\n" in cell:
        return f"output: expected a name on one line, got one whose quote spans {lines}; close it"
    if name not in ("content", "style", "mask") or "\n" not in cell or os.path.lexists(located(cell, folder)):
        return ""
    return (
        f"expected a path, got one whose quote spans {lines} and that is not there ({shown(cell):.80}); "
        "close the quote, or check the path"
    )


def _jsonl(path: Path) -> Rows:
    def row(line: str) -> dict[str, Any] | HsxError:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            return HsxError(f"expected a JSON object, got what is none ({error}); correct the line")
        return found if isinstance(found, dict) else HsxError(f"expected a JSON object, got {line[:40]}; correct it")

    lines = (line.strip("\ufeff \t\r\n") for line in _lines(path))
    return mappings(row(line) for line in lines if line)


def _parquet(path: Path) -> Rows:
    def failed(error: Exception) -> HsxError:
        return HsxError(
            f"data.pairs: expected a Parquet table, could not read {path} ({first_line(error)}); write it again"
        )

    def chunks() -> Iterator[Chunk]:
        try:
            for batch in file.iter_batches(CHUNK, columns=[name for name in columns if name in COLUMNS]):
                yield _chunk({name: batch[name].to_pylist() for name in batch.schema.names}, len(batch), {})
        except Exception as error:
            raise failed(error) from None

    try:
        file = parquet.ParquetFile(path)
        columns = file.schema_arrow.names
    except Exception as error:  # on broken files Arrow raises all sorts
        raise failed(error) from None
    return columns, chunks()

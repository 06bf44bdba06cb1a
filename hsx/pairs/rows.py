"""The rows of CSV, JSONL and Parquet, a mapping each.

Python's own readers split CSV and JSON, where a bad row fails by itself.  Arrow's take a quote left open for a cell of
many lines, and stop the whole file at a byte that is not UTF-8 and at a line that is no JSON.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

from hsx.assets import SCHEME, resolve
from hsx.errors import HsxError, first_line, shown
from hsx.pairs.cells import PATHS, READERS

Cells = Mapping[str, Any] | HsxError  # of a row, by column, or why it is none
BATCH = 8192  # rows of Parquet that are read at once
LINES = 10  # that a row of CSV has at most, within quotes
MARKS = {",": "commas", ";": "semicolons", "\t": "tabs"}  # between cells


def open_rows(
    path: Path, option: str = "data.pairs", columns: Collection[str] = READERS
) -> tuple[list[str], Iterator[Cells]]:
    """The names of a file's columns, where they come before its rows, and its rows.

    Args:
        option: which one names the file.
        columns: those that are read, where a file lets others be left out.

    Raises:
        HsxError: for a suffix of no table, or a file that cannot be read.
    """
    readers: dict[str, Callable[[Path], Iterator[Any]]] = {".csv": _csv, ".tsv": _csv, ".jsonl": _jsonl}
    readers |= {".ndjson": _jsonl, ".parquet": partial(_parquet, option=option, wanted=columns)}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise HsxError(f"{option}: expected a table ending in {', '.join(readers)}, got {path}; convert it")
    try:
        path.open("rb").close()
    except OSError as error:
        reason = f"could not read {path} ({error.strerror}); check the path"
        raise HsxError(f"{option}: expected a table, {reason}") from None
    rows = reader(path)
    return next(rows), rows  # each reader gives the names, then the rows


def located(path: str, folder: Path) -> Path:
    """Where a path of a table in ``folder`` is."""
    return resolve(path) if path.startswith((SCHEME, "~")) else folder / path


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file; bytes that are not UTF-8 become surrogates."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        yield from file


def _csv(path: Path) -> Iterator[Any]:
    mark = "\t" if path.suffix.lower() == ".tsv" else ","
    if "\0" in next(_lines(path), ""):
        raise HsxError(f"{path}: expected a table in UTF-8, it is not UTF-8 (perhaps UTF-16); save it as UTF-8")
    rows = _split(path, mark)
    header, _, reason = next(rows, ([], 0, ""))
    if reason:
        raise HsxError(f"{path}: {reason}")
    columns, marks = [name.strip() for name in header], MARKS[mark]
    for other in MARKS if len(columns) == 1 else ():
        if other in columns[0]:
            raise HsxError(f"{path}: expected {marks} between cells, got {MARKS[other]}; save it with {marks}")
    yield columns
    for cells, lines, reason in rows:
        if not reason and len(cells) != len(columns):
            mend = "add the others, if empty" if len(cells) < len(columns) else f"quote cells with {marks}"
            reason = f"expected {len(columns)} cells, got {len(cells)}; {mend}"
        elif lines > 1:
            reason = next(filter(None, map(_unclosed, columns, cells, repeat(path.parent))), "")
        yield HsxError(reason) if reason else {n: c.strip(" \t") for n, c in zip(columns, cells, strict=True)}


def _split(path: Path, mark: str) -> Iterator[tuple[list[str], int, str]]:
    """The cells of each row of CSV, how many lines it has, and why it is none.

    Raises:
        HsxError: for a quote that takes in the rows behind it.
    """
    reader = csv.reader(_lines(path), delimiter=mark, skipinitialspace=True, strict=True)
    end = 0
    while True:
        try:
            cells, reason = next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            cells, reason = [], f" ({error})"
        lines, end = reader.line_num - end, reader.line_num
        if lines > (1 if reason else LINES):
            raise HsxError(
                f"{path} line {end - lines + 1}: expected quotes that close within a row, got "
                f"one that is open over {lines} lines{reason}; close it, or double it within a name"
            )
        if cells or reason:
            yield cells, lines, reason and f"expected cells, got what is none{reason}; close its quotes"


def _unclosed(name: str, cell: str, folder: Path) -> str:
    """Why a cell of several lines is probably one whose quote was left open: a file's name may have lines."""
    spans = f"got one whose quote spans {cell.count(chr(10)) + 1} lines"
    if name == "output" and "\n" in cell:
        return f"output: expected a name on one line, {spans}; close it"
    if name not in PATHS or "\n" not in cell or os.path.lexists(located(cell, folder)):
        return ""
    return f"expected a path, {spans} and that is not there ({shown(cell):.80}); close the quote, or check the path"


def _jsonl(path: Path) -> Iterator[Any]:
    yield []
    for line in filter(None, (line.strip("\ufeff \t\r\n") for line in _lines(path))):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield HsxError(f"expected a JSON object, got what is none ({error}); correct the line")
        else:
            yield row if isinstance(row, dict) else HsxError(f"expected a JSON object, got {line[:40]}; correct it")


def _parquet(path: Path, option: str, wanted: Collection[str]) -> Iterator[Any]:
    from pyarrow import parquet  # 30 MiB that no other table needs

    try:
        file = parquet.ParquetFile(path)
        columns = file.schema_arrow.names
        yield columns
        for batch in file.iter_batches(BATCH, columns=[name for name in columns if name in wanted]):
            yield from batch.to_pylist()
    except Exception as error:  # on broken files Arrow raises all sorts
        reason = f"could not read {path} ({first_line(error)}); write it again"
        raise HsxError(f"{option}: expected a Parquet table, {reason}") from None

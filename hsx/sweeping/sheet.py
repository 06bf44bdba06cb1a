"""The contact sheet of a sweep: pairs by settings, or for one pair the values of one option by those of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from hsx.errors import ImageError
from hsx.io.images import read_image, to_picture
from hsx.io.png import read_png
from hsx.io.reading import unsaid
from hsx.report.labelled import LARGEST, Cell, labelled_sheet

ROWS, COLUMNS = 24, 48  # pairs and settings at most
CHARACTER = 6  # pixels of a title's at most, in the mean
NARROWEST = 96  # pixels of a column
ORIGINALS = ("content", "style")


class Pair(NamedTuple):
    """A pair: its result's name and its pictures."""

    name: str
    content: Path
    style: Path


class Column(NamedTuple):
    """A setting: what its results are headed with, by short option, where they are, and a word of its own."""

    values: Mapping[str, str]
    folder: Path
    mark: str = ""


def contact_sheet(pairs: Sequence[Pair], columns: Sequence[Column], size: int, fit: str) -> Image.Image:
    """Pictures of ``size`` pixels with names; of more than 24 pairs or 48 settings the first.

    For one pair and two swept options the values of the first are rows, and those of the second columns.
    """
    if len(pairs) == 1 and len(columns[0].values) == 2:
        return _by_values(pairs[0], columns, size, fit)
    columns = columns[:COLUMNS]
    titles = [_title(column.values, size, column.mark) for column in columns]
    rows = []
    for pair in pairs[:ROWS]:
        row = _originals(pair, size, fit)
        for place, column in enumerate(columns, len(ORIGINALS)):
            _put(row, place, partial(_result, pair, column), "")
        rows.append(row)
    return labelled_sheet([*ORIGINALS, *titles], rows, size)


def _by_values(pair: Pair, columns: Sequence[Column], size: int, fit: str) -> Image.Image:
    (down, across), found = columns[0].values, dict[str, dict[int, Cell]]()
    places = {value: k for k, value in enumerate(dict.fromkeys(one.values[across] for one in columns), len(ORIGINALS))}
    for one in columns:
        row = found.setdefault(one.values[down], {} if found else _originals(pair, size, fit))
        caption = f"{down}={one.values[down]}" + ", chosen" * bool(one.mark)  # a short word, as it is not broken
        _put(row, places[one.values[across]], partial(_result, pair, one), caption)
    titles = [_title({across: value}, size) for value in places]
    return labelled_sheet([*ORIGINALS, *titles], [*found.values()], size)


def _originals(pair: Pair, size: int, fit: str) -> dict[int, Cell]:
    row: dict[int, Cell] = {}
    for place, path in enumerate((pair.content, pair.style)):
        _put(row, place, partial(_original, path, size, fit), path.stem)
    return row


def _original(path: Path, size: int, fit: str) -> Image.Image:
    return to_picture(read_image(path, size, fit))


def _result(pair: Pair, column: Column) -> Image.Image:
    return read_png(column.folder / f"{pair.name}.png")


def _put(row: dict[int, Cell], place: int, read: Callable[[], Image.Image], caption: str) -> None:
    """A picture in its place; one that cannot be read is left white."""
    with suppress(ImageError), unsaid():
        row[place] = read(), caption


def _title(values: Mapping[str, str], size: int, mark: str = "") -> str:
    """A line a value; where that is too long for the column, the value has one of its own."""
    lines, fits = [], max(LARGEST // size * size, NARROWEST) // CHARACTER
    for option, value in values.items():
        line = f"{option}={value}"
        lines += [line] if len(line) <= fits else [f"{option}=", value[:fits]]
    return "\n".join([*lines, mark] if mark else lines)

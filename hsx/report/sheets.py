"""Contact sheets: all results of a run with their originals and names on one picture, or on pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from math import isqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import hsx
from hsx.errors import HsxError, ImageError, shown
from hsx.io.images import read_image, to_picture
from hsx.io.png import read_png, write_png
from hsx.io.reading import unsaid
from hsx.pairs.pairing import PairList, Row
from hsx.store.records import RECORD, record_of, to_json

SIDE = 24  # at most so many rows and columns a page, besides a product's originals
PAGES = 50  # at most so many pages
ROOM = SIDE * SIDE * PAGES  # for so many pictures
LINE = 14  # pixels of a line with a name
CONTENT, STYLE, RESULT = ("#1c3d5a", "white"), ("#d9dde2", "black"), ("white", "black")  # of names: back and fore
Caption = tuple[str, tuple[str, str]]  # a name, and its colours


class Cell(NamedTuple):
    """A picture of a page: an original's path, or a result's name; and what is written on it."""

    source: Path | str
    name: str
    kind: tuple[str, str]


Page = dict[tuple[int, int], Cell]  # by (row, column)


def write_sheets(pairs: PairList, folder: Path, size: int, fit: str) -> list[Path]:
    """Write ``grid.png``: rows contents, columns styles, the originals as headers.

    Of pairs that are no product it shows each content, with its styles and their results behind it.

    What is beyond SIDE rows or columns goes to pages ``grid-2.png``, ``grid-3.png``, …, at most PAGES in all.
    """
    pages = _product(pairs) if pairs.grid else _groups(pairs)
    written = []
    for number, page in enumerate(pages[:PAGES], 1):
        pictures: dict[tuple[int, int], Image.Image] = {}
        for place, cell in page.items():
            with suppress(ImageError), unsaid():  # one that cannot be read is left white
                if isinstance(cell.source, str):
                    pictures[place] = read_png(folder / f"{cell.source}.png")
                else:
                    pictures[place] = to_picture(read_image(cell.source, size, fit))
        if pictures:
            written.append(folder / ("grid.png" if number == 1 else f"grid-{number}.png"))
            record = to_json({"hsx": hsx.__version__, "sheet": number})
            named = {place: (cell.name, cell.kind) for place, cell in page.items() if cell.name and place in pictures}
            sheet = grid(pictures, cell_size(size), captions=named, line=0 if pairs.grid else LINE)
            write_png(sheet, written[-1], {RECORD: record})
    for sheet_before in set(folder.glob("grid*.png")) - set(written):  # of an earlier run with more pairs
        if "sheet" in record_of(sheet_before):
            sheet_before.unlink()
    return written


def cell_size(size: int) -> int:
    """Pixels at which a picture of ``size`` is drawn: the first multiple from 96 on; at most 256."""
    return min(size * -(-96 // size), 256)


def _product(pairs: PairList) -> list[Page]:
    """Pages of a product, in reading order."""
    rows, columns = len(pairs.contents), len(pairs.styles)
    corners = [(i, j) for i in range(0, rows, SIDE) for j in range(0, columns, SIDE)][:PAGES]
    pages = []
    for top, left in corners:
        down, across = range(top, min(rows, top + SIDE)), range(left, min(columns, left + SIDE))
        page = {(i - top + 1, 0): _original(pairs.contents[i], CONTENT) for i in down}
        page |= {(0, j - left + 1): _original(pairs.styles[j], STYLE) for j in across}
        for i in down:
            for j in across:
                page[i - top + 1, j - left + 1] = Cell(pairs.name(i * columns + j), "", RESULT)
        pages.append(page)
    return pages


def _groups(pairs: PairList) -> list[Page]:
    """Pages of groups, one a content, as many on a line as fit; rows of the table that are bad are left out."""
    groups, cells = list[list[Cell]](), 0
    for group in _of_contents(pairs):
        groups.append(group)
        cells += len(group)
        if cells > ROOM:
            break
    side = min(SIDE, max(isqrt(cells), *map(len, groups), 3))  # few make a square
    lines: list[list[Cell]] = [[]]
    for group in groups:
        if lines[-1] and len(lines[-1]) + len(group) > side:
            lines.append([])
        while len(group) > side:
            lines[-1], group = group[:side], _rest(group, side)
            lines.append([])
        lines[-1] += group
    return [
        {(i, j): cell for i, line in enumerate(lines[top : top + SIDE]) for j, cell in enumerate(line)}
        for top in range(0, len(lines), SIDE)
    ]


def _of_contents(pairs: PairList) -> Iterator[list[Cell]]:
    """For each content it, and behind it each of its styles with the results of both."""
    contents, styles = pairs.indices()
    order = np.lexsort((styles, contents))
    group: list[Cell] = []
    before: Row | None = None
    for i in order[np.count_nonzero(contents < 0) :]:
        try:
            row = pairs[int(i)]
        except HsxError:
            continue
        if before is None or row.content != before.content:
            if group:
                yield group
            group, before = [_original(pairs.contents[row.content], CONTENT)], None
        if before is None or row.style != before.style:
            group.append(_original(pairs.styles[row.style], STYLE))
        group.append(_result(row))
        before = row
        if len(group) > ROOM:
            break
    if group:
        yield group


def _rest(group: list[Cell], side: int) -> list[Cell]:
    """What is left of a group behind a line, begun again with its content and the style that is going on."""
    style = next(cell for cell in reversed(group[: side + 1]) if cell.kind == STYLE)
    return [group[0], *([style] if group[side].kind == RESULT else []), *group[side:]]


def _original(path: Path, kind: tuple[str, str]) -> Cell:
    return Cell(path, shown(path.stem), kind)


def _result(row: Row) -> Cell:
    """A result under what its row alone says, or under its name."""
    own = {"gamma": row.gamma, "seed": row.seed}
    said = ", ".join(f"{option} {value}" for option, value in own.items() if value is not None)
    return Cell(row.name, said or row.name.rpartition("/")[2], RESULT)


def grid(
    pictures: Mapping[tuple[int, int], Image.Image],
    cell: int,
    gap: int = 2,
    captions: Mapping[tuple[int, int], Caption] | None = None,
    line: int = 0,
) -> Image.Image:
    """Pictures by (row, column) on white, each enlarged to ``cell`` pixels a side without smoothing.

    Args:
        captions: of pictures, each on one line, cut in the middle where it is too long.
        line: how much higher a row is, for the captions; with 0 they cover the lower edge of their pictures.
    """
    rows, columns = (1 + max(place[axis] for place in pictures) for axis in (0, 1))
    step = cell + line + gap
    sheet = Image.new("RGB", (columns * (cell + gap) + gap, rows * step + gap), "white")
    for (row, column), picture in pictures.items():
        resample = Image.Resampling.NEAREST if picture.width < cell else Image.Resampling.LANCZOS
        sheet.paste(picture.resize((cell, cell), resample), (gap + column * (cell + gap), gap + row * step))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for (row, column), (text, (back, fore)) in (captions or {}).items():
        left, top = gap + column * (cell + gap), gap + row * step + cell + line - LINE
        draw.rectangle((left, top, left + cell - 1, top + LINE - 1), back)
        draw.text((left + 2, top), cut(text, cell - 4, font), fore, font)
    return sheet


def cut(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """``text``, or as much of its beginning and end, with … between, as has room in ``width`` pixels."""
    short = text
    for kept in range(min(len(text) - 1, width // 2), 0, -1):
        if font.getlength(short) <= width:
            break
        short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
    return short

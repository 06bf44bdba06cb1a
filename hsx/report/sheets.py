"""Contact sheets: all results of a run on one picture, or on pages."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import hsx
from hsx.errors import HsxError, ImageError
from hsx.io.images import read_image, to_picture
from hsx.io.png import read_png, write_png
from hsx.io.reading import unsaid
from hsx.pairs.pairing import PairList
from hsx.store.records import RECORD, record_of, to_json

SIDE = 24  # at most so many rows and columns a page
PAGES = 50  # at most so many pages


def write_sheets(pairs: PairList, folder: Path, size: int, fit: str) -> list[Path]:
    """Write ``grid.png``: rows contents, columns styles, the originals as headers; or a line for content and style.

    What is beyond SIDE rows or columns goes to pages ``grid-2.png``, ``grid-3.png``, …, at most PAGES in all.
    """
    pages = _product(pairs) if pairs.grid else _rows(pairs)
    made = []
    for number, cells in enumerate(pages[:PAGES], 1):
        drawn: dict[tuple[int, int], Image.Image] = {}
        for place, source in cells.items():
            try:
                if isinstance(source, str):
                    drawn[place] = read_png(folder / f"{source}.png")
                else:
                    with unsaid():
                        drawn[place] = to_picture(read_image(source, size, fit))
            except ImageError:
                pass  # left white
        if drawn:
            made.append(folder / ("grid.png" if number == 1 else f"grid-{number}.png"))
            write_png(
                grid(drawn, cell_size(size)), made[-1], {RECORD: to_json({"hsx": hsx.__version__, "sheet": number})}
            )
    for page in set(folder.glob("grid*.png")) - set(made):  # of an earlier run with more pairs
        if "sheet" in record_of(page):
            page.unlink()
    return made


def cell_size(size: int) -> int:
    """How large a picture of ``size`` is drawn: a whole number of times, to 96 pixels or more; at most 256."""
    return min(size * -(-96 // size), 256)


Cells = dict[tuple[int, int], Path | str]  # by (row, column): an original's path, or a result's name


def _product(pairs: PairList) -> list[Cells]:
    """Pages of a product, in reading order."""
    rows, columns = len(pairs.contents), len(pairs.styles)
    corners = [(i, j) for i in range(0, rows, SIDE) for j in range(0, columns, SIDE)][:PAGES]
    pages: list[Cells] = []
    for top, left in corners:
        down, across = range(top, min(rows, top + SIDE)), range(left, min(columns, left + SIDE))
        pages.append(
            {
                **{(i - top + 1, 0): pairs.contents[i] for i in down},
                **{(0, j - left + 1): pairs.styles[j] for j in across},
                **{(i - top + 1, j - left + 1): pairs.name(i * columns + j) for i in down for j in across},
            }
        )
    return pages


def _rows(pairs: PairList) -> list[Cells]:
    """Pages of lines: content, style, result, and the results of further rows of the same two pictures.

    Rows of the table that are bad are left out.
    """
    lines: list[list[Path | str]] = []
    before: tuple[int, int] | None = None
    for i in range(len(pairs)):
        try:
            row = pairs[i]
        except HsxError:
            continue
        if (row.content, row.style) != before or len(lines[-1]) == SIDE + 2:
            if len(lines) == SIDE * PAGES:
                break
            lines.append([pairs.contents[row.content], pairs.styles[row.style]])
            before = row.content, row.style
        lines[-1].append(row.name)
    return [
        {(i, j): source for i, line in enumerate(lines[top : top + SIDE]) for j, source in enumerate(line)}
        for top in range(0, len(lines), SIDE)
    ]


def grid(cells: dict[tuple[int, int], Image.Image], cell: int, gap: int = 2) -> Image.Image:
    """Pictures by (row, column) on white, each enlarged to ``cell`` pixels a side without smoothing."""
    rows, columns = (1 + max(key[axis] for key in cells) for axis in (0, 1))
    sheet = Image.new("RGB", (columns * (cell + gap) + gap, rows * (cell + gap) + gap), "white")
    for (row, column), picture in cells.items():
        resample = Image.Resampling.NEAREST if picture.width < cell else Image.Resampling.LANCZOS
        sheet.paste(picture.resize((cell, cell), resample), (gap + column * (cell + gap), gap + row * (cell + gap)))
    return sheet

"""Contact sheets: all results of a run on one picture, or on pages."""

from __future__ import annotations

from contextlib import suppress
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
    written = []
    for number, page in enumerate(pages[:PAGES], 1):
        pictures: dict[tuple[int, int], Image.Image] = {}
        for place, source in page.items():
            with suppress(ImageError), unsaid():  # one that cannot be read is left white
                if isinstance(source, str):
                    pictures[place] = read_png(folder / f"{source}.png")
                else:
                    pictures[place] = to_picture(read_image(source, size, fit))
        if pictures:
            written.append(folder / ("grid.png" if number == 1 else f"grid-{number}.png"))
            record = to_json({"hsx": hsx.__version__, "sheet": number})
            write_png(grid(pictures, cell_size(size)), written[-1], {RECORD: record})
    for sheet in set(folder.glob("grid*.png")) - set(written):  # of an earlier run with more pairs
        if "sheet" in record_of(sheet):
            sheet.unlink()
    return written


def cell_size(size: int) -> int:
    """Pixels at which a picture of ``size`` is drawn: the first multiple from 96 on; at most 256."""
    return min(size * -(-96 // size), 256)


Page = dict[tuple[int, int], Path | str]  # by (row, column): an original's path, or a result's name


def _product(pairs: PairList) -> list[Page]:
    """Pages of a product, in reading order."""
    rows, columns = len(pairs.contents), len(pairs.styles)
    corners = [(i, j) for i in range(0, rows, SIDE) for j in range(0, columns, SIDE)][:PAGES]
    pages = []
    for top, left in corners:
        down, across = range(top, min(rows, top + SIDE)), range(left, min(columns, left + SIDE))
        page: Page = {(i - top + 1, 0): pairs.contents[i] for i in down}
        page |= {(0, j - left + 1): pairs.styles[j] for j in across}
        page |= {(i - top + 1, j - left + 1): pairs.name(i * columns + j) for i in down for j in across}
        pages.append(page)
    return pages


def _rows(pairs: PairList) -> list[Page]:
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


def grid(pictures: dict[tuple[int, int], Image.Image], cell: int, gap: int = 2) -> Image.Image:
    """Pictures by (row, column) on white, each enlarged to ``cell`` pixels a side without smoothing."""
    rows, columns = (1 + max(place[axis] for place in pictures) for axis in (0, 1))
    sheet = Image.new("RGB", (columns * (cell + gap) + gap, rows * (cell + gap) + gap), "white")
    for (row, column), picture in pictures.items():
        resample = Image.Resampling.NEAREST if picture.width < cell else Image.Resampling.LANCZOS
        sheet.paste(picture.resize((cell, cell), resample), (gap + column * (cell + gap), gap + row * (cell + gap)))
    return sheet

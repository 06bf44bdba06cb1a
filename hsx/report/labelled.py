"""A sheet of pictures with words: what each column is, and below each picture what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

GAP, LINE, LARGEST = 4, 14, 128  # pixels
Cell = tuple[Image.Image, str]


def labelled_sheet(columns: Sequence[str], rows: Sequence[Mapping[int, Cell]], size: int) -> Image.Image:
    """Rows of pictures on white, under the names of their columns.

    Args:
        columns: names, with line breaks where they may be broken.
        rows: by column number a picture and the line below it; what is missing is left white.
        size: of the pictures; each is shown at the largest whole multiple of it up to 128 pixels a side, or reduced.
    """
    side = LARGEST // size * size or LARGEST
    font, dots = ImageFont.load_default(size=11), [name.count("\n") + 1 for name in columns]
    head, width, height = LINE * max(dots) + GAP, max(side, 96) + GAP, side + LINE + GAP
    sheet = Image.new("RGB", (GAP + len(columns) * width, GAP + head + len(rows) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(columns):
        draw.multiline_text((GAP + column * width, GAP), name, "black", font)
    for place, row in enumerate(rows):
        for column, (picture, caption) in row.items():
            at = GAP + column * width, GAP + head + place * height
            resample = Image.Resampling.NEAREST if size <= side else Image.Resampling.LANCZOS
            sheet.paste(picture.resize((side, side), resample), at)
            label = Image.new("RGB", (width - GAP, LINE), "white")  # in which a long caption is cut off
            ImageDraw.Draw(label).text((0, 0), caption, "black", font)
            sheet.paste(label, (at[0], at[1] + side))
    return sheet

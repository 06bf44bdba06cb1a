"""The trade-off as a picture: content against style, a dot a setting, with the front and the recommended one."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise, product

from PIL import Image, ImageDraw, ImageFont

from hsx.sweeping.front import Place

WIDTH, HEIGHT = 900, 640  # pixels
LEFT, RIGHT, TOP, BOTTOM = 86, 36, 56, 66  # margins
FINE = 2  # drawn at so many times the size, and reduced
ROOM, NARROWEST = 0.12, 0.05  # of the data's range around it, and the least range shown
INK, FAINT, GRID, FRONT, CHOSEN = "#222222", "#8a8f98", "#e3e5e8", "#1f5fbf", "#d9480f"
MOST = 24  # settings, above which those on the front alone are named
NEAR = (12, 24, 38, 54)  # pixels from a dot at which its name is tried
Box = tuple[float, float, float, float]


def tradeoff(
    places: Mapping[str, Place], front: Sequence[str], recommended: str, axes: tuple[str, str], title: str
) -> Image.Image:
    """Dots by name, up and to the right the better.

    Args:
        front: the names on the Pareto front, along it.
        axes: what is content (upward) and style (to the right), in words.
    """
    frame = _Frame(places.values())
    image = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), "white")
    draw = ImageDraw.Draw(image)
    _axes(draw, frame, axes, image)
    draw.text((LEFT * FINE, 16 * FINE), title, INK, _font(16))
    _legend(draw)
    at = {name: frame.pixels(place) for name, place in places.items()}
    if len(front) > 1:
        draw.line([at[name] for name in front], FRONT, 2 * FINE, joint="curve")
    for name, (x, y) in at.items():
        if name == recommended:
            _dot(draw, x, y, 10, None, CHOSEN)
        _dot(draw, x, y, 5, FRONT if name in front else FAINT)
    named = [name for name in places if len(places) <= MOST or name in front or name == recommended]
    named.sort(key=lambda name: (name != recommended, name not in front))
    words = [(name.replace(",", ", "), *at[name], CHOSEN if name == recommended else INK) for name in named]
    _names(draw, words, [*at.values()], [at[name] for name in front])
    return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


class _Frame:
    """From places to pixels."""

    def __init__(self, places: Collection[Place]) -> None:
        self.x, self.y = (_range([place[k] for place in places]) for k in (1, 0))

    def pixels(self, place: Place) -> tuple[float, float]:
        """Where a place is."""
        (x0, x1), (y0, y1) = self.x, self.y
        across, up = (place.style - x0) / (x1 - x0), (place.content - y0) / (y1 - y0)
        return (
            FINE * (LEFT + across * (WIDTH - LEFT - RIGHT)),
            FINE * (HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)),
        )


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = ROOM * max(high - low, NARROWEST)
    middle, half = (low + high) / 2, max(high - low, NARROWEST) / 2
    return middle - half - room, middle + half + room


def ticks(low: float, high: float) -> list[float]:
    """Some four to eight round numbers between two."""
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(k for k in (1, 2, 2.5, 5, 10) if (high - low) / (step * k) <= 7)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _axes(draw: ImageDraw.ImageDraw, frame: _Frame, axes: tuple[str, str], image: Image.Image) -> None:
    content, style = axes
    font, right, bottom = _font(12), (WIDTH - RIGHT) * FINE, (HEIGHT - BOTTOM) * FINE
    for value in ticks(*frame.x):
        x, _ = frame.pixels(Place(frame.y[0], value))
        draw.line([(x, TOP * FINE), (x, bottom)], GRID, FINE)
        draw.text((x, bottom + 6 * FINE), f"{value:.4g}", INK, font, anchor="mt")
    for value in ticks(*frame.y):
        _, y = frame.pixels(Place(value, frame.x[0]))
        draw.line([(LEFT * FINE, y), (right, y)], GRID, FINE)
        draw.text((LEFT * FINE - 8 * FINE, y), f"{value:.4g}", INK, font, anchor="rm")
    draw.line([(LEFT * FINE, TOP * FINE), (LEFT * FINE, bottom), (right, bottom)], FAINT, FINE)
    draw.text((LEFT * FINE + (right - LEFT * FINE) / 2, (HEIGHT - 18) * FINE), style, INK, _font(14), anchor="mm")
    across = Image.new("RGB", ((HEIGHT - TOP - BOTTOM) * FINE, 24 * FINE), "white")
    ImageDraw.Draw(across).text((across.width / 2, across.height / 2), content, INK, _font(14), anchor="mm")
    image.paste(across.rotate(90, expand=True), (8 * FINE, TOP * FINE))


def _legend(draw: ImageDraw.ImageDraw) -> None:
    x, y, font = float((WIDTH - RIGHT) * FINE), 40 * FINE, _font(12)
    for words, fill, ring in (
        ("recommended", FRONT, CHOSEN),
        ("Pareto front", FRONT, None),
        ("other settings", FAINT, None),
    ):
        draw.text((x, y), words, INK, font, anchor="rm")
        x -= draw.textlength(words, font) + 10 * FINE
        if ring:
            _dot(draw, x, y, 8, None, ring)
        _dot(draw, x, y, 4, fill)
        x -= 24 * FINE


def _names(
    draw: ImageDraw.ImageDraw,
    names: Sequence[tuple[str, float, float, str]],
    dots: Sequence[tuple[float, float]],
    line: Sequence[tuple[float, float]],
) -> None:
    """Each name beside its dot, clear of other names and dots, and of the line if it can be; else it is left out."""
    font, half = _font(12), 8 * FINE
    taken: list[Box] = [(x - half, y - half, x + half, y + half) for x, y in dots]
    along = [(x - 1, y - 1, x + 1, y + 1) for x, y in _points(line)]
    for name, x, y, ink in names:
        size = draw.textlength(name, font), 14 * FINE
        free = [(far, box) for far, box in _around(x, y, size) if _inside(box) and not _covers(box, taken)]
        if free:
            far, box = next((one for one in free if not _covers(one[1], along)), free[0])
            taken.append(box)
            if far > NEAR[0]:
                draw.line([(x, y), (min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3]))], FAINT, 1)
            at = box[0], (box[1] + box[3]) / 2
            draw.text(at, name, ink, font, anchor="lm", stroke_width=2 * FINE, stroke_fill="white")


def _points(line: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Points along a line, some five pixels apart."""
    for (x0, y0), (x1, y1) in pairwise(line):
        n = max(1, round(math.hypot(x1 - x0, y1 - y0) / (5 * FINE)))
        yield from ((x0 + (x1 - x0) * k / n, y0 + (y1 - y0) * k / n) for k in range(n + 1))


def _inside(box: Box) -> bool:
    left, top, right, bottom = (edge / FINE for edge in box)
    return left >= LEFT + 4 and top >= TOP and right <= WIDTH - 4 and bottom <= HEIGHT - BOTTOM - 4


def _covers(box: Box, others: Sequence[Box]) -> bool:
    return any(box[0] < one[2] and one[0] < box[2] and box[1] < one[3] and one[1] < box[3] for one in others)


def _around(x: float, y: float, size: tuple[float, float]) -> Iterator[tuple[int, Box]]:
    """Boxes of a size around a dot, the nearest first: right, left, above, below, and the corners."""
    width, height = size
    sides = [(1, 0), (-1, 0), (0, -1), (0, 1), *product((1, -1), (-1, 1))]
    for far, (across, down) in product(NEAR, sides):
        left = x + across * far * FINE - (0 if across > 0 else width if across < 0 else width / 2)
        top = y + down * far * FINE - (0 if down > 0 else height if down < 0 else height / 2)
        yield far, (left, top, left + width, top + height)


def _dot(
    draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: str | None, ring: str | None = None
) -> None:
    r = radius * FINE
    draw.ellipse([x - r, y - r, x + r, y + r], fill, ring, 3 * FINE if ring else 0)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size * FINE)

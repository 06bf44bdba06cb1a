"""The picture of ``claims.py``: content against style, a panel for each model and its settings."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Span = tuple[float, float, float]  # a value, and the ends of its interval
SIDE, LEFT, TOP, RIGHT, BOTTOM = 440, 60, 44, 150, 52  # pixels: of the square from (0, 0) to (1, 1), and around it
LOW, HIGH = -0.06, 1.06
FINE = 2  # drawn so many times as large, then reduced
COLOURS = {"curve": "#1f2937", "normaliser": "#2563eb", "calibrator": "#d97706", "sites": "#be123c"}
PALE = {"curve": "#b6bcc6", "normaliser": "#b5ccf8", "calibrator": "#f3cf9d", "sites": "#eeb0be"}  # of intervals
LINE = 17


@dataclass(frozen=True)
class Point:
    """A setting's content and style agreement; those of the kind ``curve`` are joined."""

    label: str
    kind: str
    content: Span
    style: Span


def panels(shown: dict[str, list[Point]], columns: int = 2) -> Image.Image:
    """A panel each, under its title."""
    width, height = LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM
    rows = -(-len(shown) // columns)
    sheet = Image.new("RGB", (columns * width * FINE, rows * height * FINE), "white")
    for place, (title, points) in enumerate(shown.items()):
        drawn = Panel(width, height)
        drawn.axes(title)
        drawn.points(points)
        sheet.paste(drawn.image, (place % columns * width * FINE, place // columns * height * FINE))
    return sheet.resize((sheet.width // FINE, sheet.height // FINE), Image.Resampling.LANCZOS)


class Panel:
    """One of them."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width * FINE, height * FINE), "white")
        self.draw, self.font = ImageDraw.Draw(self.image), ImageFont.load_default(13 * FINE)
        self.taken: list[tuple[float, float, float, float]] = []  # places of words

    def axes(self, title: str) -> None:
        """The square with its scales, content to the right and style upwards."""
        for value in (0, 0.25, 0.5, 0.75, 1):
            x, y = self._at(value, value)
            self.draw.line([x, self._at(0, HIGH)[1], x, self._at(0, LOW)[1]], "#e5e7eb", FINE)
            self.draw.line([self._at(LOW, 0)[0], y, self._at(HIGH, 0)[0], y], "#e5e7eb", FINE)
            self.draw.text((x, self._at(0, LOW)[1] + 4 * FINE), f"{value:g}", "#4b5563", self.font, "mt")
            self.draw.text((self._at(LOW, 0)[0] - 6 * FINE, y), f"{value:g}", "#4b5563", self.font, "rm")
        self.draw.text((LEFT * FINE, 10 * FINE), title, "black", ImageFont.load_default(16 * FINE))
        self.draw.text(
            (self._at(0.5, 0)[0], self._at(0, LOW)[1] + 22 * FINE), "content agreement", "black", self.font, "mt"
        )
        words = Image.new("RGB", (SIDE * FINE, 18 * FINE), "white")
        ImageDraw.Draw(words).text((SIDE * FINE / 2, 0), "style agreement", "black", self.font, "mt")
        self.image.paste(words.rotate(90, expand=True), (4 * FINE, TOP * FINE))

    def points(self, points: list[Point]) -> None:
        """The curve, the points with their intervals, and words beside them."""
        curve = [self._at(p.content[0], p.style[0]) for p in points if p.kind == "curve"]
        for p in points:
            x, y = self._at(p.content[0], p.style[0])
            (left, low), (right, high) = self._at(p.content[1], p.style[1]), self._at(p.content[2], p.style[2])
            self.draw.line([left, y, right, y], PALE[p.kind], FINE)
            self.draw.line([x, low, x, high], PALE[p.kind], FINE)
        self.draw.line(curve, COLOURS["curve"], 2 * FINE)
        for p in points:
            colour, (x, y), r = COLOURS[p.kind], self._at(p.content[0], p.style[0]), 5 * FINE
            shape = {
                "curve": [(x + r * a, y + r * b) for a, b in ((-0.6, -0.9), (0.6, -0.9), (0.6, 0.9), (-0.6, 0.9))],
                "normaliser": [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
                "calibrator": [(x, y - r * 1.2), (x + r * 1.1, y + r), (x - r * 1.1, y + r)],
                "sites": [(x, y - r * 1.3), (x + r * 1.3, y), (x, y + r * 1.3), (x - r * 1.3, y)],
            }[p.kind]
            self.draw.polygon(shape, colour)
        for p in points:
            self._word(p)

    def _word(self, p: Point) -> None:
        """Its label, to the right and as far down or up as there is room."""
        x, y = self._at(p.content[0], p.style[0])
        width, x = self.draw.textlength(p.label, self.font), x + 9 * FINE
        for step in sorted(range(-20, 21), key=abs):
            middle = y + step * LINE * FINE / 2
            box = x, middle - LINE * FINE / 2, x + width, middle + LINE * FINE / 2
            if not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in self.taken):
                break
        self.taken.append(box)
        if step:
            self.draw.line([x - 9 * FINE, y, x - FINE, middle], COLOURS[p.kind], max(1, FINE // 2))
        self.draw.text(
            (x, middle), p.label, COLOURS[p.kind], self.font, "lm", stroke_width=2 * FINE, stroke_fill="white"
        )

    def _at(self, content: float, style: float) -> tuple[float, float]:
        """In pixels; what is beyond the square is drawn at its edge."""
        x, y = ((min(max(v, LOW), HIGH) - LOW) / (HIGH - LOW) for v in (content, style))
        return (LEFT + x * SIDE) * FINE, (TOP + (1 - y) * SIDE) * FINE

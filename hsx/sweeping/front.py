"""Content against style: where each setting stands, which are never beaten at both, and which one is recommended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hsx.checks import number
from hsx.errors import HsxError

KNEE = 0.5  # the weight of the content at the knee
PREFERRED = {"content": 1.0, "style": 0.0, "knee": KNEE}
DEFINITION = (
    "the largest C^w S^(1 - w) of content C and style S, 0 to 1 each; with w = 0.5, the knee of the front, that is the "
    "largest rectangle below it"
)


class Place(NamedTuple):
    """Where the results of a setting stand, 0 to 1 each by a measure of content and one of style."""

    content: float
    style: float

    def total(self, weight: float = KNEE) -> float:
        """Both in one number, with a weight of the content, see DEFINITION."""
        return float(max(self.content, 0.0) ** weight * max(self.style, 0.0) ** (1 - weight))


class Scale(NamedTuple):
    """A measure's range: the values that count as 0 and 1, and these in words."""

    none: float
    best: float
    words: str

    @classmethod
    def of(cls, about: str, contents: Mapping[str, Any], styles: Mapping[str, Any]) -> Scale:
        """From what the pictures themselves get in the results' place, see metrics.json; or 0 to 1.

        A measure that no copy can win, as Look, is one of 0 to 1.
        """
        own, other = (contents, styles) if about == "content" else (styles, contents)
        none, best = float(other["mean"]), float(own["mean"])
        if none == best or (best > none) != own["higher_is_better"]:
            return cls(0.0, 1.0, "0 to 1")
        names = ("the style picture", "the content") if about == "content" else ("the content", "the style picture")
        return cls(none, best, "0: {} itself, 1: {} itself".format(*names))

    def place(self, value: float) -> float:
        """Where a value is in the range."""
        return (value - self.none) / (self.best - self.none)


def weight(prefer: str | float) -> float:
    """The weight of the content that ``--prefer`` says.  Raises HsxError for anything else than it may say."""
    if isinstance(prefer, str) and prefer in PREFERRED:
        return PREFERRED[prefer]
    try:
        found = float(prefer)
    except ValueError:
        found = -1.0
    if not number(found, 0, 1):
        raise HsxError(
            f"--prefer: expected content, style, knee or the content's weight from 0 to 1, got {prefer}; say one"
        )
    return found


def front(places: Mapping[str, Place]) -> list[str]:
    """The settings that no other one beats at content or style without losing at the other, by rising style."""
    found: list[str] = []
    for name in sorted(places, key=lambda name: (-places[name].style, -places[name].content)):
        if not found or places[name].content > places[found[-1]].content:
            found.append(name)
    return found[::-1]


def best(places: Mapping[str, Place], weight: float = KNEE) -> str:
    """The setting of the largest total, see DEFINITION; of equals the first."""
    return max(places, key=lambda name: places[name].total(weight))

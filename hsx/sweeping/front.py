"""Content against style: where each setting stands, which are never beaten at both, and which one is recommended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hsx.checks import number
from hsx.errors import HsxError

KNEE = 0.5  # the weight of the content at the knee
PREFERRED = {"content": 1.0, "style": 0.0, "knee": KNEE}
EQUAL = 0.01  # a difference that is none, of 0 to 1
DEFINITION = (
    "the largest C^w S^(1 - w) on the front, for content C and style S from 0 to 1; with w = 0.5 (the knee) that is "
    "the largest rectangle below the front; of settings within 0.01 of it, the one with the most content by EdgeSSIM"
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
    """The settings that no other one beats at content or style without losing at the other, by rising style.

    A difference below EQUAL beats nobody: so little means nothing with a few pairs.
    """
    found = [name for name, own in places.items() if not any(_beats(other, own) for other in places.values())]
    return sorted(found, key=lambda name: (places[name].style, -places[name].content))


def best(places: Mapping[str, Place], weight: float = KNEE, finer: Mapping[str, float] | None = None) -> str:
    """Of the front the setting of the largest total; of those that come near it the one with the most content.

    Args:
        finer: how much of the content each has, by a measure that tells more apart than ``places`` do.
    """
    totals = {name: places[name].total(weight) for name in front(places)}
    near = [name for name, total in totals.items() if total >= max(totals.values()) - EQUAL]
    return max(near, key=lambda name: finer[name] if finer else totals[name])


def _beats(one: Place, other: Place) -> bool:
    gains = one.content - other.content, one.style - other.style
    return min(gains) >= 0 and max(gains) > EQUAL

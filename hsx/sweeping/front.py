"""Content against style: where each setting stands, which are never beaten at both, and which one is recommended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hsx.checks import number
from hsx.errors import HsxError

KNEE = 0.5  # the weight of the content at the knee
PREFERRED = {"content": 1.0, "style": 0.0, "knee": KNEE}
DEFINITION = (
    "the largest w C + (1 - w) S, with C the content measure (0: the style picture itself, 1: the content itself) "
    "and S the style measure (0: the content itself, 1: the style picture itself); w = 0.5 is the knee: the point "
    "farthest from the line between both pictures themselves"
)


class Place(NamedTuple):
    """Where results stand between their two pictures.

    Attributes:
        content: 0 is what the style pictures themselves get, 1 what the contents get.
        style: 0 is what the contents themselves get, 1 what the style pictures get.
    """

    content: float
    style: float

    def total(self, weight: float = KNEE) -> float:
        """The sum, with a weight of the content, see DEFINITION."""
        return weight * self.content + (1 - weight) * self.style


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


def scaled(value: float, none: float, all_: float) -> float:
    """A measure's value where ``none`` counts as 0 and ``all_`` as 1; 0 where both are the same."""
    return (value - none) / (all_ - none) if all_ != none else 0.0


def front(places: Mapping[str, Place]) -> list[str]:
    """The settings that no other one beats at content or style without losing at the other, by rising style."""
    found: list[str] = []
    for name in sorted(places, key=lambda name: (-places[name].style, -places[name].content)):
        if not found or places[name].content > places[found[-1]].content:
            found.append(name)
    return found[::-1]


def best(places: Mapping[str, Place], weight: float = KNEE) -> str:
    """The setting of the largest weighted sum of content and style, see DEFINITION; of equals the first."""
    return max(places, key=lambda name: places[name].total(weight))

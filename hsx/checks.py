"""What a value is, in a few words, and whether it is a number of the wanted kind: for errors of one line."""

from __future__ import annotations

import math
import sys
from numbers import Integral, Real
from typing import Any

from hsx.errors import HsxError

MOST = sys.float_info.max  # of numbers that may be as large as they like, but not infinite


def got(value: Any) -> str:
    """Numbers as they are; anything else with its type, so that the text 400 is not taken for a number."""
    if isinstance(value, Real) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    text = " ".join(str(value).split())
    short = text if len(text) <= 60 else f"{text[:60]}…"
    return f"{short} (of type {type(value).__name__})"


def number(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    """Whether it is a number from ``low`` to ``high``, not nan and no bool."""
    return isinstance(value, Real) and not isinstance(value, bool) and low <= float(value) <= high


def whole(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    """Whether it is a whole number, and of a whole type, from ``low`` to ``high``."""
    return isinstance(value, Integral) and number(value, low, high)


def in_range(name: str, value: Any, low: float, high: float, what: str, kind: Any = number) -> None:
    """Raises HsxError unless ``kind``, ``number`` or ``whole``, says that the value is from ``low`` to ``high``."""
    if not kind(value, low, high):
        wanted = f"{low} or more" if high == math.inf else f"{low} to {high}"
        form = ", a whole number" if kind is whole else ""
        raise HsxError(f"{name}: expected {wanted} ({what}){form}, got {got(value)}; take one of these")

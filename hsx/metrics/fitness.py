"""Which measures deserve trust: those that rank the true answer first where it is known (``benchmarks/fitness.py``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

EMPHASIS = {"content": "Layout", "style": "Look", "both": "Overall"}  # what is shown first; each is fit
FILE = Path(__file__).with_name("fitness.json")


def table() -> dict[str, Any]:
    """What was found: how it was made, and of each measure ``fit``, the ``order`` of the answers and ``spearman``."""
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found


def known() -> dict[str, bool]:
    """Whether each measure is fit; those that could not be looked at are not in it."""
    return {name: row["fit"] for name, row in table()["measures"].items()}

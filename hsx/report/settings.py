"""The settings of a run as a table, and where those of two runs differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

LONG = 300  # characters of a value, at most
PLACES = (
    "output_dir",
    "overwrite",
    "config",
    "report",
    "sheets",
    "store.path",
)  # which say nothing of how pictures are made


def flat(config: Mapping[str, Any], section: str = "") -> dict[str, str]:
    """Every option of a config by its name on the command line, ``model.t_edit``, as a config would say it."""
    options: dict[str, str] = {}
    for name, value in config.items():
        option = f"{section}{name}"
        if isinstance(value, Mapping) and value:
            options |= flat(value, f"{option}.")
        elif option not in PLACES:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            options[option] = text if len(text) <= LONG else f"{text[: LONG - 1]}…"
    return options


def differing(first: Mapping[str, str], second: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """The options in which two runs differ, and what each has; empty where it has none."""
    names = dict.fromkeys([*first, *second])
    return [(name, first.get(name, ""), second.get(name, "")) for name in names if first.get(name) != second.get(name)]

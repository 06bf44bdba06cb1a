"""A sweep on one page: its settings and pairs, the table of measures, and the plot of one measure against another."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from hsx.errors import HsxError, shown
from hsx.report.folders import SWEEP, Results, results_of
from hsx.report.plots import tradeoff
from hsx.report.rendering import PAGE, Layer, Page

UNKNOWN = {"name": "", "folder": "", "front": False, "recommended": False, "options": {}, "measures": {}}


def swept(folder: Path, title: str, sweep: Mapping[str, Any]) -> Page:
    """The page of a sweep, of which ``sweep`` is sweep.json.  Raises HsxError where it names no settings."""
    settings = [each for each in sweep.get("settings", []) if isinstance(each, dict)]
    runs: list[Results | None] = []
    for each in settings:
        run = None
        with suppress(HsxError):  # one that has not been made yet
            run = results_of(folder / str(each.get("folder", "")))
        runs.append(run)
    first = next((run for run in runs if run), None)
    if first is None:
        wanted = f"expected the results of a setting or more, found none in {shown(folder / SWEEP)}"
        raise HsxError(f"{wanted}; run hsx sweep again")
    made = [(each, run) for each, run in zip(settings, runs, strict=True) if run]
    layers = [_layer(each, run, first.names) for each, run in made]
    shared = Results(folder, first.names, first.pairs, first.contents, first.styles, first.originals)
    view = {
        "settings": first.settings,
        "sweep": {
            "settings": [
                {**UNKNOWN, **each, "made": run is not None} for each, run in zip(settings, runs, strict=True)
            ],
            "measures": [*dict.fromkeys(name for each in settings for name in each.get("measures", {}))],
            "options": _short([*dict.fromkeys(name for each in settings for name in each.get("options", {}))]),
            "plot": tradeoff(settings),
            "axes": sweep.get("axes", {}),
            "said": sweep.get("said", ""),
        },
    }
    chosen = next((k for k, (each, _) in enumerate(made) if each.get("recommended")), 0)
    return Page(folder, PAGE, title, shared, layers, first.measures, view, chosen)


def _short(options: list[str]) -> dict[str, str]:
    """The last word of each option's name where no other has it."""
    words = [option.rpartition(".")[2] for option in options]
    return {option: word if words.count(word) == 1 else option for option, word in zip(options, words, strict=True)}


def _layer(setting: Mapping[str, Any], run: Results, names: list[str]) -> Layer:
    """The results of a setting in the order of ``names``."""
    places = {name: i for i, name in enumerate(run.names)}
    rows = [places.get(name, -1) for name in names]
    failed = {i: run.failed[row] for i, row in enumerate(rows) if row in run.failed}
    failed |= {i: "not made" for i, row in enumerate(rows) if row < 0}
    values = {one.name: np.append(one.values, np.nan)[rows] for one in run.measures if one.values is not None}
    return Layer(str(setting.get("name", "")), f"{setting['folder']}/", failed, values)

"""A sweep on one page: its settings and pairs, the table of measures, and the plot of one measure against another."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from hsx.errors import HsxError, shown
from hsx.report.folders import SWEEP, Results, finite, mapping, results_of
from hsx.report.plots import tradeoff
from hsx.report.rendering import PAGE, Layer, Page

ENDS = ("mean", "low", "high")  # what sweep.json has of a measure


def swept(folder: Path, title: str, sweep: Mapping[str, Any]) -> Page:
    """The page of a sweep, of which ``sweep`` is sweep.json.  Raises HsxError where it names no settings."""
    listed = sweep.get("settings")
    settings = [_setting(each) for each in (listed if isinstance(listed, list) else []) if isinstance(each, dict)]
    runs: list[Results | None] = []
    for each in settings:
        run = None
        with suppress(HsxError, OSError):  # one that has not been made yet
            run = results_of(folder / each["folder"])
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
            "settings": [{**each, "made": run is not None} for each, run in zip(settings, runs, strict=True)],
            "measures": [*dict.fromkeys(name for each in settings for name in each["measures"])],
            "options": _short([*dict.fromkeys(name for each in settings for name in each["options"])]),
            "plot": tradeoff(settings),
            "axes": {axis: str(mapping(sweep.get("axes")).get(axis, "")) for axis in ("content", "style")},
            "said": str(sweep.get("said", "")),
        },
    }
    chosen = next((k for k, (each, _) in enumerate(made) if each["recommended"]), 0)
    return Page(folder, PAGE, title, shared, layers, first.measures, view, chosen)


def _setting(found: Mapping[str, Any]) -> dict[str, Any]:
    """A setting of sweep.json; what is not as hsx writes it is left out."""
    folder = str(found.get("folder", ""))
    inside = not PurePosixPath(folder).is_absolute() and ".." not in PurePosixPath(folder).parts
    place = {axis: finite(value) for axis, value in mapping(found.get("place")).items()}
    measures = mapping(found.get("measures")).items()
    return {
        "name": str(found.get("name", "")),
        "folder": folder if inside else "",
        "front": found.get("front") is True,
        "recommended": found.get("recommended") is True,
        "options": mapping(found.get("options")),
        "measures": {name: {end: finite(mapping(one).get(end)) for end in ENDS} for name, one in measures},
        "place": None if None in (place.get("content"), place.get("style")) else place,
    }


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
    return Layer(setting["name"], f"{setting['folder']}/", failed, values)

"""Two runs on one page: what differs between their settings, and the pairs that both have side by side."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hsx.errors import HsxError, shown
from hsx.report.folders import Results, results_of
from hsx.report.page import values
from hsx.report.rendering import Layer, Page, check_page, write
from hsx.report.settings import differing


def write_comparison(first: Path, second: Path) -> Path:
    """Write, in the folder of the first of two runs, a page of the pairs that both have; where it is.

    Raises:
        HsxError: where one of them is no run, they have no pair in common, or another hand's page is in the way.
    """
    runs = results_of(first), results_of(second)
    labels = _labels(first, second)
    name = f"report-{re.sub(r'[^A-Za-z0-9_.-]', '_', labels[1])}.html"
    check_page(first, name)
    places = {pair: i for i, pair in enumerate(runs[1].names)}
    kept = [i for i, pair in enumerate(runs[0].names) if pair in places]
    if not kept:
        wanted = f"expected two runs with pairs of the same names, got {shown(first)} and {shown(second)}"
        raise HsxError(f"{wanted}, which have none in common; name runs of the same pictures")
    rows = [kept, [places[runs[0].names[i]] for i in kept]]
    bases = "", _way(first, second)
    layers = [_layer(*each) for each in zip(labels, bases, runs, rows, strict=True)]
    one = runs[0]
    shared = Results(
        first,
        names=[one.names[i] for i in kept],
        pairs=len(kept),
        contents=[one.contents[i] for i in kept],
        styles=[one.styles[i] for i in kept],
        originals=one.originals,
    )
    comparison = {
        "labels": labels,
        "differing": differing(one.settings, runs[1].settings),
        "same": sum(runs[1].settings.get(option) == value for option, value in one.settings.items()),
        "alone": [(label, run.pairs - len(kept)) for label, run in zip(labels, runs, strict=True)],
        "means": _means(layers),
    }
    title = f"{labels[0]} and {labels[1]}"
    return write(Page(first, name, title, shared, layers, one.measures, {"comparison": comparison}))


def _labels(first: Path, second: Path) -> tuple[str, str]:
    """The shortest ends of two paths that differ."""
    one, two = (Path(os.path.abspath(path)).parts for path in (first, second))
    for length in range(1, max(len(one), len(two)) + 1):
        if one[-length:] != two[-length:]:
            return "/".join(one[-length:]), "/".join(two[-length:])
    raise HsxError(f"expected two runs, got {shown(first)} twice; name another one")


def _way(first: Path, second: Path) -> str:
    """The second folder from the first."""
    try:
        return os.path.relpath(second.resolve(), first.resolve()).replace(os.sep, "/") + "/"
    except ValueError:
        wanted = f"expected two folders on one drive, got {shown(first)} and {shown(second)}"
        raise HsxError(f"{wanted}; move one of them") from None


def _layer(label: str, base: str, run: Results, rows: list[int]) -> Layer:
    failed = {i: run.failed[row] for i, row in enumerate(rows) if row in run.failed}
    pictures = None if run.pictures is None else [run.pictures[row] for row in rows]
    return Layer(label, base, failed, {name: all_of[rows] for name, all_of in values(run).items()}, pictures)


def _means(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """The means of both runs over the pairs that both have, and of the difference.

    Its 95 % interval is that of a normal distribution, 1.96 standard errors to each side.
    """
    rows = []
    for name in layers[0].values.keys() & layers[1].values.keys():
        one, two = (layer.values[name] for layer in layers)
        apart = (two - one)[np.isfinite(two - one)]
        if len(apart):
            middle = np.isfinite(two - one)
            error = 1.96 * apart.std(ddof=1) / len(apart) ** 0.5 if len(apart) > 1 else np.nan
            ends = None if np.isnan(error) else (apart.mean() - error, apart.mean() + error)
            means = float(one[middle].mean()), float(two[middle].mean())
            rows.append({"name": name, "means": means, "apart": float(apart.mean()), "interval": ends, "n": len(apart)})
    return sorted(rows, key=lambda row: str(row["name"]))

"""report.html: the results of a run, an evaluation or a sweep on one page that opens from disk and asks for nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from hsx.report.folders import SWEEP, Results, read_object, results_of
from hsx.report.plots import Histogram, histogram
from hsx.report.rendering import PAGE, Layer, Page, write
from hsx.report.swept import swept
from hsx.store.records import record_of


def write_page(folder: Path) -> Path:
    """Write the page of a folder of ``hsx predict``, ``hsx evaluate`` or ``hsx sweep``; where it is.

    A page that is there is replaced: see ``check_page``.  Raises HsxError where the folder is none of these.
    """
    title = Path(os.path.abspath(folder)).name or "results"
    if sweep := read_object(folder / SWEEP):
        return write(swept(folder, title, sweep))
    found = results_of(folder)
    ours = found.pictures is None or any(record_of(folder / picture) for picture in found.pictures[:1])
    layer = Layer("result", "", found.failed, values(found), found.pictures, ours)
    view = {"settings": found.settings, "histograms": histograms(found)}
    return write(Page(folder, PAGE, title, found, [layer], found.measures, view))


def values(found: Results) -> dict[str, np.ndarray]:
    """The measures of a run that have a value a pair."""
    return {one.name: one.values for one in found.measures if one.values is not None}


def histograms(found: Results) -> list[Histogram | None]:
    """The distribution of each measure; None of those of the whole set."""
    return [
        None if one.values is None else histogram(one.name, one.values, one.mean, one.interval)
        for one in found.measures
    ]

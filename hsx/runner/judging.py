"""The results of a sweep's settings, measured, and what their own pictures would get in the results' place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hsx.errors import HsxError, ImageError
from hsx.io.images import read_image
from hsx.io.png import read_png
from hsx.io.reading import unsaid
from hsx.metrics.base import MeanMetric
from hsx.pairs.pairing import PairList
from hsx.plugins import registry as plugins
from hsx.sweeping.sheet import Pair

TAKEN = ("result", "content", "style")
BATCH = 16  # pairs at a time
ORIGINALS = ("content", "style")  # names of what is measured in a result's place


@dataclass(frozen=True)
class Judged:
    """Numbers by measure and row, of what has results.

    Attributes:
        values: by setting and measure, (n,) of the pairs that have a result.
        originals: likewise of the contents themselves, and of the style pictures themselves, as ``content`` and
            ``style``.
    """

    values: Mapping[str, Mapping[str, np.ndarray]]
    originals: Mapping[str, Mapping[str, np.ndarray]]


def weightless() -> dict[str, MeanMetric]:
    """The measures that are registered, give a number a row, and need no more than content, style and result."""
    known = plugins.load().of("metric")
    usable = [name for name, cls in known.items() if issubclass(cls, MeanMetric) and {*cls.takes} <= {*TAKEN}]
    return {name: known[name]() for name in usable}


def rows_of(pairs: PairList) -> Iterator[Pair]:
    """The pairs with their pictures; bad rows of a table are left out."""
    for i in range(len(pairs)):
        try:
            row = pairs[i]
        except HsxError:
            continue
        yield Pair(row.name, pairs.contents[row.content], pairs.styles[row.style])


@torch.no_grad()
def judge(
    rows: Sequence[Pair], folders: Mapping[str, Path], measures: Mapping[str, MeanMetric], size: int, fit: str
) -> Judged:
    """Every setting's results by every measure; pairs whose pictures cannot be read are left out.

    Args:
        folders: where the results of each setting are, as NAME.png.
        measures: by name; each takes result, content and style, or some of these.
        size: pixels a side at which pictures are compared.
    """
    values: dict[str, dict[str, list[Tensor]]] = {name: {m: [] for m in measures} for name in (*folders, *ORIGINALS)}
    for begin in range(0, len(rows), BATCH):
        part = [(row, both) for row in rows[begin : begin + BATCH] if (both := _originals(row, size, fit))]
        if not part:
            continue
        content, style = (torch.stack([both[k] for _, both in part]) for k in (0, 1))
        whole = list(range(len(part)))
        results = {"content": (whole, content), "style": (whole, style)}
        read = {name: _results([row for row, _ in part], at) for name, at in folders.items()}
        results |= {name: there for name, there in read.items() if there}
        for name, (places, result) in results.items():
            pictures = {"result": result, "content": content[places], "style": style[places]}
            for measure, metric in measures.items():
                values[name][measure].append(metric.each(*(pictures[kind] for kind in metric.takes)))
    found = {name: {m: _array(parts) for m, parts in own.items()} for name, own in values.items()}
    return Judged({name: found[name] for name in folders if any(map(len, found[name].values()))}, found)


def _originals(row: Pair, size: int, fit: str) -> tuple[Tensor, Tensor] | None:
    try:
        with unsaid():
            return read_image(row.content, size, fit), read_image(row.style, size, fit)
    except ImageError:
        return None


def _results(rows: Sequence[Pair], folder: Path) -> tuple[list[int], Tensor] | None:
    """The places of the rows that have a result, and these, (n, 3, R, R); None where no row has."""
    found: dict[int, Tensor] = {}
    for place, row in enumerate(rows):
        path = folder / f"{row.name}.png"
        if path.exists():
            picture = np.array(read_png(path))
            found[place] = torch.from_numpy(picture).permute(2, 0, 1).float() / 127.5 - 1
    return ([*found], torch.stack([*found.values()])) if found else None


def _array(parts: Sequence[Tensor]) -> np.ndarray:
    return torch.cat([*parts]).double().numpy() if parts else np.empty(0)

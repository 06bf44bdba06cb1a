"""The rows of an evaluation as they are read: pictures, and what is known of each already."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hsx.errors import HsxError
from hsx.io.digests import digest, file_digest
from hsx.io.images import pixels_digest, read_image
from hsx.runner.batches import Batch, Failure
from hsx.runner.evaluation.results import Results
from hsx.runner.items import Items
from hsx.store.records import record_of

RECENT = 64  # originals that a process keeps, since many rows have one


@dataclass(frozen=True)
class RowItem:
    """A row by its number.

    Attributes:
        pictures: those that measures take, by kind, each (3, R, R) in [-1, 1]; none where all is known.
        keys: of the measures that can be made of it, what a number is kept under; "" for a measure of the whole set.
        known: numbers that are kept already, by measure.
    """

    index: int
    pictures: dict[str, Tensor]
    keys: dict[str, str]
    known: dict[str, float]


@dataclass
class RowBatch(Batch):
    """Rows together; see ``RowItem``.

    Attributes:
        pictures: by kind, (B, 3, R, R) in [-1, 1]; zeros in a row that has none.
    """

    pictures: dict[str, Tensor]
    keys: list[dict[str, str]]
    known: list[dict[str, float]] = field(default_factory=list)

    def rows(self, measure: str) -> list[int]:
        """The rows that a measure is to take in."""
        return [i for i, keys in enumerate(self.keys) if measure in keys and measure not in self.known[i]]


class Rows(Items):
    """The rows of ``results`` by number.

    Args:
        takes: the pictures that each measure takes.
        identities: of the measures that have a number a row, what tells each and its options from others.
        values: numbers that are kept already, by key.
    """

    def __init__(
        self,
        results: Results,
        processes: int,
        takes: Mapping[str, tuple[str, ...]],
        identities: Mapping[str, str],
        values: Mapping[str, float],
    ) -> None:
        super().__init__(np.arange(len(results.rows)), processes)
        self.results, self.takes, self.identities, self.values = results, takes, identities, values
        self.wanted = sorted({kind for kinds in takes.values() for kind in kinds})
        self.recorded = results.recorded and results.given_size is None
        self.size = results.size
        self.digests: dict[Path, str] = {}
        self.recent: OrderedDict[Path, tuple[Tensor, str]] = OrderedDict()

    def item(self, index: int) -> RowItem:  # type: ignore[override]
        """See ``Items``."""
        row, results = self.results.rows[index], self.results
        record = record_of(Path(row.picture)) if results.recorded else {}
        places = {kind: place for kind, place in results.places(row, record).items() if kind in self.wanted}
        digests = {kind: self._digest(kind, place) for kind, place in places.items()}
        can = {name: kinds for name, kinds in self.takes.items() if set(kinds) <= places.keys()}
        keys = {name: self._key(name, [digests[kind] for kind in kinds]) for name, kinds in can.items()}
        known = {name: self.values[key] for name, key in keys.items() if key in self.values}
        if known.keys() == keys.keys():
            return RowItem(index, {}, keys, known)
        pictures = {}
        for kind, place in places.items():
            pictures[kind], pixels = self._read(kind, place)
            self._check(kind, place, pixels, record)
        return RowItem(index, pictures, keys, known)

    def _digest(self, kind: str, place: Path) -> str:
        """Of a picture's file; those of originals are kept, as many rows have one."""
        if kind == "result":
            return file_digest(place)
        if place not in self.digests:
            self.digests[place] = file_digest(place)
        return self.digests[place]

    def _key(self, name: str, digests: list[str]) -> str:
        own = self.identities.get(name)
        return digest(own, self.size, self.results.fit, digests) if own else ""

    def _read(self, kind: str, place: Path) -> tuple[Tensor, str]:
        """A picture and, of an original of a run, the digest of its pixels."""
        if place in self.recent:
            self.recent.move_to_end(place)
            return self.recent[place]
        image = read_image(place, self.size, self.results.fit)
        if kind == "result":
            return image, ""
        self.recent[place] = image, pixels_digest(image) if self.recorded else ""
        if len(self.recent) > RECENT:
            self.recent.popitem(last=False)
        return self.recent[place]

    def _check(self, kind: str, place: Path, pixels: str, record: Mapping[str, Any]) -> None:
        """Raises HsxError for a content or a style that is not the picture that the result was made from."""
        made_from = record.get("pixels")
        if kind not in ("content", "style") or not self.recorded or not isinstance(made_from, list):
            return
        same_fit = isinstance(record.get("data"), dict) and record["data"].get("fit") == self.results.fit
        if same_fit and len(made_from) == 2 and pixels != made_from[kind == "style"]:
            wanted = f"expected the {kind} that it was made from, got {place}, whose pixels are others"
            raise HsxError(f"{wanted}; name the folder of the right one with --{kind}s")


def collate(items: list[Any]) -> Batch:
    """A batch of the items that are rows; the failures beside it."""
    failures = {item.index: item.reason for item in items if isinstance(item, Failure)}
    rows = [item for item in items if isinstance(item, RowItem)]
    if not rows:
        return Batch([], failures=failures)
    kinds = sorted({kind for row in rows for kind in row.pictures})
    blank = torch.zeros_like(next((image for row in rows for image in row.pictures.values()), torch.empty(0)))
    pictures = {kind: torch.stack([row.pictures.get(kind, blank) for row in rows]) for kind in kinds}
    keys, known = [row.keys for row in rows], [row.known for row in rows]
    return RowBatch([row.index for row in rows], pictures, keys, known, failures=failures)

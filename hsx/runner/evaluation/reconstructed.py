"""The styles of a run given back by its own network and settings, each distinct style once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from hsx.errors import HsxError
from hsx.io.digests import digest
from hsx.io.images import pixels_digest, read_image, to_picture
from hsx.io.png import write_png
from hsx.method.reconstruction import reconstruct
from hsx.report.measured import KEPT
from hsx.runner.batches import Batch, Injected, PictureBatch, PictureItem
from hsx.runner.evaluation.results import Result, Results
from hsx.runner.items import Items
from hsx.runner.loader import loader
from hsx.runner.progress import StageProgress
from hsx.runner.remake import model_of
from hsx.runner.run import gather
from hsx.runner.stages import Stage
from hsx.store.journal import Journal
from hsx.store.records import record_of


def with_reconstructions(
    results: Results,
    trainer_of: Callable[[str], lightning.Trainer],
    folder: Path,
    backbone: str | None = None,
    batch_size: int = 16,
    num_workers: int = 0,
) -> Results:
    """Results that have, for each row, its style given back: inverted and generated again, nothing injected.

    The network and the settings are those of the records in the results, checked by their fingerprints.  The pictures
    are kept in ``folder``, in ``.measured``, and are not made again.

    Args:
        trainer_of: makes a trainer of the run's precision.
        backbone: where the network is now.

    Raises:
        HsxError: where no result has such a record, or network and settings are not what it says.
    """
    styles = {row.style: row for row in results.rows if row.style}
    record = next((found for row in results.rows if (found := record_of(Path(row.picture)))), None)
    if not record:
        raise HsxError(
            "metrics: expected results of hsx predict for measures of inversion, got others; leave these measures out"
        )
    try:
        model = model_of(record, backbone)
        trainer = trainer_of(str(record["trainer"]["precision"]))
    except (KeyError, TypeError) as error:
        wanted = "expected a record that makes a picture again for measures of inversion"
        raise HsxError(f"metrics: {wanted}, got one without {error}; run hsx predict again") from None
    items = _Styles([*styles.values()], results, trainer.world_size, model.backbone.sample_size)
    at = _Place(folder / KEPT / "styles", record["settings_digest"])
    written = _Written(at, journal := Journal(folder, trainer.global_rank, KEPT))
    callbacks = [written, StageProgress("styles given back", len(styles), journal)]
    trainer.callbacks += callbacks  # type: ignore[attr-defined]
    stage = _Reconstruct(at, model.transfer, batch_size, channels_last=model.channels_last)
    trainer.predict(stage, loader(items, batch_size, num_workers), return_predictions=False)
    names = [*styles]
    found = {names[i]: place for share in gather(trainer, written.places) for i, place in share.items()}
    return replace(results, reconstructions=found)


class _Place:
    """Where a style that was given back is, by the settings and the digest of its pixels."""

    def __init__(self, folder: Path, settings: Any) -> None:
        self.folder, self.settings = folder, settings

    def __call__(self, pixels: str) -> Path:
        return self.folder / f"{digest(self.settings, pixels)}.png"


class _Styles(Items):
    """Distinct styles by number, each found by a row that has it."""

    def __init__(self, rows: list[Result], results: Results, processes: int, size: int) -> None:
        super().__init__(np.arange(len(rows)), processes)
        self.rows, self.results, self.size = rows, results, size

    def item(self, index: int) -> PictureItem:
        """See ``Items``."""
        row = self.rows[index]
        record: Mapping[str, Any] = record_of(Path(row.picture)) if self.results.recorded else {}
        image = read_image(self.results.places(row, record)["style"], self.size, self.results.fit)
        return PictureItem(index, image, pixels_digest(image))


class _Reconstruct(Stage):
    """Styles to what the network gives back of them; those that are there are left out."""

    def __init__(self, place: _Place, *given: Any, **how: Any) -> None:
        super().__init__(*given, **how)
        self.place = place

    def predict_step(self, batch: Batch) -> Injected:
        """A batch of styles to pictures, of the rows that are missing."""
        rows = _missing(batch, self.place)
        if not rows:
            return Injected(torch.empty(0), [])
        assert isinstance(batch, PictureBatch)
        images = batch.images[rows]
        made, at_once = self.in_parts(lambda part: {"images": reconstruct(self.transfer, images[part])}, len(rows))
        return Injected(made["images"].cpu(), at_once)


class _Written(Callback):
    """Each picture to its place.

    Attributes:
        places: of those that are there, by number.
    """

    def __init__(self, place: _Place, journal: Journal) -> None:
        self.place, self.journal = place, journal
        self.places: dict[int, Path] = {}

    def on_predict_batch_end(self, trainer: Any, pl_module: Any, outputs: Injected, batch: Batch, *_: int) -> None:
        """Write a batch; what is not finite is left out, and so are the rows of that style."""
        for row, image in zip(_missing(batch, self.place), outputs.images, strict=True):
            if torch.isfinite(image).all() and isinstance(batch, PictureBatch):
                write_png(to_picture(image), self.place(batch.pixels[row]))
        if isinstance(batch, PictureBatch):
            places = {index: self.place(pixels) for index, pixels in zip(batch.index, batch.pixels, strict=True)}
            self.places |= {index: place for index, place in places.items() if place.exists()}
        if batch.items:
            self.journal.write(rows=batch.items)


def _missing(batch: Batch, place: _Place) -> list[int]:
    """The rows of a batch that are to be made."""
    if not isinstance(batch, PictureBatch):
        return []
    return [row for row, pixels in enumerate(batch.pixels) if not place(pixels).exists()]

"""What ``trainer.predict`` makes goes to disk at once: trajectories to the store, pictures to the output folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import BasePredictionWriter

from hsx.io.images import to_picture
from hsx.io.png import write_png
from hsx.method.inversion import Trajectory
from hsx.store.journal import Journal
from hsx.store.records import RECORD, Recorder
from hsx.store.trajectories import Store

NOT_FINITE = "the result is not finite; use --trainer.precision 32, fewer steps or a smaller gamma or omega"


class ResultWriter(BasePredictionWriter):
    """Writes each batch as it is made, and keeps count.

    Args:
        store, key: where trajectories go, and the key of a picture's by its digest.
        recorder: what the pictures say of themselves.
        folder: where pictures go.
        journal: where each batch is noted.
    """

    def __init__(
        self, store: Store, key: Callable[[str], str], recorder: Recorder, folder: Path, journal: Journal
    ) -> None:
        super().__init__(write_interval="batch")
        self.store, self.key, self.recorder, self.folder, self.journal = store, key, recorder, folder, journal
        self.digests: dict[int, str] = {}  # of the pictures this process has read, by number
        self.failures: dict[int, str] = {}  # of pictures in the first pass, of pairs in the second
        self.vanished: list[int] = []  # pairs whose trajectory was gone
        self.inverted = 0
        self.notes = True  # in the journal; not while pictures are only checked, when the folder may be another run's

    def on_predict_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, *_: int) -> None:
        """The clock of a batch."""
        self.begun = time.monotonic()

    def write_on_batch_end(
        self, trainer: Any, pl_module: Any, prediction: Any, batch_indices: Any, batch: dict[str, Any], *_: int
    ) -> None:
        """One batch, one file a row; rows that are not finite are left out and counted at the end."""
        for index, reason in batch["failed"].items():
            if reason is None:
                self.vanished.append(index)
            else:
                self.failures[index] = reason
        self.machine = pl_module.machine
        made = self._pictures(prediction, batch) if "name" in batch else self._trajectories(prediction, batch)
        seconds = (time.monotonic() - self.begun) / max(1, len(batch["index"]))
        rows = len(batch["index"]) + len(batch["failed"])
        if rows and self.notes:
            self.journal.write(rows=rows, made=made, seconds=round(seconds, 4), device=str(pl_module.device))

    def _trajectories(self, prediction: Trajectory | None, batch: dict[str, Any]) -> list[str]:
        self.digests.update(zip(batch["index"], batch.get("digest", ()), strict=True))
        if prediction is not None:
            for row, place in enumerate(batch["chosen"]):
                index, digest = batch["index"][place], batch["digest"][place]
                if torch.isfinite(prediction.x_T[row]).all():
                    h = prediction.h[row] if index < len(self.recorder.pairs.contents) else None
                    how = {**self.machine, "rows": batch["rows"][row]}
                    self.store.put(self.key(digest), prediction.x_T[row], h, prediction.timesteps, how)
                    self.inverted += 1
                else:
                    self.failures[index] = "its inversion is not finite; use --trainer.precision 32"
        return []

    def _pictures(self, prediction: torch.Tensor, batch: dict[str, Any]) -> list[str]:
        made = []
        for row, (image, index, name) in enumerate(zip(prediction, batch["index"], batch["name"], strict=True)):
            if torch.isfinite(image).all():
                computed = {**self.machine, "rows": batch["rows"][row], **batch["how"][row]}
                record = self.recorder.whole(batch["own"][row], computed)
                write_png(to_picture(image), self.folder / f"{name}.png", {RECORD: record})
                made.append(name)
            else:
                self.failures[index] = NOT_FINITE
        return made

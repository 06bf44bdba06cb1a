"""What ``trainer.predict`` makes goes to disk at once: trajectories to the store, pictures to the output folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import BasePredictionWriter

from hsx.engine.datamodule import Pictures
from hsx.engine.store import TrajectoryStore
from hsx.images import to_picture, write_png
from hsx.inversion import Trajectory

RECORD = "hsx"  # the PNG text chunk in which a picture says how it was made


class ResultWriter(BasePredictionWriter):
    """Writes each batch as it is made.

    Args:
        store: where trajectories go.
        folder: where pictures go.
    """

    def __init__(self, store: TrajectoryStore, folder: Path) -> None:
        super().__init__(write_interval="batch")
        self.store, self.folder = store, folder
        self.records: dict[str, dict[str, Any]] = {}  # what is written into each picture, by its name

    def write_on_batch_end(
        self, trainer: Any, pl_module: Any, prediction: Any, batch_indices: Any, batch: dict[str, Any], *_: int
    ) -> None:
        """One batch, one file a row; rows that are not finite are left out and counted at the end."""
        if isinstance(trainer.predict_dataloaders.dataset, Pictures):
            for key, reason in batch["failed"].items():
                self.store.fail(key, reason)
        if isinstance(prediction, Trajectory):
            for row, key in enumerate(batch["name"]):
                if torch.isfinite(prediction.x_T[row]).all():
                    self.store.put(key, prediction, row)
                else:
                    self.store.fail(key, "its inversion is not finite; use --trainer.precision 32")
        elif prediction is not None:
            for image, name in zip(prediction, batch["name"], strict=True):
                if torch.isfinite(image).all():
                    record = json.dumps(self.records[name], ensure_ascii=False)
                    write_png(to_picture(image), self.folder / f"{name}.png", {RECORD: record})

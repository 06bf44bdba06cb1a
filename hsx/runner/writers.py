"""What the stages make goes to disk at once: trajectories to the store, pictures to the output folder."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import BasePredictionWriter

from hsx.io.images import to_picture
from hsx.io.png import write_png
from hsx.runner.batches import Batch, Injected, Inverted, PairBatch, PictureBatch
from hsx.store.fingerprints import Fingerprints
from hsx.store.journal import Journal
from hsx.store.records import RECORD, Recorder
from hsx.store.trajectories import Store

NOT_INVERTED = "its inversion is not finite; use --trainer.precision 32"
NOT_FINITE = "the result is not finite; use --trainer.precision 32, fewer steps or a smaller gamma or omega"


@dataclass
class Outcome:
    """What one process did in a stage.

    Attributes:
        failures: reasons by number, of pictures or of pairs.
        vanished: pairs whose trajectory was gone.
        pixels: the digests of the pictures that were read, by number.
        inverted: how many pictures were inverted.
        corrupt: how many corrupt trajectories were found.
        evaluations: of the network.
    """

    failures: dict[int, str] = field(default_factory=dict)
    vanished: list[int] = field(default_factory=list)
    pixels: dict[int, str] = field(default_factory=dict)
    inverted: int = 0
    corrupt: int = 0
    evaluations: float = 0.0

    def __add__(self, other: Outcome) -> Outcome:
        """Both together."""
        return Outcome(
            {**self.failures, **other.failures},
            [*self.vanished, *other.vanished],
            {**self.pixels, **other.pixels},
            self.inverted + other.inverted,
            self.corrupt + other.corrupt,
            self.evaluations + other.evaluations,
        )


class Writer(BasePredictionWriter):
    """Writes each batch of a stage as it is made, and keeps count.

    Args:
        journal: where each batch is noted; None while pictures are only checked, as the folder may be another run's.

    Attributes:
        outcome: of the stage in this process.
    """

    def __init__(self, journal: Journal | None) -> None:
        super().__init__(write_interval="batch")
        self.journal, self.outcome = journal, Outcome()

    def on_predict_batch_start(self, *_: Any) -> None:
        """Start the clock of a batch."""
        self.begun = time.monotonic()

    def write_on_batch_end(
        self, trainer: Any, pl_module: Any, prediction: Any, batch_indices: Any, batch: Batch, *_: int
    ) -> None:
        """Write one batch; rows that are not finite are left out and counted."""
        self.outcome.failures.update(batch.failures)
        self.outcome.vanished += batch.vanished
        names = self.write(prediction, batch, pl_module.machine)
        seconds = round((time.monotonic() - self.begun) / max(1, len(batch)), 4)
        if batch.items and self.journal:
            self.journal.write(rows=batch.items, made=names, seconds=seconds, device=str(pl_module.device))

    def write(self, result: Any, batch: Any, machine: dict[str, Any]) -> list[str]:
        """Write the rows of one batch; the names of the pictures."""
        raise NotImplementedError


class TrajectoryWriter(Writer):
    """Trajectories to the store.

    Args:
        store, fingerprints: where they go, and under which keys.
    """

    def __init__(self, journal: Journal | None, store: Store, fingerprints: Fingerprints) -> None:
        super().__init__(journal)
        self.store, self.fingerprints = store, fingerprints
        self.not_finite: set[str] = set()  # the pixels of such pictures, which may have several names

    def write(self, result: Inverted, batch: Batch, machine: dict[str, Any]) -> list[str]:
        """See ``Writer``; no pictures."""
        if not isinstance(batch, PictureBatch):
            return []
        self.outcome.pixels.update(zip(batch.index, batch.pixels, strict=True))
        for rows, trajectory, at_once, _ in (result, *result.others):
            for i, (row, sites) in enumerate(rows.items()):
                assert trajectory is not None
                x_T = trajectory.x_T[i]
                if torch.isfinite(x_T).all():
                    features = {site: trajectory.features[site][i] for site in sites}
                    key = self.fingerprints.trajectory(batch.pixels[row], content=bool(sites))
                    self.store.put(key, x_T, features, trajectory.timesteps, {**machine, "rows": at_once[i]})
                    self.outcome.inverted += 1
                else:
                    self.not_finite.add(batch.pixels[row])
        for index, pixels in zip(batch.index, batch.pixels, strict=True):
            if pixels in self.not_finite:
                self.outcome.failures[index] = NOT_INVERTED
        return []


class PictureWriter(Writer):
    """Pictures to the output folder, each with its record.

    Args:
        recorder: what the pictures say of themselves.
        folder: where they go.
    """

    def __init__(self, journal: Journal, recorder: Recorder, folder: Path) -> None:
        super().__init__(journal)
        self.recorder, self.folder = recorder, folder

    def write(self, result: Injected, batch: Batch, machine: dict[str, Any]) -> list[str]:
        """See ``Writer``."""
        names: list[str] = []
        for row, image in enumerate(result.images):
            assert isinstance(batch, PairBatch)
            own = batch.records[row]
            if torch.isfinite(image).all():
                record = self.recorder.whole(own, {**machine, "rows": result.at_once[row], **batch.computed[row]})
                write_png(to_picture(image), self.folder / f"{own['name']}.png", {RECORD: record})
                names.append(own["name"])
            else:
                self.outcome.failures[batch.index[row]] = NOT_FINITE
        return names

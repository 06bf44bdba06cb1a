"""The two stages as Lightning runs them: pictures to trajectories, trajectories to pictures.  No mathematics here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import lightning
import torch
from torch import Tensor

from hsx.errors import HsxError
from hsx.method.inversion import Trajectory
from hsx.method.noise import SampleNoise
from hsx.method.transfer import Transfer
from hsx.runner.batches import Batch, Injected, Inverted, PairBatch, PictureBatch
from hsx.schedule import timesteps
from hsx.store.fingerprints import Fingerprints
from hsx.store.trajectories import Store

T = TypeVar("T")
log = logging.getLogger("hsx")


class Stage(lightning.LightningModule):
    """One stage of a run: its batches in parts as large as memory allows.

    Args:
        transfer: what it runs.
    """

    def __init__(self, transfer: Transfer) -> None:
        super().__init__()
        self.transfer, self.backbone = transfer, transfer.backbone
        self.limit: int | None = None  # pictures at once, where memory has run out with more

    @property
    def machine(self) -> dict[str, Any]:
        """What decides the last bits of a picture: the device, and on a CPU the number of threads."""
        if self.device.type == "cpu":
            return {"device": "cpu", "threads": torch.get_num_threads()}
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return {"device": name, "threads": None}

    def in_parts(self, work: Callable[[slice], T], rows: int) -> tuple[list[T], list[int]]:
        """``work`` on all rows, in parts that are halved, with a line in the log, whenever memory runs out.

        Returns:
            The parts' results, and for each row how many were computed at once.

        Raises:
            HsxError: where there is no room for one row.
        """
        results: list[T] = []
        at_once: list[int] = []
        while len(at_once) < rows:
            size = min(self.limit or rows, rows - len(at_once))
            try:
                results.append(work(slice(len(at_once), len(at_once) + size)))
                at_once += [size] * size
                continue
            except torch.OutOfMemoryError:  # dealt with below, where its frames hold no memory any more
                pass
            if size == 1:
                raise HsxError(
                    "memory: expected room for one picture at a time, got out of memory; use another "
                    "device, a smaller model or --trainer.precision 16-true"
                )
            self.limit = size // 2
            log.warning("out of memory with %d pictures at once; going on with %d", size, self.limit)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return results, at_once


class Needed:
    """Which pictures of a batch are to be inverted: once in a process, whatever their names.

    Args:
        numbers: the pictures that pairs need.
        contents: how many of all pictures are contents, whose h is needed too.
        store, fingerprints: where trajectories are kept, and under which keys.
    """

    def __init__(self, numbers: set[int], contents: int, store: Store, fingerprints: Fingerprints) -> None:
        self.numbers, self.contents, self.store, self.fingerprints = numbers, contents, store, fingerprints
        self.begun: set[tuple[str, bool]] = set()  # in this process, perhaps not yet in the store

    def __call__(self, batch: PictureBatch) -> list[int]:
        """The rows."""
        return [row for row in range(len(batch)) if self._is(batch.index[row], batch.pixels[row])]

    def _is(self, index: int, pixels: str) -> bool:
        key, with_h = self.fingerprints.trajectory(pixels), index < self.contents
        if index not in self.numbers or {(key, with_h), (key, True)} & self.begun or self.store.has(key, with_h):
            return False
        self.begun.add((key, with_h))
        return True


class Invert(Stage):
    """Pictures to their trajectories.

    Args:
        transfer: with whose steps.
        needed: the rows of a batch that are to be inverted; all by default.
    """

    def __init__(self, transfer: Transfer, needed: Callable[[PictureBatch], list[int]] | None = None) -> None:
        super().__init__(transfer)
        self.needed = needed or (lambda batch: list(range(len(batch))))

    def predict_step(self, batch: Batch) -> Inverted:
        """A batch of pictures to the trajectories of those that are needed."""
        if not isinstance(batch, PictureBatch) or not (rows := self.needed(batch)):
            return Inverted([], None, [])
        images = batch.images[rows]
        parts, at_once = self.in_parts(lambda part: self.transfer.invert(images[part]), len(rows))
        features = {site: torch.cat([part.features[site] for part in parts]) for site in parts[0].features}
        x_T, first = torch.cat([part.x_T for part in parts]), parts[0]
        return Inverted(rows, Trajectory(x_T, features, first.timesteps, first.t_start), at_once)


class Inject(Stage):
    """Pairs of trajectories to the contents in the styles."""

    def predict_step(self, batch: Batch) -> Injected:
        """A batch of pairs to its pictures."""
        if not isinstance(batch, PairBatch):
            return Injected(torch.empty(0), [])
        parts, at_once = self.in_parts(lambda part: self._pictures(batch, part), len(batch))
        return Injected(torch.cat(parts), at_once)

    def _pictures(self, batch: PairBatch, rows: slice) -> Tensor:
        config = self.transfer.config
        x = batch.style_x_T[rows]
        times = tuple(timesteps(config.inversion_steps, config.t_start)[:-1])
        features = {"h": batch.content_h[rows].to(x)}
        content = Trajectory(batch.content_x_T[rows], features, times, config.t_start)
        style = Trajectory(x, {}, (), config.t_start)
        records = batch.records[rows]
        noise = SampleNoise([own["seed"] for own in records], [tuple(own["pixels"]) for own in records])
        mask = None if batch.mask is None else batch.mask[rows]
        return self.transfer.inject(content, style, mask, noise, batch.gamma[rows]).clamp(-1, 1)

"""The two stages as Lightning runs them: pictures to trajectories, trajectories to pictures.  No mathematics here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import lightning
import torch
from torch import Tensor

from hsx.errors import HsxError
from hsx.method.inversion import Trajectory
from hsx.method.noise import SampleNoise
from hsx.method.transfer import Transfer
from hsx.runner.batches import Batch, Injected, Inverted, PairBatch, PictureBatch
from hsx.runner.items import Taken
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
        numbers: the pictures whose trajectories pairs need.
        contents: how many of all pictures are contents, whose features are needed too.
        sites: at which.
        store, fingerprints: where trajectories are kept, and under which keys.
    """

    def __init__(
        self, numbers: set[int], contents: int, sites: tuple[str, ...], store: Store, fingerprints: Fingerprints
    ) -> None:
        self.numbers, self.contents, self.sites = numbers, contents, sites
        self.store, self.fingerprints = store, fingerprints
        self.begun: set[tuple[str, bool]] = set()  # in this process, perhaps not yet in the store
        self.said = False

    def __call__(self, batch: PictureBatch) -> dict[int, list[str]]:
        """The rows, each with the sites to be recorded: those that are needed, and those that the store has already."""
        found = {row: self._sites(batch.index[row], batch.pixels[row]) for row in range(len(batch))}
        return {row: sites for row, sites in found.items() if sites is not None}

    def _sites(self, index: int, pixels: str) -> list[str] | None:
        key, is_content = self.fingerprints.trajectory(pixels), index < self.contents
        if index not in self.numbers or {(key, is_content), (key, True)} & self.begun:
            return None
        sites = self.sites if is_content else ()
        if self.store.has(key, sites):
            return None
        self.begun.add((key, is_content))
        known = self.store.sites(key)
        if known and not self.said:
            lacking = ", ".join(site for site in sites if site not in known)
            log.warning("the store has trajectories without %s: inverting their pictures again, to add it", lacking)
            self.said = True
        return list(dict.fromkeys([*known, *sites]))


class Invert(Stage):
    """Pictures to their trajectories.

    Args:
        transfer: with whose steps.
        needed: the rows of a batch that are to be inverted, each with the sites to be recorded; by default all rows,
            with those of the transfer.
    """

    def __init__(
        self, transfer: Transfer, needed: Callable[[PictureBatch], dict[int, list[str]]] | None = None
    ) -> None:
        super().__init__(transfer)
        sites = list(Taken.by(transfer).sites)
        self.needed = needed or (lambda batch: dict.fromkeys(range(len(batch)), sites))

    def predict_step(self, batch: Batch) -> Inverted:
        """A batch of pictures to the trajectories of those that are needed."""
        if not isinstance(batch, PictureBatch) or not (rows := self.needed(batch)):
            return Inverted({}, None, [])
        images, sites = batch.images[list(rows)], list(dict.fromkeys(site for own in rows.values() for site in own))
        parts, at_once = self.in_parts(lambda part: self.transfer.invert(images[part], sites), len(rows))
        features = {site: torch.cat([part.features[site] for part in parts]) for site in parts[0].features}
        x_T, first = torch.cat([part.x_T for part in parts]), parts[0]
        return Inverted(rows, replace(first, x_T=x_T, features=features, images=None), at_once)


class Inject(Stage):
    """Pairs of trajectories to the contents in the styles."""

    def predict_step(self, batch: Batch) -> Injected:
        """A batch of pairs to its pictures."""
        if not isinstance(batch, PairBatch):
            return Injected(torch.empty(0), [])
        parts, at_once = self.in_parts(lambda part: self._pictures(batch, part), len(batch))
        return Injected(torch.cat(parts), at_once)

    def _pictures(self, batch: PairBatch, rows: slice) -> Tensor:
        x, t_start = batch.style_x_T[rows], self.transfer.t_start
        times = self.transfer.recorded_timesteps if batch.content else ()
        features = batch.features(range(len(batch))[rows], x)
        image = None if batch.image is None else batch.image[rows]
        content = Trajectory(batch.content_x_T[rows], features, times, t_start, image)
        style = Trajectory(x, {}, (), t_start)
        records = batch.records[rows]
        noise = SampleNoise([own["seed"] for own in records], [tuple(own["pixels"]) for own in records])
        mask = None if batch.mask is None else batch.mask[rows]
        return self.transfer.inject(content, style, mask, noise, batch.gamma[rows]).clamp(-1, 1)

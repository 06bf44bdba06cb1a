"""The two stages as Lightning runs them: pictures to trajectories, trajectories to pictures.  No mathematics here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lightning
import torch
from torch import Tensor

from hsx.errors import HsxError
from hsx.method.inversion import Trajectory
from hsx.method.noise import SampleNoise
from hsx.method.transfer import Transfer
from hsx.runner.batches import Batch, Injected, Inverted, PairBatch, PictureBatch
from hsx.runner.fitting import fitting
from hsx.runner.items import Taken
from hsx.store.fingerprints import Fingerprints
from hsx.store.trajectories import Store

Tensors = dict[str, Tensor]
log = logging.getLogger("hsx")


class Stage(lightning.LightningModule):
    """One stage of a run: its batches in parts as large as memory allows.

    Args:
        transfer: what it runs.
        size: how many pictures a batch has, but for the last; where the network is compiled all are filled up to it.
        auto: whether a GPU takes as many of them at once as fit.
        channels_last: whether the channels are last in memory.
    """

    def __init__(self, transfer: Transfer, size: int = 1, auto: bool = False, channels_last: bool = False) -> None:
        super().__init__()
        self.transfer, self.backbone = transfer, transfer.backbone
        self.size, self.auto, self.channels_last = size, auto, channels_last
        self.limit: int | None = None  # pictures at once, where memory has run out with more

    @property
    def compiled(self) -> bool:
        """Whether the network is compiled, see ``Compiled``."""
        return bool(getattr(self.backbone, "compiled", False))

    @property
    def machine(self) -> dict[str, Any]:
        """What decides the last bits of a picture: its device, of a CPU the threads, and how the network runs."""
        how = {"channels_last": self.channels_last, "compiled": self.compiled}
        more = {name: True for name, holds in how.items() if holds}
        if self.device.type == "cpu":
            return {"device": "cpu", "threads": torch.get_num_threads(), **more}
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return {"device": name, "threads": None, **more}

    def on_predict_start(self) -> None:
        """The network's order in memory, and what depends on the device: how much fits."""
        self.backbone.to(memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)
        if self.auto and self.device.type == "cuda":
            with self.trainer.precision_plugin.forward_context():
                self.limit = fitting(self.transfer, self.device)
            log.info("data.batch_size auto: %d pictures at once", self.limit)

    def in_parts(self, work: Callable[[list[int]], Tensors], rows: int) -> tuple[Tensors, list[int]]:
        """``work`` on all rows, in parts that are halved, with a line in the log, whenever memory runs out.

        Where the network is compiled all parts have one number of rows, the last of which may be repeated.

        Returns:
            The parts' results together, and for each row how many were computed at once.

        Raises:
            HsxError: where there is no room for one row.
        """
        results: list[Tensors] = []
        at_once: list[int] = []
        while (done := len(at_once)) < rows:
            size = min(self.limit or rows, rows - done)
            part = list(range(done, done + size))
            if self.compiled:
                part += part[-1:] * (min(self.limit or self.size, self.size) - size)
            try:
                results.append({name: found[:size] for name, found in work(part).items()})
                at_once += [len(part)] * size
                continue
            except torch.OutOfMemoryError:  # dealt with below, where its frames hold no memory any more
                pass
            if len(part) == 1:
                raise HsxError(
                    "memory: expected room for one picture at a time, got out of memory; use another "
                    "device, a smaller model or --trainer.precision 16-true"
                )
            self.limit = len(part) // 2
            log.warning("out of memory with %d pictures at once; going on with %d", len(part), self.limit)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return {name: torch.cat([part[name] for part in results]) for name in results[0]}, at_once


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
        is_content = index < self.contents
        key = self.fingerprints.trajectory(pixels, is_content)
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
        how: see ``Stage``.
    """

    def __init__(
        self,
        transfer: Transfer,
        needed: Callable[[PictureBatch], dict[int, list[str]]] | None = None,
        **how: Any,
    ) -> None:
        super().__init__(transfer, **how)
        sites = list(Taken.by(transfer).sites)
        self.needed = needed or (lambda batch: dict.fromkeys(range(len(batch)), sites))

    def predict_step(self, batch: Batch) -> Inverted:
        """A batch of pictures to the trajectories of those that are needed; contents may end earlier than styles."""
        if not isinstance(batch, PictureBatch) or not (rows := self.needed(batch)):
            return Inverted({}, None, [])
        if self.transfer.content_timesteps == self.transfer.inversion_timesteps:
            return self._inverted(batch, rows, self.transfer.invert)
        contents = {row: sites for row, sites in rows.items() if sites}
        styles = {row: sites for row, sites in rows.items() if not sites}
        both = (contents, self.transfer.invert_contents), (styles, self.transfer.invert)
        found, *others = [self._inverted(batch, own, invert) for own, invert in both if own]
        return found._replace(others=tuple(others))

    def _inverted(self, batch: PictureBatch, rows: dict[int, list[str]], invert: Callable[..., Trajectory]) -> Inverted:
        images, sites = batch.images[list(rows)], list(dict.fromkeys(site for own in rows.values() for site in own))
        last: list[Trajectory] = []

        def tensors(part: list[int]) -> Tensors:
            last[:] = [invert(images[part], sites)]
            return {"x_T": last[0].x_T, **last[0].features}

        made, at_once = self.in_parts(tensors, len(rows))
        return Inverted(rows, replace(last[0], x_T=made.pop("x_T"), features=made, images=None), at_once)


class Inject(Stage):
    """Pairs of trajectories to the contents in the styles."""

    def predict_step(self, batch: Batch) -> Injected:
        """A batch of pairs to its pictures."""
        if not isinstance(batch, PairBatch):
            return Injected(torch.empty(0), [])
        made, at_once = self.in_parts(lambda part: {"images": self._pictures(batch, part)}, len(batch))
        return Injected(made["images"].cpu(), at_once)  # all at once: each copy waits for the device

    def _pictures(self, batch: PairBatch, rows: list[int]) -> Tensor:
        x, t_start = batch.style_x_T[rows], self.transfer.t_start
        times = self.transfer.recorded_timesteps if batch.content else ()
        features = batch.features(rows, x)
        image = None if batch.image is None else batch.image[rows]
        content = Trajectory(batch.content_x_T[rows], features, times, t_start, image)
        style = Trajectory(x, {}, (), t_start)
        records = [batch.records[row] for row in rows]
        noise = SampleNoise([own["seed"] for own in records], [tuple(own["pixels"]) for own in records])
        mask = None if batch.mask is None else batch.mask[rows]
        return self.transfer.inject(content, style, mask, noise, batch.gamma[rows]).clamp(-1, 1)

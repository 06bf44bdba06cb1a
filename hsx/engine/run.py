"""The run: invert what is not inverted, make the pictures that are missing, say what came of it."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch

import hsx
from hsx.engine.datamodule import Pairs, Pictures, Trajectories
from hsx.engine.digests import digest
from hsx.engine.journal import Journal
from hsx.engine.modules import TransferModule
from hsx.engine.output import CONFIG, check_apart, check_ours, check_writable, pngs
from hsx.engine.pairing import Row
from hsx.engine.progress import PassProgress
from hsx.engine.record import record_of
from hsx.engine.report import Counts, summarise, write_results
from hsx.engine.sheets import write_sheets
from hsx.engine.trajectories import Store
from hsx.engine.writer import ResultWriter
from hsx.errors import HsxError
from hsx.images import atomic, file_digest, read_image

TRIES = 3  # as often trajectories may vanish, by another run's eviction or a bad disk, before their pairs have failed
VANISHED = "its trajectory vanished from the store again and again; raise store.max_gb or check the disk"

log = logging.getLogger("hsx")


def run(
    module: TransferModule, data: Pairs, trainer: lightning.Trainer, store: Store, folder: Path,
    overwrite: bool = False, config: str | None = None,
) -> int:
    """Transfer every pair of ``data`` into ``folder``; what is already there is not made again.

    Two passes of ``trainer.predict``: every distinct picture is read and, where it is needed, inverted once; then the
    pairs are made from the stored trajectories.

    Args:
        config: the resolved config, kept beside the results.

    Returns:
        The exit code: 0, or 3 if some pairs failed.

    Raises:
        HsxError: if ``folder`` cannot be written, or holds pictures of other settings and ``overwrite`` is not given.
    """
    try:
        return _Run(module, data, trainer, store, folder, overwrite).whole(config)
    except OSError as error:  # a full disk, a lost mount
        raise HsxError(f"output_dir: expected to read and write in {folder}, could not ({error.strerror or error}); "
                       "free some space or mend the mount, then start again to go on") from None
    except RuntimeError as error:
        if not re.search(r"DataLoader worker|closed by peer|reset by peer", str(error)):
            raise
        raise HsxError("a process of this run was ended from outside, perhaps for want of memory; what is finished is "
                       "kept, start again to go on") from None


class _Run:
    """One run of one process: all processes hold the same lists and do every so-manieth item of them."""

    def __init__(
        self, module: TransferModule, data: Pairs, trainer: lightning.Trainer, store: Store, folder: Path,
        overwrite: bool,
    ) -> None:
        self.begun = time.monotonic()
        self.module, self.data, self.trainer, self.store, self.folder = module, data, trainer, store, folder
        self.pairs, self.overwrite = data.pairs, overwrite
        self.precision = str(trainer.precision)
        self.settings = digest(module.settings_digest, store.dtype, self.precision)
        self.content, self.style = self.pairs.indices()
        self.digests: dict[int, str] = {}  # of all pictures, by number: contents first, then styles
        self.picture_failures: dict[int, str] = {}
        self.failures: dict[int, str] = {}
        self.made: dict[int, str] = {}  # of the pairs that were there: from what
        self.inverted = self.corrupt = 0

    def whole(self, config: str | None) -> int:
        """Both passes, and the end."""
        check_writable(self.folder, "output_dir")
        check_writable(self.store.path, "store.path")
        if not self.overwrite:
            check_ours(self.folder)
        found = list(pngs(self.folder))
        check_apart(found, chain(self.pairs.contents, self.pairs.styles))
        done = self._there({str(path.relative_to(self.folder)) for path in found})
        self.journal = Journal(self.folder, self.trainer.global_rank)
        if self.trainer.is_global_zero:
            self._tidy()
        self.progress = PassProgress(self.journal)
        self.writer = ResultWriter(self.store, self._key, len(self.pairs.contents), self.folder, self.journal)
        self.trainer.callbacks += [self.writer, self.progress]  # type: ignore[attr-defined]
        for attempt in range(TRIES):
            self._invert(done)
            if attempt == 0:
                self._same_pictures(done)
                there = int(done.sum())
            if config and self.trainer.is_global_zero:
                with atomic(self.folder / "config.yaml") as part:
                    part.write_text(CONFIG + config, encoding="utf-8")
            vanished = self._transfer(done)
            if not vanished:
                break
            log.warning("%d trajectories vanished from the store; inverting their pictures again", len(vanished))
        self.failures.update(dict.fromkeys(vanished, VANISHED))
        evaluations = sum(self._gather(self.module.evaluations))
        if not self.trainer.is_global_zero:
            return 0
        failed = write_results(self.pairs, self.folder, self.failures, self.picture_failures, self.journal,
                               self.module.transfer.seed, self.settings)
        sheets = write_sheets(self.pairs, self.folder, self.module.backbone.sample_size, self.data.fit)
        self.store.evict()
        self.journal.close()
        made = len(self.pairs) - there - failed.total()
        counts = Counts(made, there, self.inverted, self.corrupt, evaluations, time.monotonic() - self.begun)
        try:
            summarise(counts, failed, self.folder, sheets)
        except OSError:  # nobody reads it any more; the results are there
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 3 if failed else 0

    def _there(self, files: set[str]) -> np.ndarray:
        """Which pairs have a picture made with these settings among ``files``, (len(pairs),) of bool."""
        done, others = np.zeros(len(self.pairs), bool), []
        for i in range(len(self.pairs)) if files else ():
            name = f"{self.pairs.name(i)}.png"
            if name in files and self.content[i] >= 0:
                record = record_of(self.folder / name)
                done[i] = record.get("settings_digest") == self.settings
                if done[i]:
                    self.made[i] = record.get("made", "")
                else:
                    with suppress(HsxError):  # one that was emptied or cut is made again
                        read_image(self.folder / name, 1)
                        others.append(name)
        self._refuse(others)
        return done

    def _refuse(self, others: list[str]) -> None:
        """Pictures of other settings are never mixed with these, and only replaced when asked."""
        if others and not self.overwrite:
            raise HsxError(f"output_dir: expected an empty folder or one with results of the same settings and "
                           f"pictures, got {len(others)} of others in {self.folder}, such as {others[0]}; name another "
                           "with --output_dir, or replace them with --overwrite true")

    def _invert(self, done: np.ndarray) -> None:
        """The first pass: each distinct picture is read, and inverted where a pair needs it and the store lacks it."""
        contents = len(self.pairs.contents)
        needed = np.zeros(contents + len(self.pairs.styles), bool)
        missing = (~done | self.overwrite) & (self.content >= 0)
        needed[self.content[missing]] = True
        needed[contents + self.style[missing]] = True
        begun: set[tuple[str, bool]] = set()  # in this process, perhaps not yet in the store

        def wanted(batch: dict[str, Any], place: int) -> bool:
            """Whether a picture of a batch is to be inverted: once, whatever its names."""
            index = batch["index"][place]
            item = self._key(batch["digest"][place]), index < contents
            if not needed[index] or item in begun or (item[0], True) in begun or self.store.has(*item):
                return False
            begun.add(item)
            return True

        self.module.wanted = wanted
        self.writer.failures, self.writer.inverted = {}, 0
        pictures = Pictures(self.pairs, self.module.backbone.sample_size, self.data.fit, self.trainer.world_size)
        self.progress.announce("inverting pictures", len(pictures.todo))
        self.trainer.predict(self.module, self.data.loader(pictures), return_predictions=False)
        mine = self.writer.digests, self.writer.failures, self.writer.inverted, len(self.store.corrupt)
        corrupt = 0
        for digests, failures, inverted, bad in self._gather(mine):
            self.digests |= digests
            self.picture_failures |= failures
            self.inverted += inverted
            corrupt += bad
        self.corrupt = corrupt

    def _same_pictures(self, done: np.ndarray) -> None:
        """Among the pairs that are there, those whose content, style or mask is another picture now are not done."""
        others = []
        for i, made in self.made.items():
            row = self.pairs[i]
            try:
                done[i] = made == self._record(row)["made"]
            except (KeyError, HsxError):  # a picture or a mask that cannot be read now: the pair fails, for that reason
                done[i] = False
                continue
            if not done[i]:
                others.append(f"{row.name}.png")
        self._refuse(others)

    def _transfer(self, done: np.ndarray) -> list[int]:
        """The second pass: the pairs that are missing; those whose trajectory had vanished."""
        bad = np.zeros(len(self.pairs.contents) + len(self.pairs.styles), bool)
        bad[list(self.picture_failures)] = True
        valid = self.content >= 0
        good = valid & ~done
        good[valid] &= ~(bad[self.content[valid]] | bad[len(self.pairs.contents) + self.style[valid]])
        todo = np.flatnonzero(good)
        self.writer.failures, self.writer.vanished = {}, []
        if len(todo):
            size = self.module.backbone.sample_size
            items = Trajectories(
                self.pairs, todo, self.store, lambda number: self._key(self.digests[number]), self._record, size,
                self.data.fit, self.module.transfer.seed, self.trainer.world_size)
            self.progress.announce("making pairs", len(todo))
            self.trainer.predict(self.module, self.data.loader(items), return_predictions=False)
        vanished: list[int] = []
        for failures, gone in self._gather((self.writer.failures, self.writer.vanished)):
            self.failures |= failures
            vanished += gone
        done[todo] = True
        done[list(self.failures)] = True  # not to be tried again in this run
        done[vanished] = False
        return vanished

    def _key(self, picture: str) -> str:
        return self.store.key(picture, {**self.module.inversion_settings, "precision": self.precision})

    def _record(self, row: Row) -> dict[str, Any]:
        """All that is needed to make a picture again, kept inside it."""
        pixels = [self.digests[row.content], self.digests[len(self.pairs.contents) + row.style]]
        own = {"mask": None if row.mask is None else file_digest(row.mask), "gamma": row.gamma, "seed": row.seed}
        return {
            "hsx": hsx.__version__, "name": row.name, "content": str(self.pairs.contents[row.content]),
            "style": str(self.pairs.styles[row.style]), "mask": None if row.mask is None else str(row.mask),
            "gamma": row.gamma, "seed": self.module.transfer.seed if row.seed is None else row.seed,
            "backbone": self.module.source, "fit": self.data.fit, "h": self.store.dtype, "precision": self.precision,
            "settings": self.module.settings, "settings_digest": self.settings, "pixels": pixels,
            "made": digest(self.settings, pixels, own),
        }

    def _gather(self, mine: Any) -> list[Any]:
        """What every process has, in the order of their ranks."""
        if self.trainer.world_size == 1:
            return [mine]
        everyone: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(everyone, mine)
        return everyone

    def _tidy(self) -> None:
        """Take away the temporary files of writers that were killed."""
        for part in self.folder.rglob(".*.part"):
            part.unlink(missing_ok=True)
        self.store.sweep()

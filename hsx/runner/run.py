"""The run: invert what is not inverted, make the pictures that are missing, say what came of it."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch

from hsx.errors import HsxError
from hsx.io.digests import digest
from hsx.io.files import atomic
from hsx.report.results import Counts, summarise, write_results
from hsx.report.sheets import write_sheets
from hsx.runner.data import Pairs, Pictures, Trajectories
from hsx.runner.lock import held
from hsx.runner.module import TransferModule
from hsx.runner.output import CONFIG, LIST, Earlier, check_ours, check_writable, look, sweep
from hsx.runner.progress import PassProgress
from hsx.runner.writer import ResultWriter
from hsx.store.journal import Journal
from hsx.store.records import Recorder
from hsx.store.trajectories import Store

TRIES = 3  # as often trajectories may vanish, by another run's eviction or a bad disk, before their pairs have failed
VANISHED = "its trajectory vanished from the store again and again; raise store.max_gb or check the disk"

log = logging.getLogger("hsx")


def run(
    module: TransferModule,
    data: Pairs,
    trainer: lightning.Trainer,
    store: Store,
    folder: Path,
    overwrite: bool = False,
    config: str | None = None,
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
    check_writable(folder, "output_dir")
    try:
        with held(folder) if trainer.is_global_zero else nullcontext():
            return _Run(module, data, trainer, store, folder, overwrite).whole(config)
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise HsxError(
            f"output_dir: expected to write in {folder}, could not, for {error.filename2 or error.filename} "
            f"is in the way ({error.strerror}); move it away, then start again to go on"
        ) from None
    except OSError as error:  # a full disk, a lost mount
        raise HsxError(
            f"output_dir: expected to read and write in {folder}, could not ({error.strerror or error}); "
            "free some space or mend the mount, then start again to go on"
        ) from None
    except RuntimeError as error:
        if not re.search(r"DataLoader worker|closed by peer|reset by peer", str(error)):
            raise
        raise HsxError(
            "a process of this run was ended from outside, perhaps for want of memory; what is finished is "
            "kept, start again to go on"
        ) from None


class _Run:
    """One run of one process: all processes hold the same lists and do every so-manieth item of them."""

    def __init__(
        self,
        module: TransferModule,
        data: Pairs,
        trainer: lightning.Trainer,
        store: Store,
        folder: Path,
        overwrite: bool,
    ) -> None:
        self.begun = time.monotonic()
        self.module, self.data, self.trainer, self.store, self.folder = module, data, trainer, store, folder
        self.pairs, self.overwrite, self.size = data.pairs, overwrite, module.backbone.sample_size
        precision = str(trainer.precision)
        settings = digest(module.settings_digest, store.dtype, precision)
        config = {
            "seed_everything": module.transfer.seed,
            "model": module.config,
            "data": {"fit": data.fit},
            "store": {"dtype": store.dtype},
            "trainer": {"precision": precision},
        }
        self.recorder = Recorder(
            self.pairs, {}, config, module.settings["network"], settings, data.fit, module.transfer.seed
        )
        self.key = partial(store.key, inversion={**module.inversion_settings, "precision": precision})
        self.content, self.style = self.pairs.indices()
        self.styles = len(self.pairs.contents) + self.style  # by number among all pictures: contents, then styles
        self.picture_failures: dict[int, str] = {}
        self.failures: dict[int, str] = {}
        self.inverted = self.corrupt = 0

    def whole(self, config: str | None) -> int:
        """Both passes, and the end."""
        check_writable(self.store.path, "store.path")
        if not self.overwrite:
            check_ours(self.folder)
        earlier = look(self.folder, self.pairs, self.recorder.settings)
        if not self.overwrite:
            earlier.refuse()
        self.journal = Journal(self.folder, self.trainer.global_rank)
        if self.trainer.is_global_zero:
            sweep(self.folder)
            self.store.sweep()
        self.progress = PassProgress(self.journal)
        self.writer = ResultWriter(self.store, self.key, self.recorder, self.folder, self.journal)
        self.trainer.callbacks += [self.writer, self.progress]  # type: ignore[attr-defined]
        done = self._same_pictures(earlier)
        there = int(done.sum())
        for attempt in range(TRIES):
            self._invert(done)
            if attempt == 0:
                self._begin(earlier, config)
            vanished = self._transfer(done)
            if not vanished:
                break
            log.warning("%d trajectories vanished from the store; inverting their pictures again", len(vanished))
        self.failures.update(dict.fromkeys(vanished, VANISHED))
        evaluations = sum(self._gather(self.module.evaluations))
        if not self.trainer.is_global_zero:
            return 0
        failed = write_results(
            self.pairs,
            self.folder,
            self.failures,
            self.picture_failures,
            self.journal,
            self.recorder.seed,
            self.recorder.settings,
        )
        sheets = write_sheets(self.pairs, self.folder, self.size, self.data.fit)
        self.store.evict()
        self.journal.close()
        made = len(self.pairs) - there - failed.total()
        counts = Counts(made, there, self.inverted, self.corrupt, evaluations, time.monotonic() - self.begun)
        try:
            summarise(counts, failed, self.folder, sheets)
        except OSError:  # nobody reads it any more; the results are there
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 3 if failed else 0

    def _same_pictures(self, earlier: Earlier) -> np.ndarray:
        """Which pairs are done: those whose picture there is of the very content, style and mask of today.

        The pictures of these pairs are read for that, before any network runs.
        """
        done = earlier.done
        if done.any():
            self._read("checking pictures", np.union1d(self.content[done], self.styles[done]), np.zeros(0, int))
        for i, made in earlier.made.items():
            row = self.pairs[i]
            readable = True
            try:
                done[i] = made == self.recorder.made(row)
            except (KeyError, HsxError):  # a picture or a mask that cannot be read now: the pair fails, for that reason
                done[i] = readable = False
            if not done[i] and (readable or self.overwrite):
                earlier.others[self.folder / f"{row.name}.png"] = LIST
        if not self.overwrite:
            if earlier.others and not self.trainer.is_global_zero:
                raise SystemExit(2)  # the first process says why
            earlier.refuse()
        return done

    def _begin(self, earlier: Earlier, config: str | None) -> None:
        """Make the folder this run's, now that all is checked: all processes have joined, and none has written yet."""
        done, pairs = earlier.done.sum(), len(self.pairs)
        if self.trainer.is_global_zero:
            if earlier.others or not done:
                earlier.clear()
            if config:
                with atomic(self.folder / "config.yaml") as part:
                    part.write_text(CONFIG + config, encoding="utf-8")
            if 0 < done < pairs:
                print(f"{done} of {pairs} pairs are there; {pairs - done} more", file=sys.stderr)
        self._gather(None)

    def _invert(self, done: np.ndarray) -> None:
        """The first pass: what is not read yet is read, and inverted where a pair needs it and the store lacks it."""
        missing = ~done & (self.content >= 0)
        needed = np.union1d(self.content[missing], self.styles[missing])
        known = [*self.recorder.digests, *self.picture_failures]
        unknown = np.setdiff1d(np.arange(len(self.pairs.contents) + len(self.pairs.styles)), known)
        self._read("inverting pictures", np.union1d(needed, unknown), needed)

    def _read(self, title: str, numbers: np.ndarray, needed: np.ndarray) -> None:
        """Read some pictures, and invert those that are ``needed`` and not in the store."""
        if not len(numbers):
            return
        contents, wanted_numbers = len(self.pairs.contents), set(needed.tolist())
        begun: set[tuple[str, bool]] = set()  # in this process, perhaps not yet in the store

        def wanted(batch: dict[str, Any], place: int) -> bool:
            """Whether a picture of a batch is to be inverted: once, whatever its names."""
            index = batch["index"][place]
            item = self.key(batch["digest"][place]), index < contents
            if index not in wanted_numbers or item in begun or (item[0], True) in begun or self.store.has(*item):
                return False
            begun.add(item)
            return True

        self.module.wanted = wanted
        self.writer.digests, self.writer.failures, self.writer.inverted = {}, {}, 0
        self.writer.notes = bool(wanted_numbers)
        self.store.corrupt.clear()
        pictures = Pictures(self.pairs, numbers, self.size, self.data.fit, self.trainer.world_size)
        self.progress.announce(title, len(numbers))
        self.trainer.predict(self.module, self.data.loader(pictures), return_predictions=False)
        mine = self.writer.digests, self.writer.failures, self.writer.inverted, len(self.store.corrupt)
        for digests, failures, inverted, bad in self._gather(mine):
            self.recorder.digests.update(digests)
            self.picture_failures |= failures
            self.inverted += inverted
            self.corrupt += bad

    def _transfer(self, done: np.ndarray) -> list[int]:
        """The second pass: the pairs that are missing; those whose trajectory had vanished."""
        bad = np.array(list(self.picture_failures), int)
        good = ~done & (self.content >= 0) & ~np.isin(self.content, bad) & ~np.isin(self.styles, bad)
        todo = np.flatnonzero(good)
        self.writer.failures, self.writer.vanished = {}, []
        if len(todo):
            items = Trajectories(todo, self.store, self.key, self.recorder, self.size, self.trainer.world_size)
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

    def _gather(self, mine: Any) -> list[Any]:
        """What every process has, in the order of their ranks."""
        if self.trainer.world_size == 1:
            return [mine]
        everyone: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(everyone, mine)
        return everyone

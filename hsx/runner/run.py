"""A run from top to bottom: plan, invert, inject, report."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import lightning
import numpy as np
import torch

from hsx.errors import HsxError
from hsx.io.files import atomic
from hsx.report.page import write_page
from hsx.report.rendering import check_page
from hsx.report.results import Counts, summarise, write_results
from hsx.report.sheets import write_sheets
from hsx.runner.data import Pairs
from hsx.runner.fitting import at_most
from hsx.runner.items import Items, Pictures, Trajectories
from hsx.runner.loader import loader
from hsx.runner.lock import held
from hsx.runner.model import TransferModel
from hsx.runner.output import CONFIG, check_writable, clear, refuse, sweep
from hsx.runner.plan import Plan, make_plan
from hsx.runner.progress import StageProgress
from hsx.runner.stages import Inject, Invert, Needed, Stage
from hsx.runner.storage import say_storage
from hsx.runner.writers import Outcome, PictureWriter, TrajectoryWriter, Writer
from hsx.store.journal import Journal
from hsx.store.trajectories import Store

TRIES = 3  # how often trajectories may vanish (another run's eviction, a bad disk) before their pairs have failed

T = TypeVar("T")
Tell = Callable[[Counts, Counter[str]], None]  # the totals, and how many pairs failed by reason
log = logging.getLogger("hsx")


def run(
    model: TransferModel,
    data: Pairs,
    trainer: lightning.Trainer,
    store: Store,
    folder: Path,
    overwrite: bool = False,
    config: str | None = None,
    tell: Tell | None = None,
    report: bool = True,
    sheets: bool = True,
) -> int:
    """Transfer every pair of ``data`` into ``folder``; what is already there is not made again.

    Two stages of ``trainer.predict``: every distinct picture is read and, where it is needed, inverted once; then the
    pairs are made from the stored trajectories.  All processes hold the same plan, and each works on its share.

    Args:
        config: the resolved config, kept beside the results.
        tell: what is told how the run went, in place of the lines that say it to the user.
        report: whether report.html is written, the page that shows the results.
        sheets: whether contact sheets are.

    Returns:
        The exit code: 0, or 3 if some pairs failed.

    Raises:
        HsxError: if ``folder`` cannot be written, or holds pictures of other settings and ``overwrite`` is not given.
    """
    start = time.monotonic()
    check_writable(folder, "output_dir")
    with explained(folder), held(folder) if trainer.is_global_zero else nullcontext():
        if report and not overwrite:
            remedy = "name another with --output_dir, replace it with --overwrite true, or leave the page out"
            check_page(folder, remedy=f"{remedy} with --report false")
        plan = make_plan(model, data.pairs, store, folder, str(trainer.precision), data.fit, overwrite)
        work = Work(model, data, trainer, store, Journal(folder, trainer.global_rank))
        total = Outcome()
        if trainer.is_global_zero:
            sweep(folder)
            store.sweep()

        # 1. Results in the folder were made from the very pictures of today, or are refused.
        if plan.done.any():
            plan = plan.with_pictures(work.check(plan)).checked()
            if not overwrite:
                if plan.found.others and not trainer.is_global_zero:
                    raise SystemExit(2)  # the first process says why
                refuse(plan.found)
        existing = int(plan.done.sum())

        for attempt in range(TRIES):
            # 2. Every distinct picture is read; those that a missing pair needs are inverted.
            if attempt == 0 and trainer.is_global_zero:
                say_storage(plan, model.transfer, store)
                if tell is None:
                    work.say_how()
            read = work.invert(plan)
            plan, total = plan.with_pictures(read), total + read
            if attempt == 0:
                _begin(plan, config, trainer.is_global_zero)
                gather(trainer, None)  # nobody writes a picture before the folder is this run's

            # 3. The missing pairs are made from the trajectories.
            numbers = plan.pairs_to_make()
            injected = work.inject(plan, numbers)
            plan, total = plan.with_pairs(numbers, injected), total + injected
            if not injected.vanished:
                break
            log.warning(
                "%d trajectories vanished from the store; inverting their pictures again", len(injected.vanished)
            )

        if not trainer.is_global_zero:
            return 0
        return _report(plan.given_up(), work, total, existing, start, tell, report, sheets)


@dataclass(frozen=True)
class Work:
    """How this process and the others work through a plan."""

    model: TransferModel
    data: Pairs
    trainer: lightning.Trainer
    store: Store
    journal: Journal

    @property
    def how(self) -> dict[str, Any]:
        """How many pictures a stage takes at once, and in which order in memory."""
        given = self.data.batch_size
        size, auto = at_most(given, self.trainer.strategy.root_device.type), given == "auto"
        return {"size": size, "auto": auto, "channels_last": self.model.channels_last}

    def say_how(self) -> None:
        """A line for each choice that is not the user's."""
        transfer, whole = self.model.transfer, self.model.transfer.config.grids.whole
        if left_out := len(whole) - len(transfer.timesteps):
            what = f"{transfer.t_start}, where anything is injected or noised first"
            print(f"model.t_start auto: {what}; {left_out} of {len(whole)} timesteps left out", file=sys.stderr)
        if self.how["auto"]:
            print(f"data.batch_size auto: up to {self.how['size']} pictures at once", file=sys.stderr)
        if getattr(self.model.backbone, "compiled", False):
            print("E and D are compiled: the first evaluation takes a minute or more", file=sys.stderr)

    def check(self, plan: Plan) -> Outcome:
        """Read the pictures from which results that are there were made."""
        return self._read("checking pictures", plan, plan.pictures_to_check(), set(), None)

    def invert(self, plan: Plan) -> Outcome:
        """Read all pictures, and invert those that missing pairs need and the store lacks."""
        needed = set(plan.pictures_to_invert().tolist())
        journal = self.journal if needed else None
        return self._read("inverting pictures", plan, plan.pictures_to_read(), needed, journal)

    def _read(self, title: str, plan: Plan, numbers: np.ndarray, needed: set[int], journal: Journal | None) -> Outcome:
        contents, fingerprints = len(plan.pairs.contents), plan.recorder.fingerprints
        items = Pictures(numbers, self.trainer.world_size, plan.pairs, plan.size, self.data.fit)
        sites = tuple(dict.fromkeys((*plan.taken.sites, *self.model.also)))
        needs = Needed(needed, contents, sites, self.store, fingerprints)
        stage = Invert(self.model.transfer, needs, **self.how)
        return self._run(title, items, stage, TrajectoryWriter(journal, self.store, fingerprints))

    def inject(self, plan: Plan, numbers: np.ndarray) -> Outcome:
        """Make pairs from their trajectories."""
        items = Trajectories(numbers, self.trainer.world_size, self.store, plan.recorder, plan.size, plan.taken)
        writer = PictureWriter(self.journal, plan.recorder, plan.found.folder)
        return self._run("making pairs", items, Inject(self.model.transfer, **self.how), writer)

    def _run(self, title: str, items: Items, stage: Stage, writer: Writer) -> Outcome:
        """One stage: what all processes did."""
        if not len(items.numbers):
            return Outcome()
        self.store.corrupt.clear()
        callbacks = [writer, StageProgress(title, len(items.numbers), self.journal)]
        self.trainer.callbacks += callbacks  # type: ignore[attr-defined]
        batches = loader(items, stage.size, self.data.num_workers)
        before = self.model.backbone.evaluations
        self.trainer.predict(stage, batches, return_predictions=False)
        for callback in callbacks:
            self.trainer.callbacks.remove(callback)  # type: ignore[attr-defined]
        writer.outcome.corrupt = len(self.store.corrupt)
        writer.outcome.evaluations = self.model.backbone.evaluations - before
        return sum(gather(self.trainer, writer.outcome), Outcome())


def gather(trainer: lightning.Trainer, mine: T) -> list[T]:
    """What every process has, in the order of their ranks."""
    if trainer.world_size == 1 or not torch.distributed.is_initialized():  # no stage has run: no row is good
        return [mine]
    everyone: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(everyone, mine)
    return everyone


def _begin(plan: Plan, config: str | None, first: bool) -> None:
    """Make the folder this run's, now that all is checked: all processes have joined, and none has written yet."""
    done, pairs, folder = plan.done.sum(), len(plan.pairs), plan.found.folder
    if first:
        if plan.found.others or not done:
            clear(plan.found)
        if config:
            with atomic(folder / "config.yaml") as part:
                part.write_text(CONFIG + config, encoding="utf-8")
        if 0 < done < pairs:
            print(f"{done} of {pairs} pairs are there; {pairs - done} more", file=sys.stderr)


def _report(
    plan: Plan,
    work: Work,
    total: Outcome,
    existing: int,
    start: float,
    tell: Tell | None,
    report: bool,
    sheets: bool,
) -> int:
    """Write the lists, the sheets and the page, and say what came of it; the exit code."""
    folder = plan.found.folder
    failed = write_results(plan.recorder, folder, plan.failures, plan.lost, work.journal)
    written = write_sheets(plan.pairs, folder, plan.size, work.data.fit) if sheets else []
    page = write_page(folder) if report else None
    work.store.evict()
    work.journal.close()
    created = len(plan.pairs) - existing - failed.total()
    counts = Counts(created, existing, total.inverted, total.corrupt, total.evaluations, time.monotonic() - start)
    try:
        (tell or partial(summarise, folder=folder, sheets=written, page=page))(counts, failed)
    except OSError:  # nobody reads it any more; the results are there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 3 if failed else 0


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """What the disk or another process does to a run is one line."""
    try:
        yield
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

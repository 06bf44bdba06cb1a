"""The progress of a stage over all processes' work: a bar on a terminal, elsewhere a line a minute."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hsx.runner.batches import Batch
from hsx.store.journal import Journal

QUIET = 60.0  # seconds between lines where the output is no terminal
LOOK = 1.0  # seconds between looks at what the other processes did


class StageProgress(Callback):
    """Shown by the first process; the others tell it by their journals how far they are.

    Args:
        title: what the stage does.
        total: how many items all processes have in it together.
        journal: of this process.
    """

    def __init__(self, title: str, total: int, journal: Journal) -> None:
        self.title, self.total, self.journal = title, total, journal
        self.done = 0
        self.bar: Progress | None = None

    def on_predict_start(self, trainer: Any, pl_module: Any) -> None:
        """Show the bar."""
        self.begun = self.looked = self.said = time.monotonic()
        self.console = Console(stderr=True)
        if trainer.is_global_zero and self.console.is_terminal:
            self.bar = Progress(
                TextColumn("{task.description:20s}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self.task = self.bar.add_task(self.title, total=self.total, rate="")
            self.bar.start()

    def on_predict_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, *_: int) -> None:
        """Show how far this process and the others are."""
        self.done += batch.items
        now = time.monotonic()
        if not trainer.is_global_zero or (now - self.looked < LOOK and self.done < self.total):
            return
        self.looked = now
        self.done += sum(line["rows"] for line in self.journal.news())
        rate = self.done / max(now - self.begun, 1e-6)
        if self.bar:
            self.bar.update(self.task, completed=self.done, rate=f"{rate:.2g} a second")
        elif now - self.said >= QUIET:
            self.said = now
            left = timedelta(seconds=round((self.total - self.done) / rate)) if rate else "?"
            self.console.print(f"{self.title}: {self.done} of {self.total}, {rate:.2g} a second, {left} left")

    def on_predict_end(self, trainer: Any, pl_module: Any) -> None:
        """Leave the finished bar on the screen."""
        if self.bar:
            self.bar.update(self.task, completed=self.total)
            self.bar.stop()
            self.bar = None

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Give the terminal back as it stands."""
        if self.bar:
            self.bar.stop()
            self.bar = None

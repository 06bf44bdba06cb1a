"""A progress bar for each pass, with the time left."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import Callback
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class PassProgress(Callback):
    """One rich bar a pass on the first process; nothing where the output is no terminal."""

    def __init__(self) -> None:
        self.title = ""
        self.bar: Progress | None = None

    def on_predict_start(self, trainer: Any, pl_module: Any) -> None:
        """Show the bar of this pass."""
        if trainer.is_global_zero:
            self.bar = Progress(TextColumn("{task.description:20s}"), BarColumn(), MofNCompleteColumn(),
                                TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
            self.bar.disable = not self.bar.console.is_terminal
            share = -(-len(trainer.predict_dataloaders.dataset) // trainer.world_size)
            self.task = self.bar.add_task(self.title, total=share)
            self.bar.start()

    def on_predict_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: dict[str, Any], *_: int) -> None:
        """As many further as the batch has rows."""
        if self.bar:
            self.bar.advance(self.task, len(batch["name"]) + len(batch["failed"]))

    def on_predict_end(self, trainer: Any, pl_module: Any) -> None:
        """Leave the finished bar on the screen."""
        if self.bar:
            self.bar.stop()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Give the terminal back."""
        self.on_predict_end(trainer, pl_module)

"""Measures of batches of rows, as Lightning runs them; a measure that breaks is left out, and why is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from hsx.errors import HsxError, first_line
from hsx.metrics.base import MeanMetric, Metric
from hsx.runner.batches import Batch
from hsx.runner.evaluation.items import RowBatch
from hsx.store.journal import Journal

Numbers = dict[str, dict[int, float]]  # by measure, by the row's place in a batch


class Measuring(lightning.LightningModule):
    """All measures over all rows.

    Args:
        measures: by name.

    Attributes:
        broken: why measures are left out, by name.
        whole: what measures of the whole set came to, known when all rows were taken in.
    """

    def __init__(self, measures: Mapping[str, Metric]) -> None:
        super().__init__()
        self.names, self.measures = [*measures], nn.ModuleList(measures.values())
        self.broken: dict[str, str] = {}
        self.whole: dict[str, float] = {}

    def predict_step(self, batch: Batch) -> Numbers:
        """A batch of rows to the numbers that were not known."""
        numbers: Numbers = {}
        for name, measure in zip(self.names, self.measures, strict=True):
            rows = batch.rows(name) if isinstance(batch, RowBatch) and name not in self.broken else []
            if not rows:
                continue
            assert isinstance(batch, RowBatch) and isinstance(measure, Metric)
            try:
                pictures = [batch.pictures[kind][rows] for kind in measure.takes]
                if isinstance(measure, MeanMetric):
                    numbers[name] = dict(zip(rows, _each(measure, pictures), strict=True))
                else:
                    measure.update(*pictures)
            except Exception as error:  # whatever a measure raises, the others go on
                self.broken[name] = _why(error)
        return numbers

    def on_predict_epoch_end(self) -> None:
        """What the measures of the whole set come to, over all processes."""
        said: list[Any] = [(self.broken, {n: m.update_count for n, m in self._of_the_whole()})]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            mine, said = said[0], [None] * self.trainer.world_size
            torch.distributed.all_gather_object(said, mine)
        for broken, _ in reversed(said):
            self.broken.update(broken)
        for name, measure in self._of_the_whole():
            batches = [counts[name] for _, counts in said]
            if name in self.broken or not any(batches):
                continue
            try:
                if not all(batches):
                    raise HsxError("expected rows for each process, got fewer; say --devices 1")
                self.whole[name] = float(measure.compute())
            except Exception as error:
                self.broken[name] = _why(error)

    def _of_the_whole(self) -> list[tuple[str, Metric]]:
        pairs = zip(self.names, self.measures, strict=True)
        return [(name, one) for name, one in pairs if isinstance(one, Metric) and not isinstance(one, MeanMetric)]


@dataclass
class Measured(Callback):
    """The numbers of this process's rows, each kept in a journal as soon as it is known.

    Attributes:
        values: by measure, by the row's number.
        failures: reasons by number, for rows that cannot be measured.
    """

    journal: Journal
    values: dict[str, dict[int, float]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)

    def on_predict_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, *_: int) -> None:
        """Take in what was measured of a batch, and what was known of it."""
        self.failures.update(batch.failures)
        kept: dict[str, float] = {}
        if isinstance(batch, RowBatch):
            for row, (index, known) in enumerate(zip(batch.index, batch.known, strict=True)):
                new = {name: rows[row] for name, rows in outputs.items() if row in rows}
                kept.update({batch.keys[row][name]: number for name, number in new.items()})
                for name, number in {**known, **new}.items():
                    self.values.setdefault(name, {})[index] = number
        if batch.items:
            self.journal.write(rows=batch.items, values=kept)


def _each(measure: MeanMetric, pictures: list[Tensor]) -> list[float]:
    """A number a row.  Raises HsxError for anything else."""
    rows, found = len(pictures[0]), measure.each(*pictures)
    if not isinstance(found, Tensor) or found.shape != (rows,) or found.is_complex():
        shape = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"an object of {type(found).__name__}"
        raise HsxError(f"expected a number a row, ({rows},), got {shape}; tell its author")
    return [float(number) for number in found.double().tolist()]


def _why(error: Exception) -> str:
    """Why a measure is left out, in one line."""
    if isinstance(error, torch.OutOfMemoryError):
        return "out of memory; take a smaller --batch_size"
    return first_line(error) if isinstance(error, HsxError) else f"{type(error).__name__}: {first_line(error)}"

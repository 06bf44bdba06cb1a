"""An evaluation from top to bottom: rows, numbers, means."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
import torchmetrics

import hsx
from hsx.errors import HsxError
from hsx.io.digests import digest
from hsx.io.fingerprint import fingerprint
from hsx.metrics import fitness
from hsx.metrics.base import MeanMetric, Metric
from hsx.metrics.intervals import bootstrap
from hsx.report.measured import KEPT, write_measured
from hsx.runner.evaluation.items import Rows, collate
from hsx.runner.evaluation.measuring import Measured, Measuring
from hsx.runner.evaluation.results import Result, Results
from hsx.runner.loader import loader
from hsx.runner.progress import StageProgress
from hsx.runner.run import gather
from hsx.store.journal import Journal

NOT_FINITE = "no row has a finite number"


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        rows: those that were measured.
        values: of each measure that has a number a row, (n,) of float64; nan where a row has none.
        whole: what measures of the whole set came to.
        measures: these measures, by name.
        failures: the rows that could not be measured, by name, and why.
        before: how many pairs had failed in the run.
        skipped: the measures that are left out, and why.
        not_finite: of how many rows a measure gave no finite number, which are nan in ``values``.
    """

    rows: Sequence[Result]
    values: Mapping[str, np.ndarray]
    whole: Mapping[str, float]
    measures: Mapping[str, Metric]
    failures: Mapping[str, str] = field(default_factory=dict)
    before: int = 0
    skipped: Mapping[str, str] = field(default_factory=dict)
    not_finite: Mapping[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """How many pairs have no numbers."""
        return self.before + len(self.failures)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What metrics.json holds: of each measure the mean, its interval, and how many numbers it is of."""
        fit, about = fitness.known(), dict[str, dict[str, Any]]()
        for name in (*self.values, *self.whole):
            measure = self.measures[name]
            about[name] = {"about": measure.about, "higher_is_better": measure.higher_is_better, "fit": fit.get(name)}
        means = {name: self._mean(name, values) for name, values in self.values.items()}
        whole = {"low": None, "high": None, "n": len(self.rows)}
        means |= {name: {"mean": value, **whole} for name, value in self.whole.items()}
        return {
            "hsx": hsx.__version__,
            "rows": len(self.rows),
            "failed": self.failed,
            "measures": {name: {**mean, **about[name]} for name, mean in means.items()},
            "skipped": dict(self.skipped),
        }

    def write(self, folder: Path) -> list[Path]:
        """Write metrics.json and metrics.parquet."""
        texts = {kind: [getattr(row, kind) for row in self.rows] for kind in ("name", "content", "style")}
        places = [os.path.relpath(row.picture, folder) for row in self.rows]
        if places != [f"{row.name}.png" for row in self.rows]:  # they are elsewhere
            texts["picture"] = places
        return write_measured(folder, self.summary, texts, self.values)

    def _mean(self, name: str, values: np.ndarray) -> dict[str, Any]:
        """Of the finite numbers; those of inversions count once for each style."""
        if self.measures[name].about == "inversion":
            styles = {row.style: i for i, row in enumerate(self.rows)}
            values = values[list(styles.values())]
        values = values[np.isfinite(values)]
        low, high = bootstrap(values)
        return {"mean": float(values.mean()), "low": low, "high": high, "n": len(values)}


def evaluate(
    results: Results,
    measures: Sequence[Metric],
    trainer: lightning.Trainer,
    folder: Path,
    batch_size: int = 16,
    num_workers: int = 0,
    skipped: Mapping[str, str] | None = None,
) -> Evaluation:
    """Measure results: every row with every measure that takes no picture that the row lacks.

    All processes of the trainer call it, each measures its share, and all have the whole answer.  Numbers of rows are
    kept in ``folder`` as soon as they are known, under the digests of the pictures' files and of the measure with its
    options, and are not computed again; measures of the whole set see all rows each time.  Nothing else is written.

    Args:
        results: see ``of_run``, ``of_table`` and ``of_folders``.
        measures: of different classes.
        trainer: as from ``hsx.runner.trainer.make_trainer``, in 32-true.
        folder: where numbers are kept, in ``.measured``.
        batch_size: rows that are measured at once.
        num_workers: processes that read pictures ahead.
        skipped: measures that were left out before, and why.

    Raises:
        HsxError: for another precision, and for two measures of one name.  A measure that raises, or gives no number a
            row, is left out and named in ``skipped``; a row whose pictures cannot be read is in ``failures``.
    """
    named = {type(measure).__name__: measure for measure in measures}
    if len(named) < len(measures):
        raise HsxError(f"measures: expected each once, got {', '.join(type(one).__name__ for one in measures)}")
    if str(trainer.precision) != "32-true":
        raise HsxError(f"trainer: expected precision 32-true to measure with, got {trainer.precision}; make another")
    left_out = dict(skipped or {})
    for name, measure in [*named.items()]:
        measure.reset()
        if lacking := [kind for kind in measure.takes if kind not in results.kinds]:
            left_out[name] = f"no row has a {' or a '.join(lacking)}"
            del named[name]
    identities = {name: identity(one) for name, one in named.items() if isinstance(one, MeanMetric)}
    journal = Journal(folder, trainer.global_rank, KEPT)
    takes = {name: tuple(one.takes) for name, one in named.items()}
    items = Rows(results, trainer.world_size, takes, identities, _kept(journal))
    stage, measured = Measuring(named), Measured(journal)
    if len(results.rows) and named:
        callbacks = [measured, StageProgress("measuring", len(results.rows), journal)]
        trainer.callbacks += callbacks  # type: ignore[attr-defined]
        trainer.predict(stage, loader(items, batch_size, num_workers, collate), return_predictions=False)
        for callback in callbacks:
            trainer.callbacks.remove(callback)  # type: ignore[attr-defined]
    return _together(results, named, stage, gather(trainer, (measured.values, measured.failures)), left_out)


def identity(measure: Metric) -> str:
    """What tells a measure from others: its class and the code beside it, its options, and what it has loaded."""
    kind, module = type(measure), sys.modules[type(measure).__module__]
    file = Path(getattr(module, "__file__", None) or "")
    files = sorted(file.parent.glob("*.py")) if module.__package__ else [file][: file.is_file()]
    code = [path.read_text("utf-8", "replace") for path in files]
    return digest(kind.__qualname__, code, torch.__version__, torchmetrics.__version__, fingerprint(measure))


def _kept(journal: Journal) -> dict[str, float]:
    """The numbers that earlier evaluations left, by key; what is no number is passed over."""
    found: dict[str, float] = {}
    for line in journal.all():
        values = line.get("values")
        if isinstance(values, dict):
            found.update({key: float(one) for key, one in values.items() if isinstance(one, (int, float))})
    return found


def _together(
    results: Results, measures: Mapping[str, Metric], stage: Measuring, shares: Sequence[Any], left_out: dict[str, str]
) -> Evaluation:
    """What all processes found, as one table."""
    failed: dict[int, str] = {}
    for _, failures in shares:
        failed |= failures
    good = [i for i in range(len(results.rows)) if i not in failed]
    place = {index: i for i, index in enumerate(good)}
    values: dict[str, np.ndarray] = {}
    not_finite: dict[str, int] = {}
    for name, measure in measures.items():
        if name in stage.broken or not isinstance(measure, MeanMetric):
            continue
        numbers = {index: number for share, _ in shares for index, number in share.get(name, {}).items()}
        finite = {place[index]: number for index, number in numbers.items() if math.isfinite(number)}
        if not finite:
            left_out[name] = NOT_FINITE
            continue
        values[name] = np.full(len(good), math.nan)
        values[name][[*finite]] = [*finite.values()]
        if wrong := len(numbers) - len(finite):
            not_finite[name] = wrong
    left_out |= stage.broken
    left_out |= {name: NOT_FINITE for name, value in stage.whole.items() if not math.isfinite(value)}
    failures = {**results.failures, **{results.rows[i].name: failed[i] for i in sorted(failed)}}
    return Evaluation(
        [results.rows[i] for i in good],
        values,
        {name: value for name, value in stage.whole.items() if name not in left_out},
        measures,
        failures,
        results.before,
        left_out,
        not_finite,
    )

"""The results of a sweep's settings, measured, and what their own pictures would get in the results' place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning

from hsx.errors import HsxError
from hsx.metrics import Metric
from hsx.pairs.pairing import PairList
from hsx.report.measured import check_ours
from hsx.runner.evaluation import Result, Results, evaluate, of_run
from hsx.runner.evaluation.choice import choose
from hsx.sweeping.sheet import Pair

KINDS = ("result", "content", "style")  # of pictures that every sweep has
Found = Mapping[str, Mapping[str, Any]]  # by measure what metrics.json says of it


@dataclass(frozen=True)
class Judged:
    """What was measured.

    Attributes:
        settings: by name, of those that have results.
        contents, styles: what the pictures themselves get in the results' place.
        skipped: the measures that are left out, and why.
    """

    settings: Mapping[str, Found]
    contents: Found
    styles: Found
    skipped: Mapping[str, str]


def chosen(names: str, networks: str) -> tuple[list[Metric], dict[str, str]]:
    """The measures that ``--metrics`` and ``--networks`` ask for, and of those that are left out why.

    Raises:
        HsxError: for a name that is none, and where there is no measure of content, or none of style.
    """
    measures, left_out = choose(names, networks, None, KINDS)
    for about in ("content", "style"):
        if not any(one.about == about for one in measures):
            got = ", ".join(type(one).__name__ for one in measures)
            raise HsxError(f"--metrics: expected a measure of {about} among them, got {got}; add one of hsx plugins")
    return measures, left_out


def rows_of(pairs: PairList) -> Iterator[Pair]:
    """The pairs with their pictures; bad rows of a table are left out."""
    for i in range(len(pairs)):
        try:
            row = pairs[i]
        except HsxError:
            continue
        yield Pair(row.name, pairs.contents[row.content], pairs.styles[row.style])


def judge(
    rows: Sequence[Pair],
    folders: Mapping[str, Path],
    measures: Sequence[Metric],
    trainer: lightning.Trainer,
    folder: Path,
    size: int,
    fit: str,
) -> Judged:
    """Measure the results of every setting, each as ``hsx evaluate`` does, and write its numbers beside them.

    All processes of the trainer call it, and all have the whole answer.

    Args:
        folders: where the results of each setting are.
        measures: of pictures of KINDS alone.
        folder: where numbers of the pictures themselves are kept, in ``.measured``.
        size, fit: pixels a side at which pictures are compared, and how they become square.

    Raises:
        HsxError: where a setting's numbers would replace a file that hsx did not write.
    """
    settings, skipped = dict[str, Found](), dict[str, str]()
    for name, at in folders.items():
        results = of_run(at, fit=fit)
        if results.rows:
            check_ours(at)
            found = evaluate(results, measures, trainer, at)
            if trainer.is_global_zero:
                found.write(at)
            skipped.update(found.skipped)
            settings[name] = found.summary["measures"]
    ends = []
    for kind in ("content", "style"):
        own = [Result(row.name, str(getattr(row, kind)), str(row.content), str(row.style)) for row in rows]
        ends.append(evaluate(Results(own, fit, given_size=size), measures, trainer, folder).summary["measures"])
    return Judged(settings, ends[0], ends[1], skipped)

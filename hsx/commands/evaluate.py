"""``hsx evaluate``: how good results are, in numbers."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from json import dumps
from pathlib import Path
from typing import Any

from jsonargparse.typing import NonNegativeInt, PositiveInt
from rich.console import Console
from rich.table import Column, Table

from hsx.checks import in_range, whole
from hsx.commands import watch
from hsx.errors import HsxError, expanded, shown
from hsx.io.reading import Fit
from hsx.metrics.base import ABOUT
from hsx.report.folders import RESULTS
from hsx.report.measured import SUMMARY, TABLE, check_ours
from hsx.report.page import write_page
from hsx.report.rendering import check_page
from hsx.report.results import NAMED
from hsx.runner.evaluation import Evaluation, Results, of_folders, of_run, of_table
from hsx.runner.evaluation import evaluate as measured
from hsx.runner.evaluation.choice import choose, said
from hsx.runner.evaluation.reconstructed import with_reconstructions
from hsx.runner.evaluation.results import a_folder
from hsx.runner.lock import held
from hsx.runner.output import check_writable
from hsx.runner.run import explained
from hsx.runner.trainer import make_trainer, quiet

ELSEWHERE = "outputs/evaluation"  # where the numbers of a table's results go
BETTER = {True: "\u2191", False: "\u2193", None: ""}
UNFIT = "unfit: where the true answer is known, this measure does not rank it first (docs/measures.md)"
LARGEST = 4096  # pixels a side at which pictures are compared
FIT = {True: "fit", False: "unfit", None: "unknown"}  # whether a measure ranks the true answer first


def evaluate(
    folder: str | None = None,
    *,
    table: str | None = None,
    contents: str | None = None,
    styles: str | None = None,
    truth: str | None = None,
    reference: str | None = None,
    metrics: str = "",
    networks: str = "",
    fit: Fit | None = None,
    size: PositiveInt | None = None,
    backbone: str | None = None,
    batch_size: PositiveInt = 16,
    num_workers: NonNegativeInt = 0,
    accelerator: str = "auto",
    devices: int | str = "auto",
    num_nodes: PositiveInt = 1,
    strategy: str = "auto",
    output_dir: str | None = None,
    report: bool = True,
    json: bool = False,
) -> int:
    """Measure results: a table with intervals of 95 %, metrics.json, and metrics.parquet with a row a pair.

    Exit code 3 if some rows could not be measured.

    Args:
        folder: A folder of hsx predict, or one of results made elsewhere.
        table: Instead, a CSV, JSONL or Parquet table of content, style, result, and optionally truth and name.
        contents: The folder of the contents: of results made elsewhere, or where those of a run are now.
        styles: The folder of the styles, likewise.
        truth: A folder of known answers, named as the results are.
        reference: A folder of pictures that results are compared with as a set (FID, KID).
        metrics: Measures, or content, style, both, realism, inversion, truth, all; usually those without weights.
        networks: What measures look through, such as Gram=resnet18.a1_in1k@FILE, with commas between.
        fit: How pictures become square (crop, pad, stretch); by default as in the run, else crop.
        size: Pixels a side at which all are compared; by default the results' own.
        backbone: Where the network of the run is now, for measures of inversion.
        batch_size: Rows that are measured at once.
        num_workers: Processes that read pictures ahead.
        accelerator: Where to compute, such as cpu, gpu or auto.
        devices: How many devices, or which.
        num_nodes: How many machines.
        strategy: How the work is spread, such as ddp.
        output_dir: Where the numbers go; by default the folder, for a table outputs/evaluation.
        report: Write report.html, a page that shows the results with their numbers.
        json: For programs.
    """
    quiet()
    if size is not None:
        in_range("size", size, 1, LARGEST, "pixels a side", whole)
    if output_dir is not None and not output_dir.strip():
        raise HsxError("output_dir: expected a folder, got an empty name; name one with --output_dir")
    results = _results(folder, table, contents, styles, fit, alone=truth is None and reference is None)
    if truth is not None and "truth" in results.kinds:
        raise HsxError("truth: expected a folder or the table's column truth, got both; leave one out")
    results = replace(results if truth is None else results.with_truth(truth), given_size=size)
    if not results.rows:
        listed = f"{results.before} failed in the run" if results.before else "the list is empty"
        bad = next(iter(results.failures.values()), listed)
        raise HsxError(
            f"folder: expected results that can be measured, got none ({bad}); finish the run, or name another"
        )
    if reference is not None:
        a_folder(reference, "reference")
    chosen, left_out = choose(metrics, networks, reference, results.kinds)
    place = expanded(output_dir or folder or ELSEWHERE, "output_dir")
    check_writable(place, "output_dir")
    check_ours(place)
    if report:
        check_page(place, remedy="move it away, or leave the page out with --report false")
    trainer_of = partial(make_trainer, accelerator, devices, num_nodes, strategy)
    trainer, how = trainer_of(), {"batch_size": batch_size, "num_workers": num_workers}
    first = trainer.is_global_zero
    with (
        watch.waiting_announced(trainer.world_size, trainer.global_rank, "hsx evaluate", "--"),
        explained(place),
        held(place) if first else nullcontext(),
    ):
        if any("reconstruction" in measure.takes for measure in chosen):
            results = with_reconstructions(results, trainer_of, place, backbone, **how)
        found = measured(results, chosen, trainer, place, **how, skipped=left_out)
        if first:
            found.write(place)
            page = write_page(place) if report else None
            _say(found, place, json)
            if page and not json:
                print(f"all on one page, to be opened in a browser: {page}")
    return 3 if found.failed else 0


def _results(
    folder: str | None, table: str | None, contents: str | None, styles: str | None, fit: str | None, alone: bool
) -> Results:
    """What is to be measured; ``alone``: nothing is known of it but what is in the folder."""
    if (folder is None) == (table is None):
        got = "none" if folder is None else f"{folder} and --table {table}"
        raise HsxError(f"folder: expected a folder of results or a --table of them, got {got}; give one")
    if table is not None:
        if contents is not None or styles is not None:
            raise HsxError(
                "table: expected contents and styles in its columns, got --contents or --styles; leave them out"
            )
        return of_table(expanded(table, "table"), fit or "crop")
    path = expanded(str(folder), "folder")
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing there"
        raise HsxError(f"folder: expected a folder of results, found {found} ({shown(path)}); check the path")
    if (path / RESULTS).exists():
        return of_run(path, contents, styles, fit)
    if alone and contents is None and styles is None:
        wanted = f"expected a folder of hsx predict, with {RESULTS}, or --contents and --styles of other results"
        raise HsxError(f"folder: {wanted}, got {shown(path)} alone; finish the run, or name them")
    return of_folders(str(path), contents, styles, fit or "crop")


def _say(found: Evaluation, place: Path, json: bool) -> None:
    """The table, or JSON; on stderr what is left out, and what failed."""
    if json:
        print(dumps(found.summary, indent=1))
    else:
        width = shutil.get_terminal_size((120, 40)).columns
        Console(markup=False, emoji=False, highlight=False, width=width).print(_table(found.summary))
        if any(measure["fit"] is False for measure in found.summary["measures"].values()):
            print(UNFIT)
        print(f"{len(found.rows)} rows measured, {found.failed} failed: {place / SUMMARY}, {place / TABLE}")
    for line in said(found.skipped):
        print(line, file=sys.stderr)
    for name, n in found.not_finite.items():
        print(f"{name}: no finite number for {n} of the rows; they are not in its mean", file=sys.stderr)
    if found.before:
        print(f"failed in the run: {found.before}", file=sys.stderr)
    for reason, n in Counter(found.failures.values()).most_common(NAMED):
        print(f"{n} failed: {reason}", file=sys.stderr)
    if (more := len(set(found.failures.values())) - NAMED) > 0:
        print(f"and {more} more reasons", file=sys.stderr)


def _table(summary: dict[str, Any]) -> Table:
    """A line a measure, those of one kind together."""
    texts = (Column(title, no_wrap=True) for title in ("measure", "about"))
    numbers = (Column(title, justify="right", no_wrap=True) for title in ("mean", "95 %", "n"))
    table = Table(*texts, *numbers, Column("better", justify="center"), "fit", box=None, pad_edge=False)
    kinds = {about: place for place, about in enumerate(ABOUT)}
    for name, found in sorted(summary["measures"].items(), key=lambda item: kinds.get(item[1]["about"], len(kinds))):
        low, high = found["low"], found["high"]
        interval = "" if low is None else f"{low:.4g} to {high:.4g}"
        mean, n, better = f"{found['mean']:.4g}", str(found["n"]), BETTER[found["higher_is_better"]]
        table.add_row(name, found["about"], mean, interval, n, better, FIT[found["fit"]])
    return table

"""The end of a run: results.jsonl, failures.jsonl, contact sheets and a summary."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

from hsx.errors import HsxError
from hsx.io.files import atomic
from hsx.store.journal import Journal, objects
from hsx.store.records import Recorder, to_json

NAMED = 20  # reasons at most that are printed; all are in failures.jsonl


@dataclass
class Counts:
    """Totals over all processes."""

    created: int
    existing: int
    inverted: int
    corrupt: int
    evaluations: float
    seconds: float


def write_results(
    recorder: Recorder, folder: Path, failures: Mapping[int, str], lost: Mapping[int, str], journal: Journal
) -> Counter[str]:
    """Write results.jsonl, one line a pair, and failures.jsonl with those that failed, if any.

    Args:
        failures: reasons by number, for pairs.
        lost: reasons by number, for pictures: contents first, then styles.

    Returns:
        How many pairs failed, by reason.
    """
    pairs = recorder.pairs
    timing = dict(_earlier(folder / "results.jsonl", journal))
    failed: Counter[str] = Counter()
    with (
        atomic(folder / "results.jsonl") as part,
        atomic(folder / "failures.jsonl") as bad,
        part.open("w", encoding="utf-8") as results,
        bad.open("w", encoding="utf-8") as failed_only,
    ):
        for i in range(len(pairs)):
            reason = failures.get(i)
            try:
                row = pairs[i]
                line: dict[str, Any] = {"name": row.name, "content": str(pairs.contents[row.content])}
                line["style"] = str(pairs.styles[row.style])
                line |= {} if row.mask is None else {"mask": str(row.mask)}
                line |= {} if row.gamma is None else {"gamma": row.gamma}
                line["seed"] = recorder.seed if row.seed is None else row.seed
                reason = reason or lost.get(row.content) or lost.get(len(pairs.contents) + row.style)
            except HsxError as error:
                line, reason = {"name": pairs.name(i)}, str(error)
            if reason:
                failed[reason] += 1
                line |= {"status": "failed", "reason": reason}
                failed_only.write(to_json(line) + "\n")
            else:
                seconds, device = timing.get(line["name"], (None, None))
                line |= {"status": "done", "picture": f"{line['name']}.png", "settings": recorder.fingerprints.run}
                line |= {"seconds": seconds, "device": device}
            results.write(to_json(line) + "\n")
    if not failed:
        (folder / "failures.jsonl").unlink()
    return failed


def summarise(counts: Counts, failed: Counter[str], folder: Path, sheets: list[Path], page: Path | None) -> None:
    """Print how the run went; the reasons of failures to stderr."""
    pace = f", {counts.created / counts.seconds:.2g} pairs a second" if counts.created else ""
    sheet = f" (all on one sheet: {sheets[0]})" if len(sheets) == 1 else f" (sheets: {sheets[0]} …)" if sheets else ""
    rest = f"{counts.existing} were there already, {failed.total()} failed: {folder}{sheet}"
    print(f"{_some(counts.created, 'picture')} made in {counts.seconds:.0f} s{pace}, {rest}")
    corrupt = f"; corrupt in the store, and made again: {counts.corrupt}" if counts.corrupt else ""
    print(f"{_some(counts.inverted, 'picture')} inverted, {counts.evaluations:.0f} evaluations of the network{corrupt}")
    if page:
        print(f"all on one page, to be opened in a browser: {page}")
    if failed:
        for reason, n in failed.most_common(NAMED):
            print(f"{_some(n, 'pair')} failed: {reason}", file=sys.stderr)
        more = len(failed) - NAMED
        further = f" ({_some(more, 'more reason')})" if more > 0 else ""
        print(f"all that failed is in {folder / 'failures.jsonl'}{further}", file=sys.stderr)
    sys.stdout.flush()


def _some(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _earlier(path: Path, journal: Journal) -> Iterator[tuple[str, tuple[float, str]]]:
    """Seconds and device of the pictures that earlier runs made, then of those of this run."""
    with path.open("rb") if path.exists() else nullcontext(()) as lines:
        for line in chain(objects(lines), journal.all()):
            names, seconds, device = line.get("made", [line.get("name")]), line.get("seconds"), line.get("device")
            if isinstance(names, list) and isinstance(device, str) and isinstance(seconds, float) and isfinite(seconds):
                yield from ((name, (seconds, device)) for name in names if isinstance(name, str))

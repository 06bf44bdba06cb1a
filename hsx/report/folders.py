"""What is in a folder of results, as the page shows it: pairs, measures and settings, read from hsx's own files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hsx.checks import MOST
from hsx.errors import HsxError, first_line, shown
from hsx.report.measured import SUMMARY, TABLE
from hsx.report.originals import Original
from hsx.report.settings import flat
from hsx.store.journal import objects
from hsx.store.records import record_of

LARGEST = 100_000  # pairs on one page; the first of a longer run
RESULTS, CONFIG, SWEEP = "results.jsonl", "config.yaml", "sweep.json"


@dataclass
class Measure:
    """A measure of a run.

    Attributes:
        name, about: as the class says them.
        better: 1 where more is better, -1 where less is, 0 where neither is said.
        fit: whether it ranks the truth first; None where nobody has looked.
        mean: of all pairs.
        interval: of 95 % around it, if there is one.
        values: pair by pair, (n,); NaN where there is none; None for a measure of the whole set.
    """

    name: str
    about: str = ""
    better: int = 0
    fit: bool | None = None
    mean: float | None = None
    interval: tuple[float, float] | None = None
    values: np.ndarray | None = None


@dataclass
class Results:
    """The pairs of a run, with what was measured of them, and the run's settings.

    Attributes:
        folder: where they are.
        names: of the pairs shown.
        pairs: how many there are in all.
        contents, styles: the number of each pair's content and style in ``originals``; -1 where it is not known.
        originals: the distinct contents and styles.
        failed: reasons by number.
        pictures: where the results are, from ``folder``; None: each is called as its pair.
        settings: options by name.
        measures: best known first: those that are fit, then the others.
        skipped: why, by name, for measures that could not be taken.
    """

    folder: Path
    names: list[str] = field(default_factory=list)
    pairs: int = 0
    contents: list[int] = field(default_factory=list)
    styles: list[int] = field(default_factory=list)
    originals: list[Original] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    pictures: list[str] | None = None
    settings: dict[str, str] = field(default_factory=dict)
    measures: list[Measure] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Why pairs failed, and how many for each reason."""
        return Counter(self.failed.values()).most_common()


def results_of(folder: Path) -> Results:
    """Read a folder of ``hsx predict`` or ``hsx evaluate``.  Raises HsxError where there is neither."""
    found = Results(folder)
    if (folder / RESULTS).is_file():
        with (folder / RESULTS).open("rb") as lines:
            _pairs(found, objects(lines))
    elif (folder / TABLE).is_file():
        found.pictures = []
        _pairs(found, _measured_rows(folder))
    else:
        wanted = f"expected the folder of a run, an evaluation or a sweep, got {shown(folder)}, where no {RESULTS} is"
        raise HsxError(f"{wanted}; name one that hsx wrote")
    found.settings = _settings(found)
    _measures(found)
    return found


def _pairs(found: Results, rows: Iterable[dict[str, Any]]) -> None:
    """Fill in the pairs and their originals."""
    known: dict[tuple[int, str], int] = {}
    for i, row in enumerate(rows):
        found.pairs += 1
        if i >= LARGEST:
            continue
        found.names.append(str(row.get("name", "")))
        done = row.get("status", "done") == "done"
        if not done:
            found.failed[i] = str(row.get("reason", "it failed"))
        picture = str(row.get("picture") or f"{found.names[i]}.png")
        if found.pictures is not None:
            found.pictures.append(picture)
        for place, (of, numbers) in enumerate((("content", found.contents), ("style", found.styles))):
            path = row.get(of)
            if not isinstance(path, str) or not path:
                numbers.append(-1)
                continue
            number = known.setdefault((place, path), len(found.originals))
            result = found.folder / picture if done else None
            if number == len(found.originals):
                found.originals.append(Original(path, result, place))
            elif result and found.originals[number].result is None:
                found.originals[number] = Original(path, result, place)
            numbers.append(number)


def _measured_rows(folder: Path) -> list[dict[str, Any]]:
    """The pairs of an evaluation whose results are elsewhere."""
    table = _table(folder / TABLE)
    columns = [name for name in ("name", "content", "style", "picture") if name in table.column_names]
    rows: list[dict[str, Any]] = table.select(columns).to_pylist()
    return rows


def _settings(found: Results) -> dict[str, str]:
    """The settings of a run: its config, or the record of its first picture."""
    path = found.folder / CONFIG
    with suppress(OSError, yaml.YAMLError, ValueError, TypeError, RecursionError):
        config = path.is_file() and yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        if isinstance(config, dict):
            return flat(config)
    record = next((record_of(one.result) for one in found.originals if one.result), {})
    names = ("seed_everything", "model", "data", "store", "trainer")
    return flat({name: record[name] for name in names if name in record})


def _measures(found: Results) -> None:
    """Fill in what ``hsx evaluate`` measured, if it did."""
    summary = read_object(found.folder / SUMMARY)
    measured = {name: one for name, one in mapping(summary.get("measures")).items() if isinstance(one, dict)}
    columns = _columns(found.folder / TABLE, found.names) if (found.folder / TABLE).is_file() else {}
    for name in dict.fromkeys([*measured, *columns]):
        one = measured.get(name, {})
        low, high, higher, fit = (
            finite(one.get("low")),
            finite(one.get("high")),
            one.get("higher_is_better"),
            one.get("fit"),
        )
        found.measures.append(
            Measure(
                name,
                about=str(one.get("about", "")),
                better=0 if higher is None else 1 if higher else -1,
                fit=fit if isinstance(fit, bool) else None,
                mean=finite(one.get("mean")),
                interval=None if low is None or high is None else (low, high),
                values=columns.get(name),
            )
        )
    found.measures.sort(key=lambda measure: {True: 0, None: 1, False: 2}[measure.fit])
    found.skipped = {str(name): str(reason) for name, reason in mapping(summary.get("skipped")).items()}


def _columns(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """The measures of metrics.parquet in the order of ``names``."""
    import pyarrow as arrow

    table = _table(path)
    if "name" not in table.column_names:
        return {}
    rows = {name: i for i, name in enumerate(table["name"].to_pylist())}
    written = (name.encode("utf-8", "backslashreplace").decode() for name in names)  # as the table has them
    order = np.array([rows.get(name, len(rows)) for name in written], int)
    return {
        name: np.append(table[name].to_numpy().astype(float), np.nan)[order]
        for name in table.column_names
        if arrow.types.is_floating(table.schema.field(name).type)
    }


def _table(path: Path) -> Any:
    """A Parquet table.  Raises HsxError for a file that is none."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        return parquet.read_table(path)
    except (OSError, arrow.ArrowException) as error:
        wanted = f"expected numbers of hsx evaluate in {shown(path)}, could not read them ({first_line(error)})"
        raise HsxError(f"{wanted}; remove it, and evaluate again") from None


def mapping(value: Any) -> Mapping[str, Any]:
    """An object of a JSON file; empty where there is something else."""
    return value if isinstance(value, dict) else {}


def finite(value: Any) -> float | None:
    """A number of a JSON file; None where there is something else."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= MOST
    return float(value) if known else None


def read_object(path: Path) -> Mapping[str, Any]:
    """A file with one JSON object; empty where there is none."""
    with suppress(OSError, ValueError, RecursionError):
        return mapping(json.loads(path.read_bytes())) if path.is_file() else {}
    return {}

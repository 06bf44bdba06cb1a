"""Where results come from: a run, a table, or plain folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from hsx.errors import HsxError, first_line, shown
from hsx.io.reading import FITS
from hsx.pairs.cells import READERS, as_text
from hsx.pairs.rows import located, open_rows
from hsx.pairs.sources import find_images
from hsx.report.folders import RESULTS
from hsx.runner.evaluation.results import ByName, Result, Results, a_folder
from hsx.store.journal import objects

COLUMNS = ("content", "style", "result", "truth", "name")  # of a table of results; the first three are needed
NEEDED = COLUMNS[:3]

log = logging.getLogger("hsx")


def of_run(folder: Path, contents: str | None = None, styles: str | None = None, fit: str | None = None) -> Results:
    """The results of ``hsx predict`` in ``folder``, by its results.jsonl and config.yaml.

    Args:
        contents, styles: the folders in which these are now, where they have moved.
        fit: in place of the config's ``data.fit``.

    Raises:
        HsxError: where the list or the config is missing, or is none.
    """
    given = {"content": contents, "style": styles}
    moved = {kind: a_folder(place, f"{kind}s") for kind, place in given.items() if place is not None}
    rows, texts = _Rows(), dict[str, str]()  # of texts each once, for all rows that name a picture
    before = 0
    try:
        lines = (folder / RESULTS).read_bytes().splitlines()
    except OSError as error:
        why = f"could not read {folder / RESULTS} ({error.strerror or error})"
        raise HsxError(f"folder: expected that of a run of hsx predict, {why}; name another") from None
    for number, raw in enumerate(lines, 1):
        line = next(objects([raw]), {})
        if line.get("status") == "failed":
            before += 1
        elif raw.strip():
            rows.add(f"{RESULTS} line {number}", lambda line=line: _made(line, folder, texts))
    fit = fit or _fit(folder / "config.yaml")
    return Results([*rows.good.values()], fit, rows.bad, before, recorded=True, moved=moved)


def of_table(table: Path, fit: str = "crop") -> Results:
    """The results that a CSV, TSV, JSONL or Parquet table lists, with paths relative to it.

    Its columns are content, style and result, and optionally truth and name, by default the result's path without its
    suffix.

    Raises:
        HsxError: for a file that is no such table.  A bad row fails by itself.
    """
    names, cells = open_rows(table, "table", COLUMNS)
    if names:
        _check(names, table)
    rows, seen = _Rows(), dict[str, None].fromkeys(names)
    for number, row in enumerate(cells, 1):
        if isinstance(row, Mapping):
            seen.update(dict.fromkeys(row))
        rows.add(f"{table.name} row {number}", lambda row=row: _listed(row, table.parent))
    if not rows.good and not rows.bad:
        raise HsxError(f"{table}: expected a row a result, got none; add some")
    _check([*seen], table)
    if unknown := [name for name in seen if name not in COLUMNS]:
        log.warning("%s: the columns %s are ignored; known are %s", table, ", ".join(unknown), ", ".join(COLUMNS))
    return Results([*rows.good.values()], fit, rows.bad)


def of_folders(folder: str, contents: str | None, styles: str | None, fit: str = "crop") -> Results:
    """The pictures of a folder as results, each matched by name with its content and its style.

    ``a__b`` is the content a in the style b, as hsx names its own; ``a`` is that of a content a and a style a.

    Raises:
        HsxError: where no result matches.  Those that match none or several fail by themselves.
    """
    given = {"content": contents, "style": styles}
    known = {kind: ByName(place, f"{kind}s") for kind, place in given.items() if place is not None}
    root, rows = a_folder(folder, "folder"), _Rows()
    for path in find_images(folder, "folder"):
        name = path.relative_to(root).with_suffix("").as_posix()
        rows.add(name, lambda name=name, path=path: Result(name, str(path), **_matched(name, known)))
    if not rows.good:
        raise HsxError(f"folder: expected results that match, got none, such as {next(iter(rows.bad.values()))}")
    return Results([*rows.good.values()], fit, rows.bad)


class _Rows:
    """Rows as they are found: good ones by name, and why others are bad."""

    def __init__(self) -> None:
        self.good: dict[str, Result] = {}
        self.bad: dict[str, str] = {}

    def add(self, place: str, read: Any) -> None:
        """What ``read`` gives, unless it raises HsxError, or its name is there already."""
        try:
            row = read()
            if row.name in self.good:
                raise HsxError(f"expected each name once, got {shown(row.name)} again; rename one")
            self.good[row.name] = row
        except HsxError as error:
            self.bad[place] = f"{place}: {error}"


def _made(line: Mapping[str, Any], folder: Path, texts: dict[str, str]) -> Result:
    """A result by its line in results.jsonl."""
    found = {name: line.get(name) for name in ("name", "picture", "content", "style")}
    if line.get("status") != "done" or not all(isinstance(value, str) and value for value in found.values()):
        raise HsxError("expected a result with name, picture, content and style, got another line; run it again")
    name, picture, content, style = found.values()
    inside = PurePosixPath(str(picture))
    if inside.is_absolute() or ".." in inside.parts:
        raise HsxError(f"expected a picture in the folder, got {shown(str(picture))}; run it again")
    content, style = (texts.setdefault(str(one), str(one)) for one in (content, style))
    return Result(str(name), str(folder / inside), content, style)


def _fit(config: Path) -> str:
    """How a run made its pictures square.  Raises HsxError where its config does not say that."""
    try:
        data = (yaml.safe_load(config.read_text("utf-8")) or {}).get("data") or {}
        fit = data.get("fit", "crop")
    except (OSError, ValueError, AttributeError, RecursionError, yaml.YAMLError) as error:
        why = f"could not read {config} ({(isinstance(error, OSError) and error.strerror) or first_line(error)})"
        raise HsxError(f"folder: expected a run's config.yaml, {why}; say --fit {'|'.join(FITS)}") from None
    if fit not in FITS:
        raise HsxError(f"{config}: expected a data.fit of {', '.join(FITS)}, got {shown(str(fit)):.80}; say --fit")
    return str(fit)


def _listed(cells: Any, folder: Path) -> Result:
    """A result by a row of a table."""
    if isinstance(cells, HsxError):
        raise cells
    given = {name: cells.get(name) for name in COLUMNS}
    texts = {name: cell if isinstance(cell, str) else as_text(name, cell) for name, cell in given.items()}
    named = texts["name"] or os.path.splitext(texts["result"])[0]
    for name in NEEDED:
        if not texts[name]:
            raise HsxError(f"expected a content, a style and a result, got no {name}; fill it in")
    for name in COLUMNS[:4]:
        try:
            texts[name] = texts[name] and str(located(READERS["content"](texts[name]), folder))
        except HsxError as error:
            raise HsxError(f"{name}: {error}") from None
    return Result(named, texts["result"], texts["content"], texts["style"], texts["truth"])


def _check(names: Iterable[str], table: Path) -> None:
    lacking = [name for name in NEEDED if name not in names]
    if lacking:
        found = f"{shown(', '.join(names)):.200}" or "none"
        raise HsxError(f"{table}: expected the columns {', '.join(NEEDED)}, got {found}; add {', '.join(lacking)}")


def _matched(name: str, known: Mapping[str, ByName]) -> dict[str, str]:
    """The content and the style of a result by its name, of those kinds that there are."""
    parts = name.split("__")
    halves = [("__".join(parts[:k]), "__".join(parts[k:])) for k in range(1, len(parts))]
    ways = []
    for content, style in [(name, name), *halves]:
        wanted = {"content": content, "style": style}
        if all(wanted[kind] in pictures for kind, pictures in known.items()):
            ways.append({kind: pictures[wanted[kind]] for kind, pictures in known.items()})
    ways = [way for k, way in enumerate(ways) if way not in ways[:k]]
    if len(ways) != 1:
        expected = f"expected {shown(name)} to be CONTENT__STYLE, or the name of both"
        raise HsxError(f"{expected}, found {len(ways) or 'no'} such pictures; rename it, or write a table")
    return ways[0]

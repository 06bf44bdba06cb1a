"""Tables of pairs: a row a pair, read when its turn comes, so that a million rows are a few arrays."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hsx.assets import SCHEME, resolve
from hsx.engine.pairing import Labels, PairList, Row, numbered, safe, safe_stem
from hsx.engine.rows import Cells, Rows, open_rows
from hsx.errors import HsxError

COLUMNS = ("content", "style", "mask", "gamma", "seed", "output")
CHUNK = 8192  # rows that are objects at once

log = logging.getLogger("hsx")


class Given(NamedTuple):
    """What a row says, checked."""

    content: str
    style: str
    mask: str | None = None
    gamma: float | None = None
    seed: int | None = None
    output: str | None = None


def read_table(path: Path) -> PairList:
    """The pairs of a CSV, TSV, JSONL or Parquet table with the columns content, style and optionally mask, gamma, seed
    and output; paths in it are relative to it.

    Raises:
        HsxError: for a file that is no such table.  A bad row fails by itself.
    """
    rows = open_rows(path)
    lacking = [name for name in COLUMNS[:2] if name not in rows.columns]
    if lacking:
        raise HsxError(f"{path}: expected the columns content and style, got {', '.join(rows.columns) or 'none'}; "
                       f"add {' and '.join(lacking)}")
    unknown = [name for name in rows.columns if name not in COLUMNS]
    if unknown:
        log.warning("%s: the columns %s are ignored; known are %s", path, ", ".join(unknown), ", ".join(COLUMNS))
    table = _Table(path, rows)
    if not len(table):
        raise HsxError(f"{path}: expected a row a pair, got none; add some")
    return table


class _Table(PairList):
    """Of each row its place in the file and its pictures' numbers are kept, and what makes its name its own."""

    def __init__(self, path: Path, rows: Rows) -> None:
        self.path, self.rows = path, rows
        places: list[np.ndarray] = []
        hashes: list[np.ndarray] = []  # of content and style: only their equality is used
        stems: list[tuple[Labels, Labels]] = []
        outputs: dict[int, str] = {}
        chunk: list[tuple[int, str, str]] = []

        def close() -> None:
            places.append(np.array([place for place, _, _ in chunk], np.int64))
            hashes.append(np.array([(hash(c), hash(s)) for _, c, s in chunk], np.int64).reshape(-1, 2))
            stems.append((Labels.of([safe_stem(c) for _, c, _ in chunk]), Labels.of([safe_stem(s) for *_, s in chunk])))
            chunk.clear()

        for i, (place, cells) in enumerate(rows.scan()):
            try:
                given = _checked(cells)
                chunk.append((place, given.content, given.style))
                if given.output is not None:
                    outputs[i] = given.output
            except HsxError:
                chunk.append((place, "", ""))
            if len(chunk) == CHUNK:
                close()
        close()
        self._places, both = np.concatenate(places), np.concatenate(hashes)
        bad = both[:, 0] == hash("")
        labels = [Labels.joint([pair[side] for pair in stems]) for side in (0, 1)]
        for done in (places, hashes, stems):
            done.clear()
        self._content, firsts = _by_appearance(both[:, 0], bad)
        self._style, style_firsts = _by_appearance(both[:, 1], bad)
        self.contents, self.styles = _Paths(self, firsts, "content"), _Paths(self, style_firsts, "style")
        del both
        own = [label.take(first) for label, first in zip(labels, (firsts, style_firsts), strict=True)]
        self._content_numbers, self._style_numbers = (label.numbers() for label in own)
        if len(firsts):
            names = own[0].numbered(self._content_numbers).take(self._content).joined(
                own[1].numbered(self._style_numbers).take(self._style))
        else:
            names = labels[0]
        other = [*outputs, *np.flatnonzero(bad).tolist()]
        if other:
            texts = [*outputs.values(), *(f"row-{i + 1}" for i in np.flatnonzero(bad))]
            names = names.put(np.array(other), Labels.of(texts))
        self._numbers = names.numbers()

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, i: int) -> Row:
        i = range(len(self))[i]
        try:
            given = _checked(self.rows.at(int(self._places[i])))
        except HsxError as error:
            raise HsxError(f"{self.path} row {i + 1}: {error}") from None
        content, style = int(self._content[i]), int(self._style[i])
        base = given.output or "__".join((
            numbered(safe_stem(given.content), int(self._content_numbers[content])),
            numbered(safe_stem(given.style), int(self._style_numbers[style]))))
        mask = None if given.mask is None else self.located(given.mask)
        return Row(numbered(base, int(self._numbers[i])), content, style, mask, given.gamma, given.seed)

    def name(self, i: int) -> str:
        """See ``PairList``: a bad row is called by its number."""
        return self[i].name if self._content[i] >= 0 else numbered(f"row-{i + 1}", int(self._numbers[i]))

    def indices(self) -> tuple[np.ndarray, np.ndarray]:
        """See ``PairList``."""
        return self._content, self._style

    def located(self, text: str) -> Path:
        """Where a path of the table is."""
        return resolve(text) if text.startswith((SCHEME, "~")) else self.path.parent / text

    def picture(self, i: int, column: str) -> Path:
        """The content or the style of row ``i``."""
        return self.located(getattr(_checked(self.rows.at(int(self._places[i]))), column))


class _Paths(Sequence):
    """The distinct pictures of a column, each read from the row where it comes first."""

    def __init__(self, table: _Table, firsts: np.ndarray, column: str) -> None:
        self.table, self.firsts, self.column = table, firsts, column

    def __len__(self) -> int:
        return len(self.firsts)

    def __getitem__(self, k: int) -> Path:  # type: ignore[override]
        return self.table.picture(int(self.firsts[k]), self.column)


def _by_appearance(values: np.ndarray, bad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of equal values in the order of their first rows, -1 where ``bad``, and these first rows."""
    good = np.flatnonzero(~bad)
    _, first, inverse = np.unique(values[good], return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    numbers = np.full(len(values), -1, np.int32)
    numbers[good] = rank[inverse.reshape(-1)]
    return numbers, good[first[order]]


def _checked(cells: Cells) -> Given:
    """A row's cells as what they say.  Raises HsxError for what they cannot say."""
    if isinstance(cells, HsxError):
        raise cells
    content, style = _path(cells, "content"), _path(cells, "style")
    if content is None or style is None:
        raise HsxError(f"expected a content and a style, got no {'style' if content else 'content'}; fill it in")
    if len(cells) == 2:
        return Given(content, style)
    gamma = _number(cells, "gamma", float, "a number from 0 to 1", 0.0, 1.0)
    seed = _number(cells, "seed", int, "an integer of 0 or more", 0, 2**63 - 1)
    return Given(content, style, _path(cells, "mask"), gamma, seed, _output(_text(cells, "output")))


def _path(cells: dict, name: str) -> str | None:
    text = cells.get(name)
    if text is None or text == "" or text != text:  # pandas writes what is missing as NaN
        return None
    if not isinstance(text, str) or not text.strip() or "\0" in text or not (text.isascii() or _is_utf8(text)):
        raise HsxError(f"{name}: expected a path in UTF-8, got {text!a:.80}; correct it")
    return text


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _text(cells: dict, name: str) -> str | None:
    value = cells.get(name)
    return None if value is None or value == "" else str(value)


def _number(cells: dict, name: str, kind: type, what: str, low: float, high: float):  # type: ignore[no-untyped-def]
    text = _text(cells, name)
    if text is None or text == "nan":
        return None
    try:
        value = kind(float(text)) if kind is int and float(text).is_integer() and "." in text else kind(text)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise HsxError(f"{name}: expected {what}, got {text}; correct it or leave it empty")
    return value


def _output(text: str | None) -> str | None:
    """The name of a result as the column gives it, made safe, without .png."""
    if text is None:
        return None
    parts = text.replace("\\", "/").split("/")
    stem = parts[-1]
    dot = stem.rpartition(".")
    suffix = dot[2].lower() if dot[0] else ""
    if text.startswith("/") or ":" in parts[0] or ".." in parts or not stem.strip(". "):
        raise HsxError(f"output: expected a name below the output folder, got {text}; give one such as b/a.png")
    if suffix in ("jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"):
        raise HsxError(f"output: expected a name that ends in .png or in nothing, got {text}; results are PNG")
    name = "/".join(safe(part) for part in [*parts[:-1], dot[0] if suffix == "png" else stem] if part not in ("", "."))
    if re.fullmatch(r"grid(-\d+)?", name.lower()):
        raise HsxError(f"output: expected another name than that of the contact sheet, got {text}; take another")
    return name

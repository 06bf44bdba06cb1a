"""Tables of pairs: a row a pair, read when its turn comes, so that a million rows are a few arrays."""

from __future__ import annotations

import difflib
import logging
from array import array
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from hsx.assets import SCHEME, resolve
from hsx.engine.cells import NOTHING, Given, checked
from hsx.engine.labels import Labels, numbered
from hsx.engine.pairing import PairList, Row, safe_stem
from hsx.engine.rows import CHUNK, COLUMNS, Rows, open_rows
from hsx.errors import HsxError
from hsx.sources import shown

log = logging.getLogger("hsx")


def read_table(path: Path) -> PairList:
    """The pairs of a CSV, TSV, JSONL or Parquet table with the columns content, style and optionally mask, gamma, seed
    and output; paths in it are relative to it.

    Raises:
        HsxError: for a file that is no such table.  A bad row fails by itself.
    """
    rows = open_rows(path)
    lacking = [name for name in COLUMNS[:2] if name not in rows.columns]
    if lacking:
        raise HsxError(f"{path}: expected the columns content and style, got {_named(rows.columns) or 'none'}; "
                       + " and ".join(_mended(name, rows.columns) for name in lacking))
    table = _Table(path, rows)
    unknown = [name for name in rows.columns if name not in COLUMNS]
    if unknown:
        log.warning("%s: the columns %s are ignored; known are %s", path, _named(unknown), ", ".join(COLUMNS))
    return table


def _named(columns: list[str]) -> str:
    return f"{shown(', '.join(columns)):.200}"


def _mended(name: str, columns: list[str]) -> str:
    """What to do about a column that is lacking: rename the one most like it, or add it."""
    others = {other.strip().lower(): other for other in columns if other not in COLUMNS}
    like = difflib.get_close_matches(name, others, 1, 0.6)
    return f"rename {_named([others[like[0]]])} to {name}" if like else f"add {name}"


class _Table(PairList):
    """Of each row its place in the file and its pictures' numbers are kept, and what makes its name its own."""

    def __init__(self, path: Path, rows: Rows) -> None:
        self.path, self.rows = path, rows
        places, content, style = array("q"), _Column(), _Column()
        own: list[tuple[list[int], Labels]] = []  # names that are not of their pictures
        scan = enumerate(rows.scan())
        while True:
            contents: list[str] = []
            styles: list[str] = []
            names: dict[int, str] = {}
            for i, (place, cells) in islice(scan, CHUNK):
                places.append(place)
                try:
                    given = checked(cells)
                    if given.output is not None:
                        names[i] = given.output
                except HsxError:
                    given = NOTHING
                    names[i] = f"row-{i + 1}"
                contents.append(given.content)
                styles.append(given.style)
            if not contents:
                break
            content.add(contents)
            style.add(styles)
            own.append((list(names), Labels.of(list(names.values()))))
        if not places:
            raise HsxError(f"{path}: expected a row a pair, got none; add some")
        self._places = np.frombuffer(places, np.int64)
        self._content, firsts, stems = content.distinct()
        self.contents = _Paths(self, firsts, "content")
        self._style, firsts, style_stems = style.distinct()
        self.styles = _Paths(self, firsts, "style")
        self._content_numbers, self._style_numbers = stems.numbers(), style_stems.numbers()
        stems = stems.numbered(self._content_numbers) + Labels.of(["__"])
        style_stems = style_stems.numbered(self._style_numbers)
        parts = (slice(begin, begin + CHUNK) for begin in range(0, len(places), CHUNK))
        all_names = Labels.joint([stems.take(self._content[p]) + style_stems.take(self._style[p]) for p in parts])
        for index, labels in own:
            all_names.put(index, labels)
        self._numbers = all_names.numbers()

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, i: int) -> Row:
        i = range(len(self))[i]
        given = self.given(i)
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

    def given(self, i: int) -> Given:
        """What row ``i`` says.  Raises HsxError for a bad one."""
        try:
            return checked(self.rows.at(int(self._places[i])))
        except HsxError as error:
            raise HsxError(f"{self.path} row {i + 1}: {error}") from None


class _Paths(Sequence):
    """The distinct pictures of a column, each read from the row where it comes first."""

    def __init__(self, table: _Table, firsts: np.ndarray, column: str) -> None:
        self.table, self.firsts, self.column = table, firsts, column

    def __len__(self) -> int:
        return len(self.firsts)

    def __getitem__(self, k: int) -> Path:  # type: ignore[override]
        return self.table.located(getattr(self.table.given(int(self.firsts[k])), self.column))


class _Column:
    """The paths in a column, added by the chunk: of each its hash is kept, and of the first in a chunk its stem."""

    def __init__(self) -> None:
        self.hashes: list[np.ndarray] = []
        self.rows: list[np.ndarray] = []  # of the stems
        self.stems: list[Labels] = []

    def add(self, paths: Sequence[str]) -> None:
        """The next rows' paths, empty ones for bad rows."""
        hashes = np.array([hash(path) for path in paths], np.int64)  # only their equality is used
        rows = np.sort(np.unique(hashes, return_index=True)[1])
        self.rows.append(rows.astype(np.int32) + CHUNK * len(self.rows))
        self.stems.append(Labels.of([safe_stem(paths[row]) for row in rows]))
        self.hashes.append(hashes)

    def distinct(self) -> tuple[np.ndarray, np.ndarray, Labels]:
        """Each row's number of its path, in the order of their first rows, -1 for bad ones; these first rows; their
        stems, and a last one for the bad.
        """
        paths, first = np.unique(np.concatenate(self.hashes), return_index=True)
        order = np.argsort(first)
        order = order[paths[order] != hash("")]
        numbers = np.full(len(paths), -1, np.int32)
        numbers[order] = np.arange(len(order))
        index = np.concatenate([numbers[np.searchsorted(paths, hashes)] for hashes in self.hashes])
        self.hashes.clear()
        stems = Labels.joint(self.stems).take(np.searchsorted(np.concatenate(self.rows), first[order]))
        self.rows.clear()
        self.stems.clear()
        return index, first[order], Labels.joint([stems, Labels.of([""])])

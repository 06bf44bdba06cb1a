"""Tables of pairs: a row a pair, read when its turn comes, so that a million rows are a few arrays."""

from __future__ import annotations

import difflib
import logging
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from hsx.assets import SCHEME, resolve
from hsx.errors import HsxError, shown
from hsx.pairs.cells import Given, checked, readable
from hsx.pairs.inline import Inline
from hsx.pairs.labels import Labels, numbered
from hsx.pairs.pairing import PairList, Row, safe_stem
from hsx.pairs.rows import CHUNK, COLUMNS, Cells, Rows, lines_of, open_rows

log = logging.getLogger("hsx")


def read_table(table: Path | Sequence[dict]) -> PairList:
    """The pairs of a CSV, TSV, JSONL or Parquet table with the columns content, style and optionally mask, gamma, seed
    and output; paths in it are relative to it.  Or those of such rows as mappings, relative to the current folder.

    Raises:
        HsxError: for a file that is no such table.  A bad row fails by itself.
    """
    rows = open_rows(table) if isinstance(table, Path) else Inline(table)
    path = rows.path
    lacking = [name for name in COLUMNS[:2] if name not in rows.columns]
    if lacking:
        raise HsxError(
            f"{path}: expected the columns content and style, got {_named(rows.columns) or 'none'}; "
            + " and ".join(_mended(name, rows.columns) for name in lacking)
        )
    twice = [name for name in dict.fromkeys(rows.columns) if name and rows.columns.count(name) > 1]
    if twice:
        raise HsxError(f"{path}: expected each column once, got {_named(twice)} twice; rename one or take it away")
    pairs = _Table(path, rows)
    unknown = [name for name in rows.columns if name not in COLUMNS]
    if unknown:
        log.warning("%s: the columns %s are ignored; known are %s", path, _named(unknown), ", ".join(COLUMNS))
    return pairs


def _parts(n: int) -> Iterator[slice]:
    """``n`` rows in parts of at most CHUNK."""
    return (slice(begin, begin + CHUNK) for begin in range(0, n, CHUNK))


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
        places, bad, content, style = array("q"), array("q"), _Column(), _Column()
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
                    if rows.quoted and not self._whole(given):
                        _swallowed(cells)
                except HsxError:
                    given = readable(cells)  # so that no name changes when it is corrected
                    bad.append(i)
                if given.output is not None:
                    names[i] = given.output
                contents.append(given.content)
                styles.append(given.style)
            if not contents:
                break
            content.add(contents)
            style.add(styles)
            own.append((list(names), Labels.of(list(names.values()))))
        if not places:
            raise HsxError(f"{path}: expected a row a pair, got none; add some")
        self._places, self._bad = np.frombuffer(places, np.int64), np.array(bad, np.int64)
        of_content, of_style = content.distinct(), style.distinct()
        between = Labels.of(["__"])
        all_names = Labels.joint(
            [
                *(
                    of_content.stems.take(of_content.index[p]) + between + of_style.stems.take(of_style.index[p])
                    for p in _parts(len(places))
                ),
                *(Labels.of([f"row-{i + 1}" for i in bad[p]]) for p in _parts(len(bad))),
            ]
        )
        for index, labels in own:
            all_names.put(index, labels)
        self._numbers = all_names.numbers()
        self._content, firsts, self._content_numbers = of_content.without(self._bad)
        self.contents = _Paths(self, firsts, "content")
        self._style, firsts, self._style_numbers = of_style.without(self._bad)
        self.styles = _Paths(self, firsts, "style")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, i: int) -> Row:
        i = range(len(self))[i]
        given = self.given(i)
        content, style = int(self._content[i]), int(self._style[i])
        base = given.output or "__".join(
            (
                numbered(safe_stem(given.content), int(self._content_numbers[content])),
                numbered(safe_stem(given.style), int(self._style_numbers[style])),
            )
        )
        mask = None if given.mask is None else self.located(given.mask)
        return Row(numbered(base, int(self._numbers[i])), content, style, mask, given.gamma, given.seed)

    def name(self, i: int) -> str:
        """See ``PairList``: a bad row is called by its number."""
        if self._content[i] >= 0:
            return self[i].name
        return numbered(f"row-{i + 1}", int(self._numbers[len(self) + np.searchsorted(self._bad, i)]))

    def indices(self) -> tuple[np.ndarray, np.ndarray]:
        """See ``PairList``."""
        return self._content, self._style

    def located(self, text: str) -> Path:
        """Where a path of the table is."""
        return resolve(text) if text.startswith((SCHEME, "~")) else self.path.parent / text

    def _whole(self, given: Given) -> bool:
        """Whether paths over several lines are files' names: a quote left open swallows the rows behind it."""
        return all(os.path.lexists(self.located(text)) for text in given[:3] if text and "\n" in text)

    def given(self, i: int) -> Given:
        """What row ``i`` says.  Raises HsxError for a bad one."""
        return self.read(i, checked if self._content[i] >= 0 else _swallowed)

    def read(self, i: int, what: Callable[[Cells], Given]) -> Given:
        """What the cells of row ``i`` are by ``what``."""
        try:
            return what(self.rows.at(int(self._places[i])))
        except HsxError as error:
            raise HsxError(f"{self.path} row {i + 1}: {error}") from None


def _swallowed(cells: Cells) -> Given:
    """Why a row is bad: for what its cells say, or else for the lines in its paths."""
    path = max(filter(None, checked(cells)[:3]), key=lambda text: text.count("\n"))
    raise HsxError(
        f"expected a path, got one whose quote spans {lines_of(path)} and that is not there "
        f"({shown(path):.80}); close the quote, or check the path"
    )


class _Paths(Sequence):
    """The distinct pictures of a column, each read from the row where it comes first, be that a bad one."""

    def __init__(self, table: _Table, firsts: np.ndarray, column: str) -> None:
        self.table, self.firsts, self.column = table, firsts, column

    def __len__(self) -> int:
        return len(self.firsts)

    def __getitem__(self, k: int) -> Path:  # type: ignore[override]
        return self.table.located(getattr(self.table.read(int(self.firsts[k]), readable), self.column))


@dataclass
class _Distinct:
    """The paths in a column once each: of every row the number of its own, -1 for an empty one; by this number the
    first rows, what makes the stems their own, and the stems with it, an empty one last.
    """

    index: np.ndarray
    firsts: np.ndarray
    numbers: np.ndarray
    stems: Labels

    def without(self, bad: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``index``, ``firsts`` and ``numbers`` of the paths that are left without the rows ``bad``."""
        self.index[bad] = -1
        left = np.unique(self.index)
        left = left[left >= 0]
        renumbered = np.full(len(self.firsts) + 1, -1, np.int32)
        renumbered[left] = np.arange(len(left))
        return renumbered[self.index], self.firsts[left], self.numbers[left]


class _Column:
    """The paths in a column, added by the chunk: of each its hash is kept, and of the first in a chunk its stem."""

    def __init__(self) -> None:
        self.hashes: list[np.ndarray] = []
        self.rows: list[np.ndarray] = []  # of the stems
        self.stems: list[Labels] = []

    def add(self, paths: Sequence[str]) -> None:
        """The next rows' paths, empty ones where nobody can know."""
        hashes = np.array([hash(path) for path in paths], np.int64)  # only their equality is used
        rows = np.sort(np.unique(hashes, return_index=True)[1])
        self.rows.append(rows.astype(np.int32) + CHUNK * len(self.rows))
        self.stems.append(Labels.of([safe_stem(paths[row]) for row in rows]))
        self.hashes.append(hashes)

    def distinct(self) -> _Distinct:
        """The paths once each, in the order of their first rows."""
        index, firsts, stems = self._distinct()
        numbers = stems.numbers()
        return _Distinct(index, firsts, numbers, stems.numbered(numbers))

    def _distinct(self) -> tuple[np.ndarray, np.ndarray, Labels]:
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

"""Which contents go with which styles, and what their results are called, without a Python object a pair."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hsx.errors import HsxError
from hsx.pairs.labels import Labels, folded, numbered

STEM_BYTES = 100  # of a picture's stem in a name, at most
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff/\\:*?"<>|]')


class Row(NamedTuple):
    """A pair: its result's name (below the output folder, without .png), its pictures' numbers, its own options."""

    name: str
    content: int
    style: int
    mask: Path | None = None
    gamma: float | None = None
    seed: int | None = None


class PairList(ABC):
    """Pairs of distinct contents and styles, the same in every process.  Row by row is slow, ``indices`` is quick."""

    contents: Sequence[Path]
    styles: Sequence[Path]
    grid: bool = False  # whether pair i is content i // M with style i % M

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, i: int) -> Row:
        """Pair ``i``.  Raises HsxError for a bad row of a table."""

    def name(self, i: int) -> str:
        """The name of pair ``i``, also of a bad row."""
        return self[i].name

    @abstractmethod
    def indices(self) -> tuple[np.ndarray, np.ndarray]:
        """The content's and the style's number of each pair, int32; -1 where a table's row is bad."""


def product(contents: Sequence[Path], styles: Sequence[Path]) -> PairList:
    """Each content with each style, content by content; a picture that is given twice counts once."""
    return _Product(_distinct(contents)[0], _distinct(styles)[0])


def zipped(contents: Sequence[Path], styles: Sequence[Path]) -> PairList:
    """The first content with the first style, and so on; a picture may be given in several places."""
    if len(contents) != len(styles):
        raise HsxError(
            f"data.pairing: expected as many contents as styles to zip, got {len(contents)} and "
            f"{len(styles)}; use product, or folders or lists of equal length"
        )
    (contents, of_content), (styles, of_style) = _distinct(contents), _distinct(styles)
    return _Listed(contents, styles, of_content, of_style)


def random_pairs(contents: Sequence[Path], styles: Sequence[Path], per_content: int, seed: int) -> PairList:
    """Each content with ``per_content`` different styles, whose draw depends on ``seed`` and its number alone."""
    contents, styles = _distinct(contents)[0], _distinct(styles)[0]
    if not 0 < per_content <= len(styles):
        raise HsxError(
            f"data.per_content: expected from 1 to as many as there are styles ({len(styles)}), got "
            f"{per_content}; ask for fewer, or add styles"
        )
    drawn = np.empty((len(contents), per_content), np.int32)
    for i, styles_of_i in enumerate(drawn):
        styles_of_i[:] = np.random.default_rng((seed, i)).choice(len(styles), per_content, replace=False)
    return _Listed(contents, styles, np.repeat(np.arange(len(contents), dtype=np.int32), per_content), drawn.ravel())


class _Product(PairList):
    grid = True

    def __init__(self, contents: Sequence[Path], styles: Sequence[Path]) -> None:
        self.contents, self.styles = contents, styles
        self._columns = _distinct_stems(styles)
        self._rows = _unambiguous(_distinct_stems(contents), self._columns)

    def __len__(self) -> int:
        return len(self._rows) * len(self._columns)

    def __getitem__(self, i: int) -> Row:
        content, style = divmod(range(len(self))[i], len(self._columns))
        return Row(f"{self._rows[content]}__{self._columns[style]}", content, style)

    def indices(self) -> tuple[np.ndarray, np.ndarray]:
        n, m = len(self._rows), len(self._columns)
        return np.repeat(np.arange(n, dtype=np.int32), m), np.tile(np.arange(m, dtype=np.int32), n)


class _Listed(PairList):
    def __init__(
        self, contents: Sequence[Path], styles: Sequence[Path], of_content: np.ndarray, of_style: np.ndarray
    ) -> None:
        self.contents, self.styles = contents, styles
        self._rows, self._columns = _distinct_stems(contents), _distinct_stems(styles)
        self._of_content, self._of_style = of_content, of_style
        rows, columns = Labels.of([f"{row}__" for row in self._rows]), Labels.of(self._columns)
        self._numbers = (rows.take(of_content) + columns.take(of_style)).numbers()

    def __len__(self) -> int:
        return len(self._of_content)

    def __getitem__(self, i: int) -> Row:
        content, style = int(self._of_content[i]), int(self._of_style[i])
        return Row(numbered(f"{self._rows[content]}__{self._columns[style]}", self._numbers[i]), content, style)

    def indices(self) -> tuple[np.ndarray, np.ndarray]:
        return self._of_content, self._of_style


def safe_stem(path: str) -> str:
    """The file name in ``path`` without its suffix, made safe."""
    name = path[path.rfind("/") + 1 :]
    dot = name.rfind(".")
    return safe(name[:dot] if 0 < dot < len(name) - 1 else name)


def safe(text: str) -> str:
    """``text`` as a file name, or part of one, that every system takes."""
    text = _UNSAFE.sub("_", text).strip() or "_"
    if text[0] == ".":
        text = "_" + text[1:]
    if len(text) > STEM_BYTES // 4 and len(encoded := text.encode()) > STEM_BYTES:
        text = f"{encoded[: STEM_BYTES - 9].decode(errors='ignore')}-{hashlib.sha256(encoded).hexdigest()[:8]}"
    return text


def _distinct(paths: Sequence[Path]) -> tuple[list[Path], np.ndarray]:
    """Each path once, in the order of their first places, and the number of the one in each place."""
    numbers: dict[Path, int] = {}
    index = [numbers.setdefault(path, len(numbers)) for path in paths]
    return list(numbers), np.array(index, np.int32)


def _distinct_stems(paths: Sequence[Path]) -> list[str]:
    """The pictures' safe stems; of equal ones the later are numbered."""
    stems = [safe_stem(str(path)) for path in paths]
    return [numbered(*each) for each in zip(stems, Labels.of(stems).numbers(), strict=True)]


def _unambiguous(contents: list[str], styles: list[str]) -> list[str]:
    """``contents``, numbered where ``content__style`` would be the name of two pairs (a with b__c and a__b with c)."""
    known, columns = {folded(content) for content in contents}, {folded(style) for style in styles}
    double: dict[bytes, bool] = {}

    def read_twice(content: bytes) -> bool:
        for i in range(1, len(content)):
            tail = content[i:]
            if content[i] == ord("_") and content[:i] in known:
                if tail not in double:
                    twice = (tail + b"__" + column for column in columns)
                    double[tail] = any(name[:2] == b"__" and name[2:] in columns for name in twice)
                if double[tail]:
                    return True
        return False

    result = []
    for content in contents:
        name, number = content, 1
        while read_twice(folded(name)) or (number > 1 and folded(name) in known):
            number += 1
            name = numbered(content, number)
        known.add(folded(name))
        result.append(name)
    return result

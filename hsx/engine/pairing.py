"""Which contents go with which styles, and what their results are called, without a Python object a pair."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hsx.errors import HsxError

STEM_BYTES = 100  # of a picture's stem in a name, at most
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff/\\:*?"<>|]')
_BASE = 0x9E3779B97F4A7C15  # of Labels: any large odd number that is 5 mod 8


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
    """Each content with each style, content by content."""
    return _Product(contents, styles)


def zipped(contents: Sequence[Path], styles: Sequence[Path]) -> PairList:
    """The first content with the first style, and so on."""
    if len(contents) != len(styles):
        raise HsxError(f"data.pairing: expected as many contents as styles to zip, got {len(contents)} and "
                       f"{len(styles)}; use product, or folders of equal length")
    each = np.arange(len(contents), dtype=np.int32)
    return _Listed(contents, styles, each, each)


def random_pairs(contents: Sequence[Path], styles: Sequence[Path], per_content: int, seed: int) -> PairList:
    """Each content with ``per_content`` different styles, whose draw depends on ``seed`` and its number alone."""
    if not 0 < per_content <= len(styles):
        raise HsxError(f"data.per_content: expected from 1 to as many as there are styles ({len(styles)}), got "
                       f"{per_content}; ask for fewer, or add styles")
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
    def __init__(self, contents: Sequence[Path], styles: Sequence[Path], of_content: np.ndarray, of_style: np.ndarray
                 ) -> None:
        self.contents, self.styles = contents, styles
        self._rows, self._columns = _distinct_stems(contents), _distinct_stems(styles)
        self._of_content, self._of_style = of_content, of_style
        self._numbers = Labels.of(self._rows).take(of_content).joined(Labels.of(self._columns).take(of_style)).numbers()

    def __len__(self) -> int:
        return len(self._of_content)

    def __getitem__(self, i: int) -> Row:
        content, style = int(self._of_content[i]), int(self._of_style[i])
        return Row(numbered(f"{self._rows[content]}__{self._columns[style]}", self._numbers[i]), content, style)

    def indices(self) -> tuple[np.ndarray, np.ndarray]:
        return self._of_content, self._of_style


def safe_stem(path: str) -> str:
    """The file name in ``path`` without its suffix, made safe."""
    name = path[path.rfind("/") + 1:]
    dot = name.rfind(".")
    return safe(name[:dot] if 0 < dot < len(name) - 1 else name)


def safe(text: str) -> str:
    """``text`` as a file name, or part of one, that every system takes."""
    text = _UNSAFE.sub("_", text).strip() or "_"
    if text[0] == ".":
        text = "_" + text[1:]
    if len(text) > STEM_BYTES // 4 and len(encoded := text.encode()) > STEM_BYTES:
        text = f"{encoded[:STEM_BYTES - 9].decode(errors='ignore')}-{hashlib.sha256(encoded).hexdigest()[:8]}"
    return text


def numbered(text: str, number: int) -> str:
    """``text~number``, or ``text`` alone for number 0."""
    return f"{text}~{number}" if number else text


@dataclass(frozen=True)
class Labels:
    """Texts of which only equality is asked, whatever the case: 16 bytes each, the same in every process.

    The value of a text of bytes b is the sum of b[i] * BASE**i (mod 2**64), its shift BASE**len(b), so that the value
    of texts put together follows from theirs.  Two different texts may come out equal (about 1 in 10**7 of lists of
    a million); then one is numbered without need.
    """

    value: np.ndarray  # (n,) uint64
    shift: np.ndarray  # (n,) uint64

    @classmethod
    def of(cls, texts: Sequence[str]) -> Labels:
        """The labels of texts without NULs."""
        return cls._of(np.array([_folded(text) for text in texts], dtype="S"))

    @classmethod
    def _of(cls, texts: np.ndarray) -> Labels:
        width = texts.dtype.itemsize
        codes = texts.view(np.uint8).reshape(len(texts), width)
        powers = np.cumprod(np.array([1] + [_BASE] * width, np.uint64), dtype=np.uint64)
        value = np.zeros(len(texts), np.uint64)
        for i in range(width):
            value += codes[:, i] * powers[i]
        return cls(value, powers[np.char.str_len(texts)])

    def __add__(self, other: Labels) -> Labels:
        """Each text of this with its text of ``other`` behind it."""
        return Labels(self.value + self.shift * other.value, self.shift * other.shift)

    def joined(self, styles: Labels) -> Labels:
        """The names of pairs: each content of this with its style."""
        return self + Labels.of(["__"]) + styles

    @classmethod
    def joint(cls, parts: Sequence[Labels]) -> Labels:
        """The labels of several lists, one after the other."""
        return cls(np.concatenate([part.value for part in parts]), np.concatenate([part.shift for part in parts]))

    def put(self, index: np.ndarray, other: Labels) -> Labels:
        """These labels, with those of ``other`` at ``index``."""
        value, shift = self.value.copy(), self.shift.copy()
        value[index], shift[index] = other.value, other.shift
        return Labels(value, shift)

    def take(self, index: np.ndarray) -> Labels:
        """The labels at ``index``."""
        return Labels(self.value[index], self.shift[index])

    def numbered(self, numbers: np.ndarray) -> Labels:
        """Each text as ``numbered`` writes it."""
        tail = Labels.of(["~"]) + Labels._of(numbers.astype("S11"))
        some = numbers > 0
        return self + Labels(np.where(some, tail.value, np.uint64(0)), np.where(some, tail.shift, np.uint64(1)))

    def numbers(self) -> np.ndarray:
        """What makes each text its own: 0 for the first of its kind, then 2, 3, …, but what texts here end in."""
        order = np.argsort(self.value, kind="stable")
        ordered, place = self.value[order], np.arange(len(order))
        first = np.r_[True, ordered[1:] != ordered[:-1]][:len(order)]
        rank = place - np.maximum.accumulate(np.where(first, place, 0))
        numbers = np.where(rank, rank + 1, 0).astype(np.int32)

        def taken(labels: Labels) -> np.ndarray:
            return ordered[np.searchsorted(ordered, labels.value).clip(max=len(ordered) - 1)] == labels.value

        later = np.flatnonzero(rank)
        clash = later[taken(self.take(order[later]).numbered(numbers[later]))]
        for start in np.unique(clash - rank[clash]):
            end = np.searchsorted(ordered, ordered[start], "right")
            free, tried = np.empty(0, np.int32), end - start
            while len(free) < end - start - 1:
                tried *= 2
                free = np.arange(2, tried + 2, dtype=np.int32)
                free = free[~taken(self.take(order[start:start + 1]).numbered(free))]
            numbers[start + 1:end] = free[:end - start - 1]
        result = np.empty_like(numbers)
        result[order] = numbers
        return result


def _folded(text: str) -> bytes:
    return text.lower().encode() if text.isascii() else unicodedata.normalize("NFC", text.casefold()).encode()


def _distinct_stems(paths: Sequence[Path]) -> list[str]:
    """The pictures' safe stems; of equal ones the later are numbered."""
    stems = [safe_stem(str(path)) for path in paths]
    return [numbered(*each) for each in zip(stems, Labels.of(stems).numbers(), strict=True)]


def _unambiguous(contents: list[str], styles: list[str]) -> list[str]:
    """``contents``, numbered where ``content__style`` would be the name of two pairs (a with b__c and a__b with c)."""
    known, columns = {_folded(content) for content in contents}, {_folded(style) for style in styles}
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
        while read_twice(_folded(name)) or (number > 1 and _folded(name) in known):
            number += 1
            name = numbered(content, number)
        known.add(_folded(name))
        result.append(name)
    return result

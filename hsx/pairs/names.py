"""Names of results: safe on every file system, and no two alike, without a Python object a pair."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

STEM_BYTES = 100  # of a picture's stem in a name, at most
CHUNK = 8192  # texts or rows that are Python objects at once
BASE = np.uint64(0x9E3779B97F4A7C15)  # any large odd number that is 5 mod 8
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff/\\:*?"<>|]')
_ENDING = re.compile(rb"~[0-9a-f]{8}(-\d+)?$")


def safe(text: str) -> str:
    """``text`` as a file name, or part of one, that every system takes."""
    text = _UNSAFE.sub("_", text).strip() or "_"
    if text[0] == ".":
        text = "_" + text[1:]
    if len(text) > STEM_BYTES // 4 and len(encoded := text.encode()) > STEM_BYTES:
        text = f"{encoded[: STEM_BYTES - 9].decode(errors='ignore')}-{hashlib.sha256(encoded).hexdigest()[:8]}"
    return text


def safe_stem(path: str) -> str:
    """The file name in ``path`` without its suffix, made safe."""
    name = path[path.rfind("/") + 1 :]
    dot = name.rfind(".")
    return safe(name[:dot] if 0 < dot < len(name) - 1 else name)


def folded(text: str) -> bytes:
    """What two names have in common that are one to a file system that ignores case."""
    return text.lower().encode() if text.isascii() else unicodedata.normalize("NFC", text.casefold()).encode()


@dataclass(frozen=True)
class Column:
    """The cells of a column: its distinct texts, and which one each row has, int32; -1 for none."""

    texts: Sequence[str]
    numbers: np.ndarray


class Keys(NamedTuple):
    """Numbers that stand for texts: a million names are compared by the keys of their stems.

    A key is the value of a polynomial in BASE whose coefficients are the text's bytes, modulo 2**64, so
    ``key(a + b) = key(a) + factor(a) * key(b)``.  It is the same in every process.  Two different texts have the same
    key in about one of 10**7 lists of a million.
    """

    values: np.ndarray  # (n,) of uint64
    factors: np.ndarray  # (n,) of uint64
    ended: np.ndarray  # (n,) of bool: which look like names that ``Endings`` has ended

    @classmethod
    def of(cls, texts: Sequence[str], as_bytes: Callable[[str], bytes]) -> Keys:
        """The keys of texts as bytes without NULs, and behind them that of no text, which the number -1 finds."""
        parts = [cls._of([*map(as_bytes, texts[i : i + CHUNK])]) for i in range(0, len(texts), CHUNK)]
        return cls(*(np.concatenate(columns) for columns in zip(*parts, cls._of([b""]), strict=True)))

    @classmethod
    def _of(cls, texts: Sequence[bytes]) -> Keys:
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        letters = np.frombuffer(b"\0".join([*texts, b""]), np.uint8)  # the NULs count for nothing
        starts = np.cumsum(lengths + 1) - lengths - 1
        powers = np.power(BASE, np.arange(lengths.max() + 1, dtype=np.uint64))
        terms = letters * powers[np.arange(len(letters)) - np.repeat(starts, lengths + 1)]
        ended = (b"~" in text and _ENDING.search(text) is not None for text in texts)
        return cls(np.add.reduceat(terms, starts), powers[lengths], np.fromiter(ended, bool, len(texts)))


class Endings:
    """What is added to the names ``content__style`` of pairs, so that no two of them are called alike.

    A name that several pairs would have, whatever the case, ends in ``~`` and a hash of eight digits of all in which
    these pairs may differ: their paths as they were given and their own options.  Pairs that are equal in everything,
    or have the same hash, have their number in the list behind that: ``a__b~1f0c52d9-7``.  A name that looks as if it
    had such an ending already gets another one.

    Args:
        content, style: the paths, as they were given.
        options: what else the pairs may differ in; None is a column without texts.
        outputs: keys of names that pairs have of their own instead, and which one each pair has, -1 for none.
        bad: numbers of pairs called ``row-1``, ``row-2``, … by their number; no other name changes for these.
    """

    def __init__(
        self,
        content: Column,
        style: Column,
        options: Sequence[Column | None] = (),
        outputs: tuple[Keys, np.ndarray] | None = None,
        bad: Sequence[int] = (),
    ) -> None:
        first = Keys.of(content.texts, lambda path: folded(safe_stem(path)) + b"__")
        second = Keys.of(style.texts, lambda path: folded(safe_stem(path)))
        names = second.values[style.numbers]
        names *= first.factors[content.numbers]
        names += first.values[content.numbers]
        clashing = second.ended[style.numbers]
        del first, second
        if outputs is not None:
            own, numbers = outputs
            names = np.where(numbers < 0, names, own.values[numbers])
            clashing = np.where(numbers < 0, clashing, own.ended[numbers])
        clashing |= _repeated(names)
        if len(bad):
            clashing[bad] = np.isin(Keys.of([f"row-{i + 1}" for i in bad], str.encode).values[:-1], names)
        self._pairs, names = np.flatnonzero(clashing).astype(np.int32), names[clashing]
        hashes = np.zeros_like(names)
        for column in (content, style, *options) if len(names) else ():
            keys = Keys.of(column.texts, encoded).values[column.numbers[self._pairs]] if column else np.uint64(0)
            hashes = _mixed(hashes, keys)
        self._hashes = (hashes >> np.uint64(32)).astype(np.uint32)
        self._equal = _repeated(_mixed(names, self._hashes))

    def __getitem__(self, i: int) -> str:
        k = bisect_left(self._pairs, i)
        if k == len(self._pairs) or self._pairs[k] != i:
            return ""
        return f"~{self._hashes[k]:08x}" + (f"-{i + 1}" if self._equal[k] else "")


def encoded(path: str) -> bytes:
    """A path as bytes, also one that is not UTF-8."""
    return path.encode("utf-8", "surrogatepass")


def _mixed(hashes: np.ndarray, values: np.ndarray | np.uint64) -> np.ndarray:
    """Hashes that depend on these and on a value each."""
    hashes = (hashes ^ values) * BASE
    return (hashes ^ (hashes >> np.uint64(32))) * BASE


def _repeated(values: np.ndarray) -> np.ndarray:
    """Which values occur more than once, (n,) of bool."""
    ordered = np.sort(values)
    several = ordered[1:][ordered[1:] == ordered[:-1]]
    del ordered
    if not len(several):
        return np.zeros(len(values), bool)
    several = np.append(several, several[-1])  # for what is above the last
    parts = np.array_split(values, len(values) // CHUNK + 1)  # so that little memory is taken at once
    return np.concatenate([several[np.searchsorted(several[:-1], part)] == part for part in parts])

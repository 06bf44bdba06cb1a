"""Names by the million as numbers, so that no two results have one name."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BASE = np.uint64(0x9E3779B97F4A7C15)  # any large odd number that is 5 mod 8


def numbered(text: str, number: int) -> str:
    """``text~number``, or ``text`` alone for number 0."""
    return f"{text}~{number}" if number else text


def folded(text: str) -> bytes:
    """What two texts share that are one name to a file system that ignores case."""
    return text.lower().encode() if text.isascii() else unicodedata.normalize("NFC", text.casefold()).encode()


@dataclass(frozen=True)
class Labels:
    """Texts of which only equality is asked, whatever the case: 12 bytes each, the same in every process.

    The value of a text is the number whose digits its bytes are, the first the lowest, in base BASE and modulo 2**64.
    A text behind another is that many digits higher, so the value of two texts put together follows from theirs: the
    names of a million pairs from their contents' and styles', without a text for each.  Two different texts may come
    out equal (about 1 in 10**7 of lists of a million); then one is numbered without need.
    """

    value: np.ndarray  # (n,) uint64
    length: np.ndarray  # (n,) int32, in bytes

    @classmethod
    def of(cls, texts: Sequence[str]) -> Labels:
        """The labels of texts without NULs."""
        return cls._of(np.array([folded(text) for text in texts], dtype="S"))

    @classmethod
    def _of(cls, texts: np.ndarray) -> Labels:
        width = texts.dtype.itemsize
        bytes_of = texts.view(np.uint8).reshape(len(texts), width)
        value = np.zeros(len(texts), np.uint64)
        for i in range(width):
            value += bytes_of[:, i] * _power(i)
        return cls(value, np.char.str_len(texts).astype(np.int32))

    def __add__(self, other: Labels) -> Labels:
        """Each text of this with its text of ``other`` behind it."""
        return Labels(self.value + _power(self.length) * other.value, self.length + other.length)

    @classmethod
    def joint(cls, parts: Sequence[Labels]) -> Labels:
        """The labels of several lists, one after the other."""
        return cls(np.concatenate([part.value for part in parts]), np.concatenate([part.length for part in parts]))

    def put(self, index: Sequence[int], other: Labels) -> None:
        """Take those of ``other`` in at ``index``."""
        self.value[index], self.length[index] = other.value, other.length

    def take(self, index: np.ndarray) -> Labels:
        """The labels at ``index``."""
        return Labels(self.value[index], self.length[index])

    def numbered(self, numbers: np.ndarray) -> Labels:
        """Each text as ``numbered`` writes it."""
        tail = Labels.of(["~"]) + Labels._of(numbers.astype("S11"))
        return self + Labels(np.where(numbers, tail.value, np.uint64(0)), np.where(numbers, tail.length, 0))

    def numbers(self) -> np.ndarray:
        """What makes each text its own: 0 for the first of its kind, then 2, 3, …, but what texts here end in."""
        order = np.argsort(self.value, kind="stable")
        ordered, numbers = self.value[order], np.arange(len(order), dtype=np.int32)
        first = np.r_[True, ordered[1:] != ordered[:-1]][: len(order)]
        numbers -= np.maximum.accumulate(np.where(first, numbers, 0))
        numbers += numbers > 0

        def taken(labels: Labels) -> np.ndarray:
            return ordered[np.searchsorted(ordered, labels.value).clip(max=len(ordered) - 1)] == labels.value

        later = np.flatnonzero(numbers)
        parts = np.array_split(later, len(later) // 10_000 + 1)
        clash = np.concatenate([p[taken(self.take(order[p]).numbered(numbers[p]))] for p in parts])
        for start in np.unique(clash - numbers[clash] + 1):
            end = np.searchsorted(ordered, ordered[start], "right")
            free, tried = np.empty(0, np.int32), end - start
            while len(free) < end - start - 1:
                tried *= 2
                free = np.arange(2, tried + 2, dtype=np.int32)
                free = free[~taken(self.take(order[start : start + 1]).numbered(free))]
            numbers[start + 1 : end] = free[: end - start - 1]
        result = np.empty_like(numbers)
        result[order] = numbers
        return result


def _power(exponent: np.ndarray | int) -> np.ndarray:
    return np.power(BASE, np.asarray(exponent, np.uint64))

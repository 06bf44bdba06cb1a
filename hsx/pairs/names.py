"""Names of results: safe on every file system, and no two alike, without a Python object a pair."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

STEM_BYTES = 100  # of a picture's stem in a name, at most
CHUNK = 1024  # texts that are bytes at once
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
    return encoded(text.lower() if text.isascii() else unicodedata.normalize("NFC", text.casefold()))


def encoded(text: str) -> bytes:
    """A text as bytes, also one that is not UTF-8."""
    return text.encode("utf-8", "surrogatepass")


class Column(NamedTuple):
    """The cells of a column: what distinct ones there are, and the number of each row's, int32."""

    values: list[Any]  # "" where nothing is given
    numbers: np.ndarray

    def value(self, i: int) -> Any:
        """The cell of row ``i``; None where nothing is given."""
        value = self.values[self.numbers[i]]
        return None if value == "" else value


class Keys(NamedTuple):
    """Numbers that stand for texts: a million names are compared by the keys of their stems.

    A key is the value of a polynomial in BASE whose coefficients are the text's bytes, modulo 2**64, so
    ``key(a + b) = key(a) + factor(a) * key(b)``.  It is the same in every process.  Two different texts have the same
    key in about one of 10**7 lists of a million.
    """

    values: np.ndarray  # (n,) of uint64
    factors: np.ndarray  # (n,) of uint64
    ended: np.ndarray  # (n,) of bool: which look like names that ``Names`` has ended

    @classmethod
    def of(cls, texts: Sequence[Any], as_bytes: Callable[[Any], bytes]) -> Keys:
        """The keys of texts, at least one, as bytes without NULs."""
        parts = []
        for i in range(0, len(texts), CHUNK):
            chunk = [*map(as_bytes, texts[i : i + CHUNK])]
            padded = np.array(chunk)  # with NULs, which count for nothing
            powers = np.power(BASE, np.arange(padded.itemsize + 1, dtype=np.uint64))
            values = padded.view(np.uint8).reshape(len(chunk), -1) @ powers[:-1]
            ended = np.array([b"~" in text and bool(_ENDING.search(text)) for text in chunk])
            parts.append(cls(values, powers[np.char.str_len(padded)], ended))
        return cls(*map(np.concatenate, zip(*parts, strict=True)))


class Names:
    """The names of pairs' results, no two alike whatever the case: ``content__style`` after their stems.

    Of several pairs that would have one name the first has it, so that a list may grow; those of the others end in
    ``~`` and a hash of eight digits of all in which the pairs may differ: their paths as they were given and their own
    options.  A pair that is equal to an earlier one in everything, or has the same hash, has its number in the list
    behind that: ``a__b~1f0c52d9-7``.  A name that looks as if it had such an ending already gets another one.

    Args:
        content, style: the paths, as they were given.
        options: what else the pairs may differ in.
        outputs: names that pairs have of their own instead; number 0 stands for none.
        bad: numbers of pairs called ``row-1``, ``row-2``, … by their number; no other name changes for these.
    """

    def __init__(
        self,
        content: Column,
        style: Column,
        options: Sequence[Column] = (),
        outputs: Column | None = None,
        bad: Collection[int] = (),
    ) -> None:
        self._content, self._style, self._outputs, self._bad = content, style, outputs, bad
        first = Keys.of(content.values, lambda path: folded(safe_stem(path)) + b"__")
        second = Keys.of(style.values, lambda path: folded(safe_stem(path)))
        names = second.values[style.numbers]
        names *= first.factors[content.numbers]
        names += first.values[content.numbers]
        clashing = second.ended[style.numbers]
        del first, second  # to free their memory
        if outputs:
            named = np.flatnonzero(outputs.numbers)
            own, numbers = Keys.of(outputs.values, folded), outputs.numbers[named]
            names[named], clashing[named] = own.values[numbers], own.ended[numbers]
        clashing |= _later(names)
        if bad:
            rows = Keys.of([f"row-{i + 1}" for i in bad], str.encode)
            clashing[[*bad]] = np.isin(rows.values, names)
        hashes = np.zeros_like(names)
        for column in (content, style, *options) if clashing.any() else ():
            keys = Keys.of(column.values, lambda value: encoded(str(value)))
            hashes = _mixed(hashes, keys.values[column.numbers])
        self._clashing, self._hashes = clashing, (hashes >> np.uint64(32)).astype(np.uint32)
        mixed = _mixed(names, self._hashes)
        self._equal = clashing & _later(mixed)

    def __getitem__(self, i: int) -> str:
        if i in self._bad:
            name = f"row-{i + 1}"
        elif not (self._outputs and (name := self._outputs.value(i))):
            name = f"{safe_stem(self._content.value(i))}__{safe_stem(self._style.value(i))}"
        ending = f"~{self._hashes[i]:08x}" if self._clashing[i] else ""
        return name + ending + (f"-{i + 1}" if self._equal[i] else "")


def _mixed(hashes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Hashes that depend on these and on a value each."""
    hashes = (hashes ^ values) * BASE
    hashes ^= hashes >> np.uint64(32)
    hashes *= BASE
    return hashes


def _later(values: np.ndarray) -> np.ndarray:
    """Which values have occurred before, (n,) of bool."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    later = np.zeros(len(values), bool)
    later[order[1:][ordered[1:] == ordered[:-1]]] = True
    return later

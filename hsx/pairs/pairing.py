"""Which contents go with which styles, and what their results are called, without a Python object a pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hsx.errors import HsxError
from hsx.pairs.names import Column, Names


class Row(NamedTuple):
    """A pair: its result's name (below the output folder, without .png), its pictures' numbers, its own options."""

    name: str
    content: int
    style: int
    mask: Path | None = None
    gamma: float | None = None
    seed: int | None = None


class PairList:
    """Pairs of distinct contents and styles, the same in every process.

    Args:
        contents, styles: the distinct pictures.
        content, style: their numbers pair by pair, (n,) of int32; -1 where a table's row is bad.
        names: of the results; by default after the pictures' paths.
        grid: whether pair i is content i // M with style i % M.
    """

    def __init__(
        self,
        contents: Sequence[Path],
        styles: Sequence[Path],
        content: np.ndarray,
        style: np.ndarray,
        names: Names | None = None,
        grid: bool = False,
    ) -> None:
        self.contents, self.styles, self.grid = contents, styles, grid
        self._indices = content, style
        self._names = names or Names(Column([*map(str, contents)], content), Column([*map(str, styles)], style))

    def __len__(self) -> int:
        return len(self._indices[0])

    def __getitem__(self, i: int) -> Row:
        """Pair ``i``.  Raises HsxError for a bad row of a table."""
        i = range(len(self))[i]
        content, style = self._indices
        return Row(self.name(i), int(content[i]), int(style[i]))

    def name(self, i: int) -> str:
        """The name of pair ``i``, also of a bad row."""
        return self._names[i]

    def indices(self) -> tuple[np.ndarray, np.ndarray]:
        """The content's and the style's number of each pair, int32; -1 where a table's row is bad."""
        return self._indices


def product(contents: Sequence[Path], styles: Sequence[Path]) -> PairList:
    """Each content with each style, content by content; a picture that is given twice counts once."""
    contents, styles = list(dict.fromkeys(contents)), list(dict.fromkeys(styles))
    n, m = len(contents), len(styles)
    content, style = np.repeat(np.arange(n, dtype=np.int32), m), np.tile(np.arange(m, dtype=np.int32), n)
    return PairList(contents, styles, content, style, grid=True)


def zipped(contents: Sequence[Path], styles: Sequence[Path]) -> PairList:
    """The first content with the first style, and so on; a picture may be given in several places."""
    n, m = len(contents), len(styles)
    if n != m:
        remedy = "use product, or folders or lists of equal length"
        raise HsxError(f"data.pairing: expected as many contents as styles to zip, got {n} and {m}; {remedy}")
    (contents, content), (styles, style) = _distinct(contents), _distinct(styles)
    return PairList(contents, styles, content, style)


def random_pairs(contents: Sequence[Path], styles: Sequence[Path], per_content: int, seed: int) -> PairList:
    """Each content with ``per_content`` different styles, whose draw depends on ``seed`` and its number alone."""
    contents, styles = list(dict.fromkeys(contents)), list(dict.fromkeys(styles))
    n, m = len(contents), len(styles)
    if not 0 < per_content <= m:
        got = f"got {per_content}; ask for fewer, or add styles"
        raise HsxError(f"data.per_content: expected from 1 to as many as there are styles ({m}), {got}")
    content, style = np.repeat(np.arange(n, dtype=np.int32), per_content), np.empty((n, per_content), np.int32)
    for i in range(n):
        style[i] = np.random.default_rng((seed, i)).choice(m, per_content, replace=False)
    return PairList(contents, styles, content, style.ravel())


def _distinct(paths: Sequence[Path]) -> tuple[list[Path], np.ndarray]:
    """Each path once, in the order of their first places, and the number of the one in each place."""
    numbers = {path: k for k, path in enumerate(dict.fromkeys(paths))}
    return list(numbers), np.array([numbers[path] for path in paths], np.int32)

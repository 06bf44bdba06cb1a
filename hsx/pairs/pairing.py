"""Which contents go with which styles, and what their results are called, without a Python object a pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hsx.errors import HsxError
from hsx.pairs.names import Column, Endings, safe_stem


class Row(NamedTuple):
    """A pair: its result's name (below the output folder, without .png), its pictures' numbers, its own options."""

    name: str
    content: int
    style: int
    mask: Path | None = None
    gamma: float | None = None
    seed: int | None = None


class PairList:
    """Pairs of distinct contents and styles, the same in every process, called ``content__style`` after their stems.

    Names that clash are told apart as ``Endings`` describes: a name depends on its own pair, and on whether that of
    another one would be equal.

    Args:
        contents, styles: the distinct pictures.
        content, style: their numbers pair by pair, (n,) of int32.
        grid: whether pair i is content i // M with style i % M.
    """

    contents: Sequence[Path]
    styles: Sequence[Path]
    grid = False

    def __init__(
        self,
        contents: list[Path],
        styles: list[Path],
        content: np.ndarray,
        style: np.ndarray,
        grid: bool = False,
    ) -> None:
        self.contents, self.styles, self.grid = contents, styles, grid
        self._content, self._style = Column([*map(str, contents)], content), Column([*map(str, styles)], style)
        self._endings = Endings(self._content, self._style)

    def __len__(self) -> int:
        return len(self._content.numbers)

    def __getitem__(self, i: int) -> Row:
        """Pair ``i``.  Raises HsxError for a bad row of a table."""
        i = range(len(self))[i]
        return Row(self.name(i), int(self._content.numbers[i]), int(self._style.numbers[i]))

    def name(self, i: int) -> str:
        """The name of pair ``i``, also of a bad row."""
        return self._base(i) + self._endings[i]

    def _base(self, i: int) -> str:
        return "__".join(safe_stem(column.texts[column.numbers[i]]) for column in (self._content, self._style))

    def indices(self) -> tuple[np.ndarray, np.ndarray]:
        """The content's and the style's number of each pair, int32; -1 where a table's row is bad."""
        return self._content.numbers, self._style.numbers


def product(contents: Sequence[Path], styles: Sequence[Path]) -> PairList:
    """Each content with each style, content by content; a picture that is given twice counts once."""
    contents, styles = list(dict.fromkeys(contents)), list(dict.fromkeys(styles))
    n, m = len(contents), len(styles)
    content, style = np.repeat(np.arange(n, dtype=np.int32), m), np.tile(np.arange(m, dtype=np.int32), n)
    return PairList(contents, styles, content, style, grid=True)


def zipped(contents: Sequence[Path], styles: Sequence[Path]) -> PairList:
    """The first content with the first style, and so on; a picture may be given in several places."""
    if len(contents) != len(styles):
        raise HsxError(
            f"data.pairing: expected as many contents as styles to zip, got {len(contents)} and "
            f"{len(styles)}; use product, or folders or lists of equal length"
        )
    (contents, content), (styles, style) = _distinct(contents), _distinct(styles)
    return PairList(contents, styles, content, style)


def random_pairs(contents: Sequence[Path], styles: Sequence[Path], per_content: int, seed: int) -> PairList:
    """Each content with ``per_content`` different styles, whose draw depends on ``seed`` and its number alone."""
    contents, styles = list(dict.fromkeys(contents)), list(dict.fromkeys(styles))
    if not 0 < per_content <= len(styles):
        raise HsxError(
            f"data.per_content: expected from 1 to as many as there are styles ({len(styles)}), got "
            f"{per_content}; ask for fewer, or add styles"
        )
    drawn = np.empty((len(contents), per_content), np.int32)
    for i, styles_of_i in enumerate(drawn):
        styles_of_i[:] = np.random.default_rng((seed, i)).choice(len(styles), per_content, replace=False)
    return PairList(contents, styles, np.repeat(np.arange(len(contents), dtype=np.int32), per_content), drawn.ravel())


def _distinct(paths: Sequence[Path]) -> tuple[list[Path], np.ndarray]:
    """Each path once, in the order of their first places, and the number of the one in each place."""
    numbers: dict[Path, int] = {}
    index = [numbers.setdefault(path, len(numbers)) for path in paths]
    return list(numbers), np.array(index, np.int32)

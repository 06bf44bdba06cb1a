"""What the names and shapes of a state dict tell: how many there are of a block, how wide it is, which tensor is which.

One tensor that is missing or cut must not mislead: what most tensors say counts, and a single name proves nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from torch import Tensor

from hsx.backbones.fit import Shape, check


class Source(NamedTuple):
    """Where a file keeps a tensor of ``UNet2DModel``: its name there, the shapes it may have, how it is taken out."""

    name: str
    shapes: tuple[Shape, ...]
    take: Callable[[Tensor], Tensor] = lambda tensor: tensor


def take_weights(state: Mapping[str, Tensor], sources: Mapping[str, Source], what: str) -> dict[str, Tensor]:
    """The weights of a ``UNet2DModel`` out of a file with other names and shapes; raises as ``fit.check`` does."""
    check(state, {source.name: source.shapes for source in sources.values()}, what)
    return {name: source.take(state[source.name]) for name, source in sources.items()}


def majority(values: Iterable[int]) -> int | None:
    """The most frequent value, of equally frequent ones the largest."""
    counts = Counter(values)
    return max(counts, key=lambda value: (counts[value], value)) if counts else None


def first_sizes(state: Mapping[str, Tensor], pattern: str) -> list[int]:
    """The first dimension of every weight and bias whose layer's name is this pattern."""
    full = re.compile(rf"(?:{pattern})\.(?:weight|bias)")
    return [len(value) for name, value in state.items() if value.ndim and full.fullmatch(name)]


def count(state: Mapping[str, Tensor], pattern: str) -> int:
    """One more than the largest number that at least two names have where the pattern has its group; else 0."""
    found = Counter(int(m[1]) for m in (re.match(pattern, name) for name in state) if m)
    return 1 + max((number for number, times in found.items() if times > 1), default=-1)


def has(state: Mapping[str, Tensor], pattern: str) -> bool:
    """Whether at least two names begin so."""
    begin = re.compile(pattern)
    return sum(1 for name in state if begin.match(name)) > 1

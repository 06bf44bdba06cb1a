"""Whether a state dict is the whole of a network: the first tensor that does not fit is named as its file names it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from torch import Tensor

from hsx.errors import BackboneError

Shape = tuple[int, ...]


class Source(NamedTuple):
    """Where a file keeps a tensor of ``UNet2DModel``: its name there, the shapes it may have, how it is taken out."""

    name: str
    shapes: tuple[Shape, ...]
    take: Callable[[Tensor], Tensor] = lambda tensor: tensor


def check(state: Mapping[str, Tensor], expected: Mapping[str, tuple[Shape, ...]], what: str) -> None:
    """Every expected tensor and no other, each in one of its shapes.

    Raises:
        BackboneError: that names the first that is missing, the first in excess and the first of another shape.
    """
    wrong = []
    missing = [name for name in expected if name not in state]
    if missing:
        wrong.append(f"{missing[0]} missing{_more(missing)}")
    surplus = [name for name in state if name not in expected]
    if surplus:
        wrong.append(f"{surplus[0]} in excess{_more(surplus)}")
    other = [name for name, shapes in expected.items() if name in state and tuple(state[name].shape) not in shapes]
    if other:
        name = other[0]
        wrong.append(f"{name} of shape {tuple(state[name].shape)} where {expected[name][0]} fits{_more(other)}")
    if wrong:
        raise BackboneError(
            f"expected the whole of {what}, got {' and '.join(wrong)}; look at the options, or save or "
            "fetch the file again"
        )


def _more(names: list[str]) -> str:
    return f" (with {len(names) - 1} more)" if len(names) > 1 else ""


def pulled(state: Mapping[str, Tensor], sources: Mapping[str, Source], what: str) -> dict[str, Tensor]:
    """The weights of a ``UNet2DModel`` out of a file with other names and shapes; raises as ``check`` does."""
    check(state, {source.name: source.shapes for source in sources.values()}, what)
    return {name: source.take(state[source.name]) for name, source in sources.items()}


def agreed(values: Iterable[int]) -> int | None:
    """What most of these say, of equally many the largest: one tensor that is cut must not mislead."""
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


def some(state: Mapping[str, Tensor], pattern: str) -> bool:
    """Whether at least two names begin so: one may be a mistake."""
    begin = re.compile(pattern)
    return sum(1 for name in state if begin.match(name)) > 1

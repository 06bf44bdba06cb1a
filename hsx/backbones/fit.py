"""Whether a state dict is the whole of a network: the first tensor that does not fit is named as its file names it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from hsx.errors import BackboneError

Shape = tuple[int, ...]


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
        raise BackboneError(f"expected the whole of {what}, got {' and '.join(wrong)}; check the options and the file")


def _more(names: list[str]) -> str:
    return f" (with {len(names) - 1} more)" if len(names) > 1 else ""

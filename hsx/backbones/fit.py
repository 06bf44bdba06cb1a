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
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    missing = [f"{name} missing" for name in expected if name not in shapes]
    surplus = [f"{name} in excess" for name in shapes if name not in expected]
    both = [name for name in expected if name in shapes and shapes[name] not in expected[name]]
    other = [f"{name} of shape {shapes[name]} where {expected[name][0]} fits" for name in both]
    kinds = filter(None, (missing, surplus, other))
    if wrong := [f"{first}{f' (with {len(more)} more)' if more else ''}" for first, *more in kinds]:
        raise BackboneError(f"expected the whole of {what}, got {' and '.join(wrong)}; check the options and the file")

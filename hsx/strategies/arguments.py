"""What a strategy's constructor was given, as plain data: what a config takes to make the strategy again."""

from __future__ import annotations

import hashlib
import inspect
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hsx.assets import SCHEME

VARIABLE = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


def given(cls: type, args: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``cls(*args, **options)`` by the constructor's own names, defaults filled in.

    What a constructor hands on as ``*args`` and ``**kwargs`` is named as the next class's constructor names it, and of
    that only what was given.  Wrong arguments give what fits; the constructor itself refuses the rest.
    """
    found: dict[str, Any] = {}
    constructors = [base.__dict__["__init__"] for base in cls.__mro__ if "__init__" in base.__dict__]
    for number, constructor in enumerate(constructors):
        signature = inspect.signature(constructor)
        try:
            bound = signature.bind_partial(None, *args, **options)
        except TypeError:
            break
        if number == 0:
            bound.apply_defaults()
        kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}
        rest = {kind: bound.arguments.get(name) for name, kind in kinds.items() if kind in VARIABLE}
        args, options = rest.get(VARIABLE[0]) or (), rest.get(VARIABLE[1]) or {}
        own = [name for name in [*kinds][1:] if name in bound.arguments and kinds[name] not in VARIABLE]
        found.update({name: bound.arguments[name] for name in own if name not in found})
        if not args and not options:
            break
    return {**found, **options}


class ConstructorSignature:
    """``inspect.signature`` of a class with a ``__new__`` of its own: that of its constructor."""

    def __get__(self, instance: object, cls: type) -> inspect.Signature:
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=[*signature.parameters.values()][1:])


def plain(value: Any) -> Any:
    """Numbers and texts as they are, a path's text, a tensor's hash, of anything else its ``repr``."""
    if isinstance(value, Tensor):
        return hashlib.sha256(value.detach().float().cpu().contiguous().numpy().tobytes()).hexdigest()[:24]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic):
        return value.item()
    place = r" at 0x[0-9a-f]+"  # in memory, another in every process
    return value if value is None or isinstance(value, (str, int, float)) else re.sub(place, "", repr(value))


def absolute(value: Any) -> Any:
    """A path, or the paths of a list, so that they are the same from any folder; hsx:// stays as it is."""
    if isinstance(value, (list, tuple)):
        return [absolute(one) for one in value]
    if not isinstance(value, (str, Path)) or str(value).startswith(SCHEME):
        return value
    return os.path.abspath(os.path.expanduser(value))

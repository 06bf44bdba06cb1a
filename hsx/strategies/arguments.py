"""The arguments of a strategy's constructor as plain data, from which a config makes the strategy again."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hsx.assets import SCHEME, resolve
from hsx.io.digests import file_digest

VARIABLE = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


def arguments_of(cls: type, args: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:
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
    """``inspect.signature`` of a strategy, which has a ``__new__``: that of its constructor, without old names."""

    def __get__(self, instance: object, cls: type[Any]) -> inspect.Signature:
        own, *parameters = inspect.signature(cls.__init__).parameters.values()
        return inspect.Signature([one for one in parameters if not (cls.renamed and one.name == "renamed")])


def plain(value: Any) -> Any:
    """Numbers and texts as they are, a path's text, a tensor's or an array's hash, of anything else its ``repr``."""
    if isinstance(value, (Tensor, np.ndarray)):
        return hashed(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic):
        return value.item()
    place = r" at 0x[0-9a-f]+"  # in memory, another in every process
    return value if value is None or isinstance(value, (str, int, float)) else re.sub(place, "", repr(value))


def hashed(value: Any) -> Any:
    """``plain``, but of anything that is no number, text or path a hash of all that is in it."""
    from hsx.io.fingerprint import fingerprint

    simple = isinstance(value, (str, int, float, os.PathLike, np.generic, type(None)))
    return plain(value) if simple else fingerprint(value)


def files_of(value: Any) -> Any:
    """Digests of the files that a text or a path names, or those of a list; None where there are none."""
    if isinstance(value, (list, tuple)):
        return [*map(files_of, value)] if any(map(files_of, value)) else None
    if isinstance(value, (str, os.PathLike)) and os.path.isfile(resolve(os.fspath(value))):
        return file_digest(resolve(os.fspath(value)))
    return None


def absolute(value: Any) -> Any:
    """A path, or the paths of a list, so that they are the same from any folder; hsx:// stays as it is."""
    if isinstance(value, (list, tuple)):
        return [absolute(one) for one in value]
    if not isinstance(value, (str, Path)) or str(value).startswith(SCHEME):
        return value
    return os.path.abspath(os.path.expanduser(value))

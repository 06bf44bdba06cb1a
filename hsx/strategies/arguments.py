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
from hsx.checks import got
from hsx.errors import HsxError
from hsx.io.digests import file_digest
from hsx.io.fingerprint import fingerprint

PATHS = (str, os.PathLike)
VARIABLE = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


def arguments_of(cls: type, args: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``cls(*args, **options)`` by the constructor's own names, defaults filled in.

    What a constructor passes on as ``*args`` and ``**kwargs`` has the names of the next class's constructor, without
    its defaults.  Of wrong arguments only those that fit are found; the constructor itself refuses the rest.
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
        own = [name for name in [*bound.arguments][1:] if kinds[name] not in VARIABLE and name not in found]
        found |= {name: bound.arguments[name] for name in own}
        if not args and not options:
            break
    return {**found, **options}


class ConstructorSignature:
    """``inspect.signature`` of a strategy, which has a ``__new__``: that of its constructor, without old names."""

    def __get__(self, instance: object, cls: type[Any]) -> inspect.Signature:
        own, *parameters = inspect.signature(cls.__init__).parameters.values()
        return inspect.Signature([one for one in parameters if not (cls.renamed and one.name == "renamed")])


def require(holds: bool, name: str, wanted: str, value: Any, remedy: str) -> None:
    """Raise HsxError where an argument is not what is wanted."""
    if not holds:
        raise HsxError(f"{name}: expected {wanted}, got {got(value)}; {remedy}")


def plain(value: Any) -> Any:
    """Numbers and strings as they are, paths as strings, tensors and arrays as hashes, anything else as ``repr``."""
    if isinstance(value, (Tensor, np.ndarray)):
        return hashed(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic):
        return value.item()
    address = r" at 0x[0-9a-f]+"  # in memory, another in every process
    return value if value is None or isinstance(value, (str, int, float)) else re.sub(address, "", repr(value))


def hashed(value: Any) -> Any:
    """``plain``, but anything that is no number, string or path as a hash of all its contents."""
    simple = isinstance(value, (str, int, float, os.PathLike, np.generic, type(None)))
    return plain(value) if simple else fingerprint(value)


def files_of(value: Any) -> Any:
    """Digests of the files that a string or a path names, or those of a list; None where there are none."""
    if isinstance(value, (list, tuple)):
        return [*map(files_of, value)] if any(map(files_of, value)) else None
    if isinstance(value, PATHS) and os.path.isfile(resolve(os.fspath(value))):
        return file_digest(resolve(os.fspath(value)))
    return None


def absolute(value: Any) -> Any:
    """A path, or the paths of a list, as absolute ones; hsx:// stays as it is."""
    if isinstance(value, (list, tuple)):
        return [absolute(one) for one in value]
    if not isinstance(value, (str, Path)) or str(value).startswith(SCHEME):
        return value
    return os.path.abspath(os.path.expanduser(value))

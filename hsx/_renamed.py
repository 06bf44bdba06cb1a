"""Classes and options under their old names; each warns, in the log, of the new one, and goes with release 0.2."""

from __future__ import annotations

import logging
from typing import Any, TypeVar

log = logging.getLogger("hsx")
ALIASES: dict[str, type[Any]] = {}  # classes by their old names
T = TypeVar("T")


def warn(old: str, new: str) -> None:
    """Log a warning that something has another name."""
    log.warning("%s is now called %s; the old name goes with release 0.2", old, new)


def renamed(old: str, new: type[T]) -> type[T]:
    """``new`` under its old name: what it makes, and what counts as one of it, are objects of ``new``."""

    def make(cls: type[Any], *args: Any, **options: Any) -> Any:
        warn(old, new.__name__)
        return new(*args, **options) if cls is alias else new.__new__(cls, *args, **options)

    def counts(cls: type[Any], other: type[Any]) -> Any:
        return cls is alias and new in other.__mro__ or NotImplemented

    about = {"__module__": new.__module__, "__doc__": f"The old name of ``{new.__name__}``."}
    kind: Any = type(new)
    alias: type[T] = kind(old, (new,), {**about, "__new__": make, "__subclasshook__": classmethod(counts)})
    return ALIASES.setdefault(old, alias)

"""Plugins: loaded one by one from the entry points of the group ``hsx``; one that is broken never stops the program.

What hsx itself supplies (``hsx.builtin``) is registered in the same way, first.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from itertools import accumulate
from traceback import walk_tb
from typing import Any

import pluggy
from packaging.utils import canonicalize_name

import hsx
from hsx._renamed import ALIASES
from hsx.backbones.family import Family
from hsx.errors import first_line
from hsx.metrics import Metric
from hsx.plugins import hookspecs
from hsx.strategies import Strategy
from hsx.strategies.base import KINDS as STRATEGIES

SUPPLIED: dict[str, Mapping[str, type[Any]]] = {  # the kinds that each hook supplies, and their base classes
    "hsx_strategies": STRATEGIES,
    "hsx_backbones": {"backbone": Family},
    "hsx_metrics": {"metric": Metric},
}
KINDS = [kind for kinds in SUPPLIED.values() for kind in kinds]
HOOKS = "hsx_strategies, hsx_backbones or hsx_metrics"
DISABLED = "HSX_DISABLED_PLUGINS"  # names of plugins or packages not to load, with commas between

log = logging.getLogger("hsx")


class PluginError(Exception):
    """Why a plugin is left out."""


@dataclass(frozen=True)
class Item:
    """A class that a plugin supplies: ``name`` is what a config calls it, ``kind`` such as schedule or backbone."""

    kind: str
    name: str
    cls: type[Any]
    package: str
    version: str

    @property
    def line(self) -> str:
        """What it does, in one line."""
        return (inspect.getdoc(self.cls) or "").partition("\n")[0]


@dataclass(frozen=True)
class Broken:
    """A plugin that is left out, and why."""

    plugin: str
    package: str
    version: str
    cause: str


@dataclass
class Registry:
    """Everything that plugins supply.

    Attributes:
        items: the classes, in the order of registration.
        broken: the plugins that are left out.
        disabled: those that the environment variable ``DISABLED`` names.
        plugins: the names of those that were taken in.
    """

    items: list[Item] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    disabled: list[str] = field(default_factory=list)
    plugins: set[str] = field(default_factory=set)

    def of(self, *kinds: str) -> dict[str, type[Any]]:
        """The classes of these kinds by their short names, in the order of registration."""
        return {item.name: item.cls for item in self.items if item.kind in kinds}

    def add(self, name: str, package: str, version: str, load: Callable[[], Any]) -> None:
        """Take in all that one plugin supplies, or nothing of it, with the reason in ``broken``."""
        try:
            if name in self.plugins:
                raise PluginError(f"a plugin named {name} is there already; rename the entry point")
            items = {item.name: item for item in self.items}
            for kind, cls in _supplied(load()):
                own = getattr(cls, "name", None)  # a family's
                item = Item(kind, own if isinstance(own, str) else cls.__name__, cls, package, version)
                if (taken := items.setdefault(item.name, item)) is not item:
                    raise PluginError(f"the name {item.name} is taken by {taken.package}; rename the class")
            self.items = [*items.values()]
            self.plugins.add(name)
        except (Exception, SystemExit) as error:  # whatever somebody else's module raises
            cause = f"{type(error).__name__}: " * (not isinstance(error, PluginError)) + first_line(error)
            self.broken.append(Broken(name, package, version, cause))
            log.warning("plugin %s is BROKEN and left out (%s); see hsx plugins", name, cause)


@cache
def load() -> Registry:
    """The registry with everything that is installed; a plugin that is broken is a warning in the log ``hsx``."""
    registry = Registry()
    registry.add("hsx", "hsx", hsx.__version__, _built_in)
    blocked = {canonicalize_name(name.strip()) for name in os.environ.get(DISABLED, "").split(",") if name.strip()}
    for entry in sorted(entry_points(group="hsx"), key=lambda e: (_package(e)[0], e.name)):
        package, version = _package(entry)
        if blocked & {canonicalize_name(entry.name), canonicalize_name(package)}:
            registry.disabled.append(entry.name)
        else:
            registry.add(entry.name, package, version, entry.load)
    renamed = {name: cls for name, cls in ALIASES.items() if issubclass(cls, Strategy)}
    Strategy.listed.update(registry.of(*STRATEGIES) | renamed)
    return registry


def raised_by(error: BaseException) -> Item | None:
    """The class of an installed plugin that an exception came from, the innermost; None where it came from none."""
    items = {item.cls: item for item in load().items if item.package != "hsx"}
    owners = [type(frame.f_locals.get("self")) for frame, _ in walk_tb(error.__traceback__)]
    return next((items[cls] for cls in reversed(owners) if cls in items), None)


def _built_in() -> Any:
    return importlib.import_module("hsx.builtin")


def _supplied(plugin: Any) -> Iterator[tuple[str, Any]]:
    """The classes that the hooks of a plugin return, each with its kind.  Raises PluginError for anything else."""
    manager = pluggy.PluginManager("hsx")
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    callers = manager.get_hookcallers(plugin)
    if not callers:
        raise PluginError(f"it has no hook; mark {HOOKS} with @hookimpl")
    for caller in callers:
        if not caller.has_spec():
            raise PluginError(f"unknown hook {caller.name!r}; expected {HOOKS}")
        for implementation in caller.get_hookimpls():
            classes = implementation.function()
            if not isinstance(classes, (list, tuple)):
                raise PluginError(f"{caller.name}: expected a list of classes, got {_what(classes)}")
            for cls in classes:
                yield _kind(cls, SUPPLIED[caller.name]), cls


def _kind(cls: Any, kinds: Mapping[str, type[Any]]) -> str:
    """Which of ``kinds`` a class is of.  Raises PluginError where it is of none, or cannot be used."""
    kind = next((kind for kind, base in kinds.items() if isinstance(cls, type) and issubclass(cls, base)), None)
    if kind is None:
        wanted = " or ".join(base.__name__ for base in kinds.values())
        raise PluginError(f"expected a class of {wanted}, got {_what(cls)}")
    if inspect.isabstract(cls):
        raise PluginError(f"{cls.__name__} lacks {', '.join(sorted(cls.__abstractmethods__))}")
    if kind == "backbone":
        cls()  # a family is made without arguments
    public = [home for home in homes(cls) if not home.rpartition(".")[2].startswith("_")]
    if "." in cls.__qualname__ or not public:
        remedy = "put it at the top of a public module"
        raise PluginError(f"{cls.__name__} cannot be imported from {cls.__module__}; {remedy}")
    return kind


def homes(cls: type[Any]) -> list[str]:
    """The modules that have a class, from the package that it is in to its own."""
    modules = accumulate(cls.__module__.split("."), "{}.{}".format)
    return [name for name in modules if getattr(sys.modules.get(name), cls.__name__, None) is cls]


def _what(thing: Any) -> str:
    """What something is that is not what it should be."""
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"an object of {type(thing).__name__}"


def _package(entry: EntryPoint) -> tuple[str, str]:
    return (entry.dist.name, entry.dist.version) if entry.dist else ("", "")

"""Plugins: loaded one by one from the entry points of the group ``hsx``; one that is broken never stops the program.

What hsx itself ships (``hsx.builtin``) is registered in the same way, first.
"""

from __future__ import annotations

import inspect
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from traceback import walk_tb
from typing import Any

import pluggy

import hsx
from hsx.errors import first_line
from hsx.plugins import hookspecs

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
    """Everything that plugins supply."""

    items: list[Item] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    disabled: list[str] = field(default_factory=list)
    manager: pluggy.PluginManager = field(default_factory=lambda: pluggy.PluginManager("hsx"))

    def __post_init__(self) -> None:
        self.manager.add_hookspecs(hookspecs)

    def of(self, *kinds: str) -> dict[str, type[Any]]:
        """The classes of these kinds by their short names, in the order of registration."""
        return {item.name: item.cls for item in self.items if item.kind in kinds}

    def add(self, name: str, package: str, version: str, load: Callable[[], Any]) -> None:
        """Take in all that one plugin supplies, or nothing of it, with the reason in ``broken``."""
        plugin = None
        try:
            if self.manager.has_plugin(name):
                raise PluginError(f"a plugin named {name} is there already; rename the entry point")
            plugin = load()
            self.manager.register(plugin, name)
            misspelt = [c.name for c in self.manager.get_hookcallers(plugin) or () if not c.has_spec()]
            if misspelt:
                raise PluginError(f"unknown hook {misspelt[0]!r}; expected {HOOKS}")
            found = [
                item
                for kinds, cls in self._supplied(plugin, name)
                for item in [Item(_kind(cls, kinds), _short_name(cls), cls, package, version)]
            ]
            taken = {item.name: item.package for item in reversed(self.items)}
            for item in found:
                if item.name in taken:
                    raise PluginError(f"the name {item.name} is taken by {taken[item.name]}; rename the class")
                taken[item.name] = package
            self.items += found
        except (Exception, SystemExit) as error:  # whatever somebody else's module raises
            if plugin is not None and self.manager.get_plugin(name) is plugin:
                self.manager.unregister(plugin)
            cause = f"{type(error).__name__}: " * (not isinstance(error, PluginError)) + first_line(error)  # type: ignore[arg-type]
            self.broken.append(Broken(name, package, version, cause))
            log.warning("plugin %s is BROKEN and left out (%s); see hsx plugins", name, cause)

    def _supplied(self, plugin: Any, name: str) -> list[tuple[dict[str, type[Any]], Any]]:
        """What the hooks of one plugin return, each with the kinds that its hook may supply."""
        callers = self.manager.get_hookcallers(plugin) or []
        if not callers:
            raise PluginError(f"it has no hook; mark {HOOKS} with @hookimpl")
        found: list[tuple[dict[str, type[Any]], Any]] = []
        for caller in callers:
            for implementation in caller.get_hookimpls():
                if implementation.plugin is plugin:
                    classes = implementation.function()
                    if not isinstance(classes, (list, tuple)):
                        raise PluginError(f"{caller.name}: expected a list of classes, got {_what(classes)}")
                    found += [(_kinds(caller.name), cls) for cls in classes]
        return found


@cache
def load() -> Registry:
    """The registry with everything that is installed; a plugin that is broken is a warning in the log ``hsx``."""
    from hsx.strategies import Strategy

    registry = Registry()
    registry.add("hsx", "hsx", hsx.__version__, _built_in)
    blocked = {_normal(name) for name in os.environ.get(DISABLED, "").split(",") if name.strip()}
    for entry in sorted(entry_points(group="hsx"), key=lambda e: (_package(e)[0], e.name)):
        package, version = _package(entry)
        if blocked & {_normal(entry.name), _normal(package)}:
            registry.manager.set_blocked(entry.name)
            registry.disabled.append(entry.name)
            continue
        registry.add(entry.name, package, version, entry.load)
    Strategy.listed.update(registry.of(*_kinds("hsx_strategies")))
    return registry


def raised_by(error: BaseException) -> Item | None:
    """The class of an installed plugin that an exception came from, the innermost; None where it came from none."""
    items = {item.cls: item for item in load().items if item.package != "hsx"}
    owners = [type(frame.f_locals.get("self")) for frame, _ in walk_tb(error.__traceback__)]
    return next((items[cls] for cls in reversed(owners) if cls in items), None)


def _built_in() -> Any:
    from hsx import builtin

    return builtin


def _kinds(hook: str) -> dict[str, type[Any]]:
    """The kinds that a hook may supply, and their base classes."""
    from hsx import metrics, strategies
    from hsx.backbones.family import Family

    kinds: dict[str, dict[str, type[Any]]] = {
        "hsx_strategies": {
            "schedule": strategies.BlendingSchedule,
            "blend": strategies.Blend,
            "normalizer": strategies.Normalizer,
            "calibrator": strategies.Calibrator,
        },
        "hsx_backbones": {"backbone": Family},
        "hsx_metrics": {"metric": metrics.Metric},
    }
    return kinds[hook]


def _kind(cls: Any, kinds: dict[str, type[Any]]) -> str:
    """Of which of ``kinds`` a class is; PluginError where it is none, or cannot be used."""
    of = [kind for kind, base in kinds.items() if isinstance(cls, type) and issubclass(cls, base)]
    if not of:
        wanted = " or ".join(base.__name__ for base in kinds.values())
        raise PluginError(f"expected a class of {wanted}, got {_what(cls)}")
    if inspect.isabstract(cls):
        raise PluginError(f"{cls.__name__} lacks {', '.join(sorted(cls.__abstractmethods__))}")
    if of[0] == "backbone":
        cls()  # a family is made without arguments
    parts = cls.__module__.split(".")
    homes = [sys.modules.get(".".join(parts[:n])) for n in range(1, len(parts) + 1) if parts[n - 1][0] != "_"]
    if "." in cls.__qualname__ or not any(getattr(home, cls.__name__, None) is cls for home in homes):
        raise PluginError(
            f"{cls.__name__} cannot be imported from {cls.__module__}; put it at the top of a public module"
        )
    return of[0]


def _what(thing: Any) -> str:
    """What something is that is not what it should be."""
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"an object of {type(thing).__name__}"


def _short_name(cls: Any) -> str:
    """What a config calls a class."""
    name = getattr(cls, "name", None)
    return name if isinstance(name, str) else cls.__name__


def _package(entry: EntryPoint) -> tuple[str, str]:
    return (entry.dist.name, entry.dist.version) if entry.dist else ("", "")


def _normal(name: str) -> str:
    return name.strip().lower().replace("_", "-")

"""Plugins: loaded one by one from the entry points of the group ``hsx``; one that is broken never stops the program."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import pluggy

from hsx import hookspecs
from hsx.errors import first_line

log = logging.getLogger("hsx")


@cache
def manager() -> pluggy.PluginManager:
    """The plugin manager with every plugin that could be loaded; a broken one is a warning in the log."""
    found = pluggy.PluginManager("hsx")
    found.add_hookspecs(hookspecs)
    for entry in entry_points(group="hsx"):
        try:
            found.register(entry.load(), entry.name)
            found.check_pending()
        except Exception as error:  # whatever somebody else's module raises when it is imported
            if found.has_plugin(entry.name):
                found.unregister(name=entry.name)
            log.warning("plugin %s is BROKEN and left out (%s)", entry.name, first_line(error))
    return found


def classes(hook: str, built_in: Sequence[type]) -> list[type[Any]]:
    """The built-in classes and those that plugins supply by ``hook``; a plugin whose hook raises is left out."""
    found = list(built_in)
    for implementation in getattr(manager().hook, hook).get_hookimpls():
        try:
            found += implementation.function()
        except Exception as error:  # as above
            log.warning("plugin %s is BROKEN and left out (%s)", implementation.plugin_name, first_line(error))
    return found

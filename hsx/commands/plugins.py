"""``hsx plugins``: what there is to name in a config."""

from __future__ import annotations

import inspect
from json import dumps
from typing import Any

from docstring_parser import parse
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from hsx.commands.messages import closest
from hsx.errors import HsxError
from hsx.plugins.registry import DISABLED, KINDS, Item, load


def plugins(name: str | None = None, *, json: bool = False) -> int:
    """All strategies, backbone families and metrics, or the options of one; exit code 1: some are broken.

    Args:
        name: Show the options of this one.
        json: For programs.
    """
    registry = load()
    if name is None:
        shown = [_about(item) for item in sorted(registry.items, key=lambda item: KINDS.index(item.kind))]
        broken = [vars(each) for each in registry.broken]
        found = {"plugins": shown, "broken": broken, "disabled": registry.disabled}
        print(dumps(found, indent=1)) if json else _table(found)
        return 1 if registry.broken else 0
    items = {item.name: item for item in registry.items}
    if name in items:
        about = details(items[name])
        print(dumps(about, indent=1)) if json else _page(about)
        return 0
    for each in registry.broken:
        if name in (each.plugin, each.package):
            line = f"{each.plugin} is BROKEN ({each.package} {each.version}): {each.cause}"
            print(dumps(vars(each), indent=1) if json else line)
            return 1
    raise HsxError(f"expected one of {', '.join(closest(name, items))}, got {name}; see hsx plugins")


def details(item: Item) -> dict[str, Any]:
    """All that ``hsx plugins NAME`` shows, as plain data; an option without ``default`` must be given."""
    page = parse(inspect.getdoc(item.cls) or "")
    about = {name: part.description or "" for part in page.params for name in part.arg_name.split(", ")}
    options = []
    for name, parameter in inspect.signature(item.cls).parameters.items():
        kind = "" if parameter.annotation is parameter.empty else parameter.annotation
        option = {"name": name, "type": kind if isinstance(kind, str) else inspect.formatannotation(kind)}
        default = {} if parameter.default is parameter.empty else {"default": parameter.default}
        options.append({**option, **default, "about": " ".join(about.get(name, "").split())})
    description = "\n\n".join(" ".join(part.split()) for part in (page.long_description or "").split("\n\n"))
    class_path = f"{item.cls.__module__}.{item.cls.__qualname__}"
    return {**_about(item), "class_path": class_path, "description": description, "options": options}


def _about(item: Item) -> dict[str, str]:
    return {name: getattr(item, name) for name in ("kind", "name", "package", "version", "line")}


def _table(found: dict[str, Any]) -> None:
    """The overview; what is broken last."""
    whole = (Column(title, no_wrap=True) for title in ("kind", "name"))
    table = Table(*whole, "package", Column("what it does", overflow="fold"), box=None, pad_edge=False)
    for row in found["plugins"]:
        table.add_row(row["kind"], row["name"], f"{row['package']} {row['version']}", escape(row["line"]))
    for row in found["broken"]:
        table.add_row("[red]BROKEN[/]", row["plugin"], f"{row['package']} {row['version']}", escape(row["cause"]))
    console = Console()
    console.print(table)
    if found["disabled"]:
        console.print(f"not loaded, by {DISABLED}: {', '.join(found['disabled'])}")


def _page(about: dict[str, Any]) -> None:
    """One class with its options."""
    console = Console(highlight=False)
    title = "[bold]{name}[/], a {kind} of {package} {version} ({class_path})".format(**about)
    for text in filter(None, (title, escape(about["line"]), escape(about["description"]))):
        console.print(text + "\n")
    if not about["options"]:
        console.print("It has no options.")
        return
    table = Table("option", "type", "default", "", box=None, pad_edge=False)
    for option in about["options"]:
        default = repr(option["default"]) if "default" in option else "must be given"
        table.add_row(option["name"], escape(option["type"]), escape(default), escape(option["about"]))
    console.print(table)

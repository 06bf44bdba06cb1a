"""``hsx plugins``: what there is to name in a config."""

from __future__ import annotations

import inspect
from json import dumps
from typing import Any

from docstring_parser import parse
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hsx.commands.messages import closest
from hsx.errors import HsxError
from hsx.plugins.registry import DISABLED, KINDS, Item, Registry, load


def plugins(name: str | None = None, *, json: bool = False) -> int:
    """All strategies, backbone families and metrics, or the options of one; exit code 1: some are broken.

    Args:
        name: Show the options of this one.
        json: For programs.
    """
    registry = load()
    if name is None:
        found = overview(registry)
        print(dumps(found, indent=1)) if json else _table(found)
        return 1 if registry.broken else 0
    items = {item.name: item for item in registry.items}
    for broken in registry.broken:
        if name in (broken.plugin, broken.package) and name not in items:
            line = f"{broken.plugin} is BROKEN ({broken.package} {broken.version}): {broken.cause}"
            print(dumps(vars(broken), indent=1) if json else line)
            return 1
    if name not in items:
        raise HsxError(f"expected one of {', '.join(closest(name, list(items)))}, got {name}; see hsx plugins")
    about = details(items[name])
    print(dumps(about, indent=1)) if json else _page(about)
    return 0


def overview(registry: Registry) -> dict[str, Any]:
    """All that ``hsx plugins`` shows, as plain data."""
    items = sorted(registry.items, key=lambda item: KINDS.index(item.kind))
    shown = [{name: getattr(item, name) for name in ("kind", "name", "package", "version", "line")} for item in items]
    return {"plugins": shown, "broken": [vars(broken) for broken in registry.broken], "disabled": registry.disabled}


def details(item: Item) -> dict[str, Any]:
    """All that ``hsx plugins NAME`` shows, as plain data; an option without ``default`` must be given."""
    page = parse(inspect.getdoc(item.cls) or "")
    about = {name: part.description or "" for part in page.params for name in part.arg_name.split(", ")}
    options = []
    for name, parameter in inspect.signature(item.cls).parameters.items():
        kind = "" if parameter.annotation is parameter.empty else parameter.annotation
        option = {"name": name, "type": kind if isinstance(kind, str) else inspect.formatannotation(kind)}
        if parameter.default is not parameter.empty:
            option["default"] = parameter.default
        options.append({**option, "about": " ".join(about.get(name, "").split())})
    return {
        "kind": item.kind,
        "name": item.name,
        "class_path": f"{item.cls.__module__}.{item.cls.__qualname__}",
        "package": item.package,
        "version": item.version,
        "line": item.line,
        "description": "\n\n".join(" ".join(part.split()) for part in (page.long_description or "").split("\n\n")),
        "options": options,
    }


def _table(found: dict[str, Any]) -> None:
    """The overview; what is broken last."""
    table = Table("kind", "name", "package", "what it does", box=None, pad_edge=False)
    for row in found["plugins"]:
        table.add_row(row["kind"], row["name"], f"{row['package']} {row['version']}", escape(row["line"]))
    for row in found["broken"]:
        table.add_row("[red]BROKEN[/]", row["plugin"], f"{row['package']} {row['version']}", escape(row["cause"]))
    for column in table.columns[:2]:
        column.no_wrap = True
    table.columns[-1].overflow = "fold"
    console = Console()
    console.print(table)
    if found["disabled"]:
        console.print(f"not loaded, by {DISABLED}: {', '.join(found['disabled'])}")


def _page(about: dict[str, Any]) -> None:
    """One class with its options."""
    console = Console(highlight=False)
    package = f"{about['package']} {about['version']}"
    console.print(f"[bold]{about['name']}[/], a {about['kind']} of {package} ({about['class_path']})\n")
    for text in (about["line"], about["description"]):
        if text:
            console.print(escape(text) + "\n")
    if not about["options"]:
        console.print("It has no options.")
        return
    table = Table("option", "type", "default", "", box=None, pad_edge=False)
    for option in about["options"]:
        default = repr(option["default"]) if "default" in option else "must be given"
        table.add_row(option["name"], escape(option["type"]), escape(default), escape(option["about"]))
    console.print(table)

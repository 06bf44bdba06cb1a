"""``hsx plugins``: what there is to name in a config."""

from __future__ import annotations

import inspect
import json
from argparse import ArgumentError, ArgumentParser
from typing import Any

from docstring_parser import parse
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hsx.cli import closest
from hsx.errors import HsxError
from hsx.plugins.registry import DISABLED, KINDS, Item, Registry, load


def plugins(argv: list[str]) -> int:
    """``hsx plugins [NAME]``: all strategies, backbone families and metrics, or the options of one; 1: some broken."""
    parser = ArgumentParser(
        "hsx plugins",
        description="All strategies, backbone families and metrics.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", help="show the options of this one")
    parser.add_argument("--json", action="store_true", help="for programs")
    try:
        given, more = parser.parse_known_args(argv)
    except ArgumentError as error:
        raise HsxError(f"{error}; see hsx plugins --help") from None
    if more:
        raise HsxError(f"expected one name, got {' '.join(argv)}; see hsx plugins --help")
    registry = load()
    if given.name is None:
        found = overview(registry)
        print(json.dumps(found, indent=1)) if given.json else _table(found)
        return 1 if registry.broken else 0
    items = {item.name: item for item in registry.items}
    for broken in registry.broken:
        if given.name in (broken.plugin, broken.package) and given.name not in items:
            print(
                json.dumps(vars(broken), indent=1)
                if given.json
                else f"{broken.plugin} is BROKEN ({broken.package} {broken.version}): {broken.cause}"
            )
            return 1
    if given.name not in items:
        raise HsxError(
            f"expected one of {', '.join(closest(given.name, list(items)))}, got {given.name}; see hsx plugins"
        )
    about = details(items[given.name])
    print(json.dumps(about, indent=1)) if given.json else _page(about)
    return 0


def overview(registry: Registry) -> dict[str, Any]:
    """All that ``hsx plugins`` shows, as plain data."""
    items = sorted(registry.items, key=lambda item: KINDS.index(item.kind))
    return {
        "plugins": [
            {"kind": item.kind, "name": item.name, "package": item.package, "version": item.version, "line": item.line}
            for item in items
        ],
        "broken": [vars(broken) for broken in registry.broken],
        "disabled": registry.disabled,
    }


def details(item: Item) -> dict[str, Any]:
    """All that ``hsx plugins NAME`` shows, as plain data; an option without ``default`` must be given."""
    page = parse(inspect.getdoc(item.cls) or "")
    told = {
        name: about
        for part in page.params
        for name in part.arg_name.split(", ")
        for about in [" ".join((part.description or "").split())]
    }
    options = []
    for name, parameter in inspect.signature(item.cls).parameters.items():
        kind = (
            parameter.annotation
            if isinstance(parameter.annotation, str)
            else inspect.formatannotation(parameter.annotation)
        )
        option = {"name": name, "type": "" if parameter.annotation is parameter.empty else kind}
        if parameter.default is not parameter.empty:
            option["default"] = parameter.default
        options.append({**option, "about": told.get(name, "")})
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
    console.print(
        f"[bold]{about['name']}[/], a {about['kind']} of {about['package']} {about['version']} "
        f"({about['class_path']})\n"
    )
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

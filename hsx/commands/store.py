"""``hsx store``: what a folder of trajectories holds, and how it is kept small and whole."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Collection
from datetime import datetime
from typing import Any, NoReturn

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from hsx.errors import HsxError, expanded
from hsx.store.trajectories import VERSION, Entry, Store, StoreError, VersionError, read, remove


class Parser(ArgumentParser):
    """One whose complaints are HsxErrors."""

    def error(self, message: str) -> NoReturn:
        """See ``ArgumentParser``."""
        raise HsxError(f"{message}; see {self.prog} --help")


def store(argv: list[str]) -> int:
    """``hsx store ls|prune|verify FOLDER``: list the trajectories, remove old ones, or check them; 1: some corrupt."""
    parser = Parser("hsx store", description="The trajectories that runs have kept in a folder.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="ls|prune|verify")
    about = {
        "ls": "list them, last used first",
        "prune": "remove those used longest ago",
        "verify": "check each; exit code 1 if some are corrupt",
    }
    parsers = {
        name: commands.add_parser(name, help=what, description=what, allow_abbrev=False) for name, what in about.items()
    }
    for each in parsers.values():
        each.add_argument("folder", help="a run's --store.path or --output_dir")
        each.add_argument("--json", action="store_true", help="for programs")
    parsers["prune"].add_argument("--max_gb", type=float, required=True, help="how many gigabytes may stay")
    parsers["verify"].add_argument("--delete", action="store_true", help="remove the corrupt ones")
    given = parser.parse_args(argv)
    given.folder = folder = str(expanded(given.folder, "folder"))
    if os.path.isdir(within := os.path.join(folder, "trajectories")):
        given.folder = within  # of an output folder
    entries = sorted(Store(given.folder).entries(), key=lambda entry: -entry.used)
    if not entries:
        found = (
            "a folder without any"
            if os.path.isdir(folder)
            else "a file"
            if os.path.exists(folder)
            else "no such folder"
        )
        raise HsxError(
            f"expected a folder with trajectories, got {given.folder} ({found}); name a run's --store.path "
            "or --output_dir"
        )
    return {"ls": _ls, "prune": _prune, "verify": _verify}[given.command](given, entries)


def _ls(given: Namespace, entries: list[Entry]) -> int:
    rows: list[dict[str, Any]] = [
        {
            "key": entry.key,
            "bytes": entry.bytes,
            "h": entry.has_h,
            "version": entry.version,
            "used": datetime.fromtimestamp(entry.used).isoformat(" ", "seconds"),
        }
        for entry in entries
    ]
    if given.json:
        return _json({"trajectories": rows, **_total(entries)})
    table = Table("key", "size", "h", "last used", box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
    for row, entry in zip(rows, entries, strict=True):
        table.add_row(entry.key, decimal(entry.bytes), _use(row), str(row["used"]))
    Console().print(table)
    print(f"{_count(entries)} in {given.folder}")
    return 0


def _prune(given: Namespace, entries: list[Entry]) -> int:
    number, size = Store(given.folder, max_gb=given.max_gb).evict()
    left = list(Store(given.folder).entries())
    if given.json:
        return _json({"removed": {"number": number, "bytes": size}, "left": _total(left)})
    print(f"{number} removed ({decimal(size)}), {_count(left)} left in {given.folder}")
    return 0


def _verify(given: Namespace, entries: list[Entry]) -> int:
    corrupt: dict[str, str] = {}
    others: list[str] = []  # of another version
    for entry in entries:
        try:
            read(entry.path)
        except VersionError:
            others.append(entry.key)
        except FileNotFoundError:
            pass  # removed by another process meanwhile
        except (OSError, StoreError) as error:
            corrupt[entry.key] = (
                str(error)
                if isinstance(error, StoreError)
                else (f"{entry.path}: expected a trajectory, could not read it ({error.strerror}); take it away")
            )
            if given.delete:
                remove(entry.path)
    code = 1 if corrupt else 0
    if given.json:
        return _json(
            {"checked": len(entries), "corrupt": corrupt, "other_versions": others, "deleted": given.delete}, code
        )
    for reason in corrupt.values():
        print(reason)
    done = ", removed" if corrupt and given.delete else ""
    unused = f", {len(others)} of another version of hsx, not used by this one" if others else ""
    print(f"{_count(entries)} checked, {len(corrupt)} corrupt{done}{unused}: {given.folder}")
    return code


def _use(row: dict[str, Any]) -> str:
    """What an entry is good for."""
    if row["version"] == VERSION:
        return "with h" if row["h"] else "without"
    return f"not used (version {row['version']})" if row["version"] else "not used (not hsx's)"


def _json(found: dict[str, Any], code: int = 0) -> int:
    print(json.dumps(found, indent=1))
    return code


def _total(entries: Collection[Entry]) -> dict[str, int]:
    return {"number": len(entries), "bytes": sum(entry.bytes for entry in entries)}


def _count(entries: Collection[Entry]) -> str:
    plural = "y" if len(entries) == 1 else "ies"
    return f"{len(entries)} trajector{plural} ({decimal(sum(entry.bytes for entry in entries))})"

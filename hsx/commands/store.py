"""``hsx store``: what a folder of trajectories holds, and how it is kept small and whole."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from json import dumps
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.table import Column, Table

from hsx.errors import HsxError, expanded
from hsx.store.fingerprints import VERSION
from hsx.store.trajectories import Entry, Store, StoreError, VersionError, read, remove


def ls(folder: str, *, json: bool = False) -> int:
    """List the trajectories of a folder, those used last first.

    Args:
        folder: A run's --store.path or --output_dir.
        json: For programs.
    """
    place, entries = _opened(folder)
    titles, rows = ("key", "size", "h", "last used"), []
    table = Table(*(Column(title, no_wrap=True) for title in titles), box=None, pad_edge=False)
    for entry in entries:
        sites, version, used = entry.sites, entry.version, datetime.fromtimestamp(entry.used).isoformat(" ", "seconds")
        rows.append({"key": entry.key, "bytes": entry.bytes, "sites": sites, "version": version, "used": used})
        unused = f"not used (version {version})" if version else "not used (not hsx's)"
        use = unused if version != VERSION else f"with {', '.join(sites)}" if sites else "without"
        table.add_row(entry.key, decimal(entry.bytes), use, used)
    if json:
        return _json({"trajectories": rows, **_total(entries)})
    Console().print(table)
    print(f"{_count(entries)} in {place}")
    return 0


def prune(folder: str, *, max_gb: float, json: bool = False) -> int:
    """Remove the trajectories of a folder that were used longest ago.

    Args:
        folder: A run's --store.path or --output_dir.
        max_gb: How many gigabytes may stay.
        json: For programs.
    """
    place, _ = _opened(folder)
    number, size = Store(place, max_gb=max_gb).evict()
    left = list(Store(place).entries())
    if json:
        return _json({"removed": {"number": number, "bytes": size}, "left": _total(left)})
    print(f"{number} removed ({decimal(size)}), {_count(left)} left in {place}")
    return 0


def verify(folder: str, *, delete: bool = False, json: bool = False) -> int:
    """Check each trajectory of a folder; exit code 1: some are corrupt.

    Args:
        folder: A run's --store.path or --output_dir.
        delete: Remove the corrupt ones.
        json: For programs.
    """
    place, entries = _opened(folder)
    corrupt: dict[str, str] = {}
    others: list[str] = []  # of another version
    for entry in entries:
        try:
            read(entry.path)
        except VersionError:
            others.append(entry.key)
        except FileNotFoundError:
            pass  # removed by another process meanwhile
        except StoreError as error:
            corrupt[entry.key] = str(error)
        except OSError as error:
            reason = f"expected a trajectory, could not read it ({error.strerror}); take it away"
            corrupt[entry.key] = f"{entry.path}: {reason}"
        if delete and entry.key in corrupt:
            remove(entry.path)
    code = 1 if corrupt else 0
    if json:
        return _json({"checked": len(entries), "corrupt": corrupt, "other_versions": others, "deleted": delete}, code)
    for reason in corrupt.values():
        print(reason)
    done = ", removed" if corrupt and delete else ""
    unused = f", {len(others)} of another version of hsx, not used by this one" if others else ""
    print(f"{_count(entries)} checked, {len(corrupt)} corrupt{done}{unused}: {place}")
    return code


store = {"ls": ls, "prune": prune, "verify": verify}


def _opened(folder: str) -> tuple[Path, list[Entry]]:
    """The folder of the trajectories of a folder, and these, those used last first.  Raises HsxError without any."""
    place = expanded(folder, "folder")
    found = "a folder without any" if place.is_dir() else "a file" if place.exists() else "no such folder"
    if (place / "trajectories").is_dir():  # of an output folder
        place /= "trajectories"
    entries = sorted(Store(place).entries(), key=lambda entry: -entry.used)
    if not entries:
        remedy = "name a run's --store.path or --output_dir"
        raise HsxError(f"expected a folder with trajectories, got {place} ({found}); {remedy}")
    return place, entries


def _json(found: dict[str, Any], code: int = 0) -> int:
    print(dumps(found, indent=1))
    return code


def _total(entries: Collection[Entry]) -> dict[str, int]:
    return {"number": len(entries), "bytes": sum(entry.bytes for entry in entries)}


def _count(entries: Collection[Entry]) -> str:
    plural = "y" if len(entries) == 1 else "ies"
    return f"{len(entries)} trajector{plural} ({decimal(sum(entry.bytes for entry in entries))})"

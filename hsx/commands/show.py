"""``hsx show``: how a picture was made, from the picture alone."""

from __future__ import annotations

from collections.abc import Callable
from json import dumps
from os.path import isdir, isfile
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from hsx.errors import HsxError, expanded
from hsx.io.formats import likely
from hsx.io.reading import FITS, reason
from hsx.store.records import record_of

TEXTS = ("name", "content", "style", "fingerprint", "settings_digest", "made")


def _count(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**16


def _way(value: Any) -> bool:
    """Whether this says how something was computed: how many rows at once, and how many threads, if that is known."""
    return isinstance(value, dict) and _count(value.get("rows")) and _count(value.get("threads") or 1)


FULL: dict[str, Callable[[Any], bool]] = {  # what a record must hold, in which the rest can be looked up
    "model": lambda value: isinstance(value, dict) and "backbone" in value,
    "data": lambda value: isinstance(value, dict) and value.get("fit") in FITS,
    "store": lambda value: isinstance(value, dict) and value.get("dtype") in ("float16", "float32"),
    "trainer": lambda value: isinstance(value, dict) and isinstance(value.get("precision"), str),
    "computed": lambda value: _way(value) and all(not value.get(of) or _way(value[of]) for of in ("content", "style")),
    "pixels": lambda value: isinstance(value, list) and [type(one) for one in value] == [str, str],
    "gamma": lambda value: value is None or type(value) in (int, float),
    **dict.fromkeys(("seed", "seed_everything"), lambda value: type(value) is int),
    "mask": lambda value: value is None or isinstance(value, str),
    **dict.fromkeys(TEXTS, lambda value: isinstance(value, str)),
}


def show(picture: str, *, json: bool = False, config: bool = False) -> int:
    """How a picture that hsx made was made: its pictures, its settings and its seed.

    Args:
        picture: A picture that hsx made.
        json: For programs.
        config: As a config that makes it again, if kept in a file; hsx remake PICTURE does so at once.
    """
    record = known_record(picture)
    if json:
        print(dumps(record, indent=1, ensure_ascii=False))
    elif config:
        text = _yaml(config_of(picture))
        if "${" in text:
            wanted = "expected names that a config can hold, got one with ${, which is looked up there"
            raise HsxError(f"{picture}: {wanted}; rename it, or take hsx remake")
        print(f"# Makes a picture again: hsx predict --config THIS_FILE\n{text}")
    else:
        print(_yaml(record))
    return 0


def known_record(picture: str) -> dict[str, Any]:
    """The record in a picture.  Raises HsxError where there is none."""
    path = expanded(picture, "picture")
    if not (record := record_of(path)):
        found = _what(path) if isfile(path) else "a folder" if isdir(path) else "nothing there"
        raise HsxError(f"{picture}: expected a picture that hsx made, found {found}; name one of a run's pictures")
    return record


def _what(path: Path) -> str:
    """Why a file has no record, in a few words."""
    try:
        with Image.open(path, formats=likely(path)) as opened:
            lost = "; another program that saves a picture leaves it out" if opened.format == "PNG" else ""
            return f"no record in it (it is a {opened.format}{lost})"
    except Exception as error:  # on broken files Pillow's readers raise all sorts
        return f"no record in it ({reason(error, path)})"


def full_record(picture: str) -> dict[str, Any]:
    """A record with all that makes its picture again.  Raises HsxError where it lacks something."""
    record = known_record(picture)
    wrong = next((name for name, holds in FULL.items() if not holds(record.get(name))), None)
    if "sheet" in record or wrong:
        older = f"one of hsx {record.get('hsx')} with no {wrong} that this hsx understands"
        found = "that of a contact sheet" if "sheet" in record else older
        remedy = "name one of a run's pictures, or run its config.yaml again"
        raise HsxError(f"{picture}: expected a record that makes a picture again, got {found}; {remedy}")
    return record


def config_of(picture: str) -> dict[str, Any]:
    """The config that makes a picture again.  Raises HsxError for a record that holds none."""
    record = full_record(picture)
    row = {name: record[name] for name in ("content", "style", "mask", "gamma", "seed") if record.get(name) is not None}
    pairs, computed = [{**row, "output": record["name"]}], record["computed"]
    return {
        "seed_everything": record["seed_everything"],
        "output_dir": "outputs/remade",
        "model": record["model"],
        "data": {"pairs": pairs, **record["data"], "batch_size": computed["rows"]},
        "store": record["store"],
        "trainer": record["trainer"]
        | ({"accelerator": "cpu"} if computed.get("device") == "cpu" else {})
        | ({"compile": True} if computed.get("compiled") is True else {})
        | ({"channels_last": True} if computed.get("channels_last") is True else {}),
    }


def _yaml(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).rstrip()

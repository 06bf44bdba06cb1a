"""A JSON config, read field by field against what is understood: what is not is refused by its name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hsx.checkpoints.files.kind import LFS_POINTER
from hsx.errors import BackboneError, first_line

NOTHING: tuple[Any, ...] = (None, False, [], {}, "")  # with these a field that hsx does not know asks for nothing


class Rule(NamedTuple):
    """What the value of a field must be."""

    expected: str
    fits: Callable[[Any], bool]
    remedy: str = "correct it, or fetch the model again"


def whole(low: int, high: int) -> Rule:
    """A whole number from ``low`` to ``high``."""
    return Rule(f"a whole number from {low} to {high}", lambda v: type(v) is int and low <= v <= high)


def number(low: float, high: float) -> Rule:
    """A finite number above ``low`` and below ``high``."""
    return Rule(f"a number between {low:g} and {high:g}", lambda v: is_number(v) and low < v < high)


FLAG = Rule("true or false", lambda v: isinstance(v, bool))


def one_of(*values: str, remedy: str = FLAG.remedy) -> Rule:
    """One of some words."""
    *first, last = values
    return Rule(f"{', '.join(first)} or {last}", lambda v: isinstance(v, str) and v in values, remedy)


def several(rule: Rule, low: int = 1, high: int = 100_000) -> Rule:
    """A list, each item by a rule."""
    what = f"a list of {low} to {high} items, each {rule.expected}"
    return Rule(what, lambda v: isinstance(v, list) and low <= len(v) <= high and all(map(rule.fits, v)), rule.remedy)


def or_null(rule: Rule) -> Rule:
    """None, or what the rule says."""
    return rule._replace(expected=f"{rule.expected}, or null", fits=lambda v: v is None or rule.fits(v))


def only(*values: Any, remedy: str) -> Rule:
    """The values with which hsx computes the same: another would make a network or a schedule that it does not."""
    return Rule(" or ".join(shown(v) for v in values), lambda v: any(same(v, value) for value in values), remedy)


def by_name(table: Mapping[str, str]) -> dict[str, str]:
    """A table of ``{what: "name name"}``, turned round: ``{name: what}``."""
    return {name: what for what, names in table.items() for name in names.split()}


def check(file: Path, config: Mapping[str, Any], rules: Mapping[str, Rule], ignored: Collection[str]) -> None:
    """Hold a config to its rules.  Names that start with an underscore are the writer's own notes.

    Raises:
        BackboneError: for the first field that breaks its rule, or that is in no list and asks for something.
    """
    for name, value in config.items():
        if rule := rules.get(name):
            if not rule.fits(value):
                raise BackboneError(f"{file}: {name}: expected {rule.expected}, got {shown(value)}; {rule.remedy}")
        elif name not in ignored and not name.startswith("_") and not is_nothing(value):
            found = f"{name} {shown(value)}"
            raise BackboneError(f"{file}: expected known fields, got {found}; take it out if it does not matter")


def read_json(file: Path, remedy: str = "fetch the model again") -> dict[str, Any]:
    """The object in a JSON file.  Raises BackboneError, in a line, for anything else."""
    try:
        found = json.loads(file.read_bytes().decode("utf-8-sig"), object_pairs_hook=_without_repeats)
    except OSError as error:
        raise BackboneError(f"{file}: expected a readable file, got an error ({error.strerror}); {remedy}") from None
    except (ValueError, RecursionError) as error:
        if file.read_bytes().startswith(LFS_POINTER):
            raise BackboneError(f"{file}: expected JSON, got a Git LFS pointer; run git lfs pull") from None
        raise BackboneError(f"{file}: expected JSON, could not read it ({first_line(error)}); {remedy}") from None
    if not isinstance(found, dict):
        raise BackboneError(f"{file}: expected fields and values, got {shown(found)}; {remedy}")
    return found


def is_nothing(value: Any) -> bool:
    """Whether a field with this value asks for nothing, whatever it means."""
    return any(same(value, nothing) for nothing in NOTHING)


def is_number(value: Any) -> bool:
    """A finite number; true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def same(a: Any, b: Any) -> bool:
    """Equal and of one type: 0 is not false."""
    return type(a) is type(b) and bool(a == b)


def shown(value: Any) -> str:
    """A value of a config in a few characters of one line."""
    text = value if isinstance(value, str) and value.isprintable() and value.strip() else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)} is there twice")
    return found

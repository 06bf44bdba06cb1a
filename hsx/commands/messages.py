"""What jsonargparse, OmegaConf and YAML say of an option, as one line: what was expected, and what was given."""

from __future__ import annotations

import difflib
import inspect
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from hsx.errors import HsxError

LACKING = "the following arguments are required: "  # as argparse says it
LIGHTNINGS = "callbacks of Lightning, such as DeviceStatsMonitor"
OWN = "a class of your own: install it as a plugin, or name its module with --trust"
KEY = re.compile(r"(?:Parser key \"|--)(?P<key>[\w.]+)\"?: *")
CLASS = re.compile(r"Problem with given class_path '(?P<path>[^']*)': *")
FRAME = re.compile(  # the lines around what is wrong with one of several types
    r"Does not valid|Subtypes: |Errors:|Given value|Unable to load config '|Expected a path but|"
    r"Expected an? (?:<[^>]*>|typing\.Literal\['auto'\])$"
)
NO_CLASS = re.compile(r"(?:import path string: |path format: |subclass of \w+\. Got value: |Importing ')([^']+)")
UNKNOWN = re.compile(r"(?:Group '(?P<group>.*)' does not accept option|Option) '(?P<name>[^']*)'")
REWRITES = (  # of all other messages
    (r"Not of type PositiveInt: (?:.*base 10: '(.*)'|(.*) does not .*)", r"expected a whole number above 0, got \1\2"),
    (r"Not of type NonNeg\w*: (?:.*10: '(.*)'|(.*) does not .*)", r"expected a whole number of 0 or more, got \1\2"),
    (r"Expected an? (.*)\. Got value: (.*)", r"expected \1, got \2"),
    (r"typing\.Literal\[(.*?)\]", r"one of \1"),
    (r"<class 'int'>, one of 'auto'", "a whole number or auto"),
    (r", <class 'NoneType'>|collections\.abc\.|(?<=<class ')[\w.]+\.", ""),
    (r"<class '(\w+)'>", r"\1"),
    (r"Unexpected config: ?$", "expected a YAML file of options, got an empty one"),
    (r"Unexpected config: (.{1,60}).*", r"expected a YAML file of options, got the text '\1'"),
    (
        r'.*Problems parsing config: (?:while .*? column \d+:? )?(.*?) in "<unicode string>", (line \d+, column \d+).*',
        r"expected YAML, got something else in \2 (\1)",
    ),
    (r"'utf-8' codec can't decode .*", "expected a YAML file of options, got no UTF-8 text"),
    (r"Unable to load config \"(.*)\"", r"expected a mapping of options, got \1"),
    (
        r"Unsupported interpolation type ([\w.]+).*",
        r"expected values or other options such as ${model.t_edit}, got ${\1:…}, which reads what is no config",
    ),
)


@contextmanager
def as_one_line(program: str, options: Collection[str] = (), file: object = "") -> Iterator[None]:
    """Within it whatever a parser raises becomes an HsxError, which names the nearest of ``options``, and ``file``."""
    try:
        yield
    except HsxError:
        raise
    except Exception as error:
        raise HsxError(f"config {file}: " * bool(file) + one_line(error, program, options)) from error


def one_line(error: Exception, program: str, options: Collection[str]) -> str:
    """What is wrong with an option, on one line, with where to look."""
    places, text = _innermost(str(error).strip() or type(error).__name__)
    option, page = places[0] if places else "", f"{program} --help"
    path = next((place[6:] for place in reversed(places) if place.startswith("class ")), "")
    name, key = path.rpartition(".")[2], "" if places[-1:] in ([], [f"class {path}"]) else places[-1]
    if name and _classes(option):
        page = f"hsx plugins {name}"
    if no_class := NO_CLASS.search(text):
        got, name, kind = no_class[1], "", key or option
        if classes := _classes(kind):
            text = f"expected one of {', '.join(closest(got, classes))}, got {got}"
            own = "." in got and all(part.isidentifier() for part in got.split("."))
            page = f"hsx plugins; {OWN}" if own else "hsx plugins"
        else:
            wanted = LIGHTNINGS if kind.endswith("callbacks") else "a class that is registered"
            text = f"expected {wanted}, got {got}; {OWN}"
    elif (unknown := UNKNOWN.match(text)) and path and not key:
        known = inspect.signature(getattr(sys.modules[path.rpartition(".")[0]], name)).parameters
        names = ", ".join(closest(unknown["name"], known)) or "it has none"
        text = f"expected an option of {name} ({names}), got {unknown['name']}"
    elif unknown:
        given = ".".join(filter(None, unknown.groups()))
        text = f"expected an option of {program}, got {given}{_nearest(given, options)}"
    elif text.startswith("unrecognized arguments: --"):
        text += _nearest(re.split("[ =]", text[26:])[0], options, "--")
    elif (lacking := text.removeprefix(LACKING)) in options:
        text = f"{LACKING}--{lacking}"
    else:
        for pattern, plain in REWRITES:
            text = re.sub(pattern, plain, text)
    inner = f"{name}.{key}" if name and key else ""
    return f"{': '.join(filter(None, [option, inner, text.rstrip('.')]))}; see {page}"


def _innermost(message: str) -> tuple[list[str], str]:
    """Where something is wrong, as keys and classes one in the other, and what.

    jsonargparse indents what is wrong with a value as one of several types, or as an option of a class.
    """
    value = re.search(r"Given value: (.*)", message)
    places = ["trainer.callbacks"] if message.startswith("Does not") else []  # once instantiated they have no key
    for line in map(str.strip, message.splitlines()):
        rest = line.removeprefix("- ")
        while found := KEY.match(rest) or CLASS.match(rest):
            place = found.groupdict().get("key") or f"class {found['path']}"
            if places and place.startswith(f"{places[-1]}."):  # of a group in a file of its own
                places.pop()
            places += [place] if place not in places[-1:] else []
            rest = rest[found.end() :]
        if rest and not FRAME.match(rest):
            rest = rest.replace(": does not", f": {value[1]} does not") if value else rest  # of one of several types
            return places, " ".join((rest if places and "Problems" not in rest else message).split())
    types = re.search(r"Subtypes: \[(.*)\]", message)
    return places, f"Expected a {types[1]}. Got value: {value[1]}" if types and value else " ".join(message.split())


def _classes(option: str) -> list[str]:
    """The strategies that an option such as model.blend may name; the import costs that of torch."""
    from hsx.plugins.registry import load
    from hsx.strategies.base import KINDS

    kind = option.rpartition(".")[2]
    return list(load().of(kind)) if kind in KINDS else []


def _nearest(name: str, known: Iterable[str], dashes: str = "") -> str:
    """The option that is most like ``name``, where one is."""
    near = difflib.get_close_matches(name, known, 1)
    return f" (the nearest is {dashes}{near[0]})" if near else ""


def closest(name: str, known: Iterable[str]) -> list[str]:
    """The names that exist, those most like ``name`` first."""
    return sorted(known, key=lambda other: -difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio())

"""Which settings a sweep tries: options with values, and their product or draws of it."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from hsx.errors import HsxError
from hsx.pairs.names import folded, safe

MOST = 1000  # settings of a sweep, and values of a range
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(f"({NUMBER}):({NUMBER}):(\\d+)")
EXAMPLE = "write it as model.t_edit=200,400 or model.schedule.init_args.gamma=0:1:6"
PLAIN = str.maketrans("", "", "\"' \t\n")  # what a name leaves out
BRACKETS = {"[": "]", "{": "}", "(": ")"}


@dataclass(frozen=True)
class Axis:
    """An option of the method and the values that it takes, as they are written on a command line."""

    option: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """One of the settings of a sweep.

    Attributes:
        name: short and legible, safe as a file name, and no other setting's.
        options: the values of the swept options, as they are written on a command line.
        short: the same by the options' short names.
    """

    name: str
    options: Mapping[str, str]
    short: Mapping[str, str]

    @property
    def words(self) -> list[str]:
        """What a command line says for it; a class comes before its options."""
        return [f"--{option}={self.options[option]}" for option in sorted(self.options, key=lambda o: o.count("."))]

    @property
    def values(self) -> dict[str, Any]:
        """The values as data."""
        return {option: as_data(text) for option, text in self.options.items()}


def axes(texts: Sequence[str]) -> list[Axis]:
    """What the words of ``--over`` say.  Raises HsxError for what is not understood."""
    found: dict[str, Axis] = {}
    for text in texts:
        option, equals, values = text.partition("=")
        option = option.strip().removeprefix("--")
        if not equals or not option:
            raise HsxError(f"--over: expected an option, = and its values, got '{text}'; {EXAMPLE}")
        if option.partition(".")[0] != "model" or option in ("model", "model.backbone") or ".backbone." in option:
            wanted = "an option of the method, model. and its name"
            remedy = "pictures and network are the same for all settings; see hsx predict --help"
            raise HsxError(f"--over: expected {wanted}, got {option}; {remedy}")
        if option in found:
            raise HsxError(f"--over: expected each option once, got {option} twice; write all its values after one =")
        found[option] = Axis(option, tuple(dict.fromkeys(_values(option, values))))
    return [*found.values()]


def as_data(text: str) -> Any:
    """A value as a config would read it."""
    return float(text) if re.fullmatch(NUMBER, text) and "e" in text.lower() else yaml.safe_load(text)


def settings(over: Sequence[Axis], draws: int | None = None, seed: int = 0) -> list[Setting]:
    """All combinations of the values, the last option's changing fastest; or ``draws`` different ones, in that order.

    Raises:
        HsxError: for no options, for more than 1000 settings, or more draws than there are.
    """
    if not over:
        raise HsxError(f"--over: expected an option with values, or --quick, got neither; {EXAMPLE}")
    total = math.prod(len(axis.values) for axis in over)
    if draws is not None and not 1 <= draws <= min(total, MOST):
        raise HsxError(f"--random: expected 1 to {min(total, MOST)} of the {total} settings, got {draws}; take fewer")
    if draws is None and total > MOST:
        raise HsxError(f"--over: expected at most {MOST} settings, got {total}; take fewer values, or --random N")
    places = range(total) if draws is None else sorted(random.Random(seed).sample(range(total), draws))
    short, taken = _short([axis.option for axis in over]), set[bytes]()
    return [_setting(over, place, short, taken) for place in places]


def _setting(over: Sequence[Axis], place: int, short: Mapping[str, str], taken: set[bytes]) -> Setting:
    options = {}
    for axis in reversed(over):
        place, k = divmod(place, len(axis.values))
        options[axis.option] = axis.values[k]
    options = {axis.option: options[axis.option] for axis in over}
    plain = {short[option]: value.translate(PLAIN) for option, value in options.items()}
    name = whole = safe(",".join(f"{option}={value}" for option, value in plain.items()))
    for again in range(2, MOST + 2):
        if folded(name) not in taken:
            break
        name = f"{whole}~{again}"
    taken.add(folded(name))
    return Setting(name, options, plain)


def _short(options: Collection[str]) -> dict[str, str]:
    """The last word of each option; of those that share it as many as tell them apart."""
    words = {option: [word for word in option.split(".")[1:] if word != "init_args"] for option in options}
    ends = {option: [".".join(own[-n:]) for n in range(1, len(own) + 1)] for option, own in words.items()}
    others = {option: {end for other in options if other != option for end in ends[other]} for option in options}
    return {option: next((end for end in ends[option] if end not in others[option]), option) for option in options}


def _values(option: str, text: str) -> Iterator[str]:
    for part in _parts(text):
        if not part:
            raise HsxError(f"--over: expected values of {option} with commas between, got '{text}'; {EXAMPLE}")
        if found := RANGE.fullmatch(part):
            yield from _range(option, *found.groups())
        else:
            yield part


def _parts(text: str) -> list[str]:
    """The text at its commas, but for those within brackets and quotes."""
    parts, open_, quote = [""], list[str](), ""
    for c in text:
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        elif c in BRACKETS:
            open_.append(BRACKETS[c])
        elif open_ and c == open_[-1]:
            open_.pop()
        elif c == "," and not open_:
            parts.append("")
            continue
        parts[-1] += c
    return [part.strip() for part in parts]


def _range(option: str, first: str, last: str, count: str) -> Iterator[str]:
    """Evenly spaced values, the ends among them; whole numbers where all of them are."""
    if not 2 <= int(count) <= MOST:
        wanted = f"a range of 2 to {MOST} values, as 0:1:6 for six from 0 to 1"
        raise HsxError(f"--over: expected {wanted}, got {first}:{last}:{count} for {option}; correct it")
    low, high, n = float(first), float(last), int(count)
    yield from (f"{low + (high - low) * k / (n - 1):.10g}" for k in range(n))

"""Which classes a config may name: those that are registered, Lightning's callbacks, and what a command line trusts.

jsonargparse imports a module before it looks at the class, and importing is running.  So what may be imported is said
beforehand, name by name, and everything else is refused.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from typing import Any

import yaml
from jsonargparse import ArgumentParser, get_loader, set_loader, set_parsing_settings
from lightning.pytorch import callbacks
from omegaconf import OmegaConf

from hsx._renamed import ALIASES
from hsx.errors import HsxError, first_line
from hsx.plugins import registry as plugins
from hsx.strategies.base import KINDS, Strategy

FLAG = "--trust"
MODE = "omegaconf+"  # how jsonargparse reads a config
LIMIT = 10_000  # values in one that has YAML's aliases, each written out


def taken_out(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """What ``--trust`` names on a command line, and the other words.  Raises HsxError for what is no module's name.

    It is no option of the parser: a config that could trust itself would protect nobody.
    """
    trusted, others, words = [], [], iter(argv)
    for word in words:
        name, _, value = word.partition("=")
        if name == FLAG:
            trusted += (value or next(words, "")).split(",")
        else:
            others.append(word)
    for module in trusted:
        if not all(part.isidentifier() for part in module.split(".")):
            raise HsxError(f"{FLAG}: expected modules of yours such as my_schedules, got '{module}'; name some")
    return trusted, others


def register(trusted: Sequence[str]) -> None:
    """Register the strategies of trusted modules by their whole names.  Raises HsxError if one cannot be imported."""
    plugins.load()
    for name in trusted:
        try:
            module = importlib.import_module(name)
        except Exception as error:  # whatever somebody's module raises
            got = f"{name} ({type(error).__name__}: {first_line(error)})"
            remedy = "mend it, or set PYTHONPATH"
            raise HsxError(f"{FLAG}: expected a module that can be imported, got {got}; {remedy}") from None
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, Strategy) and not inspect.isabstract(cls):
                Strategy.listed[f"{cls.__module__}.{cls.__qualname__}"] = cls


@contextmanager
def only_known_classes(trusted: Sequence[str]) -> Iterator[None]:
    """Within it nothing can be imported from a config or a command line but what is registered or ``trusted``."""
    known = [getattr(callbacks, name) for name in callbacks.__all__]
    known += [*plugins.load().of(*KINDS).values(), *ALIASES.values()]
    allowed = [*trusted, *(f"{home}.{cls.__name__}" for cls in known for home in plugins.homes(cls))]
    _limit_aliases()
    OmegaConf.clear_resolver("oc.env")  # a config is no way to the environment, where secrets are
    set_parsing_settings(instantiate_subclass_spec_in_any=False)
    set_parsing_settings(config_read_mode_urls_enabled=False, config_read_mode_fsspec_enabled=False)
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=allowed)
    try:
        yield
    finally:
        set_parsing_settings(import_path_denylist=allowed)


@cache
def _limit_aliases() -> None:
    """A config of nine lines whose aliases stand for billions of values is refused before it is written out."""
    ArgumentParser(parser_mode=MODE).parse_string("{}")  # which makes the loader that is to be limited
    load = get_loader(MODE)

    def limited(text: str) -> Any:
        if "&" in text and "*" in text and _values(yaml.compose(text, yaml.SafeLoader), {}) > LIMIT:
            raise HsxError(f"config: expected at most {LIMIT:,} values, got more by its aliases (*); write them out")
        return load(text)

    set_loader(MODE, limited, (yaml.YAMLError,))


def _values(node: Any, known: dict[int, float]) -> float:
    """How many values a YAML node has, its aliases written out; without end where it holds itself."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = math.inf
        parts = chain(*node.value) if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(node)]

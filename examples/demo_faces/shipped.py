"""The transfers of configs/ in Python, so that what is measured is what ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

import hsx
from hsx import strategies
from hsx.strategies.base import KINDS

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"


def settings(config: Path = CONFIG) -> dict[str, Any]:
    """The options of ``hsx.Transfer`` that a config gives, its strategies made."""
    model = yaml.safe_load(config.read_text())["model"]
    del model["backbone"]
    return {name: _made(value) if name in KINDS else value for name, value in model.items()}


def shipped(backbone: hsx.Backbone, config: Path = CONFIG, **changes: Any) -> hsx.Transfer:
    """The demo's transfer, or that of another config, but for ``changes``."""
    return hsx.Transfer(backbone, **{**settings(config), **changes})


def _made(named: str | dict[str, Any]) -> Any:
    """A built-in strategy from its short name, or from its class_path and init_args."""
    given = {"class_path": named} if isinstance(named, str) else named
    return getattr(strategies, given["class_path"])(**given.get("init_args", {}))

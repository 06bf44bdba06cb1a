"""Modules under the names that they had before they were sorted into rooms; each warns, and goes with release 0.2."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {  # what was documented, and where its names are now
    "hsx.hookspecs": ("hsx.plugins.hookspecs",),
    "hsx.images": ("hsx.io.images", "hsx.io.png", "hsx.io.digests", "hsx.pairs.sources", "hsx.report.sheets"),
    "hsx.inversion": ("hsx.method.inversion",),
    "hsx.noise": ("hsx.method.noise",),
    "hsx.step": ("hsx.method.step", "hsx.backbones.prediction", "hsx.strategies.base"),
    "hsx.transfer": ("hsx.method.transfer",),
}


class _Finder:
    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, _Loader()) if name in MOVED else None  # type: ignore[arg-type]


class _Loader:
    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        return None

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        homes = [import_module(home) for home in MOVED[module.__name__]]

        def look_up(name: str) -> Any:
            home = next((home for home in homes if name in vars(home)), None)
            if home is None or name.startswith("__"):
                raise AttributeError(f"module '{module.__name__}' has no attribute '{name}'")
            warnings.warn(
                f"{module.__name__} has moved: import {name} from {home.__name__}", DeprecationWarning, stacklevel=2
            )
            return vars(home)[name]

        module.__getattr__ = look_up  # type: ignore[method-assign]


sys.meta_path.append(_Finder)

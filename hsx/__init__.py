"""hsx: content in another style with a frozen, unconditional diffusion model (InjectFusion, arXiv 2303.15403)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hsx import _moved  # noqa: F401 (old names of modules)

if TYPE_CHECKING:
    __version__: str
    from hsx.backbones.base import Backbone, Bottleneck
    from hsx.checkpoints.load import load_backbone
    from hsx.errors import BackboneError, HsxError, ImageError
    from hsx.method.config import TransferConfig
    from hsx.method.inversion import Trajectory, invert
    from hsx.method.transfer import Transfer
    from hsx.plugins.hookspecs import hookimpl
    from hsx.schedule import NoiseSchedule

__all__ = [
    "Backbone",
    "BackboneError",
    "Bottleneck",
    "HsxError",
    "ImageError",
    "NoiseSchedule",
    "Trajectory",
    "Transfer",
    "TransferConfig",
    "__version__",
    "hookimpl",
    "invert",
    "load_backbone",
]

_HOMES = {
    "Backbone": "backbones.base",
    "Bottleneck": "backbones.base",
    "load_backbone": "checkpoints.load",
    "BackboneError": "errors",
    "HsxError": "errors",
    "ImageError": "errors",
    "NoiseSchedule": "schedule",
    "Trajectory": "method.inversion",
    "invert": "method.inversion",
    "Transfer": "method.transfer",
    "TransferConfig": "method.config",
    "hookimpl": "plugins.hookspecs",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used, so that ``import hsx`` costs next to nothing."""
    if name == "__version__":  # pyproject.toml says it
        from importlib.metadata import version

        return version("hsx")
    if name not in _HOMES:
        raise AttributeError(f"module 'hsx' has no attribute '{name}'")
    return getattr(importlib.import_module(f"hsx.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

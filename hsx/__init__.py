"""hsx: content in another style with a frozen, unconditional diffusion model (InjectFusion, arXiv 2303.15403)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hsx.backbones.base import Backbone, Bottleneck
    from hsx.backbones.load import load_backbone
    from hsx.errors import BackboneError, HsxError, ImageError
    from hsx.inversion import Trajectory, invert
    from hsx.schedule import NoiseSchedule
    from hsx.transfer import Transfer

__version__ = "0.1.0"
__all__ = [
    "Backbone", "BackboneError", "Bottleneck", "HsxError", "ImageError", "NoiseSchedule", "Trajectory", "Transfer",
    "invert", "load_backbone",
]

_HOMES = {
    "Backbone": "backbones.base", "Bottleneck": "backbones.base", "load_backbone": "backbones.load",
    "BackboneError": "errors", "HsxError": "errors", "ImageError": "errors",
    "Trajectory": "inversion", "invert": "inversion", "NoiseSchedule": "schedule", "Transfer": "transfer",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used, so that ``import hsx`` costs next to nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'hsx' has no attribute '{name}'")
    return getattr(importlib.import_module(f"hsx.{_HOMES[name]}"), name)

"""Networks as the method needs them; ``HookedBackbone`` wraps any that ``hsx.load_backbone`` does not read."""

from hsx.backbones.base import Backbone, Bottleneck, Layout
from hsx.backbones.hooked import HookedBackbone

__all__ = ["Backbone", "Bottleneck", "HookedBackbone", "Layout"]

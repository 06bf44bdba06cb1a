"""Networks as the method needs them; ``load_backbone`` reads them from files, ``HookedBackbone`` wraps any other."""

from hsx.backbones.base import Backbone, Bottleneck, Layout
from hsx.backbones.hooked import HookedBackbone
from hsx.backbones.load import load_backbone
from hsx.backbones.unet2d import UNet2DBackbone

__all__ = ["Backbone", "Bottleneck", "HookedBackbone", "Layout", "UNet2DBackbone", "load_backbone"]

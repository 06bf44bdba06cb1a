"""Measures of a transfer; ``base.py`` says what one is."""

from hsx.metrics.base import Metric
from hsx.metrics.palette import Palette
from hsx.metrics.ssim import SSIM
from hsx.metrics.ssim import Structure as Structure

__all__ = ["SSIM", "Metric", "Palette"]

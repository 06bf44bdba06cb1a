"""Measures of a transfer; ``base.py`` says what one is."""

from hsx.metrics.base import Metric
from hsx.metrics.palette import Palette
from hsx.metrics.structure import Structure

__all__ = ["Metric", "Palette", "Structure"]

"""Measures of a transfer; ``base.py`` says what one is."""

from hsx.metrics.base import MeanMetric, Metric
from hsx.metrics.features import Gram, Moments, SelfSimilarity, StyleDescriptor
from hsx.metrics.known import InversionPSNR, InversionSSIM, TruthLPIPS, TruthPSNR, TruthSSIM
from hsx.metrics.layout import Layout, Look, Overall
from hsx.metrics.lpips import LPIPS
from hsx.metrics.palette import Palette
from hsx.metrics.realism import FID, KID
from hsx.metrics.ssim import SSIM, EdgeSSIM
from hsx.metrics.ssim import Structure as Structure

__all__ = [
    "FID",
    "KID",
    "LPIPS",
    "SSIM",
    "EdgeSSIM",
    "Gram",
    "InversionPSNR",
    "InversionSSIM",
    "Layout",
    "Look",
    "MeanMetric",
    "Metric",
    "Moments",
    "Overall",
    "Palette",
    "SelfSimilarity",
    "StyleDescriptor",
    "TruthLPIPS",
    "TruthPSNR",
    "TruthSSIM",
]

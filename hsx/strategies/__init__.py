"""The method's three moves as small classes; ``base.py`` has the kinds."""

from hsx.strategies.base import Blend, BlendingSchedule, Calibrator, Normalizer, Strategy
from hsx.strategies.blends import AuthorsMask, Lerp, Slerp
from hsx.strategies.calibrators import IteratedLatent, Latent, Uncalibrated
from hsx.strategies.masked import Masked
from hsx.strategies.normalizers import ChannelMoments, Frobenius, Unchanged
from hsx.strategies.schedules import Constant, Cosine, Interval, Linear, SignalToNoise, Table
from hsx.strategies.several import SphericalMean

__all__ = [
    "AuthorsMask",
    "Blend",
    "BlendingSchedule",
    "Calibrator",
    "ChannelMoments",
    "Constant",
    "Cosine",
    "Frobenius",
    "Interval",
    "IteratedLatent",
    "Latent",
    "Lerp",
    "Linear",
    "Masked",
    "Normalizer",
    "SignalToNoise",
    "Slerp",
    "SphericalMean",
    "Strategy",
    "Table",
    "Uncalibrated",
    "Unchanged",
]

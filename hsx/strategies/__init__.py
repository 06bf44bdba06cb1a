"""The method's three moves as small classes; ``base.py`` has the kinds."""

from hsx.strategies.base import Blend, BlendingSchedule, Calibrator, Normalizer, Strategy
from hsx.strategies.blends import AuthorsMask, Slerp
from hsx.strategies.calibrators import Latent
from hsx.strategies.normalizers import ChannelMoments, Frobenius, Unchanged
from hsx.strategies.schedules import Constant

__all__ = [
    "AuthorsMask", "Blend", "BlendingSchedule", "Calibrator", "ChannelMoments", "Constant", "Frobenius", "Latent",
    "Normalizer", "Slerp", "Strategy", "Unchanged",
]

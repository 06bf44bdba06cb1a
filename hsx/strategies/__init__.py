"""The moves of the method as small classes; ``base.py`` has the kinds."""

from hsx.strategies.base import Blend, BlendingSchedule, Calibrator, Donor, Normalizer, Solver, Strategy
from hsx.strategies.blends import AuthorsMask as AuthorsMask
from hsx.strategies.blends import Lerp, PaperFaceMask, Slerp
from hsx.strategies.calibrators import IteratedLatent, Latent, NoCalibration
from hsx.strategies.calibrators import Uncalibrated as Uncalibrated
from hsx.strategies.donors import Inverted, Renoised
from hsx.strategies.masked import Masked
from hsx.strategies.normalizers import AdaIN, Frobenius, Identity
from hsx.strategies.normalizers import ChannelMoments as ChannelMoments
from hsx.strategies.normalizers import Unchanged as Unchanged
from hsx.strategies.schedules import Constant, Cosine, Interval, Linear, SignalToNoise, Table
from hsx.strategies.several import SphericalMean
from hsx.strategies.solvers import DDIM, Multistep2M, MultistepV

__all__ = ["Blend", "BlendingSchedule", "Calibrator", "Donor", "Normalizer", "Solver", "Strategy"]
__all__ += ["Constant", "Cosine", "Interval", "Linear", "SignalToNoise", "Table"]
__all__ += ["Lerp", "Masked", "PaperFaceMask", "Slerp", "SphericalMean"]
__all__ += ["AdaIN", "Frobenius", "Identity"]
__all__ += ["IteratedLatent", "Latent", "NoCalibration"]
__all__ += ["Inverted", "Renoised"]
__all__ += ["DDIM", "Multistep2M", "MultistepV"]

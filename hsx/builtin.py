"""What hsx itself supplies, by the hooks that every plugin uses."""

from __future__ import annotations

from hsx import metrics
from hsx import strategies as s
from hsx.backbones.family import Family
from hsx.checkpoints.families.ddpm import DDPM
from hsx.checkpoints.families.openai import ADM, IDDPM
from hsx.checkpoints.families.unet2d import Unet2D
from hsx.plugins.hookspecs import hookimpl


@hookimpl
def hsx_strategies() -> list[type[s.Strategy]]:
    """The catalogue, see docs/strategies.md."""
    schedules: list[type[s.Strategy]] = [s.Constant, s.Linear, s.Cosine, s.Interval, s.Table, s.SignalToNoise]
    blends: list[type[s.Strategy]] = [s.Slerp, s.PaperFaceMask, s.Lerp, s.Masked, s.SphericalMean]
    normalizers: list[type[s.Strategy]] = [s.Frobenius, s.AdaIN, s.Identity]
    calibrators: list[type[s.Strategy]] = [s.Latent, s.IteratedLatent, s.NoCalibration]
    donors: list[type[s.Strategy]] = [s.Inverted, s.Renoised]
    solvers: list[type[s.Strategy]] = [s.DDIM, s.Multistep2M, s.MultistepV]
    return [*schedules, *blends, *normalizers, *calibrators, *donors, *solvers]


@hookimpl
def hsx_backbones() -> list[type[Family]]:
    """The families of docs/checkpoints.md, in the order in which a file is shown to them."""
    return [DDPM, ADM, IDDPM, Unet2D]


@hookimpl
def hsx_metrics() -> list[type[metrics.Metric]]:
    """The measures, see docs/measures.md."""
    m = metrics
    content: list[type[m.Metric]] = [m.Layout, m.SSIM, m.EdgeSSIM, m.SelfSimilarity, m.LPIPS]
    style: list[type[m.Metric]] = [m.Look, m.Palette, m.Gram, m.Moments, m.StyleDescriptor]
    known: list[type[m.Metric]] = [m.InversionPSNR, m.InversionSSIM, m.TruthPSNR, m.TruthSSIM, m.TruthLPIPS]
    return [m.Overall, *content, *style, m.FID, m.KID, *known]

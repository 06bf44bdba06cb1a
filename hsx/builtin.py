"""What hsx itself supplies, by the hooks that every plugin uses."""

from __future__ import annotations

from hsx import metrics, strategies
from hsx.backbones.family import Family
from hsx.checkpoints.families.ddpm import DDPM
from hsx.checkpoints.families.openai import ADM, IDDPM
from hsx.checkpoints.families.unet2d import Unet2D
from hsx.plugins.hookspecs import hookimpl


@hookimpl
def hsx_strategies() -> list[type[strategies.Strategy]]:
    """The catalogue, see docs/strategies.md."""
    return [
        strategies.Constant,
        strategies.Linear,
        strategies.Cosine,
        strategies.Interval,
        strategies.Table,
        strategies.SignalToNoise,
        strategies.Slerp,
        strategies.AuthorsMask,
        strategies.Lerp,
        strategies.Masked,
        strategies.SphericalMean,
        strategies.Frobenius,
        strategies.ChannelMoments,
        strategies.Unchanged,
        strategies.Latent,
        strategies.IteratedLatent,
        strategies.Uncalibrated,
    ]


@hookimpl
def hsx_backbones() -> list[type[Family]]:
    """The families of docs/checkpoints.md, in the order in which a file is shown to them."""
    return [DDPM, ADM, IDDPM, Unet2D]


@hookimpl
def hsx_metrics() -> list[type[metrics.Metric]]:
    """One for the content, one for the style."""
    return [metrics.Structure, metrics.Palette]

"""The settings of ``claims.py``, and the results that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from agreement import Drawn
from torch import Tensor

import hsx
from hsx.strategies import (
    AdaIN,
    Constant,
    Frobenius,
    Identity,
    Interval,
    IteratedLatent,
    Latent,
    MultistepV,
    NoCalibration,
)

from shipped import settings  # isort: skip  # of examples/demo_faces, which agreement knows

CONFIGS = Path(__file__).parents[1] / "configs"
STEPS = {"demo_faces": 20, "plain_faces": 50}  # 20 are too far from 50 on the ordinary one
FEW = 20
GAMMAS = (0.0, 0.3, 0.5, 0.75, 1.0)
NORMALIZERS = {"Frobenius": Frobenius, "Identity": Identity, "AdaIN": AdaIN}
CALIBRATORS: dict[str, Callable[[], Any]] = {
    "Latent, omega 0.3": partial(Latent, 0.3),
    "Latent, omega 0.6": partial(Latent, 0.6),
    "IteratedLatent, omega 0.3": partial(IteratedLatent, 0.3),
}
NOISY_AT = 0.1, 0.3  # of all timesteps: where results are denoised


@dataclass(frozen=True)
class Setting:
    """What is varied.  Sites: h, skips, both, or the config's own."""

    gamma: float
    normalizer: str
    calibrator: str = "none"
    sites: str = "h"

    @property
    def words(self) -> str:
        """What it is called in a table."""
        more = [self.calibrator.replace("omega", "ω")] if self.calibrator != "none" else []
        more += [self.sites] if self.sites != "config" else []
        return ", ".join([f"γ {self.gamma:g}", self.normalizer, *more])


@dataclass(frozen=True)
class Around:
    """Where it is varied: around the paper's procedure, or a model's own config.

    Attributes:
        options: of ``hsx.Transfer``, but for what is varied.
        schedule: the schedule of a gamma.
        usual: the setting of the paper, or of the config.
        sites: what the names of ``Setting.sites`` stand for; the last has all of them.
        normalized, calibrated: the gammas at which normalisers and calibrators are compared.
    """

    name: str
    options: dict[str, Any]
    schedule: Callable[[float], Any]
    usual: Setting
    sites: dict[str, Any]
    normalized: tuple[float, ...]
    calibrated: float

    @property
    def steps(self) -> int:
        """Of generation."""
        steps: int = self.options["generation_steps"]
        return steps

    @property
    def settings(self) -> list[Setting]:
        """All that are made, those of the curve first."""
        own, (first, *rest) = self.usual.normalizer, self.sites
        chosen = [Setting(gamma, own, sites=first) for gamma in GAMMAS]
        chosen += [Setting(g, name, sites=first) for g in self.normalized for name in NORMALIZERS if name != own]
        chosen += [Setting(self.calibrated, own, name, first) for name in CALIBRATORS]
        return chosen + [Setting(1.0, own, sites=name) for name in rest]

    def transfer(self, backbone: hsx.Backbone, setting: Setting) -> hsx.Transfer:
        """With these settings."""
        varied = {
            "schedule": self.schedule(setting.gamma),
            "normalizer": NORMALIZERS[setting.normalizer](),
            "calibrator": CALIBRATORS.get(setting.calibrator, NoCalibration)(),
            "sites": self.sites[setting.sites],
        }
        return hsx.Transfer(backbone, **self.options | varied)


def in_steps(steps: int) -> dict[str, Any]:
    """Options for so few."""
    return {"inversion_steps": steps, "generation_steps": steps, "solver": MultistepV()}


def arounds(model: str, backbone: hsx.Backbone, steps: int | None = None) -> list[Around]:
    """The paper's procedure in ``steps``, by default in ``STEPS``, and the model's config in ``FEW`` at most."""
    skips = f"deepest:{len(backbone.layout.skips)}"
    sites = {"h": ["h"], "skips": skips, "h and skips": ["h", skips]}
    paper = {**in_steps(steps or STEPS[model]), "t_edit": 400, "t_boost": 0, "same_strength_as": 50}
    own = settings(CONFIGS / f"{model.partition('_')[0]}.yaml")
    span, own["style_eps"] = own.pop("schedule"), "always"  # with first, gammas below 1 mean something else
    if own["generation_steps"] > FEW:
        own |= in_steps(FEW)
    chosen, normalizer = {"config": own.pop("sites", ["h"])}, type(own.pop("normalizer")).__name__
    del own["calibrator"]
    interval = partial(Interval, t_hi=span.t_hi, t_lo=span.t_lo)
    return [
        Around("paper", paper, Constant, Setting(0.3, "Frobenius"), sites, (0.3, 1.0), 0.3),
        Around("config", own, interval, Setting(1.0, normalizer, sites="config"), chosen, (1.0,), 1.0),
    ]


@torch.no_grad()
def made(
    backbone: hsx.Backbone, around: Around, drawn: Drawn, noise: Tensor, rows: slice
) -> Iterator[tuple[Setting, Tensor, Tensor]]:
    """Each setting's results of these rows, in 8 bits, and how otherwise than the true answers they are denoised."""
    transfers = {setting: around.transfer(backbone, setting) for setting in around.settings}
    *_, widest = transfers.values()
    contents, styles = widest.contents(drawn.content[rows]), widest.invert(drawn.style[rows], ())
    usual = denoised(backbone, drawn.truth[rows], noise[rows])
    for setting, transfer in transfers.items():
        features = {site: contents.features[site] for site in transfer.sites if site in contents.features}
        result = transfer.inject(replace(contents, features=features), styles)
        pixels = result.clamp(-1, 1).add(1).mul(127.5).round().byte().contiguous()
        error = denoised(backbone, scaled(pixels), noise[rows])
        yield setting, pixels, (error / usual).log().abs().mean(1)


def denoised(backbone: hsx.Backbone, images: Tensor, noise: Tensor) -> Tensor:
    """The mean squared error of the noise that the model predicts in pictures, at each of ``NOISY_AT``: (B, 2)."""
    errors = []
    for part in NOISY_AT:
        t = torch.full((len(images),), round(part * len(backbone.schedule)))
        a = backbone.schedule.at(t)
        x = a.sqrt() * images + (1 - a).sqrt() * noise
        errors.append((backbone(x, t) - noise).square().mean((1, 2, 3)))
    return torch.stack(errors, 1)


def scaled(pixels: Tensor) -> Tensor:
    """From 8 bits to [-1, 1]."""
    return pixels.float() / 127.5 - 1

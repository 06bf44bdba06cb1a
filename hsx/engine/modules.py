"""Transfer as Lightning knows it: no mathematics, only which tensors go where."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from torch import Tensor

from hsx.backbones.load import load_backbone
from hsx.engine.store import weights_digest
from hsx.errors import HsxError
from hsx.inversion import Trajectory
from hsx.noise import SampleNoise
from hsx.schedule import timesteps
from hsx.strategies import Blend, BlendingSchedule, Calibrator, Normalizer
from hsx.transfer import Transfer


class TransferModule(lightning.LightningModule):
    """A frozen diffusion model and the settings of the transfer.

    Args:
        backbone: the checkpoint: a diffusers folder, a checkpoint file or hsx://demo_faces; or a mapping with source
            and what the file cannot tell, such as image_size.
        schedule: how much of the content is blended in at each timestep.
        blend: how two bottlenecks become one.
        normalizer: how the content's bottleneck is fitted to the style's statistics.
        calibrator: how x is moved so that its skips agree with the injected bottleneck.
        inversion_steps: timesteps from picture to noise.
        generation_steps: timesteps from noise to picture.
        injection_steps: how many generation steps inject; by default all, at most 50.
        t_start: the timestep at which inversion ends and generation starts; the model's last by default.
        t_edit: inject while t >= t_edit; by default 400 of 1000, scaled to the model's timesteps.
        t_boost: add noise at injection steps with t <= t_boost, which cleans the picture; 0 is never; by default 200 of
            1000, scaled.
        dt_lambda: scales the direction term while t >= dt_end (the authors' 0.9985 for in-domain mixing).
        dt_end: see dt_lambda; by default 950 of 1000, scaled.
        seed: of the noise; that of seed_everything by default.
    """

    def __init__(
        self,
        backbone: str | dict[str, Any],
        schedule: BlendingSchedule,
        blend: Blend,
        normalizer: Normalizer,
        calibrator: Calibrator,
        inversion_steps: int = 50,
        generation_steps: int = 50,
        injection_steps: int | None = None,
        t_start: int | None = None,
        t_edit: int | None = None,
        t_boost: int | None = None,
        dt_lambda: float = 1.0,
        dt_end: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        options = {"source": backbone} if isinstance(backbone, str) else dict(backbone)
        if "source" not in options:
            raise HsxError("model.backbone: expected a path, or a mapping with source, got none; name the checkpoint")
        self.backbone = load_backbone(**options)
        self.transfer = Transfer(
            self.backbone, schedule, blend, normalizer, calibrator, inversion_steps, generation_steps, injection_steps,
            t_start, t_edit, t_boost, seed, dt_lambda, dt_end)
        weights = weights_digest(self.backbone)
        self.inversion_settings = {"weights": weights, "steps": inversion_steps, "t_start": self.transfer.t_start}
        strategies = {"schedule": schedule, "blend": blend, "normalizer": normalizer, "calibrator": calibrator}
        self.settings = {
            "backbone": str(options["source"]), "weights": weights,
            **{kind: strategy.record() for kind, strategy in strategies.items()},
            "inversion_steps": inversion_steps, "generation_steps": generation_steps,
            "injection_steps": injection_steps, "dt_lambda": dt_lambda, "seed": seed,
            **{name: getattr(self.transfer, name) for name in ("t_start", "t_edit", "t_boost", "dt_end")},
        }

    def predict_step(self, batch: dict[str, Any]) -> Trajectory | Tensor | None:
        """Pictures to their Trajectory, or stored trajectories to images (B, 3, R, R) in [-1, 1]; None for no rows."""
        if not batch["name"]:
            return None
        if "image" in batch:
            return self.transfer.invert(batch["image"])
        times = tuple(timesteps(self.transfer.inversion_steps, self.transfer.t_start)[:-1])
        content = Trajectory(batch["content_x_T"], batch["content_h"], times, self.transfer.t_start)
        no_h = torch.empty(len(content), 0, *self.backbone.h_shape)  # of the style only its noise is used
        style = Trajectory(batch["style_x_T"], no_h, (), self.transfer.t_start)
        noise = SampleNoise(self.transfer.seed, batch["name"])
        return self.transfer.inject(content, style, noise=noise).clamp(-1, 1)

"""Transfer as Lightning knows it: no mathematics, only which tensors go where."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import lightning
import torch
from torch import Tensor

from hsx.backbones.load import load_backbone
from hsx.engine.digests import digest, weights_digest
from hsx.errors import HsxError
from hsx.inversion import Trajectory
from hsx.noise import SampleNoise
from hsx.schedule import timesteps
from hsx.strategies import Blend, BlendingSchedule, Calibrator, Normalizer
from hsx.transfer import Transfer
from hsx.urls import public_url

T = TypeVar("T")
log = logging.getLogger("hsx")


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
        backbone: str | dict[str, int | float | bool | list[float] | str | None],
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
        self.source = public_url(str(options["source"]))
        weights = weights_digest(self.backbone)
        self.inversion_settings = {"weights": weights, "steps": inversion_steps, "t_start": self.transfer.t_start}
        strategies = {"schedule": schedule, "blend": blend, "normalizer": normalizer, "calibrator": calibrator}
        self.settings: dict[str, Any] = {
            "weights": weights, **{kind: strategy.record() for kind, strategy in strategies.items()},
            "inversion_steps": inversion_steps, "generation_steps": generation_steps,
            "injection_steps": injection_steps, "dt_lambda": dt_lambda, "seed": seed,
            **{name: getattr(self.transfer, name) for name in ("t_start", "t_edit", "t_boost", "dt_end")},
        }
        self.most: int | None = None  # pictures at once, where memory has run out with more
        self.wanted: Callable[[dict[str, Any], int], bool] = lambda batch, row: True  # which pictures to invert
        self.evaluations = 0.0  # of the network, a picture each; E and D are half a one
        for half in ("encode", "decode"):
            setattr(self.backbone, half, self._counted(getattr(self.backbone, half)))

    @property
    def settings_digest(self) -> str:
        """A hash of all that decides how a picture is made from a content and a style."""
        return digest(self.settings)

    def predict_step(self, batch: dict[str, Any]) -> Trajectory | Tensor | None:
        """Pictures to their Trajectory, or stored trajectories to images (B, 3, R, R) in [-1, 1]; None for no rows."""
        if not batch["index"]:
            return None
        if "image" in batch:
            batch["chosen"] = [place for place, _ in enumerate(batch["index"]) if self.wanted(batch, place)]
            images = batch["image"][batch["chosen"]]
            parts = self._in_parts(lambda rows: self.transfer.invert(images[rows]), len(images))
            if not parts:
                return None
            x_T, h = (torch.cat([getattr(part, name) for part in parts]) for name in ("x_T", "h"))
            return Trajectory(x_T, h, parts[0].timesteps, parts[0].t_start)
        return torch.cat(self._in_parts(lambda rows: self._inject(batch, rows), len(batch["index"])))

    def _inject(self, batch: dict[str, Any], rows: slice) -> Tensor:
        """The pictures of some rows of a batch of pairs."""
        x, h = batch["style_x_T"][rows], batch["content_h"][rows]
        times = tuple(timesteps(self.transfer.inversion_steps, self.transfer.t_start)[:-1])
        content = Trajectory(batch["content_x_T"][rows], h.to(x), times, self.transfer.t_start)
        no_h = torch.empty(len(x), 0, *self.backbone.h_shape)  # of the style only its noise is used
        style = Trajectory(x, no_h, (), self.transfer.t_start)
        noise = SampleNoise(batch["seed"][rows], batch["sample"][rows])
        mask = batch["mask"][rows] if "mask" in batch else None
        return self.transfer.inject(content, style, mask, noise, batch["gamma"][rows]).clamp(-1, 1)

    def _in_parts(self, work: Callable[[slice], T], rows: int) -> list[T]:
        """``work`` on all rows in parts as large as memory allows: halved, with a word, whenever it runs out."""
        done: list[T] = []
        at = 0
        while at < rows:
            size = min(self.most or rows, rows - at)
            try:
                done.append(work(slice(at, at + size)))
                at += size
                continue
            except torch.OutOfMemoryError:  # dealt with below, where its frames hold no memory any more
                pass
            if size == 1:
                raise HsxError("memory: expected room for one picture at a time, got out of memory; use another "
                               "device, a smaller model or --trainer.precision 16-true")
            self.most = size // 2
            log.warning("out of memory with %d pictures at once; going on with %d", size, self.most)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return done

    def _counted(self, half: Callable[..., Any]) -> Callable[..., Any]:
        """E or D of the backbone, adding up how many pictures go through."""
        def run(*given: Any) -> Any:
            result = half(*given)
            self.evaluations += len(given[0].h if hasattr(given[0], "h") else given[0]) / 2
            return result
        return run

"""Transfer as Lightning knows it: no mathematics, only which tensors go where."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import lightning
import torch
from torch import Tensor

from hsx.assets import resolve
from hsx.checkpoints.load import load_backbone
from hsx.errors import HsxError
from hsx.io.digests import digest
from hsx.io.urls import public_url
from hsx.method.inversion import Trajectory
from hsx.method.noise import SampleNoise
from hsx.method.transfer import Transfer
from hsx.schedule import timesteps
from hsx.strategies.arguments import absolute

T = TypeVar("T")
log = logging.getLogger("hsx")


class TransferModule(lightning.LightningModule):
    """A frozen diffusion model and the settings of the transfer.

    Args:
        backbone: the checkpoint: a diffusers folder, a checkpoint file or hsx://demo_faces; or a mapping with source
            and what the file cannot tell, such as image_size.
        settings, options: a TransferConfig, or its fields.
    """

    def __init__(self, backbone: str | dict[str, Any], *settings: Any, **options: Any) -> None:
        super().__init__()
        about = {"source": backbone} if isinstance(backbone, (str, Path)) else dict(backbone)
        if "source" not in about:
            raise HsxError("model.backbone: expected a path, or a mapping with source, got none; name the checkpoint")
        self.backbone = load_backbone(**about)
        self.transfer = Transfer(self.backbone, *settings, **options)
        self.source = anywhere(str(about["source"]))
        config, network = self.transfer.config, self.backbone.fingerprint()
        self.config: dict[str, Any] = {
            "backbone": self.source if len(about) == 1 else {**about, "source": self.source},
            **config.as_model(),
        }
        self.inversion_settings = {"network": network, "steps": config.inversion_steps, "t_start": config.t_start}
        self.settings: dict[str, Any] = {"network": network, **config.record()}
        self.most: int | None = None  # pictures at once, where memory has run out with more
        self.wanted: Callable[[dict[str, Any], int], bool] = lambda batch, row: True  # which pictures to invert
        self.evaluations = 0.0  # of the network, a picture each
        encode, decode = self.backbone.encode, self.backbone.decode
        self.backbone.encode = self._counted(  # type: ignore[method-assign]
            encode, lambda x, t: len(x) * self.backbone.encode_cost()
        )
        self.backbone.decode = self._counted(  # type: ignore[method-assign]
            decode, lambda b: len(b.h) * self.backbone.decode_cost(b)
        )

    @property
    def settings_digest(self) -> str:
        """A hash of all that decides how a picture is made from a content and a style."""
        return digest(self.settings)

    @property
    def machine(self) -> dict[str, Any]:
        """On what a picture is computed, which decides its last bits: the device, and on a CPU how many threads."""
        if self.device.type == "cpu":
            return {"device": "cpu", "threads": torch.get_num_threads()}
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return {"device": name, "threads": None}

    def predict_step(self, batch: dict[str, Any]) -> Trajectory | Tensor | None:
        """Pictures to their Trajectory, or stored trajectories to images (B, 3, R, R) in [-1, 1]; None for no rows.

        ``batch["rows"]`` is set to how many rows each row of the result was computed with, which decides its last bits.
        """
        if not batch["index"]:
            return None
        if "image" in batch:
            batch["chosen"] = [place for place, _ in enumerate(batch["index"]) if self.wanted(batch, place)]
            images = batch["image"][batch["chosen"]]
            parts = self._in_parts(lambda rows: self.transfer.invert(images[rows]), len(images))
            batch["rows"] = [len(part) for part in parts for _ in range(len(part))]
            if not parts:
                return None
            x_T, h = (torch.cat([getattr(part, name) for part in parts]) for name in ("x_T", "h"))
            return Trajectory(x_T, h, parts[0].timesteps, parts[0].t_start)
        made = self._in_parts(lambda rows: self._inject(batch, rows), len(batch["index"]))
        batch["rows"] = [len(part) for part in made for _ in range(len(part))]
        return torch.cat(made)

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
                raise HsxError(
                    "memory: expected room for one picture at a time, got out of memory; use another "
                    "device, a smaller model or --trainer.precision 16-true"
                )
            self.most = size // 2
            log.warning("out of memory with %d pictures at once; going on with %d", size, self.most)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return done

    def _counted(self, half: Callable[..., T], cost: Callable[..., float]) -> Callable[..., T]:
        """E or D of the backbone, adding up what it costs."""

        def run(*given: Any) -> T:
            result = half(*given)
            self.evaluations += cost(*given)
            return result

        return run


def anywhere(source: str) -> str:
    """The source of a backbone as it is found from any folder: a path made absolute, of a URL the public part."""
    return str(absolute(source)) if resolve(source).exists() else public_url(source)

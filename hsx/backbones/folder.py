"""A diffusers folder: its U-Net, and the schedule that its scheduler names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel

from hsx.backbones.base import Backbone
from hsx.backbones.unet2d import UNet2DBackbone
from hsx.errors import BackboneError, first_line
from hsx.schedule import NoiseSchedule


def read_folder(path: Path) -> Backbone:
    """A UNet2DModel folder, or a pipeline folder with ``unet/`` and ``scheduler/``."""
    unet_path = path / "unet" if (path / "unet").is_dir() else path
    try:
        config = json.loads((unet_path / "config.json").read_text())
        if config.get("_class_name") != "UNet2DModel":
            raise BackboneError(f"{path}: expected a UNet2DModel, got {config.get('_class_name')}; "
                                "give an unconditional pixel-space diffusion model")
        unet, told = UNet2DModel.from_pretrained(unet_path, low_cpu_mem_usage=False, output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise BackboneError(f"{path}: expected a diffusers UNet2DModel folder with config.json and safetensors, could "
                            f"not read one ({first_line(error)}); give the pipeline or its unet folder") from None
    wrong = [f"{kind} {keys[0]}" for kind, keys in told.items() if keys]
    if wrong:
        raise BackboneError(f"{path}: expected the weights that its config.json names, got {', '.join(wrong)}; "
                            "save or fetch the model again")
    scheduler = _scheduler(path)
    return UNet2DBackbone(unet.float(), _schedule(path, scheduler),
                          prediction_type=scheduler.get("prediction_type", "epsilon"))


def _scheduler(path: Path) -> dict[str, Any]:
    """The scheduler's config, empty where there is none."""
    files = [p / "scheduler_config.json" for p in (path / "scheduler", path.parent / "scheduler", path)]
    file = next((f for f in files if f.exists()), None)
    try:
        return json.loads(file.read_text()) if file else {}
    except ValueError as error:
        raise BackboneError(f"{file}: expected JSON, could not read it ({first_line(error)}); fetch it again") from None


def _schedule(path: Path, config: dict[str, Any]) -> NoiseSchedule:
    """The schedule that the folder's scheduler names; DDPM's linear one where there is none."""
    if config.get("trained_betas"):
        return NoiseSchedule.from_betas(torch.tensor(config["trained_betas"], dtype=torch.float64))
    kind, n = config.get("beta_schedule", "linear"), config.get("num_train_timesteps", 1000)
    start, end = config.get("beta_start", 1e-4), config.get("beta_end", 0.02)
    if kind == "linear":
        return NoiseSchedule.from_betas(torch.linspace(start, end, n, dtype=torch.float64))
    if kind == "scaled_linear":
        return NoiseSchedule.from_betas(torch.linspace(start**0.5, end**0.5, n, dtype=torch.float64) ** 2)
    if kind == "squaredcos_cap_v2":
        return NoiseSchedule.cosine(n)
    raise BackboneError(f"{path}: expected beta_schedule linear, scaled_linear or squaredcos_cap_v2, got {kind}; "
                        "write the betas out as trained_betas")

"""A diffusers folder: its U-Net, and the schedule that its scheduler names; or a folder that only hsx reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from safetensors import SafetensorError
from safetensors.torch import load_file

from hsx.backbones.base import Backbone
from hsx.backbones.family import make_schedule
from hsx.backbones.options import Fact, Options
from hsx.backbones.unet2d import UNet2DBackbone, make_unet
from hsx.errors import BackboneError, HsxError, first_line
from hsx.schedule import NoiseSchedule

HSX_FILE, HSX_WEIGHTS = "hsx.json", "hsx.safetensors"  # what diffusers does not open, because it would misread it


def read_folder(path: Path, options: Options | None = None) -> Backbone:
    """A UNet2DModel folder, a pipeline folder with ``unet/`` and ``scheduler/``, or one of ``hsx convert --hsx-only``.

    Args:
        options: image_size, schedule, num_train_timesteps, rescale_timesteps and class_label override the folder.

    Raises:
        BackboneError: for a folder that holds no such model, or options that its configs already answer.
    """
    options = options or Options()
    closed = [name for name in ("num_heads", "num_head_channels", "attention_order", "family")
              if getattr(options, name) not in (None, "diffusers")]
    if closed:
        raise BackboneError(f"{path}: expected no option {closed[0]} for a diffusers folder, whose config says it; "
                            "leave it out")
    try:
        return _read_hsx(path, options) if (path / HSX_FILE).exists() else _read_diffusers(path, options)
    except BackboneError as error:
        text = str(error)
        raise BackboneError(text if text.startswith(str(path)) else f"{path}: {text}") from None
    except HsxError as error:
        raise BackboneError(f"{path}: {error}") from None


def _read_diffusers(path: Path, options: Options) -> Backbone:
    unet_path = path / "unet" if (path / "unet").is_dir() else path
    try:
        config = json.loads((unet_path / "config.json").read_text())
        if config.get("_class_name") != "UNet2DModel":
            raise BackboneError(f"{path}: expected a UNet2DModel, got {config.get('_class_name')}; "
                                "give an unconditional pixel-space diffusion model")
        unet, told = UNet2DModel.from_pretrained(unet_path, low_cpu_mem_usage=False, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, TypeError, AttributeError, LookupError) as error:
        raise BackboneError(f"{path}: expected a diffusers UNet2DModel folder with config.json and safetensors, could "
                            f"not read one ({first_line(error)}); give the pipeline or its unet folder") from None
    wrong = [f"{kind} {keys[0]}" for kind, keys in told.items() if keys]
    wrong += [f"{name} not finite" for name, value in unet.state_dict().items() if not torch.isfinite(value).all()][:1]
    if wrong:
        raise BackboneError(f"{path}: expected the weights that its config.json names, got {', '.join(wrong)}; "
                            "save or fetch the model again")
    scheduler = _scheduler(path)
    prediction = scheduler.get("prediction_type", "epsilon")
    origin = "read" if scheduler else "assumed"
    return _backbone(unet.float(), _schedule(path, scheduler), scheduler.get("trained_betas") or scheduler.get(
        "beta_schedule", "linear"), origin, prediction, options)


def _read_hsx(path: Path, options: Options) -> Backbone:
    try:
        told = json.loads((path / HSX_FILE).read_text())
        unet = make_unet(told["unet"], load_file(path / HSX_WEIGHTS), told["num_heads"])
        schedule = NoiseSchedule(torch.tensor(told["alphas_cumprod"], dtype=torch.float64))
        backbone = _backbone(unet, schedule, "alphas_cumprod", "read", told["prediction_type"], options,
                             told["timestep_scale"], told["class_label"])
    except (OSError, ValueError, RuntimeError, TypeError, LookupError, SafetensorError) as error:
        raise BackboneError(f"{path}: expected a folder that hsx convert wrote, could not read it "
                            f"({first_line(error)}); convert the checkpoint again") from None
    return backbone


def _backbone(
    unet: UNet2DModel, schedule: NoiseSchedule, kind: Any, origin: str, prediction: str,
    options: Options, scale: float = 1.0, label: int | None = None,
) -> Backbone:
    """The network with the options over what the folder says."""
    facts = {"widths": Fact(tuple(unet.config.block_out_channels), "read"),
             "layers": Fact(unet.config.layers_per_block, "read"),
             "image_size": Fact(unet.config.sample_size, "read"),
             "schedule": Fact(kind if isinstance(kind, str) else "betas", origin),
             "num_train_timesteps": Fact(len(schedule), origin)}
    given = options.given()
    if "image_size" in given:
        unet.register_to_config(sample_size=options.image_size)
    if "schedule" in given or "num_train_timesteps" in given:
        named = options.schedule or ("cosine" if kind == "squaredcos_cap_v2" else "linear")
        count = options.num_train_timesteps or (len(schedule) if isinstance(named, str) else len(named))
        schedule = make_schedule(named, count)
    if options.rescale_timesteps is not None:
        scale = 1000 / len(schedule) if options.rescale_timesteps else 1.0
    facts |= {name: Fact(given[name], "given") for name in facts if name in given}
    label = options.class_label if options.class_label is not None else label
    backbone = UNet2DBackbone(unet, schedule, "diffusers", scale, label, prediction)
    backbone.facts = facts
    return backbone


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

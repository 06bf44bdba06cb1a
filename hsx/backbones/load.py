"""What is this file?  A checkpoint or a diffusers folder becomes a Backbone."""

from __future__ import annotations

import inspect
import json
import pickle
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from safetensors.torch import load_file
from torch import Tensor

from hsx.assets import resolve
from hsx.backbones import ddpm, openai
from hsx.backbones.base import Backbone
from hsx.backbones.unet2d import UNet2DBackbone
from hsx.errors import BackboneError
from hsx.schedule import NoiseSchedule

FAMILIES = (ddpm, openai)
USE = ("schedule", "num_train_timesteps", "rescale_timesteps", "class_label")
FILES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")


def load_backbone(source: str | Path, **options: Any) -> Backbone:
    """A frozen Backbone from a diffusers folder or a DDPM, ADM or P2 checkpoint file.

    Args:
        source: a folder with a diffusers ``UNet2DModel`` (or a pipeline of one), a ``.pt``, ``.pth``, ``.ckpt``,
            ``.bin`` or ``.safetensors`` file, or ``hsx://demo_faces``, the demo model that ships with hsx.
        options: what names and shapes of a checkpoint file cannot tell.  ``image_size``; for iDDPM, ADM and P2
            ``num_head_channels`` or ``num_heads``, and ``attention_order`` (legacy or new); ``schedule`` (linear,
            cosine, or a list of betas; linear by default), ``num_train_timesteps`` (1000), ``rescale_timesteps`` (the
            network is given t 1000 / T; False) and, for a class-conditional network, ``class_label``.

    Raises:
        BackboneError: for anything that is not such a model, with what was expected and what to do.
    """
    path = resolve(source)
    if path.is_dir():
        if options:
            raise BackboneError(f"{source}: expected no options for a diffusers folder, got {', '.join(options)}; "
                                "leave them out")
        return _folder(path)
    if not path.exists():
        raise BackboneError(f"{source}: expected a checkpoint file or a diffusers folder, found nothing there; "
                            "check the path")
    if path.suffix not in FILES:
        raise BackboneError(f"{source}: expected a file ending in {', '.join(FILES)}, got '{path.suffix}'; "
                            "give the checkpoint itself")
    state = _state(path)
    for family in FAMILIES:
        if family.recognises(state):
            return _file(path, family, state, options)
    some = ", ".join(list(state)[:3])
    raise BackboneError(f"{source}: expected the weights of a DDPM or ADM U-Net, got tensors such as {some}; "
                        "give an unconditional pixel-space diffusion model")


def _file(path: Path, family: Any, state: dict[str, Tensor], options: dict[str, Any]) -> Backbone:
    """A network from a family's names, and what the options say of its use."""
    name, shaping = family.family(state), inspect.signature(family.convert).parameters
    for option, parameter in list(shaping.items())[1:]:
        if parameter.default is parameter.empty and option not in options:
            raise BackboneError(f"{path}: expected the option {option}, which a {name} checkpoint's weights cannot "
                                f"tell; give {option}=…")
    known = [*list(shaping)[1:], *USE]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise BackboneError(f"{path}: expected options among {', '.join(known)}, got {', '.join(unknown)}; "
                            "leave it out")
    try:
        config, weights = family.convert(state, **{k: v for k, v in options.items() if k in shaping})
        unet = UNet2DModel(**config)
        unet.load_state_dict(weights)
    except (KeyError, ValueError, RuntimeError, StopIteration) as error:
        raise BackboneError(f"{path}: expected the whole of a {name} U-Net that fits its options, got one that does "
                            f"not fit ({_line(error)}); check the options and the file") from None
    if options.get("num_heads"):
        for module in unet.modules():
            if isinstance(module, Attention):
                module.heads = options["num_heads"]  # at every width, which the config cannot say
    schedule = _named_schedule(path, options.get("schedule", "linear"), options.get("num_train_timesteps", 1000))
    scale = 1000 / len(schedule) if options.get("rescale_timesteps") else 1.0
    return UNet2DBackbone(unet, schedule, name, scale, options.get("class_label"))


def _named_schedule(path: Path, schedule: Any, num_timesteps: int) -> NoiseSchedule:
    """linear and cosine by OpenAI's rules for any number of timesteps, or betas as they are."""
    if schedule == "linear":
        return NoiseSchedule.linear(num_timesteps)
    if schedule == "cosine":
        return NoiseSchedule.cosine(num_timesteps)
    if isinstance(schedule, str):
        raise BackboneError(f"{path}: expected the option schedule as linear, cosine or a list of betas, got "
                            f"{schedule}; write the betas out")
    return NoiseSchedule.from_betas(torch.as_tensor(schedule, dtype=torch.float64))


def _state(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint file.  Checkpoints are data: nothing in them is run."""
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BackboneError(f"{path}: expected a checkpoint that holds only tensors, got one that is broken or would "
                            f"run code ({_line(error)}); save its state_dict alone") from None
    except Exception as error:  # torch's unpickler raises nearly anything on bytes that are no checkpoint
        raise BackboneError(f"{path}: expected a whole checkpoint, could not read it ({_line(error)}); "
                            "fetch it again") from None
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise BackboneError(f"{path}: expected a plain state dict of tensors, got {type(state).__name__}; "
                            "save the model's state_dict alone")
    return {k: v.float() for k, v in state.items()}


def _folder(path: Path) -> Backbone:
    """A UNet2DModel folder, or a pipeline folder with ``unet/`` and ``scheduler/``."""
    unet_path = path / "unet" if (path / "unet").is_dir() else path
    try:
        config = json.loads((unet_path / "config.json").read_text())
        if config.get("_class_name") != "UNet2DModel":
            raise BackboneError(f"{path}: expected a UNet2DModel, got {config.get('_class_name')}; "
                                "give an unconditional pixel-space diffusion model")
        unet = UNet2DModel.from_pretrained(unet_path, low_cpu_mem_usage=False, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise BackboneError(f"{path}: expected a diffusers UNet2DModel folder with config.json and safetensors, could "
                            f"not read one ({_line(error)}); give the pipeline or its unet folder") from None
    return UNet2DBackbone(unet.float(), _schedule(path))


def _schedule(path: Path) -> NoiseSchedule:
    """The schedule that the folder's scheduler names; DDPM's linear one where there is none."""
    files = [p / "scheduler_config.json" for p in (path / "scheduler", path.parent / "scheduler", path)]
    file = next((f for f in files if f.exists()), None)
    if file is None:
        return NoiseSchedule.linear()
    config = json.loads(file.read_text())
    if config.get("prediction_type", "epsilon") != "epsilon":
        raise BackboneError(f"{file}: expected prediction_type epsilon, got {config['prediction_type']}; "
                            "use a model that predicts noise")
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
    raise BackboneError(f"{file}: expected beta_schedule linear, scaled_linear or squaredcos_cap_v2, got {kind}; "
                        "write the betas out as trained_betas")


def _line(error: Exception) -> str:
    """The first line of an exception's message, short."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]

"""What is this file?  A checkpoint or a diffusers folder becomes a Backbone."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from torch import Tensor

from hsx.assets import resolve
from hsx.backbones import ddpm, openai
from hsx.backbones.base import Backbone
from hsx.backbones.folder import read_folder
from hsx.backbones.tensors import read_tensors
from hsx.backbones.unet2d import UNet2DBackbone
from hsx.errors import BackboneError, first_line
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
        return read_folder(path)
    if not path.exists():
        raise BackboneError(f"{source}: expected a checkpoint file or a diffusers folder, found nothing there; "
                            "check the path")
    if path.suffix not in FILES:
        raise BackboneError(f"{source}: expected a file ending in {', '.join(FILES)}, got '{path.suffix}'; "
                            "give the checkpoint itself")
    state = read_tensors(path)
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
                            f"not fit ({first_line(error)}); check the options and the file") from None
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

"""The config of a ``UNet2DModel``, field by field: what hsx can compute exactly, and what it refuses by name."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

from diffusers import UNet2DModel

from hsx.backbones.base import Fact
from hsx.checkpoints.files.refused import GIVE
from hsx.checkpoints.folders import fields as field
from hsx.checkpoints.options import HIGHEST, Options
from hsx.errors import BackboneError

PLAIN = "use a U-Net of DDPM's plain blocks"
DOWN = ("DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D")
UP = ("UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D")
SHARE = field.Rule("a number from 0 to 1", lambda v: field.is_number(v) and 0 <= v <= 1)
RULES: dict[str, field.Rule] = {
    "sample_size": field.Rule(
        f"the side of square pictures, 1 to {HIGHEST['image_size']}, or null",
        lambda v: v is None or _side(v) is not None,
        "hsx takes square pictures: use a model of them",
    ),
    "in_channels": field.only(3, remedy="use a pixel-space RGB model"),
    "out_channels": field.only(3, 6, remedy="use a model that predicts 3 channels, or 6 with its variance"),
    "center_input_sample": field.FLAG,
    "time_embedding_type": field.only("positional", remedy="use a DDPM network, which is given whole timesteps"),
    "time_embedding_dim": field.or_null(field.whole(1, 65536)),
    "freq_shift": SHARE,
    "flip_sin_to_cos": field.FLAG,
    "down_block_types": field.several(field.one_of(*DOWN, *(f"UNetRes{name}" for name in DOWN), remedy=PLAIN), high=16),
    "mid_block_type": field.only("UNetMidBlock2D", remedy="use a U-Net with a middle block, whose output is h"),
    "up_block_types": field.several(field.one_of(*UP, *(f"UNetRes{name}" for name in UP), remedy=PLAIN), high=16),
    "block_out_channels": field.several(field.whole(1, 65536), high=16),
    "layers_per_block": field.whole(1, 64),
    "mid_block_scale_factor": field.number(0, math.inf),
    "downsample_padding": field.whole(0, 1),
    "downsample_type": field.one_of("conv", "resnet"),
    "upsample_type": field.one_of("conv", "resnet"),
    "dropout": SHARE,  # without effect in evaluation
    "act_fn": field.one_of("silu", "swish", "mish", "gelu", "relu"),
    "attention_head_dim": field.or_null(field.whole(1, 65536)),
    "norm_num_groups": field.whole(1, 65536),
    "attn_norm_num_groups": field.or_null(field.whole(1, 65536)),
    "norm_eps": field.number(0, 1),
    "resnet_time_scale_shift": field.one_of("default", "scale_shift"),
    "add_attention": field.FLAG,
    "class_embed_type": field.only(None, remedy="use an unconditional network, or one with a table of classes"),
    "num_class_embeds": field.or_null(field.whole(1, 10_000_000)),
    "num_train_timesteps": field.or_null(field.whole(1, 10_000_000)),  # of a learned time embedding, which is refused
}
IGNORED = (  # how the weights were averaged in training, a note of diffusers' EMAModel
    *("decay", "min_decay", "optimization_step", "update_after_step"),
    *("use_ema_warmup", "inv_gamma", "power", "collected_params"),
)
_parameters = inspect.signature(UNet2DModel.__init__).parameters
DEFAULTS = {name: _parameters[name].default for name in RULES}

# What changes the output and no shape tells: where a config leaves one out, the class's default is only assumed.
SHAPELESS = (
    *("center_input_sample", "freq_shift", "flip_sin_to_cos", "mid_block_scale_factor", "downsample_padding"),
    *("act_fn", "attention_head_dim", "norm_num_groups", "norm_eps"),
)

# Classes of other networks.
OTHERS = field.by_name(
    {
        "a U-Net that is steered by a text, mostly of latents": "UNet2DConditionModel",
        "an autoencoder": "VQModel AutoencoderKL AutoencoderTiny AsymmetricAutoencoderKL AutoencoderDC "
        "ConsistencyDecoderVAE",
        "a ControlNet": "ControlNetModel",
        "a transformer": "DiTTransformer2DModel Transformer2DModel UViTModel",
        "a U-Net of sounds or paths": "UNet1DModel",
        "a U-Net of videos": "UNet3DConditionModel UNetMotionModel UNetSpatioTemporalConditionModel",
        "a prior of embeddings": "PriorTransformer",
    }
)


def read_unet_config(file: Path, options: Options) -> tuple[dict[str, Any], dict[str, Fact]]:
    """The whole configuration of a ``UNet2DModel``, defaults filled in, and the facts that it holds.

    Raises:
        BackboneError: for another class, and for a field that is wrong, contradicts others or is not understood.
    """
    config = field.read_json(file)
    name = config.get("_class_name")
    if name != "UNet2DModel":
        what = f", {OTHERS[name]}" if isinstance(name, str) and name in OTHERS else ""
        raise BackboneError(f"{file}: expected a UNet2DModel, got {field.shown(name)}{what}; {GIVE}")
    return checked(file, config, options)


def checked(file: Path, config: dict[str, Any], options: Options) -> tuple[dict[str, Any], dict[str, Fact]]:
    """``read_unet_config`` of a config that was read already."""
    if options.image_size is not None:
        config = config | {"sample_size": options.image_size}
    field.check(file, config, RULES, IGNORED)
    full = {k: tuple(v) if isinstance(v, list) else v for k, v in (DEFAULTS | config).items() if k in RULES}
    full["sample_size"] = _side(full["sample_size"])
    _agree(file, full)
    origins = {name: "read" if name in config else "assumed (diffusers' default)" for name in full}
    facts = {
        "widths": Fact(full["block_out_channels"], origins["block_out_channels"]),
        "layers": Fact(full["layers_per_block"], origins["layers_per_block"]),
        "image_size": Fact(full["sample_size"], "given" if options.image_size else "read"),
    }
    return full, facts | {name: Fact(full[name], origins[name]) for name in SHAPELESS if name not in config}


def _side(value: Any) -> int | None:
    """The side of square pictures, given once or twice; None for anything else."""
    sides = value if isinstance(value, (list, tuple)) and len(value) == 2 and field.same(*value) else [value]
    return sides[0] if type(sides[0]) is int and 1 <= sides[0] <= HIGHEST["image_size"] else None


def _agree(file: Path, config: dict[str, Any]) -> None:
    widths, groups = config["block_out_channels"], config["norm_num_groups"]
    lengths = {name: len(config[name]) for name in ("block_out_channels", "down_block_types", "up_block_types")}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{count} {name}" for name, count in lengths.items())
        raise BackboneError(f"{file}: expected as many block types as widths, got {counts}; correct it")
    if uneven := next((width for width in widths if width % groups), None):
        raise BackboneError(f"{file}: norm_num_groups: expected a divisor of {uneven}, got {groups}; correct it")
    middle, last = config["attn_norm_num_groups"], widths[-1]
    if middle and last % middle:
        raise BackboneError(f"{file}: attn_norm_num_groups: expected a divisor of {last}, got {middle}; correct it")
    levels = zip(widths, config["down_block_types"], reversed(config["up_block_types"]), strict=True)
    attending = [width for width, down, up in levels if "Attn" in down or "Attn" in up]
    head, narrow = config["attention_head_dim"], min([*attending, *[last] * config["add_attention"]], default=None)
    if head and narrow and head > narrow:
        raise BackboneError(f"{file}: attention_head_dim: expected at most {narrow}, got {head}; correct it")

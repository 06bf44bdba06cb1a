"""A Backbone over diffusers' UNet2DModel: its own blocks, run in two halves, nothing run twice."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor

from hsx.backbones.base import Backbone, Bottleneck, Layout, layout_of
from hsx.backbones.fit import check
from hsx.backbones.prediction import check_prediction, to_eps
from hsx.errors import BackboneError
from hsx.schedule import NoiseSchedule


class UNet2DBackbone(Backbone):
    """``UNet2DModel.forward``, cut after the middle block.

    Args:
        unet: the network; it is set to evaluation and frozen.
        schedule: the noise schedule it was trained with.
        family: where the weights come from.
        timestep_scale: what the timestep is multiplied by for the network (iDDPM's rescaled timesteps: 1000 / T).
        class_label: the class that a class-conditional network is used with.
        prediction_type: what the network predicts: epsilon, v_prediction (Salimans and Ho 2022) or sample (x_0).

    Raises:
        BackboneError: for a network whose skips run past its blocks (NCSN++), one conditioned on a class without a
            label, or a label or prediction type that does not fit.
    """

    def __init__(
        self,
        unet: UNet2DModel,
        schedule: NoiseSchedule,
        family: str = "diffusers",
        timestep_scale: float = 1.0,
        class_label: int | None = None,
        prediction_type: str = "epsilon",
    ) -> None:
        super().__init__()
        config = unet.config
        skip_convs = any(hasattr(block, "skip_conv") for block in (*unet.down_blocks, *unet.up_blocks))
        if skip_convs or config.time_embedding_type != "positional" or unet.mid_block is None:
            wanted = "a U-Net with a middle block, plain skips and positional timesteps"
            found = f"{config.down_block_types} with {config.time_embedding_type} timesteps"
            raise BackboneError(f"expected {wanted}, got {found}; use a DDPM network")
        classes = config.num_class_embeds
        if unet.class_embedding is not None and classes is None:
            kind = config.class_embed_type
            raise BackboneError(f"class_embed_type: expected a table of classes, got {kind}; use an unconditional one")
        if config.in_channels != 3:
            raise BackboneError(f"expected a network of 3 channels, got {config.in_channels}; use an RGB model")
        if unet.class_embedding is None and class_label is not None:
            raise BackboneError(f"class_label: expected none for an unconditional network, got {class_label}; drop it")
        if unet.class_embedding is not None and class_label is None:
            raise BackboneError(conditional(classes))
        if class_label is not None and not 0 <= class_label < classes:
            raise BackboneError(f"class_label: expected 0 to {classes - 1}, got {class_label}; take one of the classes")
        self.unet = unet.eval().requires_grad_(False)
        self.schedule, self.family = schedule, family
        self.prediction_type = check_prediction("prediction_type", prediction_type)
        self.timestep_scale, self.class_label = float(timestep_scale), class_label
        if config.sample_size is None:
            raise BackboneError("expected a network whose config has a sample_size, got none; give image_size")
        self.sample_size = config.sample_size if isinstance(config.sample_size, int) else config.sample_size[0]
        halvings = 2 ** (len(unet.down_blocks) - 1)
        if self.sample_size % halvings:
            raise BackboneError(f"image_size: expected a multiple of {halvings}, got {self.sample_size}; correct it")
        side = self.sample_size // halvings
        if side == 1 and min(config.block_out_channels[-2:]) == config.norm_num_groups:
            raise BackboneError(f"image_size: expected more than {self.sample_size} for its group norms; correct it")
        self.h_shape = (config.block_out_channels[-1], side, side)

    @cached_property
    def _skips(self) -> tuple[str, ...]:
        """The names of the skips: of each the last module before it is pushed."""
        names = ["conv_in"]
        for i, block in enumerate(self.unet.down_blocks):
            kind = "attentions" if hasattr(block, "attentions") else "resnets"
            names += [f"down_blocks.{i}.{kind}.{j}" for j in range(len(block.resnets))]
            names += [f"down_blocks.{i}.downsamplers.0"] if block.downsamplers else []
        return tuple(names)

    @cached_property
    def layout(self) -> Layout:
        """See Backbone.layout."""
        return layout_of(self, "mid_block", self._skips)

    def encode(self, x: Tensor, t: Tensor) -> Bottleneck:
        """E(x, t), see Backbone.encode."""
        label = None if self.class_label is None else torch.full((len(x),), self.class_label, device=x.device)
        b = encode(self.unet, x, t if self.timestep_scale == 1 else t * self.timestep_scale, label)
        return replace(b, x=x, t=t, names=self._skips)

    def decode(self, b: Bottleneck) -> Tensor:
        """D(h, skips, emb), see Backbone.decode."""
        predicted = decode(self.unet, b)[:, : self.unet.config.in_channels]  # learned variance: eps is the first half
        if b.x is not None:
            predicted = predicted.to(b.x.dtype)
        if self.prediction_type == "epsilon":
            return predicted
        if b.x is None or b.t is None:
            raise ValueError("expected a Bottleneck from this backbone's encode, which carries x and t, got another")
        return to_eps(predicted, b.x, self.schedule.at(b.t), self.prediction_type)


def conditional(classes: int | None) -> str:
    """What is wrong with a network of classes whose class nobody has chosen."""
    return f"expected an unconditional network, got one of {classes} classes; choose one with the option class_label"


def make_unet(config: dict[str, Any], weights: dict[str, Tensor], num_heads: int | None = None) -> UNet2DModel:
    """A ``UNet2DModel`` with these weights, and two things that its config cannot hold.

    One is ``num_heads``.  The other is the number of sinusoids of the time embedding where it is not the first level's
    width (ADM 512): the shape of the weights shows it.

    Args:
        num_heads: heads in every attention layer, whatever its width (iDDPM).

    Raises:
        BackboneError: for weights that are missing, in excess or of another shape, the first of them named.
    """
    unet = _skeleton(config, time_width(weights.get("time_embedding.linear_1.weight"), config))
    expected = {name: (tuple(value.shape),) for name, value in unet.state_dict().items()}
    check(weights, expected, "the UNet2DModel that its config describes")
    own = {name: value.clone(memory_format=torch.contiguous_format) for name, value in weights.items()}
    unet.load_state_dict(own, assign=True)  # clones are aligned alike, whatever file they come from: equal to the bit
    for module in unet.modules():
        if num_heads and isinstance(module, Attention):
            module.heads = num_heads
    return unet


def shapes(config: dict[str, Any], width: int | None = None) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of this ``UNet2DModel``; ``width``: the sinusoids of its time embedding."""
    return {name: tuple(value.shape) for name, value in _skeleton(config, width).state_dict().items()}


def time_width(linear: Tensor | None, config: dict[str, Any]) -> int:
    """The sinusoids of the time embedding: the width of its first layer, where that has its weights."""
    return linear.shape[1] if linear is not None and linear.ndim == 2 else config["block_out_channels"][0]


def _skeleton(config: dict[str, Any], width: int | None) -> UNet2DModel:
    """The network on the meta device, without memory or random numbers: every weight is assigned later.

    Raises:
        BackboneError: for channels that its group norms cannot divide.
    """
    channels, groups = config["block_out_channels"], config.get("norm_num_groups") or 32
    if any(c % groups for c in channels):
        found = ", ".join(map(str, channels))
        raise BackboneError(f"expected channels in multiples of {groups}, got {found}; give a diffusers folder instead")
    with torch.device("meta"):
        unet = UNet2DModel(**config)
        if width not in (None, channels[0]):
            unet.time_proj = Timesteps(width, unet.config.flip_sin_to_cos, unet.config.freq_shift)
            unet.time_embedding = TimestepEmbedding(width, unet.time_embedding.linear_1.out_features)
    return unet


def encode(unet: UNet2DModel, x: Tensor, t: Tensor, label: Tensor | None = None) -> Bottleneck:
    """The first half of ``UNet2DModel.forward``: embedding, conv-in, down blocks, middle block."""
    if unet.config.center_input_sample:
        x = 2 * x - 1
    x, t = x.to(unet.dtype), t.to(x.device, non_blocking=True)
    emb = unet.time_embedding(unet.time_proj(t.expand(len(x))).to(x.dtype))  # (B, D)
    if label is not None:
        emb = emb + unet.class_embedding(label).to(emb)
    x = unet.conv_in(x)
    skips: tuple[Tensor, ...] = (x,)
    for block in unet.down_blocks:
        x, pushed = block(hidden_states=x, temb=emb)
        skips += pushed
    return Bottleneck(unet.mid_block(x, emb), skips, emb)


def decode(unet: UNet2DModel, b: Bottleneck) -> Tensor:
    """The second half of ``UNet2DModel.forward``: up blocks and output layers; all its channels."""
    x, skips = b.h, b.skips
    for block in unet.up_blocks:
        n = len(block.resnets)
        x = block(x, skips[-n:], b.emb)
        skips = skips[:-n]
    out: Tensor = unet.conv_out(unet.conv_act(unet.conv_norm_out(x)))
    return out

"""OpenAI's U-Net: iDDPM, ADM and P2 checkpoints, their names mapped onto ``UNet2DModel``.

openai/improved-diffusion (iDDPM), openai/guided-diffusion (ADM) and jychoi118/P2-weighting share one network and its
names; ADM resamples with ResNet blocks, iDDPM with convolutions.
"""

from __future__ import annotations

import math
import re
from functools import partial
from typing import Any, ClassVar

from torch import Tensor

from hsx.backbones.family import State
from hsx.backbones.fit import Shape
from hsx.backbones.unet2d import shapes, time_width
from hsx.checkpoints.cards import Architecture
from hsx.checkpoints.families.base import UNet2DFamily
from hsx.checkpoints.families.names import Source, count, first_sizes, has, majority, take_weights

RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3"}
RESNET |= {"time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection"}
ATTENTION = {"group_norm": "norm", "to_q": "qkv", "to_k": "qkv", "to_v": "qkv", "to_out.0": "proj_out"}
OUTSIDE = {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}
OUTSIDE |= {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2"}
OUTSIDE |= {"mid_block.resnets.0": "middle_block.0", "mid_block.resnets.1": "middle_block.2"}
OUTSIDE |= {"mid_block.attentions.0": "middle_block.1", "class_embedding": "label_emb"}


class OpenAI(UNet2DFamily):
    """What iDDPM and ADM share.

    Channels, depth, attention levels, the kind of resampling, learned variance and the number of classes are read off
    names and shapes; the image size, the heads, the order of q, k, v and the schedule cannot be.
    """

    convolves: ClassVar[bool]  # whether it resamples with plain convolutions
    blocks = (r"input_blocks\.\d+\.", r"middle_block\.\d+\.", r"output_blocks\.\d+\.")
    asks = ("num_heads", "num_head_channels", "attention_order")

    def recognises(self, state: State) -> bool:
        """See Family."""
        return super().recognises(state) and _convolves(state) == self.convolves

    def read(self, state: State) -> Architecture:
        """See UNet2DFamily."""
        levels, layers = self._levels(state)
        inside = [_blocks(level, levels, layers) for level in range(levels)]
        changing = r"(in_layers\.2|out_layers\.0|out_layers\.3)"  # layers whose first dimension is the block's width
        middle = majority(first_sizes(state, rf"middle_block\.[02]\.{changing}"))
        return Architecture(
            self.name,
            widths=self.read_widths(state, [rf"{blocks}\.0\.{changing}" for blocks in inside], "input_blocks.1.0"),
            layers=layers,
            attention=tuple(has(state, rf"{blocks}\.1\.(norm|qkv|proj_out)\.") for blocks in inside),
            scale_shift=majority(first_sizes(state, r"middle_block\.[02]\.emb_layers\.1")) == 2 * (middle or 0),
            classes=max(first_sizes(state, "label_emb"), default=None),
            learned_variance=6 in first_sizes(state, r"out\.2"),
            resblock_updown=not _convolves(state),
        )

    def convert(self, state: State, architecture: Architecture, facts: dict[str, Any]) -> tuple[dict[str, Any], State]:
        """See UNet2DFamily."""
        heads, channels = facts.get("num_heads"), facts.get("num_head_channels")
        config = self.config(architecture, facts)
        config |= {"norm_eps": 1e-5, "downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0}
        config["time_embedding_dim"] = majority(first_sizes(state, r"time_embed\.[02]"))
        prefixes, order = _prefixes(architecture), facts["attention_order"]
        named = shapes(config, time_width(state.get("time_embed.0.weight"), config)).items()
        sources = {name: _source(name, shape, prefixes, channels, heads, order) for name, shape in named}
        return config, take_weights(state, sources, f"a U-Net of family {self.name}")

    def _levels(self, state: State) -> tuple[int, int]:
        """The number of levels, and of layers in each: a level ends where it upsamples."""
        blocks = max(count(state, r"input_blocks\.(\d+)\."), count(state, r"output_blocks\.(\d+)\."))
        if not blocks:
            raise self.incomplete("input_blocks.1.0")
        up = r"output_blocks\.(\d+)\.[12]\.(?:conv|in_layers|out_layers|emb_layers)\."
        ends = {1 + int(found[1]) for found in (re.match(up, name) for name in state) if found}
        ends = {end for end in ends if end <= blocks}
        ends |= {int(found[1]) for found in (re.match(r"input_blocks\.(\d+)\.0\.op\.", n) for n in state) if found}
        length = min(ends, default=blocks)  # of a level: its layers and one more
        if blocks % length:
            length = math.gcd(blocks, *ends)
        return blocks // length, max(1, length - 1)


class ADM(OpenAI):
    """openai/guided-diffusion and P2: resampling by ResNet blocks."""

    name, convolves = "adm", False


class IDDPM(OpenAI):
    """openai/improved-diffusion: resampling by convolutions, as in an ADM network without resblock_updown."""

    name, convolves = "iddpm", True


def _convolves(state: State) -> bool:
    return any(re.match(r"(input_blocks\.\d+\.0\.op|output_blocks\.\d+\.[12]\.conv)\.", name) for name in state)


def _blocks(level: int, levels: int, layers: int) -> str:
    """The pattern of the names of a level's blocks."""
    down = "|".join(str(1 + level * (layers + 1) + j) for j in range(layers))
    up = "|".join(str((levels - 1 - level) * (layers + 1) + j) for j in range(layers + 1))
    return rf"(?:input_blocks\.(?:{down})|output_blocks\.(?:{up}))"


def _prefixes(architecture: Architecture) -> dict[str, str]:
    """diffusers' name of every block: the original's."""
    levels, layers, found = len(architecture.widths), architecture.layers, {}
    for level in range(levels):
        start = 1 + level * (layers + 1)
        for j in range(layers):
            found[f"down_blocks.{level}.resnets.{j}"] = f"input_blocks.{start + j}.0"
            found[f"down_blocks.{level}.attentions.{j}"] = f"input_blocks.{start + j}.1"
        found[f"down_blocks.{level}.downsamplers.0"] = f"input_blocks.{start + layers}.0"
        for j in range(layers + 1):
            i = level * (layers + 1) + j
            found[f"up_blocks.{level}.resnets.{j}"] = f"output_blocks.{i}.0"
            found[f"up_blocks.{level}.attentions.{j}"] = f"output_blocks.{i}.1"
        attends = architecture.attention[levels - 1 - level]
        found[f"up_blocks.{level}.upsamplers.0"] = f"output_blocks.{(level + 1) * (layers + 1) - 1}.{1 + attends}"
    return found


def _source(
    name: str, shape: Shape, prefixes: dict[str, str], channels: int | None, heads: int | None, order: str
) -> Source:
    """Where an OpenAI file keeps this tensor.  Attention's q, k and v lie in one, as convolutions over (C, H W)."""
    layer, kind = name.rsplit(".", 1)
    if layer in OUTSIDE:
        return Source(f"{OUTSIDE[layer]}.{kind}", (shape,))
    found = re.match(r"(mid_block\.\w+\.\d+|\w+_blocks\.\d+\.\w+\.\d+)\.(.+)", layer)
    if not found:
        return Source(name, (shape,))
    prefix, part = (prefixes | OUTSIDE)[found[1]], found[2]
    if part in ATTENTION:
        own = f"{prefix}.{ATTENTION[part]}.{kind}"
        many = 3 if part in ("to_q", "to_k", "to_v") else 1
        laid = (many * shape[0], *shape[1:])
        either = ((*laid, 1), laid) if len(shape) == 2 else (laid,)
        if many == 1:
            return Source(own, either, lambda tensor: tensor.reshape(shape))
        which = ("to_q", "to_k", "to_v").index(part)
        return Source(own, either, partial(_part, which, heads or shape[0] // (channels or 1), order))
    if part == "conv":
        part = "op" if "downsamplers" in found[1] else "conv"
    return Source(f"{prefix}.{RESNET.get(part, part)}.{kind}", (shape,))


def _part(which: int, heads: int, order: str, qkv: Tensor) -> Tensor:
    """q, k or v, (C, C) or (C,).  The legacy order keeps q, k, v of each head together."""
    qkv = qkv.squeeze(-1) if qkv.ndim == 3 else qkv  # (3C, C, 1) -> (3C, C)
    if order == "new":
        return qkv.chunk(3)[which]
    per_head = qkv.reshape(heads, 3, -1, *qkv.shape[1:])  # (heads, 3, C / heads, ...)
    return per_head[:, which].reshape(-1, *qkv.shape[1:])

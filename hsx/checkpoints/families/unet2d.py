"""A bare file with a UNet2DModel's own names but no config: what a Lightning training of one leaves behind."""

from __future__ import annotations

import re
from typing import Any

from hsx.backbones.family import State
from hsx.backbones.fit import Shape
from hsx.backbones.unet2d import shapes, time_width
from hsx.checkpoints.cards import Architecture
from hsx.checkpoints.families.base import UNet2DFamily
from hsx.checkpoints.families.names import Source, count, first_sizes, has, majority, take_weights
from hsx.checkpoints.folders.unet import SHAPELESS

OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}  # attention before diffusers 0.18


class Unet2D(UNet2DFamily):
    """A bare file with the weights of diffusers' ``UNet2DModel``.

    Shapes tell the architecture, except the heads; the rest is assumed to be that class's defaults.  A folder written
    by ``save_pretrained`` holds the whole configuration, and is the better source.
    """

    name = "unet2d"
    blocks = (r"down_blocks\.\d+\.resnets\.", r"mid_block\.(resnets|attentions)\.", r"up_blocks\.\d+\.resnets\.")
    asks = ("num_heads", "num_head_channels")
    defaults = tuple(name for name in SHAPELESS if name != "attention_head_dim")

    def recognises(self, state: State) -> bool:
        """See Family."""
        return super().recognises(state) and not any("transformer_blocks" in name for name in state)

    def read(self, state: State) -> Architecture:
        """See UNet2DFamily."""
        levels = max(count(state, r"down_blocks\.(\d+)\."), count(state, r"up_blocks\.(\d+)\."))
        sides = [(rf"down_blocks\.{i}", rf"up_blocks\.{levels - 1 - i}") for i in range(levels)]
        both, first = [f"({down}|{up})" for down, up in sides], "down_blocks.{}.resnets.0"
        blocks = [(rf"{down}\.resnets\.(\d+)", rf"{up}\.resnets\.(\d+)") for down, up in sides]
        widths = self.read_widths(state, [rf"{level}\.resnets\.\d+\.(conv1|conv2|norm2)" for level in both], first)
        middle = majority(first_sizes(state, r"mid_block\.resnets\.\d\.(conv1|conv2|norm2)")) or widths[-1]
        return Architecture(
            self.name,
            widths=widths,
            layers=self.read_layers(state, blocks, first),
            attention=tuple(has(state, rf"{level}\.attentions\.") for level in both),
            scale_shift=majority(first_sizes(state, r"mid_block\.resnets\.\d\.time_emb_proj")) == 2 * middle,
            classes=max(first_sizes(state, "class_embedding"), default=None),
            learned_variance=6 in first_sizes(state, "conv_out"),
            resblock_updown=has(state, r"(down|up)_blocks\.\d+\.(down|up)samplers\.0\.(norm|conv)[12]\."),
        )

    def convert(self, state: State, architecture: Architecture, facts: dict[str, Any]) -> tuple[dict[str, Any], State]:
        """See UNet2DFamily."""
        config = self.config(architecture, facts) | {name: facts[name] for name in self.defaults}
        config["add_attention"] = has(state, r"mid_block\.attentions\.")
        config["time_embedding_dim"] = majority(first_sizes(state, r"time_embedding\.linear_[12]"))
        if not any(name.startswith("mid_block.attentions.0.group_norm.") for name in state):
            config["attn_norm_num_groups"] = None  # that class's default with scale_shift
        named = shapes(config, time_width(state.get("time_embedding.linear_1.weight"), config)).items()
        old = has(state, r".*\.attentions\.\d+\.(query|key|value|proj_attn)\.")
        sources = {name: _source(name, shape, old) for name, shape in named}
        return config, take_weights(state, sources, "a U-Net of family unet2d")


def _source(name: str, shape: Shape, old: bool) -> Source:
    """The names are diffusers' own; those of attention were others once."""
    found = re.match(r"(.*\.attentions\.\d+)\.(to_q|to_k|to_v|to_out\.0)\.(.*)", name) if old else None
    return Source(f"{found[1]}.{OLD[found[2]]}.{found[3]}" if found else name, (shape,))

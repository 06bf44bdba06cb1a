"""A file with a UNet2DModel's own names but no config: what a Lightning training of one leaves behind."""

from __future__ import annotations

import re
from typing import Any

from hsx.backbones.family import State, UNet2DFamily
from hsx.backbones.published import Architecture
from hsx.backbones.unet_config import TACIT


class Unet2D(UNet2DFamily):
    """A bare file with the weights of diffusers' ``UNet2DModel``.

    Shapes tell the architecture, except the heads; the rest is assumed to be that class's defaults.  A folder written
    by ``save_pretrained`` tells all, and is the better source.
    """

    name = "unet2d"
    asks = ("num_heads", "num_head_channels")
    tacit = tuple(name for name in TACIT if name != "attention_head_dim")

    def recognises(self, state: State) -> bool:
        """See Family."""
        return "mid_block.resnets.0.conv1.weight" in state and "time_embedding.linear_1.weight" in state and not any(
            "transformer_blocks" in name for name in state)

    def read(self, state: State) -> Architecture:
        """See UNet2DFamily."""
        levels = 1 + max(int(k.split(".")[1]) for k in state if k.startswith("down_blocks."))
        width = len(state["down_blocks.0.resnets.0.conv1.weight"])
        return Architecture(
            self.name,
            widths=tuple(len(state[f"down_blocks.{i}.resnets.0.conv1.weight"]) for i in range(levels)),
            layers=1 + max(int(k.split(".")[3]) for k in state if re.match(r"down_blocks\.0\.resnets", k)),
            attention=tuple(f"down_blocks.{i}.attentions.0.to_q.weight" in state for i in range(levels)),
            scale_shift=len(state["down_blocks.0.resnets.0.time_emb_proj.weight"]) == 2 * width,
            classes=len(state["class_embedding.weight"]) if "class_embedding.weight" in state else None,
            learned_variance=len(state["conv_out.weight"]) == 6,
            resblock_updown="down_blocks.0.downsamplers.0.norm1.weight" in state,
        )

    def convert(self, state: State, architecture: Architecture, facts: dict[str, Any]) -> tuple[dict[str, Any], State]:
        """See UNet2DFamily."""
        middle = "mid_block.attentions.0.to_q.weight" in state
        return self.config(architecture, facts) | dict(add_attention=middle), state

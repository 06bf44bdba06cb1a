"""A file with a UNet2DModel's own names but no config: what a Lightning training of one leaves behind."""

from __future__ import annotations

import re
from typing import Any

from hsx.backbones.family import State, UNet2DFamily
from hsx.backbones.published import Architecture


class Unet2D(UNet2DFamily):
    """Shapes tell the architecture, except the heads; the rest is assumed to be ``UNet2DModel``'s defaults.

    A folder written by ``save_pretrained`` tells all, and is the better source.
    """

    name = "unet2d"
    asks = ("num_heads", "num_head_channels")

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
        resnet, attention, heads = architecture.resblock_updown, architecture.attention, facts.get("num_heads")
        kinds = ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D") if resnet else ("DownBlock2D", "UpBlock2D")
        return dict(
            sample_size=facts["image_size"],
            block_out_channels=architecture.widths,
            layers_per_block=architecture.layers,
            down_block_types=tuple("AttnDownBlock2D" if a else kinds[0] for a in attention),
            up_block_types=tuple("AttnUpBlock2D" if a else kinds[1] for a in reversed(attention)),
            downsample_type="resnet" if resnet else "conv",
            upsample_type="resnet" if resnet else "conv",
            out_channels=len(state["conv_out.weight"]),
            attention_head_dim=facts.get("num_head_channels") or architecture.widths[-1] // (heads or 1),
            add_attention="mid_block.attentions.0.to_q.weight" in state,
            num_class_embeds=architecture.classes,
            resnet_time_scale_shift="scale_shift" if architecture.scale_shift else "default",
            attn_norm_num_groups=32,
        ), state

"""A file with a UNet2DModel's own names but no config: what a Lightning training of one leaves behind."""

from __future__ import annotations

import re
from typing import Any

from hsx.backbones.fit import Shape, Source, agreed, count, first_sizes, pulled, some
from hsx.backbones.unet2d import shapes, time_width
from hsx.checkpoints.family import State, UNet2DFamily
from hsx.checkpoints.published import Architecture
from hsx.checkpoints.unet_config import TACIT
from hsx.errors import BackboneError

OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}  # attention before diffusers 0.18


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
        return all(
            some(state, begin)
            for begin in (
                r"down_blocks\.\d+\.resnets\.",
                r"mid_block\.(resnets|attentions)\.",
                r"up_blocks\.\d+\.resnets\.",
            )
        ) and not any("transformer_blocks" in name for name in state)

    def read(self, state: State) -> Architecture:
        """See UNet2DFamily."""
        levels = max(count(state, r"down_blocks\.(\d+)\."), count(state, r"up_blocks\.(\d+)\."))
        places = [rf"(down_blocks\.{i}|up_blocks\.{levels - 1 - i})" for i in range(levels)]
        widths = [agreed(first_sizes(state, rf"{place}\.resnets\.\d+\.(conv1|conv2|norm2)")) for place in places]
        layers = agreed(
            number
            for i in range(levels)
            for number in (
                count(state, rf"down_blocks\.{i}\.resnets\.(\d+)"),
                count(state, rf"up_blocks\.{i}\.resnets\.(\d+)") - 1,
            )
            if number > 0
        )
        if not levels or not layers or not all(widths):
            raise BackboneError(
                "expected the whole of a U-Net of family unet2d, got one without blocks such as "
                f"down_blocks.{widths.index(None) if None in widths else 0}.resnets.0; check the "
                "option family and the file"
            )
        middle = agreed(first_sizes(state, r"mid_block\.resnets\.\d\.(conv1|conv2|norm2)")) or widths[-1]
        return Architecture(
            self.name,
            widths=tuple(width for width in widths if width),
            layers=layers,
            attention=tuple(some(state, rf"{place}\.attentions\.") for place in places),
            scale_shift=agreed(first_sizes(state, r"mid_block\.resnets\.\d\.time_emb_proj")) == 2 * (middle or 0),
            classes=max(first_sizes(state, "class_embedding"), default=None),
            learned_variance=6 in first_sizes(state, "conv_out"),
            resblock_updown=some(state, r"(down|up)_blocks\.\d+\.(down|up)samplers\.0\.(norm|conv)[12]\."),
        )

    def convert(self, state: State, architecture: Architecture, facts: dict[str, Any]) -> tuple[dict[str, Any], State]:
        """See UNet2DFamily."""
        embedding = agreed([*first_sizes(state, r"time_embedding\.linear_[12]")])
        config = self.config(architecture, facts) | dict(
            add_attention=some(state, r"mid_block\.attentions\."),
            time_embedding_dim=embedding,
            attn_norm_num_groups=32
            if any(name.startswith("mid_block.attentions.0.group_norm.") for name in state)
            else None,  # that class's default with scale_shift is none
            **{name: facts[name] for name in self.tacit},
        )
        expected = shapes(config, time_width(state.get("time_embedding.linear_1.weight"), config))
        old = some(state, r".*\.attentions\.\d+\.(query|key|value|proj_attn)\.")
        sources = {name: _source(name, shape, old) for name, shape in expected.items()}
        return config, pulled(state, sources, "a U-Net of family unet2d")


def _source(name: str, shape: Shape, old: bool) -> Source:
    """The names are diffusers' own; those of attention were others once."""
    found = re.match(r"(.*\.attentions\.\d+)\.(to_q|to_k|to_v|to_out\.0)\.(.*)", name) if old else None
    return Source(f"{found[1]}.{OLD[found[2]]}.{found[3]}" if found else name, (shape,))

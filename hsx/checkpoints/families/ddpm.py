"""DDPM checkpoints (Ho et al. 2020; ermongroup/ddim, SDEdit): their names mapped onto ``UNet2DModel``."""

from __future__ import annotations

import re
from typing import Any

from hsx.backbones.family import State
from hsx.backbones.fit import Shape
from hsx.backbones.unet2d import shapes
from hsx.checkpoints.cards import Architecture
from hsx.checkpoints.families.base import UNet2DFamily
from hsx.checkpoints.families.names import Source, count, first_sizes, has, take_weights

# diffusers' name: the original's.  {u} is the up level's number, which diffusers counts from the bottleneck on.
NAMES = [
    (r"time_embedding\.linear_1", "temb.dense.0"),
    (r"time_embedding\.linear_2", "temb.dense.1"),
    (r"conv_norm_out", "norm_out"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d+)\.attentions\.(\d+)", r"down.\1.attn.\2"),
    (r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample"),
    (r"up_blocks\.(\d+)\.resnets\.(\d+)", r"up.{u}.block.\2"),
    (r"up_blocks\.(\d+)\.attentions\.(\d+)", r"up.{u}.attn.\2"),
    (r"up_blocks\.(\d+)\.upsamplers\.0", r"up.{u}.upsample"),
]
PARTS = {"time_emb_proj": "temb_proj", "conv_shortcut": "nin_shortcut"}
PARTS |= {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


class DDPM(UNet2DFamily):
    """Ho et al.'s DDPM in PyTorch (pesser, ermongroup/ddim, SDEdit), whose middle is ``mid.block_1``.

    Channels, depth and attention are read off the shapes; the image size and the schedule cannot be.
    """

    name, heads = "ddpm", 1
    blocks = (r"down\.\d+\.block\.", r"up\.\d+\.block\.", r"mid\.(block_[12]|attn_1)\.")

    def read(self, state: State) -> Architecture:
        """See UNet2DFamily."""
        levels, first = range(count(state, r"(?:down|up)\.(\d+)\.")), "down.{}.block.0"
        blocks = [(rf"down\.{i}\.block\.(\d+)", rf"up\.{i}\.block\.(\d+)") for i in levels]
        inside = r"block\.\d+\.(conv1|conv2|norm2|temb_proj)"
        return Architecture(
            self.name,
            widths=self.read_widths(state, [rf"(down|up)\.{i}\.{inside}" for i in levels], first),
            layers=self.read_layers(state, blocks, first),
            attention=tuple(has(state, rf"(down|up)\.{i}\.attn\.") for i in levels),
            scale_shift=False,
            learned_variance=6 in first_sizes(state, "conv_out"),
        )

    def convert(self, state: State, architecture: Architecture, facts: dict[str, Any]) -> tuple[dict[str, Any], State]:
        """See UNet2DFamily."""
        config = self.config(architecture, facts)
        config |= {"norm_eps": 1e-6, "downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1}
        levels = len(architecture.widths)
        sources = {name: _source(name, shape, levels) for name, shape in shapes(config).items()}
        return config, take_weights(state, sources, "a U-Net of family ddpm")


def _source(name: str, shape: Shape, levels: int) -> Source:
    """Where a DDPM file keeps this tensor: attention's linear layers are 1 x 1 convolutions there, (C, C, 1, 1)."""
    for pattern, replacement in NAMES:
        if found := re.match(pattern + r"\.", name):
            up = str(levels - 1 - int(found[1])) if "{u}" in replacement else ""
            part, _, kind = name[found.end() :].rpartition(".")
            words = [found.expand(replacement).replace("{u}", up), PARTS.get(part, part), kind]
            if "attentions" in pattern and len(shape) == 2:
                return Source(".".join(words), ((*shape, 1, 1), shape), lambda tensor: tensor.reshape(shape))
            return Source(".".join(word for word in words if word), (shape,))
    return Source(name, (shape,))

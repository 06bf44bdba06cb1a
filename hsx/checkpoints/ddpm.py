"""DDPM checkpoints (Ho et al. 2020; ermongroup/ddim, SDEdit): their names mapped onto ``UNet2DModel``."""

from __future__ import annotations

import re
from typing import Any

from hsx.backbones.fit import Shape, Source, agreed, count, first_sizes, pulled, some
from hsx.backbones.unet2d import shapes
from hsx.checkpoints.family import State, UNet2DFamily
from hsx.checkpoints.published import Architecture
from hsx.errors import BackboneError

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
PARTS = {
    "time_emb_proj": "temb_proj",
    "conv_shortcut": "nin_shortcut",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


class DDPM(UNet2DFamily):
    """Ho et al.'s DDPM in PyTorch (pesser, ermongroup/ddim, SDEdit), whose middle is ``mid.block_1``.

    Channels, depth and attention are read off the shapes; the image size and the schedule cannot be.
    """

    name, heads = "ddpm", 1

    def recognises(self, state: State) -> bool:
        """See Family."""
        return (
            some(state, r"down\.\d+\.block\.")
            and some(state, r"up\.\d+\.block\.")
            and some(state, r"mid\.(block_[12]|attn_1)\.")
        )

    def read(self, state: State) -> Architecture:
        """See UNet2DFamily."""
        levels = count(state, r"(?:down|up)\.(\d+)\.")
        inside = r"block\.\d+\.(conv1|conv2|norm2|temb_proj)"
        widths = [agreed(first_sizes(state, rf"(down|up)\.{i}\.{inside}")) for i in range(levels)]
        layers = agreed(
            number
            for i in range(levels)
            for number in (count(state, rf"down\.{i}\.block\.(\d+)"), count(state, rf"up\.{i}\.block\.(\d+)") - 1)
            if number > 0
        )
        if not levels or not layers or not all(widths):
            raise BackboneError(
                "expected the whole of a U-Net of family ddpm, got one without blocks such as "
                f"down.{widths.index(None) if None in widths else 0}.block.0; check the option family "
                "and the file"
            )
        return Architecture(
            self.name,
            widths=tuple(width for width in widths if width),
            layers=layers,
            attention=tuple(some(state, rf"(down|up)\.{i}\.attn\.") for i in range(levels)),
            scale_shift=False,
            learned_variance=6 in first_sizes(state, "conv_out"),
        )

    def convert(self, state: State, architecture: Architecture, facts: dict[str, Any]) -> tuple[dict[str, Any], State]:
        """See UNet2DFamily."""
        config = self.config(architecture, facts) | dict(
            norm_eps=1e-6,
            downsample_padding=0,
            flip_sin_to_cos=False,
            freq_shift=1,
        )
        levels = len(architecture.widths)
        sources = {name: _source(name, shape, levels) for name, shape in shapes(config).items()}
        return config, pulled(state, sources, "a U-Net of family ddpm")


def _source(name: str, shape: Shape, levels: int) -> Source:
    """Where a DDPM file keeps this tensor: attention's linear layers are 1 x 1 convolutions there, (C, C, 1, 1)."""
    for pattern, replacement in NAMES:
        found = re.match(pattern + r"\.", name)
        if found:
            up = str(levels - 1 - int(found[1])) if "{u}" in replacement else ""
            part, _, kind = name[found.end() :].rpartition(".")
            words = [found.expand(replacement).replace("{u}", up), PARTS.get(part, part), kind]
            if "attentions" in pattern and len(shape) == 2:
                return Source(".".join(words), ((*shape, 1, 1), shape), lambda tensor: tensor.reshape(shape))
            return Source(".".join(word for word in words if word), (shape,))
    return Source(name, (shape,))

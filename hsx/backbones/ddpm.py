"""DDPM checkpoints (Ho et al. 2020; ermongroup/ddim, SDEdit): their names mapped onto ``UNet2DModel``."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from hsx.backbones.family import State, UNet2DFamily
from hsx.backbones.published import Architecture

# The original's name: diffusers' name.  {u} is the up block's number, which diffusers counts from the bottleneck on.
NAMES = [
    (r"temb\.dense\.0", "time_embedding.linear_1"),
    (r"temb\.dense\.1", "time_embedding.linear_2"),
    (r"norm_out", "conv_norm_out"),
    (r"mid\.block_1", "mid_block.resnets.0"),
    (r"mid\.block_2", "mid_block.resnets.1"),
    (r"mid\.attn_1", "mid_block.attentions.0"),
    (r"down\.(\d+)\.block\.(\d+)", r"down_blocks.\1.resnets.\2"),
    (r"down\.(\d+)\.attn\.(\d+)", r"down_blocks.\1.attentions.\2"),
    (r"down\.(\d+)\.downsample", r"down_blocks.\1.downsamplers.0"),
    (r"up\.(\d+)\.block\.(\d+)", r"up_blocks.{u}.resnets.\2"),
    (r"up\.(\d+)\.attn\.(\d+)", r"up_blocks.{u}.attentions.\2"),
    (r"up\.(\d+)\.upsample", r"up_blocks.{u}.upsamplers.0"),
]
PARTS = {"temb_proj": "time_emb_proj", "nin_shortcut": "conv_shortcut"}
ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


class DDPM(UNet2DFamily):
    """Ho et al.'s DDPM in PyTorch (pesser, ermongroup/ddim, SDEdit), whose middle is ``mid.block_1``.

    Channels, depth and attention are read off the shapes; the image size and the schedule cannot be.
    """

    name, heads = "ddpm", 1

    def recognises(self, state: State) -> bool:
        """See Family."""
        return "temb.dense.0.weight" in state and "mid.block_1.conv1.weight" in state

    def read(self, state: State) -> Architecture:
        """See UNet2DFamily."""
        levels = 1 + max(int(k.split(".")[1]) for k in state if re.match(r"down\.\d+\.block", k))
        return Architecture(
            self.name,
            widths=tuple(len(state[f"down.{i}.block.0.conv1.weight"]) for i in range(levels)),
            layers=1 + max(int(k.split(".")[3]) for k in state if re.match(r"down\.0\.block", k)),
            attention=tuple(f"down.{i}.attn.0.q.weight" in state for i in range(levels)),
            scale_shift=False,
            learned_variance=len(state["conv_out.weight"]) == 6,
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
        return config, {_rename(k, levels): _linear(k, v) for k, v in state.items()}


def _rename(name: str, levels: int) -> str:
    for pattern, replacement in NAMES:
        found = re.match(pattern + r"\.", name)
        if found:
            up = levels - 1 - int(found[1]) if "{u}" in replacement else None
            prefix, part = found.expand(replacement), name[found.end() :]
            table = ATTENTION if "attentions" in prefix else PARTS
            first, *rest = part.split(".")
            return ".".join([prefix.replace("{u}", str(up)), table.get(first, first), *rest])
    return name


def _linear(name: str, tensor: Tensor) -> Tensor:
    """1 x 1 convolutions of attention become the weights of linear layers: (C, C, 1, 1) -> (C, C)."""
    convolution = re.search(r"attn.*\.(q|k|v|proj_out)\.weight", name) and tensor.shape[2:] == (1, 1)
    return tensor.flatten(1) if convolution else tensor

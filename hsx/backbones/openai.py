"""OpenAI's U-Net: iDDPM, ADM and P2 checkpoints, their names mapped onto ``UNet2DModel``.

openai/improved-diffusion (iDDPM), openai/guided-diffusion (ADM) and jychoi118/P2-weighting share one network and its
names; ADM resamples with ResNet blocks, iDDPM with convolutions.
"""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from hsx.backbones.family import State, UNet2DFamily
from hsx.backbones.published import Architecture

RESNET = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.0": "norm2",
    "out_layers.3": "conv2", "skip_connection": "conv_shortcut",
}
OUTSIDE = {
    "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in", "out.0": "conv_norm_out", "out.2": "conv_out", "label_emb": "class_embedding",
}


class OpenAI(UNet2DFamily):
    """Channels, depth, attention levels, the kind of resampling, learned variance and the number of classes are read
    off names and shapes; the image size, the heads (so many, or so many channels each), the order of q, k, v and the
    schedule cannot be.
    """  # noqa: D205

    asks = ("num_heads", "num_head_channels", "attention_order")

    def recognises(self, state: State) -> bool:
        """See Family."""
        return "time_embed.0.weight" in state and "middle_block.0.in_layers.0.weight" in state

    def read(self, state: State) -> Architecture:
        """See UNet2DFamily."""
        blocks, layers, first = _levels(state)
        width = len(state["input_blocks.1.0.out_layers.3.weight"])
        return Architecture(
            self.name,
            widths=tuple(len(state[f"input_blocks.{i}.0.in_layers.2.weight"]) for i in first),
            layers=layers,
            attention=tuple(f"input_blocks.{i}.1.qkv.weight" in state for i in first),
            scale_shift=len(state["input_blocks.1.0.emb_layers.1.weight"]) == 2 * width,
            classes=len(state["label_emb.weight"]) if "label_emb.weight" in state else None,
            learned_variance=len(state["out.2.weight"]) == 6,
            resblock_updown=not _convolves(state),
        )

    def convert(self, state: State, architecture: Architecture, facts: dict[str, Any]) -> tuple[dict[str, Any], State]:
        """See UNet2DFamily."""
        blocks, layers, first = _levels(state)
        heads, channels = facts.get("num_heads"), facts.get("num_head_channels")
        config = self.config(architecture, facts) | dict(
            time_embedding_dim=len(state["time_embed.0.weight"]),
            norm_eps=1e-5,
            downsample_padding=1,
            flip_sin_to_cos=True,
            freq_shift=0,
        )
        prefixes = {"middle_block.0": "mid_block.resnets.0", "middle_block.1": "mid_block.attentions.0",
                    "middle_block.2": "mid_block.resnets.1"}
        for level, start in enumerate(first):
            for j in range(layers):
                prefixes[f"input_blocks.{start + j}.0"] = f"down_blocks.{level}.resnets.{j}"
                prefixes[f"input_blocks.{start + j}.1"] = f"down_blocks.{level}.attentions.{j}"
            prefixes[f"input_blocks.{start + layers}.0"] = f"down_blocks.{level}.downsamplers.0"
        for i in range(blocks):
            level, j = divmod(i, layers + 1)
            prefixes[f"output_blocks.{i}.0"] = f"up_blocks.{level}.resnets.{j}"
            prefixes[f"output_blocks.{i}.1"] = f"up_blocks.{level}.attentions.{j}"
            sampler = _upsampler(state, i)
            if sampler:
                prefixes[sampler] = f"up_blocks.{level}.upsamplers.0"
        renamed: State = {}
        for name, tensor in state.items():
            renamed |= _rename(name, tensor, prefixes, channels, heads, facts["attention_order"])
        return config, renamed


class ADM(OpenAI):
    """openai/guided-diffusion and P2: resampling by ResNet blocks."""

    name = "adm"

    def recognises(self, state: State) -> bool:
        """See Family."""
        return super().recognises(state) and not _convolves(state)


class IDDPM(OpenAI):
    """openai/improved-diffusion: resampling by convolutions.  An ADM network without resblock_updown is no other."""

    name = "iddpm"

    def recognises(self, state: State) -> bool:
        """See Family."""
        return super().recognises(state) and _convolves(state)


def _convolves(state: State) -> bool:
    return any(name.endswith(".op.weight") for name in state)


def _levels(state: State) -> tuple[int, int, list[int]]:
    """How many output blocks, how many layers a level, and the input block at which each level starts."""
    blocks = 1 + max(int(k.split(".")[1]) for k in state if k.startswith("output_blocks."))
    layers = next((i for i in range(blocks) if _upsampler(state, i)), blocks - 1)  # a level ends where it upsamples
    return blocks, layers, [1 + level * (layers + 1) for level in range(blocks // (layers + 1))]


def _upsampler(state: State, i: int) -> str | None:
    """The name of the layer by which output block ``i`` upsamples: a convolution, or a ResNet block after the first."""
    for j in (1, 2):
        for part in ("conv", "in_layers.0"):
            if f"output_blocks.{i}.{j}.{part}.weight" in state:
                return f"output_blocks.{i}.{j}"
    return None


def _rename(
    name: str, tensor: Tensor, prefixes: dict[str, str], channels: int | None, heads: int | None, order: str
) -> State:
    outside = name.rsplit(".", 1)
    if outside[0] in OUTSIDE:
        return {f"{OUTSIDE[outside[0]]}.{outside[1]}": tensor}
    found = re.match(r"(middle_block\.\d+|(?:in|out)put_blocks\.\d+\.\d+)\.(.+)\.(weight|bias)$", name)
    if not found or found[1] not in prefixes:
        return {name: tensor}  # unknown: refused, by name, when the weights are loaded
    prefix, part, kind = prefixes[found[1]], found[2], found[3]
    if part == "qkv":
        q, k, v = _split(tensor, heads or len(tensor) // 3 // (channels or 1), order)
        return {f"{prefix}.to_q.{kind}": q, f"{prefix}.to_k.{kind}": k, f"{prefix}.to_v.{kind}": v}
    if part == "proj_out":
        return {f"{prefix}.to_out.0.{kind}": tensor.squeeze(-1) if kind == "weight" else tensor}
    part = RESNET.get(part, {"norm": "group_norm", "op": "conv"}.get(part, part))
    return {f"{prefix}.{part}.{kind}": tensor}


def _split(qkv: Tensor, heads: int, order: str) -> tuple[Tensor, ...]:
    """q, k, v, each (C, C) or (C,).  The legacy order keeps q, k, v of each head together."""
    qkv = qkv.squeeze(-1) if qkv.ndim == 3 else qkv  # (3C, C, 1) -> (3C, C)
    if order == "new":
        return qkv.chunk(3)
    per_head = qkv.reshape(heads, 3, -1, *qkv.shape[1:])  # (heads, 3, C / heads, ...)
    return tuple(per_head[:, i].reshape(-1, *qkv.shape[1:]) for i in range(3))

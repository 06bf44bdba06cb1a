"""OpenAI's U-Net: iDDPM, ADM and P2 checkpoints, their names mapped onto ``UNet2DModel``.

openai/improved-diffusion (iDDPM), openai/guided-diffusion (ADM) and jychoi118/P2-weighting share one network and its
names; ADM resamples with ResNet blocks, iDDPM with convolutions.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from torch import Tensor

State = dict[str, Tensor]

RESNET = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.0": "norm2",
    "out_layers.3": "conv2", "skip_connection": "conv_shortcut",
}
OUTSIDE = {
    "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in", "out.0": "conv_norm_out", "out.2": "conv_out", "label_emb": "class_embedding",
}


def recognises(state: State) -> bool:
    """Whether these are the names of OpenAI's U-Net."""
    return "time_embed.0.weight" in state and "middle_block.0.in_layers.0.weight" in state


def family(state: State) -> str:
    """adm, or iddpm for one that resamples with convolutions."""
    return "iddpm" if any(name.endswith(".op.weight") for name in state) else "adm"


def convert(
    state: State,
    image_size: int,
    num_head_channels: int | None = None,
    num_heads: int | None = None,
    attention_order: Literal["legacy", "new"] = "legacy",
) -> tuple[dict[str, Any], State]:
    """The configuration and the weights of the equal ``UNet2DModel``.

    Channels, depth, attention levels, the kind of resampling, learned variance and the number of classes are read off
    names and shapes; the image size, the heads (so many, or so many channels each) and the order of q, k, v cannot be.

    Raises:
        ValueError: unless just one of ``num_head_channels`` and ``num_heads`` is given, and divides the channels.
    """
    if (num_head_channels is None) == (num_heads is None):
        raise ValueError("expected one of the options num_head_channels (64 in ADM and P2) and num_heads (4 in iDDPM)")
    if attention_order not in ("legacy", "new"):
        raise ValueError(f"attention_order: expected legacy or new, got {attention_order}")
    blocks = 1 + max(int(k.split(".")[1]) for k in state if k.startswith("output_blocks."))
    layers = next(i for i in range(blocks) if _upsampler(state, i))  # a level ends where it upsamples
    levels = blocks // (layers + 1)
    first = [1 + level * (layers + 1) for level in range(levels)]  # the input block at which each level starts
    attention = [f"input_blocks.{i}.1.qkv.weight" in state for i in first]
    resnet = f"input_blocks.{layers + 1}.0.op.weight" not in state  # resampling by ResNet blocks
    kinds = ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D") if resnet else ("DownBlock2D", "UpBlock2D")
    width = len(state["input_blocks.0.0.weight"])
    config = dict(
        sample_size=image_size,
        block_out_channels=tuple(len(state[f"input_blocks.{i}.0.in_layers.2.weight"]) for i in first),
        layers_per_block=layers,
        down_block_types=tuple("AttnDownBlock2D" if a else kinds[0] for a in attention),
        up_block_types=tuple("AttnUpBlock2D" if a else kinds[1] for a in reversed(attention)),
        downsample_type="resnet" if resnet else "conv",
        upsample_type="resnet" if resnet else "conv",
        out_channels=len(state["out.2.weight"]),
        attention_head_dim=num_head_channels or width // (num_heads or 1),  # a fixed number of heads is set afterwards
        num_class_embeds=len(state["label_emb.weight"]) if "label_emb.weight" in state else None,
        resnet_time_scale_shift="scale_shift"
        if len(state["input_blocks.1.0.emb_layers.1.weight"]) == 2 * width else "default",
        norm_num_groups=32,
        attn_norm_num_groups=32,
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
        renamed |= _rename(name, tensor, prefixes, num_head_channels, num_heads, attention_order)
    return config, renamed


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

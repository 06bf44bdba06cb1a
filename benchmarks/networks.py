"""Networks of published shapes with random weights, which take no less time than trained ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

import hsx
from hsx.backbones.unet2d import UNet2DBackbone


def named(kinds: str, down: str, up: str) -> dict[str, Any]:
    """The blocks of a network: ``a`` a level with attention, ``-`` one without, the full resolution first."""
    return {
        "down_block_types": tuple("AttnDownBlock2D" if kind == "a" else down for kind in kinds),
        "up_block_types": tuple("AttnUpBlock2D" if kind == "a" else up for kind in reversed(kinds)),
    }


NETWORKS: dict[str, dict[str, Any]] = {
    "DDPM 256": {  # google/ddpm-celebahq-256
        "sample_size": 256,
        "block_out_channels": (128, 128, 256, 256, 512, 512),
        "layers_per_block": 2,
        "attention_head_dim": None,
        "norm_eps": 1e-6,
        "downsample_padding": 0,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
        **named("----a-", "DownBlock2D", "UpBlock2D"),
    },
    "ADM 256": {  # openai/guided-diffusion, 256x256_diffusion_uncond
        "sample_size": 256,
        "block_out_channels": (256, 256, 512, 512, 1024, 1024),
        "layers_per_block": 2,
        "attention_head_dim": 64,
        "out_channels": 6,
        "downsample_type": "resnet",
        "upsample_type": "resnet",
        "resnet_time_scale_shift": "scale_shift",
        "attn_norm_num_groups": 32,
        "time_embedding_dim": 1024,
        **named("---aaa", "ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"),
    },
    "tiny": {
        "sample_size": 16,
        "block_out_channels": (32, 32),
        "layers_per_block": 1,
        **named("--", "DownBlock2D", "UpBlock2D"),
    },
}


def random_unet(name: str) -> UNet2DModel:
    """The network with its random weights, always the same."""
    torch.manual_seed(0)
    return UNet2DModel(**NETWORKS[name])


def random_network(name: str, device: str | torch.device = "cpu") -> hsx.Backbone:
    """The same, made on a device, as hsx takes it."""
    with torch.device(device):
        return UNet2DBackbone(random_unet(name), hsx.NoiseSchedule.linear())


def save(name: str, folder: Path) -> Path:
    """The network as a diffusers folder."""
    DDPMPipeline(random_unet(name), DDPMScheduler()).save_pretrained(folder)
    return folder

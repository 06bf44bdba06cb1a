"""Folders of a tiny network, and what is asked of a source: that it loads as that network, or is refused in a line."""

import json

import pytest
import torch
from diffusers import UNet2DModel

import hsx

FILE = "diffusion_pytorch_model.safetensors"


def net(seed=0, **more) -> UNet2DModel:
    torch.manual_seed(seed)
    return UNet2DModel(
        **dict(
            dict(
                sample_size=16,
                block_out_channels=(8, 16),
                layers_per_block=1,
                norm_num_groups=4,
                attention_head_dim=8,
                down_block_types=("DownBlock2D", "AttnDownBlock2D"),
                up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            ),
            **more,
        )
    ).eval()


def edit(file, **changes):
    """Fields of a JSON file set, or taken out where the value is ``...``."""
    config = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in config.items() if v is not ...}))


@torch.no_grad()
def off(backbone, network, tolerance=1e-5) -> float:
    size, generator = backbone.sample_size, torch.Generator().manual_seed(1)
    x, t = torch.randn(2, 3, size, size, generator=generator), torch.tensor([17, 803])
    out = network(x, t).sample[:, :3]
    if backbone.prediction_type == "v_prediction":
        a = backbone.schedule.at(t).float()
        out = a.sqrt() * out + (1 - a).sqrt() * x
    return float((backbone(x, t) - out).abs().max())


def refused(source, *words, **options):
    with pytest.raises(hsx.BackboneError) as caught:
        hsx.load_backbone(source, **options)
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert "\n" not in text and "; " in text and ": expected" in text, text
    assert not any(foreign in text for foreign in ("no file named", "'ndim'", "Errno", "state_dict for", "Error(s)"))

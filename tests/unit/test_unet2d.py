"""The split of UNet2DModel is exact."""

import pytest
import torch
from diffusers import UNet2DModel

from hsx.backbones.unet2d import UNet2DBackbone
from hsx.errors import HsxError
from hsx.schedule import NoiseSchedule

TINY = dict(
    sample_size=16,
    block_out_channels=(8, 16),
    layers_per_block=1,
    norm_num_groups=4,
    attention_head_dim=8,
    down_block_types=("DownBlock2D", "AttnDownBlock2D"),
    up_block_types=("AttnUpBlock2D", "UpBlock2D"),
)


def tiny(**changes) -> UNet2DModel:
    torch.manual_seed(0)
    return UNet2DModel(**{**TINY, **changes})


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"out_channels": 6},
        {"resnet_time_scale_shift": "scale_shift"},
        {"downsample_type": "resnet", "upsample_type": "resnet"},
    ],
)
@torch.no_grad()
def test_encode_and_decode_are_the_network_bit_for_bit(batch, changes):
    unet = tiny(**changes)
    backbone = UNet2DBackbone(unet, NoiseSchedule.linear())
    x, t = torch.randn(batch, 3, 16, 16), torch.tensor([999, 0, 500])[:batch]  # timesteps differ within the batch
    expected = unet(x, t).sample[:, :3]
    assert torch.equal(backbone(x, t), expected)
    b = backbone.encode(x, t)
    assert b.h.shape[1:] == backbone.h_shape == (16, 8, 8)
    assert torch.equal(backbone.decode(b.with_h(b.h.clone())), expected)
    assert not torch.equal(backbone.decode(b.with_h(-b.h)), expected)


def test_what_cannot_be_split_is_refused():
    with pytest.raises(HsxError, match="use a DDPM network"):
        UNet2DBackbone(tiny(time_embedding_type="fourier"), NoiseSchedule.linear())
    with pytest.raises(HsxError, match="one of 3 classes; choose one with the option class_label"):
        UNet2DBackbone(tiny(num_class_embeds=3), NoiseSchedule.linear())

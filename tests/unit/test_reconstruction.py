"""A style given back is what a transfer makes of it when nothing is injected."""

import pytest
import torch

import hsx
from hsx.backbones.unet2d import UNet2DBackbone
from hsx.method.inversion import Trajectory
from hsx.method.reconstruction import reconstruct
from hsx.schedule import NoiseSchedule
from hsx.strategies import DDIM, Constant, Multistep2M, Renoised

from ..folders import net


@pytest.mark.parametrize("solver", [DDIM, Multistep2M])
def test_it_is_a_transfer_with_gamma_0(solver):
    backbone = UNet2DBackbone(net(), NoiseSchedule.linear())
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    how = {"inversion_steps": 5, "generation_steps": 7, "solver": solver()}
    transfer = hsx.Transfer(backbone, Constant(0.5), t_boost=0, donor=Renoised(), **how)
    content = Trajectory.of_pictures(images, transfer.t_start)
    wanted = transfer.inject(content, transfer.invert(images, ()), gamma=torch.zeros(2)).clamp(-1, 1)
    assert torch.equal(reconstruct(transfer, images), wanted)
    noisy = hsx.Transfer(backbone, Constant(0.5), t_boost=300, t_edit=0, dt_lambda=0.9, donor=Renoised(), **how)
    assert torch.equal(reconstruct(noisy, images), wanted)  # what belongs to injections is left out

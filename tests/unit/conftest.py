"""What several files share: a pipeline folder of a tiny network, to be changed; a tiny network, and smooth pictures."""

import shutil

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler

from hsx.backbones.unet2d import UNet2DBackbone
from hsx.schedule import NoiseSchedule

from ..folders import net as pipeline_net
from .test_unet2d import tiny


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A pipeline, and the network that is in it."""
    folder, network = tmp_path_factory.mktemp("made") / "pipeline", pipeline_net()
    DDPMPipeline(network, DDPMScheduler()).save_pretrained(folder)
    return folder, network


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "model")


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return UNet2DBackbone(tiny(), NoiseSchedule.linear())


@pytest.fixture(scope="module")
def images():
    """Four contents and four styles."""
    coarse = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(2)) * 2 - 1
    whole = torch.nn.functional.interpolate(coarse, size=16, mode="bicubic").clamp(-1, 1)
    return whole[:4], whole[4:]

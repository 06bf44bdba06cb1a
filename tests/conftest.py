"""A tiny network and a few small pictures, made once."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from PIL import Image

SHARERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))  # processes that run the tests
CORES = max(1, torch.get_num_threads() // SHARERS)
torch.set_num_threads(1)  # tiny networks are slower on several, and processes do not fight over the cores


@pytest.fixture
def all_cores():
    """For tests of the demo model, which is large enough for them: as many as are this process's share."""
    torch.set_num_threads(CORES)
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A diffusers pipeline folder with a random 16 x 16 network."""
    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=16,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    folder = tmp_path_factory.mktemp("model") / "tiny"
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(folder)
    return folder


def picture(path: Path, seed: int, size: tuple[int, int] = (16, 16)) -> Path:
    """A smooth random picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder with 3 contents and 2 styles."""
    for i in range(3):
        picture(tmp_path / "contents" / f"c{i}.png", i)
    for i in range(2):
        picture(tmp_path / "styles" / f"s{i}.png", 10 + i)
    return tmp_path

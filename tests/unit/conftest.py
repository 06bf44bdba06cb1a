"""A pipeline folder of a tiny network, to be changed."""

import shutil

import pytest
from diffusers import DDPMPipeline, DDPMScheduler

from ..folders import net


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A pipeline, and the network that is in it."""
    folder, network = tmp_path_factory.mktemp("made") / "pipeline", net()
    DDPMPipeline(network, DDPMScheduler()).save_pretrained(folder)
    return folder, network


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "model")

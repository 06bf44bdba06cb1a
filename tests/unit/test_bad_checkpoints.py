"""What a user may bring by mistake: one line each, with the file, the expectation and the remedy."""

import pickle

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from timm import create_model

import hsx
from hsx.cli import main

from ..golden import FOLDER
from .test_load import DDPM, Bomb

P2 = FOLDER / "p2" / "base.pt"


def other_networks():
    yield "a ResNet", create_model("resnet18", num_classes=2)
    yield "a VAE", AutoencoderKL(block_out_channels=(8,), norm_num_groups=4)
    yield (
        "a Stable Diffusion UNet",
        UNet2DConditionModel(
            block_out_channels=(8, 8),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            norm_num_groups=4,
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=8,
            attention_head_dim=4,
        ),
    )


@pytest.mark.parametrize("what, network", list(other_networks()), ids=lambda v: v if isinstance(v, str) else "")
def test_other_networks_are_refused(what, network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "a.pt")
    with pytest.raises(hsx.BackboneError, match="a.pt: expected the weights of a DDPM, iDDPM, ADM or diffusers") as got:
        hsx.load_backbone(tmp_path / "a.pt", image_size=32)
    assert str(got.value).endswith("give an unconditional pixel-space diffusion model")
    network_folder = tmp_path / "folder"
    if what != "a ResNet":
        network.save_pretrained(network_folder)
        with pytest.raises(hsx.BackboneError, match="expected a UNet2DModel, got"):
            hsx.load_backbone(network_folder)


def test_a_pickle_that_runs_code_is_named_and_not_run(tmp_path):
    (tmp_path / "a.pt").write_bytes(pickle.dumps({"a": Bomb()}, protocol=2))
    with pytest.raises(hsx.BackboneError, match=r"would run code \(it names exec\); save its state_dict alone"):
        hsx.load_backbone(tmp_path / "a.pt", image_size=32)


WRONG = [
    (DDPM, {"num_heads": 2}, "expected no option num_heads for ddpm"),
    (DDPM, {"attention_order": "new"}, "expected no option attention_order for ddpm"),
    (DDPM, {"class_label": 3}, "class_label: expected none for an unconditional network, got 3"),
    (DDPM, {"image_size": 30}, "image_size: expected a multiple of 4"),
    (DDPM, {"image_size": 0}, "image_size: expected a whole number above 0, got 0"),
    (DDPM, {"image_size": "32"}, "image_size: expected a whole number above 0, got '32'"),
    (DDPM, {"image_size": 65536}, "image_size: expected at most 8192, got 65536"),
    (DDPM, {"num_train_timesteps": 10**9}, "num_train_timesteps: expected at most 100000, got 1000000000"),
    (DDPM, {"sha256": "00"}, "expected sha256 00, got "),
    (DDPM, {"family": "adm"}, "expected the whole of a U-Net of family adm"),
    (DDPM, {"family": "gan"}, "family: expected one of ddpm, adm, iddpm, unet2d, got gan"),
    (DDPM, {"schedule": [0.1, 1.5]}, r"expected betas as a list of numbers in \(0, 1\)"),
    (DDPM, {"schedule": [0.1, 0.2], "num_train_timesteps": 3}, "num_train_timesteps: expected 2"),
    (DDPM, {"num_train_timesteps": 10}, "betas"),
    (DDPM, {"dtype": "int8"}, "dtype: expected float64 or float32 or float16 or bfloat16, got int8"),
    (DDPM, {"device": "cuda:77"}, "device: expected one that this machine has, got cuda:77"),
    (DDPM, {"device": "toaster"}, "device: expected one that this machine has, got toaster"),
    (P2, {"num_head_channels": 24}, "expected heads that divide the 64 channels of an attention layer, got num_head"),
    (P2, {"num_heads": 3}, "expected heads that divide the 64 channels of an attention layer, got num_heads 3"),
    (P2, {"num_heads": 2, "num_head_channels": 16}, "num_heads, num_head_channels: expected one of the two"),
    (P2, {"num_heads": 2, "attention_order": "newest"}, "attention_order: expected legacy or new, got newest"),
]


@pytest.mark.parametrize("file, options, said", WRONG, ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_options_that_contradict_the_weights(file, options, said):
    with pytest.raises(hsx.BackboneError, match=said) as caught:
        hsx.load_backbone(file, **{"image_size": 32, **options})
    assert "\n" not in str(caught.value) and "; " in str(caught.value)


@pytest.mark.parametrize("command", ["inspect", "convert"])
def test_the_commands_say_the_same(command, tmp_path, capsys):
    rest = [str(tmp_path / "out")] if command == "convert" else []
    for argv, said in [
        ([str(tmp_path / "absent.pt")], "found nothing there; check the path"),
        ([str(tmp_path / "lsun_cat.pt")], "get lsun_cat.pt from ADM, NeurIPS 2021, github.com/openai/guided-diffusion"),
        ([str(DDPM)], "expected the option image_size"),
        ([str(DDPM), "--image_size", "large"], "see hsx " + command + " --help"),
        ([str(DDPM), "--image_sise", "32"], "see hsx " + command + " --help"),
    ]:
        assert main([command, argv[0], *rest, *argv[1:]]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert lines[-1].startswith("hsx: error: ") and said in lines[-1] and len(lines) == 1, lines
    assert not (tmp_path / "out").exists()

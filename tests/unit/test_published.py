"""The published models: recognised by shapes alone, and used with the right facts."""

import json
import logging
import subprocess
import sys

import pytest
import torch

import hsx
from hsx.checkpoints.cards import CARDS, card_of_architecture
from hsx.checkpoints.families.ddpm import DDPM
from hsx.checkpoints.families.openai import ADM, IDDPM

from .. import original_names
from ..golden import FOLDER

GOLDEN = sorted(f"{p.parent.name}/{p.stem}" for p in FOLDER.glob("*/*.pt"))
KEPT = (
    "num_channels",
    "channel_mult",
    "num_res_blocks",
    "image_size",
    "attention_resolutions",
    "use_scale_shift_norm",
    "resblock_updown",
    "learn_sigma",
    "num_classes",
)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_generator_of_original_names_is_right(name):
    config = json.loads((FOLDER / f"{name}.json").read_text())["config"]
    state = torch.load(FOLDER / f"{name}.pt", weights_only=True)
    if name.startswith("ddpm"):
        made = original_names.ddpm(
            config["ch"], config["ch_mult"], config["num_res_blocks"], config["resolution"], config["attn_resolutions"]
        )
    else:
        arguments = {k: config[k] for k in KEPT if k in config}
        if name.startswith("iddpm"):
            arguments["resblock_updown"] = False
        made = original_names.openai(**arguments)
    assert made == {k: tuple(v.shape) for k, v in state.items()}


def shapes_of(card):
    if card.family == "ddpm":
        return original_names.ddpm(
            card.channels, card.multipliers, card.layers, card.settings["image_size"], card.attention
        )
    return original_names.openai(
        card.channels,
        card.multipliers,
        card.layers,
        card.settings["image_size"],
        card.attention,
        card.scale_shift,
        card.family == "adm",
        num_classes=card.classes,
    )


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.files[0])
def test_every_published_architecture_is_recognised(card):
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes_of(card).items()}
    family = next(f for f in (DDPM(), ADM(), IDDPM()) if f.recognises(state))
    found = card_of_architecture(family.read(state))
    assert found is not None and found.settings == card.settings and family.name == card.family


def test_what_is_assumed_is_a_warning_and_what_is_given_is_not(caplog):
    with caplog.at_level(logging.INFO, "hsx"):
        net = hsx.load_backbone(FOLDER / "ddpm" / "base.pt", image_size=32, schedule="linear")
    assert "assumed: num_train_timesteps 1000, rescale_timesteps False" in caplog.text
    assert "schedule linear" not in caplog.text
    assert net.facts["schedule"] == ("linear", "given") and net.facts["widths"].origin == "read"


SLOW = {
    "ddpm256": ("celeba_hq.ckpt", 113_673_219, (512, 8, 8), "ddpm"),
    "adm256_small": ("afhq_dog_4m.pt", 93_563_910, (512, 8, 8), "adm"),
    "adm256_imagenet": ("256x256_diffusion_uncond.pt", 552_814_086, (1024, 8, 8), "adm"),
    "adm512_imagenet": ("512x512_diffusion.pt", None, (1024, 8, 8), "adm"),
    "iddpm64": ("imagenet64_uncond_100M_1500K.pt", None, (512, 8, 8), "iddpm"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_full_size_checkpoints_load_and_are_inspected_below_12_gib(name, tmp_path):
    """Random weights under the original names and shapes; ``hsx inspect`` in a process of its own, its memory read."""
    file, parameters, h, family = SLOW[name]
    card = next(card for card in CARDS if file in card.files)
    state = {name: torch.randn(shape).mul_(0.02).half() for name, shape in shapes_of(card).items()}
    torch.save(state, tmp_path / file)
    total = sum(value.numel() for value in state.values())
    del state
    code = (
        "import resource, sys; from hsx.cli import main; rc = main(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(rc)"
    )
    options = ["--class_label", "3"] if card.classes else []
    done = subprocess.run(
        [sys.executable, "-c", code, "inspect", str(tmp_path / file), "--json", *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.strip().splitlines()[-1]) < 12 * 2**20  # KiB
    found = json.loads(done.stdout)
    assert found["parameters"] == total and parameters in (None, total)
    assert tuple(found["h"]) == h and found["family"] == family and found["image_size"] == card.settings["image_size"]
    for fact, value in card.settings.items():
        assert found["facts"][fact]["value"] == value and found["facts"][fact]["origin"].startswith("known")
    assert found["timesteps"] == card.settings["num_train_timesteps"] and found["encode_macs"] > 10**9

"""Where each fact comes from, what hsx inspect asks for, and what hsx convert keeps."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import DDPMScheduler

import hsx
from hsx.checkpoints.cards import card_of_name
from hsx.checkpoints.export import export
from hsx.checkpoints.families.openai import ADM
from hsx.checkpoints.options import Options
from hsx.cli import main

from ..folders import FILE, edit, net, refused
from ..golden import FOLDER

# Facts, inspect, convert.


def facts_of(name, architecture, **options):
    """What is held of a file of this name with this architecture."""
    return ADM().facts(architecture, Options(**options), Path("checkpoints") / name)


def test_known_is_only_what_the_published_file_is_called(tmp_path, caplog):
    dogs, heads = card_of_name("afhq_dog_4m.pt").architecture, "num_head_channels"
    facts = facts_of("my_own.pt", dogs)
    assert facts[heads] == (64, "assumed (the architecture of afhq_dog_4m.pt)")
    assert "num_head_channels 64" in caplog.text
    assert not any(fact.origin.startswith("known") for fact in facts.values())
    for name in ("afhq_dog_4m.pt", "AFHQ_Dog_4m.pt", "afhq_dog_4m (1).pt", "0123456789ab-afhq_dog_4m.pt"):
        facts = facts_of(name, dogs)
        assert all(
            facts[fact].origin.startswith("known (afhq_dog_4m.pt, ILVR")
            for fact in (heads, "schedule", "image_size", "attention_order", "prediction_type")
        )
    assert facts_of("metface_p2.pt", dogs)[heads].origin.startswith("known (metface_p2.pt, P2 weighting")
    for name in ("afhq_dog_4m.ckpt", "afhq_dog_4m.pt.bak.pt", "256x256_diffusion_uncond.pt"):
        assert facts_of(name, dogs)[heads].origin.startswith("assumed")
    assert facts_of("afhq_dog_4m.pt", dogs, num_heads=8)["num_heads"] == (8, "given")
    shutil.copy(FOLDER / "ddpm" / "base.pt", tmp_path / "celeba_hq.ckpt")
    assert hsx.load_backbone(tmp_path / "celeba_hq.ckpt", image_size=32).facts["schedule"].origin == "assumed"
    assert "has the name of a model of SDEdit" in caplog.text


def test_a_bare_file_names_what_it_takes_from_the_class(tmp_path, caplog):
    network = net(norm_num_groups=32, block_out_channels=(32, 64))
    torch.save(network.state_dict(), tmp_path / "a.pt")
    backbone = hsx.load_backbone(tmp_path / "a.pt", image_size=16, num_head_channels=8)
    for name in ("norm_eps", "flip_sin_to_cos", "downsample_padding", "norm_num_groups"):
        assert backbone.facts[name].origin == "assumed (diffusers' default)" and f"{name} " in caplog.text
    export(backbone, tmp_path / "folder")
    again = hsx.load_backbone(tmp_path / "folder").facts
    assert again["norm_eps"] == backbone.facts["norm_eps"] and again["schedule"] == ("linear", "assumed")
    assert hsx.load_backbone(tmp_path / "folder", schedule="cosine").facts["schedule"] == ("cosine", "given")


def test_inspect_says_all_that_is_missing_in_one_go(tmp_path, capsys):
    torch.save(net(norm_num_groups=32, block_out_channels=(32, 64), num_class_embeds=5).state_dict(), tmp_path / "a.pt")
    assert main(["inspect", str(tmp_path / "a.pt")]) == 2
    told = capsys.readouterr()
    for word in ("image_size", "num_heads", "num_head_channels", "class_label", "widths", "(32, 64)", "to be given"):
        assert word in told.out
    lines = told.err.strip().splitlines()
    assert len(lines) == 1 and "image_size" in lines[0] and "num_heads" in lines[0] and "class_label" in lines[0]
    assert main(["inspect", str(tmp_path / "a.pt"), "--json", "--image_size", "16"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert set(told["missing"]) == {"num_heads", "num_head_channels", "class_label"}
    assert told["facts"]["widths"] == {"value": [32, 64], "origin": "read"}
    net(sample_size=None, num_class_embeds=5).save_pretrained(tmp_path / "folder")
    assert main(["inspect", str(tmp_path / "folder")]) == 2
    told = capsys.readouterr().err
    assert "image_size" in told and "class_label" in told
    assert main(["inspect", str(tmp_path / "folder"), "--image_size", "16", "--class_label", "3"]) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"variance_type": "fixed_large", "clip_sample": False},
        {"thresholding": True, "prediction_type": "v_prediction"},
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"beta_schedule": "sigmoid"},
        {"trained_betas": [i / 4000 + 1e-4 for i in range(1000)]},
        {"timestep_spacing": "trailing", "steps_offset": 1},
    ],
)
def test_convert_keeps_what_it_read(folder, tmp_path, changes):
    edit(folder / "scheduler" / "scheduler_config.json", **changes)
    first = hsx.load_backbone(folder)
    export(first, tmp_path / "first")
    second = hsx.load_backbone(tmp_path / "first")
    export(second, tmp_path / "second")
    files = [tmp_path / name / "scheduler" / "scheduler_config.json" for name in ("first", "second")]
    config = [json.loads(file.read_text()) for file in files]
    assert config[0] == config[1] and {k: config[0][k] for k in changes} == changes
    assert torch.equal(first.schedule.alphas_cumprod, second.schedule.alphas_cumprod) and first.facts == second.facts
    (folder / "out").mkdir()
    export(hsx.load_backbone(folder, schedule="cosine"), tmp_path / "third")  # an option is above what was read
    assert hsx.load_backbone(tmp_path / "third").facts["schedule"].value == "squaredcos_cap_v2"


def test_a_note_of_convert_holds_only_for_what_it_was_written_of(folder, tmp_path):
    (folder / "model_index.json").unlink()
    shutil.rmtree(folder / "scheduler")
    export(hsx.load_backbone(folder), tmp_path / "new")
    assert hsx.load_backbone(tmp_path / "new").facts["schedule"] == ("linear", "assumed")
    edit(tmp_path / "new" / "scheduler" / "scheduler_config.json", beta_schedule="squaredcos_cap_v2")
    assert hsx.load_backbone(tmp_path / "new").facts["schedule"] == ("squaredcos_cap_v2", "read")


def test_a_schedule_that_ddpm_scheduler_has_no_name_for_is_written_as_betas(folder, tmp_path):
    edit(folder / "scheduler" / "scheduler_config.json", _class_name="HeunDiscreteScheduler", beta_schedule="exp")
    network = hsx.load_backbone(folder)
    export(network, tmp_path / "new")
    a = DDPMScheduler.from_pretrained(tmp_path / "new" / "scheduler").alphas_cumprod.double()
    torch.testing.assert_close(a, network.schedule.alphas_cumprod, rtol=0, atol=1e-6)


def test_inspect_of_pictures_that_are_too_small_for_the_network(tmp_path, capsys):
    net(norm_num_groups=8).save_pretrained(tmp_path)
    assert main(["inspect", str(tmp_path), "--image_size", "2"]) == 2
    assert "image_size: expected more than 2" in capsys.readouterr().err


def test_names_are_told_as_they_are(tmp_path, capsys):
    folder = tmp_path / "a [red] b[" / "x]"
    net().save_pretrained(folder / "unet")
    (folder / "unet" / FILE).rename(folder / "unet" / "model_of_[bold]_the_[blue]_day_of_a_long_:cat:.safetensors")
    assert main(["inspect", str(folder)]) == 0
    told = capsys.readouterr().out.replace(" ", "").replace("│", "").replace("\n", "")
    assert "[red]" in told and "[blue]" in told and ":cat:" in told
    assert main(["convert", str(folder), "hsx://new"]) == 2
    assert 'folder: expected a folder, got "hsx://new"; name one' in capsys.readouterr().err


def test_what_hsx_alone_reads_is_held_to_lists_too(folder, tmp_path):
    network = hsx.load_backbone(folder, rescale_timesteps=True, schedule="cosine", num_train_timesteps=4000)
    for i, (changes, said) in enumerate(
        [
            ({"tomorrow": 1}, "got tomorrow 1"),
            ({"alphas_cumprod": [0.1, 0.2]}, "numbers that fall"),
            ({"alphas_cumprod": 3}, "alphas_cumprod"),
            ({"timestep_scale": "1"}, "timestep_scale"),
            ({"unet": []}, "unet"),
            ({"num_heads": ...}, "got no num_heads"),
            ({}, None),
        ]
    ):
        export(network, tmp_path / str(i), hsx_only=True)
        edit(tmp_path / str(i) / "hsx.json", **changes)
        if said:
            refused(tmp_path / str(i), said)
    again = hsx.load_backbone(tmp_path / "6" / "hsx.safetensors")  # by its weights: the same folder
    assert again.timestep_scale == 0.25 and len(again.schedule) == 4000
    assert again.facts["timestep_scale"] == (0.25, "read") and again.facts["weights"] == ("hsx.safetensors", "read")
    refused(tmp_path / "6", "timestep_scale: expected the 4000 timesteps", schedule="cosine", num_train_timesteps=50)


def test_nothing_of_other_libraries_reaches_the_user(folder):
    (folder / "unet" / FILE).rename(folder / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    edit(folder / "unet" / "config.json", decay=0.99, tomorrow=None)
    code = "import sys, hsx; hsx.load_backbone(sys.argv[1])"
    done = subprocess.run([sys.executable, "-W", "default", "-c", code, str(folder)], capture_output=True, text=True)
    told = [line for line in done.stderr.splitlines() if "diffusers" in line.lower() or "hugging" in line.lower()]
    assert done.returncode == 0 and not done.stdout and not told, done.stderr

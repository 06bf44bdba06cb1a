"""Folders as people have them: each loads as the network it is, or is refused in a line that says why."""

import json
import shutil

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DModel, VQModel
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file, save_file

import hsx

from ..folders import FILE, edit, net, off, refused

# Which U-Net, which weights.


def raw_and_averaged(folder, raw="unet", averaged="unet_ema"):
    net(0).save_pretrained(folder / raw)
    ema = net(1)
    EMAModel(ema.parameters(), model_cls=UNet2DModel, model_config=ema.config).save_pretrained(str(folder / averaged))
    return ema


@pytest.mark.parametrize(
    "raw, averaged",
    [
        ("unet", "unet_ema"),
        ("unet", "ema"),
        ("unet", "ema_unet"),
        ("unet", "model_ema"),
        ("unet_non_ema", "unet"),
        ("unet", "unet-averaged"),
    ],
)
def test_averaged_weights_are_preferred_and_it_is_said(tmp_path, caplog, raw, averaged):
    ema = raw_and_averaged(tmp_path / "checkpoint-500", raw, averaged)
    (tmp_path / "checkpoint-500" / "optimizer.bin").write_bytes(b"x")
    backbone = hsx.load_backbone(tmp_path / "checkpoint-500")
    assert off(backbone, ema) < 1e-5
    assert backbone.facts["weights"] == (f"{averaged}/{FILE}", f"read; left out: {raw}")
    assert f"{averaged}/{FILE} are taken, left out: {raw}" in caplog.text
    named = hsx.load_backbone(tmp_path / "checkpoint-500" / raw)
    assert off(named, net(0)) < 1e-5 and named.facts["weights"].origin == f"read; left out: {averaged}"


def test_checkpoints_of_a_training(tmp_path):
    for step in (500, 1000, 20):
        raw_and_averaged(tmp_path / f"checkpoint-{step}")
    refused(tmp_path, f"got 3 checkpoints of a training; name one: {tmp_path / 'checkpoint-1000'}")
    DDIMScheduler(beta_schedule="scaled_linear").save_pretrained(tmp_path / "scheduler")  # the run's own, beside them
    assert hsx.load_backbone(tmp_path / "checkpoint-20").facts["schedule"].value == "scaled_linear"
    net().save_pretrained(tmp_path / "best" / "unet")  # whatever its folder is called
    assert hsx.load_backbone(tmp_path / "best").facts["schedule"] == ("scaled_linear", "read")


def test_several_unets_of_equal_rank_are_asked_for(tmp_path):
    net().save_pretrained(tmp_path / "unet")
    net(1).save_pretrained(tmp_path / "unet_2")
    refused(tmp_path, "expected one U-Net, got unet, unet_2; name the folder")
    assert off(hsx.load_backbone(tmp_path / "unet_2"), net(1)) < 1e-5


def variant(folder, name, seed, half=False):
    network = net(seed)
    state = {k: (v.half() if half else v).contiguous() for k, v in network.state_dict().items()}
    save_file(state, folder / name) if name.endswith("safetensors") else torch.save(state, folder / name)


@pytest.mark.parametrize(
    "names, taken",
    [
        ([FILE, "diffusion_pytorch_model.bin"], 0),
        (["diffusion_pytorch_model.fp16.safetensors", FILE], 1),
        (["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.bin"], 1),
        ([FILE, "diffusion_pytorch_model.ema.safetensors"], 1),
        ([FILE, "diffusion_pytorch_model.non_ema.safetensors"], 0),
        ([FILE, "stray.safetensors"], 0),
        (["diffusion_pytorch_model.fp16.safetensors"], 0),
        (["diffusion_pytorch_model.fp16.bin"], 0),
        (["model.safetensors"], 0),
        (["diffusion_pytorch_model.bf16.safetensors"], 0),
    ],
)
def test_one_of_several_weight_files_is_taken_by_rule(folder, names, taken):
    (folder / "unet" / FILE).unlink()
    for i, name in enumerate(names):
        variant(folder / "unet", name, i, "16" in name)
    backbone = hsx.load_backbone(folder)
    assert off(backbone, net(taken)) < (2e-3 if "16" in names[taken] else 1e-5)
    assert backbone.facts["weights"].value == f"unet/{names[taken]}"
    assert all(name in backbone.facts["weights"].origin for name in names if name != names[taken])
    for i, name in enumerate(names):  # each by its name
        assert off(hsx.load_backbone(folder / "unet" / name), net(i)) < 2e-3


def test_two_files_between_which_nothing_decides(folder):
    for name in ("a.safetensors", "b.safetensors"):
        variant(folder / "unet", name, 1)
    (folder / "unet" / FILE).unlink()
    refused(folder, "expected one file of weights, got a.safetensors and b.safetensors; name")


def shards(folder, safe=True):
    """The weights of net(3) in several files."""
    shutil.rmtree(folder / "unet")
    net(3).save_pretrained(folder / "unet", max_shard_size="20KB", safe_serialization=safe)
    return folder / "unet" / f"diffusion_pytorch_model.{'safetensors' if safe else 'bin'}.index.json"


@pytest.mark.parametrize("safe", [True, False])
def test_shards(folder, safe):
    index = shards(folder, safe)
    first = folder / "unet" / sorted(json.loads(index.read_text())["weight_map"].values())[0]
    variant(folder / "unet", "stray.safetensors", 0)
    for source in (folder, folder / "unet", first):
        backbone = hsx.load_backbone(source)
        assert off(backbone, net(3)) < 1e-5 and "stray.safetensors" in backbone.facts["weights"].origin
    index.unlink()
    assert off(hsx.load_backbone(first), net(3)) < 1e-5  # whole without its index
    first.unlink()
    (folder / "unet" / "stray.safetensors").unlink()
    refused(folder, "shards without all of their")


@pytest.mark.parametrize(
    "kind, said",
    [
        ("missing", "is missing; fetch it too"),
        ("path", "expected shards such as"),
        ("name", "got other.safetensors for"),
        ("number", "got 3 for"),
        ("empty", "expected a weight_map"),
        ("more", "expected the tensor more.weight"),
        ("broken", "expected JSON"),
        ("twice", "again; save the model again"),
    ],
)
def test_an_index_that_lies(folder, kind, said):
    index = shards(folder)
    told = json.loads(index.read_text())
    names = sorted(set(told["weight_map"].values()))
    if kind == "missing":
        (folder / "unet" / names[1]).unlink()
    elif kind == "twice":
        extra = load_file(folder / "unet" / names[1])
        save_file(extra | load_file(folder / "unet" / names[0]), folder / "unet" / names[1])
    elif kind == "empty":
        told["weight_map"] = {}
    else:
        value = {"path": f"../unet/{names[0]}", "name": "other.safetensors", "number": 3}.get(kind, names[0])
        told["weight_map"]["more.weight" if kind == "more" else next(iter(told["weight_map"]))] = value
    index.write_text("{" if kind == "broken" else json.dumps(told))
    refused(folder, said)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda s: s.pop("conv_out.bias"), "conv_out.bias missing"),
        (lambda s: s.update(more=torch.ones(1)), "more in excess"),
        (lambda s: s.update({"conv_out.bias": torch.ones(4)}), "conv_out.bias of shape (4,) where (3,) fits"),
        (lambda s: s.update({"conv_out.bias": torch.full((3,), float("nan"))}), "conv_out.bias"),
    ],
)
def test_the_tensor_that_does_not_fit_is_named(folder, change, said):
    state = load_file(folder / "unet" / FILE)
    change(state)
    save_file(state, folder / "unet" / FILE)
    refused(folder, said)


# What is no pixel model, or no model.


def latent(folder, kind):
    if kind == "vqvae":
        VQModel(block_out_channels=(32,), norm_num_groups=32).save_pretrained(folder / "vqvae")
    elif kind == "vae":
        AutoencoderKL(block_out_channels=(8,), norm_num_groups=4).save_pretrained(folder / "vae")
    else:
        (folder / kind).mkdir()
        (folder / kind / "config.json").write_text(json.dumps({"architectures": ["CLIPTextModel"]}))


@pytest.mark.parametrize(
    "kind", ["vqvae", "vae", "movq", "first_stage_model", "text_encoder", "image_encoder", "bert", "safety_checker"]
)
@pytest.mark.parametrize("index", [True, False])
def test_a_part_beside_the_unet_is_refused_by_name(folder, kind, index):
    latent(folder, kind)
    if not index:
        (folder / "model_index.json").unlink()
    for source in (folder, folder / "unet", folder / "unet" / FILE):
        refused(source, f"{kind} (", "beside the U-Net")


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"_class_name": "LDMPipeline", "vqvae": ["diffusers", "VQModel"]}, "a latent model of LDMPipeline: vqvae"),
        ({"_class_name": "ConsistencyModelPipeline"}, "got ConsistencyModelPipeline"),
        ({"_class_name": "ScoreSdeVePipeline"}, "got ScoreSdeVePipeline"),
        ({"_class_name": ["mine", "Mine"]}, "Mine"),
        ({"_class_name": "RePaintPipeline"}, "got RePaintPipeline"),
        ({"_class_name": ...}, "got null"),
        ({"unet": ["diffusers", "UNet2DConditionModel"]}, "got unet UNet2DConditionModel"),
        ({"unet": ...}, "with a unet"),
        ({"scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"]}, "got FlowMatchEulerDiscreteScheduler"),
        ({"controlnet": ["diffusers", "ControlNetModel"]}, "controlnet (ControlNetModel, a ControlNet)"),
        ({"unet": ["mine", "UNet2DModel"]}, "expected unet of diffusers"),
        ({"scheduler": ["DDPMScheduler"]}, "expected scheduler of diffusers"),
        ({"upcast": True}, "got upcast true"),
        ({"unet_2": ["diffusers", "UNet1DModel"]}, "got unet_2 UNet1DModel"),
    ],
)
def test_a_pipeline_that_is_not_understood(folder, changes, said):
    edit(folder / "model_index.json", **changes)
    refused(folder, said)
    refused(folder / "unet", said)


@pytest.mark.parametrize(
    "changes",
    [
        {"_class_name": "DDIMPipeline"},
        {"_class_name": "PNDMPipeline"},
        {"vae": [None, None]},
        {"safety_checker": None},
        {"upcast": False},
    ],
)
def test_a_pipeline_that_is(made, folder, changes):
    edit(folder / "model_index.json", **changes)
    assert off(hsx.load_backbone(folder), made[1]) < 1e-5


def test_a_flat_folder_as_the_first_models_of_the_hub(made, folder):
    for file in [*(folder / "unet").iterdir(), *(folder / "scheduler").iterdir()]:
        shutil.move(file, folder / file.name)
    (folder / "unet").rmdir()
    (folder / "scheduler").rmdir()
    edit(folder / "scheduler_config.json", beta_schedule="squaredcos_cap_v2")
    assert hsx.load_backbone(folder).facts["schedule"] == ("squaredcos_cap_v2", "read")
    assert off(hsx.load_backbone(folder / FILE), made[1]) < 1e-5


def test_weights_beside_the_folder_of_the_unet_are_named(folder):
    torch.save({"shadow_params": []}, folder / "ema.pt")
    torch.save({}, folder / "optimizer.pt")
    for source in (folder, folder / "unet", folder / "unet" / FILE):
        assert hsx.load_backbone(source).facts["weights"].origin == "read; left out: ema.pt"


@pytest.mark.parametrize("name", ["noise_scheduler", "scheduler_ddpm"])
def test_a_scheduler_in_a_folder_of_another_name(folder, name):
    (folder / "model_index.json").unlink()
    edit(folder / "scheduler" / "scheduler_config.json", beta_schedule="squaredcos_cap_v2")
    (folder / "scheduler").rename(folder / name)
    for source in (folder, folder / "unet", folder / "unet" / FILE):
        assert hsx.load_backbone(source).facts["schedule"] == ("squaredcos_cap_v2", "read")


def test_weights_of_a_wrapped_module(made, folder):
    state = load_file(folder / "unet" / FILE)
    save_file({f"module.{name}": value for name, value in state.items()}, folder / "unet" / FILE)
    assert off(hsx.load_backbone(folder), made[1]) < 1e-5


def test_two_schedulers(made, folder):
    shutil.copy(folder / "scheduler" / "scheduler_config.json", folder / "unet")
    assert off(hsx.load_backbone(folder), made[1]) < 1e-5
    edit(folder / "unet" / "scheduler_config.json", beta_end=0.03)
    refused(folder, "expected one scheduler, got", "which differ")
    shutil.rmtree(folder / "scheduler")
    (folder / "scheduler").mkdir()
    (folder / "unet" / "scheduler_config.json").unlink()
    refused(folder, "expected scheduler/scheduler_config.json, found none")


def nothing(kind, folder):
    folder.mkdir()
    if kind == "pictures":
        (folder / "a.png").write_bytes(b"x")
        (folder / "b.jpg").write_bytes(b"x")
    elif kind == "checkpoint":
        torch.save(net().state_dict(), folder / "model.pt")
    elif kind == "cache":
        net().save_pretrained(folder / "snapshots" / "0123abc" / "unet")
    elif kind in ("flax", "onnx"):
        (folder / {"flax": "diffusion_flax_model.msgpack", "onnx": "model.onnx"}[kind]).write_bytes(b"x")
    elif kind == "flax beside a config":
        net().save_config(folder)
        (folder / "diffusion_flax_model.msgpack").write_bytes(b"x")
    elif kind == "config alone":
        net().save_config(folder)
    elif kind == "models":
        net().save_pretrained(folder / "first")
        shutil.rmtree(folder / "first" / "x", ignore_errors=True)
        (folder / "first" / "config.json").replace(folder / "first" / "model_index.json")
    elif kind.startswith("pointer"):
        net().save_pretrained(folder)
        file = folder / ("config.json" if kind.endswith("config") else FILE)
        file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    elif kind == "index without unet":
        (folder / "model_index.json").write_text(
            json.dumps({"_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"]})
        )
    elif kind == "config is a folder":
        (folder / "unet" / "config.json").mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    "kind, said",
    [
        ("empty", "got an empty folder"),
        ("pictures", "got 2 pictures"),
        ("checkpoint", "name the file: "),
        ("flax", "Flax weights"),
        ("onnx", "ONNX weights"),
        ("flax beside a config", "Flax weights (diffusion_flax_model.msgpack)"),
        ("config alone", "expected diffusion_pytorch_model.safetensors or .bin"),
        ("cache", "snapshots/0123abc"),
        ("models", "name one: "),
        ("pointer", "Git LFS pointer"),
        ("pointer config", "Git LFS pointer"),
        ("index without unet", "found no unet/config.json"),
        ("config is a folder", "got unet"),
    ],
)
def test_folders_without_a_model_say_what_they_hold(tmp_path, kind, said):
    refused(nothing(kind, tmp_path / "it"), said)


@pytest.mark.parametrize(
    "text, said",
    [
        ("{", "expected JSON"),
        ("[]", "expected fields and values, got []"),
        ("null", "got null"),
        ("", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ('{"act_fn": "silu", "act_fn": "relu"}', "act_fn is there twice"),
        ('{"layers_per_block": ' + "9" * 5000 + "}", "expected JSON"),
    ],
    ids=lambda v: v[:20],
)
@pytest.mark.parametrize("file", ["unet/config.json", "scheduler/scheduler_config.json", "model_index.json"])
def test_configs_that_are_none(folder, file, text, said):
    (folder / file).write_text(text)
    refused(folder, said, file)


def test_a_byte_order_mark_is_no_matter(made, folder):
    file = folder / "unet" / "config.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert off(hsx.load_backbone(folder), made[1]) < 1e-5

"""What load_backbone reads, and how it refuses the rest."""

import json
import pickle
import shutil

import pytest
import torch
from diffusers import DDIMScheduler
from safetensors.torch import load_file, save_file

import hsx

from ..golden import FOLDER, backbone, difference

DDPM = FOLDER / "ddpm" / "base.pt"


def test_a_pipeline_folder_its_unet_folder_and_half_precision(tiny_model, tmp_path):
    whole, unet = hsx.load_backbone(tiny_model), hsx.load_backbone(tiny_model / "unet")
    x, t = torch.randn(2, 3, 16, 16), torch.tensor([3, 700])
    with torch.no_grad():
        assert torch.equal(whole(x, t), unet(x, t))
    assert whole.sample_size == 16 and whole.h_shape == (16, 8, 8) and whole.family == "diffusers"
    assert not any(p.requires_grad for p in whole.parameters())
    whole.unet.half().save_pretrained(tmp_path / "half")
    assert next(hsx.load_backbone(tmp_path / "half").parameters()).dtype == torch.float32


@pytest.mark.parametrize(
    "config, first",
    [
        ({"beta_schedule": "linear", "beta_start": 1e-3, "beta_end": 0.02}, 1 - 1e-3),
        ({"beta_schedule": "scaled_linear", "beta_start": 1e-3, "beta_end": 0.02}, 1 - 1e-3),
        ({"beta_schedule": "squaredcos_cap_v2"}, float(hsx.NoiseSchedule.cosine().alphas_cumprod[0])),
        ({"trained_betas": [0.25, 0.5]}, 0.75),
    ],
)
def test_the_schedule_is_the_schedulers(tiny_model, tmp_path, config, first):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    assert float(hsx.load_backbone(folder).schedule.alphas_cumprod[0]) == pytest.approx(first)


def test_safetensors_and_pt_are_the_same(tmp_path):
    save_file(torch.load(DDPM, weights_only=True), tmp_path / "a.safetensors")
    again = hsx.load_backbone(tmp_path / "a.safetensors", image_size=32)
    x, t = torch.randn(1, 3, 32, 32), torch.tensor([5])
    with torch.no_grad():
        assert difference(again(x, t), backbone("ddpm")(x, t)) == 0


def test_legacy_attention_order_matters():
    wrong = hsx.load_backbone(FOLDER / "p2" / "base.pt", image_size=32, num_head_channels=16, attention_order="new")
    right = hsx.load_backbone(FOLDER / "p2" / "base.pt", image_size=32, num_head_channels=16)
    x, t = torch.randn(1, 3, 32, 32), torch.tensor([500])
    with torch.no_grad():
        assert difference(wrong(x, t), right(x, t)) > 1e-2


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


def write(path, value):
    torch.save(value, path)
    return path


def bad(kind, tmp_path):
    state = torch.load(DDPM, weights_only=True)
    path = tmp_path / "a.pt"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("hello")
    elif kind == "truncated":
        path.write_bytes(DDPM.read_bytes()[:5000])
    elif kind == "code":
        path.write_bytes(pickle.dumps({"a": Bomb()}))
    elif kind == "list":
        write(path, [1, 2])
    elif kind == "nan":
        write(path, {**state, "conv_out.bias": torch.full((3,), float("nan"))})
    elif kind == "other":
        write(path, {"conv1.weight": torch.zeros(1)})
    elif kind == "missing":
        write(path, {k: v for k, v in state.items() if k != "mid.block_1.conv2.weight"})
    elif kind == "extra":
        write(path, {**state, "extra.weight": torch.zeros(1)})
    elif kind == "shape":
        write(path, {**state, "conv_out.bias": torch.zeros(4)})
    return path


@pytest.mark.parametrize(
    "kind", ["empty", "text", "truncated", "code", "list", "other", "missing", "extra", "shape", "nan"]
)
def test_what_is_no_such_checkpoint_is_refused_in_one_line(kind, tmp_path):
    path = bad(kind, tmp_path)
    with pytest.raises(hsx.BackboneError) as caught:
        hsx.load_backbone(path, image_size=32)
    text = str(caught.value)
    assert text.startswith(f"{path}: expected") and "; " in text and "\n" not in text


def test_options_are_asked_for_by_name(tmp_path, tiny_model):
    with pytest.raises(hsx.BackboneError, match="expected the option image_size"):
        hsx.load_backbone(DDPM)
    with pytest.raises(hsx.BackboneError, match="expected one of the options num_head_channels"):
        hsx.load_backbone(FOLDER / "p2" / "base.pt", image_size=32)
    with pytest.raises(hsx.BackboneError, match="did you mean num_heads"):
        hsx.load_backbone(DDPM, image_size=32, heads=3)
    with pytest.raises(hsx.BackboneError, match="no option num_heads for a diffusers folder"):
        hsx.load_backbone(tiny_model, num_heads=4)
    with pytest.raises(hsx.BackboneError, match="found nothing there"):
        hsx.load_backbone(tmp_path / "absent.pt")
    (tmp_path / "a.zip").write_bytes(b"x")
    with pytest.raises(hsx.BackboneError, match=r"expected a file ending in \.pt"):
        hsx.load_backbone(tmp_path / "a.zip")


def test_folders_without_a_unet_are_refused(tmp_path, tiny_model):
    with pytest.raises(hsx.BackboneError, match="expected a diffusers UNet2DModel folder"):
        hsx.load_backbone(tmp_path)
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "unet" / "config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    with pytest.raises(hsx.BackboneError, match="got UNet2DConditionModel"):
        hsx.load_backbone(folder)
    (folder / "scheduler" / "scheduler_config.json").write_text('{"prediction_type": "flow"}')
    shutil.copy(tiny_model / "unet" / "config.json", folder / "unet" / "config.json")
    with pytest.raises(hsx.BackboneError, match="prediction_type: expected epsilon, v_prediction or sample, got flow"):
        hsx.load_backbone(folder)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}, "epoch": 3},
        lambda s: {
            "state_dict": {**{f"ema.{k}": v for k, v in s.items()}, **{f"net.{k}": 0 * v for k, v in s.items()}},
            "global_step": 3,
        },
        lambda s: [
            {f"module.{k}": 0 * v for k, v in s.items()},
            {"state": {}, "param_groups": []},
            1,
            2,
            {f"module.{k}": v for k, v in s.items()},
        ],
        lambda s: {k: v.half() for k, v in s.items()},
        lambda s: {k: v.bfloat16() for k, v in s.items()},
    ],
)
def test_wrappers_are_taken_off_and_averaged_weights_preferred(tmp_path, wrap):
    wrapped = hsx.load_backbone(write(tmp_path / "a.ckpt", wrap(torch.load(DDPM, weights_only=True))), image_size=32)
    x, t = torch.randn(1, 3, 32, 32), torch.tensor([5])
    with torch.no_grad():
        assert difference(wrapped(x, t), backbone("ddpm")(x, t)) < 0.2


def test_a_folder_with_a_tensor_missing_or_cut_is_refused(tmp_path, tiny_model):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    for change in (
        {k: v for k, v in state.items() if k != "conv_out.bias"},
        {**state, "more": torch.zeros(1)},
        {**state, "conv_out.bias": torch.zeros(4)},
    ):
        save_file(change, file)
        with pytest.raises(hsx.BackboneError) as caught:
            hsx.load_backbone(folder)
        assert "\n" not in str(caught.value) and "; " in str(caught.value)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(hsx.BackboneError, match="it is cut short or damaged"):
        hsx.load_backbone(folder)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@torch.no_grad()
def test_v_and_x0_predictions_are_turned_into_eps_as_diffusers_does(tmp_path, tiny_model, kind):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    scheduler = DDIMScheduler(prediction_type=kind, clip_sample=False)
    scheduler.set_timesteps(1000)
    scheduler.save_pretrained(folder / "scheduler")
    net, x = hsx.load_backbone(folder), torch.randn(2, 3, 16, 16)
    for t in (7, 400):
        x0 = scheduler.step(net.unet(x, t).sample, t, x).pred_original_sample
        a = scheduler.alphas_cumprod[t]
        eps = (x - a.sqrt() * x0) / (1 - a).sqrt()
        torch.testing.assert_close(net(x, torch.tensor([t, t])), eps, atol=1e-3, rtol=1e-4)

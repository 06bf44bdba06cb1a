"""Where each network is cut: the names, the shapes, the cost, and that the cut is exact."""

import json

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler
from torch import nn

import hsx
from hsx.backbones.unet2d import decode, encode
from hsx.cli import main
from hsx.store.trajectories import Store

from ..golden import FOLDER
from .test_families import CHECKPOINTS, options
from .test_unet2d import tiny


@pytest.mark.parametrize("name", CHECKPOINTS)
@pytest.mark.parametrize("batch", [1, 3])
@torch.no_grad()
def test_both_halves_are_the_network_bit_for_bit(name, batch):
    net = hsx.load_backbone(FOLDER / f"{name}.pt", **options(name))
    size = net.sample_size
    x, t = torch.randn(batch, 3, size, size), torch.tensor([999, 0, 321])[:batch]
    label = None if net.class_label is None else torch.full((batch,), net.class_label)
    whole = net.unet(x, t, label).sample
    assert torch.equal(decode(net.unet, encode(net.unet, x, t, label)), whole)
    assert torch.equal(net(x, t), whole[:, :3])


@pytest.mark.parametrize("name", CHECKPOINTS)
@torch.no_grad()
def test_the_layout_names_what_is_there(name):
    net = hsx.load_backbone(FOLDER / f"{name}.pt", **options(name))
    layout = net.layout
    pushed, macs = {}, 0

    def keep(module, inputs, output, name):
        pushed[name] = output

    def count(module, inputs, output):
        nonlocal macs
        if isinstance(module, nn.Conv2d):
            macs += module.weight.numel() * output.shape[-2] * output.shape[-1]
        elif isinstance(module, nn.Linear):
            macs += module.weight.numel() * output.numel() // module.out_features

    for skip, _ in layout.skips:
        net.unet.get_submodule(skip).register_forward_hook(lambda *args, n=skip: keep(*args, n))
    handles = [m.register_forward_hook(count) for m in net.unet.modules()]
    b = net.encode(torch.randn(1, 3, net.sample_size, net.sample_size), torch.tensor([5]))
    encoded, macs = macs, 0
    net.decode(b)
    for handle in handles:
        handle.remove()
    assert layout.bottleneck == "mid_block" and layout.h == tuple(b.h.shape[1:]) == net.h_shape
    for (skip, shape), tensor in zip(layout.skips, b.skips, strict=True):
        assert torch.equal(pushed[skip], tensor) and shape == tuple(tensor.shape[1:])
    # convolutions and linear layers, and on top of them attention's products of q, k and v
    assert encoded < layout.encode_macs < 1.5 * encoded and macs <= layout.decode_macs < 1.5 * macs


def test_inspect_as_a_table_and_as_json(capsys):
    file = str(FOLDER / "iddpm" / "scale_shift.pt")
    given = ["--image_size", "16", "--num_heads", "4"]
    assert main(["inspect", file, *given]) == 0
    told = capsys.readouterr()
    for word in ("iddpm", "mid_block", "down_blocks.0.downsamplers.0", "719,590", "given", "assumed", "64 x 8 x 8"):
        assert word in told.out
    assert main(["inspect", file, *given, "--json", "--schedule", "cosine"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert found["facts"]["schedule"] == {"value": "cosine", "origin": "given"} and not told.err
    assert found["skips"][0] == {"module": "conv_in", "shape": [32, 16, 16]} and found["parameters"] == 719590
    assert main(["inspect", "hsx://demo_faces"]) == 0
    assert "160 x 4 x 4" in capsys.readouterr().out


def test_inspect_lists_the_sites_with_what_a_content_costs_in_the_store(capsys, tmp_path):
    """As many bytes as the store's file then has, but for its header."""
    assert main(["inspect", "hsx://demo_faces", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    layout = hsx.load_backbone("hsx://demo_faces").layout
    assert {site: tuple(one["shape"]) for site, one in found["sites"].items()} == layout.sites
    kept = {site: torch.zeros(49, *layout.sites[site]) for site in ("h", layout.skips[-1][0])}
    Store(tmp_path).put("0" * 24, torch.zeros(found["x_T"]["shape"]), kept, range(49))
    (entry,) = Store(tmp_path).entries()
    expected = found["x_T"]["bytes"] + sum(found["sites"][site]["bytes"] for site in kept)
    assert expected <= entry.bytes <= expected + 2000
    assert main(["inspect", "hsx://demo_faces"]) == 0
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"h 160 x 4 x 4 mid_block: {found['sites']['h']['bytes'] / 1e6:.3g} MB conv_in " in told
    assert "MB of a content in the store (50 steps, float16)" in told and "skips@R/16: " in told
    assert "x_T 3 x 64 x 64 0.0492 MB a picture; with the donor Renoised of styles alone" in told


def test_convert_from_the_command_line(tmp_path, capsys):
    argv = [
        "convert",
        str(FOLDER / "p2" / "base.pt"),
        str(tmp_path / "p2"),
        "--image_size",
        "32",
        "--num_head_channels",
        "32",
    ]
    assert main(argv) == 0
    assert DDPMPipeline.from_pretrained(tmp_path / "p2").unet.config.sample_size == 32
    rescaled = [
        "convert",
        str(FOLDER / "iddpm" / "plain.pt"),
        str(tmp_path / "iddpm"),
        "--image_size",
        "16",
        "--num_heads",
        "4",
        "--num_train_timesteps",
        "4000",
        "--rescale_timesteps",
        "true",
    ]
    assert main(rescaled) == 2 and "--hsx_only" in capsys.readouterr().err
    assert main([*rescaled, "--hsx-only"]) == 0 and main(["inspect", str(tmp_path / "iddpm")]) == 0
    assert hsx.load_backbone(tmp_path / "iddpm").timestep_scale == 0.25
    capsys.readouterr()
    assert main(argv) == 2
    assert "expected an empty folder or none" in capsys.readouterr().err


@torch.no_grad()
def test_precision_and_device():
    for dtype in ("bfloat16", torch.float64):
        net = hsx.load_backbone(FOLDER / "ddpm" / "base.pt", image_size=32, dtype=dtype, device="cpu")
        assert next(net.parameters()).dtype == (torch.bfloat16 if dtype == "bfloat16" else torch.float64)
        x = torch.randn(1, 3, 32, 32)
        eps = net(x, torch.tensor([500]))
        assert eps.dtype == torch.float32
        images = hsx.Transfer(net, inversion_steps=3, generation_steps=3)(x.clamp(-1, 1), x.clamp(-1, 1))
        assert images.dtype == torch.float32 and torch.isfinite(images).all()
    exact = hsx.load_backbone(FOLDER / "ddpm" / "base.pt", image_size=32)(x, torch.tensor([500]))
    assert float((exact - eps).abs().max()) < 1e-4


@torch.no_grad()
def test_lightning_files_and_old_folders_of_diffusers_networks(tmp_path):
    unet = tiny(norm_num_groups=32, block_out_channels=(32, 64), attn_norm_num_groups=32).eval()
    x, t = torch.randn(2, 3, 16, 16), torch.tensor([3, 900])
    expected = unet(x, t).sample
    state = {f"unet.{name}": value for name, value in unet.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 1}, tmp_path / "a.ckpt")
    with pytest.raises(hsx.BackboneError, match="expected one of the options num_head_channels"):
        hsx.load_backbone(tmp_path / "a.ckpt", image_size=16)
    net = hsx.load_backbone(tmp_path / "a.ckpt", image_size=16, num_head_channels=8)
    assert net.family == "unet2d" and torch.equal(net(x, t), expected)
    # the names of attention before diffusers 0.12, as the first models of the Hub still have them
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(tmp_path / "old", safe_serialization=False)
    renamed = {}
    for name, value in unet.state_dict().items():
        for new, before in old.items():
            name = name.replace(f".{new}.", f".{before}.")
        renamed[name] = value
    torch.save(renamed, tmp_path / "old" / "unet" / "diffusion_pytorch_model.bin")
    assert torch.equal(hsx.load_backbone(tmp_path / "old")(x, t), expected)

"""Ways in which a checkpoint file is wrapped, named, cut or stored: each loads as the true network, or is refused.

A row is a name, what writes the file from two networks (raw and averaged weights), and what must come of it: RAW or EMA
with words of the fact ``weights``, or the words of a refusal.
"""

import ast
import gzip
import io
import json
import pickle
import re
import tarfile
import zipfile
from argparse import Namespace
from collections import OrderedDict, defaultdict
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DModel
from diffusers.training_utils import EMAModel
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import save, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

import hsx
from hsx.backbones import tensors as reader

from ..golden import FOLDER

RAW, EMA = "raw", "ema"
OWN = {"image_size": 16, "num_head_channels": 8}
HSX = Path(hsx.__file__).parent


@cache
def net(which: str) -> UNet2DModel:
    with torch.random.fork_rng():
        torch.manual_seed(which == EMA)
        return UNet2DModel(
            sample_size=16,
            block_out_channels=(32, 64),
            layers_per_block=1,
            attention_head_dim=8,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        ).eval()


def sd(which: str, prefix: str = "") -> dict[str, torch.Tensor]:
    return {prefix + name: value.detach() for name, value in net(which).state_dict().items()}


def values(which: str) -> list[torch.Tensor]:
    return [p.detach() for p in net(which).parameters()]


def cut(state, *names):
    return {k: v for k, v in state.items() if k not in names}


def optimizer():
    parameters = [nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))]
    adam = torch.optim.Adam(parameters)
    sum(p.sum() for p in parameters).backward()
    adam.step()
    return adam.state_dict()


def averaged_model(which, updates=1):
    model = AveragedModel(net(which))
    if updates:
        model.update_parameters(net(which))
    return model.state_dict()


def lightning(state, **more):
    return {
        "epoch": 3,
        "global_step": 10,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": state,
        "loops": {},
        "callbacks": {},
        "optimizer_states": [optimizer()],
        "lr_schedulers": [],
        **more,
    }


def lit_ema(raw, ema, parent="unet."):
    flat = {"model_ema." + (parent + k).replace(".", ""): v for k, v in sd(ema).items()}
    return {
        **sd(raw, f"model.{parent}"),
        **flat,
        "model_ema.decay": torch.tensor(0.99),
        "model_ema.num_updates": torch.tensor(7),
    }


def diffusion(prefix="model.", which=RAW, schedule=None, **more):
    """A Gaussian diffusion's buffers, in float32, beside its network."""
    a = (schedule or hsx.NoiseSchedule.cosine(1000)).alphas_cumprod
    betas = 1 - a / torch.cat([torch.ones(1).double(), a[:-1]])
    return {
        "betas": betas.float(),
        "alphas_cumprod": a.float(),
        "sqrt_one_minus_alphas_cumprod": (1 - a).sqrt().float(),
        "posterior_mean_coef1": a.float(),
        "logvar": a.float(),
        **more,
        **sd(which, prefix),
    }


def old_attention(state):
    parts = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    for new, old in parts.items():
        state = {k.replace(new, old): v for k, v in state.items()}
    return state


class Mine:
    pass


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


# ---------------------------------------------------------------- what torch.save is given, and what comes of it
SAVED = {
    "a bare state dict": (lambda: sd(RAW), RAW, "the only ones in the file"),
    "an OrderedDict with metadata": (lambda: net(RAW).state_dict(), RAW, "the only ones"),
    "under ema beside model": (
        lambda: {"model": sd(RAW), "ema": sd(EMA), "step": 3},
        EMA,
        r"^ema \(averaged\); also there: model \(raw\)$",
    ),
    **{
        f"under {key}": (lambda key=key: {"state_dict": sd(RAW), key: sd(EMA)}, EMA, rf"^{key} \(averaged\)")
        for key in (
            "ema_state_dict",
            "state_dict_ema",
            "model_ema",
            "ema_model",
            "ema_params",
            "ema_weights",
            "averaged",
            "averaged_model",
            "shadow",
            "params_ema",
            "ModelEMA",
            "unet_ema",
            "swa_state_dict",
            "ema_0.9999",
        )
    },
    "EMA first, raw last": (lambda: {"ema": sd(EMA), "model": sd(RAW)}, EMA, "also there: model"),
    "EMA deep inside": (
        lambda: {"a": {"model": sd(RAW), "b": {"net_ema": {"state_dict": sd(EMA)}}}},
        EMA,
        r"a\.b\.net_ema\.state_dict",
    ),
    "DDPM's five": (lambda: [sd(RAW, "module."), optimizer(), 3, 10, sd(EMA)], EMA, r"\[4\] \(averaged\)"),
    "DDPM's four, without EMA": (lambda: [sd(RAW, "module."), optimizer(), 3, 10], RAW, "the only ones"),
    "DDPM's five as a tuple": (lambda: (sd(RAW), optimizer(), 3, 10, sd(EMA, "module.")), EMA, "averaged"),
    "score_sde": (
        lambda: {
            "optimizer": optimizer(),
            "model": sd(RAW),
            "step": 5,
            "ema": {"decay": 0.999, "num_updates": 5, "shadow_params": values(EMA)},
        },
        EMA,
        r"ema.shadow_params \(averaged, in the order of the parameters\); also there: model",
    ),
    "torch_ema with collected parameters": (
        lambda: {
            "model": sd(RAW),
            "ema": {"decay": 0.9, "num_updates": 5, "shadow_params": values(EMA), "collected_params": values(RAW)},
        },
        EMA,
        "shadow_params",
    ),
    "diffusers' EMAModel": (
        lambda: {"unet": sd(RAW), "ema": EMAModel(net(EMA).parameters()).state_dict()},
        EMA,
        r"ema\.shadow_params",
    ),
    "shadow parameters of a DDP network": (
        lambda: {"model": sd(RAW, "module."), "ema": {"shadow_params": values(EMA)}},
        EMA,
        "in the order",
    ),
    "shadow parameters beside buffers": (
        lambda: {"model": diffusion(), "ema": {"shadow_params": values(EMA)}},
        EMA,
        "order",
    ),
    "a bare EMAModel": (
        lambda: EMAModel(net(EMA).parameters()).state_dict(),
        "expected tensors with names.*shadow_params",
    ),
    "a shadow parameter too few": (
        lambda: {"model": sd(RAW), "ema": {"shadow_params": values(EMA)[:-1]}},
        "ema.shadow_params that fit.*143 tensors for the 144 parameters",
    ),
    "shadow parameters in another order": (
        lambda: {"model": sd(RAW), "ema": {"shadow_params": values(EMA)[::-1]}},
        "as number 0 shape .* of conv_in.weight",
    ),
    "shadow parameters beside sorted names": (
        lambda: {
            "model": dict(sorted(sd(RAW).items())),
            "ema": {"shadow_params": [v for _, v in sorted(sd(EMA).items())]},
        },
        "order of the alphabet",
    ),
    "NeMo's optimizer": (
        lambda: lightning(
            sd(RAW, "net."),
            optimizer_states=[{"opt": optimizer(), "ema": tuple(values(EMA)), "current_step": 3, "decay": 0.99}],
        ),
        EMA,
        r"optimizer_states\.\[0\]\.ema",
    ),
    "Lightning": (lambda: lightning(sd(RAW, "model.")), RAW, r"under state_dict\.model$"),
    "Lightning with two networks, one averaged": (
        lambda: lightning({**sd(RAW, "net."), **sd(EMA, "net_ema.")}),
        EMA,
        r"state_dict\.net_ema \(averaged\); also there: state_dict\.net \(raw\)",
    ),
    "Lightning with a discriminator": (
        lambda: lightning({**sd(RAW, "unet."), "disc.conv.weight": torch.ones(3, 3)}),
        RAW,
        r"also there: state_dict: disc \(no such network\)",
    ),
    "Lightning's WeightAveraging": (
        lambda: lightning(
            sd(EMA, "net."), current_model_state=sd(RAW, "net."), averaging_state={"n_averaged": torch.tensor(4)}
        ),
        EMA,
        r"state_dict\.net \(averaged\); also there: current_model_state\.net \(raw\)",
    ),
    "Lightning's WeightAveraging before it began": (
        lambda: lightning(
            sd(EMA, "net."), current_model_state=sd(RAW, "net."), averaging_state={"n_averaged": torch.tensor(0)}
        ),
        "n_averaged 0: nothing averaged yet",
    ),
    "Lightning's StochasticWeightAveraging": (
        lambda: lightning(
            sd(RAW, "net."),
            callbacks={"StochasticWeightAveraging": {"n_averaged": 2, "average_model_state": sd(EMA, "net.")}},
        ),
        EMA,
        "StochasticWeightAveraging.average_model_state.net",
    ),
    "a callback's EMA": (
        lambda: lightning(
            sd(RAW, "net."),
            callbacks={
                "EMACallback{'decay': 0.99}": {
                    "ema_state_dict": sd(EMA, "net."),
                    "original_state_dict": sd(RAW, "net."),
                }
            },
        ),
        EMA,
        "EMACallback",
    ),
    "torch's AveragedModel": (lambda: averaged_model(EMA), EMA, r"module \(averaged\)"),
    "torch's AveragedModel beside the raw": (
        lambda: {"model": sd(RAW), "swa": averaged_model(EMA)},
        EMA,
        r"swa\.module",
    ),
    "an AveragedModel that never averaged": (
        lambda: {"model": sd(RAW), "ema": averaged_model(EMA, 0)},
        "n_averaged 0: nothing averaged yet",
    ),
    "ema_pytorch": (
        lambda: {
            "model": sd(RAW),
            "ema": {
                **sd(RAW, "online_model."),
                **sd(EMA, "ema_model."),
                "initted": torch.tensor(True),
                "step": torch.tensor(9),
            },
        },
        EMA,
        r"ema\.ema_model \(averaged\)",
    ),
    "CompVis' LitEma": (lambda: lightning(lit_ema(RAW, EMA)), EMA, r"model_ema \(averaged, names without dots\)"),
    "LitEma without one tensor": (
        lambda: lightning(cut(lit_ema(RAW, EMA), "model_ema.unetconv_inbias")),
        "model_ema for every tensor.* none for conv_in.bias",
    ),
    "two averages": (
        lambda: {"model": sd(RAW), "ema_0.999": sd(RAW), "ema_0.9999": sd(EMA)},
        r"got ema_0.999 \(averaged\) and ema_0.9999 \(averaged\), which differ",
    ),
    "two averages that are equal": (lambda: {"model": sd(RAW), "ema": sd(EMA), "ema_copy": sd(EMA)}, EMA, "^ema "),
    "teacher and student": (lambda: {"teacher": sd(RAW), "student": sd(EMA)}, r"teacher \(raw\) and student \(raw\)"),
    "an EMA of another network": (
        lambda: {"model": sd(RAW), "ema": {"a.weight": torch.ones(2, 2)}},
        "averaged weights that fit the network model, got ema.a.weight",
    ),
    "an EMA without one tensor": (
        lambda: {"model": sd(RAW), "ema": cut(sd(EMA), "conv_out.bias")},
        r"conv_out\.bias in model \(raw\) but not in ema",
    ),
    "an empty EMA": (lambda: {"model": sd(RAW), "ema": {}}, RAW, r"model \(raw\); also there: ema \(empty\)"),
    "no EMA": (lambda: {"model": sd(RAW), "ema": None}, RAW, "under model"),
    **{
        f"the prefix {prefix}": (lambda prefix=prefix: sd(RAW, prefix), RAW, f"under {prefix[:-1]}")
        for prefix in (
            "module.",
            "model.",
            "unet.",
            "denoise_fn.",
            "eps_model.",
            "diffusion_model.",
            "network.",
            "my.very.own.",
            "model.module.net.",
            "model.diffusion_model.",
        )
    },
    "_orig_mod. before": (lambda: sd(RAW, "_orig_mod."), RAW, "the only ones"),
    "_orig_mod. again and again": (lambda: sd(RAW, "module._orig_mod.module._orig_mod."), RAW, "under module.module"),
    "FSDP in the middle": (
        lambda: {
            k.replace("down_blocks.0.", "down_blocks.0._fsdp_wrapped_module."): v
            for k, v in sd(RAW, "_fsdp_wrapped_module.").items()
        },
        RAW,
        "the only ones",
    ),
    "DeepSpeed": (lambda: {"module": sd(RAW), "optimizer": optimizer(), "ds_version": "0.15"}, RAW, "under module"),
    "numbers beside the tensors": (
        lambda: {**sd(RAW), "epoch": 3, "loss": torch.tensor(0.1), "none": None},
        RAW,
        "the only ones",
    ),
    "a Gaussian diffusion": (lambda: diffusion(), RAW, "under model"),
    "two schedules": (
        lambda: {
            **diffusion(),
            **{
                f"low.{k}": v for k, v in diffusion(schedule=hsx.NoiseSchedule.linear(1000)).items() if "model" not in k
            },
        },
        "one noise schedule, got",
    ),
    "a network that predicts v": (
        lambda: diffusion(loss_weight=hsx.NoiseSchedule.cosine(1000).alphas_cumprod),
        "loss_weight is that of a network that predicts v",
    ),
    "old names of attention": (lambda: old_attention(sd(RAW)), RAW, "the only ones"),
    "numpy in Lightning's settings": (
        lambda: lightning(
            sd(RAW, "model."),
            hyper_parameters={
                "lr": np.float64(0.1),
                "n": np.int64(3),
                "a": np.arange(3),
                "path": Path("a/b"),
                "args": Namespace(a=1),
                "more": SimpleNamespace(b=[1]),
                "some": defaultdict(list, a=[1]),
            },
        ),
        RAW,
        "state_dict.model",
    ),
    "a class of one's own in Lightning's settings": (
        lambda: lightning(sd(RAW), hyper_parameters=Mine()),
        r"it names tests\.unit\.test_ways_files\.Mine\); save its state_dict",
    ),
    "code": (
        lambda: {"state_dict": sd(RAW), "x": Evil()},
        r"would run code \(it names exec\); save its state_dict alone",
    ),
    "a whole module": (
        lambda: net(RAW),
        r"it names diffusers\.\S+UNet2DModel\); save its state_dict alone: torch\.save",
    ),
    "fp16": (lambda: {k: v.half() for k, v in sd(RAW).items()}, RAW, "the only ones"),
    "fp64": (lambda: {k: v.double() for k, v in sd(RAW).items()}, RAW, "the only ones"),
    "parameters": (lambda: OrderedDict(net(RAW).named_parameters()), RAW, "the only ones"),
    "views that are not contiguous": (
        lambda: {k: v.t().contiguous().t() if v.ndim == 2 else v for k, v in sd(RAW).items()},
        RAW,
        "the only ones",
    ),
    "integers": (lambda: {**sd(RAW), "conv_in.weight": torch.ones(32, 3, 3, 3).int()}, "conv_in.weight as int32"),
    "complex numbers": (lambda: {**sd(RAW), "conv_in.bias": torch.ones(32) * 1j}, "conv_in.bias as complex64"),
    "a sparse tensor": (lambda: {**sd(RAW), "conv_in.bias": torch.ones(32).to_sparse()}, "conv_in.bias as .*not dense"),
    "a meta tensor": (lambda: {**sd(RAW), "conv_in.bias": torch.ones(32, device="meta")}, "conv_in.bias as no values"),
    "a quantised tensor": (
        lambda: {**sd(RAW), "conv_in.bias": torch.quantize_per_tensor(torch.ones(32), 0.1, 0, torch.qint8)},
        "conv_in.bias as qint8",
    ),
    "an infinity": (lambda: {**sd(RAW), "conv_in.bias": torch.full((32,), torch.inf)}, "conv_in.bias with others"),
    "names that are numbers": (
        lambda: dict(enumerate(sd(RAW).values())),
        "expected tensors with names, got a list of 144 without",
    ),
    "shadow parameters by number": (
        lambda: {"model": sd(RAW), "ema": dict(enumerate(values(EMA)))},
        EMA,
        r"ema \(averaged, in the order",
    ),
    "NumPy arrays": (lambda: {k: v.numpy() for k, v in sd(RAW).items()}, "a dict of NumPy arrays"),
    "an EMA in NumPy": (
        lambda: {"model": sd(RAW), "ema": {k: v.numpy() for k, v in sd(EMA).items()}},
        "averaged weights as tensors, got NumPy arrays or the like in ema",
    ),
    "an EMA with other shapes": (
        lambda: {"model": sd(RAW), "ema": {**sd(EMA), "conv_in.bias": torch.ones(31)}},
        r"conv_in\.bias as \(31,\) in ema",
    ),
    "an EMA by strange numbers": (
        lambda: {"model": sd(RAW), "ema": {7: torch.ones(3), 9: torch.ones(2)}},
        r"fit the network model, got ema\.7",
    ),
    "OmegaConf in Lightning's settings": (
        lambda: lightning(sd(RAW), hyper_parameters=OmegaConf.create({"a": 1, "b": {"c": [1, "x", None]}})),
        RAW,
        "state_dict",
    ),
    "an optimizer": (optimizer, "the state of an optimizer"),
    "two EMAs in a list": (lambda: {"model": sd(RAW), "ema": [sd(RAW), sd(EMA)]}, r"got ema\.\[0\] .* and ema\.\[1\]"),
    "float8": (lambda: {k: v.to(torch.float8_e4m3fn) for k, v in sd(RAW).items()}, RAW, "the only ones"),
    "a module inside an EMA module": (
        lambda: lightning({**sd(RAW, "net."), **sd(EMA, "model_ema.module.")}),
        EMA,
        r"state_dict\.model_ema\.module \(averaged\)",
    ),
    "a list of numbers": (lambda: [1, 2], "got list without one"),
    "one tensor": (lambda: torch.ones(3), "got Tensor without one"),
    "a tensor missing": (
        lambda: cut(sd(RAW), "mid_block.resnets.1.conv2.bias"),
        r"mid_block\.resnets\.1\.conv2\.bias missing",
    ),
    "a tensor of another shape": (
        lambda: {**sd(RAW), "conv_out.bias": torch.ones(4)},
        r"conv_out\.bias of shape \(4,\) where \(3,\) fits",
    ),
    "a tensor in excess": (lambda: {**sd(RAW), "mid_block.more": torch.ones(4)}, "mid_block.more in excess"),
    "without its time embedding": (
        lambda: {k: v for k, v in sd(RAW).items() if "time_embedding" not in k},
        "time_embedding.linear_1.weight missing",
    ),
    "without up blocks": (lambda: {k: v for k, v in sd(RAW).items() if "up_blocks" not in k}, "without its up_blocks"),
    "an LDM": (
        lambda: {**sd(RAW, "model.diffusion_model."), "first_stage_model.decoder.conv_in.weight": torch.ones(3, 3)},
        "latent diffusion",
    ),
    "a VAE": (
        lambda: AutoencoderKL(block_out_channels=(8,), norm_num_groups=4).state_dict(),
        r"an autoencoder \(VAE\)",
    ),
    "a LoRA": (lambda: {"unet.mid_block.to_q.lora_A.weight": torch.ones(2, 2)}, "a LoRA"),
    "score_sde's network": (
        lambda: {f"all_modules.{i}.weight": torch.ones(2, 2) for i in range(9)},
        "score_sde's DDPM",
    ),
    "lucidrains' network": (
        lambda: {"init_conv.weight": torch.ones(2, 2), "downs.0.0.block1.proj.weight": torch.ones(2, 2)},
        "lucidrains' Unet",
    ),
    "a DiT": (
        lambda: {"x_embedder.proj.weight": torch.ones(2, 2), "blocks.0.attn.qkv.weight": torch.ones(2, 2)},
        "DiT",
    ),
    "a text encoder": (
        lambda: {"text_model.embeddings.token_embedding.weight": torch.ones(2, 2)},
        "a text or image encoder",
    ),
    "a ControlNet": (lambda: {"controlnet_cond_embedding.conv_in.weight": torch.ones(2, 2)}, "a ControlNet"),
    "k-diffusion's wrapper": (
        lambda: {"model": sd(RAW, "inner_model."), "model_ema": sd(EMA, "inner_model.")},
        "wrapper of k-diffusion",
    ),
    "grey pictures": (lambda: {**sd(RAW), "conv_in.weight": torch.ones(32, 1, 3, 3)}, "network of grey pictures"),
}


def jit(path):
    traced = torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2))
    torch.jit.save(traced, path)


def in_tar(path):
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("a.pt"), io.BytesIO())


def in_zip(path, name="model/unet/config.json"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "{}")


def bytes_of(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


# ------------------------------------------------- what writes a file: its name, the bytes, and what comes of it
WRITTEN = {
    "safetensors named .ckpt": ("a.ckpt", lambda p: save_file(sd(RAW), p), RAW),
    "torch's named .safetensors": ("a.safetensors", lambda p: torch.save(sd(RAW), p), RAW),
    "no suffix": ("model_ema", lambda p: torch.save(sd(RAW), p), RAW),
    "accelerate's custom checkpoint": (
        "custom_checkpoint_0.pkl",
        lambda p: torch.save({"shadow_params": values(EMA)}, p),
        "expected tensors with names",
    ),
    "torch's legacy form": ("a.pth.tar", lambda p: torch.save(sd(RAW), p, _use_new_zipfile_serialization=False), RAW),
    "safetensors with several networks": (
        "a.safetensors",
        lambda p: save_file({**sd(RAW, "model."), **sd(EMA, "ema.")}, p),
        EMA,
    ),
    "a cut safetensors file": ("a.safetensors", lambda p: p.write_bytes(save(sd(RAW))[:-9]), "cut short or damaged"),
    "a cut torch file": ("a.pt", lambda p: p.write_bytes(bytes_of(sd(RAW))[:-9]), "zip archive that is cut short"),
    "a cut legacy file": (
        "a.pt",
        lambda p: (torch.save(sd(RAW), p, _use_new_zipfile_serialization=False), p.write_bytes(p.read_bytes()[:9999])),
        "cut short or damaged",
    ),
    "a newer pickle protocol": ("a.pt", lambda p: torch.save(sd(RAW), p, pickle_protocol=4), "pickle protocol 2"),
    "an empty file": ("a.pt", lambda p: p.write_bytes(b""), "got an empty file"),
    "a plain pickle": ("a.pkl", lambda p: p.write_bytes(pickle.dumps({"a": [1]})), "got a plain pickle"),
    "a state dict by pickle.dump": (
        "a.pkl",
        lambda p: p.write_bytes(pickle.dumps(sd(RAW), protocol=2)),
        "got a plain pickle, which may run code and is not opened; save its state_dict alone",
    ),
    "a login page": ("a.pt", lambda p: p.write_text("\n<!DOCTYPE html><html>Sign in"), "got a web page; .*login"),
    "S3's refusal": ("a.pt", lambda p: p.write_text('<?xml version="1.0"?><Error>'), "an XML or HTML text"),
    "a Git LFS pointer": (
        "a.safetensors",
        lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid"),
        "a Git LFS pointer.*git lfs pull",
    ),
    "JSON": ("a.pt", lambda p: p.write_text(json.dumps({"a": 1})), "a JSON text"),
    "text": ("a.pt", lambda p: p.write_text("hello"), "a text that begins 'hello'"),
    "a .npz": ("a.npz", lambda p: np.savez(p, a=np.ones(3)), r"NumPy arrays \(.npz\); save them as tensors"),
    "a .npy": ("a.npy", lambda p: np.save(p, np.ones(3)), r"a NumPy array \(.npy\)"),
    "HDF5": ("a.h5", lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n\0\0"), "an HDF5 file"),
    "GGUF": ("a.gguf", lambda p: p.write_bytes(b"GGUF\3\0\0\0"), "a GGUF"),
    "ONNX": ("a.onnx", lambda p: p.write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x05"), "an ONNX graph"),
    "TorchScript": ("a.pt", jit, r"a TorchScript archive.*torch\.jit\.load\(FILE\)"),
    "msgpack": ("a.msgpack", lambda p: p.write_bytes(b"\x84\xa6params\x80"), "a msgpack file"),
    "gzip": ("a.pt.gz", lambda p: p.write_bytes(gzip.compress(b"x")), "a gzip archive; unpack it"),
    "tar": ("a.tar", in_tar, "a tar archive; unpack it"),
    "a zip of a folder": ("a.zip", in_zip, "a zip archive of 1 files, such as model/unet/config.json; unpack it"),
    "TensorFlow": ("a.ckpt.data-00000-of-00001", lambda p: p.write_bytes(bytes(range(200))), "a TensorFlow checkpoint"),
    "a picture": ("a.bin", lambda p: Image.new("RGB", (8, 8)).save(p, "PNG"), "got a picture"),
    "noise": ("a.pt", lambda p: p.write_bytes(bytes(range(150, 250))), "bytes with which none begins"),
}

# ---------------------------------------- golden files of the other families, cut or changed: the words of the refusal
GOLDEN = {
    "ddpm: a first tensor of a level": (
        "ddpm/base",
        lambda s: cut(s, "down.1.block.0.conv1.weight"),
        r"down\.1\.block\.0\.conv1\.weight missing;",
    ),
    "ddpm: a tensor of attention": (
        "ddpm/deep",
        lambda s: cut(s, "mid.attn_1.q.weight"),
        r"mid\.attn_1\.q\.weight missing;",
    ),
    "ddpm: its time embedding": (
        "ddpm/base",
        lambda s: {k: v for k, v in s.items() if "temb.dense" not in k},
        r"temb\.dense\.0\.weight missing",
    ),
    "adm: a first tensor of a level": (
        "adm/base",
        lambda s: cut(s, "input_blocks.1.0.out_layers.3.weight"),
        r"input_blocks\.1\.0\.out_layers\.3\.weight missing;",
    ),
    "adm: a tensor of attention": (
        "adm/base",
        lambda s: cut(s, "middle_block.1.qkv.weight"),
        "middle_block.1.qkv.weight miss",
    ),
    "adm: q, k, v cut": (
        "adm/base",
        lambda s: {**s, "middle_block.1.qkv.bias": s["middle_block.1.qkv.bias"][:-1]},
        r"middle_block\.1\.qkv\.bias of shape",
    ),
    "adm: a time embedding's tensor": (
        "p2/base",
        lambda s: cut(s, "time_embed.0.weight"),
        "time_embed.0.weight missing;",
    ),
    "adm: a classifier": (
        "adm/base",
        lambda s: {
            k.replace("out.2.", "out.2.qkv_proj."): v for k, v in s.items() if not k.startswith("output_blocks.")
        },
        "a classifier or encoder of ADM",
    ),
    "adm: an upsampler": (
        "adm/base",
        lambda s: {**s, "input_blocks.0.0.weight": torch.cat([s["input_blocks.0.0.weight"]] * 2, 1)},
        r"an upsampler \(super-resolution\)",
    ),
    "adm: of latent diffusion": (
        "adm/base",
        lambda s: {f"model.diffusion_model.{k}": v for k, v in s.items()},
        "latent diffusion",
    ),
    "iddpm: its downsampler": (
        "iddpm/plain",
        lambda s: {k: v for k, v in s.items() if ".op." not in k},
        r"input_blocks\.\d\.0\.op\.weight missing",
    ),
    "iddpm: an upsampler": (
        "iddpm/plain",
        lambda s: {**s, "input_blocks.0.0.weight": torch.cat([s["input_blocks.0.0.weight"]] * 2, 1)},
        "an upsampler",
    ),
}


def refused(path, words, **options):
    with pytest.raises(hsx.BackboneError, match=words) as caught:
        hsx.load_backbone(path, **{**OWN, **options})
    text = str(caught.value)
    assert text.startswith(f"{path}: expected ") and "; " in text and "\n" not in text, text
    for foreign in (
        "Error(s) in loading",
        "Weights only",
        "max()",
        "Errno",
        "safe_globals",
        "Unsupported",
        "Invalid header",
    ):
        assert foreign not in text
    return text


@torch.no_grad()
def loaded(path, which, words, tolerance=1e-5):
    backbone = hsx.load_backbone(path, **OWN)
    x, t = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)), torch.tensor([17, 803])
    assert float((backbone(x, t) - net(which)(x, t).sample).abs().max()) < tolerance
    fact = backbone.facts["weights"]
    assert fact.origin == "read" and re.search(words, fact.value), fact
    return backbone


@pytest.mark.parametrize("way", SAVED)
def test_what_torch_saved(way, tmp_path):
    make, outcome, *words = SAVED[way]
    torch.save(make(), tmp_path / "a.pt")
    if outcome in (RAW, EMA):
        loaded(tmp_path / "a.pt", outcome, words[0], {"fp16": 5e-2, "float8": 0.5}.get(way, 1e-5))
    else:
        refused(tmp_path / "a.pt", outcome)


@pytest.mark.parametrize("way", WRITTEN)
def test_what_the_bytes_are(way, tmp_path):
    name, write, outcome = WRITTEN[way]
    with (tmp_path / name).open("wb"):
        pass
    write(tmp_path / name)
    if outcome in (RAW, EMA):
        loaded(tmp_path / name, outcome, "")
    else:
        refused(tmp_path / name, outcome)


@pytest.mark.parametrize("way", GOLDEN)
def test_the_other_families(way, tmp_path):
    name, change, words = GOLDEN[way]
    torch.save(change(torch.load(FOLDER / f"{name}.pt", weights_only=True)), tmp_path / "a.pt")
    heads = {"num_head_channels": None} if name.startswith("ddpm") else {"num_head_channels": 16}
    refused(tmp_path / "a.pt", words, **heads)


def test_the_schedule_in_a_file_is_read_and_may_not_be_contradicted(tmp_path, caplog):
    torch.save(diffusion(), tmp_path / "a.pt")
    backbone = hsx.load_backbone(tmp_path / "a.pt", **OWN)
    assert backbone.facts["schedule"] == ("cosine", "read") and backbone.facts["num_train_timesteps"] == (1000, "read")
    assert torch.equal(backbone.schedule.alphas_cumprod, hsx.NoiseSchedule.cosine(1000).alphas_cumprod)
    for wrong in ({"schedule": "linear"}, {"num_train_timesteps": 4000}, {"schedule": [0.1, 0.2]}):
        refused(tmp_path / "a.pt", r"expected the schedule of the file, .*1000 betas \(cosine\)", **wrong)
    own = hsx.NoiseSchedule.from_betas(torch.linspace(1e-4, 0.03, 50, dtype=torch.float64))
    torch.save({**diffusion(schedule=own)}, tmp_path / "b.pt")
    backbone = hsx.load_backbone(tmp_path / "b.pt", **OWN)
    assert backbone.facts["schedule"] == ("50 betas", "read")
    torch.testing.assert_close(backbone.schedule.alphas_cumprod, own.alphas_cumprod, rtol=1e-5, atol=0)


def test_the_log_says_which_weights_were_taken(tmp_path, caplog):
    torch.save({"model": sd(RAW), "ema": sd(EMA)}, tmp_path / "a.pt")
    with caplog.at_level("INFO", "hsx"):
        hsx.load_backbone(tmp_path / "a.pt", **OWN)
    assert "a.pt: weights taken: ema (averaged); also there: model (raw)" in caplog.text


@pytest.mark.parametrize(
    "version, safe",
    [
        ("2.10.0", True),
        ("2.10.0+cu128", True),
        ("2.11.0a0+git1234", True),
        ("2.14.1", True),
        ("2.100.0", True),
        ("2.9.1", False),
        ("2.9.1+cpu", False),
        ("2.5.1", False),
        ("1.13.1", False),
        ("2.10.0a0+gitabc", False),
    ],
)
def test_pickles_are_read_only_by_a_safe_torch(version, safe, tmp_path, monkeypatch):
    torch.save(sd(RAW), tmp_path / "a.pt")
    save_file(sd(RAW), tmp_path / "a.safetensors")
    monkeypatch.setattr(torch, "__version__", version)
    assert reader.read_tensors(tmp_path / "a.safetensors").state.keys() == sd(RAW).keys()
    if safe:
        assert reader.read_tensors(tmp_path / "a.pt").taken == ("the only ones in the file", "read")
    else:
        refused(
            tmp_path / "a.pt", "expected torch 2.10 or later to read a pickle safely .*CVE-2026-24747.*upgrade torch"
        )


def test_torch_load_is_called_in_one_place_and_only_for_weights():
    calls = []
    plugins = HSX.parent / "plugins"
    for file in (*HSX.rglob("*.py"), *plugins.rglob("*.py")):
        tree = ast.parse(file.read_text())
        names = [
            n
            for n in ast.walk(tree)
            if isinstance(n, ast.Attribute)
            and n.attr == "load"
            and isinstance(n.value, ast.Name)
            and n.value.id == "torch"
        ]
        calls += [(file.name, n) for n in names]
        calls += [
            (file.name, n)
            for n in ast.walk(tree)
            if isinstance(n, ast.ImportFrom)
            and n.module
            and n.module.partition(".")[0] in ("torch", "pickle", "cloudpickle", "dill", "joblib")
            and any(a.name in ("load", "loads", "Unpickler") for a in n.names)
        ]
    assert [name for name, _ in calls] == ["tensors.py"]
    (call,) = [
        n
        for n in ast.walk(ast.parse((HSX / "backbones" / "tensors.py").read_text()))
        if isinstance(n, ast.Call) and ast.unparse(n.func) == "torch.load"
    ]
    assert {k.arg: ast.unparse(k.value) for k in call.keywords} == {"weights_only": "True"}


def test_there_are_ways_enough():
    assert len(SAVED) + len(WRITTEN) + len(GOLDEN) >= 60

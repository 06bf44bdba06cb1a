"""Prefixes, settings, types and cuts of what torch.save wrote."""

from argparse import Namespace
from collections import OrderedDict, defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from diffusers import AutoencoderKL
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import OmegaConf

import hsx

from .made import EMA, RAW, Evil, Mine, cut, diffusion, lightning, net, old_attention, optimizer, sd, values


def snr():
    a = hsx.NoiseSchedule.cosine(1000).alphas_cumprod
    return a / (1 - a)


def min_snr():
    return snr().clamp(max=5)


STORED = {
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
        r"it names tests\.ways\.made\.Mine\); save its state_dict",
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
    "old Lightning, whose callbacks are under classes": (
        lambda: lightning(sd(RAW), callbacks={ModelCheckpoint: {"best_model_score": torch.tensor(1.0)}}),
        RAW,
        "under state_dict",
    ),
    "ZeRO 3": (
        lambda: {"module": {k: torch.empty(0) for k in sd(RAW)}, "ds_version": "0.14"},
        r"conv_in\.weight without a number, of shape \(0,\)",
    ),
    "an optimizer's shard": (
        lambda: {"optimizer_state_dict": {0: {"exp_avg": torch.ones(3)}}, "ds_version": "0.14"},
        "the state of an optimizer",
    ),
    "an autoencoder beside": (
        lambda: {"unet": sd(RAW), "vae": {"decoder.conv_in.weight": torch.ones(3, 3)}},
        "a latent diffusion model, beside it vae.decoder.conv_in.weight",
    ),
    "noise levels": (lambda: {**sd(RAW, "net."), "sigmas": torch.linspace(0.01, 50, 1000)}, "got sigmas, the noise"),
    "a network that predicts v, min-SNR": (
        lambda: diffusion(loss_weight=min_snr() / (1 + snr())),
        "loss_weight is that of a network that predicts v",
    ),
    "min-SNR of eps": (lambda: diffusion(loss_weight=min_snr() / snr()), RAW, "under model"),
    **{
        f"settings that say {key}": (
            lambda key=key, value=value: lightning(sd(RAW), hyper_parameters={"model": {key: value}}),
            rf"expected the option {option}, .* hyper_parameters\.model\.{key} says {said}; give it",
        )
        for key, value, option, said in (
            ("parameterization", "v", "prediction_type", "v_prediction"),
            ("predict_xstart", True, "prediction_type", "sample"),
            ("beta_schedule", "scaled_linear", "schedule", "scaled_linear"),
            ("diffusion_steps", 4000, "num_train_timesteps", "4000"),
        )
    },
    "settings of argparse that say otherwise": (
        lambda: {"model": sd(RAW), "args": Namespace(noise_schedule="cosine")},
        "setting args.noise_schedule says cosine",
    ),
    "settings of OmegaConf that say otherwise": (
        lambda: lightning(sd(RAW), hyper_parameters=OmegaConf.create({"a": {"objective": "pred_x0"}})),
        r"setting hyper_parameters\.a\.objective says sample",
    ),
    "settings that say the same": (
        lambda: lightning(
            sd(RAW),
            hyper_parameters={
                "parameterization": "eps",
                "noise_schedule": "linear",
                "timesteps": 1000,
                "objective": "val_loss",
                "rescale_timesteps": True,
            },
        ),
        RAW,
        "state_dict",
    ),
    "grey pictures": (lambda: {**sd(RAW), "conv_in.weight": torch.ones(32, 1, 3, 3)}, "network of grey pictures"),
}

"""Two small networks, raw and averaged weights, and what training code makes of them."""

import io
import tarfile
import zipfile
from functools import cache

import torch
from diffusers import UNet2DModel
from torch import nn
from torch.optim.swa_utils import AveragedModel

import hsx

RAW, EMA = "raw", "ema"
OWN = {"image_size": 16, "num_head_channels": 8}


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

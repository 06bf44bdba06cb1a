"""What lies beside weights and is none: counters, and the numbers of a Gaussian diffusion, whose schedule is read."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from hsx.checkpoints.contents import Found
from hsx.errors import BackboneError

DIFFUSION = re.compile(
    r"(betas|alphas_cumprod(_prev|_next)?|alphas|alphas?_(bar|hat)|(sqrt|log)_\w*alphas?\w*|sqrt_recip\w*|posterior_\w+|"
    r"logvar|lvlb_weights|loss_weight|p2_loss_weight|snr|num_timesteps)$"
)
READ = {
    "betas": lambda a: a,
    "alphas": lambda a: 1 - a,
    **dict.fromkeys(
        ("alphas_cumprod", "alphas_bar", "alpha_bar", "alphas_hat", "alpha_hat"),
        lambda a: 1 - a / torch.cat([torch.ones(1).double(), a[:-1]]),
    ),
}  # how betas come out of a buffer
COUNTERS = re.compile(r"(.*\.)?(num_batches_tracked|position_ids|n_averaged|initted|num_updates)$|(step|decay)$")


def is_buffer(name: str) -> bool:
    """Whether a tensor of this name is no parameter of a network."""
    return bool(COUNTERS.match(name) or DIFFUSION.match(name.rpartition(".")[2]))


def diffusion_betas(found: list[Found]) -> Tensor | None:
    """The schedule (T,) in float64 of the Gaussian diffusion in a file, or None.

    Raises:
        BackboneError: where the file holds several, or weights its loss as for a network that does not predict eps.
    """
    betas: list[tuple[str, Tensor]] = []
    noise: list[str] = []
    for one in found:
        if not isinstance(one.tensors, dict):
            continue
        for name, value in one.tensors.items():
            last, label = name.rpartition(".")[2], ".".join((*one.path, name))
            if last not in (*READ, "sigmas", "log_sigmas") or value.is_meta:
                continue
            a = value.double().flatten()
            if len(a) < 3:
                continue
            if last not in READ:
                noise.append(label)
            else:
                betas.append((label, READ[last](a)))
    if noise and not betas:
        raise BackboneError(
            f"expected a noise schedule of betas or alphas_cumprod, got {noise[0]}, the noise levels "
            "of another kind of diffusion (score_sde, EDM, k-diffusion); if it was trained with betas, "
            "save the network alone"
        )
    if not betas:
        return None
    (first, schedule), *rest = sorted(betas, key=lambda pair: not pair[0].endswith("betas"))
    for other, value in rest:
        if len(value) != len(schedule) or not torch.allclose(
            (1 - value).cumprod(0), (1 - schedule).cumprod(0), rtol=1e-4, atol=1e-6
        ):
            raise BackboneError(
                f"expected one noise schedule, got {first} and {other}, which differ; save the network "
                "alone and give the option schedule"
            )
    _check_loss(found, (1 - schedule).cumprod(0))
    return schedule


def _check_loss(found: list[Found], alphas_cumprod: Tensor) -> None:
    """lucidrains' diffusion weights its loss by the signal-to-noise ratio where the network predicts x_0 or v."""
    snr = alphas_cumprod / (1 - alphas_cumprod)
    noisy = snr < 1  # where min-SNR does not clip
    for one in found:
        for name, value in one.tensors.items() if isinstance(one.tensors, dict) else ():
            if name.rpartition(".")[2] == "loss_weight" and value.shape == snr.shape:
                for predicts, weight in (("v", snr / (snr + 1)), ("x_0", snr)):
                    if torch.allclose(value.double()[noisy], weight[noisy], rtol=1e-3, atol=1e-6):
                        raise BackboneError(
                            f"expected a network that predicts eps, got one whose {name} is that of a "
                            f"network that predicts {predicts}; hsx reads such from diffusers folders, "
                            "whose scheduler says it"
                        )

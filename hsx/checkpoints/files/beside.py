"""What lies beside the weights in a file: counters, the schedule of a Gaussian diffusion, a training's settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hsx.backbones.base import Fact
from hsx.backbones.prediction import ELSEWHERE
from hsx.checkpoints.files.contents import Found, Setting
from hsx.errors import BackboneError

DIFFUSION = re.compile(
    r"(betas|alphas_cumprod(_prev|_next)?|alphas|alphas?_(bar|hat)|(sqrt|log)_\w*alphas?\w*|sqrt_recip\w*|posterior_\w+|"
    r"logvar|lvlb_weights|loss_weight|p2_loss_weight|snr|num_timesteps)$"
)
TO_BETAS = {  # how betas come out of a buffer of this name
    "betas": lambda a: a,
    "alphas": lambda a: 1 - a,
    **dict.fromkeys(
        ("alphas_cumprod", "alphas_bar", "alpha_bar", "alphas_hat", "alpha_hat"),
        lambda a: 1 - a / torch.cat([torch.ones(1).double(), a[:-1]]),
    ),
}
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
    for label, name, value in _named(found):
        if value.is_meta or value.numel() < 3:
            continue
        if name in TO_BETAS:
            betas.append((label, TO_BETAS[name](value.double().flatten())))
        elif name in ("sigmas", "log_sigmas"):
            noise.append(label)
    if noise and not betas:
        levels = f"{noise[0]}, the noise levels of another kind of diffusion (score_sde, EDM, k-diffusion)"
        raise BackboneError(f"expected betas or alphas_cumprod, got {levels}; if it has betas, save the network alone")
    if not betas:
        return None
    (first, schedule), *rest = sorted(betas, key=lambda pair: not pair[0].endswith("betas"))
    for other, value in rest:
        a, b = (1 - value).cumprod(0), (1 - schedule).cumprod(0)
        if len(a) != len(b) or not torch.allclose(a, b, rtol=1e-4, atol=1e-6):
            remedy = "save the network alone and give the option schedule"
            raise BackboneError(f"expected one noise schedule, got {first} and {other}, which differ; {remedy}")
    _check_loss(found, (1 - schedule).cumprod(0))
    return schedule


def _check_loss(found: list[Found], alphas_cumprod: Tensor) -> None:
    """lucidrains' diffusion weights its loss by the signal-to-noise ratio where the network predicts x_0 or v."""
    snr = alphas_cumprod / (1 - alphas_cumprod)
    noisy = snr < 1  # where min-SNR does not clip
    for label, name, value in _named(found):
        if name != "loss_weight" or value.shape != snr.shape:
            continue
        for predicts, weight in (("v", snr / (snr + 1)), ("x_0", snr)):
            if torch.allclose(value.double()[noisy], weight[noisy], rtol=1e-3, atol=1e-6):
                what = f"one whose {label} is that of a network that predicts {predicts}"
                raise BackboneError(f"expected a network that predicts eps, got {what}; give it as a diffusers folder")


def _named(found: list[Found]) -> Iterator[tuple[str, str, Tensor]]:
    """Every tensor in the state dicts of a file: where it lies, the last part of its name, and itself."""
    for one in found:
        for name, value in one.tensors.items() if isinstance(one.tensors, dict) else ():
            yield ".".join((*one.path, name)), name.rpartition(".")[2], value


# The names of settings in the files of training code: the option that each is, and what its values are there.
SCHEDULES = {"squaredcos_cap_v2": "cosine"}
COUNTS = ("num_train_timesteps", "diffusion_steps", "num_diffusion_timesteps", "timesteps", "ddpm_num_steps")
SETTINGS: dict[str, tuple[str, dict[Any, Any]]] = {
    **dict.fromkeys(("prediction_type", "parameterization", "objective"), ("prediction_type", ELSEWHERE)),
    "predict_xstart": ("prediction_type", {True: "sample", False: "epsilon"}),
    **dict.fromkeys(("noise_schedule", "beta_schedule", "ddpm_beta_schedule"), ("schedule", SCHEDULES)),
    **dict.fromkeys(COUNTS, ("num_train_timesteps", {})),
    "rescale_timesteps": ("rescale_timesteps", {}),
}


class Hint(NamedTuple):
    """What a setting in a file says: where it lies, the option that it is, its value in the option's words."""

    where: str
    option: str
    value: Any


def hints(node: Any, path: tuple[str, ...] = (), seen: set[int] | None = None) -> Iterator[Hint]:
    """Every such setting in a loaded file."""
    seen = set() if seen is None else seen
    if id(node) in seen or len(path) > 100:
        return
    seen.add(id(node))
    node = node.held if isinstance(node, Setting) else node
    if isinstance(node, (list, tuple)):
        node = dict(enumerate(node))
    for key, value in node.items() if isinstance(node, dict) else ():
        where = (*path, str(key)) if key not in ("_content", "_val") else path  # OmegaConf's
        plain = value.held.get("_val") if isinstance(value, Setting) and "_val" in value.held else value
        if key in SETTINGS and isinstance(plain, (str, int)):
            option, words = SETTINGS[key]
            if key == "objective" and plain not in words:  # of something else
                continue
            yield Hint(".".join(where), option, words.get(plain, plain))
        elif key != "_parent":
            yield from hints(value, where, seen)


def check_hints(path: Path, found: tuple[Hint, ...], facts: dict[str, Fact]) -> None:
    """Nothing is assumed against the file's own settings.

    Raises:
        BackboneError: for the first that says otherwise, with the option to give.
    """
    for where, option, value in found:
        fact, steps = facts.get(option), facts.get("num_train_timesteps")
        if option == "rescale_timesteps" and steps and steps.value == 1000:  # which changes nothing
            continue
        if fact and fact.origin.startswith("assumed") and fact.value != value:
            why = f"the file's setting {where} says {value}"
            raise BackboneError(f"{path}: expected the option {option}, not the assumed {fact.value}: {why}; give it")

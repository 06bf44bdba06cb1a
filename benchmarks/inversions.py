"""Pictures to noise and back: by diffusers' schedulers, as a user would, and by hsx with as many evaluations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler
from jobs import Job
from torch import Tensor
from turns import Tally, Way, in_turn, psnr

import hsx
from hsx.strategies import DDIM, Constant, Multistep2M

STEPS = (50, 15)  # each way, of which inversion and generation take an evaluation each
LOOKS = 2  # a step of the fixed-point inverter


def measure(job: Job) -> list[dict[str, Any]]:
    """Seconds a picture to the model's last timestep and back, nothing injected, and the PSNR to the picture."""
    net = Tally(job.network())
    half = max(1, job.pairs // 4)
    pictures = torch.cat([job.pictures(f"hsx://demo_faces/{kind}")[:half] for kind in ("contents", "styles")])
    rows = []
    for steps in (4,) if job.tiny else STEPS:
        fewer = looking(steps)
        calls: dict[str, Callable[[], Tensor]] = {
            f"diffusers, leading, {steps} steps": theirs(net, pictures, steps, "leading"),
            f"diffusers, trailing, {steps} steps": theirs(net, pictures, steps, "trailing"),
            f"hsx, DDIM, {steps} steps": ours(net, pictures, steps),
            f"hsx, DDIM, inverter: 1, {steps} steps": ours(net, pictures, steps, inverter=1),
            f"hsx, DDIM, inverter: {LOOKS}, {fewer} steps": ours(net, pictures, fewer, inverter=LOOKS),
            f"hsx, Multistep2M, spacing: mixed, {steps} steps": ours(
                net, pictures, steps, solver=Multistep2M(), spacing="mixed"
            ),
        }
        ways = [Way(name, net, len(pictures), call) for name, call in calls.items()]
        ways[0].once()  # what was never run before is slow
        found = in_turn(ways, job.rounds)
        for row, way in zip(found, ways, strict=True):
            near = psnr(way.made, pictures)  # type: ignore[arg-type]
            row |= {"PSNR": round(float(near.mean()), 2), "lowest": round(float(near.min()), 2)}
        rows += found
    return rows


def looking(steps: int) -> int:
    """The timesteps whose inversion with several looks, and generation, take some 2 ``steps`` evaluations."""
    return max(2, round((2 * steps - 1 + LOOKS) / (LOOKS + 1)))


def ours(net: hsx.Backbone, pictures: Tensor, steps: int, **options: Any) -> Callable[[], Tensor]:
    """By hsx with ``steps`` timesteps, of which inversion evaluates all but the last, or what its inverter looks at."""
    given = {"solver": DDIM(), **options, "inversion_steps": steps, "generation_steps": steps, "t_boost": 0}
    transfer = hsx.Transfer(net, Constant(0.0), **given)

    def call() -> Tensor:
        inverted = transfer.invert(pictures)
        return transfer.inject(inverted, inverted).clamp(-1, 1)

    return call


def theirs(net: hsx.Backbone, pictures: Tensor, steps: int, spacing: str) -> Callable[[], Tensor]:
    """By diffusers' schedulers with the model's betas, an alpha-bar of 1 for the clean picture, and no clipping."""
    alphas = net.schedule.alphas_cumprod
    betas = 1 - alphas / torch.cat([torch.ones(1), alphas[:-1]])
    about = {"trained_betas": betas.tolist(), "clip_sample": False, "timestep_spacing": spacing}
    up, down = (kind(num_train_timesteps=len(alphas), **about) for kind in (DDIMInverseScheduler, DDIMScheduler))
    up.set_timesteps(steps)
    down.set_timesteps(steps)

    @torch.no_grad()
    def call() -> Tensor:
        x = pictures
        for scheduler in (up, down):
            for t in scheduler.timesteps:
                eps = net(x, t.expand(len(x)).to(x.device))
                x = scheduler.step(eps, int(t), x).prev_sample
        return x.clamp(-1, 1)

    return call

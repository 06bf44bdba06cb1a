"""Faces from pure noise, in a hundred steps from the model's last timestep or from another.

    python examples/demo_faces/noise.py hsx://demo_faces samples.png

Sampled as DDPM samples, with noise at every step (eta = 1), but of a deviation a little below 1: this network leaves
some noise in what it denoises, and later takes it for a texture.  What is left of it at the end is taken away at once,
as if the picture were x_t of a small t.  ``--t_boost 0`` samples deterministically (DDIM) up to that.
"""

from __future__ import annotations

import argparse

import torch
from poster_faces import contact_sheet
from shipped import shipped
from torch import Tensor

import hsx
from hsx.errors import reported
from hsx.method.inversion import Trajectory
from hsx.method.noise import SampleNoise
from hsx.strategies import Constant

STEPS = 100
CLEAN = 30  # a timestep whose noise is stronger than what is left


@torch.no_grad()
def cleaned(backbone: hsx.Backbone, x: Tensor) -> Tensor:
    """x_0 as predicted from x, as if it were still a little noisy."""
    t = torch.full((len(x),), CLEAN)
    a = backbone.schedule.at(t)
    return x - ((1 - a) / a).sqrt().to(x) * backbone(a.sqrt().to(x) * x, t)


def main() -> None:
    """Write a sheet of 24."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("sheet")
    parser.add_argument("--t_start", type=int, default=999, help="where the noise is")
    parser.add_argument("--t_boost", type=int, help="add noise at t <= t_boost; by default at every step")
    parser.add_argument("--deviation", type=float, default=0.9, help="of that noise; 1 is DDPM's")
    args = parser.parse_args()
    backbone = hsx.load_backbone(args.model)
    transfer = shipped(  # gamma 0: the style's own process alone
        backbone,
        schedule=Constant(0.0),
        **dict.fromkeys(("inversion_steps", "generation_steps", "injection_steps"), STEPS),
        t_start=args.t_start,
        t_boost=args.t_start if args.t_boost is None else args.t_boost,
    )
    x_T = torch.randn(24, 3, *[backbone.sample_size] * 2, generator=torch.Generator().manual_seed(0))
    start = Trajectory(x_T, {"h": torch.zeros(24, 1, *backbone.h_shape)}, (0,), transfer.t_start)
    noise = SampleNoise(transfer.seed, range(24))
    images = transfer.inject(start, start, noise=lambda x: args.deviation * noise(x))
    images = cleaned(backbone, images)
    images = images.add(1).mul(127.5).round().clamp(0, 255).byte()
    contact_sheet(images.permute(0, 2, 3, 1).numpy(), 8, 2).save(args.sheet)


if __name__ == "__main__":
    with reported("noise.py"):
        main()

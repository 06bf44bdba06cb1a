"""Measure a demo model against the truth: in the domain of poster faces every transfer's true answer can be drawn.

    python examples/demo_faces/evaluate.py hsx://demo_faces --pairs 96

prints, for pairs of held-out faces, the PSNR to the true answer of hsx at the given settings and of the baselines, the
PSNR of the style images after gamma = 0, and that of reconstructions.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from poster_faces import contact_sheet, make, render
from torch import Tensor

import hsx
from hsx.strategies import ChannelMoments, Constant, Frobenius, Latent

HELD_OUT = 20262  # training draws from seed 1, the settings were chosen on seed 20261


def to_tensor(pictures: np.ndarray) -> Tensor:
    """uint8 (N, R, R, 3) to (N, 3, R, R) in [-1, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Per picture, in dB, for pictures in [-1, 1]: (N,)."""
    return 10 * torch.log10(4 / ((a - b) ** 2).mean((1, 2, 3)).clamp_min(1e-10))


def recolour(content: Tensor, style: Tensor) -> Tensor:
    """The content given the style's mean and deviation, per colour channel (Reinhard et al. 2001)."""
    mean, std = content.mean((2, 3), keepdim=True), content.std((2, 3), keepdim=True)
    other, deviation = style.mean((2, 3), keepdim=True), style.std((2, 3), keepdim=True)
    return ((content - mean) / std.clamp_min(1e-6) * deviation + other).clamp(-1, 1)


def held_out(n: int, size: int, seed: int = HELD_OUT) -> tuple[Tensor, Tensor, Tensor]:
    """``n`` pairs never trained on: contents, styles and the true answers, each (n, 3, R, R)."""
    pictures, contents, styles = make(2 * n, seed, size)
    truth = np.stack([render(contents[i], styles[n + i], size) for i in range(n)])
    return to_tensor(pictures[:n]), to_tensor(pictures[n:]), to_tensor(truth)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", default="hsx://demo_faces")
    parser.add_argument("--pairs", type=int, default=96)
    parser.add_argument("--seed", type=int, default=HELD_OUT, help="of the pairs")
    parser.add_argument("--gamma", type=float, default=0.8)
    parser.add_argument("--omega", type=float, default=0.3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--injections", type=int, default=20)
    parser.add_argument("--t_start", type=int, default=700)
    parser.add_argument("--t_edit", type=int, default=0)
    parser.add_argument("--normalizer", choices=("moments", "frobenius"), default="moments")
    parser.add_argument("--sheet", help="also write a picture: content, style, result, truth in each column")
    args = parser.parse_args()
    backbone = hsx.load_backbone(args.model)
    content, style, truth = held_out(args.pairs, backbone.sample_size, args.seed)

    def transfer(gamma: float, omega: float) -> hsx.Transfer:
        return hsx.Transfer(
            backbone, Constant(gamma), normalizer=ChannelMoments() if args.normalizer == "moments" else Frobenius(),
            calibrator=Latent(omega), inversion_steps=args.steps, generation_steps=args.steps,
            injection_steps=args.injections, t_start=args.t_start,
            t_edit=args.t_edit, t_boost=0)

    ours = transfer(args.gamma, args.omega)
    contents, styles = ours.invert(content), ours.invert(style)
    result = ours.inject(contents, styles).clamp(-1, 1)
    rows = {
        "hsx": psnr(result, truth), "mean-and-deviation recolouring": psnr(recolour(content, style), truth),
        "pixel average": psnr((content + style) / 2, truth), "the content itself": psnr(content, truth),
        "the style itself": psnr(style, truth),
        "gamma = 0, to the style": psnr(transfer(0.0, 0.0).inject(contents, styles).clamp(-1, 1), style),
    }
    for name, values in rows.items():
        error = values.std() / len(values) ** 0.5
        print(f"{name:32s} PSNR {values.mean():6.2f} dB  (standard error {error:.2f}, lowest {values.min():.2f})")
    if args.sheet:
        n = min(12, args.pairs)
        stacked = torch.cat([v[:n] for v in (content, style, result, truth)])
        pictures = stacked.add(1).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        contact_sheet(pictures, n).save(args.sheet)


if __name__ == "__main__":
    main()

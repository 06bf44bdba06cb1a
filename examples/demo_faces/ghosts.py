"""Ghosts in numbers: what is left of the style's face where the content's is flat.

    python examples/demo_faces/ghosts.py hsx://demo_faces

For pairs whose styles have no texture, where ghosts are seen most: the root mean square of the result less the truth,
less its mean over the square of 5 pixels around each, in steps of a 255th, over all pixels where the truth is flat and
the style's picture is not.  At the settings of configs/demo.yaml.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from batches import PALETTE, apply_styles, numbers
from evaluate import BATCH, expect
from measure import psnr
from objective import fine, ghosts_at
from poster_faces import PITCH, TEXTURES, sample_content, sample_style, tone_image
from shipped import shipped
from torch import Tensor

import hsx
from hsx.errors import reported

SEED = 991


def plain_pairs(n: int, size: int) -> tuple[Tensor, Tensor]:
    """Tones of contents and of the styles' own faces, (2, n, 1, R, R), and both styles' numbers, (2, n, 20)."""
    rng = np.random.default_rng(SEED)
    tones = np.stack([tone_image(sample_content(rng), size) for _ in range(2 * n)])
    styles = torch.from_numpy(np.stack([numbers(sample_style(rng, PITCH[size])) for _ in range(2 * n)])).float()
    styles[n:, PALETTE] = TEXTURES.index("none")
    return torch.from_numpy(tones).float().view(2, n, 1, size, size), styles.view(2, n, -1)


def main() -> None:
    """Print the measure, and PSNR to the truth."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", default="hsx://demo_faces")
    parser.add_argument("--pairs", type=int, default=64)
    args = parser.parse_args()
    backbone = hsx.load_backbone(args.model)
    expect(args.pairs, backbone.sample_size)
    transfer = shipped(backbone)
    (faces, others), (own, plain) = plain_pairs(args.pairs, backbone.sample_size)
    grain = torch.randn(faces.shape, generator=torch.Generator().manual_seed(SEED))
    contents, styles, truth = (apply_styles(*each, grain) for each in ((faces, own), (others, plain), (faces, plain)))
    result = torch.cat(
        [
            transfer.inject(transfer.invert(content), transfer.invert(style)).clamp(-1, 1)
            for content, style in zip(contents.split(BATCH), styles.split(BATCH), strict=True)
        ]
    )
    bare = ghosts_at(faces, others)
    squared = fine(127.5 * (result - truth)).square().mean(1, keepdim=True)
    print(f"ghosts {squared[bare].mean().sqrt():.2f} of 255, PSNR {psnr(result, truth).mean():.2f} dB")


if __name__ == "__main__":
    with reported("ghosts.py"):
        main()

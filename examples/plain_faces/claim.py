"""The paper's claim, content in h and style in the skips, measured on a model that was taught and on one that was not.

    python examples/plain_faces/claim.py --pairs 48 --sheet docs/images/claim.png

At each model's own config, the features of the contents go in at h alone, at every skip and not at h, at one skip of a
quarter of the picture's side, and at the sites of configs/plain.yaml.  Prints how much of the content's layout came in,
how much of the style's own is left, and what became of its colours and texture.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from evaluate import BATCH, CONFIG, HELD_OUT, faces, measured, show
from PIL import Image
from shipped import CONFIG as DEMO
from shipped import settings
from torch import Tensor

import hsx
from hsx.errors import reported
from hsx.io.images import to_picture
from hsx.report.sheets import grid
from hsx.strategies import Inverted, Renoised

MODELS = {"taught": ("hsx://demo_faces", DEMO), "ordinary": ("hsx://plain_faces", CONFIG)}
SITES: dict[str, dict[str, Any]] = {
    "h, inverted (the paper)": {"sites": ["h"], "donor": Inverted()},
    "h, renoised": {"sites": ["h"], "donor": Renoised()},
    "h and the skip beside it, renoised": {"sites": ["h", "deepest:1"], "donor": Renoised()},
    "the last skip at R/4, renoised": {"sites": ["skip@R/4"], "donor": Renoised()},
    "every skip, renoised": {"donor": Renoised()},
}
SHOWN = 6  # pairs on the sheet


def main() -> None:
    """Print the tables; write the sheet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--seed", type=int, default=HELD_OUT, help="of the pairs")
    parser.add_argument("--sheet", type=Path, help="also write a picture: the pairs, then a row a setting")
    args = parser.parse_args()
    columns: dict[tuple[int, int], Image.Image] = {}
    for place, (kind, (source, config)) in enumerate(MODELS.items()):
        backbone = hsx.load_backbone(source)
        drawn = faces(args.pairs, backbone.sample_size, args.seed)
        pairs, rows = drawn.pairs, [drawn.pairs.content, drawn.pairs.style, drawn.pairs.truth]
        for name, sites in SITES.items():
            chosen = sites if "sites" in sites else sites | {"sites": f"deepest:{len(backbone.layout.skips)}"}
            transfer = hsx.Transfer(backbone, **settings(config) | chosen)
            batches = zip(pairs.content.split(BATCH), pairs.style.split(BATCH), strict=True)
            made: Tensor = torch.cat([transfer(content, style) for content, style in batches])
            rows.append(made)
            show(f"{kind}: {name}", measured(made, pairs.truth, drawn.truth, drawn.own))
        for i, row in enumerate(rows):
            for j, image in enumerate(row[:SHOWN]):
                columns[i, place * (SHOWN + 1) + j] = to_picture(image)
    if args.sheet:
        grid(columns, 96).save(args.sheet, optimize=True)


if __name__ == "__main__":
    with reported("claim.py"):
        main()

"""Measure how well an ordinary model transfers: in the domain of poster faces every true answer can be drawn.

    python examples/plain_faces/evaluate.py hsx://plain_faces

prints, for pairs of held-out faces, what hsx makes of them at the settings of configs/plain.yaml, what h alone does,
and what the baselines do, each with its bootstrap interval of 95 %: distance to the truth, what comes from either side
(``sides.py``) and, for 64 pixels, what is recognised of the content.  Ceilings are those of the styles given back
(gamma = 0), measured as a transfer of each style onto its own face; gains are differences pair by pair.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1] / "demo_faces"))
from baselines import recolour  # noqa: E402
from measure import Pairs, blurred, interval, psnr, slope  # noqa: E402
from poster_faces import PITCH, contact_sheet, make, render  # noqa: E402
from recognisers import POSE, Recogniser, factors, load  # noqa: E402
from shipped import settings  # noqa: E402
from sides import Sides, colour_slope, colours, layout, sides, texture  # noqa: E402

import hsx  # noqa: E402
from hsx.assets import resolve  # noqa: E402
from hsx.errors import HsxError, reported  # noqa: E402
from hsx.strategies import Constant, Identity, Inverted  # noqa: E402

CONFIG = Path(__file__).parents[2] / "configs" / "plain.yaml"
BATCH = 25  # pairs at a time
HELD_OUT = 20262  # training draws from seed 11, the settings were chosen on seed 20261
FEWEST = 16  # pairs, below which a bootstrap draw may have no texture at all
READ_AT = 64  # pixels of the pictures that the recognisers were trained on
Measures = dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class Faces:
    """Pairs with the parts of their true answers, and those of the style pictures themselves."""

    pairs: Pairs
    truth: Sides
    own: Sides


def faces(n: int, size: int, seed: int = HELD_OUT) -> Faces:
    """``n`` pairs never trained on.  Raises HsxError for few, or for a size that poster faces are not drawn in."""
    if n < FEWEST:
        raise HsxError(f"pairs: expected {FEWEST} or more, got {n}; give a number, or leave it out")
    if size not in PITCH:
        sizes = " or ".join(map(str, PITCH))
        raise HsxError(f"expected a model of poster faces of {sizes} pixels, got {size}; take hsx://plain_faces")
    pictures, contents, styles = make(2 * n, seed, size)
    pairs = list(zip(contents[:n], styles[n:]))
    rows = [factors(*pair) for pair in pairs]
    known = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    drawn = pictures[:n], pictures[n:], np.stack([render(*pair, size) for pair in pairs])
    content, style, truth = (torch.from_numpy(v).permute(0, 3, 1, 2).float() / 127.5 - 1 for v in drawn)
    parts = sides(contents[:n], styles[n:], size), sides(contents[n:], styles[n:], size)
    return Faces(Pairs(content, style, truth, known), *parts)


def transferred(backbone: hsx.Backbone, pairs: Pairs, config: Path = CONFIG) -> dict[str, Tensor]:
    """What hsx makes of the pairs, what h alone does (the paper's site and donor), and the styles given back."""
    chosen = settings(config)
    ours = hsx.Transfer(backbone, **chosen)
    unchanged = {"schedule": Constant(1.0), "normalizer": Identity(), "donor": Inverted()}
    h_alone = hsx.Transfer(backbone, **chosen | unchanged | {"sites": ["h"]})
    again = hsx.Transfer(backbone, **chosen | {"schedule": Constant(0.0)})
    made = []
    for content, style in zip(pairs.content.split(BATCH), pairs.style.split(BATCH)):
        styles = ours.invert(style, ())
        runs = {"hsx": ours, "h alone": h_alone, "gamma = 0": again}
        made.append({name: run.inject(run.contents(content), styles).clamp(-1, 1) for name, run in runs.items()})
    return {name: torch.cat([batch[name] for batch in made]) for name in made[0]}


def measured(result: Tensor, truth: Tensor, truth_sides: Sides, own: Sides) -> Measures:
    """Each measure of results (N, 3, R, R) against true answers that consist of ``truth_sides``."""
    weights = layout(result, truth_sides.plain, own.plain)
    fine = texture(result, truth_sides.texture)
    read, true = colours(result, truth_sides.regions), colours(truth, truth_sides.regions)
    each = {
        "PSNR": psnr(result, truth),
        "PSNR blurred": psnr(blurred(result), blurred(truth)),
        "layout, content's": weights[:, 0],
        "layout, style's own": weights[:, 1],
    }
    n, textured = len(result), truth_sides.textured
    means = {name: interval(lambda rows, v=v: float(v[rows].mean()), n) for name, v in each.items()}
    return means | {
        "colour": interval(lambda rows: colour_slope(read[rows], true[rows]), n),
        "texture": interval(lambda rows: float(fine[rows][textured[rows]].mean()), n),
    }


@torch.no_grad()
def recognised(result: Tensor, pairs: Pairs, recogniser: Recogniser) -> Measures:
    """What a network reads of the content: hair and glasses (shares read rightly) and geometry (slope of the pose)."""
    read, true, n = recogniser(result), pairs.factors, len(result)
    right = {name: (read[name].argmax(1) == true[name]).float() for name in ("hair", "glasses")}
    pose, drawn = read["content"][:, POSE], true["content"][:, POSE]
    shares = {name: interval(lambda rows, v=v: float(v[rows].mean()), n) for name, v in right.items()}
    return {"geometry": interval(lambda rows: slope(pose[rows], drawn[rows]), n)} | shares


def gains(result: Tensor, other: Tensor, truth: Tensor) -> Measures:
    """By how many dB a result is nearer to the truth than another, pair by pair."""
    plain = psnr(result, truth) - psnr(other, truth)
    soft = psnr(blurred(result), blurred(truth)) - psnr(blurred(other), blurred(truth))
    each = {"PSNR": plain, "PSNR blurred": soft}
    return {name: interval(lambda rows, v=v: float(v[rows].mean()), len(v)) for name, v in each.items()}


def show(name: str, measures: Measures) -> None:
    """Print them."""
    print(name)
    for measure, (value, low, high) in measures.items():
        print(f"    {measure:20s} {value:7.3f}  ({low:.3f} to {high:.3f})")


def sheet(rows: tuple[Tensor, ...], file: str, columns: int = 12) -> None:
    """Write the first pictures of each row, one row under the other."""
    stacked = torch.cat([row[:columns] for row in rows])
    pictures = stacked.add(1).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    contact_sheet(pictures, min(columns, len(rows[0]))).save(file)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", default="hsx://plain_faces")
    parser.add_argument("--recognisers", default="hsx://demo_faces/recognisers.safetensors", help="of recognisers.py")
    parser.add_argument("--pairs", type=int, default=96)
    parser.add_argument("--config", type=Path, default=CONFIG, help="the settings; by default configs/plain.yaml")
    parser.add_argument("--seed", type=int, default=HELD_OUT, help="of the pairs")
    parser.add_argument("--sheet", help="also write a picture: content, style, h alone, hsx, truth in each column")
    args = parser.parse_args()
    backbone = hsx.load_backbone(args.model)
    size = backbone.sample_size
    drawn = faces(args.pairs, size, args.seed)
    pairs, truth = drawn.pairs, drawn.pairs.truth
    recogniser = load(resolve(args.recognisers))["content"] if size == READ_AT else None
    made = transferred(backbone, pairs, args.config)
    rows = made | {
        "the style itself": pairs.style,
        "mean-and-deviation recolouring": recolour(pairs.content, pairs.style),
        "pixel average": (pairs.content + pairs.style) / 2,
        "the true answer": truth,
    }
    for name, result in rows.items():
        read = recognised(result, pairs, recogniser) if recogniser else {}
        show(name, measured(result, truth, drawn.truth, drawn.own) | read)
    show("ceilings: gamma = 0, to the style", measured(made["gamma = 0"], pairs.style, drawn.own, drawn.truth))
    for name in ("h alone", "mean-and-deviation recolouring"):
        show(f"gain of hsx over {name}, dB", gains(made["hsx"], rows[name], truth))
    if args.sheet:
        sheet((pairs.content, pairs.style, made["h alone"], made["hsx"], truth), args.sheet)


if __name__ == "__main__":
    with reported("evaluate.py"):
        main()

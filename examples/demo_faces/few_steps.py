"""How few steps give what the authors' thousand give: curves of the demo model at the paper's own settings.

    python examples/demo_faces/few_steps.py --pairs 8

makes pairs of held-out faces with the authors' settings (gamma 0.3 at t >= 400, 50 steps of inversion, 1000 of
generation, 50 injections; no noise, which would differ) and with fewer steps, and prints how near the latter come, as
PSNR to the former: generation alone, from the same noise and the same h, with gamma as it is and at the same strength;
then whole runs, inversion too, with what is recognised of content and style.  ``--keep FILE`` keeps the results of a
thousand steps, which take about 8 seconds a pair on 2 cores, for the next time.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from evaluate import HELD_OUT, held_out
from measure import Pairs, interval, measured, psnr
from recognisers import Recogniser, load
from safetensors.torch import load_file, save_file
from torch import Tensor

import hsx
from hsx.assets import resolve
from hsx.backbones.counted import Counted
from hsx.errors import reported
from hsx.method.inversion import Trajectory
from hsx.strategies import Constant, MultistepV

BATCH, GAMMA = 20, 0.3
GRIDS = (10, 15, 20, 25, 30, 40, 50, 75, 100)
WHOLE = ((10, 13, GAMMA), (10, 13, 0.28), (20, 20, GAMMA))  # timesteps of inversion and of generation, and gamma
SCALED: dict[str, Any] = {"same_strength_as": 50}
GENERATED: dict[str, dict[str, Any]] = {
    "gamma as it is": {},
    "same strength": SCALED,
    "same strength, MultistepV": SCALED | {"solver": MultistepV()},
}


@dataclass(frozen=True)
class Thousand:
    """The authors' results of some pairs, and what they began from: x_T of the styles and h of the contents."""

    x_T: Tensor
    h: Tensor
    result: Tensor
    timesteps: tuple[int, ...]

    def contents(self, rows: slice) -> Trajectory:
        """What is injected."""
        return Trajectory(self.x_T[rows], {"h": self.h[rows]}, self.timesteps, 999)

    def styles(self, rows: slice) -> Trajectory:
        """Where generation starts; as of an unknown solver, so that any may go on from it."""
        return Trajectory(self.x_T[rows], {}, (), 999)


def thousand(backbone: hsx.Backbone, pairs: Pairs, keep: Path | None) -> Thousand:
    """The authors' settings on these pairs, or what was kept of them."""
    paper = hsx.Transfer.paper(backbone)
    if keep is None or not keep.exists():
        made: dict[str, list[Tensor]] = {"x_T": [], "h": [], "result": []}
        for rows in batches(len(pairs.content)):
            content, style = paper.invert(pairs.content[rows]), paper.invert(pairs.style[rows], ())
            made["x_T"].append(style.x_T)
            made["h"].append(content.h)
            made["result"].append(paper.inject(content, style).clamp(-1, 1))
            print(f"{rows.stop} of {len(pairs.content)} pairs in 1000 steps", flush=True)
        kept = {name: torch.cat(parts) for name, parts in made.items()}
        if keep:
            save_file(kept, keep)
    else:
        kept = {name: value[: len(pairs.content)] for name, value in load_file(keep).items()}
    return Thousand(**kept, timesteps=paper.recorded_timesteps)


def batches(n: int) -> Iterator[slice]:
    """All rows, a batch at a time."""
    return (slice(i, min(i + BATCH, n)) for i in range(0, n, BATCH))


def transfer(
    backbone: hsx.Backbone, inversion: int, generation: int, gamma: float = GAMMA, **options: Any
) -> hsx.Transfer:
    """The paper's settings with fewer steps; a content is injected at every one from t = 400 up."""
    steps = {"inversion_steps": inversion, "generation_steps": generation}
    return hsx.Transfer(backbone, Constant(gamma), t_edit=400, t_boost=0, **steps, **options)


def shown(values: Tensor) -> str:
    """Their mean with its bootstrap interval."""
    return "{:.2f} ({:.2f} to {:.2f})".format(*interval(lambda rows: float(values[rows].mean()), len(values)))


@torch.no_grad()
def generation(backbone: hsx.Backbone, whole: Thousand) -> None:
    """Print the curves of generation alone."""
    print("generation alone, PSNR to the result of 1000 steps:", *GENERATED, sep="\n    ")
    for steps in GRIDS:
        row = []
        for options in GENERATED.values():
            run = transfer(backbone, steps, steps, **options)
            made = [run.inject(whole.contents(b), whole.styles(b)).clamp(-1, 1) for b in batches(len(whole.x_T))]
            row.append(shown(psnr(torch.cat(made), whole.result)))
        print(f"{steps:4d}  ", " | ".join(row), flush=True)


@torch.no_grad()
def runs(backbone: Counted, pairs: Pairs, whole: Thousand, recognisers: dict[str, Recogniser]) -> None:
    """Print whole runs, and what is recognised in them."""
    print("whole runs, same strength, MultistepV both ways")
    table({"1000 steps": whole.result}, pairs, whole, recognisers)
    for up, down, gamma in WHOLE:
        run = transfer(backbone, up, down, gamma, solver=MultistepV(), **SCALED)
        before, made = backbone.evaluations, []
        for rows in batches(len(pairs.content)):
            contents, styles = run.invert(pairs.content[rows]), run.invert(pairs.style[rows], ())
            made.append(run.inject(contents, styles).clamp(-1, 1))
        cost = (backbone.evaluations - before) / len(pairs.content)
        name = f"{up} and {down} steps, gamma {gamma:g}, {cost:.1f} evaluations a pair"
        table({name: torch.cat(made)}, pairs, whole, recognisers)


def table(rows: dict[str, Tensor], pairs: Pairs, whole: Thousand, recognisers: dict[str, Recogniser]) -> None:
    """Print the measures of results."""
    for name, made in rows.items():
        print(name, "" if made is whole.result else f"PSNR to 1000 steps {shown(psnr(made, whole.result))}", sep="  ")
        for measure, (value, low, high) in measured(made, pairs, recognisers).items():
            print(f"    {measure:14s} {value:7.3f}  ({low:.3f} to {high:.3f})", flush=True)


def main() -> None:
    """Print the curves and the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", default="hsx://demo_faces")
    parser.add_argument("--recognisers", default="hsx://demo_faces/recognisers.safetensors", help="of recognisers.py")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=HELD_OUT, help="of the pairs")
    parser.add_argument("--keep", type=Path, help="a file for the results of 1000 steps, read where it is there")
    parser.add_argument("--whole", action="store_true", help="whole runs alone, without the curves of generation")
    args = parser.parse_args()
    backbone = Counted(hsx.load_backbone(args.model))
    pairs = held_out(args.pairs, backbone.sample_size, args.seed)
    whole = thousand(backbone, pairs, args.keep)
    if not args.whole:
        generation(backbone, whole)
    runs(backbone, pairs, whole, load(resolve(args.recognisers)))


if __name__ == "__main__":
    with reported("few_steps.py"):
        main()

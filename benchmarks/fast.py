"""The demo's settings as they ship against the authors': 50 steps of inversion, 1000 of generation, 50 that inject."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from typing import Any

import torch
from jobs import Job
from plain import Plain
from torch import Tensor
from turns import ROOT, Tally, Way, in_turn

import hsx
from hsx.strategies import Constant

sys.path.insert(0, str(ROOT / "examples" / "demo_faces"))
from shipped import shipped  # noqa: E402

CONFIG, FROM_999 = "configs/demo.yaml", "examples/demo_faces/from_999.yaml"
BATCH = 16
FEW = 20  # steps that come near the authors' 1000 with ``same_strength_as``


def measure(job: Job) -> list[dict[str, Any]]:
    """Seconds a pair, both inversions counted, but for the last two: all pairs of the demo, each picture inverted once.

    The last is the command itself, from the start of its process to the end.
    """
    net = Tally(job.network())
    content, style = job.given(max(1, job.pairs))
    plain, ours = Plain(net, *((4, 8, 4) if job.tiny else (50, 1000, 50))), shipped(net)
    steps = 4 if job.tiny else FEW
    counts = {"inversion_steps": steps, "generation_steps": steps}
    few = hsx.Transfer(net, Constant(0.3), **counts, same_strength_as=50, t_boost=0)
    early = shipped(net, ROOT / FROM_999)
    n = min(BATCH, len(content))
    contents, styles = (job.pictures(f"hsx://demo_faces/{kind}")[: len(content)] for kind in ("contents", "styles"))
    pairs = len(contents) * len(styles)
    ways = [
        Way("authors' settings, plain loop, batch 1", net, 1, lambda: plain(content[:1], style[:1])),
        Way(f"authors' γ and t_edit, {steps} steps each way, batch {n}", net, n, lambda: few(content[:n], style[:n])),
        Way(f"{FROM_999}, batch {n}", net, n, lambda: early(content[:n], style[:n])),
        Way(f"{CONFIG}, batch 1", net, 1, lambda: ours(content[:1], style[:1])),
        Way(f"{CONFIG}, batch {n}", net, n, lambda: ours(content[:n], style[:n])),
        Way(f"{CONFIG}, {pairs} pairs, batch {n}", net, pairs, lambda: product(ours, contents, styles, n)),
    ]
    if not job.tiny:
        ways.append(Way(f"hsx predict --config {CONFIG}, 48 pairs", None, 48, lambda: command(job)))
    ways[-1 if job.tiny else -2].once()  # what was never run before is slow
    return in_turn(ways, job.rounds)


def product(transfer: hsx.Transfer, contents: Tensor, styles: Tensor, batch: int) -> Tensor:
    """Each content in each style, every picture inverted once."""
    inverted, noises = transfer.contents(contents), transfer.invert(styles, ())
    rows = torch.cartesian_prod(torch.arange(len(contents)), torch.arange(len(styles)))
    return torch.cat(
        [transfer.inject(of(inverted, i), of(noises, j)) for i, j in (part.T for part in rows.split(batch))]
    )


def of(trajectory: hsx.Trajectory, rows: Tensor) -> hsx.Trajectory:
    """Some rows of a trajectory."""
    features = {site: feature[rows] for site, feature in trajectory.features.items()}
    return replace(trajectory, x_T=trajectory.x_T[rows], features=features, images=None)


def command(job: Job) -> None:
    """The main job in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        where = ["--output_dir", folder, "--trainer.accelerator", "cpu" if job.device == "cpu" else "gpu"]
        given = [sys.executable, "-m", "hsx", "predict", "--config", str(ROOT / CONFIG), *where]
        subprocess.run(given, check=True, capture_output=True)

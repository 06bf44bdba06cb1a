"""How the wall time of ``hsx predict`` grows with contents and styles, and what a second process gains.

    python benchmarks/scaling.py docs/images/scaling.png

runs the demo model on N contents and M styles for several N and M, each run a process of its own with one thread, and
fits seconds = c + a (N + M) + b N M to the time from the first trajectory written to the last picture; then the largest
again with two processes, one a core, in turn with one.  Steps are few, to be done in minutes; with ``--tiny`` runs are
few and small, to try the script out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIZES = [(2, 2), (4, 2), (2, 4), (8, 2), (4, 4), (8, 4), (4, 8), (8, 8), (12, 6), (16, 4), (12, 12)]
STEPS = {"t_start": 700, "inversion_steps": 5, "generation_steps": 5, "injection_steps": 5, "t_edit": 0, "t_boost": 0}
GIVEN = [*(word for name, n in STEPS.items() for word in (f"--model.{name}", str(n))), "--data.batch_size", "4"]
TWO = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]


def pictures(folder: Path, kind: str, n: int) -> None:
    """``n`` smooth random pictures."""
    (folder / kind).mkdir(exist_ok=True)
    for i in range(n):
        seed = i + 1000 * (kind == "styles")
        coarse = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC).save(folder / kind / f"{kind[0]}{i:03d}.png")


def measure(n: int, m: int, *more: str) -> tuple[float, float]:
    """Seconds from the first trajectory written to the last picture, and those of the whole process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures(folder, "contents", n)
        pictures(folder, "styles", m)
        argv = [
            sys.executable,
            "-m",
            "hsx",
            "predict",
            "--model.backbone",
            "hsx://demo_faces",
            "--data.contents",
            str(folder / "contents"),
            "--data.styles",
            str(folder / "styles"),
            "--output_dir",
            str(folder / "out"),
            *GIVEN,
            *more,
        ]
        begun = time.perf_counter()
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}
        ended = subprocess.run(argv, capture_output=True, text=True, check=True, env=alone)
        whole = time.perf_counter() - begun
        assert re.search(rf"^{n * m} pictures? made", ended.stdout, re.M), ended.stdout
        first = sorted((folder / "out").rglob("*.safetensors"), key=lambda p: p.stat().st_mtime)[0].stat().st_mtime
        last = max(p.stat().st_mtime for p in (folder / "out").glob("*__*.png"))
        return last - first, whole


def plot(path: Path, fitted: np.ndarray, measured: np.ndarray, sizes: list[tuple[int, int]]) -> None:
    """Measured against fitted seconds, with the diagonal."""
    side, margin, top = 420, 50, float(max(fitted.max(), measured.max())) * 1.1
    picture = Image.new("RGB", (side + 2 * margin, side + 2 * margin), "white")
    draw = ImageDraw.Draw(picture)

    def at(x: float, y: float) -> tuple[float, float]:
        return margin + x / top * side, margin + side - y / top * side

    draw.line([at(0, top), at(0, 0), at(top, 0)], fill="black")
    draw.line([at(0, 0), at(top, top)], fill=(170, 170, 170))
    for x, y, (n, m) in zip(fitted, measured, sizes, strict=True):
        px, py = at(x, y)
        draw.ellipse((px - 4, py - 4, px + 4, py + 4), fill=(30, 90, 200))
        draw.text((px + 6, py - 4), f"{n} x {m}", fill="black")
    for tick in np.linspace(0, top, 6)[1:-1]:
        draw.text((at(tick, 0)[0] - 8, side + margin + 6), f"{tick:.0f}", fill="black")
        draw.text((margin - 28, at(0, tick)[1] - 6), f"{tick:.0f}", fill="black")
    draw.text((margin + side // 2 - 60, side + 2 * margin - 22), "fitted seconds", fill="black")
    draw.text((margin + 8, margin - 20), "measured seconds", fill="black")
    picture.save(path, optimize=True)


def main(path: Path, sizes: list[tuple[int, int]], rounds: int) -> None:
    """Print the table and the fit, and draw the plot."""
    measured = np.array([measure(n, m)[0] for n, m in sizes])
    terms = np.array([(1, n + m, n * m) for n, m in sizes], dtype=float)
    (c, a, b), *_ = np.linalg.lstsq(terms, measured, rcond=None)
    fitted = terms @ (c, a, b)
    for (n, m), seconds, fit in zip(sizes, measured, fitted, strict=True):
        print(f"{n:3d} x {m:2d}: {seconds:6.2f} s, fitted {fit:6.2f} s")
    unexplained = ((measured - fitted) ** 2).sum() / ((measured - measured.mean()) ** 2).sum()
    print(f"seconds = {c:.2f} + {a:.3f} (N + M) + {b:.3f} N M; R^2 {1 - unexplained:.4f}", flush=True)
    plot(path, fitted, measured, sizes)
    one, two = zip(*[(measure(*sizes[-1]), measure(*sizes[-1], *TWO)) for _ in range(rounds)], strict=True)
    for name, runs in (("one process", one), ("two processes", two)):
        work, whole = (np.median([run[i] for run in runs]) for i in (0, 1))
        print(f"{name}: {work:.2f} s of work, {whole:.2f} s with the start")
    ratios = [own[0] / both[0] for own, both in zip(one, two, strict=True)]
    print(f"ratio of work {np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    tiny = "--tiny" in sys.argv
    main(Path(sys.argv[1]), [(1, 1), (2, 1), (1, 2), (2, 2)] if tiny else SIZES, 1 if tiny else 3)

"""How the wall time of ``hsx predict`` grows with contents and styles, and what a second process gains.

    python benchmarks/scaling.py docs/images/scaling.png

runs the demo model on N contents and M styles for several N and M, each run a process of its own with one thread, and
fits seconds = c + a (N + M) + b N M to the time from the first trajectory written to the last picture; then the largest
again with two processes, one a core, in turn with one.  Steps are few, to be done in minutes.
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
STEPS = [
    "--model.t_start",
    "700",
    "--model.inversion_steps",
    "25",
    "--model.generation_steps",
    "25",
    "--model.injection_steps",
    "25",
    "--model.t_edit",
    "0",
    "--model.t_boost",
    "0",
    "--data.batch_size",
    "4",
]
TWO = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]


def pictures(folder: Path, kind: str, n: int) -> None:
    """``n`` smooth random pictures."""
    (folder / kind).mkdir(exist_ok=True)
    for i in range(n):
        seed = i + 1000 * (kind == "styles")
        coarse = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC).save(folder / kind / f"{kind[0]}{i:03d}.png")


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
            *STEPS,
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


def plot(path: Path, fitted: np.ndarray, measured: np.ndarray) -> None:
    """Measured against fitted seconds, with the diagonal."""
    side, margin, top = 420, 50, float(max(fitted.max(), measured.max())) * 1.1
    picture = Image.new("RGB", (side + 2 * margin, side + 2 * margin), "white")
    draw = ImageDraw.Draw(picture)

    def at(x: float, y: float) -> tuple[float, float]:
        return margin + x / top * side, margin + side - y / top * side

    draw.line([at(0, top), at(0, 0), at(top, 0)], fill="black")
    draw.line([at(0, 0), at(top, top)], fill=(170, 170, 170))
    for x, y, (n, m) in zip(fitted, measured, SIZES, strict=True):
        px, py = at(x, y)
        draw.ellipse((px - 4, py - 4, px + 4, py + 4), fill=(30, 90, 200))
        draw.text((px + 6, py - 4), f"{n} x {m}", fill="black")
    for tick in np.linspace(0, top, 6)[1:-1]:
        draw.text((at(tick, 0)[0] - 8, side + margin + 6), f"{tick:.0f}", fill="black")
        draw.text((margin - 28, at(0, tick)[1] - 6), f"{tick:.0f}", fill="black")
    draw.text((margin + side // 2 - 60, side + 2 * margin - 22), "fitted seconds", fill="black")
    draw.text((margin + 8, margin - 20), "measured seconds", fill="black")
    picture.save(path, optimize=True)


def main(path: Path) -> None:
    """Print the table and the fit, and draw the plot."""
    measured = np.array([measure(n, m)[0] for n, m in SIZES])
    terms = np.array([(1, n + m, n * m) for n, m in SIZES], dtype=float)
    (c, a, b), *_ = np.linalg.lstsq(terms, measured, rcond=None)
    fitted = terms @ (c, a, b)
    for (n, m), seconds, fit in zip(SIZES, measured, fitted, strict=True):
        print(f"{n:3d} x {m:2d}: {seconds:6.2f} s, fitted {fit:6.2f} s")
    unexplained = ((measured - fitted) ** 2).sum() / ((measured - measured.mean()) ** 2).sum()
    print(f"seconds = {c:.2f} + {a:.3f} (N + M) + {b:.3f} N M; R^2 {1 - unexplained:.4f}")
    one, two = [], []
    for _ in range(3):
        one.append(measure(*SIZES[-1]))
        two.append(measure(*SIZES[-1], *TWO))
    for name, runs in (("one process", one), ("two processes", two)):
        print(
            f"{name}: {np.median([r[0] for r in runs]):.2f} s of work, {np.median([r[1] for r in runs]):.2f} s with "
            "the start"
        )
    print(f"ratio of work {np.median([r[0] for r in one]) / np.median([r[0] for r in two]):.2f}")
    plot(path, fitted, measured)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

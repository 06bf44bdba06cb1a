"""What keeping h in float16 does to the pictures of the main job.

    python benchmarks/float16.py [options of hsx predict]

runs configs/demo.yaml with the store's h in float16 and in float32, and compares pictures and sizes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from hsx.cli import main

CONFIG = Path(__file__).parents[1] / "configs" / "demo.yaml"


def run(folder: Path, dtype: str) -> tuple[np.ndarray, int]:
    """The pictures of the main job, (48, 64, 64, 3), and the bytes of its trajectories."""
    options = ["--output_dir", str(folder), "--store.dtype", dtype, *sys.argv[1:]]
    if code := main(["predict", "--config", str(CONFIG), *options]):
        raise SystemExit(code)
    pictures = [np.asarray(Image.open(path, formats=("PNG",)), dtype=float) for path in sorted(folder.glob("*__*.png"))]
    return np.stack(pictures), sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        (half, small), (single, large) = (run(Path(name) / dtype, dtype) for dtype in ("float16", "float32"))
    difference = half - single
    psnr = 10 * np.log10(255**2 / np.maximum((difference**2).mean((1, 2, 3)), 1e-9))
    print(
        f"{len(half)} pictures: largest difference {abs(difference).max():.0f} of 255, lowest PSNR {psnr.min():.1f} dB"
    )
    print(f"trajectories {small / 1e3:,.0f} kB in float16, {large / 1e3:,.0f} kB in float32")

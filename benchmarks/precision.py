"""The demo in half precision: how near its pictures are to those of float32."""

from __future__ import annotations

import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from fast import CONFIG, FROM_999
from jobs import Job
from turns import ROOT, psnr

from hsx.assets import resolve
from hsx.cli import main
from hsx.io.images import read_image

FLOAT32 = "32-true"
HALF = ("bf16-mixed", "bf16-true", "16-mixed", "16-true")


def measure(job: Job) -> list[dict[str, Any]]:
    """PSNR of the 8-bit pictures of ``hsx predict --trainer.precision …`` to float32's, in few steps and in more."""
    table: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [sorted(resolve(f"hsx://demo_faces/{kind}").glob("*.png")) for kind in ("contents", "styles")]
        rows = [f"{files[0][i % len(files[0])]},{files[1][i % len(files[1])]}" for i in range(max(1, job.pairs))]
        (folder / "pairs.csv").write_text("\n".join(["content,style", *rows]) + "\n")
        for config in (CONFIG,) if job.tiny else (CONFIG, FROM_999):
            made, seconds = predicted(job, folder, config, FLOAT32)
            row = {"config": config, "precision": FLOAT32, "pairs": len(made), "seconds": round(seconds, 2)}
            table.append(row)
            for precision in HALF:
                if precision == "16-mixed" and job.device == "cpu":
                    continue  # Lightning takes bf16 for it
                pictures, seconds = predicted(job, folder, config, precision)
                near = psnr(pictures, made)
                table.append(row | {"precision": precision, "seconds": round(seconds, 2)})
                table[-1] |= {"mean PSNR": round(float(near.mean()), 1), "lowest PSNR": round(float(near.min()), 1)}
    return table


def predicted(job: Job, folder: Path, config: str, precision: str) -> tuple[torch.Tensor, float]:
    """The pictures, and the seconds of the run."""
    out = folder / config.replace("/", "_") / precision
    begun = time.perf_counter()
    argv = ["predict", "--config", str(ROOT / config), "--model.backbone", job.model]
    argv += ["--data.contents", "null", "--data.styles", "null", "--data.pairs", str(folder / "pairs.csv")]
    argv += ["--trainer.accelerator", "cpu" if job.device == "cpu" else "gpu", "--trainer.precision", precision]
    with redirect_stdout(StringIO()):
        code = main([*argv, "--output_dir", str(out)])
    if code:
        raise SystemExit(f"precision {precision}: expected exit code 0, got {code}")
    taken = time.perf_counter() - begun
    files = sorted(out.glob("*__*.png"))
    return torch.stack([read_image(file, 64) for file in files]), taken

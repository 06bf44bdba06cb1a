"""Whole runs of ``hsx`` on a device, each in a process of its own: 1,000 pairs, the main job, and against a CPU."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_cases import tf32
from networks import save
from PIL import Image
from turns import ROOT

Row = dict[str, Any]
ASSETS = ROOT / "hsx/assets/demo_faces"
CHOSEN = {"contents": ("bald_1", "long_glasses_3"), "styles": ("halftone_2", "none_4")}
STEPS = 8  # each way: 8 evaluations and 5 injections a pair, and 7 evaluations a picture


@dataclass(frozen=True)
class Runs:
    """Runs of a device.

    Attributes:
        device: cuda or cpu.
        work: a folder for all that they write.
        until: when the last may end, by ``time.monotonic``.
        tiny: small networks and few pictures.
    """

    device: str
    work: Path
    until: float
    tiny: bool

    def hsx(self, *argv: str | Path) -> Row:
        """Run a command of hsx: its exit code, its seconds and the last that it says."""
        begun = time.monotonic()
        command = [sys.executable, "-m", "hsx", *map(str, argv)]
        try:
            left = max(20, self.until - begun)
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=left)
            code, said = done.returncode, (done.stdout + done.stderr).splitlines()
        except subprocess.TimeoutExpired as error:
            code, said = -1, [f"ended after {error.timeout:.0f} s"]
        words = " ".join("…" if isinstance(word, Path) else word for word in argv)
        return {"command": words, "exit code": code, "seconds": round(time.monotonic() - begun, 1), "said": said[-4:]}

    def placed(self, output: Path, device: str = "") -> list[str | Path]:
        """Where a run computes, and where its results go."""
        return ["--trainer.accelerator", "gpu" if (device or self.device) == "cuda" else "cpu", "--output_dir", output]

    def pairs(self) -> Iterator[Row]:
        """1,000 pairs of 256 x 256 with a random DDPM in bf16: the whole process, and the work alone."""
        model = save("tiny" if self.tiny else "DDPM 256", self.work / "model")
        size, counts = (16, {"contents": 2, "styles": 2}) if self.tiny else (256, {"contents": 40, "styles": 25})
        for kind, n in counts.items():
            (self.work / kind).mkdir()
            for i in range(n):
                coarse = np.random.default_rng([i, len(kind)]).integers(0, 255, (6, 6, 3), dtype=np.uint8)
                picture = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
                picture.save(self.work / kind / f"{i:03d}.png")
        given = ["--model.backbone", model, *(word for kind in counts for word in (f"--data.{kind}", self.work / kind))]
        steps = ["--model.inversion_steps", str(STEPS), "--model.generation_steps", str(STEPS), "--model.t_boost", "0"]
        for batch, more in (("2", []),) if self.tiny else (("auto", []), ("64", ["--trainer.compile", "true"])):
            out = self.work / " ".join(["pairs by", batch, *more])
            how = ["--trainer.precision", "bf16-true", "--data.batch_size", batch, *more]
            row = self.hsx("predict", *given, *steps, *how, *self.placed(out))
            yield row | timed(out)

    def demo(self) -> Iterator[Row]:
        """The main job, twice, of which the second time the files are warm."""
        few = ["--data.contents", ASSETS / "contents/bald_1.png"] if self.tiny else []
        for name in ("one", "two"):
            yield self.hsx("predict", "--config", "configs/demo.yaml", *few, *self.placed(self.work / f"demo {name}"))

    def check(self) -> Iterator[Row]:
        """Four pairs of the main job on the device and on the CPU, compared, found again, and made again."""
        given: list[str | Path] = ["--config", "configs/demo.yaml"]
        for kind, names in CHOSEN.items():
            folder = self.work / f"chosen {kind}"
            folder.mkdir()
            for name in names[: 1 if self.tiny else None]:
                shutil.copy(ASSETS / kind / f"{name}.png", folder)
            given += [f"--data.{kind}", folder]
        ours, theirs = self.work / "on the device", self.work / "on a CPU"
        yield self.hsx("predict", *given, *self.placed(ours))
        yield self.hsx("predict", *given, *self.placed(theirs, "cpu"))
        for path in sorted(ours.glob("*__*.png")):
            a, b = (np.asarray(Image.open(folder / path.name)).astype(int) for folder in (ours, theirs))
            psnr = 10 * np.log10(255**2 / max(((a - b) ** 2).mean(), 1e-9))
            yield {"picture": path.stem, "at most off": int(abs(a - b).max()), "PSNR": round(float(psnr), 1)}
        yield self.hsx("remake", *sorted(ours.glob("*__*.png"))[:2])
        yield self.hsx("predict", *given, *self.placed(ours))

    def golden(self) -> Iterator[Row]:
        """The largest differences to the authors' recorded single evaluations of tiny networks, in float32 and TF32."""
        sys.path.insert(0, str(ROOT))
        from tests.golden import MODELS, backbone, tensors

        for model in MODELS:
            net, known = backbone(model).to(self.device), tensors(model, "unit")
            x, t, out = (known[f"injection/{name}"].to(self.device) for name in ("x", "t", "out_plain"))
            row: Row = {"model": model, "largest": round(float(out[:, :3].abs().max()), 2)}
            for on in (False, True):
                with tf32(on), torch.no_grad():
                    off = float((net(x, t) - out[:, :3]).abs().max())
                row["off in TF32" if on else "off"] = float(f"{off:.1e}")
            yield row


def timed(folder: Path) -> Row:
    """How many pictures a run made, from the first to the last in seconds, and milliseconds a pair of its batches."""
    written = sorted(path.stat().st_mtime for path in folder.glob("*__*.png"))
    if not written or not (folder / "results.jsonl").exists():
        return {"pairs": len(written)}
    lines = (folder / "results.jsonl").read_text().splitlines()
    ms = sorted(1e3 * json.loads(line)["seconds"] for line in lines)
    row = {"pairs": len(written), "from first to last picture s": round(written[-1] - written[0], 2)}
    return row | {"ms a pair": round(statistics.mean(ms), 2), "median ms a pair": round(statistics.median(ms), 2)}

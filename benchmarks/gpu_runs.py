"""Whole runs of ``hsx`` on a device, each in a process of its own: 1,000 pairs, the main job, and against a CPU."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import save
from PIL import Image
from turns import ROOT

Row = dict[str, Any]
ASSETS = ROOT / "hsx/assets/demo_faces"
CHOSEN = {"contents": ("bald_1", "long_glasses_3"), "styles": ("halftone_2", "none_4")}
LONGEST = 170  # seconds of a command
STEPS = 8  # each way: 8 evaluations and 5 injections a pair, and 7 evaluations a picture


def hsx(*argv: str | Path, longest: float = LONGEST) -> Row:
    """Run a command of hsx: its exit code, its seconds and the last that it says."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "hsx", *map(str, argv)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=longest)
        code, said = done.returncode, (done.stdout + done.stderr).splitlines()
    except subprocess.TimeoutExpired as error:
        code, said = -1, [f"ended after {error.timeout:.0f} s"]
    words = " ".join("…" if isinstance(word, Path) else word for word in argv)
    return {"command": words, "exit code": code, "seconds": round(time.perf_counter() - begun, 1), "said": said[-4:]}


def placed(device: str, output: Path) -> list[str | Path]:
    """Where a run computes, and where its results go."""
    return ["--trainer.accelerator", "gpu" if device == "cuda" else "cpu", "--output_dir", output]


def pairs(device: str, work: Path, tiny: bool) -> Iterator[Row]:
    """1,000 pairs of 256 x 256 with a random DDPM in bf16: the whole process, and the work alone."""
    model = save("tiny" if tiny else "DDPM 256", work / "model")
    size, counts = (16, {"contents": 2, "styles": 2}) if tiny else (256, {"contents": 40, "styles": 25})
    for kind, n in counts.items():
        (work / kind).mkdir()
        for i in range(n):
            coarse = np.random.default_rng([i, len(kind)]).integers(0, 255, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC).save(work / kind / f"{i:03d}.png")
    steps = ["--model.inversion_steps", str(STEPS), "--model.generation_steps", str(STEPS), "--model.t_boost", "0"]
    given = ["--model.backbone", model, "--data.contents", work / "contents", "--data.styles", work / "styles", *steps]
    for precision, batch in (("bf16-true", 2),) if tiny else (("bf16-true", 16), ("bf16-true", 64), ("bf16-mixed", 16)):
        out = work / f"out {precision} {batch}"
        how = ["--trainer.precision", precision, "--data.batch_size", str(batch)]
        row = hsx("predict", *given, *how, *placed(device, out))
        made = list(out.glob("*__*.png"))
        written = sorted(path.stat().st_mtime for path in made)
        work_s = written[-1] - written[0] if written else 0.0
        row |= {"pairs": len(made), "from first to last picture s": round(work_s, 2)}
        row |= {"ms a pair": round(1e3 * work_s / max(1, len(made) - batch), 2)}
        yield row
        shutil.rmtree(out, ignore_errors=True)


def demo(device: str, work: Path, tiny: bool) -> Iterator[Row]:
    """The main job, twice, of which the second time the files are warm; then it finds everything made."""
    few = ["--data.contents", ASSETS / "contents/bald_1.png"] if tiny else []
    for name in ("one", "two", "two"):
        yield hsx("predict", "--config", "configs/demo.yaml", *few, *placed(device, work / f"demo {name}"))


def check(device: str, work: Path, tiny: bool) -> Iterator[Row]:
    """Four pairs of the main job on the device and on the CPU, compared, and made again from their records."""
    for kind, names in CHOSEN.items():
        (work / f"chosen {kind}").mkdir()
        for name in names[: 1 if tiny else None]:
            shutil.copy(ASSETS / kind / f"{name}.png", work / f"chosen {kind}")
    given = ["--data.contents", work / "chosen contents", "--data.styles", work / "chosen styles"]
    folders = {where: work / f"on {where}" for where in ("device", "cpu")}
    for where, folder in folders.items():
        at = device if where == "device" else "cpu"
        yield hsx("predict", "--config", "configs/demo.yaml", *given, *placed(at, folder))
    yield from compared(*folders.values())
    if not tiny:
        yield hsx("remake", *sorted(folders["device"].glob("*__*.png"))[:2])


def compared(ours: Path, theirs: Path) -> Iterator[Row]:
    """How far the pictures of two folders are apart."""
    for path in sorted(ours.glob("*__*.png")):
        a, b = (np.asarray(Image.open(folder / path.name)).astype(int) for folder in (ours, theirs))
        psnr = 10 * np.log10(255**2 / max(((a - b) ** 2).mean(), 1e-9))
        yield {"picture": path.stem, "at most off": int(abs(a - b).max()), "PSNR": round(float(psnr), 1)}


def golden(device: str, work: Path, tiny: bool) -> Iterator[Row]:
    """The largest differences to the authors' recorded single evaluations of tiny networks, in float32 and TF32."""
    sys.path.insert(0, str(ROOT))
    from tests.golden import MODELS, backbone, tensors

    for model in MODELS:
        net, known = backbone(model).to(device), tensors(model, "unit")
        x, t, out = (known[f"injection/{name}"].to(device) for name in ("x", "t", "out_plain"))
        row: Row = {"model": model, "largest": round(float(out[:, :3].abs().max()), 2)}
        for tf32 in (False, True):
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
            with torch.no_grad():
                row["off in TF32" if tf32 else "off"] = float(f"{float((net(x, t) - out[:, :3]).abs().max()):.1e}")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        yield row

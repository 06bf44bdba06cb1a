"""Whether hsx comes to the same on a GPU: pictures, resumed and made again, and the authors' numbers.

    python benchmarks/gpu_check.py FOLDER

runs configs/demo.yaml on two contents and two styles, on the GPU twice (the second time nothing is left to do) and on
the CPU once, compares the pictures, and makes two again with ``hsx remake``.  Then single evaluations of the tiny
golden networks in float32, with TF32 and without, against the authors' recorded numbers, and the whole config.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).parents[1]
ASSETS = ROOT / "hsx/assets/demo_faces"
CHOSEN = {"contents": ("bald_1", "long_glasses_3"), "styles": ("halftone_2", "none_4")}
TINY = ["--model.t_start", "45", "--model.inversion_steps", "3", "--model.generation_steps", "3"]


def hsx(*argv: str | Path) -> None:
    """Run a command of hsx, and print what it says and how long it takes."""
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "hsx", *argv], cwd=ROOT, capture_output=True, text=True, timeout=60)
    print(f"hsx {' '.join(map(str, argv))}: exit code {done.returncode}, {time.perf_counter() - begun:.1f} s")
    print("\n".join(f"    {line}" for line in (done.stdout + done.stderr).splitlines()[-12:]), flush=True)


def pictures(folder: Path) -> dict[str, np.ndarray]:
    """The results in a folder, by name."""
    return {path.name: np.asarray(Image.open(path)).astype(int) for path in sorted(folder.glob("*__*.png"))}


def compare(ours: Path, theirs: Path) -> None:
    """Print how far the pictures of two folders are apart."""
    a, b = pictures(ours), pictures(theirs)
    for name in sorted(a | b):
        if name not in a or name not in b:
            print(f"{name}: only in one of {ours.name} and {theirs.name}")
            continue
        off = abs(a[name] - b[name])
        psnr = 10 * np.log10(255**2 / max((off**2).mean(), 1e-9))
        print(f"{name}: at most {off.max()} of 255, {(off > 0).mean():.3%} of the numbers differ, {psnr:.1f} dB")


def golden(device: str) -> None:
    """Print the largest differences to the authors' recorded single calls."""
    sys.path.insert(0, str(ROOT))
    from tests.golden import MODELS, backbone, tensors

    for tf32 in (False, True):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        for model in MODELS:
            net, known = backbone(model).to(device), tensors(model, "unit")
            x, t, out = (known[f"injection/{name}"].to(device) for name in ("x", "t", "out_plain"))
            with torch.no_grad():
                off = float((net(x, t) - out[:, :3]).abs().max())
            print(f"golden {model}, TF32 {tf32}: at most {off:.1e} off, of {float(out[:, :3].abs().max()):.1f}")


def main() -> None:
    """Check, and keep the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the results go, as check.tar")
    parser.add_argument("--tiny", action="store_true", help="few steps, to try the script out")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        try:
            check(Path(name), args.tiny)
        finally:
            for file in Path(name).rglob("*.safetensors"):  # the trajectories
                file.unlink()
            shutil.make_archive(str(args.folder / "check"), "tar", name)


def check(work: Path, tiny: bool) -> None:
    """Run and compare, the results in ``work``."""
    device, accelerator = ("cuda", "gpu") if torch.cuda.is_available() else ("cpu", "cpu")
    for kind, names in CHOSEN.items():
        (work / kind).mkdir()
        for name in names:
            shutil.copy(ASSETS / kind / f"{name}.png", work / kind)
    options = ["--config", "configs/demo.yaml", *(TINY if tiny else [])]
    pairs = ["--data.contents", work / "contents", "--data.styles", work / "styles"]
    there = ["--trainer.accelerator", accelerator, "--output_dir", work / "gpu"]
    here = ["--trainer.accelerator", "cpu", "--output_dir", work / "cpu"]
    hsx("predict", *options, *pairs, *there)
    hsx("predict", *options, *pairs, *there)
    hsx("remake", *sorted((work / "gpu").glob("*__*.png"))[:2])
    hsx("predict", *options, *pairs, *here)
    compare(work / "gpu", work / "cpu")
    golden(device)
    if not tiny:
        hsx("predict", *options, "--trainer.accelerator", accelerator, "--output_dir", work / "demo")


if __name__ == "__main__":
    main()

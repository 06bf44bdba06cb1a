"""Make the pictures and measure the table of docs/strategies.md, with the demo model and the strategies of its config.

    python examples/strategies/pictures.py                       # to docs/images; the table is printed
    python examples/strategies/pictures.py --kinds donor         # of one kind alone

Strategies of the packages in plugins/ take part where they are installed (``pip install ./plugins/hsx-freeu`` …).
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont

import hsx
from hsx import strategies
from hsx.io.images import read_image, to_picture
from hsx.method.inversion import Trajectory
from hsx.pairs.sources import find_images

sys.path.insert(0, str(Path(__file__).parents[1] / "demo_faces"))
from evaluate import held_out  # noqa: E402
from measure import psnr  # noqa: E402
from shipped import shipped  # noqa: E402

KINDS = ("schedule", "blend", "normalizer", "calibrator", "donor", "solver")
STEPS = 10  # timesteps there and back, of solvers
SEED = 20261  # of the measured pairs; evaluate.py measures the shipped settings on 20262
LONG: dict[str, Any] = {  # from the last timestep in small steps, so that every schedule can be seen
    "schedule": strategies.Interval(1, 45, 0),
    **dict.fromkeys(("inversion_steps", "generation_steps", "injection_steps"), 100),
    "t_start": 999,
    "style_eps": "always",
}
PAIRS = ((6, 5), (3, 4), (4, 2), (0, 3))  # content, style: places in the demo model's folders
CELL, LABEL, GAP = 128, 176, 4  # pixels
MOST = 150_000  # bytes of a page
Row = tuple[str, Any, Image.Image | None]  # label, strategy, a picture beside the label


def transfer(backbone: hsx.Backbone, **changes: Any) -> hsx.Transfer:
    """The demo's transfer the long way, but for ``changes``."""
    return shipped(backbone, **{**LONG, **changes})


def plugin(module: str, name: str, label: str, **options: Any) -> list[Row]:
    """A row for a plugin's strategy; none where it is not installed."""
    try:
        return [(label, getattr(importlib.import_module(module), name)(**options), None)]
    except ImportError:
        print(f"{name}: {module} is not installed and is left out")
        return []


def catalogue(folder: Path) -> dict[str, list[Row]]:
    """Every strategy of each kind, with options at which its effect can be seen; ``folder`` is for a drawn mask."""
    mask = Image.new("L", (256, 256))
    ImageDraw.Draw(mask).rectangle((0, 0, 255, 127), fill=255)
    mask.save(folder / "mask.png")
    masked = partial(strategies.Masked, str(folder / "mask.png"))
    further = str(find_images("hsx://demo_faces/contents")[5])
    return {
        "schedule": [
            ("Interval\n1, t 45 to 0", strategies.Interval(1, 45, 0), None),
            ("Interval\n1, t 999 to 400", strategies.Interval(1, 999, 400), None),
            ("Constant\n1", strategies.Constant(1), None),
            ("Constant\n0.3", strategies.Constant(0.3), None),
            ("Linear\n1 to 0", strategies.Linear(1), None),
            ("Linear\n0 to 1", strategies.Linear(0, 1), None),
            ("Cosine\n1 to 0", strategies.Cosine(1), None),
            ("Table\n0, 0, 1, 0, 0", strategies.Table([0, 0, 1, 0, 0]), None),
            ("SignalToNoise\n1, k 1", strategies.SignalToNoise(1, 1), None),
        ],
        "blend": [
            ("Slerp", strategies.Slerp(), None),
            ("Lerp", strategies.Lerp(), None),
            ("Masked\nby this mask", masked(), mask),
            ("Masked, invert\noutside this mask", masked(invert=True), mask),
            (
                "SphericalMean\nwith this, 1 : 1",
                strategies.SphericalMean([further]),
                Image.open(further, formats=("PNG",)),
            ),
            *plugin("hsx_masks", "ObjectMask", "ObjectMask\n(hsx-masks)"),
        ],
        "normalizer": [
            ("Identity", strategies.Identity(), None),
            ("AdaIN", strategies.AdaIN(), None),
            ("Frobenius", strategies.Frobenius(), None),
            *plugin("hsx_wct", "WhiteningColouring", "WhiteningColouring\ngroup 4 (hsx-wct)", group=4),
        ],
        "calibrator": [
            ("NoCalibration,\nLatent omega 0", strategies.Latent(0.0), None),
            ("Latent\nomega 0.3", strategies.Latent(0.3), None),
            ("Latent\nomega 1", strategies.Latent(1.0), None),
            ("IteratedLatent\nomega 0.3", strategies.IteratedLatent(0.3), None),
            *plugin("hsx_freeu", "SkipDamping", "SkipDamping\nscale 0.6 (hsx-freeu)", scale=0.6),
        ],
        "donor": [("Inverted", strategies.Inverted(), None), ("Renoised", strategies.Renoised(), None)],
        "solver": [
            ("DDIM", strategies.DDIM(), None),
            ("MultistepV", strategies.MultistepV(), None),
            ("Multistep2M", strategies.Multistep2M(), None),
        ],
    }


def curve(job: hsx.Transfer) -> Image.Image:
    """A bar for gamma at each injection, from the most noise at the left to the least at the right; 1 is the top."""
    picture, font = Image.new("RGB", (CELL, CELL), "white"), ImageFont.load_default(11)
    draw, low, high = ImageDraw.Draw(picture), CELL - 18, 6
    for t in job.injection_timesteps:
        x = 4 + (1 - t / job.t_start) * (CELL - 10)
        draw.rectangle((x, low - job.schedule.gamma(t) * (low - high), x + 1, low), fill="black")
    draw.text((3, low + 3), f"t {job.t_start}", fill="dimgrey", font=font)
    draw.text((CELL - 4, low + 3), "0", fill="dimgrey", font=font, anchor="ra")
    return picture


def sheet(rows: list[tuple[str, Image.Image | None, torch.Tensor]], given: int = 2) -> Image.Image:
    """Rows of a label, a picture beside it or None, and pictures (N, 3, R, R); the first are ``given``, not made."""
    step = CELL + GAP
    left = LABEL + step * any(beside for _, beside, _ in rows)
    page = Image.new("RGB", (left + len(rows[0][2]) * step, len(rows) * step + 4 * GAP), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for i, (label, beside, images) in enumerate(rows):
        y = GAP + i * step + 3 * GAP * (i >= given)
        draw.multiline_text((6, y + CELL // 2), label, fill="black", font=font, anchor="lm", spacing=6)
        if beside:
            page.paste(beside.convert("RGB").resize((CELL, CELL), Image.Resampling.NEAREST), (LABEL, y))
            draw.rectangle((LABEL, y, LABEL + CELL - 1, y + CELL - 1), outline="lightgrey")
        for j, image in enumerate(images):
            page.paste(to_picture(image).resize((CELL, CELL), Image.Resampling.NEAREST), (left + j * step, y))
    return page


def save(page: Image.Image, file: Path) -> None:
    """In as many colours as make no file larger than ``MOST``."""
    for colours in range(256, 0, -16):
        page.quantize(colours, kmeans=1, dither=Image.Dither.NONE).save(file, optimize=True)
        if file.stat().st_size <= MOST:
            return


def draw_all(backbone: Any, rows: dict[str, list[Row]], folder: Path) -> None:
    """One picture for each kind."""
    contents, styles = (
        torch.stack(
            [read_image(find_images(f"hsx://demo_faces/{name}")[pair[k]], backbone.sample_size) for pair in PAIRS]
        )
        for k, name in enumerate(("contents", "styles"))
    )
    plain = transfer(backbone)
    content, style = plain.invert(contents), plain.invert(styles)
    for kind, listed in rows.items():
        if kind == "solver":
            page = sheet([("original", None, contents), *there_and_back(backbone, listed, contents)], given=1)
            save(page, folder / "strategies_solvers.png")
            continue
        made: list[Any] = [("content", None, contents), ("style", None, styles)]
        for label, strategy, beside in listed:
            job = transfer(backbone, **{kind: strategy})
            made.append((label, curve(job) if kind == "schedule" else beside, job.inject(content, style)))
        save(sheet(made), folder / f"strategies_{kind}s.png")


def there_and_back(backbone: Any, listed: list[Row], images: torch.Tensor) -> Iterator[tuple[str, None, torch.Tensor]]:
    """Pictures inverted to the last timestep and generated again, nothing injected, with their PSNR; by each solver."""
    for label, solver, _ in listed:
        for spacing in ("uniform", "mixed"):
            how = {"solver": solver, "spacing": spacing, "t_boost": 0}
            job = hsx.Transfer(backbone, strategies.Constant(0), inversion_steps=STEPS, generation_steps=STEPS, **how)
            back = job(images, images)
            yield f"{label}\n{spacing}: {psnr(back, images).mean():.1f} dB", None, back


def measure(backbone: Any, rows: dict[str, list[Row]], pairs: int, batch: int = 16) -> None:
    """Print the table: PSNR to the true answer, its difference to the usual settings', and evaluations."""
    drawn = held_out(pairs, backbone.sample_size, SEED)
    contents, styles, truth = drawn.content, drawn.style, drawn.truth
    plain, calls = transfer(backbone), count(backbone)
    inverted = plain.invert(contents), plain.invert(styles)

    def run(job: hsx.Transfer, n: int) -> tuple[torch.Tensor, float, float, float]:
        """PSNR of each pair, E and D for each injected step, CPU seconds; with ``n`` pairs at a time."""
        calls.clear()
        out, begin = [], time.process_time()
        for i in range(0, pairs, n):
            out.append(job.inject(*(some(trajectory, slice(i, i + n)) for trajectory in inverted)).clamp(-1, 1))
        seconds, injected = time.process_time() - begin, sum(job.schedule.gamma(t) > 0 for t in job.injection_timesteps)
        encodes, decodes = (
            (calls[half] / len(out) - len(job.timesteps) + injected) / injected for half in ("encode", "decode")
        )
        return psnr(torch.cat(out), truth), encodes, decodes, seconds

    usual = run(plain, batch)[0]
    print("| kind | strategy | PSNR, dB | difference | E, D |\n|---|---|---|---|---|")
    for kind, listed in rows.items():
        for label, strategy, beside in listed:
            if kind in ("schedule", "solver") or beside:
                continue  # a matter of gamma or of steps, or aims at another picture than the truth
            values, encodes, decodes, _ = run(transfer(backbone, **{kind: strategy}), batch)
            apart = values - usual
            print(
                f"| {kind} | {' '.join(label.split())} | {values.mean():.2f} | {apart.mean():+.2f} ± "
                f"{apart.std() / pairs**0.5:.2f} | {encodes:.1f}, {decodes:.1f} |",
                flush=True,
            )
    if "calibrator" not in rows:
        return
    _, _, decodes, seconds = run(transfer(backbone, calibrator=strategies.IteratedLatent(0.3)), 1)
    print(
        f"IteratedLatent, pair by pair: {decodes - 2:.2f} applications a step, "
        f"{seconds / run(plain, 1)[3]:.2f} times the time of Latent"
    )


def some(whole: Trajectory, rows: slice) -> Trajectory:
    """Some rows of a batch."""
    features = {site: feature[rows] for site, feature in whole.features.items()}
    images = None if whole.images is None else whole.images[rows]
    return replace(whole, x_T=whole.x_T[rows], features=features, images=images)


def count(backbone: Any) -> Counter[str]:
    """How often E and D are called from now on."""
    calls: Counter[str] = Counter()

    def counted(name: str, half: Any, *given: Any) -> Any:
        calls[name] += 1
        return half(*given)

    for name in ("encode", "decode"):
        setattr(backbone, name, partial(counted, name, getattr(backbone, name)))
    return calls


def main() -> None:
    """Write the pictures, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs/images"))
    parser.add_argument("--pairs", type=int, default=48, help="of the table; 0 leaves it out")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    args = parser.parse_args()
    backbone = hsx.load_backbone("hsx://demo_faces")
    with tempfile.TemporaryDirectory() as folder:
        rows = {kind: listed for kind, listed in catalogue(Path(folder)).items() if kind in args.kinds}
        args.folder.mkdir(parents=True, exist_ok=True)
        draw_all(backbone, rows, args.folder)
        if args.pairs:
            measure(backbone, rows, args.pairs)


if __name__ == "__main__":
    main()

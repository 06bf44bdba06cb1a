"""What ``hsx sweep`` recommends without the true answers, against these: poster faces, whose transfers can be drawn.

    python benchmarks/sweeps.py OUT
    python benchmarks/sweeps.py OUT --model hsx://plain_faces --quick --held-out 48

The first sweeps the demo model over 4 x 3 settings with 12 pairs and prints how near the results of each are to the
truth, which the sweep does not see.  The second lets ``--quick`` choose what to try on a model that hsx does not know,
and measures what it recommends on other pairs, beside the paper's settings, the demo's, and recolouring.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1] / "examples" / "demo_faces"))
from baselines import recolour  # noqa: E402
from evaluate import held_out  # noqa: E402
from measure import Pairs, blurred, interval, psnr  # noqa: E402

import hsx  # noqa: E402
from hsx.cli import main as command  # noqa: E402
from hsx.errors import reported  # noqa: E402
from hsx.io.images import read_image, to_picture  # noqa: E402
from hsx.io.png import write_png  # noqa: E402

ROOT = Path(__file__).parents[1]
SEED, OTHERS = 20271, 20272  # of the pairs that are swept, and of those that the recommended settings are tried on
OVER = ("model.schedule.init_args.gamma=0.25:1:4", "model.normalizer=Frobenius,AdaIN,Identity")
PAPER = {"schedule": {"class_path": "Constant", "init_args": {"gamma": 0.3}}, "t_boost": 0}  # all else by default


@dataclass(frozen=True)
class Drawn:
    """Pairs that were drawn, and where their pictures are, by name."""

    pairs: Pairs
    folder: Path

    @classmethod
    def of(cls, n: int, size: int, seed: int, folder: Path) -> Drawn:
        """Draw them and write their pictures."""
        pairs = held_out(n, size, seed)
        for kind, letter, pictures in (("contents", "c", pairs.content), ("styles", "s", pairs.style)):
            for i, picture in enumerate(pictures):
                write_png(to_picture(picture), folder / kind / f"{letter}{i:03}.png", {})
        return cls(pairs, folder)

    @property
    def words(self) -> list[str]:
        """What a command line says for them."""
        places = (f"--data.{kind}={self.folder / kind}" for kind in ("contents", "styles"))
        return [*places, "--data.pairing=zip", "--data.batch_size=16"]

    def results(self, folder: Path) -> Tensor:
        """Those in a folder of a run, (N, 3, R, R), pair by pair."""
        names = [f"c{i:03}__s{i:03}.png" for i in range(len(self.pairs.content))]
        return torch.stack([read_image(folder / name, self.pairs.content.shape[-1]) for name in names])


def swept(out: Path, model: str, drawn: Drawn, quick: bool, over: list[str]) -> float:
    """Run the sweep; the seconds that it took.  Ends the script where it failed."""
    what = ["--quick"] if quick else [word for each in over for word in ("--over", each)]
    config = [] if quick else ["--config", str(ROOT / "configs" / "demo.yaml")]
    begun = time.monotonic()
    code = command(
        ["sweep", *config, f"--model.backbone={model}", *drawn.words, f"--output_dir={out}", *_always(what), *what]
    )
    if code:
        raise SystemExit(code)
    return time.monotonic() - begun


def against_the_truth(out: Path, drawn: Drawn) -> None:
    """How near each setting's results are to the truth, and the share of the best that the recommended one reaches."""
    settings = json.loads((out / "sweep.json").read_text())["settings"]
    near = {one["name"]: float(psnr(drawn.results(out / one["folder"]), drawn.pairs.truth).mean()) for one in settings}
    print("PSNR to the truth, which the sweep has not seen, in dB")
    for one in sorted(settings, key=lambda one: -near[one["name"]]):
        mark = "recommended" if one["recommended"] else "on the front" if one["front"] else ""
        print(f"    {near[one['name']]:6.2f}  {one['name']:50s} {mark}")
    chosen = next(near[one["name"]] for one in settings if one["recommended"])
    print(f"recommended: {chosen:.2f} dB, {chosen / max(near.values()):.1%} of the best, {max(near.values()):.2f} dB")


def on_other_pairs(out: Path, model: str, drawn: Drawn) -> None:
    """What is recommended, the paper's settings, the demo's, and recolouring, on pairs that were not swept."""
    demo = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text())["model"]
    made = {"recommended": [f"--config={out / 'recommended.yaml'}", "--data.pairs=null"]}
    for name, settings in (("the paper's settings", PAPER), ("the demo's settings", demo)):
        said = {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}
        made[name] = [f"--model.{key}={value}" for key, value in said.items() if key != "backbone"]
    rows = {"recolouring": recolour(drawn.pairs.content, drawn.pairs.style), "the style itself": drawn.pairs.style}
    for name, words in made.items():
        folder = out / "others" / name.replace(" ", "_")
        store = ["--store.path=null", f"--output_dir={folder}"]
        code = command(["predict", *words, f"--model.backbone={model}", *drawn.words, *store])
        if code:
            raise SystemExit(code)
        rows[name] = drawn.results(folder)
    truth = drawn.pairs.truth
    print(f"PSNR to the truth in dB, {len(truth)} pairs that were not swept, with intervals of 95 %")
    ours = psnr(rows["recommended"], truth)
    for name, result in rows.items():
        plain, soft = psnr(result, truth), psnr(blurred(result), blurred(truth))
        found = [_interval(each) for each in (plain, soft, ours - plain)]
        print(f"    {name:22s} {found[0]}  blurred {found[1]}  gain of the recommended over it {found[2]}")


def _interval(values: Tensor) -> str:
    mean, low, high = interval(lambda rows: float(values[rows].mean()), len(values))
    return f"{mean:6.2f} ({low:.2f} to {high:.2f})"


def _always(what: list[str]) -> list[str]:
    """What the demo's config has for a gamma of 1 alone."""
    return [] if "--quick" in what else ["--model.style_eps=always"]


def main() -> None:
    """Sweep, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="a folder for pictures and results")
    parser.add_argument("--model", default="hsx://demo_faces")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=SEED, help="of the pairs")
    parser.add_argument("--over", action="append", help="as of hsx sweep; by default 4 x 3 settings around the demo's")
    parser.add_argument("--quick", action="store_true", help="let hsx sweep choose what to try")
    parser.add_argument("--held-out", type=int, default=0, help="other pairs, on which the recommended is tried")
    args = parser.parse_args()
    size = hsx.load_backbone(args.model).sample_size
    drawn = Drawn.of(args.pairs, size, args.seed, args.out / "pairs")
    seconds = swept(args.out / "sweep", args.model, drawn, args.quick, args.over or [*OVER])
    print(f"the sweep took {seconds:.0f} s, {torch.get_num_threads()} threads")
    against_the_truth(args.out / "sweep", drawn)
    if args.held_out:
        others = Drawn.of(args.held_out, size, OTHERS, args.out / "other_pairs")
        on_other_pairs(args.out / "sweep", args.model, others)


if __name__ == "__main__":
    with reported("sweeps.py"):
        main()

"""hsx against the authors' procedure in plain loops, and against diffusers' schedulers: in turn, in one run.

    python benchmarks/run.py --json benchmarks.json
    python benchmarks/run.py --only fast inversions --rounds 5

has four parts, with the same weights and pictures for all ways of a part:

equal       equal numbers: one picture made by both, then what batches, memory layout and compilation add (``equal.py``)
fast        the demo's settings against the authors' (``fast.py``)
inversions  to noise and back, by diffusers and by hsx (``inversions.py``)
precision   the demo in bf16 and fp16, in few steps and in more: PSNR to float32 (``precision.py``)

Seconds are medians of several rounds; *faster* is how many times as fast as the first way a way is, the median of the
rounds, with the lowest and the highest in brackets.  An evaluation is E and D once, each counted by its multiply-adds.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import equal
import fast
import inversions
import precision
import torch
from jobs import Job
from turns import table, where

from hsx.errors import reported

PARTS = {"equal": equal, "fast": fast, "inversions": inversions, "precision": precision}


def main() -> None:
    """Measure, and print a table a part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is timed")
    parser.add_argument("--pairs", type=int, default=16, help="of the largest batch; half as many pictures")
    parser.add_argument("--model", default="hsx://demo_faces", help="a checkpoint")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--eager", action="store_true", help="nothing compiled, which takes a minute or more first")
    parser.add_argument("--tiny", action="store_true", help="few steps, to try the script out")
    parser.add_argument("--json", type=Path, help="a file for the numbers, written after each part")
    args = parser.parse_args()
    job = Job(args.model, args.device, args.pairs, args.rounds, not args.eager, args.tiny)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    found = {"machine": where(args.device), "rounds": args.rounds, "pairs": args.pairs, "model": args.model}
    print(", ".join(f"{name} {value}" for name, value in found["machine"].items()), flush=True)
    for name in args.only:
        begun = time.perf_counter()
        found[name] = PARTS[name].measure(job)
        print(f"\n{name} ({time.perf_counter() - begun:.0f} s)\n\n{table(found[name])}", flush=True)
        if args.json:
            args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    with reported("run.py"):
        main()

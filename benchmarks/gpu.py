"""What hsx takes on a GPU, in one run of eight minutes or less, and whether it makes there what it makes on a CPU.

    python benchmarks/gpu.py gpu.json --seconds 480

Networks of 256 x 256 have random weights (``networks.py``).  The parts, in order; each result is written to the JSON
file when it is there, so that a run that is cut short loses little:

matmul       the matrix rate, of which shares are: a product of 8192 x 8192
evaluations  E, D and both, batches of 1 to 64, precisions, memory layouts, CUDA graphs (``gpu_cases.py``)
decodes      both D of an injecting step, in one call and in two
transfers    pairs of ``hsx.Transfer``, and of the plain loop in float32 with a batch of one (``plain.py``)
pairs        1,000 pairs through ``hsx predict`` (``gpu_runs.py``)
demo         the main job, configs/demo.yaml
precision    its pictures in bf16 and fp16, against float32's (``precision.py``)
check        the same pictures on the CPU, and made again by ``hsx remake``
golden       single evaluations against the authors' recorded numbers
equal        hsx and the plain loop in turn on the demo model (``equal.py``)
more         further evaluations, compiled ones too, until the time is up
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import equal
import precision
import torch
from gpu_cases import DECODES, DTYPES, FIRST, REST, TRANSFERS, Bench
from gpu_runs import Runs
from jobs import Job
from turns import where

Part = Callable[[], Iterable[dict[str, Any]]]


def main() -> None:
    """Measure, part by part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path, help="a JSON file")
    parser.add_argument("--seconds", type=float, default=480, help="no result is begun later")
    parser.add_argument("--only", nargs="+", help="these parts")
    parser.add_argument("--tiny", action="store_true", help="tiny networks and few pictures, to try the script out")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        todo = parts(device, Path(folder), begun + args.seconds, args.tiny)
        if unknown := {*(args.only or ())} - {*todo}:
            parser.error(f"--only: expected some of {', '.join(todo)}, got {', '.join(sorted(unknown))}")
        found: dict[str, Any] = {"machine": where(device)}
        print(found["machine"], flush=True)
        for name in args.only or todo:
            rows = found[name] = list[dict[str, Any]]()
            try:
                for row in todo[name]():
                    rows.append(row)
                    print(f"{time.monotonic() - begun:4.0f} s  {name}: {row}", flush=True)
                    args.output.write_text(json.dumps(found, indent=1) + "\n")
                    if time.monotonic() > begun + args.seconds:
                        break
            except (Exception, SystemExit) as error:  # the next part may do better
                rows.append({"error": f"{type(error).__name__}: {error}"})
                traceback.print_exc()
            if time.monotonic() > begun + args.seconds:
                break
        args.output.write_text(json.dumps(found, indent=1) + "\n")


def parts(device: str, work: Path, until: float, tiny: bool) -> dict[str, Part]:
    """Each part by its name, which gives its rows one by one."""
    bench, runs = Bench(device, until, tiny), Runs(device, work, until, tiny)
    job = Job("hsx://demo_faces", device, 1 if tiny else 16, 1 if tiny else 3, compiled=False, tiny=tiny)

    def of(cases: list, what: Callable) -> Part:
        return lambda: (bench.measured(case, what) for case in bench.small(cases))

    return {
        "matmul": lambda: ({"dtype": dtype, "FLOP/s": bench.rate(dtype)} for dtype in DTYPES),
        "evaluations": of(FIRST, bench.evaluation),
        "decodes": of(DECODES, bench.decodes),
        "transfers": of(TRANSFERS, bench.transfer),
        "pairs": runs.pairs,
        "demo": runs.demo,
        "precision": lambda: precision.measure(job),
        "check": runs.check,
        "golden": runs.golden,
        "equal": lambda: equal.measure(job),
        "more": of(REST, bench.evaluation),
    }


if __name__ == "__main__":
    main()

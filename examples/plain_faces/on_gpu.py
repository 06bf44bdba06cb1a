"""One GPU for some minutes, two commands: train the models, then measure and check.

    python examples/plain_faces/on_gpu.py train OUT --limit 500
    python examples/plain_faces/on_gpu.py measure OUT --limit 240

Each keeps to its limit in seconds, the most valuable first, and what is done lies in OUT when it is done, few files and
small: a tar of a diffusers folder, samples and the record for each model; tables, pictures and logs for the rest.
``--tiny`` tries everything out on a CPU.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KEPT = ("model", "samples.png", "record.json")


class Commands:
    """Commands one after the other, up to a limit."""

    def __init__(self, out: Path, limit: float) -> None:
        self.out, self.ends = out, time.monotonic() + limit
        out.mkdir(parents=True, exist_ok=True)

    def left(self) -> float:
        """Seconds."""
        return self.ends - time.monotonic()

    def run(self, *argv: str | Path, within: float) -> int | None:
        """Run Python with these arguments, stopped after ``within`` seconds or at the limit.

        Returns its exit code, None where it was stopped or there was no time for it.
        """
        within, begun = min(within, self.left()), time.monotonic()
        if within < 1:
            print(f"no time left for {argv[0]}", flush=True)
            return None
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        print(f"== {' '.join(map(str, argv))} (within {within:.0f} s)", flush=True)
        try:
            done = subprocess.run(
                [sys.executable, *argv], cwd=ROOT, timeout=within, env={**os.environ, "PYTHONPATH": path}
            )
            print(f"== exit code {done.returncode} after {time.monotonic() - begun:.0f} s", flush=True)
            return done.returncode
        except subprocess.TimeoutExpired:
            print(f"== stopped after {within:.0f} s", flush=True)
            return None

    def pack(self, folder: Path) -> None:
        """What is of use in a training's folder, as one file."""
        there = [folder / name for name in KEPT if (folder / name).exists()]
        if not there:
            return
        with tarfile.open(self.out / "part", "w") as tar:
            for path in there:
                tar.add(path, f"{folder.name}/{path.name}")
        (self.out / "part").replace(self.out / f"{folder.name}.tar")


def train(commands: Commands, work: Path, tiny: bool) -> None:
    """The model that ships, then the two for the record, which share what time it leaves."""
    overhead = 1 if tiny else 24  # seconds from the start of Python to its end that are no training
    for name in ("plain", "velocity", "deep"):
        left = commands.left()
        seconds = {"plain": 0.45 * left, "velocity": left / 2 - overhead, "deep": left - overhead}[name]
        if seconds < (1 if tiny else 20):
            print(f"no time left for {name}", flush=True)
            continue
        argv = [HERE / "train.py", work / name, "--data", work, "--seconds", f"{seconds:.0f}"]
        if tiny:
            argv += ["--model", "tiny", "--faces", "200", "--batch", "4"]
        else:
            argv += ["--model", name, "--faces", "50000"]
            argv += ["--batch", "256", "--compile", "90"] if name == "plain" else ["--batch", "128"]
        if commands.run(*argv, within=commands.left() - 2):  # it failed: once more, more carefully, from its last.pt
            commands.run(*argv, "--compile", "0", "--rate", "3e-4", within=commands.left() - 2)
        commands.pack(work / name)


def measure(commands: Commands, tiny: bool) -> None:
    """hsx on this device against the CPU, then times, then tests."""
    small = ["--tiny"] if tiny else []
    commands.run(ROOT / "benchmarks/gpu_check.py", commands.out, *small, within=90)
    times = [ROOT / "benchmarks/gpu.py", commands.out / "gpu.json", "--seconds", f"{commands.left() - 40:.0f}"]
    commands.run(*times, *small, within=commands.left() - 22)
    tests = [ROOT / f"tests/unit/test_{name}.py" for name in ("golden", "transfer")]
    commands.run("-m", "pytest", "-n", "0", *tests, within=60)


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("train", "measure"))
    parser.add_argument("out", type=Path, help="where the results go")
    parser.add_argument("--work", type=Path, default=Path("/tmp/plain_faces"), help="where training keeps its state")
    parser.add_argument("--limit", type=float, default=500, help="seconds for all of it")
    parser.add_argument("--tiny", action="store_true", help="tiny networks, to try it out on a CPU")
    args = parser.parse_args()
    commands = Commands(args.out.resolve(), args.limit)
    if args.what == "train":
        train(commands, args.work, args.tiny)
    else:
        measure(commands, args.tiny)


if __name__ == "__main__":
    main()

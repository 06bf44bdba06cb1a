"""Time and memory from the start of ``hsx predict`` to its first batch, with a table of a million rows and with one.

    python benchmarks/startup.py [ROWS]

makes CSV tables over 1,000 contents and 1,000 styles and starts the real command on each in a process of its own, which
ends where the network would first be evaluated.  Seconds count from the start of the process; of its memory VmHWM is
the most that was resident so far, RssAnon what is its own, RssFile what it may share (the libraries' code).
"""

from __future__ import annotations

import importlib
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 1_000_000


def data(folder: Path, rows: int) -> None:
    """Small contents and styles (a million rows: 1,000 each), tables of each with each in no order and of one row."""
    picture, side = (files("hsx") / "assets/demo_faces/contents/bald_1.png").read_bytes(), math.isqrt(rows)
    for kind in ("contents", "styles"):
        (folder / kind).mkdir()
        for i in range(side):
            (folder / kind / f"{kind[:-1]}_{i}.png").write_bytes(picture)
    lines = [
        f"contents/content_{i // side}.png,styles/style_{i % side}.png\n"
        for i in np.random.default_rng(0).permutation(side**2)
    ]
    for n in (1, side**2):
        (folder / f"{n}.csv").write_text("content,style\n" + "".join(lines[:n]))


def start(folder: Path, rows: int, begun: float) -> None:
    """The command itself, in this process, saying where it is."""

    def said(what: str) -> None:
        memory = dict(re.findall(r"(VmHWM|RssAnon|RssFile):\s+(\d+)", Path("/proc/self/status").read_text()))
        print(
            f"{rows:9,d} rows, {what:21s} {time.time() - begun:5.1f} s, "
            + ", ".join(f"{name} {int(kib) / 1024:5.0f} MiB" for name, kib in memory.items()),
            flush=True,
        )

    def read_table(path: Path) -> Any:
        said("options and model")
        table = read(path)
        said("table")
        return table

    def first_batch(module: Any, batch: dict) -> None:
        said("first batch")
        os._exit(0)

    for name in ("torch", "lightning", "hsx.runner.run"):
        importlib.import_module(name)
        said(name)
    from hsx.cli import main
    from hsx.runner import data as datamodule
    from hsx.runner import stages

    read, datamodule.read_table = datamodule.read_table, read_table
    stages.Invert.predict_step = first_batch  # type: ignore[method-assign,assignment]
    main(
        [
            "predict",
            "--model.backbone",
            "hsx://demo_faces",
            "--data.pairs",
            str(folder / f"{rows}.csv"),
            "--output_dir",
            str(folder / f"out{rows}"),
        ]
    )


if __name__ == "__main__":
    if len(sys.argv) == 4:
        start(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    else:
        rows = int(sys.argv[1]) if len(sys.argv) == 2 else ROWS  # a square number
        with tempfile.TemporaryDirectory() as name:
            data(Path(name), rows)
            for n in (1, rows):
                subprocess.run([sys.executable, __file__, name, str(n), str(time.time())], check=True)

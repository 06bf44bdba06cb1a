"""Several ways to make the same, timed in turn, and where that was."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import hsx
from hsx.backbones.base import Bottleneck
from hsx.backbones.counted import Counted

ROOT = Path(__file__).parents[1]


class Tally(Counted):
    """A network that counts the pictures that E and D were given."""

    def __init__(self, net: hsx.Backbone) -> None:
        super().__init__(net)
        self.calls = {"E": 0, "D": 0}

    def encode(self, x: Tensor, t: Tensor) -> Bottleneck:
        """E."""
        self.calls["E"] += len(x)
        return super().encode(x, t)

    def decode(self, b: Bottleneck) -> Tensor:
        """D."""
        self.calls["D"] += len(b.h)
        return super().decode(b)


@dataclass
class Way:
    """One way to make something, and what it took.

    Attributes:
        name: what it is called in the table.
        net: which it runs, where its calls can be counted.
        items: how many pairs, or pictures, a call makes.
        call: makes them; (items, 3, R, R), where they are compared.
        facts: what else is known of it.
        seconds: an item, of each round.
        made: by the last call.
    """

    name: str
    net: Tally | None
    items: int
    call: Callable[[], Tensor | None]
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    made: Tensor | None = None

    def once(self) -> float:
        """Make them; the seconds that it took."""
        if self.net:
            self.net.calls.update(E=0, D=0)
        wait()
        begun = time.perf_counter()
        self.made = self.call()
        wait()
        taken = time.perf_counter() - begun
        if self.net:
            self.facts |= self._counted(self.net)
        return taken

    def _counted(self, net: Tally) -> dict[str, float]:
        """Of an item: calls of E and of D, and evaluations of the network, each half by its multiply-adds."""
        each = {half: count / self.items for half, count in net.calls.items()}
        macs = {"E": net.layout.encode_macs, "D": net.layout.decode_macs}
        whole = sum(each[half] * macs[half] for half in each) / sum(macs.values())
        return {"E": round(each["E"], 2), "D": round(each["D"], 2), "evaluations": round(whole, 2)}


def in_turn(ways: Sequence[Way], rounds: int) -> list[dict[str, Any]]:
    """Time all ways so many times, one after the other, each round in the other direction; a row of the table each.

    Seconds are medians; ratios are of the first way's seconds to theirs in the same round, the median and both ends.
    """
    for i in range(rounds):
        for way in ways if i % 2 == 0 else ways[::-1]:
            way.seconds.append(way.once() / way.items)
    rows = []
    for way in ways:
        ratios = [first / own for first, own in zip(ways[0].seconds, way.seconds, strict=True)]
        row: dict[str, Any] = {"way": way.name, **way.facts, "seconds": round(statistics.median(way.seconds), 4)}
        row |= {"all seconds": [round(s, 4) for s in way.seconds]}
        ratio, spread = statistics.median(ratios), [round(min(ratios), 3), round(max(ratios), 3)]
        rows.append(row | {"faster": round(ratio, 3), "spread": spread})
    return rows


def wait() -> None:
    """Until the device has done all that it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def psnr(made: Tensor, true: Tensor) -> Tensor:
    """Of each picture (B, 3, R, R) in [-1, 1], in dB."""
    return 10 * torch.log10(4 / (made - true).square().mean((1, 2, 3)).clamp(min=1e-10))


def where(device: str) -> dict[str, Any]:
    """The commit, the machine and what else runs on it."""
    try:
        command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
        commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except OSError:  # there is no git
        commit = ""
    name = platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    known = {"commit": commit or "unknown", "cpu": name, "cores": cores, "threads": torch.get_num_threads()}
    if device != "cpu":
        known["gpu"] = torch.cuda.get_device_name(device)
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return known | {"torch": torch.__version__, "load before": load}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table of Markdown, with all columns that any of them has."""
    names = list(dict.fromkeys(name for row in rows for name in row if name not in ("all seconds", "spread")))
    lines = [names, ["---"] * len(names)]
    for row in rows:
        shown = dict(row)
        if "faster" in row:
            shown["faster"] = f"{row['faster']:.2f} ({' to '.join(f'{ratio:.2f}' for ratio in row['spread'])})"
        lines.append([str(shown.get(name, "")) for name in names])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""What an evaluation of a network of 256 x 256 pictures takes on a GPU, and what share of its matrix rate that is.

    python benchmarks/gpu.py gpu.json --seconds 150

times E, D and both, with random weights, which take no less time than trained ones: DDPM 256 (google/ddpm-celebahq-256)
and ADM 256 unconditional (openai/guided-diffusion), batches of 1 to 64, float32 with and without TF32, bf16 and fp16,
eager and compiled; and the pairs a second of ``hsx.Transfer``.  The cases that say most come first, and each is written
when it is done, so that a run that is cut short loses little.  The matrix rate is measured by a large matmul, here.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor

import hsx
from hsx.backbones.unet2d import UNet2DBackbone

DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
COMPILE = 45  # seconds after which compiling is given up
STEPS = 10  # of the timed transfers


def named(kinds: str, down: str, up: str) -> dict[str, Any]:
    """The blocks of a network: ``a`` a level with attention, ``-`` one without, the full resolution first."""
    return {
        "down_block_types": tuple("AttnDownBlock2D" if kind == "a" else down for kind in kinds),
        "up_block_types": tuple("AttnUpBlock2D" if kind == "a" else up for kind in reversed(kinds)),
    }


NETWORKS: dict[str, dict[str, Any]] = {
    "DDPM 256": {
        "sample_size": 256,
        "block_out_channels": (128, 128, 256, 256, 512, 512),
        "layers_per_block": 2,
        "attention_head_dim": None,
        "norm_eps": 1e-6,
        "downsample_padding": 0,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
        **named("----a-", "DownBlock2D", "UpBlock2D"),
    },
    "ADM 256": {
        "sample_size": 256,
        "block_out_channels": (256, 256, 512, 512, 1024, 1024),
        "layers_per_block": 2,
        "attention_head_dim": 64,
        "out_channels": 6,
        "downsample_type": "resnet",
        "upsample_type": "resnet",
        "resnet_time_scale_shift": "scale_shift",
        "attn_norm_num_groups": 32,
        "time_embedding_dim": 1024,
        **named("---aaa", "ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"),
    },
    "tiny": {
        "sample_size": 16,
        "block_out_channels": (32, 32),
        "layers_per_block": 1,
        **named("--", "DownBlock2D", "UpBlock2D"),
    },
}

Case = tuple[str, str, str, int]  # network, dtype, how, batch
FIRST: list[Case] = [
    ("DDPM 256", "bf16", "channels_last", 16),
    ("DDPM 256", "float32", "eager", 1),
    ("DDPM 256", "bf16", "eager", 16),
    ("DDPM 256", "tf32", "eager", 16),
    ("DDPM 256", "bf16", "eager", 1),
    ("DDPM 256", "float32", "eager", 16),
    ("DDPM 256", "fp16", "channels_last", 16),
    ("DDPM 256", "bf16", "channels_last", 64),
    ("DDPM 256", "bf16", "transfer", 16),
    ("DDPM 256", "bf16", "compiled", 16),
    ("DDPM 256", "bf16", "channels_last", 4),
    ("DDPM 256", "tf32", "transfer", 16),
    ("ADM 256", "bf16", "channels_last", 16),
    ("ADM 256", "float32", "eager", 1),
    ("ADM 256", "bf16", "eager", 1),
    ("ADM 256", "tf32", "eager", 16),
    ("ADM 256", "bf16", "eager", 16),
    ("ADM 256", "fp16", "channels_last", 16),
    ("ADM 256", "bf16", "channels_last", 4),
    ("ADM 256", "float32", "eager", 16),
    ("ADM 256", "bf16", "channels_last", 64),
    ("DDPM 256", "bf16", "compiled with graphs", 1),
]


def cases() -> list[Case]:
    """The first ones, then the rest."""
    rest = [
        (network, dtype, "eager" if "32" in dtype else "channels_last", batch)
        for network in ("DDPM 256", "ADM 256")
        for batch in (4, 1, 16, 64)
        for dtype in ("bf16", "fp16", "tf32", "float32")
    ]
    return FIRST + [case for case in rest if case not in FIRST]


class Bench:
    """One network at a time on the device, and what was measured."""

    def __init__(self, device: str, output: Path, until: float) -> None:
        self.device, self.output, self.until = torch.device(device), output, until
        self.rows: list[dict[str, Any]] = []
        self.rates: dict[str, float] = {}
        self.at: tuple[str, torch.dtype, bool] | None = None
        self.net: hsx.Backbone | None = None

    def network(self, name: str, dtype: torch.dtype, channels_last: bool) -> hsx.Backbone:
        """The random network; made anew only where it is another than before."""
        if self.net is None or self.at is None or self.at[0] != name:
            self.net = None
            torch.manual_seed(0)
            with self.device:
                self.net = UNet2DBackbone(UNet2DModel(**NETWORKS[name]), hsx.NoiseSchedule.linear())
        kept = torch.channels_last if channels_last else torch.contiguous_format
        self.at = (name, dtype, channels_last)
        self.net = self.net.to(dtype=dtype).to(memory_format=kept)
        return self.net

    def seconds(self, f: Callable[[], Any], budget: float = 0.8) -> float:
        """The median time of some calls after one that warms up, two where that is quick."""
        taken: list[float] = []
        while len(taken) < 3 or (len(taken) < 22 and sum(taken) < budget):
            self.wait()
            begun = time.perf_counter()
            f()
            self.wait()
            taken.append(time.perf_counter() - begun)
            if len(taken) == 2 and sum(taken) > 2 * budget:
                return taken[1]
        return statistics.median(taken[2:])

    def wait(self) -> None:
        """Until the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def matmul(self, dtype: str, n: int) -> None:
        """The rate of a product of two random matrices, in FLOP a second."""
        with tf32(dtype == "tf32"):
            a, b = (torch.randn(n, n, device=self.device, dtype=DTYPES[dtype]) for _ in range(2))
            self.rates[dtype] = 2 * n**3 / self.seconds(lambda: a @ b)
        print(f"matmul {n} {dtype}: {self.rates[dtype] / 1e12:.1f} TFLOP/s", flush=True)

    def measure(self, case: Case) -> dict[str, Any]:
        """A row: what a case takes, or what it ended with."""
        name, dtype, how, batch = case
        row: dict[str, Any] = {"network": name, "dtype": dtype, "how": how, "batch": batch}
        begun = time.perf_counter()
        try:
            net = self.network(name, DTYPES[dtype], how != "eager")
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            with tf32(dtype == "tf32"), torch.no_grad():
                row |= self.transfer(net, batch) if how == "transfer" else self.evaluation(net, dtype, how, batch)
            if self.device.type == "cuda":
                row["peak GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        except Exception as error:  # a case that fails is a result
            row["error"] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        if how.startswith("compiled"):
            torch._dynamo.reset()
        row["took s"] = round(time.perf_counter() - begun, 1)
        return row

    def evaluation(self, net: hsx.Backbone, dtype: str, how: str, batch: int) -> dict[str, Any]:
        """Milliseconds of E, D and both, a picture, and the share of the matrix rate."""
        size = net.sample_size
        x = torch.randn(batch, 3, size, size, device=self.device)
        t = torch.full((batch,), 500, device=self.device)
        row: dict[str, Any] = {}
        if how.startswith("compiled"):
            # one picture's evaluations are launched as a CUDA graph, where they would be waited for
            whole: Callable[[Tensor, Tensor], Tensor] = torch.compile(
                net, mode="reduce-overhead" if "graphs" in how else None
            )
            begun = time.perf_counter()
            with limited(max(1, int(min(COMPILE, self.until - time.monotonic())))):
                whole(x, t)
                self.wait()
            row["compile s"] = round(time.perf_counter() - begun, 1)
            off = (whole(x, t) - (plain := net(x, t))).norm() / plain.norm()
            row["difference"] = float(f"{float(off):.1e}")
        else:
            whole = net
            row["E ms"] = 1e3 * self.seconds(lambda: net.encode(x, t)) / batch
            b = net.encode(x, t)
            row["D ms"] = 1e3 * self.seconds(lambda: net.decode(b)) / batch
            del b
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()  # that of an evaluation, E and D in turn
        row["E+D ms"] = 1e3 * self.seconds(lambda: whole(x, t)) / batch
        flop = 2 * (net.layout.encode_macs + net.layout.decode_macs)
        row["share"] = flop / row["E+D ms"] * 1e3 / self.rates[dtype]
        return {key: round(value, 4) if key != "difference" else value for key, value in row.items()}

    def transfer(self, net: hsx.Backbone, batch: int) -> dict[str, Any]:
        """Pairs a second of ``hsx.Transfer``, both inversions counted; all its steps inject."""
        transfer = hsx.Transfer(net, inversion_steps=STEPS, generation_steps=STEPS, t_edit=0, t_boost=0)
        size = net.sample_size
        content, style = (torch.rand(batch, 3, size, size, device=self.device) * 2 - 1 for _ in range(2))
        contents, styles = transfer.invert(content), transfer.invert(style)
        invert = self.seconds(lambda: transfer.invert(content))
        inject = self.seconds(lambda: transfer.inject(contents, styles))
        return {
            "steps": STEPS,
            "ms an inversion": round(1e3 * invert / batch, 3),
            "ms a pair": round(1e3 * inject / batch, 3),
            "pairs/s": round(batch / (2 * invert + inject), 3),
        }

    def write(self) -> None:
        """The JSON file as it stands."""
        on = torch.cuda.get_device_name() if self.device.type == "cuda" else platform.processor()
        known = {"device": on, "torch": torch.__version__, "matmul FLOP/s": self.rates, "rows": self.rows}
        self.output.write_text(json.dumps(known, indent=1))


@contextmanager
def tf32(on: bool) -> Iterator[None]:
    """Matrix products and convolutions of float32 in TF32, or not; without it afterwards."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = on
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raises TimeoutError in what takes longer."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 2)  # again and again, as a compiler may catch one and go on
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def shown(rows: list[dict[str, Any]]) -> str:
    """A table of what was measured, milliseconds a picture."""
    columns = ("E ms", "D ms", "E+D ms", "share", "peak GiB", "compile s", "ms an inversion", "ms a pair", "pairs/s")
    lines = [f"{'network':9} {'dtype':8} {'how':21} {'batch':>5} " + " ".join(f"{c:>10.10}" for c in columns)]
    for row in rows:
        cells = " ".join(f"{row.get(column, ''):>10}" for column in columns)
        lines.append(
            f"{row['network']:9} {row['dtype']:8} {row['how']:21} {row['batch']:5} {row.get('error', cells)}".rstrip()
        )
    return "\n".join(lines)


def main() -> None:
    """Measure until the time is up, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path, help="a JSON file")
    parser.add_argument("--seconds", type=float, default=150, help="no case begins later")
    parser.add_argument("--tiny", action="store_true", help="a tiny network, to try the script out without a GPU")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    bench = Bench(device, args.output, time.monotonic() + args.seconds)
    for dtype in DTYPES:
        bench.matmul(dtype, 128 if args.tiny else 8192)
    todo = cases()
    if args.tiny:
        todo = list(dict.fromkeys(("tiny", dtype, how, min(batch, 2)) for _, dtype, how, batch in todo))
    for case in todo:
        if time.monotonic() > bench.until:
            break
        bench.rows.append(bench.measure(case))
        bench.write()
        print(bench.rows[-1], flush=True)
    print(shown(bench.rows))


if __name__ == "__main__":
    main()

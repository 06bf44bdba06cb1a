"""What single evaluations and transfers take on a device, and what share of its matrix rate that is."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from networks import random_network
from plain import Plain
from torch import Tensor
from turns import wait

import hsx
from hsx.backbones.base import Bottleneck
from hsx.backbones.compiled import Compiled

DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
COMPILE = 100  # seconds after which compiling is given up
STEPS = (
    8  # of the timed transfers each way, five of which inject: at most 27 evaluations a pair, both inversions counted
)


class Case(NamedTuple):
    """What is timed: words of ``how`` are channels_last, benchmark (cuDNN's), graph (CUDA's) and compiled."""

    network: str
    dtype: str
    how: str
    batch: int


def grid(network: str, dtypes: str, how: str, batches: tuple[int, ...]) -> list[Case]:
    """Cases of a network."""
    return [Case(network, dtype, how, batch) for batch in batches for dtype in dtypes.split()]


FIRST = [
    *grid("DDPM 256", "bf16", "eager", (16, 1, 4, 64)),
    *grid("DDPM 256", "float32", "eager", (1, 16)),
    *grid("DDPM 256", "bf16", "benchmark", (16,)),
    *grid("DDPM 256", "bf16", "channels_last benchmark", (16, 64)),
    *grid("DDPM 256", "bf16", "graph", (1, 4, 16)),
    *grid("DDPM 256", "tf32 fp16", "eager", (16,)),
    *grid("ADM 256", "bf16", "eager", (16, 1)),
    *grid("ADM 256", "float32", "eager", (1,)),
    *grid("ADM 256", "bf16", "benchmark", (16,)),
    *grid("ADM 256", "bf16", "channels_last benchmark", (16,)),
    *grid("ADM 256", "bf16", "graph", (1, 16)),
]
REST = [
    *grid("DDPM 256", "bf16", "compiled", (16,)),
    *grid("ADM 256", "bf16", "eager", (4, 64)),
    *grid("ADM 256", "tf32 fp16", "eager", (16,)),
    *grid("DDPM 256", "bf16", "eager", (2, 8, 32)),
    *grid("ADM 256", "bf16", "eager", (2, 8, 32)),
    *grid("DDPM 256", "bf16", "channels_last", (16,)),
    *grid("DDPM 256", "float32 tf32 fp16", "eager", (4, 64)),
    *grid("ADM 256", "float32 tf32 fp16", "eager", (4, 64)),
    *grid("ADM 256", "bf16", "compiled", (16,)),
]
DECODES = [
    case for n in ("DDPM 256", "ADM 256") for d in ("bf16", "float32") for case in grid(n, d, "eager", (1, 4, 16))
]
TRANSFERS = [
    *grid("DDPM 256", "float32", "plain", (1,)),
    *grid("DDPM 256", "bf16", "eager", (16, 1, 4, 64)),
    *grid("DDPM 256", "float32", "eager", (1, 16)),
    *grid("DDPM 256", "bf16", "channels_last benchmark", (16,)),
    *grid("ADM 256", "float32", "plain", (1,)),
    *grid("ADM 256", "bf16", "eager", (16,)),
]


class Bench:
    """One network at a time on the device.

    Args:
        device: cuda, or cpu to try this out.
        until: when no compilation may go on, by ``time.monotonic``.
        tiny: a tiny network in place of all.
    """

    def __init__(self, device: str, until: float, tiny: bool = False) -> None:
        self.device, self.until, self.tiny = torch.device(device), until, tiny
        self.steps = 2 if tiny else STEPS
        self.rates: dict[str, float] = {}
        self.name, self.net = "", None

    def small(self, cases: list[Case]) -> list[Case]:
        """Those that are run: with ``tiny`` once for each dtype and way."""
        if not self.tiny:
            return cases
        return list(dict.fromkeys(Case("tiny", case.dtype, case.how, min(case.batch, 2)) for case in cases))

    def rate(self, dtype: str) -> float:
        """That of a product of two random matrices, in FLOP a second, measured once."""
        if dtype not in self.rates:
            n = 128 if self.tiny else 8192
            with tf32(dtype == "tf32"):
                a, b = (torch.randn(n, n, device=self.device, dtype=DTYPES[dtype]) for _ in range(2))
                self.rates[dtype] = 2 * n**3 / self.seconds(lambda: a @ b)
        return self.rates[dtype]

    def measured(self, case: Case, of: Callable[[hsx.Backbone, Case], dict[str, Any]]) -> dict[str, Any]:
        """A row: what a case takes, or what it ended with, and the most memory that it held."""
        row: dict[str, Any] = case._asdict()
        begun = time.perf_counter()
        try:
            net = self._network(case)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            torch.backends.cudnn.benchmark = "benchmark" in case.how
            with tf32(case.dtype == "tf32"), torch.no_grad():
                row |= of(net, case)
            if self.device.type == "cuda":
                row["peak GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        except Exception as error:  # a case that fails is a result
            row["error"] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:160]}"
        if case.how == "compiled":
            torch._dynamo.reset()
        return row | {"took s": round(time.perf_counter() - begun, 1)}

    def evaluation(self, net: hsx.Backbone, case: Case) -> dict[str, Any]:
        """Milliseconds a picture of E, of D and of both, and the share of the matrix rate."""
        x, t = self._input(net, case)
        row: dict[str, Any] = {}
        if case.how == "graph":
            both = self.seconds(captured(net, x, t).replay)
        else:
            if case.how == "compiled":
                net = compiled = Compiled(net)
                begun = time.perf_counter()
                with limited(max(1, int(min(COMPILE, self.until - time.monotonic())))):
                    net(x, t)
                    wait()
                row |= {"compile s": round(time.perf_counter() - begun, 1), "compiled": compiled.compiled}
            row["E ms"] = self.ms(lambda: net.encode(x, t), case)
            b = net.encode(x, t)
            row["D ms"] = self.ms(lambda: net.decode(b), case)
            del b
            both = self.seconds(lambda: net(x, t))
        flop = 2 * (net.layout.encode_macs + net.layout.decode_macs) * case.batch
        return row | {
            "E+D ms": round(1e3 * both / case.batch, 3),
            "share": round(flop / both / self.rate(case.dtype), 4),
        }

    def decodes(self, net: hsx.Backbone, case: Case) -> dict[str, Any]:
        """Milliseconds a pair of both D of an injecting step, in two calls and in one."""
        b = net.encode(*self._input(net, case))
        injected = b.with_h(torch.randn_like(b.h))
        two = self.ms(lambda: (net.decode(b), net.decode(injected)), case)
        one = self.ms(lambda: net.decode(joined(b, injected)), case)
        return {"two calls ms": two, "one call ms": one, "two over one": round(two / one, 3)}

    def transfer(self, net: hsx.Backbone, case: Case) -> dict[str, Any]:
        """Milliseconds a pair: of injection, and with both inversions; of the plain loop only the latter."""
        size = net.sample_size
        content, style = (torch.rand(case.batch, 3, size, size, device=self.device) * 2 - 1 for _ in range(2))
        counts = dict.fromkeys(("inversion_steps", "generation_steps", "content_replace_step"), self.steps)
        if case.how == "plain":
            loop = Plain(net, **counts)
            return {"steps": self.steps, "ms with inversions": self.ms(lambda: loop(content, style), case)}
        transfer = hsx.Transfer.paper(net, **counts)
        contents, styles = transfer.invert(content), transfer.invert(style, ())
        inject = self.ms(lambda: transfer.inject(contents, styles), case)
        whole = self.ms(lambda: transfer(content, style), case)
        return {"steps": self.steps, "ms a pair": inject, "ms with inversions": whole, "pairs/s": round(1e3 / whole, 2)}

    def ms(self, call: Callable[[], Any], case: Case) -> float:
        """Milliseconds for one of a batch."""
        return round(1e3 * self.seconds(call) / case.batch, 3)

    def seconds(self, call: Callable[[], Any]) -> float:
        """The median time of some calls after one that warms up, two where that is quick."""
        budget = 0.01 if self.tiny else 0.8
        taken: list[float] = []
        while len(taken) < 3 or (len(taken) < 22 and sum(taken) < budget):
            wait()
            begun = time.perf_counter()
            call()
            wait()
            taken.append(time.perf_counter() - begun)
            if len(taken) == 2 and sum(taken) > 2 * budget:
                return taken[1]
        return statistics.median(taken[2:])

    def _network(self, case: Case) -> hsx.Backbone:
        """The random network; made anew only where it is another than before."""
        if self.net is None or self.name != case.network:
            self.net = None
            self.net, self.name = random_network(case.network, self.device), case.network
        kept = torch.channels_last if "channels_last" in case.how else torch.contiguous_format
        self.net = self.net.to(dtype=DTYPES[case.dtype]).to(memory_format=kept)
        return self.net

    def _input(self, net: hsx.Backbone, case: Case) -> tuple[Tensor, Tensor]:
        """x and t."""
        x = torch.randn(case.batch, 3, net.sample_size, net.sample_size, device=self.device)
        return x, torch.full((case.batch,), 500, device=self.device)


def joined(a: Bottleneck, b: Bottleneck) -> Bottleneck:
    """Two of them as one batch."""
    skips = tuple(torch.cat(both) for both in zip(a.skips, b.skips, strict=True))
    x, t = (torch.cat(both) for both in ((a.x, b.x), (a.t, b.t)))  # type: ignore[arg-type]
    return Bottleneck(torch.cat([a.h, b.h]), skips, torch.cat([a.emb, b.emb]), x, t, a.names)


def captured(net: hsx.Backbone, x: Tensor, t: Tensor) -> torch.cuda.CUDAGraph:
    """An evaluation as a CUDA graph, whose kernels are launched all at once."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            net(x, t)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        net(x, t)
    return graph


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

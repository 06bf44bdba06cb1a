"""Train an ordinary unconditional diffusion model on poster faces, by the plainest recipe.

    python examples/plain_faces/train.py .state/plain                                  # six hours of a CPU
    python examples/plain_faces/train.py .state/plain --seconds 300 --batch 256        # five minutes of a GPU

The loss is the mean square error of the predicted noise (or of v), the timestep uniform, the betas linear, the
optimiser Adam, and the weights that are kept are an exponential moving average.  Nothing teaches the network what to
keep in its bottleneck.  Started again, it goes on from ``last.pt``; every draw of an iteration comes from a generator
seeded with its number.  ``model/`` in the folder is a diffusers pipeline in fp16, written every minute.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import time
from collections.abc import Callable
from copy import deepcopy
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from faces import FILES, HELD_OUT, draw
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from batches import apply_styles  # isort: skip  # of examples/demo_faces, like the next
from poster_faces import contact_sheet, make  # isort: skip

EPS, V = "epsilon", "v_prediction"
ORDINARY: dict[str, Any] = {"channels": (32, 64, 96, 128), "layers": 1, "attention": (16,)}
MODELS: dict[str, dict[str, Any]] = {
    "plain": {**ORDINARY, "prediction": EPS},
    "velocity": {**ORDINARY, "prediction": V},
    "deep": {"channels": (32, 64, 96, 128, 128), "layers": 2, "attention": (16,), "prediction": EPS},
    "tiny": {"channels": (8, 8), "layers": 1, "attention": (), "prediction": EPS},  # for trying the script out
}
EVERY = 50  # iterations between looks at the loss and the clock


def make_network(channels: tuple[int, ...], layers: int, attention: tuple[int, ...], size: int) -> UNet2DModel:
    """A ``UNet2DModel`` with attention at some sides of its grids (and in its middle)."""
    attends = [size >> level in attention for level in range(len(channels))]
    return UNet2DModel(
        sample_size=size,
        block_out_channels=channels,
        layers_per_block=layers,
        norm_num_groups=8,
        attention_head_dim=min(32, channels[-1]),
        down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attends),
        up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)),
    )


class Objective(nn.Module):
    """The mean square error of what the network predicts."""

    def __init__(self, net: UNet2DModel, scheduler: DDPMScheduler) -> None:
        super().__init__()
        self.net, self.velocity = net, scheduler.config.prediction_type == V
        self.register_buffer("alphas_cumprod", scheduler.alphas_cumprod.float())

    def errors(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The square errors, of the shape of ``x0`` (B, 3, R, R), at timesteps ``t`` (B,)."""
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        x_t = a.sqrt() * x0 + (1 - a).sqrt() * noise
        target = a.sqrt() * noise - (1 - a).sqrt() * x0 if self.velocity else noise
        return F.mse_loss(self.net(x_t, t).sample.float(), target, reduction="none")

    def forward(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The loss of a batch, see ``errors``."""
        with torch.autocast(x0.device.type, torch.bfloat16, enabled=x0.is_cuda):  # on a CPU it is slower
            return self.errors(x0, noise, t).mean()


class Training:
    """A network, its average, its optimiser, and how far they are.

    Args:
        args: the options of the command; what was trained before, in ``args.folder``, is gone on with.
    """

    def __init__(self, args: argparse.Namespace, device: torch.device) -> None:
        torch.manual_seed(0)
        kind = dict(MODELS[args.model])
        self.args, self.device, self.folder = args, device, args.folder
        self.scheduler = DDPMScheduler(beta_schedule="linear", prediction_type=kind.pop("prediction"))
        net = make_network(**kind, size=args.size).to(device, memory_format=torch.channels_last)
        self.objective, self.ema = Objective(net, self.scheduler).to(device), deepcopy(net).requires_grad_(False)
        self.adam = torch.optim.Adam(net.parameters(), args.rate, betas=(0.9, 0.99), fused=True)
        self.iteration, self.spent = 0, 0.0
        self.losses: list[tuple[int, float, float]] = []  # iteration, seconds, mean loss of the last EVERY
        if (self.folder / "last.pt").exists():
            state = torch.load(self.folder / "last.pt", device, weights_only=True)
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
            self.iteration, self.spent, self.losses = state["iteration"], state["spent"], state["losses"]

    @property
    def parts(self) -> dict[str, Any]:
        """What has a state."""
        return {"net": self.objective.net, "ema": self.ema, "adam": self.adam}

    def batch(self, tones: Tensor, styles: Tensor) -> tuple[Tensor, ...]:
        """What ``Objective`` takes, of this iteration: faces (N, R, R) in styles (M, 20), noise and timesteps."""
        n, device = self.args.batch, self.device
        rng = torch.Generator(device).manual_seed(self.iteration)
        which, how, t = (
            torch.randint(high, (n,), generator=rng, device=device) for high in (len(tones), len(styles), 1000)
        )
        grain, noise = (
            torch.randn(n, c, *tones.shape[1:], generator=rng, device=device, dtype=torch.float32) for c in (1, 3)
        )
        return apply_styles(tones[which, None].float(), styles[how], grain), noise, t

    @property
    def progress(self) -> float:
        """Which part of the run is done: 1 at its end."""
        return self.iteration / self.args.iterations if self.args.iterations else self.spent / self.args.seconds

    def rate(self) -> float:
        """The learning rate: a short warm-up, then half a cosine down to 0 at the end of the run."""
        return self.args.rate * min(1, (self.iteration + 1) / 200) * (1 + math.cos(math.pi * min(1, self.progress))) / 2

    def run(self, loss_of: Callable[..., Tensor], tones: Tensor, styles: Tensor) -> None:
        """Train up to the end, the state saved every minute."""
        begun, saved = time.monotonic() - self.spent, time.monotonic()
        net = list(self.objective.net.parameters())
        total = torch.zeros((), device=self.device)
        while self.progress < 1:
            self.adam.param_groups[0]["lr"] = self.rate()
            loss = loss_of(*self.batch(tones, styles))
            self.adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net, 1.0)
            self.adam.step()
            average = get_ema_multi_avg_fn(min(0.999, (1 + self.iteration) / (10 + self.iteration)))
            average(list(self.ema.parameters()), net, torch.tensor(0))  # the last, how many were averaged, is not used
            total += loss.detach()
            self.iteration += 1
            self.spent = time.monotonic() - begun
            if self.iteration % EVERY == 0:
                self.losses.append((self.iteration, round(self.spent, 1), float(total) / EVERY))
                if not math.isfinite(self.losses[-1][-1]):
                    raise SystemExit(f"the loss is {self.losses[-1][-1]}; go on from last.pt with a lower --rate")
                total.zero_()
                if self.iteration % (20 * EVERY) == 0:
                    print(f"iteration {self.iteration}, {self.spent:.0f} s, loss {self.losses[-1][-1]:.4f}", flush=True)
                if time.monotonic() - saved > 60:
                    self.save()
                    saved = time.monotonic()
        self.save()

    def save(self) -> None:
        """``last.pt``, whole or not at all, then the model and the record of the run."""
        state = {name: part.state_dict() for name, part in self.parts.items()}
        state |= {"iteration": self.iteration, "spent": self.spent, "losses": self.losses}
        torch.save(state, self.folder / "part.pt")
        (self.folder / "part.pt").replace(self.folder / "last.pt")
        pipeline = DDPMPipeline(
            deepcopy(self.ema).cpu().to(memory_format=torch.contiguous_format).half(), self.scheduler
        )
        pipeline.save_pretrained(self.folder / "model", safe_serialization=True)
        self.record()

    def record(self, **more: Any) -> None:
        """``record.json``: how it was trained, and the loss on the way."""
        given = {name: str(value) if isinstance(value, Path) else value for name, value in vars(self.args).items()}
        known = {
            "options": given,
            **MODELS[self.args.model],
            "device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu",
            "torch": torch.__version__,
            "weights": sum(p.numel() for p in self.ema.parameters()),
            "iterations": self.iteration,
            "pictures": self.iteration * self.args.batch,
            "seconds": round(self.spent, 1),
            **more,
            "losses": self.losses,
        }
        (self.folder / "record.json").write_text(json.dumps(known))

    @torch.no_grad()
    def held_out(self, n: int) -> list[float]:
        """The average's loss on ``n`` pictures never trained on, in each tenth of the timesteps."""
        x0 = torch.from_numpy(make(n, HELD_OUT, self.args.size)[0]).to(self.device).permute(0, 3, 1, 2) / 127.5 - 1
        objective = Objective(self.ema, self.scheduler).to(self.device)
        rng, errors = torch.Generator(self.device).manual_seed(HELD_OUT), []
        for low in range(0, 1000, 100):
            parts = []
            for x in x0.split(64):
                t = low + torch.randint(100, (len(x),), generator=rng, device=self.device)
                noise = torch.randn(x.shape, generator=rng, device=self.device)
                parts.append(objective.errors(x, noise, t).mean((1, 2, 3)))
            errors.append(round(float(torch.cat(parts).mean()), 6))
        return errors

    def sample(self, n: int) -> np.ndarray:
        """``n`` pictures by the average, 50 steps of DDIM from pure noise: uint8 (n, R, R, 3)."""
        sampler = DDIMScheduler.from_config(self.scheduler.config, clip_sample=False, timestep_spacing="trailing")
        pipeline = DDIMPipeline(self.ema, sampler)
        pipeline.set_progress_bar_config(disable=True)
        # drawn on the CPU, so that it is the same noise on every device
        rng = torch.Generator().manual_seed(0)
        pictures = pipeline(n, rng, num_inference_steps=50, output_type="np").images
        return (pictures * 255 + 0.5).astype(np.uint8)


def fastest(training: Training, within: int) -> tuple[Callable[..., Tensor], str]:
    """The objective, compiled where that comes to the same loss and gradient, is faster, and takes ``within`` seconds.

    Also returns, in words, why.
    """
    objective, size, n = training.objective, training.args.size, training.args.batch
    if not within:
        return objective, "eager, as asked"
    tones = torch.rand(n, size, size, device=training.device)
    inputs = training.batch(tones, torch.rand(n, 20, device=training.device))

    def stop(*_: object) -> None:
        raise TimeoutError(f"not compiled within {within} s")

    def measured(loss_of: Callable[..., Tensor]) -> tuple[float, Tensor, float]:
        for repeat in range(8):
            if repeat == 3:  # the first ones compile and warm up
                torch.cuda.synchronize()
                begun = time.perf_counter()
            objective.zero_grad()
            loss = loss_of(*inputs)
            loss.backward()
        torch.cuda.synchronize()
        gradient = torch.cat([p.grad.flatten() for p in objective.parameters()])
        return loss.item(), gradient.clone(), (time.perf_counter() - begun) / 5

    begun = time.perf_counter()
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, within, 2)  # again and again, as a compiler may catch one and go on
    try:
        compiled = torch.compile(objective)
        loss, gradient, seconds = measured(compiled)
        signal.setitimer(signal.ITIMER_REAL, 0)
        took = time.perf_counter() - begun
        plain_loss, plain_gradient, plain_seconds = measured(objective)
        off = float((gradient - plain_gradient).norm() / plain_gradient.norm())
        told = (
            f"compiled in {took:.0f} s: {1e3 * seconds:.1f} ms an iteration, eager {1e3 * plain_seconds:.1f} ms; "
            f"loss {loss:.5f} and {plain_loss:.5f}, gradients differ by {off:.1e}"
        )
        if abs(loss - plain_loss) < 0.01 * plain_loss and off < 0.1 and seconds < plain_seconds:
            return compiled, told
    except Exception as error:  # whatever the compiler raises, there is the eager network
        told = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        objective.zero_grad()
    torch._dynamo.reset()
    return objective, f"eager ({told})"


def main() -> None:
    """Draw the faces while the network is compiled, train, and write samples and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the state, the model, the samples and the record")
    parser.add_argument("--model", choices=tuple(MODELS), default="plain")
    parser.add_argument("--data", type=Path, help="where the faces are, or will be drawn; by default the folder")
    parser.add_argument("--faces", type=int, default=24000, help="to draw, if they are not there")
    parser.add_argument("--size", type=int, choices=(32, 64), default=64)
    parser.add_argument("--seconds", type=float, default=6 * 3600, help="of training; what a run has had is counted")
    parser.add_argument("--iterations", type=int, help="train for so many, however long they take")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--compile", type=int, default=0, metavar="SECONDS", help="compile, if it takes no longer")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    data = args.data or args.folder
    drawing = get_context("fork").Process(target=draw, args=(data, args.faces, args.size))
    drawing.start()  # before this process has touched the GPU
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    training = Training(args, device)
    loss_of, how = fastest(training, args.compile if device.type == "cuda" else 0)
    print(f"{args.model}: {sum(p.numel() for p in training.ema.parameters()):,} weights, {how}", flush=True)
    begun = time.monotonic()
    drawing.join()
    if drawing.exitcode:
        raise SystemExit("the faces could not be drawn")
    print(f"waited {time.monotonic() - begun:.0f} s for the faces", flush=True)
    training.run(loss_of, *(torch.from_numpy(np.load(data / name)).to(device) for name in FILES))
    contact_sheet(training.sample(48), 8, 2).save(args.folder / "samples.png")
    held_out = training.held_out(256)
    training.record(held_out=held_out, how=how)
    print(f"{args.model}: {training.iteration} iterations, held-out loss {np.mean(held_out):.4f}", flush=True)


if __name__ == "__main__":
    main()

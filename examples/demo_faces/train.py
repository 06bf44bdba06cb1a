"""Train the demo model: a small U-Net on poster faces, taught to use its bottleneck.

A small U-Net ignores its bottleneck unless it is taught not to.  *Borrowed bottlenecks* keep style out of h: h is that
of the same face in another style (``--borrow``).  *Borrowed skips* teach content from h and style from the skips: where
noise is weak, the skips, and x_t itself or its noise, are those of another face in the same style (``--lend``).  *Told
colours* make those of small things count: the palette is read, linearly, from the skips of 16 x 16, where attention
gathers it (this reading is kept only while training), and the mean colour of each tone is held to the truth's.  All
three are how this demo model is trained and not part of the method, which stays training-free on a frozen network.

    python examples/demo_faces/train.py .state/demo64 --size 64

Run again, it goes on from the last checkpoint (or, with ``--weights hsx/assets/demo_faces``, begins from those that
ship, should the checkpoint be lost).  Every draw of iteration i (faces, styles, timesteps, noise, dropout)
comes from a generator keyed by i, so that an interrupted run equals one that was never interrupted.  The learning rate
stays constant but for the last iterations, so that a run may be made longer, or a copy of its folder finished early.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import lightning
import numpy as np
import torch
from batches import PALETTE, SPREAD, Batches, apply_styles, draw_faces, tone_colours
from diffusers import UNet2DModel
from poster_faces import contact_sheet
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from hsx.backbones.base import Bottleneck
from hsx.backbones.unet2d import decode, encode
from hsx.schedule import NoiseSchedule

WEAK = (25, 80)  # bounds of the timestep where skips are borrowed,
MOVED = (5, 45)  # and where only their noise is
LENT = 4.0  # loss weight of what is lent: t is low there, and the weight of v with it
TOLD, COLOURS = 2.0, 3.0  # loss weights of the palette read from the skips and of each tone's mean colour
CHANNELS = {32: (16, 32, 64, 128), 64: (16, 32, 96, 128, 160)}  # by picture size: levels down to 4 x 4


class DemoTraining(lightning.LightningModule):
    """v-prediction with borrowed bottlenecks, borrowed skips and an exponential moving average.

    Args:
        faces: a file of tone images, (N, R, R).
        iterations: of the whole run; the learning rate falls to 0 over its last ``decay``.
        borrow: how often h is that of the same face in another style, where the skips are its own.
        lend: how often x_t, or its noise alone, is that of another face in the same style, and h is not.
    """

    def __init__(
        self, faces: str, size: int = 64, iterations: int = 8400, decay: int = 3200, borrow: float = 0.05,
        lend: float = 0.12, batch: int = 16, rate: float = 1e-3, chunk: int = 125,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        channels = CHANNELS[size]
        sizes = [size >> level for level in range(len(channels))]
        self.net = UNet2DModel(
            sample_size=size, block_out_channels=channels, layers_per_block=1, norm_num_groups=8,
            attention_head_dim=32, dropout=0.0,
            down_block_types=tuple("AttnDownBlock2D" if s in (8, 16) else "DownBlock2D" for s in sizes),
            up_block_types=tuple("AttnUpBlock2D" if s == 8 else "UpBlock2D" for s in reversed(sizes)),
        )
        self.palette = nn.Linear(channels[-3], PALETTE)  # of 16 x 16
        self.ema = copy.deepcopy(self.net).requires_grad_(False)
        self.register_buffer("alphas_cumprod", NoiseSchedule.linear().alphas_cumprod.float())
        self.register_buffer("spread", torch.tensor(SPREAD).repeat_interleave(3), persistent=False)

    def train_dataloader(self) -> DataLoader:
        faces = np.load(self.hparams.faces, mmap_mode="r")
        batches = Batches(faces, self.global_step, self.hparams.chunk, self.hparams.batch)
        return DataLoader(batches, batch_size=None, num_workers=8 if self.device.type == "cuda" else 0)

    def training_step(self, batch: tuple[Tensor, Tensor, int], index: int) -> Tensor:
        tones, styles, iteration = batch
        n, rng = len(tones), torch.Generator().manual_seed(2 * int(iteration))
        drawn = torch.Generator(self.device).manual_seed(2 * int(iteration) + 1)
        lent = round(n * self.hparams.lend)  # the first of the batch are lent skips,
        inverted, borrowed = lent // 2, lent + round(n * self.hparams.borrow)  # half of them inverted
        t = ((torch.randperm(n, generator=rng) + torch.rand(n, generator=rng)) / n) ** 1.5 * 1000
        t[:lent] = torch.randint(*WEAK, (lent,), generator=rng)
        moved = torch.rand(n, generator=rng) < 0.5  # as after a step of hsx: in the content's layout
        moved[inverted:] = False
        t = torch.where(moved, torch.randint(*MOVED, (n,), generator=rng), t).long().to(self.device)
        grain = torch.randn(2, *tones.shape, generator=drawn, device=self.device)
        noise, other_noise = torch.randn(2, n, 3, *tones.shape[2:], generator=drawn, device=self.device)
        x0, other = (apply_styles(tones, style, of) for style, of in zip(styles.unbind(1), grain, strict=True))
        peer = apply_styles(tones.roll(1, 0), styles[:, 0], grain[0])
        if inverted:
            noise = torch.cat([self.noise_of(peer[:inverted], t[:inverted]), noise[inverted:]])
        seen = torch.where(moved.to(self.device).view(-1, 1, 1, 1), x0, peer)[:lent]
        seen = torch.cat([seen, x0[lent:]])
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        other_t, x_t = a.sqrt() * other + (1 - a).sqrt() * other_noise, a.sqrt() * seen + (1 - a).sqrt() * noise
        b = encode(self.net, x_t, t)
        h = b.h
        if borrowed:
            h = torch.cat([encode(self.net, other_t[:borrowed], t[:borrowed]).h, h[borrowed:]])
        out = decode(self.net, Bottleneck(h, b.skips, b.emb))
        weight = (1 - a) * (snr := a / (1 - a)) * (0.1 + snr) ** -0.5 + (1 - a) * 0.4
        weight[:lent] *= LENT
        # of another face's x_t, v leads to x_0 all the same
        error = out.float() - (a.sqrt() * x_t - x0) / (1 - a).sqrt()
        loss = (weight / weight.mean() * error**2).mean()
        gathered = [s for s in b.skips if s.shape[-1] == 16][-1]
        read = self.palette(gathered.float().mean((2, 3)))
        misread = (a.view(n, 1) * ((read - styles[:, 0, :PALETTE]) / self.spread) ** 2).mean()
        off = tone_colours(((1 - a).sqrt() * error / 2)[:lent], tones[:lent]).square().sum() / n
        self.log_dict({"loss": loss, "misread": misread, "off": off})
        return loss + TOLD * misread + COLOURS * off

    def on_train_batch_end(self, *_: object) -> None:
        decay = min(0.9985, (1 + self.global_step) / (10 + self.global_step))
        average = get_ema_multi_avg_fn(decay)
        average(list(self.ema.parameters()), list(self.net.parameters()), torch.tensor(self.global_step))

    def on_train_epoch_end(self) -> None:
        folder = Path(self.trainer.default_root_dir)
        with (folder / "loss.txt").open("a") as file:
            file.write(f"{self.global_step} " + " ".join(
                f"{self.trainer.callback_metrics[name]:.4f}" for name in ("loss", "misread", "off")) + "\n")
        if self.current_epoch % 8 == 7:
            images = self.sample(24).add(1).mul(127.5).clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
            contact_sheet(images, 8).save(folder / f"samples_{self.global_step:06d}.png")

    @torch.no_grad()
    def sample(self, n: int, steps: int = 50) -> Tensor:
        """``n`` samples from noise by deterministic DDIM from t = 999, (n, 3, R, R)."""
        times = torch.linspace(0, 999, steps).long().tolist()
        x = torch.randn(n, 3, self.hparams.size, self.hparams.size, generator=torch.Generator().manual_seed(0))
        x, one = x.to(self.device), torch.ones(n, dtype=torch.long, device=self.device)
        for t, t_next in zip(times[::-1], [*times[-2::-1], -1], strict=True):
            x = self.ddim(x, t * one, t_next * one)
        return x

    @torch.no_grad()
    def noise_of(self, pictures: Tensor, t: Tensor, steps: int = 4) -> Tensor:
        """The noise that DDIM inversion up to t (N,) finds in pictures (N, 3, R, R).

        It is not white: where a style has no texture, it is mostly outlines.
        """
        x = pictures
        for step in range(steps):
            x = self.ddim(x, t * step // steps, t * (step + 1) // steps)
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return (x - a.sqrt() * pictures) / (1 - a).sqrt()

    def ddim(self, x: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
        """From t to t_next, (N,), by the averaged weights; -1 is the clean image."""
        alphas = torch.cat([self.alphas_cumprod, self.alphas_cumprod.new_ones(1)])  # the last is -1's
        a, a_next = (alphas[at].view(-1, 1, 1, 1) for at in (t, t_next))
        v = self.ema(x, t).sample.float()
        x0, eps = a.sqrt() * x - (1 - a).sqrt() * v, a.sqrt() * v + (1 - a).sqrt() * x
        return a_next.sqrt() * x0 + (1 - a_next).sqrt() * eps

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.AdamW(self.net.parameters(), self.hparams.rate, betas=(0.9, 0.99), weight_decay=1e-4)

        def rate(i: int) -> float:
            return max(0.0, min(1, (i + 1) / 100, (self.hparams.iterations - i) / self.hparams.decay))

        schedule = {"scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, rate), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


class Saving(lightning.Callback):
    """``last.ckpt`` after every chunk: whole on disk, or not at all."""

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        last = Path(trainer.default_root_dir) / "last.ckpt"
        trainer.save_checkpoint(last.with_suffix(".part"))
        last.with_suffix(".part").replace(last)


def main() -> None:
    """Draw the faces once, then train or go on training."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the state is kept")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--faces", type=int, default=24000)
    parser.add_argument("--iterations", type=int, default=8400, help="of the whole run: its learning rate ends there")
    parser.add_argument("--decay", type=int, default=3200, help="the last iterations, over which the rate falls to 0")
    parser.add_argument("--borrow", type=float, default=0.05, help="how often h is borrowed where the skips are not")
    parser.add_argument("--stop", type=int, help="stop earlier, at this iteration")
    parser.add_argument("--lend", type=float, default=0.12, help="how often x_t or its noise is another face's")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--chunk", type=int, default=125, help="iterations between checkpoints")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--weights", type=Path, help="a diffusers folder to begin with, instead of random ones")
    args = parser.parse_args()
    for name in ("borrow", "lend"):
        if not 0 <= getattr(args, name) <= 1:
            parser.error(f"--{name}: expected a probability, 0 to 1, got {getattr(args, name)}")
    args.folder.mkdir(parents=True, exist_ok=True)
    data = args.folder / "faces.npy"
    if not data.exists():
        part = data.with_suffix(".part.npy")
        np.save(part, draw_faces(args.faces, 1, args.size))
        part.replace(data)
    lightning.seed_everything(0)
    module = DemoTraining(
        str(data), args.size, args.iterations, args.decay, args.borrow, args.lend, args.batch, args.rate,
        args.chunk)
    if args.weights:
        weights = UNet2DModel.from_pretrained(args.weights, subfolder="unet").state_dict()
        new, unknown = module.net.load_state_dict(weights, strict=False)
        if unknown:
            parser.error(f"--weights: expected weights of this network, got others too, {unknown[0]} the first")
        module.ema.load_state_dict(module.net.state_dict())
        print(f"begun from {args.weights}; new: {', '.join(new) or 'nothing'}")
    trainer = lightning.Trainer(
        accelerator="auto", devices=1, precision="bf16-mixed", max_steps=args.stop or args.iterations,
        gradient_clip_val=1.0, callbacks=[Saving()], default_root_dir=str(args.folder), logger=False,
        enable_checkpointing=False, reload_dataloaders_every_n_epochs=1, enable_progress_bar=False)
    last = args.folder / "last.ckpt"
    trainer.fit(module, ckpt_path=str(last) if last.exists() else None, weights_only=True)


if __name__ == "__main__":
    main()

"""Train the demo model: a small U-Net on poster faces, taught to use its bottleneck.

A small U-Net ignores its bottleneck unless it is taught not to.  *Borrowed bottlenecks* keep style out of h: h is that
of the same face in another style (``--borrow``).  *Borrowed skips* keep content out of the skips: for each sample all
skips of resolution <= L, drawn anew, are those of another face in the same style (``--skips``).  Both are how this demo
model is trained and not part of the method, which stays training-free on a frozen network.

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
from diffusers import UNet2DModel
from poster_faces import PITCH, apply_style, contact_sheet, sample_content, sample_style, tone_image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hsx.backbones.base import Bottleneck
from hsx.backbones.unet2d import decode, encode
from hsx.schedule import NoiseSchedule

CHUNK = 125  # iterations between checkpoints
LEVELS, SKIPS = torch.tensor([0, 4, 8, 16, 32, 64]), (0.02, 0.04, 0.04, 0.05, 0.4)
WHOLE = (40, 160)  # where all skips are borrowed: bounds of the timestep
CHANNELS = {32: (16, 32, 64, 128), 64: (16, 32, 96, 128, 160)}  # by picture size: levels down to 4 x 4


class Batches(Dataset):
    """The batches of iterations start .. start + CHUNK, each with the number of its iteration.

    Pictures are (B, 3, 3, R, R) in [-1, 1]: each face in two styles, drawn anew, and another face in the first.
    """

    def __init__(self, faces: np.ndarray, start: int, batch: int) -> None:
        self.faces, self.start, self.batch = faces, start, batch

    def __len__(self) -> int:
        return CHUNK

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        rng = np.random.default_rng((2, self.start + index))
        tones = self.faces[rng.integers(len(self.faces), size=self.batch)].astype(np.float32)
        tones = [tone[:, :: rng.choice((-1, 1))] for tone in tones]
        pitch = PITCH[self.faces.shape[1]]
        styles = [[sample_style(rng, pitch) for _ in range(2)] for _ in tones]
        pictures = np.stack([[apply_style(tone, a), apply_style(tone, b), apply_style(tones[i - 1], a)]
                             for i, (tone, (a, b)) in enumerate(zip(tones, styles, strict=True))])
        return torch.from_numpy(pictures).permute(0, 1, 4, 2, 3).float() / 127.5 - 1, self.start + index


class DemoTraining(lightning.LightningModule):
    """v-prediction with borrowed bottlenecks, borrowed skips and an exponential moving average.

    Args:
        faces: a file of tone images, (N, R, R).
        iterations: of the whole run; the learning rate falls to 0 over its last ``decay``.
        borrow: how often h is that of the same face in another style.
        skips: how often the skips up to 4, 8, … R pixels are those of another face in the same style.
    """

    def __init__(
        self, faces: str, size: int = 64, iterations: int = 8400, decay: int = 3200, borrow: float = 0.5,
        skips: tuple[float, ...] = SKIPS, batch: int = 16, rate: float = 1e-3,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        channels = CHANNELS[size]
        attends = [size >> level == 8 for level in range(len(channels))]
        self.net = UNet2DModel(
            sample_size=size, block_out_channels=channels, layers_per_block=1, norm_num_groups=8,
            attention_head_dim=32, dropout=0.0,
            down_block_types=tuple("AttnDownBlock2D" if here else "DownBlock2D" for here in attends),
            up_block_types=tuple("AttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attends)),
        )
        self.ema = copy.deepcopy(self.net).requires_grad_(False)
        self.register_buffer("alphas_cumprod", NoiseSchedule.linear().alphas_cumprod.float())

    def train_dataloader(self) -> DataLoader:
        faces = np.load(self.hparams.faces, mmap_mode="r")
        return DataLoader(Batches(faces, self.global_step, self.hparams.batch), batch_size=None)

    def training_step(self, batch: tuple[Tensor, int], index: int) -> Tensor:
        (x0, other, peer), iteration = batch[0].unbind(1), batch[1]
        n, rng, size = len(x0), torch.Generator().manual_seed(int(iteration)), self.hparams.size
        t = (((torch.arange(n) + torch.rand(n, generator=rng)) / n).sqrt() * 1000).long()  # stratified; denser in noise
        lent = self.borrowed(n, rng)
        all_lent = lent == size
        t = torch.where(all_lent, WHOLE[0] + ((WHOLE[1] - WHOLE[0]) * torch.rand(n, generator=rng)).long(), t)
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)

        def noised(pictures: Tensor) -> Tensor:
            return a.sqrt() * pictures + (1 - a).sqrt() * torch.randn(x0.shape, generator=rng)

        other_t, peer_t, x_t = noised(other), noised(peer), noised(x0)
        # where all skips are another face's, x_t itself is: v then leads from there to x_0
        x_t[all_lent] = peer_t[all_lent]
        b = encode(self.net, x_t, t)
        h, rows = b.h, ((torch.rand(n, generator=rng) < self.hparams.borrow) | (lent > 0)).nonzero()[:, 0]
        if len(rows):
            h = h.index_put((rows,), encode(self.net, other_t[rows], t[rows]).h)
        skips, rows = b.skips, ((lent > 0) & (lent < size)).nonzero()[:, 0]
        if len(rows):
            foreign = encode(self.net, peer_t[rows], t[rows]).skips
            skips = tuple(s.index_put((rows,), torch.where(f.shape[-1] > lent[rows].view(-1, 1, 1, 1), s[rows], f))
                          for s, f in zip(skips, foreign, strict=True))
        out = decode(self.net, Bottleneck(h, skips, b.emb))
        weight = (1 - a) * (snr := a / (1 - a)) * (0.1 + snr) ** -0.5 + (1 - a) * 0.1
        error = (out.float() - (a.sqrt() * x_t - x0) / (1 - a).sqrt()) ** 2
        loss = (weight / weight.mean() * error).mean()
        self.log("loss", loss)
        return loss

    def borrowed(self, n: int, rng: torch.Generator) -> Tensor:
        """Up to which resolution the skips of each sample are borrowed, 0 for none: (n,)."""
        p = self.hparams.skips
        lent = LEVELS[torch.multinomial(torch.tensor([1 - sum(p), *p]), n, replacement=True, generator=rng)]
        return lent.clamp(max=self.hparams.size)

    def on_train_batch_end(self, *_: object) -> None:
        decay = min(0.9985, (1 + self.global_step) / (10 + self.global_step))
        for slow, fast in zip(self.ema.parameters(), self.net.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)

    def on_train_epoch_end(self) -> None:
        folder = Path(self.trainer.default_root_dir)
        with (folder / "loss.txt").open("a") as file:
            file.write(f"{self.global_step} {float(self.trainer.callback_metrics['loss']):.4f}\n")
        if self.current_epoch % 8 == 7:
            images = self.sample(24).add(1).mul(127.5).clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
            contact_sheet(images, 8).save(folder / f"samples_{self.global_step:06d}.png")

    @torch.no_grad()
    def sample(self, n: int, steps: int = 50) -> Tensor:
        """``n`` samples from noise by deterministic DDIM from t = 999, (n, 3, R, R)."""
        times = torch.linspace(0, 999, steps).long().tolist()
        x = torch.randn(n, 3, self.hparams.size, self.hparams.size, generator=torch.Generator().manual_seed(0))
        for t, t_next in zip(times[::-1], [*times[-2::-1], -1], strict=True):
            a, a_next = self.alphas_cumprod[t], self.alphas_cumprod[t_next] if t_next >= 0 else torch.tensor(1.0)
            v = self.ema(x, torch.full((n,), t)).sample
            x0, eps = a.sqrt() * x - (1 - a).sqrt() * v, a.sqrt() * v + (1 - a).sqrt() * x
            x = a_next.sqrt() * x0 + (1 - a_next).sqrt() * eps
        return x

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


def draw_faces(n: int, seed: int, size: int) -> np.ndarray:
    """``n`` tone images: float16 (n, size, size)."""
    rng = np.random.default_rng(seed)
    return np.stack([tone_image(sample_content(rng), size).astype(np.float16) for _ in range(n)])


def main() -> None:
    """Draw the faces once, then train or go on training."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the state is kept")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--faces", type=int, default=24000)
    parser.add_argument("--iterations", type=int, default=8400, help="of the whole run: its learning rate ends there")
    parser.add_argument("--decay", type=int, default=3200, help="the last iterations, over which the rate falls to 0")
    parser.add_argument("--borrow", type=float, default=0.5, help="how often h is borrowed where no skip is")
    parser.add_argument("--stop", type=int, help="stop earlier, at this iteration")
    parser.add_argument("--skips", type=float, nargs="+", default=SKIPS, help="how often those up to 4, 8, … are lent")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--weights", type=Path, help="a diffusers folder to begin with, instead of random ones")
    args = parser.parse_args()
    if len(args.skips) >= len(LEVELS) or min(args.skips) < 0 or sum(args.skips) > 1:
        parser.error(f"--skips: expected up to {len(LEVELS) - 1} numbers of 0 or more, together at most 1, "
                     f"got {args.skips}")
    args.folder.mkdir(parents=True, exist_ok=True)
    data = args.folder / "faces.npy"
    if not data.exists():
        part = data.with_suffix(".part.npy")
        np.save(part, draw_faces(args.faces, 1, args.size))
        part.replace(data)
    lightning.seed_everything(0)
    module = DemoTraining(str(data), args.size, args.iterations, args.decay, args.borrow, tuple(args.skips), args.batch,
                          args.rate)
    if args.weights:
        weights = UNet2DModel.from_pretrained(args.weights, subfolder="unet").state_dict()
        for net in (module.net, module.ema):
            net.load_state_dict(weights)
    trainer = lightning.Trainer(
        accelerator="auto", devices=1, precision="bf16-mixed", max_steps=args.stop or args.iterations,
        gradient_clip_val=1.0, callbacks=[Saving()], default_root_dir=str(args.folder), logger=False,
        enable_checkpointing=False, reload_dataloaders_every_n_epochs=1, enable_progress_bar=False)
    last = args.folder / "last.ckpt"
    trainer.fit(module, ckpt_path=str(last) if last.exists() else None, weights_only=True)


if __name__ == "__main__":
    main()

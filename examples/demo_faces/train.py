"""Train the demo model: a small U-Net on poster faces, taught to use its bottleneck.

A small U-Net ignores its bottleneck unless it is taught not to.  *Nested skip dropout* does that: for each sample all
skips of resolution <= L are zeroed, L drawn anew.  It is how this demo model is trained and not part of the method,
which stays training-free on a frozen network.

    python examples/demo_faces/train.py .state/demo32 --iterations 12000

Run again, it goes on from the last checkpoint.  Every draw of iteration i (pictures, timesteps, noise, dropout) comes
from a generator keyed by i, so that an interrupted run equals one that was never interrupted.
"""

from __future__ import annotations

import argparse
import copy
import math
from pathlib import Path

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from lightning.pytorch.callbacks import ModelCheckpoint
from poster_faces import contact_sheet, make
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hsx.backbones.base import Bottleneck
from hsx.backbones.unet2d import decode, encode
from hsx.schedule import NoiseSchedule

CHUNK = 250  # iterations between checkpoints


class Batches(Dataset):
    """The batches of iterations start .. start + CHUNK: pictures in [-1, 1] and a generator seed for each."""

    def __init__(self, pictures: Tensor, start: int, batch: int) -> None:
        self.pictures, self.start, self.batch = pictures, start, batch

    def __len__(self) -> int:
        return CHUNK

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        rng = torch.Generator().manual_seed(self.start + index)
        chosen = torch.randint(len(self.pictures), (self.batch,), generator=rng)
        x = self.pictures[chosen].float() / 127.5 - 1  # (B, 3, R, R)
        flip = torch.rand(self.batch, 1, 1, 1, generator=rng) < 0.5
        return torch.where(flip, x.flip(-1), x), self.start + index


class DemoTraining(lightning.LightningModule):
    """eps-prediction with nested skip dropout, P2-style loss weight and an exponential moving average."""

    def __init__(self, data: str, size: int = 32, iterations: int = 12000, batch: int = 32, rate: float = 1e-3) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = UNet2DModel(
            sample_size=size, block_out_channels=(16, 32, 64, 128), layers_per_block=1, norm_num_groups=8,
            attention_head_dim=32, dropout=0.0,
            down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        )
        self.ema = copy.deepcopy(self.net).requires_grad_(False)
        self.register_buffer("alphas_cumprod", NoiseSchedule.linear().alphas_cumprod.float())

    def setup(self, stage: str) -> None:
        self.pictures = torch.from_numpy(np.load(self.hparams.data)).permute(0, 3, 1, 2)  # (N, 3, R, R)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(Batches(self.pictures, self.global_step, self.hparams.batch), batch_size=None)

    def levels(self, rng: torch.Generator, n: int) -> Tensor:
        """For each sample the resolution up to which its skips are zeroed (0: none).

        Half the resolution is dropped ever less as training goes on, so that texture and palette stay in the skips.
        """
        progress = min(1.0, self.global_step / (0.6 * self.hparams.iterations))
        deep = 0.3 * (1 - progress)
        p = torch.tensor([0.6 - deep, 0.1, 0.3, deep])
        sizes = torch.tensor([0, *(self.hparams.size // k for k in (8, 4, 2))])
        return sizes[torch.multinomial(p, n, replacement=True, generator=rng)]

    def training_step(self, batch: tuple[Tensor, int], index: int) -> Tensor:
        x0, iteration = batch
        n, rng = len(x0), torch.Generator().manual_seed(2**32 + int(iteration))
        t = ((torch.arange(n) + torch.rand(n, generator=rng)) / n * 1000).long()  # stratified over the batch
        noise = torch.randn(x0.shape, generator=rng)
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        b = encode(self.net, a.sqrt() * x0 + (1 - a).sqrt() * noise, t)
        level = self.levels(rng, n).view(-1, 1, 1, 1)
        skips = tuple(s * (s.shape[-1] > level) for s in b.skips)
        eps = decode(self.net, Bottleneck(b.h, skips, b.emb))
        weight = (0.1 + a / (1 - a)) ** -0.5
        weight = weight / weight.mean()
        loss = (weight * F.mse_loss(eps, noise, reduction="none")).mean()
        self.log("loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        decay = min(0.9985, (1 + self.global_step) / (10 + self.global_step))
        for slow, fast in zip(self.ema.parameters(), self.net.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)

    def on_train_epoch_end(self) -> None:
        if self.global_step % (4 * CHUNK) == 0:
            folder = Path(self.trainer.default_root_dir)
            images = self.sample(24).add(1).mul(127.5).clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
            contact_sheet(images, 8).save(folder / f"samples_{self.global_step:06d}.png")
            loss = float(self.trainer.callback_metrics["loss"])
            with (folder / "loss.txt").open("a") as file:
                file.write(f"{self.global_step} {loss:.4f}\n")

    @torch.no_grad()
    def sample(self, n: int, steps: int = 50) -> Tensor:
        """``n`` samples from noise by deterministic DDIM from t = 999, (n, 3, R, R)."""
        times = torch.linspace(0, 999, steps).long().tolist()
        x = torch.randn(n, 3, self.hparams.size, self.hparams.size, generator=torch.Generator().manual_seed(0))
        for t, t_next in zip(times[::-1], [*times[-2::-1], -1], strict=True):
            a, a_next = self.alphas_cumprod[t], self.alphas_cumprod[t_next] if t_next >= 0 else torch.tensor(1.0)
            eps = self.ema(x, torch.full((n,), t)).sample
            x = a_next.sqrt() * (x - (1 - a).sqrt() * eps) / a.sqrt() + (1 - a_next).sqrt() * eps
        return x

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.AdamW(self.net.parameters(), self.hparams.rate, betas=(0.9, 0.99), weight_decay=1e-4)

        def rate(i: int) -> float:
            return min(1, (i + 1) / 100) * 0.5 * (1 + math.cos(math.pi * min(1, i / self.hparams.iterations)))

        schedule = {"scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, rate), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def main() -> None:
    """Draw the pictures once, then train or go on training."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the state is kept")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--pictures", type=int, default=24000)
    parser.add_argument("--iterations", type=int, default=12000, help="of the whole run: its schedules end there")
    parser.add_argument("--stop", type=int, help="stop earlier, at this iteration")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    data = args.folder / "pictures.npy"
    if not data.exists():
        part = data.with_suffix(".part.npy")
        np.save(part, make(args.pictures, seed=1, size=args.size)[0])
        part.replace(data)
    lightning.seed_everything(0)
    module = DemoTraining(str(data), args.size, args.iterations)
    saving = ModelCheckpoint(str(args.folder), filename="last", save_top_k=1, every_n_epochs=1,
                             save_on_train_epoch_end=True, enable_version_counter=False)
    trainer = lightning.Trainer(
        accelerator="auto", devices=1, max_steps=args.stop or args.iterations, gradient_clip_val=1.0,
        callbacks=[saving], default_root_dir=str(args.folder), logger=False, reload_dataloaders_every_n_epochs=1,
        enable_progress_bar=False)
    last = args.folder / "last.ckpt"
    trainer.fit(module, ckpt_path=str(last) if last.exists() else None, weights_only=True)


if __name__ == "__main__":
    main()

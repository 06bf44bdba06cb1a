"""Train the demo model: a small U-Net on poster faces, taught to use its bottleneck.

A small U-Net ignores its bottleneck unless it is taught not to.  *Nested skip dropout* does that: for each sample all
skips of resolution <= L are zeroed, L drawn anew.  *Borrowed bottlenecks* keep style out of h: for some samples h is
that of the same face in another style (``--borrow``).  Both are how this demo model is trained and not part of the
method, which stays training-free on a frozen network.

    python examples/demo_faces/train.py .state/demo64 --size 64 --iterations 20000

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
from poster_faces import apply_style, contact_sheet, sample_content, sample_style, tone_image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hsx.backbones.base import Bottleneck
from hsx.backbones.unet2d import decode, encode
from hsx.schedule import NoiseSchedule

CHUNK = 250  # iterations between checkpoints
CHANNELS = {32: (16, 32, 64, 128), 64: (16, 32, 64, 128, 192)}  # by picture size: levels down to 4 x 4
PITCH = {32: (0.11, 0.16), 64: (0.055, 0.08)}  # of textures: 3.5 to 5 pixels


class Batches(Dataset):
    """The batches of iterations start .. start + CHUNK and a generator seed for each.

    Pictures are (B, 2, 3, R, R) in [-1, 1]: each face in two styles.
    """

    def __init__(self, pictures: Tensor, start: int, batch: int) -> None:
        self.pictures, self.start, self.batch = pictures, start, batch

    def __len__(self) -> int:
        return CHUNK

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        rng = torch.Generator().manual_seed(self.start + index)
        chosen = torch.randint(len(self.pictures), (self.batch,), generator=rng)
        x = self.pictures[chosen].float() / 127.5 - 1
        flip = torch.rand(self.batch, 1, 1, 1, 1, generator=rng) < 0.5
        return torch.where(flip, x.flip(-1), x), self.start + index


class DemoTraining(lightning.LightningModule):
    """eps-prediction with nested skip dropout, P2-style loss weight and an exponential moving average."""

    def __init__(
        self, data: str, size: int = 32, iterations: int = 12000, borrow: float = 0.5, batch: int = 32,
        rate: float = 1e-3,
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

    def setup(self, stage: str) -> None:
        self.pictures = torch.from_numpy(np.load(self.hparams.data)).permute(0, 1, 4, 2, 3)  # (N, 2, 3, R, R)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(Batches(self.pictures, self.global_step, self.hparams.batch), batch_size=None)

    def levels(self, rng: torch.Generator, n: int) -> Tensor:
        """For each sample the resolution up to which its skips are zeroed (0: none).

        16 x 16 is dropped ever less as training goes on, so that texture and palette stay in the skips.
        """
        progress = min(1.0, self.global_step / (0.6 * self.hparams.iterations))
        deep = 0.3 * (1 - progress)
        p = torch.tensor([0.6 - deep, 0.1, 0.3, deep])
        return torch.tensor([0, 4, 8, 16])[torch.multinomial(p, n, replacement=True, generator=rng)]

    def training_step(self, batch: tuple[Tensor, int], index: int) -> Tensor:
        (x0, other), iteration = batch[0].unbind(1), batch[1]
        n, rng = len(x0), torch.Generator().manual_seed(2**32 + int(iteration))
        t = ((torch.arange(n) + torch.rand(n, generator=rng)) / n * 1000).long()  # stratified over the batch
        noise = torch.randn(x0.shape, generator=rng)
        a = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        b = encode(self.net, a.sqrt() * x0 + (1 - a).sqrt() * noise, t)
        h, borrows = b.h, torch.rand(n, generator=rng) < self.hparams.borrow
        if borrows.any():
            x_t = a.sqrt() * other + (1 - a).sqrt() * torch.randn(x0.shape, generator=rng)
            h = h.index_put((borrows.nonzero()[:, 0],), encode(self.net, x_t[borrows], t[borrows]).h)
        level = self.levels(rng, n).view(-1, 1, 1, 1)
        skips = tuple(s * (s.shape[-1] > level) for s in b.skips)
        eps = decode(self.net, Bottleneck(h, skips, b.emb))
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


def twice(n: int, seed: int, size: int) -> np.ndarray:
    """``n`` faces, each in two styles: uint8 (n, 2, size, size, 3)."""
    rng = np.random.default_rng(seed)
    faces = [tone_image(sample_content(rng), size) for _ in range(n)]
    return np.stack([[apply_style(face, sample_style(rng, PITCH[size])) for _ in range(2)] for face in faces])


def main() -> None:
    """Draw the pictures once, then train or go on training."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the state is kept")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--pictures", type=int, default=24000)
    parser.add_argument("--iterations", type=int, default=12000, help="of the whole run: its schedules end there")
    parser.add_argument("--borrow", type=float, default=0.5, help="how often h is that of the face in another style")
    parser.add_argument("--stop", type=int, help="stop earlier, at this iteration")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    data = args.folder / "pictures.npy"
    if not data.exists():
        part = data.with_suffix(".part.npy")
        np.save(part, twice(args.pictures, 1, args.size))
        part.replace(data)
    lightning.seed_everything(0)
    module = DemoTraining(str(data), args.size, args.iterations, args.borrow)
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

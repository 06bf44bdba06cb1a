"""Train the demo model: a small U-Net on poster faces, taught (objective.py) to use its bottleneck.

    python examples/demo_faces/train.py .state/demo64 --size 64

Run again, it goes on from the last checkpoint (or, with ``--weights hsx/assets/demo_faces``, begins from those that
ship, should the checkpoint be lost).  Every draw of iteration i (faces, styles, timesteps, noise) comes from a
generator keyed by i, so that an interrupted run equals one that was never interrupted.  The learning rate stays
constant but for the last iterations, so that a run may be made longer, or a copy of its folder finished early.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import lightning
import numpy as np
import torch
from batches import Batches, draw_faces
from diffusers import UNet2DModel
from objective import CHANNELS, Objective
from poster_faces import contact_sheet
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from hsx.errors import first_line

PARTS = ("loss", "misread", "off", "ghosts")
FILES = {"faces.npy": 1, "flawed.npy": 7}  # and the seeds that they are drawn from


class DemoTraining(lightning.LightningModule):
    """The objective, trained with an exponential moving average.

    Args:
        folder: with ``faces.npy`` and ``flawed.npy``, see ``draw_faces``.
        iterations: of the whole run; the learning rate falls to 0 over its last ``decay``.
        borrow, lend, mend: see ``Objective``.
        chunk: iterations between checkpoints.
    """

    def __init__(
        self,
        folder: str,
        size: int = 64,
        iterations: int = 8400,
        decay: int = 3200,
        borrow: float = 0.05,
        lend: float = 0.2,
        mend: float = 0.2,
        batch: int = 16,
        rate: float = 1e-3,
        chunk: int = 125,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.objective = Objective(size, borrow, lend, mend)

    def batches(self) -> Batches:
        """Those up to the next checkpoint."""
        faces, flawed = (np.load(Path(self.hparams.folder) / name, mmap_mode="r") for name in FILES)
        n = self.hparams.batch
        return Batches(faces, flawed, self.global_step, self.hparams.chunk, n, self.objective.rows(n)[-1])

    def train_dataloader(self) -> DataLoader:
        on_gpu = self.device.type != "cpu"
        return DataLoader(self.batches(), batch_size=None, num_workers=8 if on_gpu else 0, pin_memory=on_gpu)

    def on_fit_start(self) -> None:
        """On a GPU small kernels cost more to launch than to run: the loss and its gradient become CUDA graphs."""
        if self.device.type == "cuda":
            tones, styles, iteration = self.batches()[0]
            asked = self.with_chances(tones.to(self.device), styles.to(self.device), iteration)
            torch.cuda.make_graphed_callables(self.objective, asked)

    def with_chances(self, tones: Tensor, styles: Tensor, iteration: int) -> tuple[Tensor, ...]:
        """What ``Objective`` asks for, the chances of this iteration among it."""
        rng = torch.Generator().manual_seed(2 * iteration)
        chances = (x.to(self.device) for x in self.objective.draw(len(styles), rng))
        own = torch.Generator(self.device).manual_seed(2 * iteration + 1)
        normal = [torch.randn(2, len(styles), c, *tones.shape[3:], generator=own, device=self.device) for c in (1, 3)]
        return tones, styles, *chances, *normal

    def training_step(self, batch: tuple[Tensor, Tensor, int], index: int) -> Tensor:
        loss, parts = self.objective(*self.with_chances(batch[0], batch[1], int(batch[2])))
        self.log_dict(dict(zip(PARTS, parts.clone(), strict=True)))
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        average = get_ema_multi_avg_fn(min(0.9985, (1 + self.global_step) / (10 + self.global_step)))
        ema, net = self.objective.ema.parameters(), self.objective.net.parameters()
        average(list(ema), list(net), torch.tensor(0))  # the last, how many were averaged, is not looked at

    def on_train_epoch_end(self) -> None:
        folder = Path(self.trainer.default_root_dir)
        with (folder / "loss.txt").open("a") as file:
            file.write(
                f"{self.global_step} " + " ".join(f"{self.trainer.callback_metrics[name]:.4f}" for name in PARTS) + "\n"
            )
        if self.current_epoch % 8 == 7:
            images = self.sample(24).add(1).mul(127.5).clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
            contact_sheet(images, 8).save(folder / f"samples_{self.global_step:06d}.png")

    @torch.no_grad()
    def sample(self, n: int, steps: int = 50) -> Tensor:
        """``n`` samples from noise by deterministic DDIM from t = 999, (n, 3, R, R)."""
        times = torch.linspace(0, 999, steps).long().tolist()
        x = torch.randn(n, 3, *[self.hparams.size] * 2, generator=torch.Generator().manual_seed(0)).to(self.device)
        one = torch.ones(n, dtype=torch.long, device=self.device)
        for t, t_next in zip(times[::-1], [*times[-2::-1], 0], strict=True):
            x0, eps = self.objective.predicted(x, t * one)
            x = self.objective.noised(x0, eps, t_next * one)
        return x0

    def configure_optimizers(self) -> dict:
        learned = [p for p in self.objective.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(learned, self.hparams.rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)

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


def others(state: dict[str, Tensor], module: nn.Module) -> list[str]:
    """The names in ``state`` that ``module`` does not have in this shape."""
    own = module.state_dict()
    return [name for name, value in state.items() if name not in own or own[name].shape != value.shape]


def main() -> None:
    """Look at what is given, draw the faces once, then train or go on training."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the state is kept")
    parser.add_argument("--size", type=int, choices=tuple(CHANNELS), default=64)
    parser.add_argument("--faces", type=int, default=24000, help="to draw for a new folder")
    parser.add_argument("--iterations", type=int, default=8400, help="of the whole run: its learning rate ends there")
    parser.add_argument("--decay", type=int, default=3200, help="the last iterations, over which the rate falls to 0")
    parser.add_argument("--borrow", type=float, default=0.05, help="share of a batch whose h alone is another's")
    parser.add_argument("--stop", type=int, help="stop earlier, at this iteration")
    parser.add_argument("--lend", type=float, default=0.2, help="share whose x_t or noise is another face's")
    parser.add_argument("--mend", type=float, default=0.2, help="share of flawed faces and too strong noise")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--chunk", type=int, default=125, help="iterations between checkpoints")
    parser.add_argument("--rate", type=float, default=1e-3, help="of a new folder; a checkpoint has its own")
    parser.add_argument("--weights", type=Path, help="a diffusers folder to begin with, instead of random ones")
    args = parser.parse_args()
    shares = args.borrow, args.lend, args.mend
    if min(*shares, 1 - sum(shares)) < 0:
        parser.error(
            "--borrow, --lend, --mend: expected shares of a batch, at most 1 together, got "
            f"{', '.join(map(str, shares))}"
        )
    last = args.folder / "last.ckpt"
    lightning.seed_everything(0)
    module = DemoTraining(
        str(args.folder),
        args.size,
        args.iterations,
        args.decay,
        args.borrow,
        args.lend,
        args.mend,
        args.batch,
        args.rate,
        args.chunk,
    )
    if args.weights and not last.exists():
        if not (args.weights / "unet").is_dir():
            parser.error(f"--weights: expected a diffusers folder with a unet, got {args.weights}; check the path")
        weights = UNet2DModel.from_pretrained(args.weights, subfolder="unet").state_dict()
        if strange := others(weights, module.objective.net):
            parser.error(f"--weights: expected weights of this network, got others too, {strange[0]} the first")
        new, _ = module.objective.net.load_state_dict(weights, strict=False)
        module.objective.ema.load_state_dict(module.objective.net.state_dict())
        print(f"begun from {args.weights}; new: {', '.join(new) or 'nothing'}")
    elif last.exists():
        try:
            state = torch.load(last, "cpu", weights_only=True, mmap=True)["state_dict"]
        except Exception as error:  # torch's unpickler raises nearly anything on bytes that are no checkpoint
            parser.error(
                f"{last}: expected the state of such a training, could not read it ({first_line(error)}); "
                "take another folder"
            )
        if strange := others(state, module) or [name for name in module.state_dict() if name not in state]:
            parser.error(
                f"{last}: expected the state of such a training, got another's, {strange[0]} the first that "
                "differs; take another folder, or the commit that wrote it"
            )
    args.folder.mkdir(parents=True, exist_ok=True)
    for name, seed in FILES.items():
        flawed, file = name == "flawed.npy", args.folder / name
        if not file.exists():
            part = file.with_suffix(".part.npy")
            np.save(part, draw_faces(-(-args.faces // 4) if flawed else args.faces, seed, args.size, flawed))
            part.replace(file)
        if (size := np.load(file, mmap_mode="r").shape[-1]) != args.size:
            parser.error(f"{file}: expected faces of {args.size} pixels, got {size}; take another folder")
    trainer = lightning.Trainer(
        accelerator="auto",
        devices=1,
        max_steps=args.stop or args.iterations,
        gradient_clip_val=1.0,
        callbacks=[Saving()],
        default_root_dir=str(args.folder),
        logger=False,
        enable_checkpointing=False,
        reload_dataloaders_every_n_epochs=1,
        enable_progress_bar=False,
    )
    trainer.fit(module, ckpt_path=str(last) if last.exists() else None, weights_only=True)


if __name__ == "__main__":
    main()

"""Write the averaged weights of a training state as a diffusers pipeline folder in fp16.

python examples/demo_faces/ship.py .state/demo64 hsx/assets/demo_faces
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import DDPMPipeline, DDPMScheduler
from train import DemoTraining

from hsx.errors import first_line


def main() -> None:
    """Read ``last.ckpt``, write ``model_index.json``, ``unet/`` and ``scheduler/``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("state", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    last = args.state / "last.ckpt"
    if not last.exists():
        parser.error(f"expected the folder of a training with a last.ckpt, got {args.state}; check the path")
    try:
        module = DemoTraining.load_from_checkpoint(last, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's unpickler raises nearly anything on bytes that are no checkpoint
        parser.error(
            f"{last}: expected the state of a training by train.py, could not read it ({first_line(error)}); "
            "take another folder, or the commit that wrote it"
        )
    scheduler = DDPMScheduler(
        num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear", prediction_type="v_prediction"
    )
    unet = module.objective.ema.half()
    DDPMPipeline(unet, scheduler).save_pretrained(args.folder, safe_serialization=True)
    steps = torch.load(last, "cpu", weights_only=True, mmap=True)["global_step"]
    print(f"{args.folder}: {sum(p.numel() for p in unet.parameters()):,} weights after {steps} iterations")


if __name__ == "__main__":
    main()

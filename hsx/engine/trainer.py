"""The part of ``lightning.Trainer`` that prediction needs, typed, so that ``--help`` fits a screen."""

from __future__ import annotations

from typing import Literal

import lightning
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback

from hsx.errors import HsxError

Precision = Literal["32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true", "32", 32]


def make_trainer(
    accelerator: str = "auto",
    devices: int | str | list[int] = "auto",
    num_nodes: int = 1,
    strategy: str = "auto",
    precision: Precision = "32-true",
    callbacks: list[Callback] | Callback | None = None,
) -> lightning.Trainer:
    """A Trainer that only predicts: no logger, no checkpoints, nothing written but the results.

    Args:
        accelerator: cpu, gpu, mps, … or auto.
        devices: how many devices, or which.
        num_nodes: how many machines.
        strategy: how the work is spread, such as ddp.
        precision: of the network's numbers.
        callbacks: more Lightning callbacks.

    Raises:
        HsxError: for what Lightning does not have on this machine.
    """
    given = {"accelerator": accelerator, "devices": devices, "num_nodes": num_nodes, "strategy": strategy,
             "precision": precision}
    try:
        return lightning.Trainer(
            **given, callbacks=callbacks, logger=False, enable_checkpointing=False,  # type: ignore[arg-type]
            enable_progress_bar=False, enable_model_summary=False)
    except (MisconfigurationException, TypeError, ValueError, RuntimeError) as error:
        values = ", ".join(f"trainer.{name} {value}" for name, value in given.items())
        reason = " ".join(str(error).split()).rstrip(".!")
        raise HsxError(f"trainer: expected what this machine has, got {values} ({reason}); auto fits anywhere"
                       ) from None

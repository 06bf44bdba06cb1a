"""The part of ``lightning.Trainer`` that prediction needs, typed, so that ``--help`` fits a screen."""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any, Literal

import lightning
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback

from hsx.errors import HsxError

SLURM = ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NNODES", "SLURM_NTASKS_PER_NODE")
NUMBERS = ("MASTER_PORT", "WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", *SLURM)  # in the environment
Precision = Literal["32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true", 32]


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
        accelerator: where to compute: cpu, gpu, mps, … or auto.
        devices: how many devices, or which.
        num_nodes: how many machines.
        strategy: how the work is spread, such as ddp.
        precision: the precision of the network's numbers.
        callbacks: more Lightning callbacks.

    Raises:
        HsxError: for what Lightning does not have on this machine, and where the environment tells of other processes.
    """
    for name in NUMBERS:
        if not os.environ.get(name, "0").isdecimal():
            raise HsxError(f"{name}: expected a number in the environment, got {os.environ[name]}; unset it")
    given: dict[str, Any] = {"accelerator": accelerator, "devices": devices, "num_nodes": num_nodes}
    given |= {"strategy": strategy, "precision": precision}
    extras = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    others: dict[str, Any] = {"callbacks": callbacks, **dict.fromkeys(extras, False)}
    shell = "SLURM_NTASKS" in os.environ and "SLURM_PROCID" not in os.environ  # of salloc: no task of srun
    if shell and "TORCHELASTIC_RUN_ID" not in os.environ:
        others["plugins"] = [LightningEnvironment()]
    try:
        trainer = lightning.Trainer(**given, **others)
        _as_the_environment_says(trainer)
        return trainer
    except KeyError as error:
        wanted = f"{error.args[0]} in the environment, as srun and torchrun set it"
        remedy = "start with one of them, or unset their other variables"
        raise HsxError(f"trainer: expected {wanted}, found none; {remedy}") from None
    except (MisconfigurationException, ImportError, TypeError, ValueError, RuntimeError) as error:
        values = ", ".join(f"trainer.{name} {value}" for name, value in given.items())
        reason = " ".join(str(error).split()).rstrip(".!")
        slurm = "SLURM_NTASKS" in os.environ and not shell
        remedy = "start with srun --ntasks-per-node, or unset SLURM_NTASKS" if slurm else "auto fits anywhere"
        raise HsxError(f"trainer: expected what this machine has, got {values} ({reason}); {remedy}") from None


def _as_the_environment_says(trainer: lightning.Trainer) -> None:
    """Raises HsxError or ValueError where the processes that srun or torchrun start are not those of this run."""
    environment = trainer._accelerator_connector.cluster_environment
    tasks, processes = os.environ.get("SLURM_NTASKS"), trainer.num_devices * trainer.num_nodes
    if isinstance(environment, SLURMEnvironment) and int(tasks or 1) != processes:
        wanted = f"trainer.devices, trainer.num_nodes: expected {tasks} processes, as SLURM_NTASKS says"
        found = f"{processes} ({trainer.num_devices} on each of {trainer.num_nodes} nodes)"
        remedy = "give as many, start as many with srun --ntasks-per-node, or unset SLURM_NTASKS"
        raise HsxError(f"{wanted}, got {found}; {remedy}")
    environment.validate_settings(trainer.num_devices, trainer.num_nodes)


def quiet() -> None:
    """Only what the user should read: not Lightning's tips, nor its warnings about loader workers."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(lightning|torch|jsonargparse)\.")
    warnings.filterwarnings("ignore", message=r".*(num_workers|LeafSpec|args parameter).*")

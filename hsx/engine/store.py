"""Trajectories on disk: every distinct picture is inverted once, by whichever process."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hsx.errors import ImageError
from hsx.images import atomic
from hsx.inversion import Trajectory


class TrajectoryStore:
    """One safetensors file a picture, named by its key, and a text file with the reason for one that failed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, key: str) -> bool:
        return self._file(key).exists()

    def put(self, key: str, trajectory: Trajectory, row: int) -> None:
        """Keep one row of a trajectory, whole or not at all."""
        tensors = {"x_T": trajectory.x_T[row], "h": trajectory.h[row], "timesteps": torch.tensor(trajectory.timesteps)}
        with atomic(self._file(key)) as part:
            save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, part)

    def get(self, key: str, *names: str) -> dict[str, Tensor]:
        """The named tensors of a trajectory: x_T (3, R, R), h (S, C, H, W), timesteps (S,).

        Raises:
            ImageError: with the reason, where the picture could not be inverted.
        """
        try:
            with safe_open(self._file(key), "pt") as file:
                return {name: file.get_tensor(name) for name in names}
        except (OSError, SafetensorError):
            reason = self._reason(key)
            raise ImageError(reason.read_text() if reason.exists() else "the picture was not inverted") from None

    def fail(self, key: str, reason: str) -> None:
        """Remember why a picture could not be inverted."""
        with atomic(self._reason(key)) as part:
            part.write_text(reason)

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _reason(self, key: str) -> Path:
        return self.folder / f"{key}.txt"


def digest(*parts: object) -> str:
    """A short hash of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def weights_digest(module: nn.Module) -> str:
    """A hash of a network's names, shapes and weights."""
    total = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        total.update(f"{name}{tuple(tensor.shape)}".encode())
        total.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:24]

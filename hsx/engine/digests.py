"""Hashes that tell settings, weights and pictures apart."""

from __future__ import annotations

import hashlib
import json

from torch import nn


def digest(*parts: object) -> str:
    """A short hash of plain values, 24 hex digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def weights_digest(module: nn.Module) -> str:
    """A hash of a network's names, shapes and weights, 24 hex digits."""
    total = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        total.update(f"{name}{tuple(tensor.shape)}".encode())
        total.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:24]

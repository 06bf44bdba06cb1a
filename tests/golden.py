"""The numbers of the original authors' code (see tests/reference/README.md), as the tests use them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from safetensors.torch import load_file

import hsx

FOLDER = Path(__file__).parent / "reference" / "golden"
MODELS = {"ddpm": {"image_size": 32}, "p2": {"image_size": 32, "num_head_channels": 32}}


@cache
def backbone(model: str) -> hsx.Backbone:
    return hsx.load_backbone(FOLDER / model / "base.pt", **MODELS[model])


@cache
def facts(model: str, kind: str) -> dict:
    return json.loads((FOLDER / model / f"base_{kind}.json").read_text())


@cache
def tensors(model: str, kind: str) -> dict:
    return load_file(FOLDER / model / f"base_{kind}.safetensors")


def difference(a, b) -> float:
    """The largest absolute difference."""
    assert a.shape == b.shape
    return float((a - b).abs().max())

"""What the parts of a network cost: in evaluations, and in seconds on this machine."""

from __future__ import annotations

import time
from itertools import chain
from typing import NamedTuple

import torch

from hsx.backbones.base import BOTTLENECK, Backbone


class Costs(NamedTuple):
    """For one picture.

    Attributes:
        encode, decode: evaluations of the whole network that E takes, and D where a feature was changed.
        seconds: of one evaluation.
    """

    encode: float
    decode: float
    seconds: float


@torch.no_grad()
def costs(backbone: Backbone) -> Costs:
    """Found by running E and D twice; the first time, which is slower, does not count."""
    size, own = backbone.sample_size, next(chain(backbone.parameters(), backbone.buffers()), torch.empty(0))
    x, t = torch.zeros(1, 3, size, size, device=own.device), torch.zeros(1, dtype=torch.long)
    for _ in range(2):
        begun = time.perf_counter()
        b = backbone.encode(x, t)
        changed = b.with_features({BOTTLENECK: b.h + 1})
        float(backbone.decode(changed).sum())  # which waits for a GPU
        seconds = time.perf_counter() - begun
    encode, decode = backbone.encode_cost(), backbone.decode_cost(changed)
    return Costs(encode, decode, seconds / (encode + decode))

"""Noise that belongs to a sample, not to a batch.

Every random draw comes from a generator keyed by (seed, sample), so that results do not depend on batch size, order,
number of devices or resumption (the habit of EDM's generate.py: one generator per sample).
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence

import numpy as np
import torch
from torch import Tensor


class SampleNoise:
    """Standard normal noise with one generator per sample.

    Args:
        seed: the seed of the run, or one for each sample.
        samples: one name per row of the batch; rows of equal name get equal noise.  Names are compared by their
            ``repr``, so use strings, integers or tuples of them.
    """

    def __init__(self, seed: int | Sequence[int], samples: Sequence[Hashable]) -> None:
        seeds = [int(seed)] * len(samples) if isinstance(seed, (int, np.integer)) else seed
        keys = [_key(*each) for each in zip(seeds, samples, strict=True)]
        self.generators = [torch.Generator().manual_seed(key) for key in keys]

    def __call__(self, like: Tensor) -> Tensor:
        """The next draw: (B, ...) as ``like`` in shape, device and dtype.  Drawn in float32 on the CPU, on any device.

        Raises:
            ValueError: if ``like`` has another number of rows than there are samples.
        """
        if len(like) != len(self.generators):
            raise ValueError(f"expected a batch of {len(self.generators)} samples, got {len(like)}")
        rows = [torch.randn(like.shape[1:], generator=generator) for generator in self.generators]
        return torch.stack(rows).to(like, non_blocking=True)  # (B, ...)


def _key(seed: int, sample: Hashable) -> int:
    """A 63-bit seed for this sample of this run, the same on every machine."""
    digest = hashlib.sha256(repr((seed, sample)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1

"""What the parts of run.py are given: a network, pictures, and how much of everything."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

import hsx
from hsx.io.images import read_image
from hsx.pairs.sources import find_images


@dataclass(frozen=True)
class Job:
    """How much to measure, and with what.

    Attributes:
        model: a checkpoint.
        device: where it runs.
        pairs: in the largest batch, and of quality.
        rounds: how often everything is timed.
        compiled: with compiled networks, which take minutes first.
        tiny: few steps, to try the scripts out.
    """

    model: str = "hsx://demo_faces"
    device: str = "cpu"
    pairs: int = 16
    rounds: int = 3
    compiled: bool = True
    tiny: bool = False

    def network(self) -> hsx.Backbone:
        """The network, loaded anew."""
        return hsx.load_backbone(self.model).to(self.device)

    def given(self, pairs: int) -> tuple[Tensor, Tensor]:
        """Contents and styles of the demo, row by row: up to 24 pairs, all different; each (pairs, 3, R, R)."""
        contents, styles = (self.pictures(f"hsx://demo_faces/{kind}") for kind in ("contents", "styles"))
        rows = torch.arange(pairs)
        return contents[rows % len(contents)], styles[rows % len(styles)]

    def pictures(self, source: str) -> Tensor:
        """All pictures of a folder, (n, 3, R, R) in [-1, 1]."""
        size = hsx.load_backbone(self.model).sample_size
        read = [read_image(path, size=size, fit="crop") for path in find_images(source)]
        return torch.stack([torch.as_tensor(one) for one in read]).to(self.device)
